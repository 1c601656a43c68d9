//! Which attributes of which elements are references, and what they are to the page.
//!
//! What must hold: a start tag's references are taken when the tag is complete, the first of duplicate attributes wins,
//! and elements that are not wanted cost no more than their tag. Deliberately absent: what needs a click with consent or
//! a script (`form action`, `ping`), what browsers no longer fetch (`applet`, `longdesc`, `dynsrc`), documents inside
//! attributes (`srcdoc`, `data:`).

use super::foreign::Foreign;
use super::found::{Found, RefKind};
use super::names::{self, ATTRIBUTES, Attribute, Tag};
use super::tokens::{Content, Value, Visitor};
use super::{Wanted, refresh, srcset};
use crate::protocol::{css, html::entity};

/// Collects references for [`super::scan`].
pub(super) struct Links<'a> {
    input: &'a [u8],
    found: &'a mut Found,
    wanted: Wanted,
    /// Bit n: attributes of the tag number n are looked at.
    tags: u64,
    /// Bit n: the attribute number n was given on this tag.
    given: u32,
    values: [Value; ATTRIBUTES],
    name: (usize, usize),
    foreign: Foreign,
    /// The text that follows is a stylesheet.
    in_style: bool,
}

impl<'a> Links<'a> {
    pub(super) fn new(input: &'a [u8], wanted: Wanted, found: &'a mut Found) -> Self {
        Links {
            input,
            found,
            wanted,
            tags: wanted_tags(wanted),
            given: 0,
            values: [Value::default(); ATTRIBUTES],
            name: (0, 0),
            foreign: Foreign::new(),
            in_style: false,
        }
    }

    #[inline(always)]
    fn get(&self, attribute: Attribute) -> Option<Value> {
        (self.given & (1 << attribute as u32) != 0).then(|| self.values[attribute as usize])
    }

    /// The text of a value that is no reference; changes nothing but references to characters.
    fn read<T>(&mut self, value: Value, f: impl FnOnce(&[u8], &mut Self) -> T) -> T {
        let input = self.input;
        let raw = &input[value.at..value.end];
        if value.plain || memchr::memchr2(b'&', 0, raw).is_none() {
            return f(raw, self);
        }
        let mut spare = std::mem::take(&mut self.found.spare);
        spare.clear();
        entity::decode(raw, entity::LineEnds::Normalise, &mut spare);
        let result = f(&spare, self);
        self.found.spare = spare;
        result
    }

    #[inline(always)]
    fn push(&mut self, kind: RefKind, attribute: Attribute) {
        if let Some(value) = self.get(attribute) {
            self.found.push(kind, false, self.input, value);
        }
    }

    /// `href`, or in SVG `xlink:href` where there is none.
    fn push_href(&mut self, kind: RefKind) {
        let plain = self.get(Attribute::Href);
        if let Some(value) = plain.or_else(|| self.get(Attribute::XlinkHref)) {
            self.found.push(kind, false, self.input, value);
        }
    }

    #[inline(always)]
    fn anchor(&mut self) {
        let href = match self.get(Attribute::Href) {
            Some(href) => href,
            None => match self.get(Attribute::XlinkHref) {
                Some(href) if self.foreign.is_foreign() => href,
                _ => return,
            },
        };
        let nofollow = match self.get(Attribute::Rel) {
            Some(rel) => self.read(rel, |rel, _| has_token(rel, b"nofollow")),
            None => false,
        };
        self.found.push(RefKind::Page, nofollow, self.input, href);
    }

    /// Everything but `a` and `area`.
    #[inline(never)]
    fn element(&mut self, tag: Tag, foreign: bool) {
        let Wanted { pages, all, .. } = self.wanted;
        let images = self.wanted.images || all;
        match tag {
            Tag::Link => self.link(),
            Tag::Meta => self.meta(),
            Tag::Base if !foreign => {
                if let Some(value) = self.get(Attribute::Href) {
                    self.found.set_base(self.input, value);
                }
            }
            Tag::Iframe | Tag::Frame if pages => self.push(RefKind::Frame, Attribute::Src),
            Tag::Img if images => self.image(),
            Tag::Image if images => {
                self.image();
                self.push_href(RefKind::Image);
            }
            Tag::FeImage if images => self.push_href(RefKind::Image),
            Tag::Input if images => {
                let kind = self.get(Attribute::Type);
                if kind.is_some_and(|v| self.read(v, |kind, _| kind.eq_ignore_ascii_case(b"image")))
                {
                    self.push(RefKind::Image, Attribute::Src);
                }
            }
            Tag::Body | Tag::Table | Tag::TableCell if images => {
                self.push(RefKind::Image, Attribute::Background);
            }
            Tag::Video | Tag::Audio | Tag::Source | Tag::Track => self.media(tag, images),
            Tag::Script if all => {
                self.push(RefKind::Script, Attribute::Src);
                if foreign {
                    self.push_href(RefKind::Script);
                }
            }
            Tag::Embed if all => self.push(RefKind::Object, Attribute::Src),
            Tag::Object if all => self.push(RefKind::Object, Attribute::Data),
            Tag::Html if all => self.push(RefKind::Object, Attribute::Manifest),
            Tag::Use if all => self.push_href(RefKind::Object),
            _ => {}
        }
    }

