//! The lease: who may write to a crawl directory, proven again every second, and how another process takes over.
//!
//! ```text
//! primary   FENCE ► flock LOCK ► LEASE of term n ► … a beat a second …           ► LEASE says how it ended
//! standby   reads LEASE: no beat for its duration ► FENCE ► LEASE of term n+1 ► new LOCK ► files replaced ► recover
//! old one   next beat, checkpoint step or new name: LEASE is not mine any more ► ends, exit code 1
//! ```
//!
//! What must hold, wherever the old process was stopped and whenever it wakes:
//! * it writes only to files that no name leads to any more: before the new holder writes anything, every file that the
//!   old one may have open for writing is replaced by a copy ([`orphan`]);
//! * it opens nothing of the new holder for writing: a look follows every such opening, and before it nothing is written;
//! * it changes no name: names are made and removed under the lock of `FENCE` only, after a look at `LEASE`
//!   ([`Lease::hold_names`]), and the new term is written under that lock;
//! * of what it still writes to files that keep their names until they are copied, nothing is needed: the term is written
//!   first, the manifest is copied next, and each step of a checkpoint looks at the lease before it writes. So while
//!   files are copied, what the newest generation names is not written to. (Logs and segments are appended to behind it.)
//! * a term begins at most once: it is counted up under `FENCE`, from `LEASE` and the manifest, whichever is higher;
//! * expiry is judged by the observer's own clock and only from what it saw itself ([`Silence`]). Clocks of two machines
//!   are never compared; being wrong costs the old process its life and the crawl a redo, never data.
//!
//! `LOCK` stays what it was: it tells at once that a process has died. Where the file system is local, a free `LOCK`
//! proves that nobody writes any more and nothing is copied; on a network file system a lock can be lost while its holder
//! lives, so there everything is.
//!
//! What rests on the locks of the file system: that `FENCE` keeps out whoever is stopped under it. It is held for a rename
//! or a removal only, and a process that is stopped in that moment cannot be followed until it is ended. A network file
//! system that takes the lock from it instead lets that one rename or removal come late.
//!
//! Deliberately absent: killing the old process, agreement between machines beyond what `flock` gives, threads.

mod claim;
mod holder;
mod orphan;
mod record;
mod silence;

pub use claim::{Attempt, Mode, Tenure, attempt, claim};
pub use holder::{Lease, Names};
pub use record::{Ending, Record, State, peek};
pub use silence::Silence;

/// Name of the file that tells who holds the directory.
pub const LEASE: &str = "LEASE";
/// Name of the file whose lock is held while a name in the directory changes. It is never removed or replaced.
pub const FENCE: &str = "FENCE";
/// What names of files begin with that are not whole yet. A crash leaves them; the next holder removes them.
pub(super) const UNFINISHED: &str = ".new-";
