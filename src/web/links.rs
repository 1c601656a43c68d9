//! Which page links to which, and how many there are: the graph as pure functions of the model.
//!
//! What must hold: every page of a finite web is reachable from `/` of `h0`, whatever the faults: pages form a tree (the
//! `k`-th page whose number is a multiple of four carries links to pages `16k+1 ..= 16k+16`), the hosts' roots form the
//! same tree, and faults only fall on numbers that carry nothing. On top of the tree lie free links: near pages of the
//! same host, popular pages, other hosts by Zipf's law.

use super::draw::{Draw, Share, mix};
use super::model::{Fate, INNER_EVERY, Model, RobotsKind, purpose};
use super::path::{CALENDAR_START, DEEP_MAX, IMAGES, Target};

/// Tree links of one inner page.
const FAN_OUT: u64 = 16;

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

impl Model {
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
    pub(super) fn other_host(&self, host: u32, draw: &mut Draw) -> u32 {
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
            if page.is_multiple_of(INNER_EVERY) {
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
    if !number.is_multiple_of(INNER_EVERY) {
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
    use super::super::path::PAGE_NUMBERS;
    use super::super::settings::WebSettings;
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
}
