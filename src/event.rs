//! What travels on the rings.
//!
//! What must hold:
//! * A [`Page`] is a credit. There are `--concurrency` of them, they are never copied, and each is at one place:
//!   the frontier's pool, a ring, or a stage. Every ring holds at least as many slots as there are pages, so no publish
//!   can find its ring full.
//! * A page goes round one way: frontier → fetch → parse → frontier → store → frontier. Each stage writes only its own
//!   group of fields and may read those of the stages before it.
//! * All buffers of a page are reused; in the steady state none of them grows.

mod outcome;

pub use outcome::Outcome;

use crate::budget::Holding;
use crate::time::{Tick, Wall};
use std::net::{IpAddr, SocketAddr};

/// Number of a host (scheme, name, port) in order of discovery; index into the frontier's dense arrays.
pub type HostId = u32;

/// No host.
pub const NO_HOST: HostId = HostId::MAX;

/// What an order asks a lane to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Job {
    /// Fetch `url` from `address`.
    #[default]
    Fetch,
    /// Fetch a robots.txt (or what it redirected to) from `address`; the body goes to the frontier, decoded.
    Robots,
    /// Find the addresses of `host_name`; nothing is fetched.
    Resolve,
}

/// How a URL was found. Decides whether its page is parsed for links and how scope and depth apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum LinkKind {
    /// Given by the user.
    #[default]
    Seed = 0,
    /// `a`, `area`, `iframe`, `frame`, meta refresh, and `link` other than stylesheets, icons and preloads.
    Page = 1,
    /// Location of a redirect; same depth as its origin.
    Redirect = 2,
    /// An image that belongs to a page: `img`, `srcset`, `picture`, icons, posters.
    Image = 3,
    /// Stylesheets; parsed for further assets.
    Style = 4,
    /// Any other asset: scripts, media, fonts, objects.
    Asset = 5,
    /// A sitemap that a robots.txt names; on a page, one that a sitemap index names.
    Sitemap = 6,
}

impl LinkKind {
    /// Whether the target belongs to the page that names it (fetched at the page's depth, whatever its host).
    pub fn is_asset(self) -> bool {
        matches!(self, Self::Image | Self::Style | Self::Asset)
    }

    /// From its stored number; unknown numbers are pages.
    pub fn from_u8(n: u8) -> Self {
        match n {
            0 => Self::Seed,
            2 => Self::Redirect,
            3 => Self::Image,
            4 => Self::Style,
            5 => Self::Asset,
            6 => Self::Sitemap,
            _ => Self::Page,
        }
    }
}

/// What is known of how soon a host answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Pace {
    /// Promptly, of late.
    #[default]
    Prompt,
    /// Too little to tell.
    New,
    /// Slowly, the last time that it did not answer promptly.
    Slow,
}

impl Pace {
    /// All of them.
    pub const ALL: [Pace; 3] = [Self::Prompt, Self::New, Self::Slow];
}

/// A content coding (RFC 9110 8.4.1) in the order it was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Coding {
    /// As is.
    #[default]
    Identity,
    /// gzip or x-gzip.
    Gzip,
    /// zlib, or the raw deflate that some servers send instead.
    Deflate,
    /// Brotli.
    Br,
    /// zstd.
    Zstd,
    /// Anything else: stored, not parsed.
    Unknown,
}

/// A piece of a page's `buf`: offset and length in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub at: u32,
    /// Length in bytes; 0 means absent.
    pub len: u32,
}

impl Span {
    /// The bytes of `buf` it covers.
    pub fn of(self, buf: &[u8]) -> &[u8] {
        &buf[self.at as usize..(self.at + self.len) as usize]
    }
}

