//! One request and its response on one connection.
//!
//! What must hold: readiness is edge-triggered, so reading goes on until the system has nothing more. When the announced body is complete nothing is read any more.
//! One byte more than is wanted is always offered, so that what a server sends beyond its response is noticed.

use super::LaneLoad;
use super::tls::TlsClient;
use super::transport::{Then, Transport, would_block};
use crate::budget::PageShare;
use crate::event::{Facts, HostId, Job, Outcome, Page};
use crate::limits::{HEADROOM_BYTES, READ_ROOM_BYTES, READ_TURN_BYTES_MAX, ROBOTS_BYTES_MAX};
use crate::protocol::http1::{Reader, RequestWriter, Step, Terms};
use crate::protocol::tunnel::Tunnel;
use crate::time::{Clock, Tick, Wall};
use std::io::ErrorKind;
use std::net::SocketAddr;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Waiting to stand.
    Dialling,
    /// The connection to the proxy stands; it has to connect further.
    Tunnelling,
    /// It stands, and TLS is being agreed on.
    Handshaking,
    /// Part of the request is not sent yet.
    Sending,
    /// Waiting for the first byte.
    Awaiting,
    /// Receiving.
    Reading,
    /// Kept, without a request.
    Idle,
}

/// A connection.
pub(super) struct Connection {
    pub transport: Transport,
    /// The way through a proxy, until it is open.
    pub tunnel: Option<Box<Tunnel>>,
    /// When it has to be open.
    pub tunnel_due: Tick,
    pub host: HostId,
    pub address: SocketAddr,
    pub state: State,
    /// The peer has announced the end of its stream; no further edge will tell.
    pub read_closed: bool,
    /// The exchange under way; none on idle connections.
    pub flight: Option<Flight>,
}

/// A page on its way over a connection.
pub(super) struct Flight {
    pub page: Box<Page>,
    pub reader: Reader,
    /// Lines of its own in the request: credentials and cookies; mostly empty.
    pub fields: Vec<u8>,
    /// Bytes of the request that are sent.
    pub sent: usize,
    /// The connection had carried another request before.
    pub reused: bool,
    /// This is the second try, on a fresh connection.
    pub redialled: bool,
    /// It waits for memory, and no clock of its rate runs.
    pub paused: bool,
    /// It may have all the memory that it needs: one of a lane, so that the others' wait has an end.
    pub favoured: bool,
    /// When the whole fetch has to be through.
    pub total_due: Tick,
    /// When the rate is measured next.
    pub window_due: Tick,
    /// Bytes that had come when the window began.
    pub window_bytes: u64,
}

/// What the lane passes down to every exchange.
pub(super) struct Context {
    pub writer: RequestWriter,
    /// Product token of the user agent.
    pub product: Vec<u8>,
    /// The request being sent; written anew where one could not be sent at once.
    pub request: Vec<u8>,
    pub tls: TlsClient,
    /// `http` URLs are asked for in absolute form, of a proxy.
    pub whole_urls: bool,
    pub body_max: usize,
    pub clock: Clock,
    /// Time at the start of the turn.
    pub now: Tick,
    pub wall: Wall,
    pub pages: PageShare,
    pub load: LaneLoad,
}

/// What became of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// All is sent.
    Whole,
    /// The rest goes when the socket takes it.
    Blocked,
    /// The connection failed.
    Failed(ErrorKind),
    /// The URL cannot stand in a request.
    Refused,
}

/// What became of receiving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// Nothing more is there.
    Blocked,
    /// More is there, but others have their turn.
    Again,
    /// The page needs a larger buffer than the share of all pages has left.
    Short,
    /// The exchange has ended.
    Ended(Outcome),
}

impl Flight {
    /// A flight that begins now, with the answer fields of its page cleared.
    pub fn new(mut page: Box<Page>, total: Tick) -> Self {
        page.outcome = Outcome::Pending;
        page.facts = Facts::default();
        page.wire_bytes = 0;
        (page.head_at, page.body_at, page.body_end) = (0, 0, 0);
        let started = page.clocks.started;
        (page.clocks.connected, page.clocks.first_byte) = (0, 0);
        Self {
            page,
            reader: Reader::new(HEADROOM_BYTES),
            fields: Vec::new(),
            sent: 0,
            reused: false,
            redialled: false,
            paused: false,
            favoured: false,
            total_due: started.saturating_add(total),
            window_due: 0,
            window_bytes: 0,
        }
    }

    /// Nothing of the answer has come.
    pub fn is_untouched(&self) -> bool {
        self.page.wire_bytes == 0
    }

