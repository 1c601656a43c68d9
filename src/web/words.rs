//! A made-up language: words by rank, drawn as in real text, the common ones often.
//!
//! What must hold: a word is lower-case ASCII letters, so it can stand in a path as it is. Deliberately absent:
//! grammar. Compressors only see frequencies and repetition.

use super::draw::Draw;

/// Bits that choose a word.
pub const WORD_BITS: u32 = 11;
/// Number of words.
const WORDS: usize = 1 << WORD_BITS;
/// Phrases: word sequences that come again and again, as they do in any text about something.
const PHRASES: u64 = 160;
/// Most common words that are short, as articles and prepositions are.
const SHORT: usize = 40;

const ONSETS: [&str; 16] = [
    "b", "c", "d", "f", "gr", "h", "l", "m", "n", "p", "r", "s", "st", "t", "v", "tr",
];
const VOWELS: [&str; 8] = ["a", "e", "i", "o", "u", "ea", "io", "e"];
const CODAS: [&str; 8] = ["", "n", "r", "s", "t", "l", "nd", ""];

/// The vocabulary of one seed.
#[derive(Debug)]
pub struct Words {
    text: String,
    /// Where each word begins and ends.
    spans: Vec<(u16, u16)>,
    phrases: Vec<String>,
}

impl Words {
    /// The vocabulary of `seed`.
    pub fn new(seed: u64) -> Self {
        let mut draw = Draw::of(seed, 0, 0, 0x776f_7264);
        let mut words = Self {
            text: String::new(),
            spans: Vec::with_capacity(WORDS),
            phrases: Vec::new(),
        };
        for rank in 0..WORDS {
            let start = words.text.len() as u16;
            let syllables = if rank < SHORT { 1 } else { 1 + draw.below(3) };
            for _ in 0..syllables {
                words.text.push_str(ONSETS[draw.below(16) as usize]);
                words.text.push_str(VOWELS[draw.below(8) as usize]);
                words.text.push_str(CODAS[draw.below(8) as usize]);
            }
            words.spans.push((start, words.text.len() as u16));
        }
        for _ in 0..PHRASES {
            let length = 3 + draw.below(5);
            let phrase: Vec<&str> = (0..length).map(|_| words.draw(&mut draw)).collect();
            let phrase = phrase.join(" ");
            words.phrases.push(phrase);
        }
        words
    }

    /// A word by Zipf's law.
    #[inline]
    pub fn draw(&self, draw: &mut Draw) -> &str {
        self.at(draw.zipf(WORDS as u64) as usize)
    }

    /// Some words that belong together.
    pub fn phrase(&self, draw: &mut Draw) -> &str {
        &self.phrases[draw.zipf(PHRASES) as usize]
    }

    /// A word of any rank, all alike, by the low bits of `bits` ([`WORD_BITS`] of them); for titles, slugs and anchors,
    /// where one draw is enough for several words.
    #[inline]
    pub fn any(&self, bits: u64) -> &str {
        self.at(bits as usize % WORDS)
    }

    #[inline]
    fn at(&self, rank: usize) -> &str {
        let (start, end) = self.spans[rank];
        &self.text[usize::from(start)..usize::from(end)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_plain_letters_and_follow_the_seed() {
        let (a, b, c) = (Words::new(1), Words::new(1), Words::new(2));
        assert_eq!(a.text, b.text);
        assert_ne!(a.text, c.text);
        assert!((0..WORDS).all(|r| !a.at(r).is_empty()));
        assert!(a.text.bytes().all(|c| c.is_ascii_lowercase()));
    }
}
