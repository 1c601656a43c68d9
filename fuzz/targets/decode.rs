//! Content decoders: the result is bounded, and the same whether or not the decoder was used before.
//!
//! Input: two codings in the first byte, then the body.

use cyclosa::event::Coding;
use cyclosa::limits::{DECODED_BYTES_MAX, DECODED_FREE_BYTES, DECODED_RATIO_MAX};
use cyclosa::parse::decode::{Decoded, Decoder};
use std::cell::RefCell;

const CODINGS: [Coding; 6] = [
    Coding::Identity,
    Coding::Gzip,
    Coding::Deflate,
    Coding::Br,
    Coding::Zstd,
    Coding::Unknown,
];

thread_local! {
    static USED: RefCell<Decoder> = RefCell::new(Decoder::new());
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
    USED.with_borrow_mut(|used| {
        assert!(
            used.decode(body, &codings) == fresh,
            "what came before shows"
        );
    });
}
