//! Where the scanner is in foreign content (SVG and MathML), as far as tags alone can tell.
//!
//! There `title`, `style` and `script` hold markup, not raw text, and CDATA sections exist. What must hold: bounded
//! memory, constant work per tag, and nothing to do outside of foreign content. Differences from a tree builder: only
//! `svg`, `math` and the elements inside them that hold HTML again are tracked; `font` never breaks out; an
//! `annotation-xml` always holds MathML; an end tag of an HTML element breaks out whether or not that element is open.

use super::names::{self, Tag};
use crate::limits::FOREIGN_DEPTH_MAX;

/// The open elements that switch between HTML and foreign content, outermost first.
#[derive(Debug)]
pub(super) struct Foreign {
    open: [Tag; FOREIGN_DEPTH_MAX],
    depth: usize,
    deeper: u32,
}

impl Foreign {
    pub(super) fn new() -> Self {
        Foreign {
            open: [Tag::Other; FOREIGN_DEPTH_MAX],
            depth: 0,
            deeper: 0,
        }
    }

    /// Whether nothing is tracked, so that only `svg` and `math` matter.
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.depth == 0
    }

    /// Whether elements started here are foreign.
    #[inline(always)]
    pub(super) fn is_foreign(&self) -> bool {
        self.depth > 0 && matches!(self.open[self.depth - 1], Tag::Svg | Tag::Math)
    }

    /// A start tag, seen before its content is decided. Whether the element itself is foreign.
    #[cold]
    pub(super) fn start(&mut self, tag: Tag, name: &[u8], self_closing: bool) -> bool {
        if self.is_foreign() && names::breaks_out(name) {
            self.break_out();
        }
        let Some(&inside) = self.open[..self.depth].last() else {
            if !self_closing && matches!(tag, Tag::Svg | Tag::Math) {
                self.push(tag);
            }
            return matches!(tag, Tag::Svg | Tag::Math);
        };
        let opens = match inside {
            Tag::Svg => matches!(tag, Tag::Svg | Tag::ForeignObject | Tag::Desc | Tag::Title),
            Tag::Math => matches!(tag, Tag::Math | Tag::MathText),
            _ => matches!(tag, Tag::Svg | Tag::Math),
        };
        let foreign = self.is_foreign() || opens;
        if opens && !self_closing {
            self.push(tag);
        }
        foreign
    }

    /// An end tag.
    #[cold]
    pub(super) fn end(&mut self, tag: Tag, name: &[u8]) {
        if self.deeper > 0 {
            self.deeper -= u32::from(matches!(tag, Tag::Svg | Tag::Math));
            return;
        }
        if !self.is_foreign() {
            self.depth -= usize::from(self.open[..self.depth].last() == Some(&tag));
        } else if let Some(i) = self.open[..self.depth].iter().rposition(|&t| t == tag) {
            self.depth = i;
        } else if names::breaks_out(name) {
            self.break_out();
        }
    }

    fn push(&mut self, tag: Tag) {
        if self.depth < FOREIGN_DEPTH_MAX && self.deeper == 0 {
            self.open[self.depth] = tag;
            self.depth += 1;
        } else {
            self.deeper += u32::from(matches!(tag, Tag::Svg | Tag::Math));
        }
    }

    fn break_out(&mut self) {
        while self.is_foreign() {
            self.depth -= 1;
        }
        self.deeper = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integration_points_and_break_out() {
        let mut f = Foreign::new();
        assert!(!f.start(Tag::Title, b"title", false));
        assert!(f.start(Tag::Svg, b"svg", false));
        assert!(f.is_foreign());
        assert!(f.start(Tag::Title, b"title", false));
        assert!(!f.is_foreign());
        assert!(!f.start(Tag::Script, b"script", false));
        f.end(Tag::Title, b"title");
        assert!(f.start(Tag::Script, b"script", false));
        assert!(!f.start(Tag::Other, b"div", false));
        assert!(f.is_empty());
    }

    #[test]
    fn self_closing_and_unbalanced_tags() {
        let mut f = Foreign::new();
        assert!(f.start(Tag::Svg, b"svg", true));
        assert!(f.is_empty());
        f.end(Tag::Svg, b"svg");
        for _ in 0..1_000 {
            f.start(Tag::Svg, b"svg", false);
        }
        for _ in 0..1_000 {
            f.end(Tag::Svg, b"svg");
        }
        assert!(f.is_empty());
        f.start(Tag::Math, b"math", false);
        f.end(Tag::Other, b"div");
        assert!(f.is_empty());
    }
}
