//! Every limit of the crawler, with its unit and its reason. Flags override some of them through [`crate::config`].
//!
//! What must hold: whatever a limit drops is counted under the limit's name and shown in the report. No queue, buffer,
//! cache or retry loop elsewhere has a bound of its own invention.

// --- URLs, links and markup

/// Longest canonical URL that is taken, bytes. Longer ones are dropped as `url_too_long`.
pub const URL_BYTES_MAX: usize = 2_083;
/// Longest reference in markup that is looked at before resolution, bytes.
pub const REFERENCE_BYTES_MAX: usize = 8_192;
/// Longest host name, bytes: 253 of RFC 1035 and a trailing dot. Longer ones can have no address.
pub const HOST_BYTES_MAX: usize = 254;
/// Deepest path, in segments; deeper ones are dropped as `trap` (Heritrix: maxPathDepth 20).
pub const PATH_SEGMENTS_MAX: usize = 20;
/// How often one path segment may occur in a path before it is dropped as `trap`.
pub const SEGMENT_REPEATS_MAX: usize = 3;
/// Most links taken from one page, in document order; the rest is counted as `links_per_page`.
pub const LINKS_PER_PAGE_MAX: usize = 1 << 17;
/// Bytes of canonical URL text that one page may hand on.
pub const LINK_TEXT_BYTES_MAX: usize = 16 << 20;
/// Bytes searched for a late `<meta charset>` where the body is no UTF-8 and nothing else names its encoding.
pub const CHARSET_LATE_META_BYTES: usize = 16 << 10;
/// Bytes that a guess of the encoding looks at (a whole page would cost milliseconds).
pub const CHARSET_GUESS_BYTES: usize = 4 << 10;
/// First bytes of a body that are looked at for a tag where its media type is missing or says nothing (at least the 512 of
/// browsers).
pub const SNIFF_BYTES: usize = 1 << 10;
/// First bytes of a body declared as text that are looked at for binary ones.
pub const SNIFF_BINARY_BYTES: usize = 1 << 10;
/// Nested `svg`, `math` and HTML inside them that the link scanner tracks; deeper ones are only counted.
pub const FOREIGN_DEPTH_MAX: usize = 32;

// --- responses and their decoding

/// Response head (status line and fields), bytes.
pub const HEAD_BYTES_MAX: usize = 64 << 10;
/// Fields in a response head or trailer.
pub const HEAD_FIELDS_MAX: usize = 128;
/// Interim (1xx) responses before the final one.
pub const INTERIM_RESPONSES_MAX: u32 = 8;
/// Bytes of one chunk-size line with its extensions.
pub const CHUNK_LINE_BYTES_MAX: usize = 4 << 10;
/// Bytes of chunk extensions in one response; none is ever looked at.
pub const CHUNK_EXTENSION_BYTES_MAX: usize = 64 << 10;
/// Bytes of a trailer section.
pub const TRAILER_BYTES_MAX: usize = 16 << 10;
/// Stored body, bytes, unless `--max-body` says otherwise. Longer ones are cut and marked `WARC-Truncated: length`.
pub const BODY_BYTES_DEFAULT: usize = 16 << 20;
/// Decoded body that is parsed, bytes, as a multiple of the received one beyond [`DECODED_FREE_BYTES`].
pub const DECODED_RATIO_MAX: usize = 100;
/// Decoded bytes that are always allowed, whatever the ratio.
pub const DECODED_FREE_BYTES: usize = 1 << 20;
/// Decoded bytes at most, whatever the ratio, and bytes of text made UTF-8; less where `--memory` is small
/// ([`crate::budget::Budget::decoded`]).
pub const DECODED_BYTES_MAX: usize = 64 << 20;
/// Bytes of each of its three scratch buffers that a parser keeps between pages; one that is larger is given back.
pub const DECODE_REST_BYTES_MAX: usize = 8 << 20;
/// Stacked content codings that are undone (RFC 9110 8.4 allows any number).
pub const CODINGS_MAX: usize = 2;
/// Largest zstd window taken from servers, as a power of two (RFC 8878 recommends 8 MiB = 2^23).
pub const ZSTD_WINDOW_LOG_MAX: u32 = 23;

// --- robots.txt

