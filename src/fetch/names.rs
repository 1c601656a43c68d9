//! Pages that wait for addresses.
//!
//! What must hold: pages stay here and only names go to the client, so that a name server that never answers cannot keep
//! a page. A ticket is a page's place here; as many pages wait as there are credits.

use super::dns::{Asked, Client, DnsLoad, Done, Found};
use crate::event::{Outcome, Page};
use crate::time::Tick;
use mio::Token;
use std::collections::VecDeque;

pub(super) struct Names {
    client: Client,
    /// Pages whose name the client has not taken yet.
    queue: VecDeque<Box<Page>>,
    /// Pages by ticket.
    asked: Vec<Option<Box<Page>>>,
    free: Vec<u32>,
}

impl Names {
    pub fn new(client: Client) -> Self {
        Self {
            client,
            queue: VecDeque::new(),
            asked: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Pages that wait here.
    pub fn len(&self) -> usize {
        self.asked.len() - self.free.len() + self.queue.len()
    }

    /// What the client has done.
    pub fn load(&self) -> DnsLoad {
        self.client.load
    }

    /// Names that have found no descriptor free since this was last asked.
    pub fn take_starved(&mut self) -> usize {
        std::mem::take(&mut self.client.starved)
    }

    /// Takes a page whose host is to be resolved.
    pub fn accept(&mut self, mut page: Box<Page>, now: Tick, done: &mut Vec<Box<Page>>) {
        page.addresses.clear();
        page.outcome = Outcome::Pending;
        page.clocks.started = now;
        self.queue.push_back(page);
        self.ask(now, done);
    }

    /// An event for a name server's socket.
    pub fn event(&mut self, token: Token, now: Tick) {
        self.client.event(token, now);
    }

    /// Answers what can be answered; finished pages go to `done`.
    pub fn turn(&mut self, now: Tick, done: &mut Vec<Box<Page>>) {
        if self.len() == 0 {
            return;
        }
        self.client.turn(now);
        while let Some(Done { ticket, found }) = self.client.answer() {
            if let Some(page) = self.asked[ticket as usize].take() {
                self.free.push(ticket);
                finish(page, found, now, done);
            }
        }
        self.ask(now, done);
    }

    /// Gives all pages back, not done.
    pub fn stop(&mut self, done: &mut Vec<Box<Page>>) {
        self.client.stop();
        done.extend(self.asked.drain(..).flatten().chain(self.queue.drain(..)));
        self.free.clear();
    }

    fn ask(&mut self, now: Tick, done: &mut Vec<Box<Page>>) {
        while let Some(page) = self.queue.pop_front() {
            let Some((host, port)) = host_and_port(page.origin()) else {
                finish(page, Found::default(), now, done);
                continue;
            };
            let ticket = self.free.pop().unwrap_or(self.asked.len() as u32);
            if ticket as usize == self.asked.len() {
                self.asked.push(None);
            }
            match self.client.ask(host, port, ticket, now) {
                Asked::Sent => self.asked[ticket as usize] = Some(page),
                Asked::Known(found) => {
                    self.free.push(ticket);
                    finish(page, found, now, done);
                }
                Asked::Full => {
                    self.free.push(ticket);
                    self.queue.push_front(page);
                    return;
                }
            }
        }
    }
}

fn finish(mut page: Box<Page>, found: Found, now: Tick, done: &mut Vec<Box<Page>>) {
    page.outcome = match found.addresses.is_empty() {
        true => Outcome::DnsFailed,
        false => Outcome::Fetched,
    };
    page.addresses.extend_from_slice(&found.addresses);
    page.address_ttl_s = found.ttl_s;
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
