//! Every limit of the crawler, with its unit and its reason. Flags override some of them through [`crate::config`].
//!
//! What must hold: whatever a limit drops is counted under the limit's name and shown in the report. No queue, buffer,
//! cache or retry loop elsewhere has a bound of its own invention.

/// Longest canonical URL that is taken, bytes. Longer ones are dropped as `url_too_long`.
pub const URL_BYTES_MAX: usize = 2_083;
/// Longest reference in markup that is looked at before resolution, bytes.
pub const REFERENCE_BYTES_MAX: usize = 8_192;
/// Deepest path, in segments; deeper ones are dropped as `trap` (Heritrix: maxPathDepth 20).
pub const PATH_SEGMENTS_MAX: usize = 20;
/// How often one path segment may occur in a path before it is dropped as `trap`.
pub const SEGMENT_REPEATS_MAX: usize = 3;
/// Most links taken from one page, in document order; the rest is counted as `links_per_page`.
pub const LINKS_PER_PAGE_MAX: usize = 10_000;
/// Bytes of canonical URL text that one page may hand on.
pub const LINK_TEXT_BYTES_MAX: usize = 4 << 20;

/// Response head (status line and fields), bytes.
pub const HEAD_BYTES_MAX: usize = 64 << 10;
/// Fields in a response head or trailer.
pub const HEAD_FIELDS_MAX: usize = 128;
/// Interim (1xx) responses before the final one.
pub const INTERIM_RESPONSES_MAX: u32 = 8;
/// Bytes of one chunk-size line with its extensions.
pub const CHUNK_LINE_BYTES_MAX: usize = 4 << 10;
/// Bytes of a trailer section.
pub const TRAILER_BYTES_MAX: usize = 16 << 10;
/// Stored body, bytes, unless `--max-body` says otherwise. Longer ones are cut and marked `WARC-Truncated: length`.
pub const BODY_BYTES_DEFAULT: usize = 16 << 20;
/// Decoded body that is parsed, bytes, as a multiple of the received one beyond [`DECODED_FREE_BYTES`].
pub const DECODED_RATIO_MAX: usize = 100;
/// Decoded bytes that are always allowed, whatever the ratio.
pub const DECODED_FREE_BYTES: usize = 1 << 20;
/// Decoded bytes at most, whatever the ratio.
pub const DECODED_BYTES_MAX: usize = 64 << 20;
/// Stacked content codings that are undone (RFC 9110 8.4 allows any number).
pub const CODINGS_MAX: usize = 2;
/// Largest zstd window taken from servers, as a power of two (RFC 8878 recommends 8 MiB = 2^23).
pub const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Bytes of robots.txt that are parsed (RFC 9309 2.5: at least 500 KiB).
pub const ROBOTS_BYTES_MAX: usize = 512 << 10;
/// Redirects followed for a robots.txt (RFC 9309 2.3.1.2: at least five).
pub const ROBOTS_REDIRECTS_MAX: u8 = 5;
/// Age after which a robots.txt is fetched again, seconds (RFC 9309 2.4: 24 h).
pub const ROBOTS_TTL_S: u64 = 24 * 3_600;
/// Longest Crawl-delay that is honoured, seconds; longer ones slow down to this.
pub const CRAWL_DELAY_MAX_S: u64 = 300;

/// Time to connect, milliseconds.
pub const CONNECT_MS: u64 = 10_000;
/// Time from the request to the first byte of the answer, milliseconds.
pub const FIRST_BYTE_MS: u64 = 20_000;
/// Slowest acceptable body, bytes a second, measured over [`RATE_WINDOW_MS`].
pub const RATE_BYTES_PER_S_MIN: u64 = 64;
/// Window of the minimum rate, milliseconds.
pub const RATE_WINDOW_MS: u64 = 20_000;
/// Time for a whole fetch, milliseconds.
pub const TOTAL_MS: u64 = 300_000;
/// How long a kept connection may lie idle, milliseconds.
pub const IDLE_CONNECTION_MS: u64 = 60_000;
/// Kept idle connections of one lane; the oldest is closed first.
pub const IDLE_CONNECTIONS_MAX: usize = 4_096;