/// Bytes of robots.txt that are parsed (RFC 9309 2.5: at least 500 KiB).
pub const ROBOTS_BYTES_MAX: usize = 512 << 10;
/// Bytes of one robots.txt line that count; the rest of the line is cut, as Google's parser does (8 times the longest
/// URL of old browsers, less the terminator).
pub const ROBOTS_LINE_BYTES_MAX: usize = 2_083 * 8 - 1;
/// `*` in the rules of one robots.txt that apply to us. Beyond it allow rules are left out and disallow rules end at
/// their first `*`, which errs on the polite side; [`crate::protocol::robots::Rules::simplified`] counts both.
pub const ROBOTS_WILDCARDS_MAX: usize = 2_048;
/// Sitemaps taken from one robots.txt, in its order; the rest is counted as `sitemaps_dropped`. Large sites name a few
/// hundred, and a sitemap index (sitemaps.org) has room for 50,000.
pub const ROBOTS_SITEMAPS_MAX: usize = 1_000;
/// Redirects followed for a robots.txt (RFC 9309 2.3.1.2: at least five).
pub const ROBOTS_REDIRECTS_MAX: u8 = 5;
/// Age after which a robots.txt is fetched again, seconds (RFC 9309 2.4: 24 h).
pub const ROBOTS_TTL_S: u64 = 24 * 3_600;
/// Longest Crawl-delay that is honoured, seconds; longer ones slow down to this.
pub const CRAWL_DELAY_MAX_S: u64 = 300;

// --- clocks and connections of a lane

/// Time to connect, milliseconds.
pub const CONNECT_MS: u64 = 10_000;
/// Time for a TLS handshake, from the standing connection, milliseconds.
pub const TLS_MS: u64 = 10_000;
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
/// File descriptors kept for the files of the crawl (about 30 in use, more while a segment ends); connections take the rest.
pub const DESCRIPTORS_KEPT: usize = 48;
/// The same for each lane: its poller with its copies, its bell.
pub const DESCRIPTORS_KEPT_LANE: usize = 8;
/// Connections below which a crawl does not start.
pub const CONNECTIONS_MIN: usize = 4;

// --- TLS

/// Bytes taken from a socket at once where TLS is on it; one buffer of this size a lane.
pub const TLS_READ_BYTES: usize = 32 << 10;
/// Bytes that one TLS connection takes from us before they are sent; a request is a fraction of it.
pub const TLS_SEND_BYTES_MAX: usize = 16 << 10;
/// Bytes that a server may send in one handshake. rustls takes messages of up to 64 KiB; certificate chains have 2 to 6.
pub const TLS_HANDSHAKE_BYTES_MAX: usize = 256 << 10;
/// Reads in a row that a connection without a request may have something for (session tickets) before it is closed.
pub const TLS_IDLE_READS_MAX: u32 = 4;
/// Servers whose TLS sessions one lane remembers; the one added first is forgotten first, counted as
/// `sessions_dropped`. A session has about 4 KiB, by its server's choice up to 128.
pub const TLS_SESSIONS_MAX: usize = 4_096;
/// Tickets kept of one server (TLS 1.3; the newest): servers send one or two a connection, and one is used up by each.
pub const TLS_TICKETS_PER_SERVER: usize = 2;
/// Registrable domains whose cookies are kept; the one added first is forgotten first.
pub const COOKIE_SITES_MAX: usize = 20_000;
/// Cookies kept of one registrable domain (RFC 6265 6.1 asks for 50 at least); the oldest is forgotten first.
pub const COOKIES_PER_SITE: usize = 50;
/// Bytes of a cookie's name and value (RFC 6265bis 5.6).
pub const COOKIE_BYTES_MAX: usize = 4_096;
/// Bytes of cookies in one request: what common servers take in a head.
pub const COOKIE_HEADER_BYTES_MAX: usize = 8_000;
/// Bytes of an `--auth` file.
pub const CREDENTIALS_FILE_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a name and its password in such a file.
pub const CREDENTIAL_BYTES_MAX: usize = 512;
/// Bytes that a proxy answers with before the way through it is open.
pub const PROXY_ANSWER_BYTES_MAX: usize = 8 << 10;
/// Time for the proxy to be reached and to take our login before a crawl begins, milliseconds.
pub const PROXY_REACH_MS: u64 = 5_000;
/// Wait for a proxy to connect further before an idle connection gives way, milliseconds: it may have as many as it takes.
pub const PROXY_FULL_MS: u64 = 1_000;
/// Bytes of the further header fields of every request.
pub const HEADERS_BYTES_MAX: usize = 2 << 10;
/// Bytes of a `--ca` file.
pub const CA_FILE_BYTES_MAX: u64 = 16 << 20;

