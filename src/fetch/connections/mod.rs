//! All connections of a lane: used, kept, timed out.
//!
//! What must hold:
//! * A connection is in one state, counted in [`LaneLoad`](super::LaneLoad), with one deadline in the wheel.
//! * A token carries the generation of its slot, so an event for a connection that is gone finds nothing.
//! * An order that finds no descriptor free waits, and is tried again when a connection has closed; it never spins.

mod dialling;
mod paused;

pub(super) use dialling::is_scarce;

use super::LaneSettings;
use super::exchange::{Connection, Context, Flight, Received, Sent, State};
use super::pool::Pool;
use super::transport::Transport;
use super::wheel::Wheel;
use crate::event::{HostId, Job, NO_HOST, Outcome, Page};
use crate::time::{SECOND, Tick};
use mio::{Registry, Token};
use std::collections::VecDeque;
use std::io::ErrorKind;

/// A place for a connection.
#[derive(Default)]
struct Slot {
    generation: u32,
    connection: Option<Connection>,
}

/// The connections of a lane and everything that is tied to them.
pub(super) struct Connections {
    registry: Registry,
    settings: LaneSettings,
    pub context: Context,
    slots: Vec<Slot>,
    free: Vec<u32>,
    pool: Pool,
    wheel: Wheel,
    fired: Vec<u32>,
    /// Connections that have more to read than their turn allowed.
    again: Vec<Token>,
    /// Those whose turn it is.
    round: Vec<Token>,
    /// Connections whose pages wait for memory; some may be gone.
    paused: VecDeque<Token>,
    /// The connection of the flight that has all the memory it needs; it may be gone.
    favoured: Option<Token>,
    /// Flights without a descriptor, and until when they wait.
    starved: VecDeque<(Tick, Flight)>,
    /// A connection has closed since the last starved flight was tried.
    freed: bool,
    /// When they are tried again although none has closed here: other lanes close theirs too.
    starved_try: Tick,
    /// Answered pages.
    pub finished: Vec<Box<Page>>,
}

impl Connections {
    pub fn new(registry: Registry, settings: LaneSettings, context: Context) -> Self {
        Self {
            wheel: Wheel::new(settings.clock.now()),
            registry,
            settings,
            context,
            slots: Vec::new(),
            free: Vec::new(),
            pool: Pool::default(),
            fired: Vec::new(),
            again: Vec::new(),
            round: Vec::new(),
            paused: VecDeque::new(),
            favoured: None,
            starved: VecDeque::new(),
            freed: false,
            starved_try: 0,
            finished: Vec::new(),
        }
    }

    /// Something is to be done although no event has come.
    pub fn is_pressed(&self) -> bool {
        !self.again.is_empty() || !self.finished.is_empty()
    }

    /// Something is to be done when time has passed.
    pub fn is_timed(&self) -> bool {
        !self.wheel.is_empty() || !self.starved.is_empty() || !self.paused.is_empty()
    }

    /// Takes up an order to fetch.
    pub fn start(&mut self, mut page: Box<Page>) {
        page.clocks.started = self.context.clock.now();
        let (host, address) = (owner(&page), page.address);
        let mut flight = Flight::new(page, self.settings.clocks.total);
        let credentials = self.settings.credentials.line(flight.page.origin());
        flight.fields.extend_from_slice(credentials);
        if let Some(proxy) = self
            .settings
            .proxy
            .as_ref()
            .filter(|p| p.takes_whole_urls())
            && !flight.page.is_https()
        {
            flight.fields.extend_from_slice(proxy.authorization());
        }
        if let Some(cookies) = &self.settings.cookies {
            cookies.line(&flight.page, self.context.wall, &mut flight.fields);
        }
        let Some(address) = address else {
            return self.finish(flight, Outcome::NotSent);
        };
        let kept = self.pool.take(host, address);
        let Some(id) = kept.or_else(|| self.take_other(&mut flight)) else {
            return self.dial_or_wait(flight);
        };
        flight.reused = true;
        flight.page.clocks.connected = flight.page.clocks.started;
        self.context.load.reused += 1;
        self.set_state(id, Some(State::Sending));
        if let Some(connection) = self.get(id) {
            connection.flight = Some(flight);
        }
        self.send(id);
    }

    /// An event of the poller.
    pub fn event(&mut self, event: &mio::event::Event) {
        let Some(id) = self.id(event.token()) else {
            return;
        };
        let Self { slots, context, .. } = self;
        let Some(connection) = slots[id as usize].connection.as_mut() else {
            return;
        };
        connection.read_closed |= event.is_read_closed();
        let readable = event.is_readable() || event.is_read_closed() || event.is_error();
        match connection.state {
            State::Idle => {
                let scratch = &mut context.tls.scratch;
                if readable && !connection.transport.is_silent(scratch) {
                    self.close(id);
                }
            }
            State::Dialling | State::Tunnelling | State::Handshaking => {
                // A handshake may have read beyond its end.
                let begun = !matches!(connection.transport, Transport::Plain(_));
                if self.prepare(id) {
                    self.send(id);
                    if readable || begun {
                        self.receive_of(event.token());
                    }
                }
            }
            State::Sending => {
                self.send(id);
                if readable {
                    self.receive_of(event.token());
                }
            }
            State::Awaiting | State::Reading => {
                if readable {
                    self.receive(id);
                }
            }
        }
    }

