//! The markup of XML, as far as references need it.
//!
//! What must hold: every step goes forward, and a search that fails ends the document, so the time is linear whatever the
//! bytes. Deliberately absent: any check of well-formedness, the content of a document type declaration.

use memchr::memmem;

/// A part of the input.
pub(super) type Range = (usize, usize);

/// The attributes of a tag or an instruction that may matter; the first of several wins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attributes {
    pub href: Option<Range>,
    /// `href` with a prefix, which is XLink's.
    pub xlink: Option<Range>,
    pub src: Option<Range>,
    pub url: Option<Range>,
    pub rel: Option<Range>,
    pub permalink: Option<Range>,
    /// `xml:base`.
    pub base: Option<Range>,
    pub xml_url: Option<Range>,
    pub html_url: Option<Range>,
}

impl Attributes {
    fn take(&mut self, name: &[u8], value: Range) {
        let field = match name {
            b"href" => &mut self.href,
            b"src" => &mut self.src,
            b"url" => &mut self.url,
            b"rel" => &mut self.rel,
            b"isPermaLink" => &mut self.permalink,
            b"xml:base" => &mut self.base,
            b"xmlUrl" => &mut self.xml_url,
            b"htmlUrl" => &mut self.html_url,
            _ if name.ends_with(b":href") => &mut self.xlink,
            _ => return,
        };
        field.get_or_insert(value);
    }
}

/// Whether to go on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    On,
    Stop,
}

/// What a scan meets, in document order. Ranges are of the input.
pub(super) trait Visitor {
    /// A start tag, its name at `at..end`; the tag of an empty element is followed by [`Visitor::end`].
    fn start(&mut self, at: usize, end: usize, attributes: &Attributes) -> Step;
    /// An end tag of any name.
    fn end(&mut self);
    /// Character data, or the content of a CDATA section.
    fn text(&mut self, at: usize, end: usize, cdata: bool);
    /// A processing instruction.
    fn instruction(&mut self, name: &[u8], attributes: &Attributes);
}

/// Reads the document `input`.
pub(super) fn run<V: Visitor>(input: &[u8], visitor: &mut V) {
    let mut scanner = Scanner { s: input, at: 0 };
    while let Some(i) = memchr::memchr(b'<', &input[scanner.at..]) {
        if i > 0 {
            visitor.text(scanner.at, scanner.at + i, false);
        }
        scanner.at += i;
        if scanner.markup(visitor) == Step::Stop {
            return;
        }
    }
    if scanner.at < input.len() {
        visitor.text(scanner.at, input.len(), false);
    }
}

struct Scanner<'a> {
    s: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    /// Behind the markup that begins with the `<` at the cursor.
    fn markup<V: Visitor>(&mut self, visitor: &mut V) -> Step {
        let rest = &self.s[self.at..];
        match rest.get(1) {
            Some(b'!') if rest.starts_with(b"<!--") => {
                self.at += 4;
                self.past(b"-->");
            }
            Some(b'!') if rest.starts_with(b"<![CDATA[") => {
                let at = self.at + 9;
                self.at = at;
                let end = self.past(b"]]>");
                visitor.text(at, end, true);
            }
            Some(b'!') => self.declaration(),
            Some(b'?') => self.instruction(visitor),
            Some(b'/') => {
                self.past(b">");
                visitor.end();
            }
            Some(&b) if is_name(b) => return self.start(visitor),
            _ => {
                visitor.text(self.at, self.at + 1, false);
                self.at += 1;
            }
        }
        Step::On
    }

    /// Moves behind the next `mark` and gives where it begins; to the end where there is none.
    fn past(&mut self, mark: &[u8]) -> usize {
        match memmem::find(&self.s[self.at..], mark) {
            Some(i) => {
                let begins = self.at + i;
                self.at = begins + mark.len();
                begins
            }
            None => {
                self.at = self.s.len();
                self.at
            }
        }
    }

    /// Behind `<!DOCTYPE ...>`, its internal subset included, or any other declaration.
    fn declaration(&mut self) {
        let mut depth = 0_u32;
        self.at += 2;
        while let Some(&b) = self.s.get(self.at) {
            let rest = &self.s[self.at..];
            self.at += 1;
            match b {
                b'"' | b'\'' => {
                    self.past(&[b]);
                }
                b'<' if rest.starts_with(b"<!--") => {
                    self.past(b"-->");
                }
                b'<' if rest.starts_with(b"<?") => {
                    self.past(b"?>");
                }
                b'[' | b'<' => depth = depth.saturating_add(1),
                b']' => depth = depth.saturating_sub(1),
                b'>' if depth == 0 => return,
                b'>' => depth -= 1,
                _ => {}
            }
        }
    }

    /// Behind `<?name ...?>`.
    fn instruction<V: Visitor>(&mut self, visitor: &mut V) {
        self.at += 2;
        let (at, end) = self.name();
        let behind = self.at;
        let stops = self.past(b"?>");
        let mut inner = Scanner {
            s: &self.s[..stops],
            at: behind.min(stops),
        };
        let mut attributes = Attributes::default();
        inner.attributes(&mut attributes);
        visitor.instruction(&self.s[at..end], &attributes);
    }

    fn start<V: Visitor>(&mut self, visitor: &mut V) -> Step {
        self.at += 1;
        let (at, end) = self.name();
        let mut attributes = Attributes::default();
        let empty = self.attributes(&mut attributes);
        let step = visitor.start(at, end, &attributes);
        if empty && step == Step::On {
            visitor.end();
        }
        step
    }

    /// The name at the cursor, which ends behind it.
    fn name(&mut self) -> Range {
        let at = self.at;
        while self.s.get(self.at).copied().is_some_and(is_name) {
            self.at += 1;
        }
        (at, self.at)
    }

    fn blanks(&mut self) {
        while self.s.get(self.at).is_some_and(|b| b.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Reads attributes up to behind the `>`; whether the tag is that of an empty element. A `<` ends a tag that was not
    /// closed, and is not read.
    fn attributes(&mut self, attributes: &mut Attributes) -> bool {
        let mut empty = false;
        loop {
            self.blanks();
            match self.s.get(self.at) {
                None | Some(b'<') => return empty,
                Some(b'>') => {
                    self.at += 1;
                    return empty;
                }
                Some(&b) if is_name(b) => {
                    empty = false;
                    let (at, end) = self.name();
                    if let Some(value) = self.value() {
                        attributes.take(&self.s[at..end], value);
                    }
                }
                Some(&b) => {
                    empty = b == b'/';
                    self.at += 1;
                }
            }
        }
    }

    /// The value behind the name at whose end the cursor stands.
    fn value(&mut self) -> Option<Range> {
        self.blanks();
        if self.s.get(self.at) != Some(&b'=') {
            return None;
        }
        self.at += 1;
        self.blanks();
        let quote = *self.s.get(self.at)?;
        if quote == b'"' || quote == b'\'' {
            self.at += 1;
            let at = self.at;
            return Some((at, self.past(&[quote])));
        }
        let at = self.at;
        while let Some(b) = self.s.get(self.at)
            && !b.is_ascii_whitespace()
            && !matches!(b, b'>' | b'<')
        {
            self.at += 1;
        }
        Some((at, self.at))
    }
}

/// Whether a byte can be part of a name: everything that has no meaning in markup.
fn is_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b':' | b'_' | b'-' | b'.') || b >= 0x80
}
