//! One lane's client: look-ups by name, tries by server, answers by ticket.
//!
//! What must hold: every ticket that was sent gets one answer; at most [`DNS_OPEN_MAX`] names are asked for at once, each
//! with one socket and one deadline; a try ends when its server has said all it can, or by its deadline.

use super::cache::Cache;
use super::link::Link;
use super::lookup::{Lookup, State, Taken};
use super::random::Random;
use super::resolver::Resolver;
use super::servers::Servers;
use super::{DnsLoad, Found};
use crate::fetch::connections::is_scarce;
use crate::fetch::wheel::Wheel;
use crate::limits::{
    DNS_CACHE_NAMES_MAX, DNS_DESCRIPTOR_WAIT_MS, DNS_FAILURE_TTL_S, DNS_MESSAGE_BYTES_MAX,
    DNS_MISMATCHES_MAX, DNS_OPEN_MAX, DNS_OTHER_FAMILY_MS, DNS_TCP_MS, DNS_TIMEOUT_MS,
    DNS_TOTAL_MS, DNS_TRIES_MAX,
};
use crate::protocol::dns::{self, Name, Question, Refused};
use crate::time::{MILLISECOND, Tick};
use mio::{Registry, Token};
use std::collections::HashMap;
use std::io::ErrorKind;

/// The bit that tells the tokens of name servers from those of connections.
const TOKEN_BIT: usize = 1 << (usize::BITS - 1);

/// Whether an event belongs to a [`Client`]. The lane's bell has all bits set and is sorted out before.
pub fn is_dns_token(token: Token) -> bool {
    token.0 & TOKEN_BIT != 0
}

/// What became of asking.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// The answer, at once.
    Known(Found),
    /// It will come under the ticket.
    Sent,
    /// Not now: too many names are being asked for.
    Full,
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Done {
    /// What was passed to [`Client::ask`].
    pub ticket: u32,
    /// What was found.
    pub found: Found,
}

/// How a try goes on.
enum Next {
    /// It waits.
    Wait,
    /// This server is of no more use.
    Retry,
    /// The same server over TCP.
    OverTcp,
    /// All is known, or as much as can be.
    End,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    lookup: Option<Box<Lookup>>,
}

/// A lane's client. See the module's page.
pub struct Client {
    resolver: Resolver,
    registry: Registry,
    servers: Servers,
    cache: Cache,
    random: Random,
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_name: HashMap<Name, u32>,
    wheel: Wheel,
    fired: Vec<u32>,
    /// A message on its way out.
    message: Vec<u8>,
    /// A message that has come.
    room: Vec<u8>,
    /// Answers that have not been taken.
    done: Vec<Done>,
    /// Look-ups that found no descriptor free since somebody last looked.
    pub starved: usize,
    /// What it has done.
    pub load: DnsLoad,
}

impl Client {
    /// A client whose sockets are polled by `registry`.
    pub fn new(resolver: Resolver, registry: Registry, now: Tick) -> Self {
        Self {
            servers: Servers::new(resolver.servers()),
            resolver,
            registry,
            cache: Cache::new(DNS_CACHE_NAMES_MAX),
            random: Random::new(),
            slots: Vec::new(),
            free: Vec::new(),
            by_name: HashMap::new(),
            wheel: Wheel::new(now),
            fired: Vec::new(),
            message: Vec::with_capacity(512),
            room: vec![0; DNS_MESSAGE_BYTES_MAX],
            done: Vec::new(),
            starved: 0,
            load: DnsLoad::default(),
        }
    }

    /// Asks for the addresses of `host`, which is a host as URLs have it (IPv6 in brackets).
    pub fn ask(&mut self, host: &str, port: u16, ticket: u32, now: Tick) -> Asked {
        let name = match self.resolver.known(host, port) {
            Ok(found) => return Asked::Known(found),
            Err(name) => name,
        };
        if let Some(found) = self.cache.get(&name, now) {
            self.load.cached += 1;
            return Asked::Known(found);
        }
        let under_way = self.by_name.get(&name).map(|id| *id as usize);
        if let Some(lookup) = under_way.and_then(|id| self.slots[id].lookup.as_mut()) {
            self.load.shared += 1;
            lookup.tickets.push(ticket);
            return Asked::Sent;
        }
        if self.by_name.len() >= DNS_OPEN_MAX {
            return Asked::Full;
        }
        self.load.lookups += 1;
        let id = self.free.pop().unwrap_or(self.slots.len() as u32);
        if id as usize == self.slots.len() {
            self.slots.push(Slot::default());
        }
        self.by_name.insert(name.clone(), id);
        let total_due = now + DNS_TOTAL_MS * MILLISECOND;
        self.settle(id, Lookup::new(name, ticket, total_due), Next::Retry, now);
        Asked::Sent
    }