// --- pages on their way

/// Pages on their way at once (orders, bodies, findings and commits together), unless `--concurrency` says otherwise.
pub const CONCURRENCY_DEFAULT: usize = 1_024;
/// Upper bound of `--concurrency`.
pub const CONCURRENCY_MAX: usize = 1 << 16;
/// One in so many credits is kept for hosts that answer promptly: hosts that drip, or have not shown themselves yet, hold
/// the others at most, however many hosts they are. Of what they leave one in so many is kept for hosts that come later.
pub const CREDITS_KEPT_ONE_IN: usize = 4;
/// Share of the credits, one in so many, beyond which hosts that were slow get no further ones.
pub const CREDITS_SLOW_ONE_IN: usize = 2;
/// Prompt answers in a row after which a host is no longer on trial: robots.txt and a page.
pub const TRIAL_ANSWERS: u8 = 2;
/// Longest answer, from the start of its fetch to its end, that is a prompt one, milliseconds. A longer one makes the host
/// a slow one until it has passed the trial again.
pub const PROMPT_MS: u64 = 5_000;
/// Most buffer bytes that the pages at rest keep, less where `--memory` is small; beyond it buffers are given back to the
/// allocator.
pub const PAGE_POOL_BYTES_MAX: usize = 512 << 20;
/// Buffer bytes that one page at rest keeps at most.
pub const PAGE_REST_BYTES_MAX: usize = 2 << 20;

// --- shares of `--memory`; see [`crate::budget`]

/// Queued URLs, percent.
pub const QUEUES_PERCENT: u64 = 40;
/// The table of known URLs, percent.
pub const SEEN_PERCENT: u64 = 20;
/// Scratch of all parsers, percent.
pub const DECODED_PERCENT: u64 = 12;
/// Buffers of pages, on their way and at rest, percent.
pub const PAGES_PERCENT: u64 = 18;
/// Buffers of pages at rest, percent.
pub const PAGES_REST_PERCENT: u64 = 6;
/// Buffer bytes that every page on its way may have beside its share: the first read, and a record of it.
pub const PAGE_FREE_BYTES: usize = 96 << 10;
/// Bytes beside `--memory`: the program, its stacks and rings, windows of the checkpointer.
pub const BESIDE_BYTES: usize = 64 << 20;
/// Bytes beside `--memory` for each parser, unless `--max-body` is above its default: windows of Brotli (16 MiB) and zstd
/// (8 MiB and a block each way), and a record while it is made.
pub const BESIDE_PARSER_BYTES: usize = 64 << 20;

// --- retries, hosts and addresses

/// Tries of one URL, the first included.
pub const TRIES_MAX: u8 = 3;
/// Tries of one URL while the proxy fails, the first included; with the waits between them about half an hour.
pub const PROXY_TRIES_MAX: u8 = 60;
/// First wait before a retry, milliseconds; doubled each time.
pub const RETRY_WAIT_MS: u64 = 2_000;
/// Longest Retry-After that is honoured, seconds.
pub const RETRY_AFTER_MAX_S: u64 = 24 * 3_600;

/// Hosts known; further ones are dropped as `hosts_full`.
pub const HOSTS_MAX: usize = 1 << 24;
/// Hosts of one registrable domain (Public Suffix List), unless `--hosts-per-domain` says otherwise; further ones are
/// dropped as `hosts_full`. A name server can make up names without end.
pub const HOSTS_PER_DOMAIN: u32 = 10_000;
/// Queued URLs of one host; further ones are dropped as `host_queue_full`.
pub const HOST_QUEUE_MAX: u32 = 50_000_000;
/// Redirects in a row before a target is excluded as `redirects`.
pub const REDIRECTS_MAX: u8 = 10;
/// Seconds that an address is used at least, whatever its name server says (browsers pin names for a minute too).
pub const ADDRESS_TTL_MIN_S: u32 = 60;
/// Seconds that an address is used at most before its name is asked for again.
pub const ADDRESS_TTL_MAX_S: u32 = 3_600;
/// Addresses kept per answer, half of them of each family; the rest of an answer is not looked at.
pub const ADDRESSES_MAX: usize = 16;
/// Addresses that one fetch tries to connect to; those behind them are left to the next look-up.
pub const ADDRESSES_TRIED_MAX: usize = 4;
/// Time to connect while there is another address to try, milliseconds: a SYN and no time for its first repetition.
pub const CONNECT_NEXT_MS: u64 = 900;

