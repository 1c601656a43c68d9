//! The searches of [`Find`] 32 bytes at a time, on x86-64 with AVX2.
//!
//! The only unsafe code of the scanner: intrinsics must be told that the instructions exist, and load through pointers.
//! What must hold: an [`Avx2`] exists only where the processor has the instructions; loads go through a reference to
//! 32 bytes, so none leaves the input. The last bytes of the input are left to [`Portable`]. Deliberately absent: AVX-512
//! (tags are short: wider registers gain nothing) and NEON (the portable path serves it).

use super::find::{self, Find, Portable};
use super::links::Links;
use super::{Found, Wanted, tokens};
use std::arch::x86_64::*;

/// Bytes of a block.
const BLOCK: usize = 32;

/// Proof that the processor has AVX2 and BMI.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

impl Avx2 {
    /// The proof, where it holds. Cheap: the answer is cached by the standard library.
    #[inline]
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2");
        has.then_some(Avx2(()))
    }

    /// [`super::scan`] with these searches.
    pub(super) fn scan(self, input: &[u8], wanted: Wanted, found: &mut Found) {
        // SAFETY: `self` proves the instructions.
        unsafe { scan_compiled(self, input, wanted, found) }
    }
}

/// The whole scan compiled for these instructions: everything it calls in its loops is inlined into it.
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn scan_compiled(avx2: Avx2, input: &[u8], wanted: Wanted, found: &mut Found) {
    tokens::run(avx2, input, &mut Links::new(input, wanted, found));
}

/// Class bits by low nibble; AND with those of the high nibble says the class (see [`find`]).
const LOW: [u8; 16] = nibbles(true, 0xFF);

/// For each nibble, the classes of all bytes that have it low (or high), limited to `set`.
const fn nibbles(low: bool, set: u8) -> [u8; 16] {
    let mut table = [0; 16];
    let mut b = 0;
    while b < 256 {
        let nibble = if low { b & 15 } else { b >> 4 };
        table[nibble] |= find::classes_of(b as u8) & set;
        b += 1;
    }
    table
}

struct High<const SET: u8>;

impl<const SET: u8> High<SET> {
    const TABLE: [u8; 16] = nibbles(false, SET);
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn load(block: &[u8; BLOCK]) -> __m256i {
    // SAFETY: the reference covers the 32 bytes read; the load needs no alignment.
    unsafe { _mm256_loadu_si256(block.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn wide(table: &[u8; 16]) -> __m256i {
    // SAFETY: the reference covers the 16 bytes read; the load needs no alignment.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(table.as_ptr().cast()) })
}

/// Bit i: byte i of the block is `b`.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn equal(block: &[u8; BLOCK], b: u8) -> u32 {
    let hits = _mm256_cmpeq_epi8(load(block), _mm256_set1_epi8(b as i8));
    _mm256_movemask_epi8(hits) as u32
}

/// Bit i: byte i of the block is of one of the classes `SET`.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn classified<const SET: u8>(block: &[u8; BLOCK]) -> u32 {
    let bytes = load(block);
    // A byte above 0x7F gives 0 in the low look-up, so it has no class.
    let low = _mm256_shuffle_epi8(wide(&LOW), bytes);
    let high_nibbles = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), _mm256_set1_epi8(15));
    let high = _mm256_shuffle_epi8(wide(&High::<SET>::TABLE), high_nibbles);
    let none = _mm256_cmpeq_epi8(_mm256_and_si256(low, high), _mm256_setzero_si256());
    !(_mm256_movemask_epi8(none) as u32)
}

/// Bit i: byte i of the block is `a` and the next is `b` or `c`.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn paired(first: &[u8; BLOCK], second: &[u8; BLOCK], a: u8, b: u8, c: u8) -> u32 {
    let next = load(second);
    let either = _mm256_or_si256(
        _mm256_cmpeq_epi8(next, _mm256_set1_epi8(b as i8)),
        _mm256_cmpeq_epi8(next, _mm256_set1_epi8(c as i8)),
    );
    let hits = _mm256_and_si256(
        _mm256_cmpeq_epi8(load(first), _mm256_set1_epi8(a as i8)),
        either,
    );
    _mm256_movemask_epi8(hits) as u32
}

/// The 32 bytes at `at`, where there are so many.
#[inline(always)]
fn block(s: &[u8], at: usize) -> Option<&[u8; BLOCK]> {
    s.get(at..)?.first_chunk()
}

/// The `<` of a block of 64 bytes that were not asked for yet.
#[derive(Default)]
pub(super) struct Opens {
    /// Where the block starts.
    base: usize,
    /// Bit i: `<` at `base + i`.
    left: u64,
    /// Where the next block starts.
    next: usize,
}

impl Find for Avx2 {
    type Opens = Opens;

    #[inline(always)]
    fn open(self, s: &[u8], opens: &mut Opens, at: usize) -> usize {
        loop {
            while opens.left != 0 {
                let open = opens.base + opens.left.trailing_zeros() as usize;
                opens.left &= opens.left - 1;
                if open >= at {
                    return open;
                }
            }
            if at > opens.next {
                skip(opens, at);
            }
            let (Some(low), Some(high)) = (block(s, opens.next), block(s, opens.next + BLOCK))
            else {
                return tail(|| Portable.byte(s, at.max(opens.next).min(s.len()), b'<'));
            };
            // SAFETY: `self` proves the instructions.
            let (low, high) = unsafe { (equal(low, b'<'), equal(high, b'<')) };
            opens.left = u64::from(low) | u64::from(high) << 32;
            opens.base = opens.next;
            opens.next += 2 * BLOCK;
        }
    }

