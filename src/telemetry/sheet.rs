//! The page that a report is written on: headings, lines, columns, nothing wider than [`COLUMNS`].

use super::charts::pad;
use super::text::clip;

/// Widest line, characters; escape sequences of headings are not counted.
pub const COLUMNS: usize = 96;
/// Width of one of two columns side by side.
pub(super) const HALF: usize = 46;
/// Space between them.
const GAP: usize = 2;
/// In front of each line that is no heading.
const INDENT: &str = "  ";

/// Text under construction.
pub(super) struct Sheet {
    out: String,
    colour: bool,
}

impl Sheet {
    /// An empty sheet; `colour` for a terminal.
    pub fn new(colour: bool) -> Self {
        Self {
            out: String::new(),
            colour,
        }
    }

    /// A title, with an empty line before it.
    pub fn heading(&mut self, title: &str) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.styled("1", &clip(title, COLUMNS));
    }

    /// An indented line.
    pub fn line(&mut self, text: &str) {
        let line = format!("{INDENT}{text}");
        self.out.push_str(clip(&line, COLUMNS).trim_end());
        self.out.push('\n');
    }

    /// An indented line that must not be overlooked.
    pub fn alarm(&mut self, text: &str) {
        let line = format!("{INDENT}{text}");
        self.styled("1;31", &clip(&line, COLUMNS));
    }

    fn styled(&mut self, style: &str, text: &str) {
        if self.colour {
            self.out.push_str(&format!("\x1b[{style}m{text}\x1b[0m\n"));
        } else {
            self.out.push_str(text);
            self.out.push('\n');
        }
    }

    /// Two blocks side by side, as long as the longer.
    pub fn beside(&mut self, left: &[String], right: &[String]) {
        for row in 0..left.len().max(right.len()) {
            let cell = |block: &[String]| pad(block.get(row).map_or("", String::as_str), HALF);
            self.line(&format!("{}{}{}", cell(left), " ".repeat(GAP), cell(right)));
        }
    }

    /// A paragraph, broken between words.
    pub fn paragraph(&mut self, text: &str) {
        let mut line = String::new();
        for word in text.split_whitespace() {
            let longer = line.chars().count() + 1 + word.chars().count();
            if !line.is_empty() && longer > COLUMNS - INDENT.len() {
                self.line(&std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        if !line.is_empty() {
            self.line(&line);
        }
    }

    /// The text.
    pub fn finish(self) -> String {
        self.out
    }
}

const _: () = assert!(INDENT.len() + 2 * HALF + GAP <= COLUMNS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_wider_than_the_sheet() {
        let mut sheet = Sheet::new(false);
        let long = "word ".repeat(100) + &"x".repeat(500);
        sheet.heading(&long);
        sheet.paragraph(&long);
        sheet.alarm(&long);
        sheet.beside(std::slice::from_ref(&long), &[long.clone(), long.clone()]);
        let text = sheet.finish();
        assert!(text.lines().all(|l| l.chars().count() <= COLUMNS));
        assert!(text.lines().count() > 8);
    }

    #[test]
    fn only_a_terminal_gets_escape_sequences() {
        let draw = |colour| {
            let mut sheet = Sheet::new(colour);
            sheet.heading("a");
            sheet.alarm("b");
            sheet.finish()
        };
        assert!(!draw(false).contains('\u{1b}'));
        assert_eq!(draw(true).matches('\u{1b}').count(), 4);
    }
}
