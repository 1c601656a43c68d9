//! The web as pure functions: seed, host and number in, everything about a page out.
//!
//! What must hold: nothing depends on what was asked before. Every page of a finite web is reachable from `/` of `h0`,
//! whatever the faults: pages form a tree (the `k`-th page whose number is a multiple of four carries links to pages
//! `16k+1 ..= 16k+16`), the hosts' roots form the same tree, and faults only fall on numbers that carry nothing.
//! On top of the tree lie free links: near pages of the same host, popular pages, other hosts by Zipf's law.

use super::draw::{Draw, Share, mix};
use super::path::{CALENDAR_START, DEEP_MAX, DOMAIN, IMAGES, PAGE_NUMBERS, Paths, Target, decimal};
use super::settings::{LEAF_SHARE, WebSettings};
use crate::limits;

/// Numbers that are a multiple of this carry the tree.
const INNER_EVERY: u64 = 4;
/// Tree links of one inner page.
const FAN_OUT: u64 = 16;
/// Deviation of the logarithm of a page's size.
const SIZE_SIGMA: f64 = 0.8;

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// `a href`.
    Page,
    /// `img src` or `srcset`.
    Image,
    /// `link rel=stylesheet`.
    Style,
    /// `script src`.
    Script,
}

/// Where in a document a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the head.
    Head,
    /// In the navigation at the top.
    Nav,
    /// Within the text.
    Body,
    /// In the footer.
    Foot,
}

/// A link of a document.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// What for.
    pub kind: LinkKind,
    /// Where it stands.
    pub place: Place,
    /// Host it leads to.
    pub host: u32,
    /// What it leads to.
    pub target: Target,
    /// How it is written; the renderer takes it modulo what it knows.
    pub form: u32,
}

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
mod purpose {
    pub const FATE: u64 = 0x6661_7465;
    pub const LINKS: u64 = 0x6c69_6e6b;
    pub const BODY: u64 = 0x626f_6479;
    pub const HOST: u64 = 0x686f_7374;
    pub const TIME: u64 = 0x7469_6d65;
    pub const SIZE: u64 = 0x7369_7a65;
}

/// A web.
#[derive(Debug)]
pub struct Model {
    settings: WebSettings,
    port: u16,
    paths: Paths,
    page_limit: u64,
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
        if page % INNER_EVERY == 0 {
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
        let mut draw = Draw::of(self.settings.seed, host, page, purpose::HOST);
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
            && Draw::of(self.settings.seed, host, 1, purpose::HOST)
                .hits(Share::new(self.settings.traps))
    }

    /// All links of a page in document order, repeats included, as canonical URLs: what a right crawler finds.
    /// Empty where the page is not answered with a whole document.
    pub fn links_of(&self, host: u32, page: u64) -> Vec<(LinkKind, String)> {
        if matches!(self.fate(host, page), Fate::Broken(_)) {
            return Vec::new();
        }
        self.links_of_target(host, Target::Page(page))
    }

    /// As [`links_of`](Self::links_of), for any target.
    pub fn links_of_target(&self, host: u32, target: Target) -> Vec<(LinkKind, String)> {
        let mut links = Vec::new();
        self.links(host, target, &mut links);
        links
            .iter()
            .map(|link| (link.kind, self.url(link.host, link.target)))
            .collect()
    }

    /// Puts the links of a document into `links` in document order.
    pub fn links(&self, host: u32, target: Target, links: &mut Vec<Link>) {
        links.clear();
        match target {
            Target::Page(page) => self.page_links(host, page, links),
            Target::Private(n) | Target::Open(n) => {
                push(links, Place::Foot, host, Target::Page(0));
                push(links, Place::Foot, host, Target::Page(n));
            }
            Target::Calendar(month) => {
                push(links, Place::Foot, host, Target::Calendar(month + 1));
                push(
                    links,
                    Place::Foot,
                    host,
                    Target::Calendar(month.saturating_sub(1)),
                );
            }
            Target::Deep(depth) if depth < DEEP_MAX => {
                push(links, Place::Foot, host, Target::Deep(depth + 1));
            }
            Target::Session(page, sid) => {
                let mut draw = Draw::of(self.settings.seed, host, sid, page);
                for next in [page, page + 1] {
                    let sid = draw.bits() >> 12;
                    push(links, Place::Foot, host, Target::Session(next, sid));
                }
            }
            _ => {}
        }
    }

