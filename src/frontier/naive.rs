//! The frontier's naive twin: the same promises with maps of strings and linear searches. Test oracle only.
//!
//! It covers discovery, deduplication, scope, depth, nofollow and readmission, first-in-first-out queues, robots.txt,
//! delays and fetches per host. It has unlimited credits and answers nothing about order between hosts.

use crate::time::Tick;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

#[derive(Default)]
pub struct Host {
    queue: VecDeque<(String, u16)>,
    resolved: bool,
    rules: Option<Vec<String>>,
    job: bool,
    in_flight: u16,
    next_at: Tick,
}

/// A link as the twin sees it.
#[derive(Clone, Debug)]
pub struct PlainLink {
    pub url: String,
    pub nofollow: bool,
}

#[derive(Default)]
pub struct Naive {
    pub max_depth: u16,
    pub per_host: u16,
    pub delay: Tick,
    pub known: BTreeSet<String>,
    pub set_aside: BTreeSet<String>,
    pub hosts: BTreeMap<String, Host>,
    pub discovered: u64,
    pub excluded: u64,
    pub done: u64,
    pub in_flight: u64,
}

pub fn origin(url: &str) -> String {
    let rest = &url["http://".len()..];
    let end = rest.find('/').unwrap_or(rest.len());
    url[.."http://".len() + end].to_string()
}

impl Naive {
    pub fn discover(&mut self, link: &PlainLink, depth: u16) {
        if self.known.contains(&link.url) {
            return;
        }
        if link.nofollow || depth > self.max_depth {
            if self.set_aside.insert(link.url.clone()) {
                self.discovered += 1;
                self.excluded += 1;
            }
            return;
        }
        if self.set_aside.contains(&link.url) {
            self.excluded -= 1;
        } else {
            self.discovered += 1;
        }
        self.known.insert(link.url.clone());
        let host = self.hosts.entry(origin(&link.url)).or_default();
        host.queue.push_back((link.url.clone(), depth));
    }

    /// Everything that may be ordered now.
    pub fn dispatch(&mut self, now: Tick) -> BTreeSet<String> {
        let mut orders = BTreeSet::new();
        for (name, host) in &mut self.hosts {
            while !host.job
                && !host.queue.is_empty()
                && host.in_flight < self.per_host
                && host.next_at <= now
            {
                if !host.resolved {
                    host.job = true;
                    orders.insert(format!("resolve {name}"));
                    break;
                }
                let Some(rules) = &host.rules else {
                    host.job = true;
                    orders.insert(format!("robots {name}"));
                    break;
                };
                let (url, depth) = host.queue.pop_front().unwrap();
                if rules
                    .iter()
                    .any(|rule| url[name.len()..].starts_with(rule.as_str()))
                {
                    self.excluded += 1;
                    continue;
                }
                host.in_flight += 1;
                self.in_flight += 1;
                if self.delay > 0 {
                    host.next_at = now + self.delay;
                }
                orders.insert(format!("fetch {url} {depth}"));
            }
        }
        orders
    }

    pub fn resolved(&mut self, name: &str) {
        let host = self.hosts.get_mut(name).unwrap();
        (host.resolved, host.job) = (true, false);
    }

    pub fn robots(&mut self, name: &str, rules: &[String], now: Tick) {
        let host = self.hosts.get_mut(name).unwrap();
        host.rules = Some(rules.to_vec());
        host.job = false;
        host.next_at = host.next_at.max(now + self.delay);
    }

    pub fn fetched(&mut self, url: &str, depth: u16, links: &[PlainLink], now: Tick) {
        let host = self.hosts.get_mut(&origin(url)).unwrap();
        host.in_flight -= 1;
        self.in_flight -= 1;
        self.done += 1;
        if self.per_host == 1 && self.delay > 0 {
            host.next_at = now + self.delay;
        }
        for link in links {
            self.discover(link, depth + 1);
        }
    }

    pub fn queued(&self) -> u64 {
        self.hosts.values().map(|h| h.queue.len() as u64).sum()
    }
}
