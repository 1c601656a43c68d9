//! The response reader: a state machine over one growing buffer.
//!
//! What must hold, after every call:
//! * `head_at <= body_at <= body_end <= fill_at`, and the head and the body lie at those offsets without a gap;
//! * bytes that were received are never moved up, so the room in front of the head stays free;
//! * the verdict falls on the first byte that decides it.
//!
//! The caller receives into the buffer from [`Reader::fill_at`] on and says how many bytes came; after a chunk has been
//! put together that offset moves down again, so that the buffer holds no more than head, body and one read.

use super::chunked::{Chunked, Taken};
use super::head::{self, Framing};
use crate::event::{Facts, Outcome};
use crate::limits::{HEAD_BYTES_MAX, INTERIM_RESPONSES_MAX};
use crate::time::Wall;

/// What a response is read under.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Body bytes kept at most; below 4 GiB with the head.
    pub body_max: usize,
    /// Product token of the user agent, for X-Robots-Tag.
    pub product: &'a [u8],
    /// Wall-clock time now, for dates in Retry-After.
    pub wall: Wall,
}

/// What the reader wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// More bytes.
    More,
    /// Nothing: the response ended this way.
    Done(Outcome),
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// In a head. Line ends before this offset are known not to end it.
    Head { scanned: usize },
    /// In a body of which so many bytes are to come.
    Length { left: u64 },
    /// In a chunked body.
    Chunked(Chunked),
    /// In a body that ends with the connection.
    UntilClose,
    /// Through.
    Done(Outcome),
}

/// Reads one response.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    state: State,
    facts: Facts,
    head_at: usize,
    body_at: usize,
    body_end: usize,
    filled: usize,
    interim: u32,
    keep_alive: bool,
    leftover: bool,
    /// An empty line before the status line has been passed over.
    blank: bool,
}

impl Reader {
    /// A reader of a response whose first byte will stand at offset `at` of the buffer.
    pub fn new(at: usize) -> Self {
        Self {
            state: State::Head { scanned: at },
            facts: Facts::default(),
            head_at: at,
            body_at: at,
            body_end: at,
            filled: at,
            interim: 0,
            keep_alive: false,
            leftover: false,
            blank: false,
        }
    }

    /// Where the next bytes have to be received to.
    pub fn fill_at(&self) -> usize {
        self.filled
    }

    /// Body bytes that are still to come, where that is known.
    pub fn wanted(&self) -> Option<u64> {
        match self.state {
            State::Length { left } => Some(left),
            _ => None,
        }
    }

    /// The head is complete, so whatever comes now there is a response to store.
    pub fn has_head(&self) -> bool {
        self.body_at > self.head_at
    }

    /// Where the head starts; interim responses lie before it.
    pub fn head_at(&self) -> usize {
        self.head_at
    }

    /// Where the body starts.
    pub fn body_at(&self) -> usize {
        self.body_at
    }

    /// Where the body ends, as far as it has come.
    pub fn body_end(&self) -> usize {
        self.body_end
    }

    /// What the head says; default before it is complete.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The response is complete and the connection may carry another request.
    pub fn reusable(&self) -> bool {
        matches!(self.state, State::Done(Outcome::Fetched)) && self.keep_alive && !self.leftover
    }

    /// Takes note of `n` bytes received at [`Reader::fill_at`].
    pub fn received(&mut self, buf: &mut [u8], n: usize, terms: &Terms<'_>) -> Step {
        let from = self.filled;
        self.filled += n;
        debug_assert!(self.filled <= buf.len());
        let verdict = match self.state {
            State::Head { scanned } => self.head(buf, scanned, terms),
            _ => self.body(buf, from, terms),
        };
        match verdict {
            Some(outcome) => self.finish(outcome),
            None => Step::More,
        }
    }

    /// The connection has ended; `clean` if by an orderly end of the stream. Returns the outcome.
    pub fn closed(&mut self, clean: bool) -> Outcome {
        let outcome = match self.state {
            State::Done(outcome) => outcome,
            State::Head { .. } => Outcome::ClosedEarly,
            State::UntilClose if clean => Outcome::Fetched,
            State::Chunked(chunked) if clean && chunked.is_whole() => Outcome::Fetched,
            _ => Outcome::CutDisconnect,
        };
        self.keep_alive = false;
        self.finish(outcome);
        outcome
    }

    fn finish(&mut self, outcome: Outcome) -> Step {
        self.state = State::Done(outcome);
        Step::Done(outcome)
    }

