//! What a scan found: references, and the buffers they lie in.
//!
//! What must hold: a reference that needs no change is a range of the input; any other lies in the scratch buffer. Once
//! the buffers have grown, nothing is allocated. At most [`LINKS_PER_PAGE_MAX`] references of at most
//! [`REFERENCE_BYTES_MAX`] bytes are kept, what is beyond is counted; the scratch buffer stays below 6/5 of the input.
//! Deliberately absent: resolution, and a judgement of schemes (`mailto:`, `javascript:` are references too).

use super::entity::{self, LineEnds};
use super::tokens::Value;
use crate::event::LinkKind;
use crate::limits::{LINKS_PER_PAGE_MAX, REFERENCE_BYTES_MAX};

/// What a reference is to the page that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum RefKind {
    /// `a`, `area`.
    Page,
    /// `iframe`, `frame`.
    Frame,
    /// A `link` that is no resource of the page (`next`, `alternate`, `canonical`, and what is not known).
    Link,
    /// `meta` refresh.
    Refresh,
    /// Images, icons, posters, backgrounds in attributes.
    Image,
    /// Stylesheets, `@import`.
    Style,
    /// Scripts and module preloads.
    Script,
    /// `video`, `audio`, `source`, `track`.
    Media,
    /// `object`, `embed`, manifests, `use`, and preloads of other kinds.
    Object,
    /// Preloaded fonts.
    Font,
    /// `url()` in a stylesheet or a `style` attribute: images, fonts, cursors.
    Css,
    /// A part of a sitemap index.
    Sitemap,
}

impl RefKind {
    /// How the target is treated by the frontier.
    pub fn link_kind(self) -> LinkKind {
        match self {
            Self::Page | Self::Frame | Self::Link | Self::Refresh => LinkKind::Page,
            Self::Sitemap => LinkKind::Sitemap,
            Self::Image => LinkKind::Image,
            Self::Style => LinkKind::Style,
            Self::Script | Self::Media | Self::Object | Self::Font | Self::Css => LinkKind::Asset,
        }
    }
}

/// Where the text of a reference lies: in the input or in the scratch buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    at: u32,
    /// The highest bit says scratch; a reference is far shorter.
    len: u16,
}

/// Marks a place in the scratch buffer.
const IN_SCRATCH: u16 = 1 << 15;
const _: () = assert!(REFERENCE_BYTES_MAX * 6 / 5 < IN_SCRATCH as usize);

/// One reference; eight bytes. [`Found::text`] gives its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ref {
    /// What it is.
    pub kind: RefKind,
    /// The element says `rel=nofollow`.
    pub nofollow: bool,
    place: Place,
}

/// Appends a text to a buffer with its escapes decoded.
pub(in crate::protocol) type Unescape = fn(&[u8], &mut Vec<u8>);

/// The findings of one document; reused from page to page.
#[derive(Debug, Default)]
pub struct Found {
    /// References in document order. References to a place in the page itself (`#top`, the empty one) are left out,
    /// but where a `<base>` came before them the first is kept, as it names the base URL.
    pub refs: Vec<Ref>,
    /// The first `<base href>`.
    pub base: Option<Place>,
    /// `<meta name=robots>` (or `cyclosa`) says `nofollow` or `none`.
    pub nofollow: bool,
    /// References beyond [`LINKS_PER_PAGE_MAX`].
    pub dropped: u32,
    /// References longer than [`REFERENCE_BYTES_MAX`], `data:` excepted.
    pub too_long: u32,
    scratch: Vec<u8>,
    /// Decoded values that hold references inside (`srcset`, `style`); taken out while they are read.
    pub(super) spare: Vec<u8>,
    base_named: bool,
}

impl Found {
    /// Forgets the last document and keeps the buffers.
    pub fn clear(&mut self) {
        self.refs.clear();
        self.scratch.clear();
        self.base = None;
        self.nofollow = false;
        self.dropped = 0;
        self.too_long = 0;
        self.base_named = false;
    }

    /// The text of `r`, entities decoded, without surrounding blanks. `input` is what was scanned.
    pub fn text<'a>(&'a self, r: &Ref, input: &'a [u8]) -> &'a [u8] {
        self.at(r.place, input)
    }

    /// The text of the first `<base href>`.
    pub fn base_text<'a>(&'a self, input: &'a [u8]) -> Option<&'a [u8]> {
        self.base.map(|place| self.at(place, input))
    }

    /// Bytes that its buffers hold, used or not.
    pub fn footprint(&self) -> usize {
        self.refs.capacity() * size_of::<Ref>() + self.scratch.capacity() + self.spare.capacity()
    }

    fn at<'a>(&'a self, place: Place, input: &'a [u8]) -> &'a [u8] {
        let text = if place.len & IN_SCRATCH == 0 {
            input
        } else {
            &self.scratch
        };
        let at = place.at as usize;
        text.get(at..at + usize::from(place.len & !IN_SCRATCH))
            .unwrap_or_default()
    }