/// What the fetcher understood of a response head. Spans point into [`Page::buf`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Status code, 100 to 999.
    pub status: u16,
    /// Value of Content-Type.
    pub content_type: Span,
    /// Value of Location.
    pub location: Span,
    /// Content codings in the order applied; the rest is Identity.
    pub codings: [Coding; crate::limits::CODINGS_MAX],
    /// More codings than are undone, or one that is not known: the body is stored but not parsed.
    pub coding_unknown: bool,
    /// The body came with Transfer-Encoding: chunked (removed from `buf`).
    pub chunked: bool,
    /// Seconds of Retry-After, 0 if absent.
    pub retry_after_s: u32,
    /// X-Robots-Tag forbids following links.
    pub nofollow: bool,
    /// X-Content-Type-Options forbids to look for another media type than Content-Type says.
    pub nosniff: bool,
}

/// Clock readings of one fetch, in ticks; 0 where a step did not happen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clocks {
    /// The frontier gave the order.
    pub ordered: Tick,
    /// The lane took it up.
    pub started: Tick,
    /// The connection stood (equal to `started` on a kept connection).
    pub connected: Tick,
    /// First byte of the answer.
    pub first_byte: Tick,
    /// Last byte of the answer, or the failure.
    pub done: Tick,
    /// The parser was through.
    pub parsed: Tick,
    /// The frontier was through.
    pub committed: Tick,
}

/// A link found on a page. Its canonical text lies in [`Page::link_text`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Link {
    /// Keyed fingerprint of the canonical URL.
    pub fingerprint: u64,
    /// Where the canonical URL starts in `link_text`.
    pub at: u32,
    /// Its length, bytes.
    pub len: u16,
    /// Where its path starts, counted from `at`: the bytes before are scheme and authority.
    pub path_at: u16,
    /// How it was found.
    pub kind: LinkKind,
    /// The link or the page says nofollow.
    pub nofollow: bool,
}

/// One fetch on its way round the pipeline, and one credit.
#[derive(Debug, Default)]
pub struct Page {
    // --- the order, written by the frontier ---
    /// What to do.
    pub job: Job,
    /// Host that the URL belongs to.
    pub host: HostId,
    /// Slot of the frontier's in-flight ledger.
    pub slot: u32,
    /// Canonical URL.
    pub url: Vec<u8>,
    /// Where its path starts.
    pub path_at: u16,
    /// Keyed fingerprint of `url`.
    pub fingerprint: u64,
    /// Links between a seed and this URL.
    pub depth: u16,
    /// How the URL was found.
    pub kind: LinkKind,
    /// Redirects that led here in a row.
    pub redirects: u8,
    /// Tries before this one.
    pub tries: u8,
    /// What was known of its host's pace when it was ordered; its credit is one of those for such hosts.
    pub pace: Pace,
    /// The checked address to connect to; where that failed and another of `addresses` was tried, that one. Unspecified
    /// (`0.0.0.0`) where the name is left to a proxy.
    pub address: Option<SocketAddr>,

    // --- the answer, written by the fetcher ---
    /// How it ended.
    pub outcome: Outcome,
    /// Free room, then the response head, then the body without transfer coding; what lies around them is left over
    /// from other pages. Its length is the room there is, not what came.
    pub buf: Vec<u8>,
    /// Where the head starts in `buf` (status line to the empty line, inclusive).
    pub head_at: u32,
    /// Where the body starts.
    pub body_at: u32,
    /// Where the body ends; `buf` may be longer.
    pub body_end: u32,
    /// What `buf`, and a record of the like, have of the share that all pages have; it stays with the buffer.
    pub holding: Holding,
    /// What the head says.
    pub facts: Facts,
    /// When the answer came.
    pub fetched_at: Wall,
    /// Clock readings.
    pub clocks: Clocks,
    /// Bytes received on the wire for it.
    pub wire_bytes: u64,
    /// Answer to [`Job::Resolve`]. For other jobs, by the frontier: further checked addresses, to be tried in order where
    /// `address` cannot be connected to.
    pub addresses: Vec<IpAddr>,
    /// Answer to [`Job::Resolve`]: seconds that it holds, as its name servers say. Without addresses 0 means that no server
    /// could tell, more that there are none.
    pub address_ttl_s: u32,

