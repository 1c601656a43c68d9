//! All records as one file that every WARC tool reads: `.warc.gz`, one gzip member a record (WARC/1.1 Annex D).
//!
//! What must hold: the output appears under its name only when it is whole and durable, and never replaces a file.
//! A damaged record is left out and named in the summary; it does not cost the others.

use super::index::Position;
use super::names::Part;
use super::reader::Reader;
use crate::error::{Error, Result};
use libdeflater::{CompressionLvl, Compressor};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// What was exported.
#[derive(Debug, Default)]
pub struct Exported {
    /// Records written, `warcinfo` among them.
    pub records: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Records left out because they are damaged.
    pub skipped: u64,
    /// What was wrong with the first of them.
    pub first_defect: Option<String>,
}

impl Reader {
    /// Calls `each` with every whole record, uncompressed, in the order of the segments; `warcinfo` records have no
    /// position. Damaged records, and the rest of a segment whose index is damaged, are passed as errors.
    pub fn records(
        &self,
        mut each: impl FnMut(Option<Position>, Result<Vec<u8>>) -> Result<()>,
    ) -> Result<()> {
        for &segment in self.segments() {
            let path = self.path(Part::Data, segment);
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(e) => {
                    each(None, Err(Error::io("cannot open", &path, e)))?;
                    continue;
                }
            };
            let mut first = true;
            let mut result = Ok(());
            let scanned = self.scan(segment, |position, entry| {
                if std::mem::take(&mut first)
                    && let Ok(length) = u32::try_from(entry.offset)
                {
                    result = each(None, self.record_in(&file, segment, 0, length, None));
                }
                if result.is_ok() {
                    let (at, length) = (entry.offset, entry.length);
                    let record = self.record_in(&file, segment, at, length, Some(entry.plain));
                    result = each(Some(position), record);
                }
                result.is_ok()
            });
            result?;
            if let Err(e) = scanned {
                each(None, Err(e))?;
            }
        }
        Ok(())
    }

    /// Writes all records to the new file `out` as `.warc.gz`.
    pub fn export_warc(&self, out: &Path) -> Result<Exported> {
        let part = beside(out)?;
        let done = self.write_warc_file(&part).and_then(|exported| {
            publish(&part, out)?;
            Ok(exported)
        });
        if done.is_err() {
            // Best effort: the name says what it is.
            let _ = std::fs::remove_file(&part);
        }
        done
    }

    fn write_warc_file(&self, part: &Path) -> Result<Exported> {
        let failed = |e| Error::io("cannot write", part, e);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(part)
            .map_err(failed)?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        let exported = self.write_warc(&mut file, part)?;
        let file = file.into_inner().map_err(|e| failed(e.into_error()))?;
        file.sync_all().map_err(failed)?;
        Ok(exported)
    }

    /// Writes all records to `out` as `.warc.gz`, one gzip member a record. `name` is what errors call it.
    pub fn write_warc(&self, out: &mut dyn Write, name: &Path) -> Result<Exported> {
        let failed = |e| Error::io("cannot write", name, e);
        let mut gzip = Compressor::new(CompressionLvl::default());
        let mut member = Vec::new();
        let mut exported = Exported::default();
        self.records(|_, record| {
            match record {
                Ok(plain) => {
                    let n = compress(&mut gzip, &plain, &mut member).map_err(failed)?;
                    out.write_all(&member[..n]).map_err(failed)?;
                    exported.records += 1;
                    exported.bytes += n as u64;
                }
                Err(e) => {
                    exported.skipped += 1;
                    exported.first_defect.get_or_insert_with(|| e.to_string());
                }
            }
            Ok(())
        })?;
        Ok(exported)
    }
}

/// One gzip member that holds `plain`, at the start of `member`; its length.
fn compress(gzip: &mut Compressor, plain: &[u8], member: &mut Vec<u8>) -> io::Result<usize> {
    let bound = gzip.gzip_compress_bound(plain.len());
    if member.len() < bound {
        member.resize(bound, 0);
    }
    gzip.gzip_compress(plain, member)
        .map_err(|e| io::Error::other(e.to_string()))
}

/// The temporary name beside `out`; refuses an `out` that exists.
pub fn beside(out: &Path) -> Result<PathBuf> {
    if out.symlink_metadata().is_ok() {
        return Err(exists(out));
    }
    let Some(name) = out.file_name() else {
        return Err(Error::usage(format!(
            "{} names no file; give the name of a new file",
            out.display()
        )));
    };
    let mut part = name.to_owned();
    part.push(format!(".part-{}", std::process::id()));
    Ok(out.with_file_name(part))
}

/// Gives the whole file `part` its name `out` without replacing anything.
pub fn publish(part: &Path, out: &Path) -> Result<()> {
    // A hard link fails where the name is taken, on every file system that has them; others get a checked rename.
    match std::fs::hard_link(part, out) {
        Ok(()) => std::fs::remove_file(part).map_err(|e| Error::io("cannot remove", part, e)),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(exists(out)),
        Err(_) if out.symlink_metadata().is_ok() => Err(exists(out)),
        Err(_) => std::fs::rename(part, out).map_err(|e| Error::io("cannot rename to", out, e)),
    }
}

fn exists(out: &Path) -> Error {
    Error::usage(format!(
        "{} exists already; remove it or give another name",
        out.display()
    ))
}
