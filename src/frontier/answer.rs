//! What comes back: addresses, robots.txt, pages.

use super::hosts::RobotsState;
use super::log::Record;
use super::queue::Queued;
use super::{Ending, Frontier, MIMES_MAX, RobotsDetour};
use crate::event::{Commit, HostId, Job, LinkKind, Outcome, Page};
use crate::limits::{
    PAGE_REST_BYTES_MAX, PROMPT_MS, PROXY_TRIES_MAX, RETRY_AFTER_MAX_S, RETRY_WAIT_MS,
    ROBOTS_REDIRECTS_MAX, TRIAL_ANSWERS, TRIES_MAX,
};
use crate::protocol::robots::Rules;
use crate::time::{MILLISECOND, SECOND, Tick};

/// Failures in a row after which a host is given up.
const HOST_FAILURES_MAX: u16 = 8;
/// Failures of single URLs in a row after which the host is left in peace for a while.
const SOFT_FAILURES_MAX: u16 = 3;
/// Doublings of the wait at most (2 s, 4 s, ... about 4 minutes).
const WAIT_DOUBLINGS_MAX: u16 = 7;
/// The same while the proxy fails (2 s, ... 32 s): all hosts wait for one, and none of them is to be spared.
const PROXY_DOUBLINGS_MAX: u16 = 4;

/// What a status code says about trying again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Advice {
    Final,
    /// This URL, later.
    Again,
    /// The host is overloaded: leave it in peace.
    BackOff,
}

fn advice(page: &Page) -> Advice {
    match page.outcome {
        Outcome::Fetched => match page.facts.status {
            429 | 503 => Advice::BackOff,
            408 | 500 | 502 | 504 => Advice::Again,
            _ => Advice::Final,
        },
        Outcome::CutDisconnect | Outcome::ClosedEarly => Advice::Again,
        outcome if outcome.is_transient() => Advice::BackOff,
        _ => Advice::Final,
    }
}

/// Tries of one URL, the first included.
fn tries_max(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::ProxyFailed => PROXY_TRIES_MAX,
        _ => TRIES_MAX,
    }
}

fn wait(failures: u16, outcome: Outcome) -> Tick {
    let most = match outcome {
        Outcome::ProxyFailed => PROXY_DOUBLINGS_MAX,
        _ => WAIT_DOUBLINGS_MAX,
    };
    let doublings = failures.saturating_sub(1).min(most);
    (RETRY_WAIT_MS << doublings) * MILLISECOND
}

impl Frontier {
    /// Takes an answer. What is to be stored goes to the store; everything else returns to the pool.
    pub fn handle(&mut self, page: Box<Page>, now: Tick) {
        self.counters.wire_bytes += page.wire_bytes;
        self.note_pace(&page, now);
        if page.outcome == Outcome::ProxyFailed {
            self.proxy_fails = true;
        } else if page.job != Job::Resolve && page.outcome.has_response() {
            self.proxy_fails = false;
        }
        match page.job {
            Job::Resolve => self.resolved(page, now),
            Job::Robots => self.robots_answered(page, now),
            Job::Fetch => self.fetched(page, now),
        }
    }

    /// Keeps in mind whether a host kept a credit for long; robots.txt and a page that came promptly end that.
    fn note_pace(&mut self, page: &Page, now: Tick) {
        let clocks = &page.clocks;
        let took = match clocks.done {
            0 => now.saturating_sub(clocks.ordered),
            done => done.saturating_sub(clocks.started),
        };
        let live = &mut self.live[page.host as usize];
        if took > PROMPT_MS * MILLISECOND {
            live.prompt_answers = 0;
            live.was_slow = true;
        } else if page.outcome.has_response() {
            live.prompt_answers = live.prompt_answers.saturating_add(1);
            live.was_slow &= live.prompt_answers < TRIAL_ANSWERS;
        }
    }

