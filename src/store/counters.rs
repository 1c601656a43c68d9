//! What the store counts. Travels in every mark, so a restored crawl goes on counting where its checkpoint was.

use super::index::Kind;

/// Sums over all segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records, `warcinfo` not among them.
    pub records: u64,
    /// Responses and revisits: what a user calls pages.
    pub pages: u64,
    /// Of these, revisits.
    pub revisits: u64,
    /// Answers to requests for robots.txt.
    pub robots: u64,
    /// Bytes of records before compression, by kind (responses, revisits, robots).
    pub plain_bytes: [u64; 3],
    /// Bytes of frames, by kind.
    pub stored_bytes: [u64; 3],
    /// Bytes of `warcinfo` frames.
    pub info_bytes: u64,
    /// Payloads that were not remembered because of [`crate::limits::DEDUP_PAYLOADS_MAX`].
    pub dedup_full: u64,
}

/// Version and length of the encoded form.
const VERSION: u64 = 1;
const FIELDS: usize = 13;
/// Largest count that is taken from a mark; bytes of a crawl stay below it too.
const COUNT_MAX: u64 = 1 << 62;

impl Counters {
    /// Counts a record of `plain` bytes in a frame of `stored` bytes.
    pub fn count(&mut self, kind: Kind, plain: u64, stored: u64) {
        self.records += 1;
        match kind {
            Kind::Response => self.pages += 1,
            Kind::Revisit => {
                self.pages += 1;
                self.revisits += 1;
            }
            Kind::Robots => self.robots += 1,
        }
        self.plain_bytes[kind as usize - 1] += plain;
        self.stored_bytes[kind as usize - 1] += stored;
    }

    /// As bytes, for a mark.
    pub fn encode(&self) -> Vec<u8> {
        let [p1, p2, p3] = self.plain_bytes;
        let [s1, s2, s3] = self.stored_bytes;
        let fields: [u64; FIELDS] = [
            VERSION,
            self.records,
            self.pages,
            self.revisits,
            self.robots,
            p1,
            p2,
            p3,
            s1,
            s2,
            s3,
            self.info_bytes,
            self.dedup_full,
        ];
        fields.iter().flat_map(|f| f.to_le_bytes()).collect()
    }

    /// From the bytes of a mark; `None` where they are of another version, or say what no crawl counts to.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (chunks, rest) = bytes.as_chunks::<8>();
        let fields: [u64; FIELDS] = chunks
            .iter()
            .map(|c| u64::from_le_bytes(*c))
            .collect::<Vec<_>>()
            .try_into()
            .ok()?;
        let [
            version,
            records,
            pages,
            revisits,
            robots,
            p1,
            p2,
            p3,
            s1,
            s2,
            s3,
            info_bytes,
            dedup_full,
        ] = fields;
        let plausible = fields.iter().all(|n| *n <= COUNT_MAX);
        (version == VERSION && rest.is_empty() && plausible).then_some(Self {
            records,
            pages,
            revisits,
            robots,
            plain_bytes: [p1, p2, p3],
            stored_bytes: [s1, s2, s3],
            info_bytes,
            dedup_full,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_survive_a_mark() {
        let mut counters = Counters {
            info_bytes: 11,
            dedup_full: 5,
            ..Counters::default()
        };
        counters.count(Kind::Response, 10, 3);
        counters.count(Kind::Revisit, 20, 4);
        counters.count(Kind::Robots, 30, 5);
        assert_eq!(
            (
                counters.records,
                counters.pages,
                counters.revisits,
                counters.robots
            ),
            (3, 2, 1, 1)
        );
        let bytes = counters.encode();
        assert_eq!(Counters::decode(&bytes), Some(counters.clone()));
        assert_eq!(Counters::decode(&bytes[1..]), None);
        assert_eq!(Counters::decode(&[]), None);
        counters.dedup_full = COUNT_MAX + 1;
        assert_eq!(Counters::decode(&counters.encode()), None);
    }
}
