//! The lane: one poller, its connections, and the names it waits for.

use super::connections::Connections;
use super::dns::{Client, Resolver, is_dns_token};
use super::exchange::Context;
use super::names::Names;
use super::tls::TlsClient;
use super::{LaneLoad, LaneSettings, wheel};
use crate::config::Proxy;
use crate::event::{Job, Outcome, Page};
use crate::limits::{BODY_BYTES_MAX, POLL_EVENTS_MAX};
use crate::protocol::http1::RequestWriter;
use crate::time::{Tick, Wall};
use mio::{Events, Poll, Token, Waker};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Token of the bell; connections and name servers have smaller ones.
const BELL: Token = Token(usize::MAX);

/// A fetch lane. One thread drives it: orders by [`Lane::accept`], work and answers by [`Lane::turn`].
pub struct Lane {
    poll: Poll,
    events: Events,
    /// `events` holds what [`Lane::park`] saw and the next turn handles.
    gathered: bool,
    bell: Arc<Waker>,
    connections: Connections,
    names: Names,
    orders: VecDeque<Box<Page>>,
    stopped: bool,
}

impl Lane {
    /// A lane without connections.
    ///
    /// # Errors
    /// The system gives no poller, or (`InvalidInput`) user agent or From hold a control character.
    pub fn new(settings: LaneSettings, resolver: Resolver) -> io::Result<Self> {
        let from = settings.from.as_deref();
        let writer =
            RequestWriter::new(&settings.user_agent, from, &settings.headers).map_err(|e| {
                io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("user agent, From or header: {e}"),
                )
            })?;
        let poll = Poll::new()?;
        let bell = Arc::new(Waker::new(poll.registry(), BELL)?);
        let product = settings.user_agent.split(['/', ' ']).next();
        let context = Context {
            writer,
            product: product.unwrap_or_default().as_bytes().to_vec(),
            request: Vec::with_capacity(4 << 10),
            tls: TlsClient::new(&settings.trust)?,
            whole_urls: settings.proxy.as_ref().is_some_and(Proxy::takes_whole_urls),
            body_max: settings.max_body.min(BODY_BYTES_MAX),
            clock: settings.clock,
            now: 0,
            wall: 0,
            pages: settings.pages.clone(),
            load: LaneLoad::default(),
        };
        let registry = poll.registry().try_clone()?;
        let client = Client::new(resolver, registry.try_clone()?, settings.clock.now());
        Ok(Self {
            connections: Connections::new(registry, settings, context),
            names: Names::new(client),
            poll,
            events: Events::with_capacity(POLL_EVENTS_MAX),
            gathered: false,
            bell,
            orders: VecDeque::new(),
            stopped: false,
        })
    }

    /// Takes an order. It is started by the next turn, behind the events that tell which kept connections have closed.
    pub fn accept(&mut self, page: Box<Page>, now: Tick) {
        if page.job == Job::Resolve && !self.stopped {
            self.names.accept(page, now, &mut self.connections.finished);
        } else {
            self.orders.push_back(page);
        }
    }

    /// Handles what has happened and starts the orders that have come. Finished pages are appended to `out`. Returns how
    /// much was done: events, orders and pages; 0 where there was nothing to do. Never blocks.
    pub fn turn(&mut self, now: Tick, wall: Wall, out: &mut Vec<Box<Page>>) -> usize {
        let before = out.len();
        self.connections.context.now = now;
        self.connections.context.wall = wall;
        if !self.gathered {
            self.gather(Some(Duration::ZERO));
        }
        self.gathered = false;
        let mut work = 0;
        for event in &self.events {
            match event.token() {
                BELL => continue,
                token if is_dns_token(token) => self.names.event(token, now),
                _ => self.connections.event(event),
            }
            work += 1;
        }
        self.connections.turn(now);
        self.names.turn(now, &mut self.connections.finished);
        // As for a connection, so for a name: an idle connection gives way.
        for _ in 0..self.names.take_starved() {
            self.connections.evict_oldest();
        }
        work += self.orders.len();
        while let Some(page) = self.orders.pop_front() {
            self.start(page);
        }
        out.append(&mut self.connections.finished);
        work + out.len() - before
    }

    /// Blocks until something happens, the bell rings, or `longest` has passed. What has happened is handled by the next
    /// turn. Returns at once where there is work to do.
    pub fn park(&mut self, longest: Duration) {
        let pressed = !self.orders.is_empty() || self.connections.is_pressed();
        if self.gathered || pressed {
            return;
        }
        let timed = self.connections.is_timed() || self.names.len() > 0;
        let step = Duration::from_nanos(wheel::STEP);
        let longest = if timed { longest.min(step) } else { longest };
        self.gather(Some(longest));
        self.gathered = !self.events.is_empty();
    }

    /// Wakes [`Lane::park`] from another thread.
    pub fn bell(&self) -> Arc<Waker> {
        self.bell.clone()
    }

    /// What it is doing and has done.
    pub fn load(&self) -> LaneLoad {
        LaneLoad {
            resolving: self.names.len(),
            dns: self.names.load(),
            tls_sessions_dropped: self.connections.context.tls.sessions_dropped(),
            ..self.connections.context.load
        }
    }

    /// Ends all connections. Pages still held, and any that are accepted from now on, come out of the next turn with
    /// [`Outcome::Pending`].
    pub fn stop(&mut self) {
        self.stopped = true;
        self.connections.stop();
        self.names.stop(&mut self.connections.finished);
    }

    fn start(&mut self, mut page: Box<Page>) {
        if self.stopped {
            page.outcome = Outcome::Pending;
            self.connections.finished.push(page);
        } else {
            self.connections.start(page);
        }
    }

    /// Asks the poller. Where that fails (a signal came) there are no events, and the caller comes again anyway.
    fn gather(&mut self, longest: Option<Duration>) {
        if self.poll.poll(&mut self.events, longest).is_err() {
            self.events.clear();
        }
    }
}