    fn resolved(&mut self, page: Box<Page>, now: Tick) {
        let host = page.host;
        self.close_job(host);
        if page.outcome == Outcome::Pending {
            // The lane was stopped; ask again another time.
        } else if page.addresses.is_empty() {
            if self.keep_stale(host, &page, now) {
                self.live[host as usize].job_tries = 0;
            } else {
                self.job_failed(host, Outcome::DnsFailed, now);
            }
        } else {
            self.counters.resolved += 1;
            self.live[host as usize].job_tries = 0;
            if !self.keep_addresses(host, &page, now) {
                self.live[host as usize].ending = Some(Ending::Refused);
            }
        }
        let asked = page.outcome != Outcome::Pending;
        self.pool.put(page);
        if asked {
            self.resume_detours(host, now);
        }
        self.wake(host, now);
    }

    fn close_job(&mut self, host: HostId) {
        self.live[host as usize].job = false;
        self.jobs -= 1;
    }

    /// A job failed: again after a wait, or the host is given up.
    fn job_failed(&mut self, host: HostId, outcome: Outcome, now: Tick) {
        let live = &mut self.live[host as usize];
        live.job_tries += 1;
        if live.job_tries < tries_max(outcome) {
            let wait = wait(u16::from(live.job_tries), outcome);
            self.hosts.edit(host).next_at = now + wait;
            return;
        }
        live.job_tries = 0;
        if outcome == Outcome::RobotsUnreachable {
            self.set_robots(host, RobotsState::Unreachable, None, now);
        } else {
            live.ending = Some(Ending::Failed(outcome));
        }
    }

    fn robots_answered(&mut self, page: Box<Page>, now: Tick) {
        let host = page.host;
        self.close_job(host);
        if page.outcome == Outcome::Pending {
            self.pool.put(page);
            return self.wake(host, now);
        }
        if page.outcome.has_response() {
            self.prefer_address(host, page.address);
        }
        let status = page.facts.status;
        if page.outcome.is_tls() && page.redirects == 0 {
            // Nothing of this host can be had, and the cause has a name.
            self.tls_failed(host, page.outcome, now);
        } else if page.outcome == Outcome::ProxyRefused && page.redirects == 0 {
            self.live[host as usize].ending = Some(Ending::Failed(page.outcome));
        } else if page.outcome == Outcome::ProxyFailed {
            self.job_failed(host, page.outcome, now);
        } else if !page.outcome.has_response() || status >= 500 || status == 429 {
            // No answer means no permission, for now.
            self.job_failed(host, Outcome::RobotsUnreachable, now);
        } else if (300..400).contains(&status) {
            self.robots_redirected(&page, now);
        } else if (200..300).contains(&status) {
            self.counters.robots_fetched += 1;
            let rules = Rules::parse(&page.robots, &self.policy.product);
            self.set_robots(host, RobotsState::Rules, Some(rules), now);
            self.discover_sitemaps(&page, now);
        } else {
            self.counters.robots_fetched += 1;
            self.set_robots(host, RobotsState::AllowAll, None, now);
        }
        self.finish(page);
        self.wake(host, now);
    }

    /// robots.txt was not had for want of TLS. A certificate stays what it is; anything else is tried again.
    fn tls_failed(&mut self, host: HostId, outcome: Outcome, now: Tick) {
        if !self.give_up_for_certificate(host, outcome) {
            self.job_failed(host, outcome, now);
        }
    }

    /// Gives up a host that showed a certificate that is not accepted and never another: every further URL would meet
    /// the same. One that has answered before may have shown the certificate of one machine of many.
    fn give_up_for_certificate(&mut self, host: HostId, outcome: Outcome) -> bool {
        let gives_up = outcome.is_certificate() && self.hosts.get(host).pages == 0;
        if gives_up {
            self.live[host as usize].ending = Some(Ending::Failed(outcome));
        }
        gives_up
    }

    fn set_robots(&mut self, host: HostId, state: RobotsState, rules: Option<Rules>, now: Tick) {
        let kept = rules.filter(|rules| !rules.is_allow_all() || rules.crawl_delay_s().is_some());
        let delay_ms = kept.as_ref().map_or(0, |r| self.policy.crawl_delay_ms(r));
        let pause = self.policy.delay.max(Tick::from(delay_ms) * MILLISECOND);
        let record = self.hosts.edit(host);
        record.robots_at = now;
        record.delay_ms = delay_ms;
        record.robots = match (state, &kept) {
            (RobotsState::Rules, None) => RobotsState::AllowAll,
            (state, _) => state,
        };
        // robots.txt was a fetch like any other: the pause holds from here.
        record.next_at = record.next_at.max(now + pause);
        if let Some(rules) = &kept {
            let mut bytes = Vec::new();
            rules.encode(&mut bytes);
            self.journal.url(&Record::Rules {
                host,
                rules: &bytes,
            });
        }
        let live = &mut self.live[host as usize];
        live.job_tries = 0;
        live.rules = kept.map(Box::new);
    }