// --- name service

/// Names that one lane asks for at once, each with a socket; further ones wait for a place.
pub const DNS_OPEN_MAX: usize = 512;
/// Names that one lane's cache remembers; beyond it stale ones go first, then those that came in longest ago.
pub const DNS_CACHE_NAMES_MAX: usize = 1 << 16;
/// Name servers that are used, in the order given; further ones are left out.
pub const DNS_SERVERS_MAX: usize = 8;
/// Time for the first answer of a server, milliseconds; doubled in each round through the servers.
pub const DNS_TIMEOUT_MS: u64 = 1_500;
/// Time for an answer over TCP, milliseconds.
pub const DNS_TCP_MS: u64 = 4_000;
/// Tries of a name, over all servers, before it counts as failed.
pub const DNS_TRIES_MAX: u8 = 6;
/// Time until a name without an answer counts as failed, milliseconds.
pub const DNS_TOTAL_MS: u64 = 20_000;
/// Wait for the other family's answer once one has an address, milliseconds (RFC 8305 3 has 50, for people who wait).
pub const DNS_OTHER_FAMILY_MS: u64 = 300;
/// Aliases (CNAME) followed for a name; a longer chain is no answer.
pub const DNS_ALIASES_MAX: u8 = 8;
/// Message that we say we take over UDP, bytes (EDNS0; the size that passes unfragmented everywhere).
pub const DNS_UDP_BYTES: u16 = 1_232;
/// Longest message that is looked at, bytes; only TCP carries more than [`DNS_UDP_BYTES`].
pub const DNS_MESSAGE_BYTES_MAX: usize = 16 << 10;
/// Answers that do not fit the question before a name is asked for over TCP instead, where nobody can guess.
pub const DNS_MISMATCHES_MAX: u8 = 8;
/// Unanswered questions in a row after which a server rests while others do not.
pub const DNS_SILENCES_MAX: u32 = 4;
/// First rest of a silent server, milliseconds; doubled each time.
pub const DNS_REST_MS: u64 = 1_000;
/// Longest rest of a silent server, milliseconds.
pub const DNS_REST_MS_MAX: u64 = 32_000;
/// Seconds that "no such name" is remembered, at least.
pub const DNS_NEGATIVE_TTL_MIN_S: u32 = 5;
/// Seconds that "no such name" is remembered where its zone does not say for how long (RFC 2308 5).
pub const DNS_NEGATIVE_TTL_S: u32 = 60;
/// Seconds that "no such name" is remembered, at most (RFC 2308 5 has hours; names come into being).
pub const DNS_NEGATIVE_TTL_MAX_S: u32 = 900;
/// Seconds that a failure to get an answer is remembered (RFC 9520 3.2: at least one).
pub const DNS_FAILURE_TTL_S: u32 = 1;
/// Wait of a name for a free descriptor, milliseconds, before it is tried again.
pub const DNS_DESCRIPTOR_WAIT_MS: u64 = 100;
/// Bytes of the hosts file or resolv.conf that are read.
pub const DNS_FILE_BYTES_MAX: u64 = 4 << 20;

// --- the sockets

/// Events taken from the poller at once by a lane.
pub const POLL_EVENTS_MAX: usize = 1_024;
/// Room that is free in a page's buffer before bytes are read into it, bytes: 16 to 32 KiB take most pages at once.
pub const READ_ROOM_BYTES: usize = 32 << 10;
/// Bytes read from one connection before the others have their turn.
pub const READ_TURN_BYTES_MAX: usize = 512 << 10;
/// How long an order waits for a free descriptor or local port before it is given up, milliseconds.
pub const DESCRIPTOR_WAIT_MS: u64 = 1_000;

// --- checkpoints

