//! Pages that wait for addresses.
//!
//! What must hold: pages stay here and only names go to the resolver, so that a name server that never answers cannot
//! keep a page. Tickets count up, so a page is found by subtraction. As many pages wait as there are credits.

use super::resolve::{Answer, Asked, Client};
use crate::event::{Outcome, Page};
use crate::limits::RESOLVE_MS;
use crate::time::{MILLISECOND, Tick};
use std::collections::VecDeque;

/// A question that is out; its page is gone once it was answered.
struct Waiting {
    page: Option<Box<Page>>,
    due: Tick,
}

pub(super) struct Names {
    client: Client,
    /// Pages whose question the resolver has not taken yet.
    queue: VecDeque<Box<Page>>,
    /// Questions by ticket; the first has ticket `first`.
    asked: VecDeque<Waiting>,
    first: u64,
    /// Pages in `asked`.
    open: usize,
}

impl Names {
    pub fn new(client: Client) -> Self {
        Self {
            client,
            queue: VecDeque::new(),
            asked: VecDeque::new(),
            first: 0,
            open: 0,
        }
    }

    /// Pages that wait here.
    pub fn len(&self) -> usize {
        self.open + self.queue.len()
    }

    /// Takes a page whose host is to be resolved.
    pub fn accept(&mut self, mut page: Box<Page>, now: Tick, done: &mut Vec<Box<Page>>) {
        page.addresses.clear();
        page.outcome = Outcome::Pending;
        page.clocks.started = now;
        self.queue.push_back(page);
        self.ask(now, done);
    }

    /// Answers what can be answered; finished pages go to `done`.
    pub fn turn(&mut self, now: Tick, done: &mut Vec<Box<Page>>) {
        if self.len() == 0 {
            return;
        }
        while let Some(answer) = self.client.answer() {
            self.take(answer, now, done);
        }
        self.expire(now, done);
        self.ask(now, done);
    }

    /// Gives all pages back, not done.
    pub fn stop(&mut self, done: &mut Vec<Box<Page>>) {
        let asked = self.asked.iter_mut().filter_map(|w| w.page.take());
        done.extend(asked.chain(self.queue.drain(..)));
        self.open = 0;
    }

    fn ask(&mut self, now: Tick, done: &mut Vec<Box<Page>>) {
        while let Some(page) = self.queue.pop_front() {
            let ticket = self.first + self.asked.len() as u64;
            let asked = host_and_port(page.origin())
                .map(|(host, port)| self.client.ask(host, port, ticket));
            match asked {
                None => finish(page, Outcome::DnsFailed, now, done),
                Some(Asked::Known(address)) => {
                    let mut page = page;
                    page.addresses.push(address);
                    finish(page, Outcome::Fetched, now, done);
                }
                Some(Asked::Sent) => {
                    let due = now + RESOLVE_MS * MILLISECOND;
                    let page = Some(page);
                    self.asked.push_back(Waiting { page, due });
                    self.open += 1;
                }
                Some(Asked::Full) => {
                    self.queue.push_front(page);
                    return;
                }
            }
        }
    }

    fn take(&mut self, answer: Answer, now: Tick, done: &mut Vec<Box<Page>>) {
        // Tickets before `first` were given up.
        let Some(index) = answer.ticket.checked_sub(self.first) else {
            return;
        };
        let waiting = self.asked.get_mut(index as usize);
        if let Some(mut page) = waiting.and_then(|w| w.page.take()) {
            self.open -= 1;
            page.addresses.extend_from_slice(&answer.addresses);
            let outcome = if page.addresses.is_empty() {
                Outcome::DnsFailed
            } else {
                Outcome::Fetched
            };
            finish(page, outcome, now, done);
        }
    }

    /// Drops answered questions from the front and gives up those that are overdue.
    fn expire(&mut self, now: Tick, done: &mut Vec<Box<Page>>) {
        while let Some(front) = self.asked.front_mut() {
            if front.page.is_some() && front.due > now {
                return;
            }
            if let Some(page) = front.page.take() {
                self.open -= 1;
                finish(page, Outcome::DnsFailed, now, done);
            }
            self.asked.pop_front();
            self.first += 1;
        }
    }
}

fn finish(mut page: Box<Page>, outcome: Outcome, now: Tick, done: &mut Vec<Box<Page>>) {
    page.outcome = outcome;
    page.clocks.done = now;
    done.push(page);
}

/// Host and port of an origin in canonical form (`https://host`, `http://[::1]:8080`).
fn host_and_port(origin: &[u8]) -> Option<(&str, u16)> {
    let origin = std::str::from_utf8(origin).ok()?;
    let (scheme, authority) = origin.split_once("://")?;
    let default = if scheme == "https" { 443 } else { 80 };
    match authority.rsplit_once(':') {
        // A colon inside brackets belongs to an IPv6 address.
        Some((host, port)) if !port.ends_with(']') => Some((host, port.parse().ok()?)),
        _ => Some((authority, default)),
    }
    .filter(|(host, _)| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_split_into_host_and_port() {
        let split = |o: &'static str| host_and_port(o.as_bytes());
        assert_eq!(split("http://a.test"), Some(("a.test", 80)));
        assert_eq!(split("https://a.test"), Some(("a.test", 443)));
        assert_eq!(split("http://a.test:8080"), Some(("a.test", 8080)));
        assert_eq!(split("http://[::1]"), Some(("[::1]", 80)));
        assert_eq!(split("http://[::1]:81"), Some(("[::1]", 81)));
        assert_eq!(split("http://"), None);
        assert_eq!(split("a.test"), None);
        assert_eq!(split("http://a.test:x"), None);
    }
}