    /// Follows a redirect of robots.txt, within RFC 9309 2.3.1.2; a chain too long counts as "not there".
    fn robots_redirected(&mut self, page: &Page, now: Tick) {
        let host = page.host;
        let link = page
            .links
            .iter()
            .find(|link| link.kind == LinkKind::Redirect);
        let redirects = page.redirects + 1;
        let target = link.filter(|_| redirects <= ROBOTS_REDIRECTS_MAX);
        let Some(link) = target else {
            return self.set_robots(host, RobotsState::AllowAll, None, now);
        };
        let at = link.at as usize;
        let url = page.link_text[at..at + usize::from(link.len)].to_vec();
        let Some(target) = self.intern(&url[..usize::from(link.path_at)], false) else {
            return self.set_robots(host, RobotsState::AllowAll, None, now);
        };
        let detour = RobotsDetour {
            url,
            path_at: link.path_at,
            target,
            redirects,
        };
        // While the detour waits for an address or a credit its host has a job under way.
        self.live[host as usize].job = true;
        self.jobs += 1;
        self.detours.insert(host, detour);
        self.advance_detours(now);
    }

    /// Takes the next step for each robots.txt that is on another host, as far as credits allow: the address of that
    /// host, then the file. What finds no credit is tried again by the next dispatch.
    pub(super) fn advance_detours(&mut self, now: Tick) {
        let waiting: Vec<HostId> = self.detours.keys().copied().collect();
        for host in waiting {
            if !self.pool.has(self.pace(host)) {
                continue;
            }
            let target = self.detours[&host].target;
            if self.has_address(target, now) || self.is_left_to_proxy(target) {
                self.order_detour(host, now);
            } else if !self.live[target as usize].job {
                self.order_resolve(target, now);
            }
        }
    }

    fn has_address(&self, host: HostId, now: Tick) -> bool {
        let live = &self.live[host as usize];
        !live.addresses.is_empty() && live.address_until > now
    }

    /// The look-up of `target` has ended: what waited for it goes on, or has failed with it.
    fn resume_detours(&mut self, target: HostId, now: Tick) {
        if self.detours.is_empty() {
            return;
        }
        if self.has_address(target, now) {
            return self.advance_detours(now);
        }
        let waiting: Vec<HostId> = self
            .detours
            .iter()
            .filter(|(_, d)| d.target == target)
            .map(|(host, _)| *host)
            .collect();
        for host in waiting {
            self.detours.remove(&host);
            self.close_job(host);
            self.job_failed(host, Outcome::RobotsUnreachable, now);
            self.wake(host, now);
        }
    }

    fn order_detour(&mut self, host: HostId, now: Tick) {
        let Some(mut page) = self.pool.take(self.pace(host), now) else {
            return;
        };
        let detour = self.detours.remove(&host).expect("the caller found it");
        self.close_job(host);
        page.job = Job::Robots;
        page.host = host;
        page.fingerprint = self.fingerprinter.of(&detour.url);
        page.url.extend_from_slice(&detour.url);
        page.path_at = detour.path_at;
        page.redirects = detour.redirects;
        self.fill_addresses(&mut page, detour.target);
        page.clocks.ordered = now;
        self.open_job(host, page);
    }

