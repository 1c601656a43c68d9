//! How a connection comes to stand: dialled, dug through a proxy, agreed on by TLS; and what happens where it does not.
//!
//! What must hold: where a connection does not come about the next address of the host has its turn, but not where the
//! proxy is at fault; an order that finds no descriptor waits in line.

use super::{Connections, Slot, owner};
use crate::event::{Outcome, Page};
use crate::fetch::exchange::{Connection, Flight, State};
use crate::fetch::tls::Shaken;
use crate::fetch::transport::Transport;
use crate::fetch::way::{Dug, dig, way};
use crate::fetch::wheel::STEP;
use crate::limits::{CONNECT_NEXT_MS, DESCRIPTOR_WAIT_MS, HEADROOM_BYTES, PROXY_FULL_MS};
use crate::protocol::http1::Reader;
use crate::protocol::tunnel::Tunnel;
use crate::time::{MILLISECOND, Tick};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};

impl Connections {
    /// Begins to connect, or has the flight wait for a descriptor.
    pub(super) fn dial_or_wait(&mut self, flight: Flight) {
        let due = self.context.now + DESCRIPTOR_WAIT_MS * MILLISECOND;
        if let Some(flight) = self.dial(flight) {
            self.starved.push_back((due, flight));
            self.context.load.starved = self.starved.len();
        }
    }

    /// Begins to connect. Where no descriptor is free the oldest idle connection gives way; where there is none the
    /// flight comes back.
    fn dial(&mut self, flight: Flight) -> Option<Flight> {
        let address = flight.page.address?;
        let tunnel = match self.tunnel(&flight.page) {
            Ok(tunnel) => tunnel,
            Err(outcome) => {
                self.finish(flight, outcome);
                return None;
            }
        };
        let id = self.free.pop().unwrap_or(self.slots.len() as u32);
        if id as usize == self.slots.len() {
            self.slots.push(Slot::default());
        }
        let to = self.settings.proxy.as_ref().map_or(address, |p| p.address);
        let mut dialled = Transport::dial(to, &self.registry, self.token(id));
        if dialled.as_ref().is_err_and(is_scarce) && self.evict_oldest() {
            dialled = Transport::dial(to, &self.registry, self.token(id));
        }
        let transport = match dialled {
            Ok(transport) => transport,
            Err(e) => {
                self.free.push(id);
                // No local address is a want of ports, or of the family: then another address may do.
                let last = to != address || flight.page.addresses.is_empty();
                if is_scarce(&e) && (last || e.kind() != ErrorKind::AddrNotAvailable) {
                    return Some(flight);
                }
                let outcome = self.unconnected(e.kind());
                self.fall_back(flight, outcome);
                return None;
            }
        };
        let transport = if flight.page.is_https() {
            let Some(session) = self.context.tls.connection(&flight.page) else {
                self.free.push(id);
                self.finish(flight, Outcome::NotSent);
                return None;
            };
            transport.secured(session)
        } else {
            transport
        };
        let began = self.context.now.max(flight.page.clocks.started);
        let patience = match to == address {
            true => patience(self.settings.clocks.connect, &flight.page),
            false => self.settings.clocks.connect,
        };
        let due = began.saturating_add(patience).min(flight.total_due);
        self.slots[id as usize].connection = Some(Connection {
            transport,
            tunnel,
            tunnel_due: 0,
            host: owner(&flight.page),
            address,
            state: State::Dialling,
            read_closed: false,
            flight: Some(flight),
        });
        self.context.load.dialled += 1;
        self.context.load.open += 1;
        *self.gauge(State::Dialling) += 1;
        self.wheel.set(id, due);
        None
    }

    /// The way that a connection for `page` has to be dug, where there is a proxy and it does not take the whole URL.
    fn tunnel(&self, page: &Page) -> Result<Option<Box<Tunnel>>, Outcome> {
        let settings = &self.settings;
        match &settings.proxy {
            Some(proxy) if page.is_https() || !proxy.takes_whole_urls() => {
                Ok(Some(Box::new(way(proxy, &settings.user_agent, page)?)))
            }
            _ => Ok(None),
        }
    }

    /// Goes on with what comes before a request: the way through the proxy, the handshake. Returns whether the request may
    /// be sent.
    pub(super) fn prepare(&mut self, id: u32) -> bool {
        self.dig(id) && self.shake(id)
    }

    /// Goes on with the way through the proxy, where there is one to dig. Returns whether there is none (any more).
    fn dig(&mut self, id: u32) -> bool {
        let Self { slots, context, .. } = self;
        let Some(connection) = slots[id as usize].connection.as_mut() else {
            return false;
        };
        let (Some(tunnel), Some(flight)) = (&mut connection.tunnel, &mut connection.flight) else {
            return true;
        };
        match dig(tunnel, connection.transport.stream()) {
            Dug::Dialling => {}
            Dug::Waiting if connection.state == State::Dialling => {
                let patience = patience(self.settings.clocks.connect, &flight.page);
                let now = context.clock.now();
                connection.tunnel_due = now.saturating_add(patience).min(flight.total_due);
                let hint = now.saturating_add(PROXY_FULL_MS * MILLISECOND);
                let due = connection.tunnel_due.min(hint);
                self.set_state(id, Some(State::Tunnelling));
                self.wheel.set(id, due);
            }
            Dug::Waiting => {}
            Dug::Open => {
                connection.tunnel = None;
                flight.page.clocks.connected = context.clock.now();
                if !flight.page.is_https() {
                    self.set_state(id, Some(State::Sending));
                }
                return true;
            }
            Dug::Failed(outcome) => self.end(id, outcome),
        }
        false
    }

