//! The response reader fed by hand: whole, byte by byte, and cut in two at every place.

use cyclosa::event::Outcome;
use cyclosa::protocol::http1::{Reader, Step, Terms};

const TERMS: Terms<'static> = Terms {
    body_max: 1 << 20,
    product: b"cyclosa",
    wall: 0,
};

/// Outcome, body and facts of `raw` received in pieces that end at the given offsets.
pub fn read(raw: &[u8], ends: impl Iterator<Item = usize>) -> (Outcome, Vec<u8>, String) {
    let mut buf = Vec::new();
    let mut reader = Reader::new(0);
    let mut from = 0;
    let mut verdict = None;
    for end in ends.chain([raw.len()]).filter(|e| *e > 0) {
        let at = reader.fill_at();
        buf.resize(buf.len().max(at + end - from), 0);
        buf[at..at + end - from].copy_from_slice(&raw[from..end]);
        let step = reader.received(&mut buf, end - from, &TERMS);
        from = end;
        if let Step::Done(outcome) = step {
            verdict = Some(outcome);
            break;
        }
    }
    let outcome = verdict.unwrap_or_else(|| reader.closed(true));
    let body = buf[reader.body_at()..reader.body_end()].to_vec();
    (outcome, body, format!("{:?}", reader.facts()))
}

/// Reads `raw` whole, byte by byte, and cut in two at every place: all must agree.
pub fn read_all_ways(raw: &[u8]) -> (Outcome, Vec<u8>) {
    let whole = read(raw, [].into_iter());
    assert_eq!(whole, read(raw, 1..raw.len()), "{}", raw.escape_ascii());
    for cut in 1..raw.len() {
        assert_eq!(
            whole,
            read(raw, [cut].into_iter()),
            "cut at {cut}: {}",
            raw.escape_ascii()
        );
    }
    (whole.0, whole.1)
}