    /// Looks for the end of the head. `scanned` is where the search goes on.
    fn head(&mut self, buf: &mut [u8], mut scanned: usize, terms: &Terms<'_>) -> Option<Outcome> {
        loop {
            if !self.blank && self.blank_line(buf) {
                scanned = self.head_at;
            }
            let received = &buf[self.head_at..self.filled];
            const START: &[u8] = b"HTTP/1.";
            let start = &START[..START.len().min(received.len())];
            // A CR alone may become an empty line.
            if !received.starts_with(start) && (self.blank || received != b"\r") {
                return Some(Outcome::BadResponse);
            }
            let end = match head_end(&buf[..self.filled], scanned) {
                Ok(end) => end,
                Err(again) => {
                    self.state = State::Head { scanned: again };
                    // One more byte than the limit decides: the head is longer, wherever it ends.
                    return (received.len() > HEAD_BYTES_MAX).then_some(Outcome::HeadTooLarge);
                }
            };
            if end - self.head_at > HEAD_BYTES_MAX {
                return Some(Outcome::HeadTooLarge);
            }
            let bytes = &buf[self.head_at..end];
            let head = match head::parse(bytes, self.head_at as u32, terms) {
                Ok(head) => head,
                Err(outcome) => return Some(outcome),
            };
            if head.facts.status < 200 {
                self.interim += 1;
                if self.interim > INTERIM_RESPONSES_MAX {
                    return Some(Outcome::BadResponse);
                }
                self.head_at = end;
                self.body_at = end;
                self.body_end = end;
                self.blank = false;
                scanned = end;
                continue;
            }
            self.facts = head.facts;
            self.keep_alive = head.keep_alive;
            self.body_at = end;
            self.body_end = end;
            self.state = match head.framing {
                Framing::Empty => State::Length { left: 0 },
                Framing::Length(left) => State::Length { left },
                Framing::Chunked => State::Chunked(Chunked::default()),
                Framing::UntilClose => State::UntilClose,
            };
            return self.body(buf, end, terms);
        }
    }

    /// Passes over one empty line where the status line should start.
    fn blank_line(&mut self, buf: &[u8]) -> bool {
        let received = &buf[self.head_at..self.filled];
        let len = match received {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => return false,
        };
        self.blank = true;
        self.head_at += len;
        (self.body_at, self.body_end) = (self.head_at, self.head_at);
        true
    }

    /// Takes the raw body bytes from `raw` to the end of what was received.
    fn body(&mut self, buf: &mut [u8], raw: usize, terms: &Terms<'_>) -> Option<Outcome> {
        let max = self.body_at + terms.body_max;
        match &mut self.state {
            State::Length { left } => {
                let came = ((self.filled - raw) as u64).min(*left);
                *left -= came;
                let end = raw + came as usize;
                self.body_end = end.min(max);
                if *left == 0 && end <= max {
                    self.leftover = self.filled > end;
                    return Some(Outcome::Fetched);
                }
                (end >= max).then_some(Outcome::CutLength)
            }
            State::UntilClose => {
                self.body_end = self.filled.min(max);
                (self.filled > max).then_some(Outcome::CutLength)
            }
            State::Chunked(chunked) => {
                let taken = chunked.take(buf, raw, self.filled, &mut self.body_end, max);
                match taken {
                    Taken::All => {
                        self.filled = self.body_end;
                        None
                    }
                    Taken::End(n) => {
                        self.leftover = raw + n < self.filled;
                        Some(Outcome::Fetched)
                    }
                    Taken::Full => Some(Outcome::CutLength),
                    Taken::Bad => Some(Outcome::BadResponse),
                }
            }
            State::Head { .. } => None,
            State::Done(outcome) => {
                self.leftover |= self.filled > raw;
                Some(*outcome)
            }
        }
    }
}