    /// An event of the poller for a token of ours.
    pub fn event(&mut self, token: Token, now: Tick) {
        let id = token.0 as u32;
        let is_it = self.slots.get(id as usize).is_some() && self.token(id) == token;
        let lookup = match is_it {
            true => self.slots[id as usize].lookup.take(),
            false => None,
        };
        if let Some(mut lookup) = lookup {
            let next = self.receive(&mut lookup, now);
            self.settle(id, lookup, next, now);
        }
    }

    /// Ends what is overdue.
    pub fn turn(&mut self, now: Tick) {
        let mut fired = std::mem::take(&mut self.fired);
        self.wheel.expire(now, &mut fired);
        for id in fired.drain(..) {
            if let Some(mut lookup) = self.slots[id as usize].lookup.take() {
                let next = self.overdue(&mut lookup, now);
                self.settle(id, lookup, next, now);
            }
        }
        self.fired = fired;
    }

    /// The next answer that has come.
    pub fn answer(&mut self) -> Option<Done> {
        self.done.pop()
    }

    /// Gives up all look-ups without an answer.
    pub fn stop(&mut self) {
        for id in 0..self.slots.len() as u32 {
            if self.slots[id as usize].lookup.take().is_some() {
                self.release(id);
            }
        }
        self.by_name.clear();
        self.done.clear();
    }

    fn release(&mut self, id: u32) {
        let slot = &mut self.slots[id as usize];
        slot.generation = slot.generation.wrapping_add(1);
        self.wheel.clear(id);
        self.free.push(id);
    }

    fn token(&self, id: u32) -> Token {
        let generation = (self.slots[id as usize].generation & (u32::MAX >> 1)) as usize;
        Token(TOKEN_BIT | generation << 32 | id as usize)
    }

    /// Does what is to be done next until the look-up waits or has ended.
    fn settle(&mut self, id: u32, mut lookup: Box<Lookup>, mut next: Next, now: Tick) {
        loop {
            next = match next {
                Next::Wait => {
                    self.wheel.set(id, lookup.due);
                    self.slots[id as usize].lookup = Some(lookup);
                    return;
                }
                Next::Retry => self.retry(id, &mut lookup, now),
                Next::OverTcp => self.over_tcp(id, &mut lookup, now),
                Next::End => return self.conclude(id, lookup, now),
            };
        }
    }

    /// Begins the next try, at the next server.
    fn retry(&mut self, id: u32, lookup: &mut Lookup, now: Tick) -> Next {
        let most = DNS_TRIES_MAX.min(3 * self.servers.len() as u8);
        // With an address in hand the other family is not worth another server.
        if lookup.has_address() || lookup.tries >= most || now >= lookup.total_due {
            return Next::End;
        }
        lookup.link = None;
        lookup.server = self.servers.next(&mut lookup.round, now);
        let server = self.servers.address(lookup.server);
        match Link::udp(server, &self.registry, self.token(id)) {
            Ok(link) => lookup.link = Some(link),
            Err(e) if is_scarce(&e) => {
                // Not the server's fault, and no try.
                self.starved += 1;
                let wait = DNS_DESCRIPTOR_WAIT_MS * MILLISECOND;
                lookup.due = (now + wait).min(lookup.total_due);
                return Next::Wait;
            }
            Err(_) => {
                lookup.tries += 1;
                self.servers.silent(lookup.server, now);
                return Next::Retry;
            }
        }
        let rounds = lookup.tries / self.servers.len() as u8;
        lookup.tries += 1;
        let wait = (DNS_TIMEOUT_MS << rounds) * MILLISECOND;
        self.begin(lookup, wait, now)
    }

    /// Asks the server at hand again, over TCP.
    fn over_tcp(&mut self, id: u32, lookup: &mut Lookup, now: Tick) -> Next {
        lookup.link = None;
        let server = self.servers.address(lookup.server);
        match Link::tcp(server, &self.registry, self.token(id)) {
            Ok(link) => lookup.link = Some(link),
            Err(_) => return self.lost(lookup, now),
        }
        self.begin(lookup, DNS_TCP_MS * MILLISECOND, now)
    }

    /// A try over a new link: everything that is not known is asked.
    fn begin(&mut self, lookup: &mut Lookup, wait: Tick, now: Tick) -> Next {
        lookup.heard = false;
        lookup.mismatches = 0;
        lookup.due = (now + wait).min(lookup.total_due);
        for part in 0..lookup.parts.len() {
            if !matches!(lookup.parts[part].state, State::Known(..)) && !self.send(lookup, part) {
                return self.lost(lookup, now);
            }
        }
        Next::Wait
    }

    /// Sends the question of a part. False where the link has failed.
    fn send(&mut self, lookup: &mut Lookup, part: usize) -> bool {
        let (Some(link), Ok(id), Ok(case)) = (
            &mut lookup.link,
            self.random.take::<2>(),
            self.random.take(),
        ) else {
            return false;
        };
        let part = &mut lookup.parts[part];
        let question = Question::new(&part.name, part.family, u16::from_be_bytes(id), case);
        self.message.clear();
        question.write(lookup.edns, &mut self.message);
        part.state = State::Asked(question);
        self.load.questions += 1;
        self.load.over_tcp += u64::from(link.is_tcp());
        link.send(&self.message).is_ok()
    }

