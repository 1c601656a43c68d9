//! Content decoders: the result is bounded, and the same whether or not the decoder was used before.
//!
//! Input: two codings in the first byte, then the body.

use cyclosa::event::Coding;
use cyclosa::limits::{DECODED_BYTES_MAX, DECODED_FREE_BYTES, DECODED_RATIO_MAX};
use cyclosa::parse::decode::{Decoded, Decoder};
use std::sync::OnceLock;

const CODINGS: [Coding; 6] = [
    Coding::Identity,
    Coding::Gzip,
    Coding::Deflate,
    Coding::Br,
    Coding::Zstd,
    Coding::Unknown,
];

/// What makes a decoder's scratch grow.
const LARGE_BYTES: usize = 256 << 10;

/// So many bytes, gzipped: a decoder that has had it twice has room for more than any input here needs.
fn large() -> &'static [u8] {
    static LARGE: OnceLock<Vec<u8>> = OnceLock::new();
    LARGE.get_or_init(|| {
        let mut packer = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
        let plain = vec![b'x'; LARGE_BYTES];
        let mut packed = vec![0; packer.gzip_compress_bound(plain.len())];
        let len = packer.gzip_compress(&plain, &mut packed);
        packed.truncate(len.expect("room"));
        packed
    })
}

/// Runs one input.
pub fn run(data: &[u8]) {
    let Some((codings, body)) = data.split_first() else {
        return;
    };
    let pick = |n: u8| CODINGS[usize::from(n) % CODINGS.len()];
    let codings = [pick(codings & 15), pick(codings >> 4)];
    let most = (body.len() * DECODED_RATIO_MAX).clamp(DECODED_FREE_BYTES, DECODED_BYTES_MAX);
    let mut fresh = Decoder::new();
    let fresh = fresh.decode(body, &codings);
    assert!(fresh.bytes().len() <= most.max(body.len()));
    if let Decoded::Partial(bytes, _) = fresh {
        assert!(!bytes.is_empty());
    }
    let mut used = Decoder::new();
    for _ in 0..2 {
        assert!(matches!(
            used.decode(large(), &[Coding::Gzip]),
            Decoded::Whole(_)
        ));
    }
    assert!(
        used.decode(body, &codings) == fresh,
        "what came before shows"
    );
}
