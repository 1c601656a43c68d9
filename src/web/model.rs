//! The web as pure functions: seed, host and number in, everything about a page out.
//!
//! What must hold: nothing depends on what was asked before; faults only fall on pages that carry no part of the tree
//! that makes all pages reachable ([`super::links`]).

use super::draw::{Draw, Share};
use super::path::{DOMAIN, PAGE_NUMBERS, Paths, Target, decimal};
use super::settings::{LEAF_SHARE, WebSettings};
use crate::limits;

/// Numbers that are a multiple of this carry the tree.
pub(super) const INNER_EVERY: u64 = 4;
/// Deviation of the logarithm of a page's size.
const SIZE_SIGMA: f64 = 0.8;

/// What happens to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is answered with 200.
    Fine,
    /// It is answered with 200 and is large.
    Large,
    /// It is answered with 200, a byte at a time.
    Slow,
    /// It redirects: so many times in a row, and a loop leads back to the page.
    Redirect {
        /// Redirects in a row, at least 1.
        hops: u32,
        /// Whether the last one leads back.
        looped: bool,
    },
    /// It is answered with this status.
    Error(u16),
    /// Its answer is no right HTTP.
    Broken(Break),
}

/// How an answer is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// Closed in the middle of a body with a length.
    EarlyClose,
    /// Closed in the middle of a chunk.
    TruncatedChunk,
    /// More bytes than Content-Length says.
    WrongLength,
    /// The status line is none.
    GarbageStatus,
    /// Closed without a byte.
    Empty,
}

/// What a host's robots.txt is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RobotsKind {
    /// Allows everything.
    Open,
    /// Forbids `/private/` but for `/private/open/`.
    Rules,
    /// Not found: allows everything.
    Missing,
    /// Answered with 500: forbids everything.
    Failing,
}

/// The purposes of draws; two draws for one purpose and page are the same draw.
pub(super) mod purpose {
    pub const FATE: u64 = 0x6661_7465;
    pub const LINKS: u64 = 0x6c69_6e6b;
    pub const BODY: u64 = 0x626f_6479;
    pub const HOST: u64 = 0x686f_7374;
    pub const TIME: u64 = 0x7469_6d65;
    pub const SIZE: u64 = 0x7369_7a65;
    pub const CODING: u64 = 0x636f_6465;
    pub const TRAP: u64 = 0x7472_6170;
}

/// A web.
#[derive(Debug)]
pub struct Model {
    pub(super) settings: WebSettings,
    port: u16,
    paths: Paths,
    /// Page numbers lie below it.
    pub(super) page_limit: u64,
}

impl Model {
    /// The web of `settings` as served on `port`.
    pub fn new(settings: WebSettings, port: u16) -> Self {
        Self {
            page_limit: match settings.pages {
                0 => PAGE_NUMBERS,
                n => n.min(PAGE_NUMBERS),
            },
            paths: Paths::new(settings.seed),
            port,
            settings,
        }
    }

    /// What it was made of.
    pub fn settings(&self) -> &WebSettings {
        &self.settings
    }

    /// Its paths and words.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Appends `h12.web.test:8080`; port 80 is left out, as it is in a canonical URL.
    pub fn write_authority(&self, host: u32, out: &mut Vec<u8>) {
        out.push(b'h');
        decimal(out, host.into());
        out.extend_from_slice(DOMAIN.as_bytes());
        if self.port != 80 {
            out.push(b':');
            decimal(out, self.port.into());
        }
    }

