//! The text that all pages of a web share: a pool of blocks, each plain and deflated.
//!
//! What must hold: a block is whole HTML flow content without a single real link, so any sequence of blocks is a right
//! document body. Some hold what looks like links in comments, scripts, styles and text areas: a crawler that finds
//! one of those asks for `/fake/...`. The pool is small enough to stay in a core's cache.

use super::draw::Draw;
use super::gzip::{self, Shifts};
use super::words::Words;
use std::ops::Range;

/// The pool's tiers: how many blocks of about how many bytes, the large ones first. The numbers of blocks are powers of
/// two. Large blocks compress as whole pages do; small ones fill up to the size asked for.
pub const TIERS: [(usize, usize); 3] = [(32, 8_192), (64, 1_024), (64, 256)];

/// A block: where it lies, and what its checksum adds to that of a page.
#[derive(Debug)]
pub struct Block {
    raw: Range<usize>,
    packed: Range<usize>,
    /// CRC-32 of the plain bytes.
    pub crc: u32,
    /// x^(8 length) for that checksum.
    pub shift: u32,
}

impl Block {
    /// Length of the plain bytes.
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Length of the deflated bytes.
    pub fn packed_len(&self) -> usize {
        self.packed.len()
    }
}

/// The pool of one seed.
#[derive(Debug)]
pub struct Blocks {
    bytes: Vec<u8>,
    all: Vec<Block>,
    /// For runs of text between blocks.
    pub shifts: Shifts,
}

impl Blocks {
    /// The pool of `seed`.
    pub fn new(seed: u64, words: &Words) -> Self {
        let mut pool = Self {
            bytes: Vec::new(),
            all: Vec::new(),
            shifts: Shifts::new(),
        };
        let sizes = TIERS
            .iter()
            .flat_map(|(count, size)| std::iter::repeat_n(*size, *count));
        for (index, size) in sizes.enumerate() {
            let mut draw = Draw::of(seed, 0, index as u64, 0x626c_6f63);
            let mut text = Writer {
                words,
                draw: &mut draw,
                out: String::new(),
            };
            text.block(size, index);
            let raw = text.out.into_bytes();
            pool.add(&raw);
        }
        pool
    }

    fn add(&mut self, raw: &[u8]) {
        let packed = gzip::piece(raw);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(raw);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(&packed);
        self.all.push(Block {
            raw: start..middle,
            packed: middle..self.bytes.len(),
            crc: gzip::crc(raw),
            shift: self.shifts.of(raw.len()),
        });
    }

    /// The block `index`, counted through the tiers.
    #[inline]
    pub fn get(&self, index: u16) -> &Block {
        &self.all[usize::from(index)]
    }

    /// Its plain bytes.
    #[inline]
    pub fn raw(&self, index: u16) -> &[u8] {
        &self.bytes[self.get(index).raw.clone()]
    }

    /// Its deflated bytes.
    #[inline]
    pub fn packed(&self, index: u16) -> &[u8] {
        &self.bytes[self.get(index).packed.clone()]
    }
}

struct Writer<'a> {
    words: &'a Words,
    draw: &'a mut Draw,
    out: String,
}

