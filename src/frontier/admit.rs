//! From a link to a queued URL, or to a counted reason why not.
//!
//! A URL that is excluded for how it was found is remembered under a second fingerprint, so that it counts once and can
//! still be admitted when it is found in another way (then it moves from excluded to queued).

use super::Frontier;
use super::counters::{Dropped, Excluded};
use super::log::Record;
use super::policy::Candidate;
use super::queue::Queued;
use crate::event::{HostId, LinkKind, Page};
use crate::limits::HOST_QUEUE_MAX;
use crate::time::Tick;

/// Turns the fingerprint of a URL into that of its exclusion.
const EXCLUSION: u64 = 0x5bd1_e995_9d1b_54a5;

impl Frontier {
    /// Takes a seed: in scope by definition, depth 0. False if it was known or is excluded.
    pub fn seed(&mut self, url: &[u8], path_at: u16, now: Tick) -> bool {
        let it = Candidate {
            url,
            path_at: usize::from(path_at),
            fingerprint: self.fingerprinter.of(url),
            kind: LinkKind::Seed,
            depth: 0,
            redirects: 0,
            nofollow: false,
        };
        self.widen_scope(it.origin());
        if self.seen.contains(it.fingerprint) {
            return false;
        }
        self.admit(&it, now)
    }

    fn widen_scope(&mut self, origin: &[u8]) {
        if let Some(name) = self.policy.widen(origin) {
            self.journal.url(&Record::Scope {
                name: name.as_bytes(),
            });
        }
    }

    fn count_links(&mut self, page: &Page) {
        self.counters.links += page.links.len() as u64;
        self.counters.links_dropped += u64::from(page.links_dropped);
        self.counters.links_invalid += u64::from(page.links_invalid);
        self.counters.links_too_long += u64::from(page.links_too_long);
    }

    /// Takes the links of a page.
    pub(super) fn discover(&mut self, page: &Page, now: Tick) {
        self.count_links(page);
        for link in &page.links {
            // Most links are known; this is all they cost.
            if self.seen.contains(link.fingerprint) {
                continue;
            }
            let at = link.at as usize;
            let mut it = Candidate {
                url: &page.link_text[at..at + usize::from(link.len)],
                path_at: usize::from(link.path_at),
                fingerprint: link.fingerprint,
                kind: link.kind,
                depth: page.depth.saturating_add(1),
                redirects: 0,
                nofollow: link.nofollow,
            };
            if link.kind == LinkKind::Redirect {
                // The target stands in for the page that sent us there: same kind, same depth.
                it.kind = page.kind;
                it.depth = page.depth;
                it.redirects = page.redirects.saturating_add(1);
                if it.kind == LinkKind::Seed && it.redirects <= crate::limits::REDIRECTS_MAX {
                    self.widen_scope(it.origin());
                }
            } else if link.kind == LinkKind::Sitemap {
                // A part of an index. Of one that a robots.txt names it is no further away than a sitemap would be; only
                // there, as an endless chain of indexes must get deeper.
                it.kind = LinkKind::Page;
                if page.kind == LinkKind::Sitemap {
                    it.depth = page.depth;
                }
            } else if link.kind.is_asset() {
                it.depth = page.depth;
            }
            self.admit(&it, now);
        }
    }

    /// Takes the sitemaps that the robots.txt of a host names, wherever the file was in the end. They are as deep as the
    /// URL that the file was asked for: their pages are as far away as if that one linked to them.
    pub(super) fn discover_sitemaps(&mut self, page: &Page, now: Tick) {
        self.count_links(page);
        // Nothing leaves the queue while the host has a job.
        let first = &self.live[page.host as usize].queue;
        let Some(depth) = self.queues.first_depth(first) else {
            return;
        };
        for link in page.links.iter().filter(|l| l.kind == LinkKind::Sitemap) {
            if self.seen.contains(link.fingerprint) {
                continue;
            }
            let at = link.at as usize;
            let it = Candidate {
                url: &page.link_text[at..at + usize::from(link.len)],
                path_at: usize::from(link.path_at),
                fingerprint: link.fingerprint,
                kind: LinkKind::Sitemap,
                depth,
                redirects: 0,
                nofollow: false,
            };
            self.admit(&it, now);
        }
    }

    /// Decides about a URL that is not known.
    fn admit(&mut self, it: &Candidate<'_>, now: Tick) -> bool {
        if self.seen.is_full() {
            self.counters.seen_full += 1;
            return false;
        }
        if let Some(reason) = self.policy.excludes(it) {
            self.exclude_found(it, reason);
            return false;
        }
        self.remember(it.fingerprint);
        self.counters.discovered += 1;
        let any_excluded = self.counters.excluded.iter().any(|n| *n > 0);
        if any_excluded && self.seen.contains(it.fingerprint ^ EXCLUSION) {
            self.counters.readmitted += 1;
            self.counters.discovered -= 1;
        }
        if let Some(limit) = self.policy.drops(it) {
            self.drop_found(it, limit);
            return false;
        }
        let Some(host) = self.intern(it.origin(), it.kind == LinkKind::Seed) else {
            self.drop_found(it, Dropped::HostsFull);
            return false;
        };
        if self.live[host as usize].queue.len() >= HOST_QUEUE_MAX {
            self.drop_found(it, Dropped::HostQueueFull);
            return false;
        }
        if self.queues.bytes_used() >= self.policy.queue_bytes_max {
            self.drop_found(it, Dropped::FrontierMemory);
            return false;
        }
        let mut item = std::mem::take(&mut self.popped);
        item.fingerprint = it.fingerprint;
        item.depth = it.depth;
        item.kind = it.kind as u8;
        item.redirects = it.redirects;
        item.tries = 0;
        item.target.clear();
        item.target.extend_from_slice(it.target());
        self.enqueue(host, &item, now);
        self.popped = item;
        true
    }

    fn remember(&mut self, fingerprint: u64) {
        self.seen.insert(fingerprint);
        self.journal.seen(fingerprint);
    }

    fn exclude_found(&mut self, it: &Candidate<'_>, reason: Excluded) {
        let key = match it.fingerprint ^ EXCLUSION {
            0 => EXCLUSION,
            key => key,
        };
        if self.seen.contains(key) {
            return;
        }
        self.remember(key);
        self.counters.discovered += 1;
        self.counters.excluded[reason as usize] += 1;
        self.journal.url(&Record::Excluded {
            reason,
            fingerprint: it.fingerprint,
            url: it.url,
        });
    }

    fn drop_found(&mut self, it: &Candidate<'_>, limit: Dropped) {
        self.counters.dropped[limit as usize] += 1;
        self.journal.url(&Record::Dropped {
            limit,
            fingerprint: it.fingerprint,
            url: it.url,
        });
    }

    /// Appends to a host's queue and its log, and wakes the host.
    pub(super) fn enqueue(&mut self, host: HostId, item: &Queued, now: Tick) {
        let record = self.hosts.edit(host);
        let seq = record.pushed;
        record.pushed += 1;
        self.journal.open(item.fingerprint);
        self.journal.url(&Record::Queued {
            host,
            seq,
            fingerprint: item.fingerprint,
            depth: item.depth,
            kind: item.kind,
            redirects: item.redirects,
            tries: item.tries,
            target: &item.target,
        });
        let queue = &mut self.live[host as usize].queue;
        self.queues.push(queue, &item.item());
        self.counters.queued += 1;
        self.wake(host, now);
    }
}