    /// The link has failed: the server refuses, or there is no way to it.
    fn lost(&mut self, lookup: &mut Lookup, now: Tick) -> Next {
        if !lookup.heard {
            self.servers.silent(lookup.server, now);
        }
        // A server that rewrites names and has no TCP is believed without the case of letters rather than not at all.
        if lookup.recased && lookup.link.as_ref().is_none_or(Link::is_tcp) {
            lookup.exact_case = false;
        }
        Next::Retry
    }

    /// Takes the messages that have come.
    fn receive(&mut self, lookup: &mut Lookup, now: Tick) -> Next {
        loop {
            let Some(link) = &mut lookup.link else {
                return Next::Wait;
            };
            let length = match link.receive(&mut self.room) {
                Ok(length) => length,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Next::Wait,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => {
                    self.load.malformed += u64::from(e.kind() == ErrorKind::InvalidData);
                    return self.lost(lookup, now);
                }
            };
            match self.take(lookup, length, now) {
                Next::Wait => {}
                next => return next,
            }
        }
    }

    /// Takes one message: the first `length` bytes of the room.
    fn take(&mut self, lookup: &mut Lookup, length: usize, now: Tick) -> Next {
        let bytes = &self.room[..length];
        let tcp = lookup.link.as_ref().is_some_and(Link::is_tcp);
        let id = bytes.first_chunk().map(|id| u16::from_be_bytes(*id));
        let part = id.and_then(|id| lookup.asked_with(id));
        let read = match part.map(|part| (part, &lookup.parts[part].state)) {
            Some((part, State::Asked(question))) => {
                dns::read(bytes, question, lookup.exact_case && !tcp).map(|answer| (part, answer))
            }
            _ => Err(Refused::Mismatch),
        };
        match (read, part) {
            (Ok((part, answer)), _) => {
                lookup.heard = true;
                self.servers.answered(lookup.server);
                self.load.refusals += u64::from(matches!(answer, dns::Answer::Failed { .. }));
                if lookup.take(part, answer) == Taken::AskAgain && !self.send(lookup, part) {
                    return self.lost(lookup, now);
                }
            }
            (Err(Refused::Truncated), _) if !tcp => {
                self.load.truncated += 1;
                return Next::OverTcp;
            }
            (Err(Refused::WrongCase), _) => {
                self.load.wrong_case += 1;
                lookup.recased = true;
                return Next::OverTcp;
            }
            (Err(Refused::Malformed | Refused::Truncated), Some(part)) => {
                self.load.malformed += 1;
                lookup.parts[part].state = State::Refused;
            }
            (Err(_), _) => {
                self.load.mismatched += 1;
                lookup.mismatches += 1;
                if lookup.mismatches >= DNS_MISMATCHES_MAX {
                    return if tcp { Next::Retry } else { Next::OverTcp };
                }
            }
        }
        self.judge(lookup, now)
    }

    /// Whether the try has brought what it can.
    fn judge(&mut self, lookup: &mut Lookup, now: Tick) -> Next {
        if lookup.is_known() {
            return Next::End;
        }
        if !lookup.is_waiting() {
            lookup.refusals += 1;
            // Each server is taken at its word, once; one more try is for a server that EDNS0 was too new for.
            let most = self.servers.len() + usize::from(!lookup.edns);
            return match usize::from(lookup.refusals) < most {
                true => Next::Retry,
                false => Next::End,
            };
        }
        if lookup.has_address() {
            let soon = now + DNS_OTHER_FAMILY_MS * MILLISECOND;
            lookup.due = lookup.due.min(soon);
        }
        Next::Wait
    }

    fn overdue(&mut self, lookup: &mut Lookup, now: Tick) -> Next {
        if lookup.has_address() {
            return Next::End;
        }
        if lookup.link.is_some() {
            self.load.timeouts += 1;
            return self.lost(lookup, now);
        }
        Next::Retry
    }

    fn conclude(&mut self, id: u32, mut lookup: Box<Lookup>, now: Tick) {
        let mut found = lookup.conclusion();
        self.resolver.order(&mut found.addresses);
        match (found.addresses.is_empty(), found.ttl_s) {
            (false, _) => self.load.found += 1,
            (true, 0) => self.load.failed += 1,
            (true, _) => self.load.none += 1,
        }
        let Lookup { name, tickets, .. } = *lookup;
        for ticket in tickets {
            self.done.push(Done {
                ticket,
                found: found.clone(),
            });
        }
        self.by_name.remove(&name);
        self.release(id);
        let ttl_s = found.ttl_s.max(DNS_FAILURE_TTL_S);
        self.cache.put(name, found, ttl_s, now);
    }
}
