//! The response reader: one verdict, one head, one body and the same facts, however the bytes are split; offsets in
//! order after every step; no more body than asked for. The same holds wherever the connection ends, and of responses one
//! behind the other on one connection: with bytes that come too early it ends sooner, but never otherwise.
//!
//! Input: first byte: how small the largest body is, and whether the connection ends cleanly. Second: seed of the
//! splits and of the early end. Then the bytes of the connection.

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
    let mut state = u32::from(*seed);
    let mut some = |left: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (1 + (state >> 16) as usize % 23).min(left)
    };
    let early = raw.len() * usize::from(*seed) / 256;
    for (raw, clean) in [(raw, clean), (&raw[..early], true), (&raw[..early], false)] {
        // A byte at a time, nothing ever comes too early: that is the whole conversation.
        let bytewise = conversation(raw, &mut |_| 1, clean, &terms);
        let whole = conversation(raw, &mut |left| left, clean, &terms);
        assert_eq!(whole, bytewise[..1], "at once: {}", raw.escape_ascii());
        let pieces = conversation(raw, &mut some, clean, &terms);
        let same = bytewise.starts_with(&pieces);
        assert!(same, "in pieces: {pieces:#?} {bytewise:#?}");
        assert!(!pieces.is_empty());
    }
}

/// What a response comes to: outcome and facts, head, body.
type Verdict = (String, Vec<u8>, Vec<u8>);

/// The verdicts on the responses of `raw`, one behind the other while the connection may be used again, when `next` says
/// how many bytes come at a time. The first is there even of nothing.
fn conversation(
    raw: &[u8],
    next: &mut dyn FnMut(usize) -> usize,
    clean: bool,
    terms: &Terms<'_>,
) -> Vec<Verdict> {
    let mut rest = raw;
    let mut all = Vec::new();
    loop {
        let (verdict, reusable) = read(&mut rest, next, clean, terms);
        all.push(verdict);
        if !reusable || rest.is_empty() {
            return all;
        }
    }
}

/// Reads one response off `rest`; also whether the connection may be used again.
fn read(
    rest: &mut &[u8],
    next: &mut dyn FnMut(usize) -> usize,
    clean: bool,
    terms: &Terms<'_>,
) -> (Verdict, bool) {
    let mut buf = vec![0; HEADROOM];
    let mut reader = Reader::new(HEADROOM);
    let mut verdict = None;
    while !rest.is_empty() && verdict.is_none() {
        let (piece, later) = rest.split_at(next(rest.len()));
        *rest = later;
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
    let reusable = reader.reusable();
    let outcome = verdict.unwrap_or_else(|| reader.closed(clean));
    let verdict = (
        format!("{outcome:?} {:?}", reader.facts()),
        buf[reader.head_at()..reader.body_at()].to_vec(),
        buf[reader.body_at()..reader.body_end()].to_vec(),
    );
    (verdict, reusable)
}