    fn image(&mut self) {
        self.push(RefKind::Image, Attribute::Src);
        self.srcset(Attribute::Srcset);
    }

    fn media(&mut self, tag: Tag, images: bool) {
        if self.wanted.all {
            self.push(RefKind::Media, Attribute::Src);
        }
        match tag {
            Tag::Video if images => self.push(RefKind::Image, Attribute::Poster),
            Tag::Source if images => self.srcset(Attribute::Srcset),
            _ => {}
        }
    }

    /// Takes all candidates of `srcset` or `imagesrcset`.
    fn srcset(&mut self, attribute: Attribute) {
        let Some(value) = self.get(attribute) else {
            return;
        };
        self.read(value, |text, this| {
            // Undecoded text is a part of the input and its candidates hold no line ends.
            let copied = !std::ptr::eq(text.as_ptr(), this.input[value.at..].as_ptr());
            srcset::candidates(text, |at, end| {
                if copied {
                    this.found.push_copy(RefKind::Image, &text[at..end]);
                } else {
                    let (at, end) = (value.at + at, value.at + end);
                    let value = Value {
                        at,
                        end,
                        plain: true,
                    };
                    this.found.push(RefKind::Image, false, this.input, value);
                }
            });
        });
    }

    fn link(&mut self) {
        let Wanted { pages, images, all } = self.wanted;
        let kind = match self.get(Attribute::Rel) {
            Some(rel) => self.read(rel, |rel, this| this.link_kind(rel)),
            None => Some(RefKind::Link),
        };
        let Some(kind) = kind else { return };
        let wanted = match kind {
            RefKind::Link => pages,
            RefKind::Image => images || all,
            _ => all,
        };
        if wanted {
            self.push(kind, Attribute::Href);
            if kind == RefKind::Image {
                self.srcset(Attribute::ImageSrcset);
            }
        }
    }

    /// What a `link` with this `rel` refers to; `None` for mere hints about hosts.
    fn link_kind(&mut self, rel: &[u8]) -> Option<RefKind> {
        let is = |names: &[&[u8]]| names.iter().any(|name| has_token(rel, name));
        if is(&[b"stylesheet"]) {
            return Some(RefKind::Style);
        }
        if is(&[
            b"icon",
            b"apple-touch-icon",
            b"apple-touch-icon-precomposed",
            b"apple-touch-startup-image",
            b"mask-icon",
        ]) {
            return Some(RefKind::Image);
        }
        let module = is(&[b"modulepreload"]);
        if module || is(&[b"preload", b"prefetch", b"subresource"]) {
            return Some(match self.get(Attribute::As) {
                Some(value) => self.read(value, |kind, _| preload_kind(kind)),
                None if module => RefKind::Script,
                None => RefKind::Object,
            });
        }
        (!is(&[b"dns-prefetch", b"preconnect"])).then_some(RefKind::Link)
    }

    fn meta(&mut self) {
        let Some(content) = self.get(Attribute::Content) else {
            return;
        };
        let is_refresh = |v: &[u8], _: &mut Self| v.eq_ignore_ascii_case(b"refresh");
        let is_robots = |v: &[u8], _: &mut Self| {
            v.eq_ignore_ascii_case(b"robots") || v.eq_ignore_ascii_case(b"cyclosa")
        };
        if let Some(equiv) = self.get(Attribute::HttpEquiv)
            && self.wanted.pages
            && self.read(equiv, is_refresh)
        {
            self.refresh(content);
        }
        if let Some(name) = self.get(Attribute::Name)
            && self.read(name, is_robots)
        {
            self.found.nofollow |= self.read(content, |rules, _| forbids_following(rules));
        }
    }

    fn refresh(&mut self, content: Value) {
        self.read(content, |text, this| {
            if let Some((at, end)) = refresh::target(text) {
                this.found.push_copy(RefKind::Refresh, &text[at..end]);
            }
        });
    }

    /// A `style` attribute.
    fn style(&mut self) {
        let Some(value) = self.get(Attribute::Style) else {
            return;
        };
        self.read(value, |text, this| {
            if std::ptr::eq(text.as_ptr(), this.input[value.at..].as_ptr()) {
                css::scan_part(this.input, value.at, value.end, this.found);
            } else {
                css::scan_copy(text, this.found);
            }
        });
    }
}

