//! Tag and attribute names that matter, found by one multiplication.
//!
//! What must hold: a name is compared without regard to ASCII case and in full; any other name is `Other` or `None`. The
//! first eight bytes of a name, lower-cased, are its key; a multiplier without collisions is searched at compile time, so
//! a look-up is one load and one comparison. Deliberately absent: names that only a tree builder needs.

/// Elements the scanner treats specially.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Tag {
    Other,
    A,
    Area,
    Audio,
    Base,
    Body,
    Desc,
    Embed,
    FeImage,
    ForeignObject,
    Frame,
    Html,
    Iframe,
    Image,
    Img,
    Input,
    Link,
    Math,
    MathText,
    Meta,
    Noembed,
    Noframes,
    Object,
    Plaintext,
    Script,
    Source,
    Style,
    Svg,
    Table,
    TableCell,
    Textarea,
    Title,
    Track,
    Use,
    Video,
    Xmp,
}

/// Attributes that hold references or say what becomes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Attribute {
    As,
    Background,
    Content,
    Data,
    Href,
    HttpEquiv,
    ImageSrcset,
    Manifest,
    Name,
    Poster,
    Rel,
    Src,
    Srcset,
    Style,
    Type,
    XlinkHref,
}

/// How many attributes there are.
pub(super) const ATTRIBUTES: usize = 16;

const TAGS: [(&str, Tag); 41] = [
    ("a", Tag::A),
    ("area", Tag::Area),
    ("audio", Tag::Audio),
    ("base", Tag::Base),
    ("body", Tag::Body),
    ("desc", Tag::Desc),
    ("embed", Tag::Embed),
    ("feimage", Tag::FeImage),
    ("foreignobject", Tag::ForeignObject),
    ("frame", Tag::Frame),
    ("html", Tag::Html),
    ("iframe", Tag::Iframe),
    ("image", Tag::Image),
    ("img", Tag::Img),
    ("input", Tag::Input),
    ("link", Tag::Link),
    ("math", Tag::Math),
    ("meta", Tag::Meta),
    ("mi", Tag::MathText),
    ("mn", Tag::MathText),
    ("mo", Tag::MathText),
    ("ms", Tag::MathText),
    ("mtext", Tag::MathText),
    ("noembed", Tag::Noembed),
    ("noframes", Tag::Noframes),
    ("object", Tag::Object),
    ("plaintext", Tag::Plaintext),
    ("script", Tag::Script),
    ("source", Tag::Source),
    ("style", Tag::Style),
    ("svg", Tag::Svg),
    ("table", Tag::Table),
    ("td", Tag::TableCell),
    ("textarea", Tag::Textarea),
    ("th", Tag::TableCell),
    ("title", Tag::Title),
    ("track", Tag::Track),
    ("tr", Tag::TableCell),
    ("use", Tag::Use),
    ("video", Tag::Video),
    ("xmp", Tag::Xmp),
];

const ATTRIBUTE_NAMES: [(&str, Attribute); ATTRIBUTES] = [
    ("as", Attribute::As),
    ("background", Attribute::Background),
    ("content", Attribute::Content),
    ("data", Attribute::Data),
    ("href", Attribute::Href),
    ("http-equiv", Attribute::HttpEquiv),
    ("imagesrcset", Attribute::ImageSrcset),
    ("manifest", Attribute::Manifest),
    ("name", Attribute::Name),
    ("poster", Attribute::Poster),
    ("rel", Attribute::Rel),
    ("src", Attribute::Src),
    ("srcset", Attribute::Srcset),
    ("style", Attribute::Style),
    ("type", Attribute::Type),
    ("xlink:href", Attribute::XlinkHref),
];

/// The tag whose name is `s[at..end]` (at least one byte).
#[inline(always)]
pub(super) fn tag(s: &[u8], at: usize, end: usize) -> Tag {
    TAG_TABLE.find(s, at, end).unwrap_or(Tag::Other)
}

/// The attribute whose name is `s[at..end]` (at least one byte), if it matters.
#[inline(always)]
pub(super) fn attribute(s: &[u8], at: usize, end: usize) -> Option<Attribute> {
    ATTRIBUTE_TABLE.find(s, at, end)
}

/// Whether an element with this name ends foreign content (HTML Standard 13.2.6.5), `font` aside.
pub(super) fn breaks_out(name: &[u8]) -> bool {
    const NAMES: [&str; 43] = [
        "b",
        "big",
        "blockquote",
        "body",
        "br",
        "center",
        "code",
        "dd",
        "div",
        "dl",
        "dt",
        "em",
        "embed",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "head",
        "hr",
        "i",
        "img",
        "li",
        "listing",
        "menu",
        "meta",
        "nobr",
        "ol",
        "p",
        "pre",
        "ruby",
        "s",
        "small",
        "span",
        "strong",
        "strike",
        "sub",
        "sup",
        "table",
        "tt",
        "u",
        "ul",
    ];
    NAMES
        .iter()
        .any(|n| name.eq_ignore_ascii_case(n.as_bytes()))
        || name.eq_ignore_ascii_case(b"var")
}

