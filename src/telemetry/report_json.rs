//! `report.json`: written so that a reader never sees half of it, read back with bounds.
//!
//! What must hold: the file is replaced in one step (new file, sync, rename, sync of the directory); it is ASCII where it
//! carries foreign text that could steer a terminal, so that printing it is safe.

use super::report::{FORMAT, Report};
use crate::error::{Error, Result};
use crate::limits::REPORT_BYTES_MAX;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

/// Name of the report in the crawl directory.
pub const NAME: &str = "report.json";

impl Report {
    /// The report as the text of `report.json`.
    pub fn to_json(&self) -> String {
        // Only a map with keys that are no strings, or a failing writer, makes this fail; a report has neither.
        let plain = serde_json::to_string_pretty(self).unwrap_or_default();
        let mut out = String::with_capacity(plain.len() + 1);
        for c in plain.chars() {
            // serde_json escapes what lies below the space. These stand only within strings, so that a JSON escape
            // means the same: C1 controls, marks of direction, and everything else that is not a letter.
            if c.is_ascii() && c != '\u{7f}' || c.is_alphanumeric() {
                out.push(c);
            } else {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
        out.push('\n');
        out
    }

    /// Replaces `report.json` in `dir`; durable on return.
    pub fn save(&self, dir: &Path) -> Result<()> {
        self.save_to(&dir.join(NAME))
    }

    /// Writes the report to `path` (`--report`). What is no regular file (a pipe, a terminal) is written to, not replaced.
    pub fn save_to(&self, path: &Path) -> Result<()> {
        let text = self.to_json();
        let special = std::fs::metadata(path).is_ok_and(|m| !m.is_file());
        let written = if special {
            OpenOptions::new()
                .write(true)
                .open(path)
                .and_then(|mut f| f.write_all(text.as_bytes()))
        } else {
            replace(path, text.as_bytes())
        };
        written.map_err(|e| Error::io("cannot write the report", path, e))
    }

    /// Reads the report of the crawl in `dir`.
    ///
    /// # Errors
    /// Usage, where there is none; environment, where it cannot be read or is not a report.
    pub fn load(dir: &Path) -> Result<Self> {
        let path = dir.join(NAME);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(Error::environment(format!(
                    "no {NAME} in {}; run `cyclosa crawl` with this --dir first",
                    dir.display()
                )));
            }
            Err(e) => return Err(Error::io("cannot open the report", &path, e)),
        };
        let mut text = Vec::new();
        file.take(REPORT_BYTES_MAX + 1)
            .read_to_end(&mut text)
            .map_err(|e| Error::io("cannot read the report", &path, e))?;
        let wrong = |why: String| {
            Error::environment(format!(
                "{}: {why}; the next run of the crawl writes it anew",
                path.display()
            ))
        };
        if text.len() as u64 > REPORT_BYTES_MAX {
            return Err(wrong(format!("larger than {REPORT_BYTES_MAX} bytes")));
        }
        let report: Self = serde_json::from_slice(&text).map_err(|e| wrong(e.to_string()))?;
        if report.format == 0 {
            return Err(wrong("not a report".to_string()));
        }
        if report.format > FORMAT {
            return Err(Error::environment(format!(
                "{} has format {}, this program reads up to {FORMAT}; use the version that wrote it ({})",
                path.display(),
                report.format,
                report.version
            )));
        }
        Ok(report)
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::sample::sample;
    use super::*;
    use crate::error::Fault;

    #[test]
    fn a_report_comes_back_as_it_was() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut empty = Report::default();
        empty.settle();
        for report in [empty, sample()] {
            report.save(dir.path()).expect("saves");
            let back = Report::load(dir.path()).expect("loads");
            assert_eq!(back, report);
            let names: Vec<_> = std::fs::read_dir(dir.path()).expect("lists").collect();
            assert_eq!(names.len(), 1, "no temporary file stays");
        }
    }

    #[test]
    fn the_contract_s_keys_are_there() {
        let json: serde_json::Value = serde_json::from_str(&sample().to_json()).expect("JSON");
        for pointer in [
            "/pages",
            "/bytes",
            "/elapsed_s",
            "/pages_per_s",
            "/urls/discovered",
            "/urls/queued",
            "/urls/in_flight",
            "/urls/done",
            "/urls/excluded",
            "/urls/dropped",
            "/outcomes/fetched",
            "/status/200",
            "/limiter/server",
            "/latency_us/fetch/p50",
            "/latency_us/fetch/p90",
            "/latency_us/fetch/p99",
            "/latency_us/fetch/p999",
            "/latency_us/fetch/max",
            "/checkpoints/count",
            "/checkpoints/cut_us",
            "/checkpoints/durable_ms",
            "/checkpoints/bytes",
            "/checkpoints/redo_bound_s",
            "/restored/epoch",
            "/restored/age_s",
            "/restored/urls",
            "/restored/requeued",
            "/memory/budget",
            "/memory/peak_rss",
        ] {
            assert!(
                json.pointer(pointer).is_some_and(|v| v.is_number()),
                "{pointer}"
            );
        }
        let fresh: serde_json::Value =
            serde_json::from_str(&Report::default().to_json()).expect("JSON");
        assert!(fresh["restored"].is_null());
    }

    #[test]
    fn foreign_text_in_the_file_is_harmless_and_unchanged() {
        let dir = tempfile::tempdir().expect("a directory");
        let host = "http://\u{9b}31m\u{202e}\u{7f}\u{1b}]0;x\u{7}\u{1f600}ü\"\\/".to_string();
        let mut report = Report::default();
        report.settle();
        report.notes.push(host.clone());
        let text = report.to_json();
        assert!(
            text.chars()
                .all(|c| c == '\n' || c == 'ü' || (' '..='~').contains(&c))
        );
        report.save(dir.path()).expect("saves");
        assert_eq!(Report::load(dir.path()).expect("loads").notes, [host]);
    }

    #[test]
    fn what_is_no_report_is_refused_in_one_line() {
        let dir = tempfile::tempdir().expect("a directory");
        let missing = Report::load(dir.path()).expect_err("none there");
        assert_eq!(missing.fault(), Fault::Environment);
        let deep = "[".repeat(100_000);
        for junk in [
            "",
            "{",
            "[]",
            "{\"pages\": -1}",
            "{\"pages\": \"x\"}",
            "{\"format\": 9}",
            &deep,
        ] {
            std::fs::write(dir.path().join(NAME), junk).expect("writable");
            let error = Report::load(dir.path()).expect_err(junk);
            assert_eq!(error.fault(), Fault::Environment);
            assert_eq!(error.to_string().lines().count(), 1);
        }
        std::fs::write(
            dir.path().join(NAME),
            "{\"format\": 1, \"pages\": 7, \"stop\": \"eaten\", \"new\": []}",
        )
        .expect("writable");
        let newer = Report::load(dir.path()).expect("unknown fields are ignored");
        assert_eq!((newer.pages, newer.stop), (7, super::super::Stop::Unknown));
    }
}