/// Interval between checkpoints, seconds: the promise is that at most this much is redone.
pub const CHECKPOINT_EVERY_S: u64 = 15;
/// Cuts that wait for their checkpoint; at one more the oldest is folded into the next, counted as `folded`.
pub const CUTS_PENDING_MAX: usize = 2;
/// Marks of the store that wait for their cut. More than this is a fault of the program.
pub const MARKS_PENDING_MAX: usize = 64;
/// First file of the log of fingerprints, bytes. Small, so that a small crawl has a small directory.
pub const SEEN_LOG_FIRST_BYTES: u64 = 1 << 20;
/// Files of the log of fingerprints, bytes; each is twice as long as the one before, up to this.
pub const SEEN_LOG_BYTES: u64 = 16 << 20;
/// First file of the log of URL records, bytes.
pub const URLS_LOG_FIRST_BYTES: u64 = 4 << 20;
/// Files of the log of URL records, bytes.
pub const URLS_LOG_BYTES: u64 = 64 << 20;
/// URL records that must have been logged since the last compaction for another one, bytes; besides, as much as that
/// one kept.
pub const COMPACT_BYTES_MIN: u64 = 32 << 20;
/// Records of what has ended that are compressed together, bytes before compression at most.
pub const ENDED_RUN_BYTES_MAX: usize = 512 << 10;

// --- the lease of a crawl directory, and the standby

/// Silence after which a standby takes over, milliseconds.
pub const LEASE_MS: u64 = 5_000;
/// Between two renewals, milliseconds.
pub const LEASE_RENEW_MS: u64 = 1_000;
/// How long the checkpoint thread may be stuck in one disk operation before the lease is no longer renewed, milliseconds.
/// Also the longest lease that a standby waits for, whatever a file says.
pub const LEASE_STALL_MS: u64 = 30_000;
/// What a pause between two looks counts as at most, milliseconds: who was stopped itself must look again.
pub const LEASE_STEP_MS: u64 = 1_500;
/// How long a start waits for whoever is just changing a name, milliseconds.
pub const FENCE_WAIT_MS: u64 = 2_000;
/// Between two looks of a standby, milliseconds.
pub const STANDBY_POLL_MS: u64 = 200;
/// Bytes of new checkpoints that a standby reads between two looks.
pub const STANDBY_READ_BYTES: u64 = 16 << 20;

// --- the store

/// Segment size, bytes, at which the store opens the next one.
pub const SEGMENT_BYTES: u64 = 1 << 30;
/// Records that go to the disk in one vectored write.
pub const STORE_BATCH_RECORDS: usize = 128;
/// Distinct payloads remembered to write later copies as revisits, 24 bytes each at most; beyond it copies are stored
/// whole and counted as `dedup_full`.
pub const DEDUP_PAYLOADS_MAX: usize = 1 << 25;
/// Originals of revisits whose URL and date are kept at hand; others are read from the index.
pub const DEDUP_ORIGINS_CACHED: usize = 256;
/// Sealed indexes that are kept open to read originals from.
pub const DEDUP_INDEXES_OPEN: usize = 16;
/// Bytes kept free in front of a body for the WARC header and a rewritten HTTP head.
pub const HEADROOM_BYTES: usize = 4 << 10;
/// Scratch of a record compressor that is kept between pages, bytes; a larger one is given back after its page.
pub const RECORD_SCRATCH_BYTES_MAX: usize = 4 << 20;
/// Largest compression window of our own frames, as a power of two (WARC-zstd: at most 8 MiB).
pub const RECORD_WINDOW_LOG_MAX: u32 = 23;

// --- telemetry and reports

/// How often telemetry gathers what the stages recorded, milliseconds.
pub const TELEMETRY_EVERY_MS: u64 = 1_000;
/// Longest duration that a latency histogram tells apart, nanoseconds (one hour); longer ones count as this.
pub const LATENCY_NS_MAX: u64 = 3_600_000_000_000;
/// Bytes of latency.hlog that are written at one line a second and measure; beyond it a line covers [`HLOG_COARSE_S`].
pub const HLOG_FINE_BYTES: u64 = 16 << 20;
/// Seconds that a line of latency.hlog covers once it has [`HLOG_FINE_BYTES`].
pub const HLOG_COARSE_S: u64 = 60;
/// Bytes of latency.hlog at most; then it ends, and the report says so.
pub const HLOG_BYTES_MAX: u64 = 1 << 30;
/// Points of the throughput-over-time series; when they are used up, neighbours are averaged.
pub const SERIES_POINTS_MAX: usize = 600;
/// Rows of a table in the report (top hosts, media types); the rest is added up in one row.
pub const REPORT_ROWS_MAX: usize = 50;
/// Remarks kept for the report; the rest is counted.
pub const REPORT_NOTES_MAX: usize = 50;
/// Size of a report.json that is read back, bytes.
pub const REPORT_BYTES_MAX: u64 = 16 << 20;
/// Seconds between two status lines where standard error is not a terminal.
pub const STATUS_PLAIN_S: u64 = 10;