    /// The canonical URL of a target.
    pub fn url(&self, host: u32, target: Target) -> String {
        let mut out = b"http://".to_vec();
        self.write_authority(host, &mut out);
        self.paths.write(host, target, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// A sequence for the body of a document: size, blocks, words.
    pub(super) fn body_draw(&self, host: u32, item: u64) -> Draw {
        Draw::of(self.settings.seed, host, item, purpose::BODY)
    }

    /// Whether the web has this host.
    pub fn has_host(&self, host: u32) -> bool {
        host < self.settings.hosts
    }

    /// What `path` with its query leads to; `None`: not found.
    pub fn find(&self, host: u32, path: &[u8], scratch: &mut Vec<u8>) -> Option<Target> {
        let target = self.paths.parse(host, path, scratch)?;
        let there = match target {
            Target::Page(n) => n < self.page_limit,
            Target::Hop(n, hop) => {
                n < self.page_limit
                    && matches!(self.fate(host, n), Fate::Redirect { hops, .. } if (1..hops).contains(&hop))
            }
            Target::Private(n) | Target::Open(n) => {
                n < self.page_limit && self.robots(host) == RobotsKind::Rules
            }
            Target::Calendar(_) | Target::Deep(_) | Target::Session(..) => self.is_trap(host),
            Target::Image(_) | Target::Style | Target::Script | Target::Robots => true,
        };
        there.then_some(target)
    }

    /// What happens to a page.
    pub fn fate(&self, host: u32, page: u64) -> Fate {
        if page.is_multiple_of(INNER_EVERY) {
            return Fate::Fine;
        }
        let s = &self.settings;
        let mut draw = Draw::of(s.seed, host, page, purpose::FATE);
        let mut left = draw.unit() * LEAF_SHARE;
        let mut falls_in = |share: f64| {
            let hit = left < share;
            left -= share;
            hit
        };
        if falls_in(s.redirects) {
            return Fate::Redirect {
                hops: 1 + draw.zipf(s.redirect_chain.into()) as u32,
                looped: draw.hits(Share::new(s.redirect_loops)),
            };
        }
        if falls_in(s.errors) {
            return Fate::Error([404, 404, 404, 403, 410, 500, 503, 503][draw.below(8) as usize]);
        }
        if falls_in(s.broken) {
            let kinds = [
                Break::EarlyClose,
                Break::TruncatedChunk,
                Break::WrongLength,
                Break::GarbageStatus,
                Break::Empty,
            ];
            return Fate::Broken(kinds[draw.below(5) as usize]);
        }
        if falls_in(s.slow) {
            return Fate::Slow;
        }
        if falls_in(s.large) {
            return Fate::Large;
        }
        Fate::Fine
    }

    /// Where hop `hop` of a redirecting page leads (hop 0 is the page itself): status, host, target.
    /// `None` where the page does not redirect so often.
    pub fn redirect(&self, host: u32, page: u64, hop: u32) -> Option<(u16, u32, Target)> {
        let Fate::Redirect { hops, looped } = self.fate(host, page) else {
            return None;
        };
        if hop >= hops {
            return None;
        }
        let mut draw = Draw::of(self.settings.seed, host, page, purpose::LINKS);
        let status =
            [301, 301, 302, 303, 307, 308][((draw.bits() >> 32) as usize + hop as usize) % 6];
        if hop + 1 < hops {
            return Some((status, host, Target::Hop(page, hop + 1)));
        }
        if looped {
            return Some((status, host, Target::Page(page)));
        }
        let to = if draw.below(4) == 0 {
            self.other_host(host, &mut draw)
        } else {
            host
        };
        // An inner page, so that a redirect never leads to a fault.
        let page = draw.zipf(self.page_limit.min(1 << 20)) / INNER_EVERY * INNER_EVERY;
        Some((status, to, Target::Page(page)))
    }

    /// Size of a page before any coding, bytes.
    pub fn size(&self, host: u32, page: u64) -> usize {
        if self.fate(host, page) == Fate::Large {
            return self.settings.large_size;
        }
        let mut draw = Draw::of(self.settings.seed, host, page, purpose::SIZE);
        let size = self.settings.mean_size as f64 * draw.lognormal(SIZE_SIGMA);
        (size as usize).min(limits::WEB_PAGE_BYTES_MAX)
    }

    /// Whether a page is sent gzipped to those who accept it, and whether it is sent chunked.
    pub fn codings(&self, host: u32, page: u64) -> (bool, bool) {
        let mut draw = Draw::of(self.settings.seed, host, page, purpose::CODING);
        (
            draw.hits(Share::new(self.settings.gzip)),
            draw.hits(Share::new(self.settings.chunked)),
        )
    }

    /// Time to the first byte, milliseconds.
    pub fn latency_ms(&self, host: u32, item: u64) -> u64 {
        let s = &self.settings;
        if s.jitter_ms == 0 {
            return s.latency_ms.into();
        }
        let mut draw = Draw::of(s.seed, host, item, purpose::TIME);
        let ms = f64::from(s.latency_ms) + f64::from(s.jitter_ms) * draw.normal();
        ms.max(0.0) as u64
    }

    /// What the host's robots.txt is like.
    pub fn robots(&self, host: u32) -> RobotsKind {
        let s = &self.settings;
        let mut draw = Draw::of(s.seed, host, 0, purpose::HOST);
        let leaf = u64::from(host) % INNER_EVERY != 0;
        if draw.hits(Share::new(s.robots_failing / LEAF_SHARE)) && leaf {
            return RobotsKind::Failing;
        }
        // Of the others, so that the shares are of all hosts.
        let rest = (1.0 - s.robots_failing).max(f64::MIN_POSITIVE);
        let at = draw.unit() * rest;
        if at < s.robots_rules {
            RobotsKind::Rules
        } else if at < s.robots_rules + s.robots_missing {
            RobotsKind::Missing
        } else {
            RobotsKind::Open
        }
    }

    /// Whether the host's robots.txt allows `path` to crawlers that it does not name.
    pub fn allows(&self, host: u32, path: &[u8]) -> bool {
        match self.robots(host) {
            RobotsKind::Open | RobotsKind::Missing => true,
            RobotsKind::Rules => {
                !path.starts_with(b"/private/") || path.starts_with(b"/private/open/")
            }
            RobotsKind::Failing => path == b"/robots.txt",
        }
    }

    /// Whether the host has traps.
    pub fn is_trap(&self, host: u32) -> bool {
        self.settings.traps > 0.0
            && Draw::of(self.settings.seed, host, 0, purpose::TRAP)
                .hits(Share::new(self.settings.traps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faulty() -> WebSettings {
        WebSettings {
            hosts: 40,
            pages: 100,
            redirects: 0.2,
            redirect_loops: 0.3,
            errors: 0.2,
            broken: 0.1,
            slow: 0.05,
            large: 0.05,
            traps: 0.2,
            robots_failing: 0.2,
            ..WebSettings::default()
        }
    }

    #[test]
    fn shares_come_out_as_asked_for() {
        let model = Model::new(
            WebSettings {
                hosts: 10_000,
                pages: 0,
                ..faulty()
            },
            8080,
        );
        let mut counts = [0usize; 5];
        let n = 40_000u64;
        for page in 0..n {
            match model.fate((page % 7) as u32, page) {
                Fate::Redirect { .. } => counts[0] += 1,
                Fate::Error(_) => counts[1] += 1,
                Fate::Broken(_) => counts[2] += 1,
                Fate::Slow => counts[3] += 1,
                Fate::Large => counts[4] += 1,
                Fate::Fine => {}
            }
        }
        for (count, share) in counts.iter().zip([0.2, 0.2, 0.1, 0.05, 0.05]) {
            let got = *count as f64 / n as f64;
            assert!((got - share).abs() < 0.01, "{got} for {share}");
        }
        let kinds: Vec<RobotsKind> = (0..10_000).map(|h| model.robots(h)).collect();
        for (kind, share) in [
            (RobotsKind::Failing, 0.2),
            (RobotsKind::Rules, 0.2),
            (RobotsKind::Missing, 0.2),
        ] {
            let got = kinds.iter().filter(|k| **k == kind).count() as f64 / 10_000.0;
            assert!((got - share).abs() < 0.02, "{kind:?}: {got}");
        }
    }

    #[test]
    fn latency_has_the_asked_for_mean_and_varies() {
        let model = Model::new(
            WebSettings {
                latency_ms: 100,
                jitter_ms: 20,
                ..WebSettings::default()
            },
            8080,
        );
        let all: Vec<u64> = (0..10_000).map(|item| model.latency_ms(1, item)).collect();
        let mean = all.iter().sum::<u64>() as f64 / all.len() as f64;
        assert!((97.0..102.0).contains(&mean), "{mean}");
        assert!(all.iter().any(|ms| *ms > 130) && all.iter().any(|ms| *ms < 70));
    }

    #[test]
    fn redirects_end_at_a_whole_page_or_come_back() {
        let model = Model::new(faulty(), 8080);
        let mut seen = [0, 0];
        for page in 0..100 {
            let Fate::Redirect { hops, looped } = model.fate(2, page) else {
                assert_eq!(model.redirect(2, page, 0), None);
                continue;
            };
            let mut scratch = Vec::new();
            for hop in 0..hops {
                let (status, host, target) = model.redirect(2, page, hop).unwrap();
                assert!([301, 302, 303, 307, 308].contains(&status));
                let url = model.url(host, target);
                let path = url.split("8080").nth(1).unwrap().as_bytes().to_vec();
                assert_eq!(model.find(host, &path, &mut scratch), Some(target));
                if hop + 1 == hops {
                    let Target::Page(end) = target else {
                        panic!("a chain ends at a page")
                    };
                    assert_eq!(end == page && host == 2, looped);
                    assert!(looped || model.fate(host, end) == Fate::Fine);
                    seen[usize::from(looped)] += 1;
                }
            }
            assert_eq!(model.redirect(2, page, hops), None);
        }
        assert!(seen[0] > 0 && seen[1] > 0);
    }
}