    #[inline(always)]
    fn byte(self, s: &[u8], from: usize, b: u8) -> usize {
        let mut at = from;
        while let Some(bytes) = block(s, at) {
            // SAFETY: `self` proves the instructions.
            let hits = unsafe { equal(bytes, b) };
            if hits != 0 {
                return at + hits.trailing_zeros() as usize;
            }
            at += BLOCK;
        }
        tail(|| Portable.byte(s, at, b))
    }

    #[inline(always)]
    fn set<const SET: u8>(self, s: &[u8], from: usize) -> usize {
        let mut at = from;
        while let Some(bytes) = block(s, at) {
            // SAFETY: `self` proves the instructions.
            let hits = unsafe { classified::<SET>(bytes) };
            if hits != 0 {
                return at + hits.trailing_zeros() as usize;
            }
            at += BLOCK;
        }
        tail(|| Portable.set::<SET>(s, at))
    }

    #[inline(always)]
    fn quote(self, s: &[u8], from: usize, quote: u8) -> (usize, bool) {
        let mut at = from;
        let mut special = 0;
        while let Some(bytes) = block(s, at) {
            // SAFETY: `self` proves the instructions.
            let (hits, changed) =
                unsafe { (equal(bytes, quote), classified::<{ find::SPECIAL }>(bytes)) };
            if hits != 0 {
                // The bits below the lowest hit.
                special |= changed & (hits ^ (hits - 1));
                return (at + hits.trailing_zeros() as usize, special == 0);
            }
            special |= changed;
            at += BLOCK;
        }
        tail(|| {
            let (end, plain) = Portable.quote(s, at, quote);
            (end, plain && special == 0)
        })
    }

    #[inline(always)]
    fn pair(self, s: &[u8], from: usize, a: u8, b: u8, c: u8) -> usize {
        let mut at = from;
        while let (Some(first), Some(second)) = (block(s, at), block(s, at + 1)) {
            // SAFETY: `self` proves the instructions.
            let hits = unsafe { paired(first, second, a, b, c) };
            if hits != 0 {
                return at + hits.trailing_zeros() as usize;
            }
            at += BLOCK;
        }
        tail(|| Portable.pair(s, at, a, b, c))
    }
}

/// Kept out of the loops: at most once per search, near the end of the input.
#[cold]
#[inline(never)]
fn tail<T>(portable: impl FnOnce() -> T) -> T {
    portable()
}

/// Behind a long stretch that was searched otherwise. A call, so that it is a branch: the usual way must not wait for `at`.
#[cold]
#[inline(never)]
fn skip(opens: &mut Opens, at: usize) {
    opens.next = at;
}

#[cfg(test)]
mod tests {
    use super::*;
    use find::{ATTRIBUTE_END, BETWEEN, NAME_END, SPACE, SPECIAL, UNQUOTED_END};
    use proptest::prelude::*;

    fn compare(avx2: Avx2, s: &[u8], from: usize) {
        for b in [b'<', b'>', 0, 0xFF] {
            assert_eq!(avx2.byte(s, from, b), Portable.byte(s, from, b));
        }
        for q in [b'"', b'\''] {
            assert_eq!(avx2.quote(s, from, q), Portable.quote(s, from, q));
        }
        assert_eq!(
            avx2.pair(s, from, b'<', b'/', b'!'),
            Portable.pair(s, from, b'<', b'/', b'!')
        );
        assert_eq!(avx2.set::<SPACE>(s, from), Portable.set::<SPACE>(s, from));
        assert_eq!(
            avx2.set::<NAME_END>(s, from),
            Portable.set::<NAME_END>(s, from)
        );
        assert_eq!(
            avx2.set::<ATTRIBUTE_END>(s, from),
            Portable.set::<ATTRIBUTE_END>(s, from)
        );
        assert_eq!(
            avx2.set::<UNQUOTED_END>(s, from),
            Portable.set::<UNQUOTED_END>(s, from)
        );
        assert_eq!(
            avx2.set::<BETWEEN>(s, from),
            Portable.set::<BETWEEN>(s, from)
        );
        assert_eq!(
            avx2.set::<SPECIAL>(s, from),
            Portable.set::<SPECIAL>(s, from)
        );
    }

    #[test]
    fn every_byte_at_every_place_is_classed_alike() {
        let Some(avx2) = Avx2::detect() else {
            println!("skipped: no AVX2 here");
            return;
        };
        for b in 0..=255u8 {
            for place in [0, 1, 30, 31, 32, 33, 62, 63, 64] {
                let mut s = vec![b'x'; 66];
                s[place] = b;
                compare(avx2, &s, 0);
                compare(avx2, &s, place);
            }
        }
    }

    proptest! {
        #[test]
        fn searches_agree_with_the_portable_ones(
            s in prop::collection::vec(prop::sample::select(&b"ax<>/=!&\"' \t\n\0\xC3-"[..]), 0..150),
            from in 0usize..150,
        ) {
            if let Some(avx2) = Avx2::detect() {
                compare(avx2, &s, from.min(s.len()));
            }
        }
    }
}