static TAG_TABLE: Table<Tag, 256> = Table::new(&TAGS);
static ATTRIBUTE_TABLE: Table<Attribute, 128> = Table::new(&ATTRIBUTE_NAMES);

#[derive(Clone, Copy)]
struct Entry<T> {
    key: u64,
    name: &'static str,
    value: Option<T>,
}

/// A perfect hash table of `SLOTS` (a power of two) places.
struct Table<T: Copy + 'static, const SLOTS: usize> {
    multiplier: u64,
    entries: [Entry<T>; SLOTS],
}

impl<T: Copy, const SLOTS: usize> Table<T, SLOTS> {
    /// Searches a multiplier that gives each name its own place; does not compile where there is none.
    const fn new(names: &[(&'static str, T)]) -> Self {
        let mut multiplier = 0x9E37_79B9_7F4A_7C15u64;
        loop {
            if let Some(entries) = Self::placed(names, multiplier) {
                return Table {
                    multiplier,
                    entries,
                };
            }
            multiplier = multiplier
                .wrapping_mul(0x5851_F42D_4C95_7F2D)
                .wrapping_add(2);
        }
    }

    const fn placed(names: &[(&'static str, T)], multiplier: u64) -> Option<[Entry<T>; SLOTS]> {
        let mut taken = [false; SLOTS];
        let mut i = 0;
        while i < names.len() {
            let slot = Self::slot(key_of(names[i].0.as_bytes()), multiplier);
            if taken[slot] {
                return None;
            }
            taken[slot] = true;
            i += 1;
        }
        let mut entries = [Entry {
            key: 0,
            name: "",
            value: None,
        }; SLOTS];
        i = 0;
        while i < names.len() {
            let key = key_of(names[i].0.as_bytes());
            entries[Self::slot(key, multiplier)] = Entry {
                key,
                name: names[i].0,
                value: Some(names[i].1),
            };
            i += 1;
        }
        Some(entries)
    }

    const fn slot(key: u64, multiplier: u64) -> usize {
        (key.wrapping_mul(multiplier) >> (64 - SLOTS.trailing_zeros())) as usize
    }

    #[inline(always)]
    fn find(&self, s: &[u8], at: usize, end: usize) -> Option<T> {
        let key = key(s, at, end);
        let entry = &self.entries[Self::slot(key, self.multiplier)];
        if entry.key != key || entry.name.len() != end - at {
            return None;
        }
        // The key is the whole name but for long ones.
        if end - at > 8 && !s[at..end].eq_ignore_ascii_case(entry.name.as_bytes()) {
            return None;
        }
        entry.value
    }
}

/// The first eight bytes of `s[at..end]` in lower case, the first byte lowest.
#[inline(always)]
fn key(s: &[u8], at: usize, end: usize) -> u64 {
    let len = (end - at).min(8);
    match s[at..].first_chunk::<8>() {
        Some(bytes) if len > 0 => {
            lower(u64::from_le_bytes(*bytes) & (u64::MAX >> (64 - 8 * len as u32)))
        }
        _ => key_of(&s[at..at + len]),
    }
}

const fn key_of(name: &[u8]) -> u64 {
    let mut key = 0u64;
    let mut i = 0;
    while i < name.len() && i < 8 {
        key |= (name[i] as u64) << (8 * i);
        i += 1;
    }
    lower(key)
}

/// ASCII lower case of eight bytes at once.
#[inline(always)]
const fn lower(x: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let seven = x & (0x7F * ONES);
    let above_z = seven + (0x7F - b'Z' as u64) * ONES;
    let from_a = seven + (0x80 - b'A' as u64) * ONES;
    let upper = !x & (from_a ^ above_z) & (0x80 * ONES);
    x | (upper >> 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case_and_nothing_near_it() {
        for (name, value) in TAGS {
            for name in [name.to_string(), name.to_uppercase()] {
                assert_eq!(tag(name.as_bytes(), 0, name.len()), value);
                let inside = format!("<{name} attributes");
                assert_eq!(tag(inside.as_bytes(), 1, 1 + name.len()), value);
                for other in [
                    format!("{name}\0"),
                    format!("{name}\u{e9}"),
                    format!("x{name}"),
                ] {
                    assert_eq!(
                        tag(other.as_bytes(), 0, other.len()),
                        Tag::Other,
                        "{other:?}"
                    );
                }
            }
        }
        for (name, value) in ATTRIBUTE_NAMES {
            assert_eq!(attribute(name.as_bytes(), 0, name.len()), Some(value));
        }
        assert_eq!(attribute(b"http-equix", 0, 10), None);
        assert_eq!(attribute(b"HTTP-EQUIV", 0, 10), Some(Attribute::HttpEquiv));
        assert_eq!(attribute(b"href2", 0, 5), None);
    }

    #[test]
    fn lower_case_touches_letters_only() {
        for b in 0..=255u8 {
            let word = u64::from_le_bytes([b; 8]);
            assert_eq!(lower(word), u64::from_le_bytes([b.to_ascii_lowercase(); 8]));
        }
    }
}