    /// What is due without an event: further reading, deadlines, starved orders.
    pub fn turn(&mut self, now: Tick) {
        std::mem::swap(&mut self.again, &mut self.round);
        for n in 0..self.round.len() {
            if let Some(id) = self.id(self.round[n]) {
                self.receive(id);
            }
        }
        self.round.clear();
        let mut fired = std::mem::take(&mut self.fired);
        self.wheel.expire(now, &mut fired);
        for id in fired.drain(..) {
            self.deadline(id, now);
        }
        self.fired = fired;
        self.feed_starved(now);
        self.feed_paused();
    }

    /// Ends all connections; their pages come back not done.
    pub fn stop(&mut self) {
        while let Some((_, flight)) = self.starved.pop_front() {
            self.finish(flight, Outcome::Pending);
        }
        self.context.load.starved = 0;
        for id in 0..self.slots.len() as u32 {
            if let Some(flight) = self.close(id) {
                self.finish(flight, Outcome::Pending);
            }
        }
    }

    /// Goes on sending, and finds out whether a dialled connection stands.
    fn send(&mut self, id: u32) {
        let Self { slots, context, .. } = self;
        let Some(connection) = slots[id as usize].connection.as_mut() else {
            return;
        };
        let fresh = connection.state == State::Dialling;
        let sent = connection.send(context);
        let Some(flight) = &mut connection.flight else {
            return;
        };
        if fresh && flight.sent > 0 {
            flight.page.clocks.connected = context.clock.now();
        }
        let first_byte_due = flight
            .page
            .clocks
            .connected
            .saturating_add(self.settings.clocks.first_byte)
            .min(flight.total_due);
        let stands = !fresh || flight.sent > 0;
        match sent {
            Sent::Blocked if !stands => {}
            Sent::Blocked | Sent::Whole => {
                let state = match sent {
                    Sent::Whole => State::Awaiting,
                    _ => State::Sending,
                };
                self.set_state(id, Some(state));
                self.wheel.set(id, first_byte_due);
            }
            Sent::Failed(kind) if !stands => {
                let outcome = self.unconnected(kind);
                self.end(id, outcome);
            }
            // What the server said before it closed may still be there to read.
            Sent::Failed(_) if !flight.reused => self.receive(id),
            Sent::Failed(_) => self.end(id, Outcome::ClosedEarly),
            Sent::Refused => self.end(id, Outcome::NotSent),
        }
    }

    /// Receives what has come, if the connection is still there and its request on the way.
    fn receive_of(&mut self, token: Token) {
        if let Some(id) = self.id(token)
            && self.get(id).is_some_and(|c| c.state != State::Dialling)
        {
            self.receive(id);
        }
    }

    /// Receives what has come.
    fn receive(&mut self, id: u32) {
        let Self { slots, context, .. } = self;
        let Some(connection) = slots[id as usize].connection.as_mut() else {
            return;
        };
        let received = connection.receive(context);
        if let Received::Ended(outcome) = received {
            return self.end(id, outcome);
        }
        let state = connection.state;
        let began = connection
            .flight
            .as_mut()
            .filter(|f| state != State::Reading && !f.is_untouched() && f.window_due == 0);
        if let Some(flight) = began {
            let window = self.settings.clocks.rate_window;
            flight.window_due = flight.page.clocks.first_byte.saturating_add(window);
            flight.window_bytes = 0;
            let due = flight.window_due.min(flight.total_due);
            self.wheel.set(id, due);
            if state == State::Awaiting {
                self.set_state(id, Some(State::Reading));
            }
        }
        let token = self.token(id);
        match received {
            Received::Again => self.again.push(token),
            Received::Short => self.pause(token),
            _ => {}
        }
    }

    /// An exchange has ended: the page is finished, and the connection kept, closed or replaced.
    fn end(&mut self, id: u32, outcome: Outcome) {
        let Some(connection) = self.get(id) else {
            return;
        };
        let Some(flight) = connection.flight.take() else {
            return;
        };
        let (host, address) = (connection.host, connection.address);
        let sent = matches!(connection.state, State::Awaiting | State::Reading);
        let good = sent && flight.reader.reusable() && !connection.read_closed && host != NO_HOST;
        if good && connection.transport.is_reusable() {
            self.set_state(id, Some(State::Idle));
            self.pool.put(id, host, address);
            let due = self.context.now.saturating_add(self.settings.clocks.idle);
            self.wheel.set(id, due);
            if self.pool.len() > self.settings.idle_max {
                self.evict_oldest();
            }
        } else {
            self.close(id);
        }
        let stale = outcome == Outcome::ClosedEarly && flight.reused && flight.is_untouched();
        if stale && !flight.redialled {
            self.redial(flight);
        } else {
            self.fall_back(flight, outcome);
        }
    }