    fn page_links(&self, host: u32, page: u64, links: &mut Vec<Link>) {
        if !matches!(
            self.fate(host, page),
            Fate::Fine | Fate::Large | Fate::Slow | Fate::Broken(_)
        ) {
            return;
        }
        let s = &self.settings;
        let mut draw = Draw::of(s.seed, host, page, purpose::LINKS);
        let degree = (f64::from(s.degree) * draw.pareto()).round() as usize;
        self.head_and_nav(host, &mut draw, links);
        let fixed = links.iter().filter(|l| l.kind == LinkKind::Page).count();
        let first = links.len();
        self.tree_links(host, page, links);
        let tree = links.len() - first;
        let free = degree.saturating_sub(fixed + tree) as u64;
        let images = draw.below(2 * u64::from(s.images) + 1);
        let mut shown = 0;
        for i in 0..free {
            while shown * free < i * images {
                self.image(host, Place::Body, &mut draw, links);
                shown += 1;
            }
            let (to, target) = self.free_link(host, page, &mut draw);
            let form = draw.bits() as u32;
            links.push(Link {
                kind: LinkKind::Page,
                place: Place::Body,
                host: to,
                target,
                form,
            });
        }
        while shown < images {
            self.image(host, Place::Body, &mut draw, links);
            shown += 1;
        }
        self.foot(host, page, &mut draw, links);
    }

    fn head_and_nav(&self, host: u32, draw: &mut Draw, links: &mut Vec<Link>) {
        let mut asset = |kind, target| {
            links.push(Link {
                kind,
                place: Place::Head,
                host,
                target,
                form: 0,
            });
        };
        asset(LinkKind::Style, Target::Style);
        if draw.below(2) == 0 {
            asset(LinkKind::Script, Target::Script);
        }
        // The same on every page of a host, as navigation is.
        let entries = u64::from(self.settings.degree / 8).min(4);
        for entry in 0..entries {
            let page = entry * INNER_EVERY;
            if page < self.page_limit {
                push(links, Place::Nav, host, Target::Page(page));
            }
        }
    }

    fn tree_links(&self, host: u32, page: u64, links: &mut Vec<Link>) {
        for child in children(page, self.page_limit) {
            push(links, Place::Body, host, Target::Page(child));
        }
        if page == 0 {
            for child in children(host.into(), self.settings.hosts.into()) {
                push(links, Place::Body, child as u32, Target::Page(0));
            }
        }
    }

    fn free_link(&self, host: u32, page: u64, draw: &mut Draw) -> (u32, Target) {
        let far = draw.hits(Share::new(self.settings.far));
        let to = if far {
            self.other_host(host, draw)
        } else {
            host
        };
        let number = if to != host || draw.below(4) == 0 {
            // A popular page; on an endless host as far as this page is, so that the known part grows evenly.
            draw.zipf(self.page_limit.min((2 * page).max(4_096)))
        } else {
            // A near page.
            let step = 1 + draw.zipf(self.page_limit.min(1 << 16));
            let there = if draw.below(3) == 0 {
                page + self.page_limit - step % self.page_limit
            } else {
                page + step
            };
            there % self.page_limit
        };
        (to, Target::Page(number))
    }

    /// Another host by Zipf's law over all, now and then a neighbour; the same where there is only one.
    fn other_host(&self, host: u32, draw: &mut Draw) -> u32 {
        let hosts = u64::from(self.settings.hosts);
        let there = if draw.below(4) == 0 {
            (u64::from(host) + 1 + draw.zipf(hosts)) % hosts
        } else {
            draw.zipf(hosts)
        };
        there as u32
    }

    fn image(&self, host: u32, place: Place, draw: &mut Draw, links: &mut Vec<Link>) {
        let form = draw.bits() as u32;
        links.push(Link {
            kind: LinkKind::Image,
            place,
            host,
            target: Target::Image(draw.zipf(IMAGES.into()) as u32),
            form,
        });
    }