    /// Writes the findings of the reader into the page.
    pub fn conclude(mut self, outcome: Outcome, done: Tick, wall: Wall) -> Box<Page> {
        let page = &mut self.page;
        page.outcome = outcome;
        page.clocks.done = done;
        page.fetched_at = wall;
        if outcome.has_response() {
            page.head_at = self.reader.head_at() as u32;
            page.body_at = self.reader.body_at() as u32;
            page.body_end = self.reader.body_end() as u32;
            page.facts = *self.reader.facts();
        }
        self.page
    }

    /// Makes sure that there is room to receive into: all that is known to come and a byte more if that is little,
    /// else at least half of [`READ_ROOM_BYTES`]. Grows by doubling, never to more than body limit and one read; false where
    /// the share of all pages does not have that.
    fn make_room(&mut self, body_max: usize, pages: &PageShare) -> bool {
        let at = self.reader.fill_at();
        let buf = &mut self.page.buf;
        let free = buf.len().saturating_sub(at);
        let known = self.reader.wanted();
        let wanted = known.map_or(usize::MAX, |n| {
            usize::try_from(n).unwrap_or(body_max).min(body_max) + 1
        });
        if free >= wanted.min(READ_ROOM_BYTES / 2) {
            return true;
        }
        let least = at + READ_ROOM_BYTES;
        let most = (self.reader.body_at() + body_max).max(at) + READ_ROOM_BYTES;
        let exact = at.saturating_add(wanted).max(least);
        let room = (buf.len() * 2).clamp(least, most).min(exact);
        if room > buf.len() {
            if !self.page.holding.grow(room, pages, self.favoured) {
                return false;
            }
            buf.reserve_exact(room - buf.len());
            buf.resize(room, 0);
        }
        true
    }
}

impl Connection {
    /// Sends what is left of the request.
    pub fn send(&mut self, context: &mut Context) -> Sent {
        let Some(flight) = &mut self.flight else {
            return Sent::Whole;
        };
        let (page, request) = (&flight.page, &mut context.request);
        request.clear();
        let (target, authority) = (page.target(), page.authority());
        let written = match context.whole_urls && !page.is_https() {
            true => context.writer.write_absolute(target, authority, request),
            false => context.writer.write(target, authority, request),
        };
        if written.is_err() {
            return Sent::Refused;
        }
        if !flight.fields.is_empty() {
            request.truncate(request.len() - 2); // before the empty line
            request.extend_from_slice(&flight.fields);
            request.extend_from_slice(b"\r\n");
        }
        while flight.sent < request.len() {
            match self.transport.write(&request[flight.sent..]) {
                Ok(0) => return Sent::Failed(ErrorKind::WriteZero),
                Ok(n) => {
                    flight.sent += n;
                    context.load.bytes_out += n as u64;
                }
                Err(e) if would_block(&e) => return Sent::Blocked,
                Err(e) => return Sent::Failed(e.kind()),
            }
        }
        match self.transport.flush() {
            Ok(()) => Sent::Whole,
            Err(e) if would_block(&e) => Sent::Blocked,
            Err(e) => Sent::Failed(e.kind()),
        }
    }

    /// Receives what is there, up to a bound.
    pub fn receive(&mut self, context: &mut Context) -> Received {
        let Some(flight) = &mut self.flight else {
            return Received::Blocked;
        };
        let body_max = match flight.page.job {
            Job::Robots => context.body_max.min(ROBOTS_BYTES_MAX),
            _ => context.body_max,
        };
        let terms = Terms {
            body_max,
            product: &context.product,
            wall: context.wall,
        };
        let mut budget = READ_TURN_BYTES_MAX;
        loop {
            if !flight.make_room(body_max, &context.pages) {
                return Received::Short;
            }
            let at = flight.reader.fill_at();
            let room = &mut flight.page.buf[at..];
            let scratch = &mut context.tls.scratch;
            let took = self.transport.read(room, scratch, self.read_closed);
            context.load.bytes_in += took.wire as u64;
            let page = &mut flight.page;
            if took.bytes > 0 {
                if page.wire_bytes == 0 {
                    page.clocks.first_byte = context.clock.now();
                }
                page.wire_bytes += took.bytes as u64;
                let step = flight.reader.received(&mut page.buf, took.bytes, &terms);
                if let Step::Done(outcome) = step {
                    return Received::Ended(outcome);
                }
            }
            match took.then {
                Then::More => {}
                Then::Drained => return Received::Blocked,
                Then::Closed { clean } => return Received::Ended(flight.reader.closed(clean)),
                // Some servers say only now that they do not want us (a certificate asked for, say).
                Then::Broken(outcome) if flight.is_untouched() => return Received::Ended(outcome),
                Then::Broken(_) => return Received::Ended(flight.reader.closed(false)),
            }
            budget = budget.saturating_sub(took.bytes.max(took.wire));
            if budget == 0 {
                return Received::Again;
            }
        }
    }
}
