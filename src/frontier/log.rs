//! Records of the URL log: what the frontier must remember as text.
//!
//! What must hold: every record says by itself what it needs (host number, place in its host's queue), so that a
//! compaction may leave out queued URLs that have been popped, and nothing else changes. Little-endian, no padding;
//! a reader takes any bytes without panicking and stops at the first record that is not whole.

use super::counters::{Dropped, Excluded};
use crate::event::{HostId, Outcome};

/// A record of the URL log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A new host; hosts are numbered in the order of these records.
    Host {
        /// Scheme and authority.
        origin: &'a [u8],
    },
    /// A URL was queued as number `seq` of its host.
    Queued {
        /// Its host.
        host: HostId,
        /// Its number among all URLs ever queued for the host.
        seq: u32,
        /// Keyed fingerprint.
        fingerprint: u64,
        /// Links between a seed and it.
        depth: u16,
        /// How it was found.
        kind: u8,
        /// Redirects in a row that led to it.
        redirects: u8,
        /// Tries so far.
        tries: u8,
        /// Path and query.
        target: &'a [u8],
    },
    /// A URL was excluded.
    Excluded {
        /// Why.
        reason: Excluded,
        /// Keyed fingerprint.
        fingerprint: u64,
        /// The whole URL.
        url: &'a [u8],
    },
    /// A URL was dropped by a limit.
    Dropped {
        /// Which limit.
        limit: Dropped,
        /// Keyed fingerprint.
        fingerprint: u64,
        /// The whole URL.
        url: &'a [u8],
    },
    /// A URL ended without a response.
    Failed {
        /// How.
        outcome: Outcome,
        /// Keyed fingerprint.
        fingerprint: u64,
        /// The whole URL.
        url: &'a [u8],
    },
    /// A host's robots.txt as it applies to us.
    Rules {
        /// The host.
        host: HostId,
        /// Encoded rules.
        rules: &'a [u8],
    },
    /// A host name (or registrable domain) belongs to the scope.
    Scope {
        /// The name.
        name: &'a [u8],
    },
}

fn put(out: &mut Vec<u8>, tag: u8, small: u8, number: u64, text: &[u8]) {
    out.push(tag);
    out.push(small);
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text);
}

impl Record<'_> {
    /// Appends the record to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Record::Host { origin } => put(out, 1, 0, 0, origin),
            Record::Queued {
                host,
                seq,
                fingerprint,
                depth,
                kind,
                redirects,
                tries,
                target,
            } => {
                out.push(2);
                out.push(kind);
                out.extend_from_slice(&fingerprint.to_le_bytes());
                out.extend_from_slice(&(target.len() as u32).to_le_bytes());
                out.extend_from_slice(&host.to_le_bytes());
                out.extend_from_slice(&seq.to_le_bytes());
                out.extend_from_slice(&depth.to_le_bytes());
                out.push(redirects);
                out.push(tries);
                out.extend_from_slice(target);
            }
            Record::Excluded {
                reason,
                fingerprint,
                url,
            } => put(out, 3, reason as u8, fingerprint, url),
            Record::Dropped {
                limit,
                fingerprint,
                url,
            } => put(out, 4, limit as u8, fingerprint, url),
            Record::Failed {
                outcome,
                fingerprint,
                url,
            } => put(out, 5, outcome as u8, fingerprint, url),
            Record::Rules { host, rules } => put(out, 6, 0, u64::from(host), rules),
            Record::Scope { name } => put(out, 7, 0, 0, name),
        }
    }
}

/// Reads the records of whole chunks.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of a chunk.
    pub fn new(chunk: &'a [u8]) -> Self {
        Self { rest: chunk }
    }

    /// Bytes that were not understood; 0 after a whole chunk.
    pub fn unread(&self) -> usize {
        self.rest.len()
    }
}

/// Bytes in front of every text: tag, small number, wide number, text length.
const HEAD: usize = 1 + 1 + 8 + 4;
/// Further bytes of a queued URL.
const QUEUED: usize = 4 + 4 + 2 + 1 + 1;

impl<'a> Iterator for Reader<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let head = self.rest.get(..HEAD)?;
        let (tag, small) = (head[0], head[1]);
        let number = u64::from_le_bytes(head[2..10].try_into().ok()?);
        let len = u32::from_le_bytes(head[10..14].try_into().ok()?) as usize;
        let extra = if tag == 2 { QUEUED } else { 0 };
        let text = self.rest.get(HEAD + extra..)?.get(..len)?;
        let record = match tag {
            1 => Record::Host { origin: text },
            2 => {
                let more = &self.rest[HEAD..HEAD + QUEUED];
                let word = |at: usize| u32::from_le_bytes(more[at..at + 4].try_into().expect("4"));
                Record::Queued {
                    host: word(0),
                    seq: word(4),
                    fingerprint: number,
                    depth: u16::from_le_bytes([more[8], more[9]]),
                    kind: small,
                    redirects: more[10],
                    tries: more[11],
                    target: text,
                }
            }
            3 => Record::Excluded {
                reason: Excluded::from_u8(small)?,
                fingerprint: number,
                url: text,
            },
            4 => Record::Dropped {
                limit: Dropped::from_u8(small)?,
                fingerprint: number,
                url: text,
            },
            5 => Record::Failed {
                outcome: Outcome::from_u8(small)?,
                fingerprint: number,
                url: text,
            },
            6 => Record::Rules {
                host: u32::try_from(number).ok()?,
                rules: text,
            },
            7 => Record::Scope { name: text },
            _ => return None,
        };
        self.rest = &self.rest[HEAD + extra + len..];
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn samples() -> Vec<Record<'static>> {
        vec![
            Record::Host {
                origin: b"http://a",
            },
            Record::Queued {
                host: 7,
                seq: 9,
                fingerprint: 11,
                depth: 3,
                kind: 1,
                redirects: 2,
                tries: 1,
                target: b"/x?y",
            },
            Record::Excluded {
                reason: Excluded::Robots,
                fingerprint: 1,
                url: b"http://a/private",
            },
            Record::Dropped {
                limit: Dropped::Trap,
                fingerprint: 2,
                url: b"http://a/b/b/b/b",
            },
            Record::Failed {
                outcome: Outcome::DnsFailed,
                fingerprint: 3,
                url: b"http://nowhere/",
            },
            Record::Rules {
                host: 7,
                rules: b"\x01\x02",
            },
            Record::Scope { name: b"a.test" },
        ]
    }

    #[test]
    fn records_survive_their_encoding() {
        let mut bytes = Vec::new();
        samples().iter().for_each(|r| r.encode(&mut bytes));
        let mut reader = Reader::new(&bytes);
        let back: Vec<_> = reader.by_ref().collect();
        assert_eq!(back, samples());
        assert_eq!(reader.unread(), 0);
        // A torn tail ends the reading and is reported.
        let mut torn = Reader::new(&bytes[..bytes.len() - 1]);
        assert_eq!(torn.by_ref().count(), samples().len() - 1);
        assert!(torn.unread() > 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Reader::new(&bytes).count();
        }
    }
}