/// Pages on their way at once (orders, bodies, findings and commits together), unless `--concurrency` says otherwise.
pub const CONCURRENCY_DEFAULT: usize = 1_024;
/// Upper bound of `--concurrency`.
pub const CONCURRENCY_MAX: usize = 1 << 16;
/// Most buffer bytes that the pages at rest keep; beyond it buffers are given back to the allocator.
pub const PAGE_POOL_BYTES_MAX: usize = 512 << 20;
/// Buffer bytes that one page at rest keeps at most.
pub const PAGE_REST_BYTES_MAX: usize = 2 << 20;

/// Tries of one URL, the first included.
pub const TRIES_MAX: u8 = 3;
/// First wait before a retry, milliseconds; doubled each time.
pub const RETRY_WAIT_MS: u64 = 2_000;
/// Longest Retry-After that is honoured, seconds.
pub const RETRY_AFTER_MAX_S: u64 = 24 * 3_600;
/// URLs waiting for a retry, over all hosts; beyond it they end with their last outcome.
pub const RETRIES_WAITING_MAX: usize = 1 << 20;

/// Hosts known; further ones are dropped as `hosts_full`.
pub const HOSTS_MAX: usize = 1 << 24;
/// Queued URLs of one host; further ones are dropped as `host_queue_full`.
pub const HOST_QUEUE_MAX: u32 = 50_000_000;
/// Redirects in a row before a target is excluded as `redirects`.
pub const REDIRECTS_MAX: u8 = 10;
/// Seconds that a resolved address is used before it is asked for again.
pub const ADDRESS_TTL_S: u64 = 600;
/// Addresses kept per answer.
pub const ADDRESSES_MAX: usize = 16;

/// Threads that wait for the system's resolver.
pub const RESOLVER_THREADS: usize = 8;

/// Interval between checkpoints, seconds: the promise is that at most this much is redone.
pub const CHECKPOINT_EVERY_S: u64 = 15;
/// Segment size, bytes, at which the store opens the next one.
pub const SEGMENT_BYTES: u64 = 1 << 30;
/// Bytes kept free in front of a body for the WARC header and a rewritten HTTP head.
pub const HEADROOM_BYTES: usize = 4 << 10;
/// Largest compression window of our own frames, as a power of two (WARC-zstd: at most 8 MiB).
pub const RECORD_WINDOW_LOG_MAX: u32 = 23;

/// Connections that the synthetic web holds at once; further ones are closed at once and counted.
pub const WEB_CONNECTIONS_MAX: usize = 65_536;
/// Head of one request to the synthetic web, bytes; longer ones are answered with 431.
pub const WEB_REQUEST_BYTES_MAX: usize = 16 << 10;
/// Fields of one request to the synthetic web; more are answered with 431.
pub const WEB_REQUEST_FIELDS_MAX: usize = 64;
/// Requests that the synthetic web keeps in memory for tests; later ones are counted.
pub const WEB_LOG_ENTRIES_MAX: usize = 1 << 20;
/// Ordinary page of the synthetic web, bytes: the tail of the size distribution is cut here.
pub const WEB_PAGE_BYTES_MAX: usize = 4 << 20;
/// Large page of the synthetic web, bytes.
pub const WEB_LARGE_BYTES_MAX: usize = 256 << 20;
/// Mean number of links of a page of the synthetic web at most.
pub const WEB_DEGREE_MAX: usize = 1_000;
/// Response buffers that the synthetic web keeps for reuse.
pub const WEB_SPARE_RESPONSES_MAX: usize = 64;
/// How long the synthetic web waits for the client's end of a connection it closes, milliseconds.
pub const WEB_DRAIN_MS: u64 = 1_000;

const _: () = assert!(HEADROOM_BYTES > URL_BYTES_MAX + 1_024);
const _: () = assert!(DECODED_BYTES_MAX >= BODY_BYTES_DEFAULT);
const _: () = assert!(URL_BYTES_MAX < u16::MAX as usize);
