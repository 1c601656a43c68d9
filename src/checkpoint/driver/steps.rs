//! The steps of one checkpoint: data first, the manifest's slot last.
//!
//! What must hold: each step returns only when what it wrote is durable, or asks to be called again; the first error ends
//! the checkpoint and the checkpointer.

use super::{Checkpointer, Durable, IMAGE_BLOCKS_MIN, Step, Work, out_of_order, write_page};
use crate::checkpoint::blob::{Blob, StateFile, blob_hash, state_name};
use crate::checkpoint::image::{ImageFile, image_name};
use crate::checkpoint::manifest::Named;
use crate::checkpoint::page::PAGE_BYTES;
use crate::error::{Error, Result};
use crate::event::Mark;
use crate::time::Tick;

impl Checkpointer {
    /// Between checkpoints: makes durable what has been written so far, so that little is left to sync after the cut.
    /// Pages come at hundreds of megabytes a second; synced only at the cut they would delay it by seconds.
    ///
    /// # Errors
    /// Fatal: something could not be made durable. All later calls fail too; the newest durable checkpoint stays.
    pub fn sync_ahead(&mut self) -> Result<()> {
        if self.busy() {
            return Ok(());
        }
        self.guard(|this| {
            if let Some(&segment) = this.sealed.first() {
                this.sync_segment(segment, 0, 0)?;
            } else if let Some(&segment) = this.twins.keys().next_back() {
                this.sync_segment(segment, 0, 0)?;
            }
            this.seen.sync()?;
            this.urls.sync()
        })
    }

    pub(super) fn step(&mut self, mut work: Work, now: Tick) -> Result<Option<Durable>> {
        let done = match work.step {
            Step::Segments => self.sync_segments(&work.mark)?,
            Step::Logs => {
                self.seen.sync()?;
                self.urls.sync()?;
                true
            }
            Step::Image => self.write_image(&mut work)?,
            Step::State => {
                self.write_state(&mut work)?;
                true
            }
            Step::Manifest => {
                self.write_manifest(&mut work)?;
                true
            }
            Step::Report => {
                return Ok(Some(Durable {
                    epoch: work.cut.epoch,
                    cut_tick: work.cut.tick,
                    durable_tick: now,
                    bytes: work.bytes,
                    duration: now.saturating_sub(work.started),
                    compacted: (self.compacting.bytes, self.compacting.count),
                }));
            }
        };
        if done {
            work.step = match work.step {
                Step::Segments => Step::Logs,
                Step::Logs => Step::Image,
                Step::Image => Step::State,
                Step::State => Step::Manifest,
                Step::Manifest | Step::Report => Step::Report,
            };
        }
        self.work = Some(work);
        Ok(None)
    }

    /// Syncs one sealed segment, or at last the current one; returns whether that was all.
    fn sync_segments(&mut self, mark: &Mark) -> Result<bool> {
        if let Some(segment) = self.sealed.iter().copied().find(|s| *s != mark.segment) {
            self.sync_segment(segment, 0, 0)?;
            self.sealed.remove(&segment);
            self.twins.remove(&segment);
            return Ok(false);
        }
        if mark.segment_len > 0 || mark.index_len > 0 {
            self.sync_segment(mark.segment, mark.segment_len, mark.index_len)?;
        }
        Ok(true)
    }

    fn sync_segment(&mut self, segment: u32, data_len: u64, index_len: u64) -> Result<()> {
        let Some(twins) = self.twins.get_mut(&segment) else {
            return Err(out_of_order(&format!(
                "segment {segment} was never announced"
            )));
        };
        if twins.data.len() < data_len || twins.index.len() < index_len {
            return Err(Error::environment(format!(
                "segment {segment} is shorter than the store wrote it; another program changed it"
            )));
        }
        for (file, what) in [
            (&mut twins.data, "segment"),
            (&mut twins.index, "index of segment"),
        ] {
            file.sync()
                .map_err(|e| Error::io("cannot make durable", format!("{what} {segment}"), e))?;
        }
        Ok(())
    }

    /// Writes a slice of the image, or syncs it; returns whether it is durable.
    fn write_image(&mut self, work: &mut Work) -> Result<bool> {
        let slot = 1 - self.slot as usize;
        let blocks = self.shadow.blocks();
        if blocks == 0 {
            return Ok(true);
        }
        let image = match &mut self.images[slot] {
            Some(image) if image.fits(blocks) => image,
            place => {
                if let Some(old) = place.take() {
                    self.doomed.push(image_name(old.number));
                }
                let capacity = (u64::from(blocks) * 3 / 2).max(IMAGE_BLOCKS_MIN);
                let id = self.durable.identity.id;
                let (number, epoch) = (self.next_image, work.cut.epoch);
                let mut image = ImageFile::create(&*self.disk, id, number, epoch, capacity)?;
                work.bytes += PAGE_BYTES as u64;
                image.behind.extend(0..blocks);
                self.next_image += 1;
                place.insert(image)
            }
        };
        let written = image.write_slice(&self.shadow)?;
        work.bytes += written;
        if written > 0 {
            return Ok(false);
        }
        image.sync()?;
        work.generation.image = Named {
            file: image.number,
            len: u64::from(blocks),
            hash: self.shadow.root(),
        };
        Ok(true)
    }

    fn write_state(&mut self, work: &mut Work) -> Result<()> {
        let blob = Blob {
            frontier: work.cut.state.clone(),
            store: std::mem::take(&mut work.mark.state),
            sealed: std::mem::take(&mut work.mark.sealed),
        };
        let bytes = blob.encode();
        let len = bytes.len() as u64;
        let place = &mut self.states[1 - self.slot as usize];
        let state = match place {
            Some(state) if state.fits(len) => state,
            place => {
                if let Some(old) = place.take() {
                    self.doomed.push(state_name(old.number));
                }
                let id = self.durable.identity.id;
                let (number, epoch) = (self.next_state, work.cut.epoch);
                self.next_state += 1;
                work.bytes += PAGE_BYTES as u64;
                place.insert(StateFile::create(&*self.disk, id, number, epoch, len)?)
            }
        };
        state.write(&bytes)?;
        work.bytes += len;
        work.generation.state = Named {
            file: state.number,
            len,
            hash: blob_hash(work.generation.epoch, &bytes),
        };
        Ok(())
    }

    fn write_manifest(&mut self, work: &mut Work) -> Result<()> {
        let slot = 1 - self.slot;
        let (page, checksum) = work.generation.encode(slot);
        write_page(&mut *self.manifest, slot, &page)?;
        work.bytes += PAGE_BYTES as u64;
        let before = std::mem::replace(&mut self.durable, work.generation.clone());
        self.slot = slot;
        self.checksum = checksum;
        self.retired.append(&mut self.doomed);
        self.compacting.durable(std::mem::take(&mut work.cut.state));
        if self.durable.base != before.base {
            self.doom_compacted(&before.base);
        }
        Ok(())
    }
}
