//! Undoes content codings (RFC 9110 8.4.1) for the parser.
//!
//! What must hold:
//! * No input makes it write more than `cap(received)` bytes into either of its two scratch buffers, nor keep more than
//!   [`DECODE_REST_BYTES_MAX`] in them once it is told to [`rest`](Decoder::rest).
//! * A body that is cut, corrupt or too large yields what came before the defect, so that its links are still found.
//! * In the steady state nothing is allocated: contexts and both scratch buffers are reused.
//!
//! Whole bodies are inflated by libdeflate; where it cannot (several members, cut or corrupt streams, bodies at the
//! limit) the same bytes go through a streaming inflater. Deliberately absent: `compress`, and any guess at codings that
//! the head does not name.

mod brotli;
mod deflate;
mod room;

use crate::event::Coding;
use crate::limits::{
    CODINGS_MAX, DECODE_REST_BYTES_MAX, DECODED_BYTES_MAX, DECODED_FREE_BYTES, DECODED_RATIO_MAX,
    ZSTD_WINDOW_LOG_MAX,
};
use deflate::{deflate, gzip};
use flate2::Decompress;
use libdeflater::Decompressor;
use room::Out;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective};

/// Why a body was not decoded to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It grows beyond [`DECODED_RATIO_MAX`] times what was received.
    Ratio,
    /// It grows beyond what this decoder takes, [`DECODED_BYTES_MAX`] at most.
    Size,
    /// The coded stream ends before its end mark.
    Ended,
    /// The coded stream is no valid one, or its checksum does not hold.
    Corrupt,
    /// It needs a window larger than [`ZSTD_WINDOW_LOG_MAX`].
    Window,
    /// A coding that is not known, or more of them than [`CODINGS_MAX`].
    Unknown,
}

impl Why {
    /// Stable name for counters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ratio => "decoded_ratio",
            Self::Size => "decoded_bytes",
            Self::Ended => "coding_ended",
            Self::Corrupt => "coding_corrupt",
            Self::Window => "coding_window",
            Self::Unknown => "coding_unknown",
        }
    }
}

/// A body without its content codings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// What came before the defect or the limit; not empty.
    Partial(&'a [u8], Why),
    /// Nothing could be decoded.
    Failed(Why),
}

impl<'a> Decoded<'a> {
    /// What there is to parse; empty where decoding failed.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Self::Whole(bytes) | Self::Partial(bytes, _) => bytes,
            Self::Failed(_) => &[],
        }
    }
}

/// Bytes that a body of `received` bytes may become where none may become more than `most`.
fn cap(received: usize, most: usize) -> usize {
    received
        .saturating_mul(DECODED_RATIO_MAX)
        .max(DECODED_FREE_BYTES)
        .min(most)
}

/// Undoes content codings; one per parser.
pub struct Decoder {
    /// Result of the last layer.
    front: Vec<u8>,
    /// Room for the next one.
    back: Vec<u8>,
    /// Bytes that a body becomes at most.
    most: usize,
    whole: Decompressor,
    raw: Decompress,
    zlib: Decompress,
    zstd: DCtx<'static>,
    brotli: brotli::Brotli,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder without scratch, which grows with the first bodies; for bodies of up to [`DECODED_BYTES_MAX`].
    pub fn new() -> Self {
        Self::up_to(DECODED_BYTES_MAX)
    }

