//! Where a checkpointer comes from: a new crawl, or a restored one.
//!
//! What must hold: a directory that holds a crawl is never begun anew; of a restored generation nothing is changed, and a
//! newer one that was given up is withdrawn before anything else is done.

use super::compacting::Compacting;
use super::{Checkpointer, Sizes, write_page};
use crate::checkpoint::blob::{StateFile, state_name};
use crate::checkpoint::image::{ImageFile, Shadow, image_name};
use crate::checkpoint::is_crawl_file;
use crate::checkpoint::log::Log;
use crate::checkpoint::manifest::{Generation, MANIFEST, MANIFEST_BYTES, Slot, withdrawal};
use crate::checkpoint::page::{Flaw, Kind};
use crate::checkpoint::recover::Recovered;
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Error, Result};
use crate::event::CrawlIdentity;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

impl Checkpointer {
    /// Begins the checkpoints of a new crawl: the directory holds its identity when this returns. To be called before
    /// the store makes its first file.
    ///
    /// # Errors
    /// If the directory holds a crawl already, or the manifest cannot be made durable.
    pub fn new(disk: Arc<dyn Disk>, identity: CrawlIdentity, sizes: Sizes) -> Result<Self> {
        refuse_used(&*disk)?;
        let mut manifest = disk
            .create(MANIFEST, Access::Mapped, MANIFEST_BYTES)
            .map_err(|e| Error::io("cannot make", MANIFEST, e))?;
        let durable = Generation::genesis(identity);
        let (page, checksum) = durable.encode(0);
        write_page(&mut *manifest, 0, &page)?;
        Ok(Self::with(disk, manifest, durable, checksum, sizes))
    }

    /// Goes on after [`crate::checkpoint::recover()`]; to be called before the store is reopened. A newer generation that was not
    /// restored is withdrawn first. Cuts must have numbers from [`Recovered::next_epoch`] on.
    ///
    /// # Errors
    /// If a file cannot be opened or written.
    pub fn resume(disk: Arc<dyn Disk>, from: &Recovered, sizes: Sizes) -> Result<Self> {
        let root = &from.root;
        let mut manifest = disk
            .open(MANIFEST, Access::Mapped)
            .map_err(|e| Error::io("cannot open", MANIFEST, e))?;
        let durable = root.generation.clone();
        let epoch = durable.epoch;
        if root.withdraw_other {
            let page = withdrawal(1 - root.slot, &durable.identity, from.next_epoch - 1);
            write_page(&mut *manifest, 1 - root.slot, &page)?;
        }
        let named = durable.clone();
        let mut this = Self::with(disk, manifest, durable, root.checksum, sizes);
        this.seen = this.seen.resume(&*this.disk, named.seen, epoch)?;
        this.urls = this.urls.resume(&*this.disk, named.urls, epoch)?;
        this.ended = this.ended.resume(&*this.disk, named.ended, epoch)?;
        this.compacting.durable(from.cut.state.clone());
        let (image, state) = (named.image, named.state);
        this.slot = root.slot;
        this.last_epoch = from.next_epoch - 1;
        this.shadow = Shadow::new(from.hosts.clone());
        let slot = root.slot as usize;
        if image.file > 0 {
            let file = ImageFile::open(&*this.disk, image.file, root.image_capacity)?;
            this.images[slot] = Some(file);
        }
        if state.file > 0 {
            this.states[slot] = Some(StateFile::open(&*this.disk, state.file)?);
        }
        this.doom_strays()?;
        Ok(this)
    }

    fn with(
        disk: Arc<dyn Disk>,
        manifest: Box<dyn DiskFile>,
        durable: Generation,
        checksum: u64,
        sizes: Sizes,
    ) -> Self {
        let id = durable.identity.id;
        Self {
            disk,
            manifest,
            term: durable.term,
            last_epoch: durable.epoch,
            durable,
            slot: 0,
            checksum,
            sizes,
            seen: Log::new(Kind::Seen, id, sizes.seen),
            urls: Log::new(Kind::Urls, id, sizes.urls),
            ended: Log::new(Kind::Ended, id, sizes.seen),
            compacting: Compacting::new(sizes.compact_at),
            shadow: Shadow::default(),
            images: [None, None],
            states: [None, None],
            next_image: 1,
            next_state: 1,
            pending: VecDeque::new(),
            marks: VecDeque::new(),
            twins: BTreeMap::new(),
            sealed: BTreeSet::new(),
            work: None,
            log_bytes: 0,
            folded: 0,
            doomed: Vec::new(),
            retired: Vec::new(),
            stopping: false,
            failed: None,
        }
    }

    /// Marks for removal, once a checkpoint of this run is durable, all files that the restored generation does not name.
    fn doom_strays(&mut self) -> Result<()> {
        let names = self
            .disk
            .list()
            .map_err(|e| Error::io("cannot list", "the crawl directory", e))?;
        let number = |name: &str| -> u64 {
            let digits = name.split(['-', '.']).nth(1).unwrap_or_default();
            digits.parse().unwrap_or(0)
        };
        let named = [
            image_name(self.durable.image.file),
            state_name(self.durable.state.file),
        ];
        for name in names.into_iter().filter(|n| is_crawl_file(n)) {
            let n = number(&name);
            let stray = if name.starts_with("hosts-") {
                self.next_image = self.next_image.max(n.saturating_add(1));
                !named.contains(&name)
            } else if name.starts_with("state-") {
                self.next_state = self.next_state.max(n.saturating_add(1));
                !named.contains(&name)
            } else if name.starts_with("base-") {
                let next = &mut self.compacting.next_base;
                *next = (*next).max(n.saturating_add(1));
                let base = &self.durable.base;
                base.first == 0 || !(base.first..=base.end.file).contains(&n)
            } else if name.starts_with("urls-") {
                n <= self.durable.base.until
            } else {
                false // logs: the numbers come up again, the files are replaced then
            };
            if stray {
                self.doomed.push(name);
            }
        }
        Ok(())
    }
}

/// Refuses a directory that holds a crawl. A manifest alone in which nothing was ever written is no crawl: the process
/// died before it had begun.
fn refuse_used(disk: &dyn Disk) -> Result<()> {
    let list = disk.list();
    let names = list.map_err(|e| Error::io("cannot list", "the crawl directory", e))?;
    if let Some(name) = names.iter().find(|n| is_crawl_file(n) && *n != MANIFEST) {
        return Err(Error::usage(format!(
            "the directory holds a crawl already ({name}); name another with --dir"
        )));
    }
    if names.iter().any(|n| n == MANIFEST) {
        let bytes = disk
            .read(MANIFEST)
            .map_err(|e| Error::io("cannot read", MANIFEST, e))?;
        for slot in 0..2 {
            match Slot::decode(&bytes, slot) {
                Slot::Flawed(Flaw::Newer(_) | Flaw::Older(_))
                | Slot::Valid { .. }
                | Slot::Withdrawn { .. } => {
                    return Err(Error::usage(
                        "the directory holds a crawl already (manifest); name another with --dir",
                    ));
                }
                Slot::Flawed(_) => {}
            }
        }
        disk.remove(MANIFEST)
            .map_err(|e| Error::io("cannot remove", MANIFEST, e))?;
    }
    Ok(())
}