impl Writer<'_> {
    fn block(&mut self, size: usize, index: usize) {
        // The last element ends about where the block should, so that sizes come out as asked for.
        let mut elements = index;
        while self.out.len() + 60 < size {
            if size - self.out.len() > 900 {
                self.special(elements);
                elements += 7;
            }
            self.paragraph((size - self.out.len()).min(700));
        }
    }

    /// One element that is more than a paragraph: what real pages have and parsers trip over.
    fn special(&mut self, index: usize) {
        match index % 16 {
            0 => self.out.push_str(
                "<!-- old navigation: <a href=\"/fake/comment\">here</a> <img src=/fake/comment.png> -- > -->\n",
            ),
            1 => self.out.push_str(
                "<script>var t='<a href=\"/fake/script\">x</a>';\
                 if(1<2&&t>0){document.write(\"<a href='/fake/written'>y<\\/a>\")}</script>\n",
            ),
            2 => self.out.push_str(
                "<style>.x:before{content:'<a href=/fake/style>'} a>b{color:#123}</style>\n",
            ),
            3 => self.out.push_str(
                "<textarea rows=2><a href=\"/fake/textarea\">not a link</a></textarea>\n",
            ),
            4 => self.out.push_str(
                "<p title='<a href=\"/fake/attribute\">'>A <a name=\"anchor\">name</a>, an <a id=top>id</a>, \
                 <a href-not=/fake/name data-href=/fake/data>neither</a>.</p>\n",
            ),
            5..=7 => self.code(),
            8 | 9 => self.table(),
            10 => self.out.push_str(
                "<p>Write to &lt;a href=&quot;/fake/entity&quot;&gt; &amp; 5 &lt; 6 &mdash; caf\u{e9}, \
                 na\u{ef}ve, \u{4f60}\u{597d}, \u{1f577}&nbsp;&copy; 2026.</p>\n",
            ),
            _ => {
                self.out.push_str("<h2>");
                self.sentence(1, usize::MAX);
                self.out.push_str("</h2>\n");
            }
        }
    }

    fn code(&mut self) {
        self.out.push_str("<pre class=\"highlight\"><code>");
        for _ in 0..6 {
            let (a, b, c) = (self.word(), self.word(), self.word());
            self.out.push_str(&format!(
                "    let {a} = {b}.<span class=\"n\">{c}</span>(&amp;self);\n"
            ));
        }
        self.out.push_str("</code></pre>\n");
    }

    fn table(&mut self) {
        self.out.push_str("<table class=\"docutils\"><tbody>\n");
        for _ in 0..6 {
            let (a, b) = (self.word(), self.word());
            let n = self.draw.below(10_000);
            self.out.push_str(&format!(
                "<tr class=\"row\"><td class=\"c\">{a}</td><td class=\"c\">{b}</td><td class=\"n\">{n}</td></tr>\n"
            ));
        }
        self.out.push_str("</tbody></table>\n");
    }

    fn paragraph(&mut self, size: usize) {
        let end = self.out.len() + size.saturating_sub(12);
        self.out.push_str("<p class=\"text\">");
        while self.out.len() < end {
            let length = 2 + self.draw.below(4);
            self.sentence(length, end);
            self.out.push_str(". ");
        }
        self.out.push_str("</p>\n");
    }

    /// So many words and phrases, fewer where the text would go on past `end`.
    fn sentence(&mut self, length: u64, end: usize) {
        for i in 0..length {
            if self.draw.below(10) < 7 {
                let phrase = self.words.phrase(self.draw);
                self.out.push_str(phrase);
            } else {
                let word = self.word();
                match self.draw.below(16) {
                    0 => self.out.push_str(&format!("<em>{word}</em>")),
                    1 => self
                        .out
                        .push_str(&format!("<code class=\"literal\">{word}</code>")),
                    2 | 3 => self.out.push_str(&format!("{word},")),
                    _ => self.out.push_str(&word),
                }
            }
            if i + 1 == length || self.out.len() >= end {
                return;
            }
            self.out.push(' ');
        }
    }

    fn word(&mut self) -> String {
        self.words.draw(self.draw).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_about_their_size_and_compress_like_text() {
        let pool = Blocks::new(1, &Words::new(1));
        let mut index = 0;
        for (count, size) in TIERS {
            for _ in 0..count {
                let len = pool.get(index).len();
                assert!(len + 100 > size && len < size + 150, "{len} of {size}");
                index += 1;
            }
        }
        let page: Vec<u8> = (0..3).flat_map(|i| pool.raw(i).to_vec()).collect();
        let packed = zstd::bulk::compress(&page, 1).unwrap();
        let ratio = page.len() as f64 / packed.len() as f64;
        let deflated: usize = (0..3).map(|i| pool.packed(i).len()).sum();
        let deflate_ratio = page.len() as f64 / deflated as f64;
        assert!((4.0..5.5).contains(&ratio), "{ratio}");
        assert!((3.0..5.5).contains(&deflate_ratio), "{deflate_ratio}");
    }
}
