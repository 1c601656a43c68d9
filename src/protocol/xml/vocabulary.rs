//! Which elements of which XML vocabularies refer to something, and what it is.
//!
//! Sources: sitemaps.org protocol 0.9 with Google's image and video extensions, RSS 2.0 and 1.0, Media RSS, RFC 4287
//! (Atom), OPML 2.0, SVG 2, XLink 1.1. Deliberately absent: vocabularies that name URLs in other ways.

use crate::protocol::html::RefKind;

/// An element, by its local name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// `loc`; the flag says that its prefix is that of image sitemaps.
    Loc(bool),
    /// `thumbnail_loc` of video sitemaps.
    ThumbnailLoc,
    /// RSS and Atom; also `xhtml:link` of sitemaps.
    Link,
    Guid,
    Comments,
    /// `url` of an RSS image, or of a sitemap.
    Url,
    /// RSS `image`, SVG `image`.
    Image,
    /// What ends an RSS `image` at the latest.
    Item,
    /// Atom `icon` and `logo`.
    Icon,
    Enclosure,
    /// Atom `content`, `media:content`.
    Content,
    Thumbnail,
    Outline,
    Img,
    Script,
    Frame,
    /// `use`, `include`, `import`: part of the document itself.
    Part,
    Other,
}

/// What the text of an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub kind: RefKind,
    /// Only an absolute http URL counts; anything else is a mere name.
    pub absolute: bool,
}

impl Element {
    /// From a name with its prefix.
    pub(super) fn of(name: &[u8]) -> Self {
        match local(name) {
            b"loc" => Self::Loc(name.starts_with(b"image:")),
            b"thumbnail_loc" => Self::ThumbnailLoc,
            b"link" => Self::Link,
            b"guid" => Self::Guid,
            b"comments" => Self::Comments,
            b"url" => Self::Url,
            b"image" => Self::Image,
            b"item" | b"entry" => Self::Item,
            b"icon" | b"logo" => Self::Icon,
            b"enclosure" => Self::Enclosure,
            b"content" => Self::Content,
            b"thumbnail" => Self::Thumbnail,
            b"outline" => Self::Outline,
            b"img" | b"feImage" => Self::Img,
            b"script" => Self::Script,
            b"iframe" | b"frame" => Self::Frame,
            b"use" | b"include" | b"import" => Self::Part,
            _ => Self::Other,
        }
    }

    /// What `href` refers to.
    pub(super) fn href(self, rel: &[u8]) -> RefKind {
        match self {
            Self::Link if has_token(rel, b"stylesheet") => RefKind::Style,
            Self::Link if has_token(rel, b"enclosure") => RefKind::Media,
            Self::Link if has_token(rel, b"icon") => RefKind::Image,
            Self::Link => RefKind::Link,
            Self::Image | Self::Img | Self::Thumbnail => RefKind::Image,
            Self::Script => RefKind::Script,
            Self::Part => RefKind::Object,
            _ => RefKind::Page,
        }
    }

    /// What `src` refers to.
    pub(super) fn src(self) -> RefKind {
        match self {
            Self::Content => RefKind::Page,
            Self::Img | Self::Image => RefKind::Image,
            Self::Script => RefKind::Script,
            Self::Frame => RefKind::Frame,
            _ => RefKind::Object,
        }
    }

    /// What `url` refers to, where it is known to be a reference.
    pub(super) fn url(self) -> Option<RefKind> {
        match self {
            Self::Enclosure | Self::Content => Some(RefKind::Media),
            Self::Thumbnail => Some(RefKind::Image),
            _ => None,
        }
    }

    /// What the text is; `permalink` is the attribute `isPermaLink` of `guid`, true where absent (RSS 2.0).
    pub(super) fn content(
        self,
        permalink: Option<&[u8]>,
        in_image: bool,
        in_index: bool,
    ) -> Option<Content> {
        let content = |kind, absolute| Some(Content { kind, absolute });
        match self {
            Self::Loc(false) if in_index => content(RefKind::Sitemap, false),
            Self::Loc(false) => content(RefKind::Page, false),
            Self::Loc(true) | Self::ThumbnailLoc | Self::Icon => content(RefKind::Image, false),
            Self::Link | Self::Comments => content(RefKind::Page, false),
            Self::Guid if permalink != Some(b"false") => content(RefKind::Page, true),
            Self::Url if in_image => content(RefKind::Image, true),
            _ => None,
        }
    }
}

/// A name without its prefix.
pub(super) fn local(name: &[u8]) -> &[u8] {
    memchr::memrchr(b':', name).map_or(name, |i| &name[i + 1..])
}

/// Whether one of the words of `value` is `token`, in any case.
pub(super) fn has_token(value: &[u8], token: &[u8]) -> bool {
    value
        .split(u8::is_ascii_whitespace)
        .any(|t| t.eq_ignore_ascii_case(token))
}