/// Where the head ends, behind its empty line: a line end followed by another. `Err` tells from where to search once
/// more has come.
fn head_end(buf: &[u8], from: usize) -> Result<usize, usize> {
    let mut at = from;
    while let Some(found) = memchr::memchr(b'\n', &buf[at..]) {
        let lf = at + found;
        match buf.get(lf + 1) {
            Some(b'\n') => return Ok(lf + 2),
            Some(b'\r') => match buf.get(lf + 2) {
                Some(b'\n') => return Ok(lf + 3),
                Some(_) => {}
                None => return Err(lf),
            },
            Some(_) => {}
            None => return Err(lf),
        }
        at = lf + 1;
    }
    Err(buf.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TERMS: Terms<'static> = Terms {
        body_max: 100,
        product: b"cyclosa",
        wall: 0,
    };

    /// What a response came to: everything that must not depend on splits.
    #[derive(Debug, PartialEq)]
    struct Verdict {
        outcome: Outcome,
        head: Vec<u8>,
        body: Vec<u8>,
        facts: String,
    }

    /// Feeds `raw` in pieces of the given lengths (the last one repeated) as the lane does, then ends the connection.
    fn read(raw: &[u8], pieces: &[usize]) -> (Verdict, bool) {
        const AT: usize = 7;
        let mut buf = vec![0xAA; AT];
        let mut reader = Reader::new(AT);
        let mut left = raw;
        let mut outcome = None;
        let mut lengths = pieces
            .iter()
            .chain(std::iter::repeat(pieces.last().unwrap_or(&1)));
        while !left.is_empty() && outcome.is_none() {
            let n = (*lengths.next().unwrap_or(&1)).clamp(1, left.len());
            let at = reader.fill_at();
            buf.resize(buf.len().max(at + n), 0x55);
            buf[at..at + n].copy_from_slice(&left[..n]);
            left = &left[n..];
            if let Step::Done(o) = reader.received(&mut buf, n, &TERMS) {
                outcome = Some(o);
            }
        }
        let outcome = outcome.unwrap_or_else(|| reader.closed(true));
        assert!(
            buf[..AT].iter().all(|b| *b == 0xAA),
            "headroom is untouched"
        );
        assert!(reader.head_at() <= reader.body_at() && reader.body_at() <= reader.body_end());
        assert!(reader.body_end() - reader.body_at() <= TERMS.body_max);
        let verdict = Verdict {
            outcome,
            head: buf[reader.head_at()..reader.body_at()].to_vec(),
            body: buf[reader.body_at()..reader.body_end()].to_vec(),
            facts: format!("{:?}", reader.facts()),
        };
        (verdict, reader.reusable())
    }

    fn whole(raw: &str) -> (Outcome, String, bool) {
        let (verdict, reusable) = read(raw.as_bytes(), &[usize::MAX]);
        let (drip, _) = read(raw.as_bytes(), &[1]);
        assert_eq!(verdict, drip);
        let body = String::from_utf8_lossy(&verdict.body).into_owned();
        (verdict.outcome, body, reusable)
    }

    fn expect(raw: &str, outcome: Outcome, body: &str, reusable: bool) {
        assert_eq!(whole(raw), (outcome, body.to_string(), reusable), "{raw:?}");
    }

    #[test]
    fn bodies_end_where_they_are_said_to() {
        use Outcome::*;
        let ok = "HTTP/1.1 200 OK\r\n";
        expect(
            &format!("{ok}Content-Length: 5\r\n\r\nhello"),
            Fetched,
            "hello",
            true,
        );
        expect(&format!("{ok}Content-Length: 0\r\n\r\n"), Fetched, "", true);
        expect(
            &format!("{ok}Content-Length: 6\r\n\r\nhello"),
            CutDisconnect,
            "hello",
            false,
        );
        expect(&format!("{ok}\r\nhello"), Fetched, "hello", false);
        let chunked = format!("{ok}Transfer-Encoding: chunked\r\n\r\n");
        expect(
            &format!("{chunked}2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
            Fetched,
            "hello",
            true,
        );
        expect(
            &format!("{chunked}2\r\nhe\r\n3\r\nll"),
            CutDisconnect,
            "hell",
            false,
        );
        expect(&format!("{chunked}2\r\nhe\r\n0\r\n"), Fetched, "he", false);
        expect(&format!("{chunked}2\r\nheX"), BadResponse, "he", false);
        expect(
            "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n",
            Fetched,
            "",
            true,
        );
        expect(
            "HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n",
            Fetched,
            "",
            true,
        );
        expect(
            "HTTP/1.0 200\nContent-Length: 2\n\nhi",
            Fetched,
            "hi",
            false,
        );
    }

    #[test]
    fn leftover_bytes_end_the_connection() {
        let raw = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n";
        let (verdict, reusable) = read(raw, &[usize::MAX]);
        assert_eq!(verdict.body, b"hi");
        assert!(!reusable);
        let raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\n";
        assert!(!read(raw, &[usize::MAX]).1);
    }

    #[test]
    fn a_body_of_the_limit_is_whole_and_one_beyond_is_cut() {
        use Outcome::*;
        let ok = "HTTP/1.1 200 OK\r\n";
        let (full, more) = ("x".repeat(100), "x".repeat(101));
        expect(&format!("{ok}\r\n{full}"), Fetched, &full, false);
        expect(&format!("{ok}\r\n{more}"), CutLength, &full, false);
        expect(
            &format!("{ok}Content-Length: 100\r\n\r\n{full}"),
            Fetched,
            &full,
            true,
        );
        expect(
            &format!("{ok}Content-Length: 101\r\n\r\n{more}"),
            CutLength,
            &full,
            false,
        );
        expect(
            &format!("{ok}Content-Length: 101\r\n\r\n{full}"),
            CutLength,
            &full,
            false,
        );
        let chunked = format!("{ok}Transfer-Encoding: chunked\r\n\r\n");
        expect(
            &format!("{chunked}64\r\n{full}\r\n0\r\n\r\n"),
            Fetched,
            &full,
            true,
        );
        expect(
            &format!("{chunked}65\r\n{more}\r\n0\r\n\r\n"),
            CutLength,
            &full,
            false,
        );
        expect(
            &format!("{chunked}64\r\n{full}\r\n1\r\nx\r\n0\r\n\r\n"),
            CutLength,
            &full,
            false,
        );
    }

    #[test]
    fn interim_responses_are_passed_over_and_counted() {
        let hint = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        let last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        let most = hint.repeat(INTERIM_RESPONSES_MAX as usize);
        expect(&format!("{most}{last}"), Outcome::Fetched, "hi", true);
        let (outcome, ..) = whole(&format!("{most}{hint}{last}"));
        assert_eq!(outcome, Outcome::BadResponse);
        let (verdict, _) = read(format!("{hint}{last}").as_bytes(), &[3]);
        assert_eq!(
            verdict.head,
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
        );
    }

    #[test]
    fn what_is_no_response_is_seen_at_once() {
        for garbage in [
            "<html>hello</html>",
            "\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            "\rHTTP/1.1 200 OK\r\n\r\n",
            "ICY 200 OK\r\n\r\n",
            "SSH-2.0-x",
        ] {
            assert_eq!(whole(garbage).0, Outcome::BadResponse, "{garbage:?}");
        }
        for early in ["", "\r", "\r\n", "\r\nHTTP"] {
            assert_eq!(whole(early).0, Outcome::ClosedEarly, "{early:?}");
        }
        assert_eq!(whole("\nHTTP/1.1 200 OK\r\n\r\n").0, Outcome::Fetched);
        assert_eq!(whole("HTTP/1.1 200 OK\r\nA: b\r\n").0, Outcome::ClosedEarly);
    }

    #[test]
    fn a_head_beyond_the_limit_is_too_large() {
        let head = format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(HEAD_BYTES_MAX));
        assert_eq!(whole(&head).0, Outcome::HeadTooLarge);
        let status = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: ";
        let fits = "b".repeat(HEAD_BYTES_MAX - status.len() - 4);
        assert_eq!(
            whole(&format!("{status}{fits}\r\n\r\n")).0,
            Outcome::Fetched
        );
        assert_eq!(
            whole(&format!("{status}{fits}b\r\n\r\n")).0,
            Outcome::HeadTooLarge
        );
    }

    /// Pieces of responses, well-formed and not, so that random strings of them get deep into the state machine.
    fn response() -> impl Strategy<Value = Vec<u8>> {
        let line = prop::sample::select(vec![
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.0 200 OK\n",
            "HTTP/1.1 103 E\r\n\r\n",
            "HTTP/1.1 304 N\r\n",
            "HTTP/1.",
            "\r\nHTTP/1.1 200 OK\r\n",
            "X",
        ]);
        let field = prop::sample::select(vec![
            "Content-Length: 9\r\n",
            "Content-Length: 200\r\n",
            "Content-Length: x\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip\n",
            "Location: /x\r\n",
            "Content-Encoding: gzip, br\r\n",
            "no field\r\n",
            " fold\r\n",
            "Connection: close\r\n",
            "A: b\rc\r\n",
            "A: \u{e4}\r\n",
            "Retry-After: 9\r\n",
        ]);
        let body = prop::sample::select(vec![
            "\r\n",
            "\n",
            "5\r\nhello\r\n",
            "3;x=y\r\nabc\r\n",
            "0\r\n\r\n",
            "0\r\nT: u\r\n\r\n",
            "1\nz\n",
            "5f\r\n",
            "0123456789012345678901234567890123456789",
            "ffffffffffffffffff\r\n",
            "\0",
            "g",
        ]);
        let noise = prop::collection::vec(any::<u8>(), 0..4);
        (
            line,
            prop::collection::vec(field, 0..4),
            prop::collection::vec(body, 0..8),
            noise,
        )
            .prop_map(|(line, fields, body, noise)| {
                let mut raw = line.as_bytes().to_vec();
                fields
                    .iter()
                    .for_each(|f| raw.extend_from_slice(f.as_bytes()));
                raw.extend_from_slice(b"\r\n");
                body.iter()
                    .for_each(|b| raw.extend_from_slice(b.as_bytes()));
                raw.extend_from_slice(&noise);
                raw
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn splits_do_not_change_the_verdict(
            raw in response(),
            pieces in prop::collection::vec(1usize..40, 1..12),
        ) {
            let (at_once, _) = read(&raw, &[usize::MAX]);
            prop_assert_eq!(&at_once, &read(&raw, &[1]).0);
            prop_assert_eq!(&at_once, &read(&raw, &pieces).0);
        }

        #[test]
        fn any_bytes_are_read_without_panic(raw in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut answer = b"HTTP/1.1 200 OK\r\n".to_vec();
            answer.extend_from_slice(&raw);
            prop_assert_eq!(read(&answer, &[usize::MAX]).0, read(&answer, &[1]).0);
        }
    }
}
