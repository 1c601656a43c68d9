//! Checkpoints: what a crash leaves behind, and how a crawl goes on from it.
//!
//! ```text
//! manifest ── slot 0 ─┐ each names: logs up to a position, one image, one state blob, the store's mark
//!          └─ slot 1 ─┤
//!                     ├─► seen-000001.log … seen-00000n.log    append-only, shared by both generations
//!                     ├─► urls-00000k.log … urls-00000n.log
//!                     ├─► base-000001.log … base-00000b.log    what is left of urls-000001 to k-1, if they were compacted
//!                     ├─► ended-000001.log …                   what was taken out of them and is listed
//!                     ├─► hosts-00000a.img │ hosts-00000b.img  one each, written in turns
//!                     ├─► state-00000a.bin │ state-00000b.bin
//!                     └─► segments (the store's), synced through twins before the slot is
//! ```
//!
//! What must hold:
//! * a checkpoint is begun when its cut, all its blocks and the store's mark are in; then segments, log tails, image and
//!   state are synced, and only then the slot that the newest durable generation does not use is written and synced;
//! * nothing that the newest durable generation names is ever written to. In a log, a cut ends on a page boundary and
//!   appending goes on behind it;
//! * checksums lie in the parent, so a generation is restored only if every byte it names is what was written;
//! * bytes written for a checkpoint are proportional to what changed since the one before (and all of the image once
//!   after a restore, and when it outgrows its file);
//! * after any failed write or sync the checkpointer takes nothing more; the newest durable generation stays.
//!
//! Order at a start: [`lease::claim`], [`recover()`], then [`Checkpointer::new`] or [`Checkpointer::resume`], and only then
//! the store: a generation that is given up is withdrawn before the store cuts the segments it names, and a directory
//! with segments and no manifest is refused as damaged.
//!
//! Deliberately absent: deltas to be replayed, compression, and saving of anything that can be rebuilt.

pub mod blob;
pub mod cadence;
mod compact;
pub mod driver;
pub mod follow;
pub mod image;
pub mod lease;
pub mod lock;
pub mod log;
pub mod logs;
pub mod manifest;
pub mod mapping;
pub mod page;
pub mod recover;
mod runs;
pub mod verify;

pub use cadence::Cadence;
pub use driver::{Checkpointer, Durable, Sizes};
pub use lock::Lock;
pub use logs::{Logs, Progress};
pub use mapping::DirDisk;
pub use recover::{Recovered, recover, recover_into};
pub use verify::{Defect, Report, verify};

/// Whether a file of this name belongs to a crawl, and so forbids to start anew in its directory.
pub fn is_crawl_file(name: &str) -> bool {
    let numbered = |stem: &str, end: &str| {
        name.strip_prefix(stem)
            .and_then(|rest| rest.strip_suffix(end))
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    name == manifest::MANIFEST
        || name.ends_with(".warc.zst")
        || numbered("seen-", ".log")
        || numbered("urls-", ".log")
        || numbered("base-", ".log")
        || numbered("ended-", ".log")
        || numbered("hosts-", ".img")
        || numbered("state-", ".bin")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_and_reports_are_no_crawl() {
        for name in [
            "manifest",
            "seen-000001.log",
            "hosts-12.img",
            "cyclosa-000001.warc.zst",
        ] {
            assert!(is_crawl_file(name), "{name}");
        }
        for name in [
            "README.md",
            "LOCK",
            "report.json",
            "latency.hlog",
            "seen-.log",
            "seen-a.log",
        ] {
            assert!(!is_crawl_file(name), "{name}");
        }
    }
}
