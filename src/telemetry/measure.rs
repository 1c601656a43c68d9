//! What is measured and counted, by name.
//!
//! What must hold: names are stable (they are tags of `latency.hlog` and keys of `report.json`), short, and free of the
//! comma, space and line break that the interval log uses as separators.

/// A duration that has a histogram. All are in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Measure {
    /// From a lane taking up a name to its addresses.
    Resolve,
    /// From dialling to a connection that stands (TLS included); kept connections are not counted.
    Connect,
    /// From the standing connection to the first byte of the answer.
    FirstByte,
    /// From the first byte of the answer to its last.
    Body,
    /// The whole fetch: from a lane taking up the order to the last byte.
    Fetch,
    /// From the last byte to the end of parsing, the wait for a parser included.
    Parse,
    /// From the end of parsing to the commit, the wait for the frontier included.
    Frontier,
    /// From the commit to the record being written, the wait for the store included.
    Store,
    /// How long the frontier stood still to take a cut.
    CheckpointCut,
    /// From the cut to the durable manifest.
    CheckpointDurable,
}

impl Measure {
    /// All, in the order reports show them.
    pub const ALL: [Measure; 10] = [
        Self::Resolve,
        Self::Connect,
        Self::FirstByte,
        Self::Body,
        Self::Fetch,
        Self::Parse,
        Self::Frontier,
        Self::Store,
        Self::CheckpointCut,
        Self::CheckpointDurable,
    ];
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Stable name: tag in the interval log, key in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::FirstByte => "first_byte",
            Self::Body => "body",
            Self::Fetch => "fetch",
            Self::Parse => "parse",
            Self::Frontier => "frontier",
            Self::Store => "store",
            Self::CheckpointCut => "checkpoint_cut",
            Self::CheckpointDurable => "checkpoint_durable",
        }
    }
}

/// Something that a stage counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Counter {
    /// Answers received, of any status.
    Answers,
    /// Bytes received on the wire.
    WireBytes,
    /// Connections dialled.
    Connections,
    /// Fetches that used a kept connection.
    Reused,
    /// TLS handshakes done in full.
    Handshakes,
    /// TLS sessions resumed.
    Resumed,
    /// Names looked up.
    Lookups,
    /// Pages parsed for links.
    Parsed,
    /// Bytes parsed, after content codings were undone.
    ParsedBytes,
    /// Links found, duplicates of a page removed.
    Links,
    /// Links that named a URL not known before.
    LinksNew,
    /// Tries beyond the first.
    Retries,
    /// Records written.
    Records,
    /// Bytes of the records before compression.
    RecordPlainBytes,
    /// Bytes of the records as written.
    RecordBytes,
    /// Pages whose media type and first bytes disagreed; the bytes were believed.
    Mislabelled,
    /// Pages whose content codings could not be undone to the end: cut, corrupt, or beyond a limit.
    DecodingEnded,
    /// Sitemaps that robots.txt files name.
    Sitemaps,
    /// Such sitemaps beyond [`crate::limits::ROBOTS_SITEMAPS_MAX`] of a file.
    SitemapsDropped,
}

impl Counter {
    /// All, in the order reports show them.
    pub const ALL: [Counter; 19] = [
        Self::Answers,
        Self::WireBytes,
        Self::Connections,
        Self::Reused,
        Self::Handshakes,
        Self::Resumed,
        Self::Lookups,
        Self::Parsed,
        Self::ParsedBytes,
        Self::Links,
        Self::LinksNew,
        Self::Retries,
        Self::Records,
        Self::RecordPlainBytes,
        Self::RecordBytes,
        Self::Mislabelled,
        Self::DecodingEnded,
        Self::Sitemaps,
        Self::SitemapsDropped,
    ];
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Stable name: key in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::WireBytes => "wire_bytes",
            Self::Connections => "connections",
            Self::Reused => "reused",
            Self::Handshakes => "handshakes",
            Self::Resumed => "resumed",
            Self::Lookups => "lookups",
            Self::Parsed => "parsed",
            Self::ParsedBytes => "parsed_bytes",
            Self::Links => "links",
            Self::LinksNew => "links_new",
            Self::Retries => "retries",
            Self::Records => "records",
            Self::RecordPlainBytes => "record_plain_bytes",
            Self::RecordBytes => "record_bytes",
            Self::Mislabelled => "mislabelled",
            Self::DecodingEnded => "decoding_ended",
            Self::Sitemaps => "sitemaps",
            Self::SitemapsDropped => "sitemaps_dropped",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_the_interval_log_and_positions_are_indices() {
        for (i, m) in Measure::ALL.into_iter().enumerate() {
            assert_eq!(m as usize, i);
            assert!(
                m.name()
                    .bytes()
                    .all(|b| b == b'_' || b.is_ascii_lowercase())
            );
        }
        for (i, c) in Counter::ALL.into_iter().enumerate() {
            assert_eq!(c as usize, i);
        }
    }
}