    // --- the findings, written by the parser ---
    /// Links in document order, duplicates of the page removed. For [`Job::Robots`]: the sitemaps that the file names.
    pub links: Vec<Link>,
    /// Their canonical text.
    pub link_text: Vec<u8>,
    /// Links beyond the per-page limit; for [`Job::Robots`] sitemaps beyond [`crate::limits::ROBOTS_SITEMAPS_MAX`].
    pub links_dropped: u32,
    /// References that are no URL, and sitemaps that a robots.txt does not name by an absolute one.
    pub links_invalid: u32,
    /// References whose URL is longer than [`crate::limits::URL_BYTES_MAX`].
    pub links_too_long: u32,
    /// SHA-1 of the payload (body as received, without transfer coding).
    pub digest: [u8; 20],
    /// One zstd frame that holds the WARC response record; for [`Job::Robots`] too.
    pub record: Vec<u8>,
    /// Length of the record before compression.
    pub record_plain_len: u64,
    /// Media type without parameters, lower case, at most 64 bytes.
    pub mime: Vec<u8>,
    /// The page was parsed for links (HTML, XML, CSS).
    pub parsed: bool,
    /// Its media type and its first bytes disagree ([`crate::protocol::sniff`]), and the bytes were believed.
    pub mislabelled: bool,
    /// Its content codings could not be undone to the end; the links are those of what came before.
    pub decoding_ended: bool,
    /// For [`Job::Robots`]: the decoded file, at most [`crate::limits::ROBOTS_BYTES_MAX`].
    pub robots: Vec<u8>,
}

impl Page {
    /// Length of the body in bytes, without transfer coding.
    pub fn body_len(&self) -> usize {
        (self.body_end - self.body_at) as usize
    }

    /// The body as received, without transfer coding.
    pub fn body(&self) -> &[u8] {
        &self.buf[self.body_at as usize..self.body_end as usize]
    }

    /// The response head as received, empty line included.
    pub fn head(&self) -> &[u8] {
        &self.buf[self.head_at as usize..self.body_at as usize]
    }

    /// Scheme and authority of the URL (`http://host:port`).
    pub fn origin(&self) -> &[u8] {
        &self.url[..self.path_at as usize]
    }

    /// Whether it is fetched over TLS.
    pub fn is_https(&self) -> bool {
        self.url.starts_with(b"https:")
    }

    /// Path and query of the URL, as the request line takes it.
    pub fn target(&self) -> &[u8] {
        &self.url[self.path_at as usize..]
    }

    /// Host and port as the Host field takes it (no default port, no userinfo: canonical URLs have neither).
    pub fn authority(&self) -> &[u8] {
        let origin = self.origin();
        let start = origin
            .windows(3)
            .position(|w| w == b"://")
            .map_or(0, |p| p + 3);
        &origin[start..]
    }

    /// Forgets the last trip and keeps the buffers.
    pub fn reset(&mut self) {
        let mut fresh = Page::default();
        fn keep<T>(from: &mut Vec<T>, to: &mut Vec<T>) {
            from.clear();
            std::mem::swap(from, to);
        }
        keep(&mut self.url, &mut fresh.url);
        // Not cleared: its length is the room to receive into, and clearing would have it zeroed again for every page.
        std::mem::swap(&mut self.buf, &mut fresh.buf);
        std::mem::swap(&mut self.holding, &mut fresh.holding);
        keep(&mut self.addresses, &mut fresh.addresses);
        keep(&mut self.links, &mut fresh.links);
        keep(&mut self.link_text, &mut fresh.link_text);
        keep(&mut self.record, &mut fresh.record);
        keep(&mut self.mime, &mut fresh.mime);
        keep(&mut self.robots, &mut fresh.robots);
        *self = fresh;
    }

    /// Bytes that its buffers hold, used or not.
    pub fn footprint(&self) -> usize {
        self.url.capacity()
            + self.buf.capacity()
            + self.links.capacity() * size_of::<Link>()
            + self.link_text.capacity()
            + self.record.capacity()
            + self.robots.capacity()
    }