    /// The same for bodies of up to `most` bytes.
    pub fn up_to(most: usize) -> Self {
        let mut zstd = DCtx::create();
        // The value lies within what the library takes, so this cannot fail; were it to, the library's own limit of
        // 128 MiB would hold.
        let _ = zstd.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX));
        Self {
            front: Vec::new(),
            back: Vec::new(),
            most: most.min(DECODED_BYTES_MAX),
            whole: Decompressor::new(),
            raw: Decompress::new(false),
            zlib: Decompress::new(true),
            zstd,
            brotli: brotli::Brotli::default(),
        }
    }

    /// `body` without `codings`, which are given in the order they were applied. The result lies in `body` itself where
    /// there is nothing to undo, else in scratch that the next call overwrites.
    pub fn decode<'a>(&'a mut self, body: &'a [u8], codings: &[Coding]) -> Decoded<'a> {
        self.decode_first(body, codings, self.most)
    }

    /// The same for who looks at the first `most` bytes only.
    pub fn decode_first<'a>(
        &'a mut self,
        body: &'a [u8],
        codings: &[Coding],
        most: usize,
    ) -> Decoded<'a> {
        let layers = codings.iter().filter(|c| **c != Coding::Identity);
        if layers.clone().count() > CODINGS_MAX || layers.clone().any(|c| *c == Coding::Unknown) {
            return Decoded::Failed(Why::Unknown);
        }
        if body.is_empty() || layers.clone().next().is_none() {
            return Decoded::Whole(body);
        }
        let most = most.min(self.most);
        let cap = cap(body.len(), most);
        let limit = if cap == most { Why::Size } else { Why::Ratio };
        let mut defect = None;
        let mut decoded: Option<usize> = None;
        for coding in layers.rev() {
            let (n, why) = self.layer(*coding, body, decoded, cap);
            let why = if n > cap { Some(limit) } else { why };
            defect = defect.or(why);
            std::mem::swap(&mut self.front, &mut self.back);
            decoded = Some(n.min(cap));
        }
        // The layer before the last is of no use any more, and its reader may need as much for the text.
        release(&mut self.back);
        let bytes = &self.front[..decoded.unwrap_or(0)];
        match defect {
            None => Decoded::Whole(bytes),
            Some(why) if bytes.is_empty() => Decoded::Failed(why),
            Some(why) => Decoded::Partial(bytes, why),
        }
    }

    /// Undoes one coding of `body`, or of the `decoded` bytes that the last layer left in `front`, into `back`.
    fn layer(
        &mut self,
        coding: Coding,
        body: &[u8],
        decoded: Option<usize>,
        cap: usize,
    ) -> (usize, Option<Why>) {
        let input = decoded.map_or(body, |n| &self.front[..n]);
        let mut out = Out::new(&mut self.back, cap, self.most);
        match coding {
            Coding::Gzip => gzip(input, &mut out, &mut self.whole, &mut self.raw),
            Coding::Deflate => deflate(
                input,
                &mut out,
                &mut self.whole,
                &mut self.zlib,
                &mut self.raw,
            ),
            Coding::Br => {
                out.want(input.len().saturating_mul(4));
                self.brotli.decode(input, &mut out)
            }
            Coding::Zstd => zstd_frames(input, &mut out, &mut self.zstd),
            Coding::Identity | Coding::Unknown => (0, Some(Why::Unknown)),
        }
    }

    /// Gives back what an unusually large body made grow.
    pub fn rest(&mut self) {
        release(&mut self.front);
        release(&mut self.back);
    }
}

/// Gives a scratch buffer back that was written beyond [`DECODE_REST_BYTES_MAX`]. Whole: the kernel has its pages at once.
pub(super) fn release(scratch: &mut Vec<u8>) {
    if scratch.len() > DECODE_REST_BYTES_MAX {
        *scratch = Vec::new();
    }
}

/// Number of `ZSTD_error_frameParameter_windowTooLarge` in zstd's stable error list.
const ZSTD_WINDOW_TOO_LARGE: usize = 16;