    fn finish(&mut self, flight: Flight, outcome: Outcome) {
        // Only proxies ask who asks them (RFC 9110 15.5.8): this is not the server's answer.
        let unknown = self.context.whole_urls && flight.reader.facts().status == 407;
        let outcome = match outcome.has_response() && unknown && !flight.page.is_https() {
            true => Outcome::ProxyFailed,
            false => outcome,
        };
        let done = self.context.clock.now();
        let wall = self.context.wall;
        let page = flight.conclude(outcome, done, wall);
        if let Some(cookies) = self
            .settings
            .cookies
            .as_ref()
            .filter(|_| outcome.has_response())
        {
            let (set, dropped) = cookies.take(&page, wall);
            self.context.load.cookies_set += set;
            self.context.load.cookies_dropped += dropped;
        }
        self.finished.push(page);
    }

    fn deadline(&mut self, id: u32, now: Tick) {
        let clocks = self.settings.clocks;
        let Some(connection) = self.get(id) else {
            return;
        };
        let state = connection.state;
        let Some(flight) = &mut connection.flight else {
            self.close(id);
            return;
        };
        match state {
            State::Dialling => {
                let outcome = self.unconnected(ErrorKind::TimedOut);
                self.end(id, outcome);
            }
            State::Tunnelling => self.tunnel_waits(id, now),
            State::Handshaking => {
                self.context.load.tls_failed += 1;
                self.end(id, Outcome::TlsTimeout);
            }
            State::Sending | State::Awaiting if flight.is_untouched() => {
                self.end(id, Outcome::FirstByteTimeout);
            }
            _ => {
                let came = flight.page.wire_bytes - flight.window_bytes;
                let least = (u128::from(clocks.rate_min) * u128::from(clocks.rate_window)
                    / u128::from(SECOND)) as u64;
                let slow = now >= flight.window_due && came < least && !flight.paused;
                if now >= flight.total_due || slow {
                    let outcome = match flight.reader.has_head() {
                        true => Outcome::CutTime,
                        false => Outcome::FirstByteTimeout,
                    };
                    return self.end(id, outcome);
                }
                if now >= flight.window_due {
                    flight.window_bytes = flight.page.wire_bytes;
                    flight.window_due = now.saturating_add(clocks.rate_window.max(1));
                }
                let due = flight.window_due.min(flight.total_due);
                self.wheel.set(id, due);
            }
        }
    }

    /// Closes the connection that has been idle for longest. Returns whether there was one.
    pub fn evict_oldest(&mut self) -> bool {
        let Some(id) = self.pool.oldest() else {
            return false;
        };
        self.context.load.evicted += 1;
        self.close(id);
        true
    }

    /// Closes a connection and returns what it carried.
    fn close(&mut self, id: u32) -> Option<Flight> {
        self.set_state(id, None);
        self.pool.remove(id);
        self.wheel.clear(id);
        let slot = &mut self.slots[id as usize];
        let mut connection = slot.connection.take()?;
        connection.transport.farewell();
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id);
        self.freed = true;
        // Dropping the socket takes it out of the poller too.
        connection.flight
    }

    /// Changes the state of a connection and the gauges; `None`: it is about to go.
    fn set_state(&mut self, id: u32, to: Option<State>) {
        let Some(connection) = self.slots[id as usize].connection.as_mut() else {
            return;
        };
        let from = connection.state;
        if let Some(to) = to {
            connection.state = to;
            *self.gauge(to) += 1;
        } else {
            self.context.load.open -= 1;
        }
        *self.gauge(from) -= 1;
    }

    fn gauge(&mut self, state: State) -> &mut usize {
        let load = &mut self.context.load;
        match state {
            State::Dialling | State::Tunnelling => &mut load.dialling,
            State::Handshaking => &mut load.handshaking,
            State::Sending | State::Awaiting => &mut load.awaiting,
            State::Reading => &mut load.reading,
            State::Idle => &mut load.idle,
        }
    }

    fn get(&mut self, id: u32) -> Option<&mut Connection> {
        self.slots.get_mut(id as usize)?.connection.as_mut()
    }

    /// Token of the connection in slot `id`: the generation above, the slot below.
    fn token(&self, id: u32) -> Token {
        // 31 bits of generation, so that no token is the bell's.
        let generation = u64::from(self.slots[id as usize].generation & (u32::MAX >> 1));
        Token((generation << 32 | u64::from(id)) as usize)
    }

    fn id(&self, token: Token) -> Option<u32> {
        let id = token.0 as u32;
        let slot = self.slots.get(id as usize)?;
        (slot.connection.is_some() && self.token(id) == token).then_some(id)
    }
}

/// Whose connections a page may use. A robots.txt that lies on another host is fetched on behalf of the first: its
/// connection is for that one request, as the other host's certificate says nothing about this one.
fn owner(page: &Page) -> HostId {
    match page.job {
        Job::Robots if page.redirects > 0 => NO_HOST,
        _ => page.host,
    }
}