    /// Takes an attribute value that is a reference.
    #[inline(always)]
    pub(super) fn push(&mut self, kind: RefKind, nofollow: bool, input: &[u8], value: Value) {
        let (at, end) = trim(input, value.at, value.end);
        if self.refuses(&input[at..end]) {
            return;
        }
        let place = if value.plain {
            Place {
                at: at as u32,
                len: (end - at) as u16,
            }
        } else {
            self.decoded(&input[at..end])
        };
        self.refs.push(Ref {
            kind,
            nofollow,
            place,
        });
    }

    /// Takes a reference that is not part of the input.
    pub(super) fn push_copy(&mut self, kind: RefKind, text: &[u8]) {
        let (at, end) = trim(text, 0, text.len());
        if self.refuses(&text[at..end]) {
            return;
        }
        let start = self.scratch.len();
        self.scratch.extend_from_slice(&text[at..end]);
        let place = self.since(start);
        self.refs.push(Ref {
            kind,
            nofollow: false,
            place,
        });
    }

    /// Takes a reference of a stylesheet, `text[at..end]`, whose escapes `unescape` decodes where there are any.
    pub(in crate::protocol) fn push_css(
        &mut self,
        kind: RefKind,
        text: &[u8],
        (at, end): (usize, usize),
        copied: bool,
        unescape: Option<Unescape>,
    ) {
        let Some(unescape) = unescape else {
            return match copied {
                true => self.push_copy(kind, &text[at..end]),
                false => self.push(
                    kind,
                    false,
                    text,
                    Value {
                        at,
                        end,
                        plain: true,
                    },
                ),
            };
        };
        if self.refuses(&text[at..end]) {
            return;
        }
        let start = self.scratch.len();
        unescape(&text[at..end], &mut self.scratch);
        let place = self.since(start);
        self.refs.push(Ref {
            kind,
            nofollow: false,
            place,
        });
    }

    /// Takes a reference of an XML document, `text[at..end]`, whose escapes `unescape` decodes where there are any.
    pub(in crate::protocol) fn push_xml(
        &mut self,
        kind: RefKind,
        nofollow: bool,
        text: &[u8],
        (at, end): (usize, usize),
        unescape: Option<Unescape>,
    ) {
        let (at, end) = trim(text, at, end);
        let before = self.refs.len();
        self.push_css(kind, text, (at, end), false, unescape);
        if let Some(pushed) = self.refs.get_mut(before) {
            pushed.nofollow = nofollow;
        }
    }

    /// Takes a reference that lies elsewhere than in the input.
    pub(in crate::protocol) fn push_copied(&mut self, kind: RefKind, text: &[u8]) {
        self.push_copy(kind, text);
    }

    /// Takes the base URL that an XML document names.
    pub(in crate::protocol) fn set_base_xml(&mut self, text: &[u8], unescape: Unescape) {
        if self.base.is_none() && text.len() <= REFERENCE_BYTES_MAX {
            let start = self.scratch.len();
            unescape(text, &mut self.scratch);
            self.base = Some(self.since(start));
        }
    }

    /// A buffer to read with, given back by [`Found::give_spare`].
    pub(in crate::protocol) fn take_spare(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.spare)
    }

    pub(in crate::protocol) fn give_spare(&mut self, spare: Vec<u8>) {
        self.spare = spare;
    }

    /// Takes a `<base href>`, if it is the first.
    pub(super) fn set_base(&mut self, input: &[u8], value: Value) {
        let (at, end) = trim(input, value.at, value.end);
        if self.base.is_some() || end - at > REFERENCE_BYTES_MAX {
            return;
        }
        self.base = Some(match value.plain {
            true => Place {
                at: at as u32,
                len: (end - at) as u16,
            },
            false => self.decoded(&input[at..end]),
        });
    }

    /// Whether a reference is not kept; counts it where a limit is the reason.
    #[inline(always)]
    fn refuses(&mut self, text: &[u8]) -> bool {
        match text.first() {
            None | Some(b'#') if self.base.is_none() || self.base_named => return true,
            None | Some(b'#') => self.base_named = true,
            _ => {}
        }
        if text.len() > REFERENCE_BYTES_MAX {
            let data = text[..5].eq_ignore_ascii_case(b"data:");
            self.too_long += u32::from(!data);
            return true;
        }
        if self.refs.len() >= LINKS_PER_PAGE_MAX {
            self.dropped += 1;
            return true;
        }
        false
    }

    #[cold]
    fn decoded(&mut self, text: &[u8]) -> Place {
        let start = self.scratch.len();
        entity::decode(text, LineEnds::Remove, &mut self.scratch);
        self.since(start)
    }

    fn since(&self, start: usize) -> Place {
        let len = (self.scratch.len() - start).min(usize::from(IN_SCRATCH) - 1);
        Place {
            at: start as u32,
            len: len as u16 | IN_SCRATCH,
        }
    }
}

/// The range without leading and trailing C0 controls and spaces, which the URL Standard strips.
#[inline(always)]
fn trim(s: &[u8], mut at: usize, mut end: usize) -> (usize, usize) {
    while at < end && s[at] <= b' ' {
        at += 1;
    }
    while at < end && s[end - 1] <= b' ' {
        end -= 1;
    }
    (at, end)
}
