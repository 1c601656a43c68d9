//! `latency.hlog`: an HdrHistogram interval log, one tag a measure, values in nanoseconds.
//!
//! Any reader of the format opens it (HistogramLogAnalyzer, HistogramLogProcessor, `hdrhistogram`); the lines are V2 with
//! deflate. A restored crawl goes on in the same file: times count from the one `BaseTime` of its header, a comment
//! marks the restore, and the time in which nothing ran is a gap.
//!
//! What must hold: lines are whole and sorted by start, whatever crash came before and whatever the system's clock did;
//! the file has at most [`HLOG_BYTES_MAX`] bytes. Deliberately absent: any sync. A power failure may cost the last lines;
//! a half line is cut off at the next start.

use crate::error::{Error, Result};
use crate::limits::HLOG_BYTES_MAX;
use crate::time::{MILLISECOND, Tick, Wall, rfc3339};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{
    IntervalLogIterator, IntervalLogWriterBuilder, IntervalLogWriterError, LogEntry, Tag,
};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// Name of the log in the crawl directory.
pub const NAME: &str = "latency.hlog";
/// Where a log goes that cannot be continued because its header is damaged.
const DAMAGED_NAME: &str = "latency.hlog.damaged";
/// Enough for the header.
const HEAD_BYTES: u64 = 4 << 10;
/// Enough for several of the longest lines.
const TAIL_BYTES: u64 = 256 << 10;

/// The log of one crawl, open for appending.
pub struct IntervalLog {
    file: File,
    len: u64,
    /// Crawl time and time of the log that belong together.
    origin: (Tick, Duration),
    batch: Vec<u8>,
    serializer: V2DeflateSerializer,
}

impl IntervalLog {
    /// Opens `latency.hlog` in `dir`, begins it where there is none, else goes on behind its last whole line.
    pub fn open(dir: &Path, now: Tick, wall: Wall) -> Result<Self> {
        let path = dir.join(NAME);
        let failed = |e| Error::io("cannot open the latency log", &path, e);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        let found = if len == 0 {
            None
        } else {
            let found = examine(&mut file, len).map_err(failed)?;
            if found.is_none() {
                std::fs::rename(&path, dir.join(DAMAGED_NAME)).map_err(failed)?;
                file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .open(&path)
                    .map_err(failed)?;
            }
            found
        };
        let mut log = Self {
            file,
            len: 0,
            origin: (now, Duration::ZERO),
            batch: Vec::new(),
            serializer: V2DeflateSerializer::new(),
        };
        match found {
            None => log.begin(wall),
            Some(found) => log.resume(&found, wall),
        }
        .map_err(failed)?;
        Ok(log)
    }

    fn begin(&mut self, wall: Wall) -> io::Result<()> {
        let start = UNIX_EPOCH + Duration::from_millis(wall);
        let mut header = Vec::new();
        IntervalLogWriterBuilder::new()
            .add_comment(concat!("cyclosa ", env!("CARGO_PKG_VERSION")))
            .add_comment("Latencies in nanoseconds, one tag a measure")
            .with_start_time(start)
            .with_base_time(start)
            .begin_log_with(&mut header, &mut self.serializer)?;
        self.append(&header)
    }

    fn resume(&mut self, found: &Found, wall: Wall) -> io::Result<()> {
        self.file.set_len(found.len)?;
        self.len = found.len;
        let gone = Duration::from_millis(wall).saturating_sub(found.base);
        // A clock that was set back must not break the order of the lines.
        self.origin.1 = gone.max(found.end);
        let comment = format!("#restored {}\n", rfc3339(wall));
        self.append(comment.as_bytes())
    }