    /// Goes on with the handshake where there is one. Returns whether the request may be sent.
    fn shake(&mut self, id: u32) -> bool {
        let Self { slots, context, .. } = self;
        let Some(connection) = slots[id as usize].connection.as_mut() else {
            return false;
        };
        let shaken = connection.transport.handshake(&mut context.tls.scratch);
        let (Some(shaken), Some(flight)) = (shaken, &mut connection.flight) else {
            return true;
        };
        let fresh = matches!(connection.state, State::Dialling | State::Tunnelling);
        match shaken {
            Shaken::Done(resumed) => {
                flight.page.clocks.connected = context.clock.now();
                context.load.tls_full += u64::from(!resumed);
                context.load.tls_resumed += u64::from(resumed);
                self.set_state(id, Some(State::Sending));
                return true;
            }
            Shaken::Waiting if fresh => {
                let due = context.clock.now().saturating_add(self.settings.clocks.tls);
                let due = due.min(flight.total_due);
                self.set_state(id, Some(State::Handshaking));
                self.wheel.set(id, due);
            }
            Shaken::Dialling | Shaken::Waiting => {}
            Shaken::Unconnected(kind) => {
                let outcome = self.unconnected(kind);
                self.end(id, outcome);
            }
            Shaken::Failed(outcome) => {
                context.load.tls_failed += 1;
                self.end(id, outcome);
            }
        }
        false
    }

    /// The proxy has not connected further yet. Some let newcomers wait without a word while they have as many connections
    /// as they take, so one that is idle gives way, once; then it is waited on.
    pub(super) fn tunnel_waits(&mut self, id: u32, now: Tick) {
        let Some(due) = self.get(id).map(|c| c.tunnel_due) else {
            return;
        };
        if now >= due {
            return self.end(id, Outcome::ConnectTimeout);
        }
        self.evict_oldest();
        self.wheel.set(id, due);
    }

    /// Outcome of a connect that failed.
    pub(super) fn unconnected(&self, kind: ErrorKind) -> Outcome {
        match self.settings.proxy {
            None => connect_outcome(kind),
            Some(_) => Outcome::ProxyFailed,
        }
    }

    /// A kept connection to one of the further addresses.
    pub(super) fn take_other(&mut self, flight: &mut Flight) -> Option<u32> {
        let (host, first) = (flight.page.host, flight.page.address?);
        let other = |ip: &IpAddr| SocketAddr::new(*ip, first.port());
        let mut others = flight.page.addresses.iter().map(other);
        let (id, address) = others.find_map(|a| Some((self.pool.take(host, a)?, a)))?;
        flight.page.address = Some(address);
        Some(id)
    }

    /// Where no connection came about, the next address has its turn; else, and where there is none, the page is finished.
    pub(super) fn fall_back(&mut self, mut flight: Flight, outcome: Outcome) {
        let unconnected = matches!(outcome, Outcome::ConnectFailed | Outcome::ConnectTimeout);
        let page = &mut flight.page;
        match page.address {
            Some(failed) if unconnected && !page.addresses.is_empty() => {
                page.address = Some(SocketAddr::new(page.addresses.remove(0), failed.port()));
                self.context.load.fell_back += 1;
                self.dial_or_wait(flight);
            }
            _ => self.finish(flight, outcome),
        }
    }

    /// A second and last try, on a connection of its own.
    pub(super) fn redial(&mut self, mut flight: Flight) {
        self.context.load.redialled += 1;
        flight.sent = 0;
        flight.reused = false;
        flight.redialled = true;
        flight.page.clocks.connected = 0;
        flight.reader = Reader::new(HEADROOM_BYTES);
        self.dial_or_wait(flight);
    }

    /// Tries starved orders again when a connection has closed, and gives up those that have waited long enough.
    pub(super) fn feed_starved(&mut self, now: Tick) {
        while let Some((due, flight)) = self.starved.pop_front() {
            if due <= now {
                self.context.load.no_descriptor += 1;
                self.finish(flight, Outcome::NotSent);
            } else if !self.freed && now < self.starved_try {
                self.starved.push_front((due, flight));
                break;
            } else if let Some(flight) = self.dial(flight) {
                self.freed = false;
                self.starved_try = now + STEP;
                self.starved.push_front((due, flight));
            }
        }
        self.context.load.starved = self.starved.len();
    }
}

/// Time for the server of `page` to be connected to: less while it has another address.
fn patience(connect: Tick, page: &Page) -> Tick {
    match page.addresses.is_empty() {
        true => connect,
        false => (CONNECT_NEXT_MS * MILLISECOND).min(connect),
    }
}

/// The system has no descriptor, port or memory to give just now.
pub fn is_scarce(e: &io::Error) -> bool {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    let by_number = matches!(e.raw_os_error(), Some(EMFILE | ENFILE));
    let by_kind = matches!(
        e.kind(),
        ErrorKind::AddrNotAvailable
            | ErrorKind::OutOfMemory
            | ErrorKind::StorageFull
            | ErrorKind::WouldBlock
    );
    by_number || by_kind
}

/// Outcome of a connect that failed, to the server itself.
fn connect_outcome(kind: ErrorKind) -> Outcome {
    match kind {
        ErrorKind::TimedOut => Outcome::ConnectTimeout,
        // It stood, and was torn down before the request was out.
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Outcome::ClosedEarly,
        _ => Outcome::ConnectFailed,
    }
}