impl Visitor for Links<'_> {
    #[inline(always)]
    fn start(&mut self, tag: Tag, at: usize, end: usize) -> bool {
        self.given = 0;
        self.name = (at, end);
        self.tags & (1 << tag as u64) != 0
    }

    #[inline(always)]
    fn attribute(&mut self, at: usize, end: usize, value: Value) {
        if let Some(attribute) = names::attribute(self.input, at, end) {
            let bit = 1 << attribute as u32;
            if self.given & bit == 0 {
                self.given |= bit;
                self.values[attribute as usize] = value;
            }
        }
    }

    #[inline(always)]
    fn started(&mut self, tag: Tag, self_closing: bool, after: usize) -> Content {
        let mut foreign = false;
        if !self.foreign.is_empty() || matches!(tag, Tag::Svg | Tag::Math) {
            let name = &self.input[self.name.0..self.name.1];
            foreign = self.foreign.start(tag, name, self_closing);
        }
        if self.given != 0 {
            match tag {
                Tag::A | Tag::Area if self.wanted.pages => self.anchor(),
                Tag::Other => {}
                _ => self.element(tag, foreign),
            }
            if self.wanted.all {
                self.style();
            }
        }
        if tag == Tag::Other {
            return Content::Markup;
        }
        self.in_style = tag == Tag::Style && self.wanted.all;
        match content(tag) {
            _ if foreign => {
                if self.in_style {
                    let end = memchr::memchr(b'<', &self.input[after..]);
                    self.text(after, end.map_or(self.input.len(), |i| after + i));
                }
                Content::Markup
            }
            content => content,
        }
    }

    fn text(&mut self, at: usize, end: usize) {
        if self.in_style {
            css::scan_part(self.input, at, end, self.found);
        }
    }

    #[inline(always)]
    fn ended(&mut self, at: usize, end: usize) {
        if !self.foreign.is_empty() {
            let tag = names::tag(self.input, at, end);
            self.foreign.end(tag, &self.input[at..end]);
        }
    }

    #[inline(always)]
    fn cdata(&self) -> bool {
        self.foreign.is_foreign()
    }
}

/// How the tree builder reads on behind an HTML element (scripting off, so `noscript` holds markup).
pub(super) fn content(tag: Tag) -> Content {
    match tag {
        Tag::Script => Content::Script,
        Tag::Style => Content::Text(b"style"),
        Tag::Textarea => Content::Text(b"textarea"),
        Tag::Title => Content::Text(b"title"),
        Tag::Iframe => Content::Text(b"iframe"),
        Tag::Xmp => Content::Text(b"xmp"),
        Tag::Noembed => Content::Text(b"noembed"),
        Tag::Noframes => Content::Text(b"noframes"),
        Tag::Plaintext => Content::Plaintext,
        _ => Content::Markup,
    }
}

/// The tags whose attributes are looked at.
fn wanted_tags(wanted: Wanted) -> u64 {
    if wanted.all {
        return u64::MAX;
    }
    let mut tags = mask(&[Tag::Base, Tag::Meta]);
    if wanted.pages {
        tags |= mask(&[Tag::A, Tag::Area, Tag::Link, Tag::Iframe, Tag::Frame]);
    }
    if wanted.images {
        tags |= mask(&[
            Tag::Img,
            Tag::Image,
            Tag::FeImage,
            Tag::Source,
            Tag::Input,
            Tag::Video,
            Tag::Body,
            Tag::Table,
            Tag::TableCell,
            Tag::Link,
        ]);
    }
    tags
}

fn mask(tags: &[Tag]) -> u64 {
    tags.iter().fold(0, |all, &tag| all | 1 << tag as u64)
}

/// Whether one of the tokens between ASCII whitespace is `token`, in any case.
fn has_token(value: &[u8], token: &[u8]) -> bool {
    value
        .split(u8::is_ascii_whitespace)
        .any(|t| t.eq_ignore_ascii_case(token))
}

/// `nofollow` or `none` in the content of `meta robots`.
fn forbids_following(rules: &[u8]) -> bool {
    rules
        .split(|b| b.is_ascii_whitespace() || *b == b',')
        .any(|rule| rule.eq_ignore_ascii_case(b"nofollow") || rule.eq_ignore_ascii_case(b"none"))
}

/// What a preload with this `as` is.
fn preload_kind(kind: &[u8]) -> RefKind {
    const KINDS: [(&[u8], RefKind); 9] = [
        (b"script", RefKind::Script),
        (b"worker", RefKind::Script),
        (b"style", RefKind::Style),
        (b"image", RefKind::Image),
        (b"font", RefKind::Font),
        (b"track", RefKind::Media),
        (b"audio", RefKind::Media),
        (b"video", RefKind::Media),
        (b"document", RefKind::Link),
    ];
    let known = KINDS
        .iter()
        .find(|(name, _)| kind.eq_ignore_ascii_case(name));
    known.map_or(RefKind::Object, |(_, kind)| *kind)
}
