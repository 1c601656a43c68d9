//! The frontier alone: discovered links a second, the time of a cut, and the rate of a restore.
//!
//! `cargo bench --bench frontier [-- MILLIONS]`: with so many URLs seen (10 unless given). Pages have 76 links of which
//! 95 % (and, in a second row, all but none) are known. Excluded: everything before the frontier (the links come
//! resolved and fingerprinted) and the writing of its logs, which are dropped.

mod links;

use cyclosa::event::{BLOCK_BYTES, Cut, Delta, Job, Outcome, Page};
use cyclosa::frontier::Frontier;
use cyclosa::frontier::restore::InMemory;
use cyclosa::protocol::url::Fingerprinter;
use links::{IDENTITY, answer, config, fill, grow};
use std::time::Instant;

const LINKS: usize = 76;
const PAGES: usize = 20_000;
const CUTS: usize = 101;

/// What a checkpointer would keep.
#[derive(Default)]
struct Kept {
    logs: InMemory,
    image: Vec<u8>,
    cut: Cut,
}

impl Kept {
    fn take(&mut self, frontier: &mut Frontier, keep: bool) {
        while let Some(delta) = frontier.next_delta() {
            match delta {
                Delta::Seen(chunk) if keep => self.logs.seen.push(chunk),
                Delta::Urls(chunk) if keep => self.logs.urls.push(chunk),
                Delta::Cut(cut) => {
                    self.image.resize(cut.blocks as usize * BLOCK_BYTES, 0);
                    self.cut = *cut;
                }
                Delta::Block { index, bytes } => {
                    let at = index as usize * BLOCK_BYTES;
                    self.image[at..at + BLOCK_BYTES].copy_from_slice(&bytes[..]);
                }
                _ => {}
            }
        }
    }
}

fn rate(frontier: &mut Frontier, kept: &mut Kept, seen: u64, new_of_100: u64, hosts: u64) -> f64 {
    let prints = Fingerprinter::new(&IDENTITY.key);
    let mut next = seen * 2;
    let mut rolls = 1u64;
    let mut pages: Vec<Page> = (0..1_000).map(|_| Page::default()).collect();
    let mut took = 0.0;
    for round in 0..PAGES / pages.len() {
        for page in &mut pages {
            let numbers = (0..LINKS).map(|_| {
                rolls = rolls
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                if (rolls >> 33) % 100 < new_of_100 {
                    next += 1;
                    next
                } else {
                    (rolls >> 20) % seen
                }
            });
            fill(
                page,
                numbers.collect::<Vec<_>>().into_iter(),
                hosts,
                &prints,
            );
        }
        // Orders are prepared outside the timing; only the handling of answers is what counts.
        let mut away: Vec<Box<Page>> = Vec::new();
        while away.len() < pages.len() {
            frontier.dispatch(0);
            let orders: Vec<_> = frontier.orders().collect();
            for mut page in orders {
                page.outcome = Outcome::Fetched;
                if page.job == Job::Resolve {
                    page.addresses = vec![[127, 0, 0, 1].into()];
                    frontier.handle(page, 0);
                } else {
                    away.push(page);
                }
            }
        }
        for (page, links) in away.iter_mut().zip(&mut pages) {
            page.facts.status = 200;
            std::mem::swap(&mut page.links, &mut links.links);
            std::mem::swap(&mut page.link_text, &mut links.link_text);
        }
        let before = Instant::now();
        for page in away {
            frontier.handle(page, round as u64);
        }
        took += before.elapsed().as_secs_f64();
        while frontier.next_commit().is_some() {}
        kept.take(frontier, false);
    }
    (PAGES * LINKS) as f64 / took
}

fn main() {
    let millions: u64 = std::env::args().find_map(|a| a.parse().ok()).unwrap_or(10);
    let seen = millions * 1_000_000;
    for hosts in [1_000, 1_000_000] {
        let config = config();
        let mut frontier = Frontier::new(&config, &IDENTITY).expect("a frontier");
        let prints = Fingerprinter::new(&IDENTITY.key);
        let mut kept = Kept::default();
        let mut page = Page::default();
        grow(&mut frontier, seen, hosts, &prints, |frontier| {
            kept.take(frontier, true);
        });
        println!(
            "{} URLs known on {hosts} hosts",
            frontier.counters().discovered
        );
        let mut cuts: Vec<f64> = (0..CUTS)
            .map(|_| {
                answer(&mut frontier, &mut page, 0);
                let before = Instant::now();
                frontier.cut(0, 0);
                let took = before.elapsed().as_secs_f64() * 1e6;
                while frontier.sweep() {}
                kept.take(&mut frontier, true);
                took
            })
            .collect();
        cuts.sort_by(f64::total_cmp);
        println!(
            "  cut            median {:.1} µs, max {:.1} µs",
            cuts[CUTS / 2],
            cuts[CUTS - 1]
        );
        let before = Instant::now();
        let restored = Frontier::restore(&config, &IDENTITY, &kept.cut, &kept.image, &kept.logs, 0);
        let took = before.elapsed().as_secs_f64();
        let (restored, _) = restored.expect("what was kept restores");
        println!(
            "  restore        {:.2} s, {:.1} million URLs/s, queues and host names included",
            took,
            restored.counters().discovered as f64 / took / 1e6
        );
        drop(restored);
        for new_of_100 in [5, 0] {
            let links = rate(&mut frontier, &mut kept, seen, new_of_100, hosts);
            println!(
                "  discovered     {:.1} million links/s with {new_of_100} % new",
                links / 1e6
            );
        }
    }
}