    fn foot(&self, host: u32, page: u64, draw: &mut Draw, links: &mut Vec<Link>) {
        // A pixel for those without scripts.
        if draw.below(8) == 0 && self.settings.images > 0 {
            self.image(host, Place::Foot, draw, links);
        }
        if self.robots(host) == RobotsKind::Rules && (page == 0 || draw.below(2) == 0) {
            push(links, Place::Foot, host, Target::Private(page));
            if page % INNER_EVERY == 0 {
                push(links, Place::Foot, host, Target::Open(page));
            }
        }
        if (page == 0 || draw.below(16) == 0) && self.is_trap(host) {
            let sid = draw.bits() >> 12;
            push(links, Place::Foot, host, Target::Calendar(CALENDAR_START));
            push(links, Place::Foot, host, Target::Deep(1));
            push(links, Place::Foot, host, Target::Session(page, sid));
        }
    }
}

/// The tree: what an inner number carries, below `limit`.
fn children(number: u64, limit: u64) -> std::ops::Range<u64> {
    if number % INNER_EVERY != 0 {
        return 0..0;
    }
    let first = (number / INNER_EVERY).saturating_mul(FAN_OUT) + 1;
    first.min(limit)..first.saturating_add(FAN_OUT).min(limit)
}

fn push(links: &mut Vec<Link>, place: Place, host: u32, target: Target) {
    links.push(Link {
        kind: LinkKind::Page,
        place,
        host,
        target,
        form: form_of(target),
    });
}

/// The same link is written the same way wherever it stands, as templates do.
fn form_of(target: Target) -> u32 {
    match target {
        Target::Page(n) => mix(n) as u32,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

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

    /// Follows page links (not redirects, not traps) from h0's root over answers that are whole.
    fn reachable(model: &Model) -> HashSet<(u32, u64)> {
        let mut seen = HashSet::from([(0, 0)]);
        let mut queue = vec![(0, 0)];
        let mut links = Vec::new();
        while let Some((host, page)) = queue.pop() {
            let whole = matches!(
                model.fate(host, page),
                Fate::Fine | Fate::Large | Fate::Slow
            );
            if !whole || model.robots(host) == RobotsKind::Failing {
                continue;
            }
            model.links(host, Target::Page(page), &mut links);
            for link in &links {
                if let Target::Page(n) = link.target
                    && seen.insert((link.host, n))
                {
                    queue.push((link.host, n));
                }
            }
        }
        seen
    }

    #[test]
    fn the_whole_web_is_reachable_whatever_the_faults() {
        for (hosts, pages) in [(40, 100), (1, 1), (1, 5_000), (300, 1), (7, 18)] {
            let model = Model::new(
                WebSettings {
                    hosts,
                    pages,
                    ..faulty()
                },
                8080,
            );
            let seen = reachable(&model);
            for host in 0..hosts {
                if model.robots(host) == RobotsKind::Failing {
                    assert!(seen.contains(&(host, 0)));
                    continue;
                }
                for page in 0..pages {
                    assert!(seen.contains(&(host, page)), "h{host} page {page}");
                }
            }
            assert!(seen.iter().all(|(h, p)| *h < hosts && *p < pages));
        }
    }

    #[test]
    fn the_tree_alone_reaches_everything() {
        let model = Model::new(
            WebSettings {
                degree: 0,
                ..faulty()
            },
            8080,
        );
        let whole_hosts = (0..40).filter(|h| model.robots(*h) != RobotsKind::Failing);
        let expected: usize = whole_hosts.count() * 100;
        let failing = (0..40).filter(|h| model.robots(*h) == RobotsKind::Failing);
        assert_eq!(reachable(&model).len(), expected + failing.count());
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
    fn sizes_and_degrees_have_the_asked_for_means() {
        let model = Model::new(WebSettings::default(), 8080);
        let n = 4_000;
        let mut links = Vec::new();
        let (mut degree, mut size) = (0, 0);
        for page in 0..n {
            model.links(3, Target::Page(page), &mut links);
            degree += links.iter().filter(|l| l.kind == LinkKind::Page).count();
            size += model.size(3, page);
        }
        let (degree, size) = (degree as f64 / n as f64, size as f64 / n as f64);
        assert!((27.0..34.0).contains(&degree), "{degree}");
        assert!((23_500.0..26_500.0).contains(&size), "{size}");
    }

    #[test]
    fn an_endless_host_never_ends_and_far_pages_have_far_links() {
        let model = Model::new(WebSettings::default(), 8080);
        let far = PAGE_NUMBERS - 4;
        let mut links = Vec::new();
        model.links(1, Target::Page(far), &mut links);
        assert!(links.len() > 5);
        for link in links {
            if let Target::Page(n) = link.target {
                assert!(n < PAGE_NUMBERS);
            }
        }
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