    /// Gives the large buffers back to the allocator.
    pub fn shrink(&mut self) {
        self.buf = Vec::new();
        self.holding = Holding::default();
        self.links = Vec::new();
        self.link_text = Vec::new();
        self.record = Vec::new();
        self.robots = Vec::new();
    }
}

/// From the frontier to the store, in the order of commitment.
#[derive(Debug)]
pub enum Commit {
    /// Store this response; the page comes back on the return ring.
    Page(Box<Page>),
    /// Everything before belongs to checkpoint `epoch`: make the segment whole and answer with a [`Mark`].
    Marker {
        /// The checkpoint's number.
        epoch: u64,
    },
}

/// From the store to the checkpointer: where segments and index stood at a marker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The checkpoint's number.
    pub epoch: u64,
    /// Number of the segment that is being written.
    pub segment: u32,
    /// Its length in bytes; a restore cuts it to this.
    pub segment_len: u64,
    /// Length in bytes of that segment's index.
    pub index_len: u64,
    /// Records in all segments.
    pub records: u64,
    /// Opaque further state of the store (counters), restored verbatim.
    pub state: Vec<u8>,
    /// Segments sealed since the last mark, oldest first: they must be durable too.
    pub sealed: Vec<u32>,
}

/// From the frontier to the checkpointer, in order. All of it belongs to the cut that follows.
#[derive(Debug)]
pub enum Delta {
    /// Fingerprints, to be appended to the seen log.
    Seen(Vec<u64>),
    /// Whole URL records, to be appended to the URL log. The checkpointer does not look inside.
    Urls(Vec<u8>),
    /// The cut: what came before belongs to `epoch`. Blocks of the host image follow.
    Cut(Box<Cut>),
    /// One block of the dense host image as it was at the cut.
    Block {
        /// Which block: byte offset is `index * BLOCK_BYTES`.
        index: u32,
        /// Its content, [`BLOCK_BYTES`] long.
        bytes: Box<[u8; BLOCK_BYTES]>,
    },
    /// All blocks that changed since the last cut have been sent.
    Swept {
        /// The checkpoint's number.
        epoch: u64,
    },
    /// No more checkpoints: finish what is under way and end.
    Stop,
}

/// Size of a block of the host image, bytes.
pub const BLOCK_BYTES: usize = 4_096;

/// What the frontier records at a cut.
#[derive(Clone, Debug, Default)]
pub struct Cut {
    /// Number of the checkpoint, from 1.
    pub epoch: u64,
    /// Crawl time of the cut.
    pub tick: Tick,
    /// Wall-clock time of the cut.
    pub wall: Wall,
    /// Fingerprints in the seen log up to here.
    pub seen_len: u64,
    /// Bytes in the URL log up to here.
    pub urls_len: u64,
    /// Blocks that the host image has.
    pub blocks: u32,
    /// Scalars, counters and the in-flight ledger, encoded by the frontier.
    pub state: Vec<u8>,
    /// Hash of the logical state; a restore must arrive at the same.
    pub state_hash: u64,
    /// How long the cut took, nanoseconds.
    pub cut_ns: u64,
}

/// From the store to the checkpointer, in order.
pub enum StoreNote {
    /// A segment was opened (or reopened at a restore). The twins are opened before the first write and kept, so that no
    /// write-back error is missed; the checkpointer syncs through them.
    Opened {
        /// Its number.
        segment: u32,
        /// The segment itself.
        data: Box<dyn crate::disk::DiskFile>,
        /// Its index.
        index: Box<dyn crate::disk::DiskFile>,
    },
    /// The store stands at a marker.
    Mark(Mark),
}

/// What tells one crawl from another; written in the header of every file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrawlIdentity {
    /// Random, made once.
    pub id: [u8; 16],
    /// Key of the URL fingerprints; never shown.
    pub key: [u8; 32],
    /// When the crawl began.
    pub created: Wall,
}
