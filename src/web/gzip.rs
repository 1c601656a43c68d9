//! One gzip member out of pieces that were compressed before.
//!
//! What must hold: the result is a single member (RFC 1952) whose deflate stream (RFC 1951) is a sequence of
//! byte-aligned pieces: precompressed blocks that refer to nothing before themselves, and short runs of a page's own
//! text in stored blocks. The checksum of the whole follows from the checksums of the pieces, so no page is
//! compressed or summed as a whole. Deliberately absent: compressing the runs, which would cost more than all the rest.

use flate2::{Compress, Compression, Crc, FlushCompress};

/// Member header: deflate, no name, no time, unknown system.
pub const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// Header of a stored block.
pub const STORED_HEADER: usize = 5;
/// Longest run of text in one stored block that [`Shifts`] knows.
pub const RUN_MAX: usize = 16 << 10;
/// Last, empty block (fixed Huffman codes, end of block).
const LAST: [u8; 2] = [0x03, 0x00];

/// Reversed polynomial of CRC-32.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// Product of two polynomials modulo the CRC's, bits reversed (the highest bit is x^0).
fn times(mut a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    while a != 0 {
        if a & 0x8000_0000 != 0 {
            product ^= b;
        }
        a <<= 1;
        b = (b >> 1) ^ (POLYNOMIAL & (b & 1).wrapping_neg());
    }
    product
}

/// x^(8n) for all short n: what a checksum is multiplied by when n bytes follow it.
#[derive(Debug)]
pub struct Shifts(Vec<u32>);

impl Shifts {
    /// For all n up to [`RUN_MAX`].
    pub fn new() -> Self {
        let byte = 0x0080_0000; // x^8
        let mut all = vec![0x8000_0000u32]; // x^0
        for n in 0..RUN_MAX {
            all.push(times(byte, all[n]));
        }
        Self(all)
    }

    /// x^(8n); `n` at most [`RUN_MAX`].
    pub fn of(&self, n: usize) -> u32 {
        self.0[n]
    }
}

/// Checksum and length of what a member holds so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trailer {
    crc: u32,
    len: u32,
}

impl Trailer {
    /// A piece follows: its checksum, its length and x^(8 length).
    #[inline]
    pub fn add(&mut self, crc: u32, len: usize, shift: u32) {
        self.crc = times(self.crc, shift) ^ crc;
        self.len = self.len.wrapping_add(len as u32);
    }

    /// Appends the end of the member: the last block and the trailer.
    pub fn finish(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&LAST);
        out.extend_from_slice(&self.crc.to_le_bytes());
        out.extend_from_slice(&self.len.to_le_bytes());
    }
}

/// The header of a stored, not last block of `len` bytes (RFC 1951 3.2.4).
pub fn stored_header(len: u16) -> [u8; STORED_HEADER] {
    let [a, b] = len.to_le_bytes();
    [0, a, b, !a, !b]
}

/// CRC-32 of `bytes`.
pub fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Deflates `raw` on its own, aligned to a byte and not ended, so that anything may stand before and after it.
pub fn piece(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len() + 64);
    let mut deflate = Compress::new(Compression::new(6), false);
    // Room for the worst case is there, so one call takes all; a larger input would only be reported as Ok.
    let ended = deflate.compress_vec(raw, &mut out, FlushCompress::Sync);
    assert!(
        ended.is_ok() && deflate.total_in() == raw.len() as u64,
        "deflate takes a whole block"
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn pieces_and_stored_runs_make_one_member() {
        let shifts = Shifts::new();
        let block = b"the same words again and again, the same words again and again. ".repeat(40);
        let packed = piece(&block);
        assert!(packed.len() < block.len() / 4);
        let mut member = HEADER.to_vec();
        let mut plain = Vec::new();
        let mut trailer = Trailer::default();
        for run in [&b"first run"[..], b"", &[7u8; RUN_MAX]] {
            member.extend_from_slice(&stored_header(run.len() as u16));
            member.extend_from_slice(run);
            trailer.add(crc(run), run.len(), shifts.of(run.len()));
            plain.extend_from_slice(run);
            member.extend_from_slice(&packed);
            trailer.add(crc(&block), block.len(), shifts.of(block.len()));
            plain.extend_from_slice(&block);
        }
        trailer.finish(&mut member);
        let mut decoded = Vec::new();
        let mut decoder = flate2::bufread::GzDecoder::new(&member[..]);
        decoder.read_to_end(&mut decoded).unwrap();
        assert_eq!(decoded, plain);
        assert!(decoder.into_inner().is_empty(), "a single member");
    }

    #[test]
    fn shifts_agree_with_the_checksum_of_the_whole() {
        let shifts = Shifts::new();
        for (a, b) in [(0, 0), (0, 1), (1, 0), (5, 300), (300, 8_000)] {
            let bytes: Vec<u8> = (0..a + b).map(|i| (i * 7) as u8).collect();
            let mut trailer = Trailer::default();
            trailer.add(crc(&bytes[..a]), a, shifts.of(a));
            trailer.add(crc(&bytes[a..]), b, shifts.of(b));
            assert_eq!(trailer.crc, crc(&bytes));
        }
    }
}