    fn fetched(&mut self, page: Box<Page>, now: Tick) {
        let entry = self.ledger.leave(page.slot);
        let host = entry.host;
        self.counters.in_flight -= 1;
        self.live[host as usize].in_flight -= 1;
        if self.policy.per_host == 1 {
            let pause = self.pause(host);
            if pause > 0 {
                self.hosts.edit(host).next_at = now + pause;
            }
        }
        if page.outcome == Outcome::Pending {
            self.again(&page, page.tries, now);
            return self.pool.put(page);
        }
        if page.outcome.has_response() {
            self.prefer_address(host, page.address);
        }
        let advice = advice(&page);
        self.note_host(host, &page, advice, now);
        if advice != Advice::Final && page.tries + 1 < tries_max(page.outcome) {
            self.counters.retries += 1;
            self.again(&page, page.tries + 1, now);
            self.pool.put(page);
        } else if page.outcome.has_response() {
            self.done(&page, now);
            self.finish(page);
        } else {
            let item = self.item_of(&page, page.tries);
            self.fail(host, &item, page.outcome);
            self.pool.put(page);
        }
        self.wake(host, now);
    }

    /// Keeps count of a host's failures and lets it rest where it needs to.
    fn note_host(&mut self, host: HostId, page: &Page, advice: Advice, now: Tick) {
        if self.give_up_for_certificate(host, page.outcome) {
            return;
        }
        let failures = self.hosts.get(host).failures;
        let sound = page.outcome.has_response() || failures == 0;
        if advice == Advice::Final && sound && !page.outcome.is_certificate() {
            if failures != 0 {
                self.hosts.edit(host).failures = 0;
            }
            return;
        }
        let alone = self.live[host as usize].queue.is_empty();
        let record = self.hosts.edit(host);
        record.failures = record.failures.saturating_add(1);
        let rest = advice == Advice::BackOff || record.failures >= SOFT_FAILURES_MAX || alone;
        if rest {
            let asked = u64::from(page.facts.retry_after_s).min(RETRY_AFTER_MAX_S) * SECOND;
            let until = now + wait(record.failures, page.outcome).max(asked);
            record.next_at = record.next_at.max(until);
        }
        let blamed = !page.outcome.has_response() && page.outcome != Outcome::ProxyFailed;
        if record.failures >= HOST_FAILURES_MAX && blamed {
            self.live[host as usize].ending = Some(Ending::Failed(page.outcome));
        }
    }

    fn item_of(&self, page: &Page, tries: u8) -> Queued {
        Queued {
            fingerprint: page.fingerprint,
            depth: page.depth,
            kind: page.kind as u8,
            redirects: page.redirects,
            tries,
            target: page.target().to_vec(),
        }
    }

    /// Queues a URL again, behind the others of its host.
    fn again(&mut self, page: &Page, tries: u8, now: Tick) {
        self.journal.close(page.fingerprint);
        let item = self.item_of(page, tries);
        self.enqueue(page.host, &item, now);
    }

    /// A URL ends with a response.
    fn done(&mut self, page: &Page, now: Tick) {
        self.counters.end(page.outcome);
        self.journal.close(page.fingerprint);
        let code = usize::from(page.facts.status);
        let code = if code < super::counters::STATUS_CODES {
            code
        } else {
            0
        };
        self.counters.status[code] += 1;
        self.counters.pages += 1;
        self.counters.parsed += u64::from(page.parsed);
        let bytes = page.body_len() as u64;
        self.counters.body_bytes += bytes;
        let record = self.hosts.edit(page.host);
        record.pages += 1;
        record.bytes += bytes;
        self.count_mime(&page.mime, bytes);
        self.discover(page, now);
    }

    fn count_mime(&mut self, mime: &[u8], bytes: u64) {
        let known = self.mimes.contains_key(mime);
        let name = if known || self.mimes.len() < MIMES_MAX {
            mime
        } else {
            b"(other)"
        };
        if !self.mimes.contains_key(name) {
            self.mimes.insert(name.to_vec(), (0, 0));
        }
        if let Some((pages, total)) = self.mimes.get_mut(name) {
            *pages += 1;
            *total += bytes;
        }
    }

    /// To the store where there is something to store, else back to the pool.
    fn finish(&mut self, mut page: Box<Page>) {
        // The store may be long in coming to it, and needs no links.
        if page.link_text.capacity() > PAGE_REST_BYTES_MAX {
            (page.link_text, page.links) = (Vec::new(), Vec::new());
        }
        if page.outcome.has_response() && !page.record.is_empty() {
            self.commits.push_back(Commit::Page(page));
        } else {
            self.pool.put(page);
        }
    }
}