/// zstd (RFC 8878), any number of frames, skippable ones among them.
fn zstd_frames(input: &[u8], out: &mut Out<'_>, context: &mut DCtx<'_>) -> (usize, Option<Why>) {
    let announced = zstd::zstd_safe::get_frame_content_size(input)
        .ok()
        .flatten();
    match announced {
        Some(size) => out.want(
            usize::try_from(size)
                .unwrap_or(usize::MAX)
                .saturating_add(1),
        ),
        None => out.want(input.len().saturating_mul(4)),
    }
    if context.reset(ResetDirective::SessionOnly).is_err() {
        return (0, Some(Why::Corrupt));
    }
    let mut source = InBuffer::around(input);
    let mut n = 0;
    loop {
        let room = out.slice();
        let full = room.len();
        let (before_in, before_out) = (source.pos(), n);
        let mut sink = OutBuffer::around_pos(room, n);
        let result = context.decompress_stream(&mut sink, &mut source);
        n = sink.pos();
        let read = source.pos() - before_in;
        match result {
            Err(code) if code == ZSTD_WINDOW_TOO_LARGE.wrapping_neg() => {
                return (n, Some(Why::Window));
            }
            Err(_) => return (n, Some(Why::Corrupt)),
            Ok(0) if source.pos() == input.len() => return (n, None),
            Ok(_) if n == full => {
                if !out.grow() {
                    return (n, None);
                }
            }
            Ok(0) => {}
            Ok(_) if source.pos() == input.len() => return (n, Some(Why::Ended)),
            Ok(_) if read == 0 && n == before_out => return (n, Some(Why::Corrupt)),
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use std::io::Write;

    fn text(n: usize) -> Vec<u8> {
        (0..)
            .flat_map(|i: u32| {
                format!("<a href=/page/{}>{i}</a>\n", i.wrapping_mul(2_654_435_761)).into_bytes()
            })
            .take(n)
            .collect()
    }

    fn gz(plain: &[u8]) -> Vec<u8> {
        let mut enc = GzEncoder::new(Vec::new(), Compression::default());
        enc.write_all(plain).expect("memory");
        enc.finish().expect("memory")
    }

    fn zlib(plain: &[u8]) -> Vec<u8> {
        let mut enc = ZlibEncoder::new(Vec::new(), Compression::default());
        enc.write_all(plain).expect("memory");
        enc.finish().expect("memory")
    }

    fn raw(plain: &[u8]) -> Vec<u8> {
        let mut enc = DeflateEncoder::new(Vec::new(), Compression::default());
        enc.write_all(plain).expect("memory");
        enc.finish().expect("memory")
    }

    fn zst(plain: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(plain, 3).expect("memory")
    }

    /// Found by fuzzing: how much of a damaged Brotli stream came out depended on the room that bodies before had made.
    #[test]
    fn what_a_decoder_had_before_does_not_show() {
        let damaged = include_bytes!("../../fuzz/corpus/decode/br-damaged");
        let (codings, body) = damaged.split_first().expect("a byte of codings");
        assert_eq!(codings & 15, 3, "Brotli");
        let codings = [Coding::Br, Coding::Gzip];
        let mut used = Decoder::new();
        for _ in 0..2 {
            let large = gz(&text(1 << 20));
            assert!(matches!(
                used.decode(&large, &codings[1..]),
                Decoded::Whole(_)
            ));
        }
        let fresh = Decoder::new().decode(body, &codings[..1]).bytes().len();
        assert_eq!(used.decode(body, &codings[..1]).bytes().len(), fresh);
        let damaged = [&br(&text(50_000))[..40_000], &[0xff; 99]].concat();
        let fresh = Decoder::new()
            .decode(&damaged, &codings[..1])
            .bytes()
            .to_vec();
        assert_eq!(used.decode(&damaged, &codings[..1]).bytes(), fresh);
    }

    /// Brotli stream of uncompressed metablocks (RFC 7932 9.2), window 2^16: enough to test the plumbing.
    fn br(plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let (mut acc, mut bits) = (0u64, 1); // WBITS "0": 16
        for chunk in plain.chunks(1 << 16) {
            // ISLAST 0, MNIBBLES 00 (four), MLEN - 1, ISUNCOMPRESSED 1, then to the byte boundary.
            acc |= ((chunk.len() as u64 - 1) << 3 | 1 << 19) << bits;
            bits += 20;
            while bits > 0 {
                out.push(acc as u8);
                acc >>= 8;
                bits -= 8;
            }
            (acc, bits) = (0, 0);
            out.extend_from_slice(chunk);
        }
        acc |= 3 << bits; // ISLAST, ISLASTEMPTY
        out.push(acc as u8);
        out
    }

    #[test]
    fn every_coding_is_undone_and_scratch_reused() {
        let mut decoder = Decoder::new();
        for n in [1, 100, 30_000, 300_000, 10] {
            let plain = text(n);
            for (coded, coding) in [
                (gz(&plain), Coding::Gzip),
                (zlib(&plain), Coding::Deflate),
                (raw(&plain), Coding::Deflate),
                (zst(&plain), Coding::Zstd),
                (br(&plain), Coding::Br),
            ] {
                let codings = [coding, Coding::Identity];
                assert_eq!(
                    decoder.decode(&coded, &codings),
                    Decoded::Whole(&plain),
                    "{coding:?} {n}"
                );
            }
        }
        assert_eq!(decoder.decode(b"as is", &[]), Decoded::Whole(b"as is"));
        assert_eq!(decoder.decode(b"", &[Coding::Gzip]), Decoded::Whole(b""));
    }

    #[test]
    fn a_real_brotli_stream_is_undone_twice() {
        // "hello hello hello hello " ten times, by the reference encoder at quality 11.
        let plain = b"hello hello hello hello ".repeat(10);
        let coded = data_encoding::HEXLOWER
            .decode(b"1bef00f88d946ede445586966c206f315b1c801407")
            .expect("hex");
        let mut decoder = Decoder::new();
        let first = match decoder.decode(&coded, &[Coding::Br]) {
            Decoded::Whole(bytes) => bytes.to_vec(),
            other => panic!("{other:?}"),
        };
        assert_eq!(first, plain);
        assert_eq!(
            decoder.decode(&coded, &[Coding::Br]),
            Decoded::Whole(&plain)
        );
    }

    #[test]
    fn members_and_frames_follow_each_other() {
        let (a, b) = (text(5_000), text(700));
        let both = [a.clone(), b.clone()].concat();
        let mut decoder = Decoder::new();
        let coded = [gz(&a), gz(&b)].concat();
        assert_eq!(
            decoder.decode(&coded, &[Coding::Gzip]),
            Decoded::Whole(&both)
        );
        let twice = [gz(&a), gz(&a)].concat();
        let same = [a.clone(), a.clone()].concat();
        assert_eq!(
            decoder.decode(&twice, &[Coding::Gzip]),
            Decoded::Whole(&same)
        );
        let trailing = [gz(&a), b"\0\0junk".to_vec()].concat();
        assert_eq!(
            decoder.decode(&trailing, &[Coding::Gzip]),
            Decoded::Whole(&a)
        );
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        let coded = [zst(&a), skippable.to_vec(), zst(&b)].concat();
        assert_eq!(
            decoder.decode(&coded, &[Coding::Zstd]),
            Decoded::Whole(&both)
        );
    }

    #[test]
    fn stacked_codings_are_undone_in_reverse() {
        let plain = text(9_000);
        let mut decoder = Decoder::new();
        let coded = gz(&br(&plain));
        assert_eq!(
            decoder.decode(&coded, &[Coding::Br, Coding::Gzip]),
            Decoded::Whole(&plain)
        );
        assert_eq!(
            decoder.decode(&coded, &[Coding::Gzip; CODINGS_MAX + 1]),
            Decoded::Failed(Why::Unknown)
        );
        assert_eq!(
            decoder.decode(&coded, &[Coding::Unknown]),
            Decoded::Failed(Why::Unknown)
        );
    }

    #[test]
    fn a_cut_body_yields_its_beginning() {
        let plain = text(400_000);
        let mut decoder = Decoder::new();
        for (coded, coding) in [
            (gz(&plain), Coding::Gzip),
            (zlib(&plain), Coding::Deflate),
            (raw(&plain), Coding::Deflate),
            (zst(&plain), Coding::Zstd),
            (br(&plain), Coding::Br),
        ] {
            let cut = &coded[..coded.len() * 3 / 4];
            match decoder.decode(cut, &[coding]) {
                Decoded::Partial(bytes, Why::Ended) => {
                    assert!(
                        plain.starts_with(bytes) && bytes.len() > 100_000,
                        "{coding:?}"
                    );
                }
                other => panic!("{coding:?}: {:?}", other.bytes().len()),
            }
        }
    }

    #[test]
    fn bombs_are_cut_at_the_limit() {
        let zeros = vec![0u8; DECODED_FREE_BYTES * 16];
        let mut decoder = Decoder::new();
        for (coded, coding) in [
            (gz(&zeros), Coding::Gzip),
            (zlib(&zeros), Coding::Deflate),
            (zst(&zeros), Coding::Zstd),
        ] {
            let most = cap(coded.len(), DECODED_BYTES_MAX);
            assert!(most < zeros.len());
            match decoder.decode(&coded, &[coding]) {
                Decoded::Partial(bytes, Why::Ratio) => assert_eq!(bytes.len(), most, "{coding:?}"),
                other => panic!("{coding:?}: {}", other.bytes().len()),
            }
        }
        let twice = gz(&gz(&zeros));
        match decoder.decode(&twice, &[Coding::Gzip, Coding::Gzip]) {
            Decoded::Partial(bytes, Why::Ratio) => assert_eq!(bytes.len(), DECODED_FREE_BYTES),
            other => panic!("{}", other.bytes().len()),
        }
        // A size field that lies does not make the scratch grow beyond the limit.
        let mut liar = gz(b"small");
        let at = liar.len() - 4;
        liar[at..].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(
            decoder.decode(&liar, &[Coding::Gzip]),
            Decoded::Partial(b"small", Why::Corrupt)
        );
        assert!(decoder.back.len().max(decoder.front.len()) <= (1 << 21) + 1);
    }

    #[test]
    fn exactly_the_limit_is_whole() {
        let plain = vec![7u8; DECODED_FREE_BYTES];
        let more = vec![7u8; DECODED_FREE_BYTES + 1];
        let mut decoder = Decoder::new();
        for coding in [Coding::Gzip, Coding::Deflate, Coding::Zstd] {
            let code = |p: &[u8]| match coding {
                Coding::Gzip => gz(p),
                Coding::Deflate => zlib(p),
                _ => zst(p),
            };
            assert_eq!(
                decoder.decode(&code(&plain), &[coding]),
                Decoded::Whole(&plain)
            );
            assert_eq!(
                decoder.decode(&code(&more), &[coding]),
                Decoded::Partial(&plain, Why::Ratio)
            );
        }
    }

    #[test]
    fn a_window_beyond_the_limit_is_refused() {
        // Frame header with a window of 2 GiB and an empty raw block.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0, 0];
        assert_eq!(
            Decoder::new().decode(&frame, &[Coding::Zstd]),
            Decoded::Failed(Why::Window)
        );
    }

    #[test]
    fn no_bytes_make_it_panic_or_pass_as_whole() {
        let plain = text(3_000);
        let mut decoder = Decoder::new();
        for (coded, coding) in [
            (gz(&plain), Coding::Gzip),
            (zst(&plain), Coding::Zstd),
            (br(&plain), Coding::Br),
            (zlib(&plain), Coding::Deflate),
        ] {
            for at in 0..coded.len() {
                let mut bad = coded.clone();
                bad[at] ^= 0x55;
                let _ = decoder.decode(&bad, &[coding]).bytes();
                assert!(
                    !matches!(decoder.decode(&coded[..at.max(1)], &[coding]), Decoded::Whole(b) if b == plain && at + 4 < coded.len()),
                    "{coding:?} {at}"
                );
            }
            assert_eq!(decoder.decode(&coded, &[coding]), Decoded::Whole(&plain));
        }
        assert_eq!(
            decoder.decode(b"<html>not coded</html>", &[Coding::Gzip]),
            Decoded::Failed(Why::Corrupt)
        );
    }
}
