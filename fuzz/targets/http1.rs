//! The response reader: one verdict, one head, one body and the same facts, however the bytes are split; offsets in
//! order after every step; no more body than asked for.
//!
//! Input: first byte: how small the largest body is, and whether the connection ends cleanly. Second: seed of the
//! splits. Then the bytes of the connection.

use cyclosa::protocol::http1::{Reader, Step, Terms};

/// Room before the response, as the fetcher leaves it.
const HEADROOM: usize = 7;

/// Runs one input.
pub fn run(data: &[u8]) {
    let [how, seed, raw @ ..] = data else {
        return;
    };
    let terms = Terms {
        body_max: [1 << 20, 5, 0, 100][usize::from(how >> 1) % 4],
        product: b"cyclosa",
        wall: 1_700_000_000_000,
    };
    let clean = how & 1 == 0;
    let whole = read(raw, &mut |left| left, clean, &terms);
    let bytewise = read(raw, &mut |_| 1, clean, &terms);
    assert_eq!(whole, bytewise, "byte by byte: {}", raw.escape_ascii());
    let mut state = u32::from(*seed);
    let mut some = |left: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (1 + (state >> 16) as usize % 23).min(left)
    };
    let pieces = read(raw, &mut some, clean, &terms);
    assert_eq!(whole, pieces, "in pieces: {}", raw.escape_ascii());
}

/// Outcome, head, body and facts of `raw` when `next` says how many bytes come at a time.
fn read(
    raw: &[u8],
    next: &mut dyn FnMut(usize) -> usize,
    clean: bool,
    terms: &Terms<'_>,
) -> (String, Vec<u8>, Vec<u8>) {
    let mut buf = vec![0; HEADROOM];
    let mut reader = Reader::new(HEADROOM);
    let mut rest = raw;
    let mut verdict = None;
    while !rest.is_empty() && verdict.is_none() {
        let (piece, later) = rest.split_at(next(rest.len()));
        rest = later;
        let at = reader.fill_at();
        buf.resize(buf.len().max(at + piece.len()), 0);
        buf[at..at + piece.len()].copy_from_slice(piece);
        if let Step::Done(outcome) = reader.received(&mut buf, piece.len(), terms) {
            verdict = Some(outcome);
        }
        let order = [
            HEADROOM,
            reader.head_at(),
            reader.body_at(),
            reader.body_end(),
        ];
        assert!(order.is_sorted() && reader.body_end() <= reader.fill_at());
        assert!(reader.body_end() - reader.body_at() <= terms.body_max);
    }
    let outcome = verdict.unwrap_or_else(|| reader.closed(clean));
    (
        format!("{outcome:?} {:?}", reader.facts()),
        buf[reader.head_at()..reader.body_at()].to_vec(),
        buf[reader.body_at()..reader.body_end()].to_vec(),
    )
}