// --- threads

/// Fruitless turns that a thread spins before it yields.
pub const IDLE_SPINS: u32 = 64;
/// Fruitless turns that a thread yields before it parks.
pub const IDLE_YIELDS: u32 = 32;
/// First park of an idle thread, microseconds; doubled each time.
pub const IDLE_PARK_US_MIN: u64 = 50;
/// Longest park of an idle thread, microseconds: timers and the stop flag are looked at this often at least.
pub const IDLE_PARK_US_MAX: u64 = 2_000;
/// Parsers that one fetcher feeds: it fetches a page in about 14 µs, and parsing takes 77 to 118 µs.
pub const PARSERS_PER_LANE: usize = 6;

// --- the command line

/// Seeds of a crawl.
pub const SEEDS_MAX: usize = 10_000_000;
/// Bytes of a configuration file.
pub const CONFIG_FILE_BYTES_MAX: u64 = 1 << 20;
/// Upper bound of `--max-body`, bytes: offsets into a page's buffer are 32 bits wide.
pub const BODY_BYTES_MAX: usize = 1 << 30;
/// Lower bound of `--memory`, bytes: rings, pages and an empty seen set.
pub const MEMORY_BYTES_MIN: u64 = 64 << 20;
/// Upper bound of `--per-host`.
pub const PER_HOST_MAX: u16 = 256;
/// Bytes of a User-Agent or From field that the user gives.
pub const USER_AGENT_BYTES_MAX: usize = 512;
/// Bytes of a mail address: a path of RFC 5321 4.5.3.1.3 less its brackets.
pub const MAILBOX_BYTES_MAX: usize = 254;
/// Lower bound of `--checkpoint-every`, seconds.
pub const CHECKPOINT_EVERY_MIN_S: u64 = 1;
/// Upper bound of `--checkpoint-every`, seconds.
pub const CHECKPOINT_EVERY_MAX_S: u64 = 3_600;
/// Upper bound of durations on the command line, seconds (ten years): sums of ticks stay far from overflow.
pub const DURATION_S_MAX: u64 = 10 * 365 * 24 * 3_600;

// --- the synthetic web

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

// --- what they must be to each other

const _: () = assert!(HEADROOM_BYTES > URL_BYTES_MAX + 1_024);
const _: () = assert!(DECODED_BYTES_MAX >= BODY_BYTES_DEFAULT);
const _: () = assert!(QUEUES_PERCENT + SEEN_PERCENT + DECODED_PERCENT + PAGES_PERCENT <= 90);
const _: () = assert!(
    PAGES_REST_PERCENT < PAGES_PERCENT && PAGE_FREE_BYTES >= 2 * (READ_ROOM_BYTES + HEADROOM_BYTES)
);
const _: () = assert!(BESIDE_PARSER_BYTES >= (16 << 20) + (9 << 20) + 2 * BODY_BYTES_DEFAULT);
const _: () = assert!(URL_BYTES_MAX < u16::MAX as usize);
const _: () = assert!(LEASE_MS >= 4 * LEASE_RENEW_MS && LEASE_MS >= 3 * LEASE_STEP_MS);
const _: () = assert!(LEASE_STEP_MS > LEASE_RENEW_MS && LEASE_STEP_MS > STANDBY_POLL_MS);
// A request is taken by a TLS connection in one go, and a handshake is read in pieces of a record.
const _: () = assert!(
    TLS_SEND_BYTES_MAX
        > URL_BYTES_MAX
            + 2 * USER_AGENT_BYTES_MAX
            + HEADERS_BYTES_MAX
            + 2 * CREDENTIAL_BYTES_MAX
            + COOKIE_HEADER_BYTES_MAX
            + 1_024
);
const _: () = assert!(TLS_READ_BYTES >= 16 << 10);
const _: () = assert!(SERIES_POINTS_MAX.is_multiple_of(2));
// Patterns are counted in 16 bits; escaping makes them up to three times as long.
const _: () = assert!(ROBOTS_LINE_BYTES_MAX * 3 + 1 < u16::MAX as usize);