    /// Appends one line per histogram that is not empty, for what was recorded from `from` to `until`.
    /// Returns false, and writes nothing, where the log has its full length.
    ///
    /// # Errors
    /// What writing the file gives. The log may then end in half a line; it is not to be written any further.
    pub fn write<'h>(
        &mut self,
        from: Tick,
        until: Tick,
        histograms: impl Iterator<Item = (&'static str, &'h Histogram<u64>)>,
    ) -> io::Result<bool> {
        let start = self.origin.1 + Duration::from_nanos(from.saturating_sub(self.origin.0));
        let length = Duration::from_nanos(until.saturating_sub(from));
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        let mut writer =
            IntervalLogWriterBuilder::new().begin_log_with(&mut batch, &mut self.serializer)?;
        for (tag, histogram) in histograms.filter(|(_, h)| !h.is_empty()) {
            writer
                .write_histogram(histogram, start, length, Tag::new(tag))
                .map_err(|e| match e {
                    IntervalLogWriterError::IoError(e) => e,
                    IntervalLogWriterError::SerializeError(e) => io::Error::other(e.to_string()),
                })?;
        }
        let room = self.len + batch.len() as u64 <= HLOG_BYTES_MAX;
        if room {
            self.append(&batch)?;
        }
        self.batch = batch;
        Ok(room)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.len))?;
        self.file.write_all(bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Length of the log, bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it is empty; it never is, since it has a header.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// What an existing log says.
struct Found {
    /// Its base time, since the epoch.
    base: Duration,
    /// Where its last whole line ends, bytes.
    len: u64,
    /// Where its last interval ends, since the base; a millisecond is added for the rounding of the format.
    end: Duration,
}

/// `None` where the header is not one of ours.
fn examine(file: &mut File, len: u64) -> io::Result<Option<Found>> {
    let head = read_at(file, 0, len.min(HEAD_BYTES))?;
    let header_end = memchr::memrchr(b'\n', &head).map_or(0, |at| at + 1);
    let base = IntervalLogIterator::new(&head[..header_end])
        .map_while(|entry| entry.ok())
        .find_map(|entry| match entry {
            LogEntry::BaseTime(t) => Some(t),
            _ => None,
        });
    let Some(base) = base else {
        return Ok(None);
    };
    let len = whole_len(file, len)?;
    let tail = read_at(file, len.saturating_sub(TAIL_BYTES), len)?;
    // Lines are sorted by start, but what cannot be parsed is skipped rather than trusted: take the latest end.
    let end = tail
        .split_inclusive(|&b| b == b'\n')
        .filter_map(|line| IntervalLogIterator::new(line).next()?.ok())
        .filter_map(|entry| match entry {
            LogEntry::Interval(line) => line.start_timestamp().checked_add(line.duration()),
            _ => None,
        })
        .max()
        .unwrap_or_default();
    Ok(Some(Found {
        base,
        len,
        end: end.saturating_add(Duration::from_nanos(MILLISECOND)),
    }))
}

/// Length up to and including the last line break. A power failure can leave any number of zeros behind it.
fn whole_len(file: &mut File, len: u64) -> io::Result<u64> {
    let mut until = len;
    while until > 0 {
        let from = until.saturating_sub(TAIL_BYTES);
        if let Some(at) = memchr::memrchr(b'\n', &read_at(file, from, until)?) {
            return Ok(from + at as u64 + 1);
        }
        until = from;
    }
    Ok(0)
}

fn read_at(file: &mut File, from: u64, until: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(until - from).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SECOND;
    use hdrhistogram::serialization::Deserializer;

    const WALL: Wall = 1_795_000_000_000;

    fn histogram(values: &[u64]) -> Histogram<u64> {
        let mut h = super::super::recorder::latency_histogram();
        for &v in values {
            h.saturating_record(v);
        }
        h
    }

    /// All lines as (tag, start in ms, values), through the library's own reader.
    fn read(dir: &Path) -> Vec<(String, u128, u64)> {
        let bytes = std::fs::read(dir.join(NAME)).expect("the log exists");
        let mut lines = Vec::new();
        for entry in IntervalLogIterator::new(&bytes) {
            if let LogEntry::Interval(line) = entry.expect("every line is readable") {
                let raw = data_encoding::BASE64
                    .decode(line.encoded_histogram().as_bytes())
                    .expect("base64");
                let h: Histogram<u64> = Deserializer::new()
                    .deserialize(&mut raw.as_slice())
                    .expect("V2 deflate");
                let tag = line.tag().expect("a tag").as_str().to_string();
                lines.push((tag, line.start_timestamp().as_millis(), h.len()));
            }
        }
        lines
    }

    fn write(log: &mut IntervalLog, from: Tick, tags: &[(&'static str, &Histogram<u64>)]) {
        let written = log.write(from, from + SECOND, tags.iter().copied());
        assert!(written.expect("writable"));
    }

    #[test]
    fn a_restored_log_is_one_log_sorted_by_start() {
        let dir = tempfile::tempdir().expect("a directory");
        let (some, none) = (histogram(&[1_000, 2_000_000, 3]), histogram(&[]));
        let mut log = IntervalLog::open(dir.path(), 0, WALL).expect("opens");
        write(&mut log, 0, &[("fetch", &some), ("parse", &none)]);
        write(&mut log, SECOND, &[("fetch", &some), ("parse", &some)]);
        drop(log);
        // The crawl was restored from a checkpoint at 1 s, a minute later.
        let mut log = IntervalLog::open(dir.path(), SECOND, WALL + 60_000).expect("reopens");
        write(&mut log, SECOND, &[("fetch", &some)]);
        drop(log);
        // The system's clock was set back by an hour.
        let mut log = IntervalLog::open(dir.path(), SECOND, WALL - 3_600_000).expect("reopens");
        write(&mut log, 2 * SECOND, &[("fetch", &some)]);
        drop(log);
        let lines = read(dir.path());
        assert_eq!(lines.len(), 5);
        assert!(lines.iter().all(|l| l.2 == 3));
        assert!(lines.windows(2).all(|w| w[0].1 <= w[1].1), "{lines:?}");
        assert_eq!(lines[3].1, 60_000);
        let text = std::fs::read_to_string(dir.path().join(NAME)).expect("text");
        assert_eq!(text.matches("#[StartTime: ").count(), 1);
        assert_eq!(text.matches("#restored ").count(), 2);
    }

    #[test]
    fn a_torn_line_is_cut_off() {
        let dir = tempfile::tempdir().expect("a directory");
        let some = histogram(&[5]);
        let mut log = IntervalLog::open(dir.path(), 0, WALL).expect("opens");
        write(&mut log, 0, &[("fetch", &some)]);
        let whole = log.len();
        write(&mut log, SECOND, &[("fetch", &some)]);
        log.file.set_len(whole + 17).expect("torn");
        // The length reached the disk, the bytes did not.
        log.file.set_len(whole + 3 * TAIL_BYTES).expect("zeros");
        drop(log);
        let mut log = IntervalLog::open(dir.path(), 0, WALL + 5_000).expect("reopens");
        write(&mut log, 0, &[("body", &some)]);
        let lines = read(dir.path());
        let tags: Vec<_> = lines.iter().map(|l| l.0.as_str()).collect();
        assert_eq!(tags, ["fetch", "body"]);
    }

    #[test]
    fn what_is_no_log_is_put_aside() {
        let dir = tempfile::tempdir().expect("a directory");
        for junk in [
            &b"junk without end"[..],
            b"\0\0\0\n\n",
            b"Tag=x,1,2,3,HIST\n",
        ] {
            std::fs::write(dir.path().join(NAME), junk).expect("writable");
            let mut log = IntervalLog::open(dir.path(), 0, WALL).expect("opens");
            write(&mut log, 0, &[("fetch", &histogram(&[5]))]);
            assert_eq!(read(dir.path()).len(), 1);
            let aside = std::fs::read(dir.path().join(DAMAGED_NAME)).expect("kept");
            assert_eq!(aside, junk);
        }
    }
}
