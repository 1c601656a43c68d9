//! The server's thread: one poll, many connections.
//!
//! What must hold: it never blocks but in the poll; the clock is read once a round; nothing grows with the number of
//! requests. Failing to accept (no descriptors left) is counted and tried again a little later.

use super::connection::{Connection, Context, Next};
use super::response::Response;
use super::site::Site;
use super::stats::{Logger, Shared, add};
use crate::limits;
use crate::time::{Clock, MILLISECOND, SECOND, Tick};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The listener.
pub(super) const LISTENER: Token = Token(0);
/// The waker of the handle.
pub(super) const WAKER: Token = Token(1);
/// Connection `i` is token `i + FIRST`.
const FIRST: usize = 2;
/// Events of one round.
const EVENTS: usize = 1_024;
/// Bytes of one read.
const READ_BYTES: usize = 16 << 10;
/// Pause after a failed accept.
const ACCEPT_PAUSE: Tick = 50 * MILLISECOND;

/// The state of the thread.
pub(super) struct Server {
    pub poll: Poll,
    pub listener: TcpListener,
    pub site: Site,
    pub shared: Arc<Shared>,
    pub logger: Logger,
}

#[derive(Default)]
struct Table {
    slots: Vec<Option<Connection>>,
    free: Vec<usize>,
    timers: BinaryHeap<Reverse<(Tick, usize)>>,
    unfinished: Vec<usize>,
    accept_again: Option<Tick>,
}

impl Server {
    /// Serves until the stop flag is set and the waker rung.
    pub fn run(mut self) {
        let clock = Clock::starting_at(0);
        let mut events = Events::with_capacity(EVENTS);
        let mut table = Table::default();
        let mut spare: Vec<Response> = Vec::new();
        let mut scratch = vec![0; READ_BYTES];
        let mut flushed = 0;
        let mut now = clock.now();
        loop {
            if let Err(e) = self.poll.poll(&mut events, table.wait(now))
                && e.kind() != ErrorKind::Interrupted
            {
                break;
            }
            if self.shared.stop.load(Ordering::Acquire) {
                break;
            }
            now = clock.now();
            let mut accepting = table.accept_again.is_some_and(|at| at <= now);
            let mut ctx = Context {
                site: &mut self.site,
                spare: &mut spare,
                shared: &self.shared,
                logger: &mut self.logger,
                scratch: &mut scratch,
                now,
            };
            // Those who had not finished come before new events, lest they starve.
            for index in std::mem::take(&mut table.unfinished) {
                table.drive(index, &mut ctx);
            }
            for event in &events {
                match event.token() {
                    LISTENER => accepting = true,
                    WAKER => {}
                    Token(token) => {
                        let index = token - FIRST;
                        if let Some(Some(connection)) = table.slots.get_mut(index) {
                            if event.is_readable() || event.is_read_closed() {
                                connection.mark_readable(event.is_read_closed());
                            }
                            table.drive(index, &mut ctx);
                        }
                    }
                }
            }
            table.due(&mut ctx);
            if accepting {
                table.accept(&self.listener, &self.poll, &mut ctx);
            }
            if now - flushed > SECOND {
                self.logger.flush();
                flushed = now;
            }
        }
        self.logger.flush();
    }
}

impl Table {
    /// How long the poll may sleep.
    fn wait(&self, now: Tick) -> Option<Duration> {
        if !self.unfinished.is_empty() {
            return Some(Duration::ZERO);
        }
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        let next = [timer, self.accept_again].into_iter().flatten().min()?;
        // The system rounds down to milliseconds; one too many beats a busy wait.
        Some(Duration::from_nanos(next.saturating_sub(now)) + Duration::from_micros(100))
    }

    fn drive(&mut self, index: usize, ctx: &mut Context<'_>) {
        let Some(Some(connection)) = self.slots.get_mut(index) else {
            return;
        };
        match connection.drive(ctx) {
            Next::Event => connection.timer = None,
            Next::At(at) => {
                // A timer that was set for the same moment still stands.
                if connection.timer != Some(at) {
                    connection.timer = Some(at);
                    self.timers.push(Reverse((at, index)));
                }
            }
            Next::Turn => self.unfinished.push(index),
            Next::Close => {
                self.slots[index] = None;
                self.free.push(index);
            }
        }
    }

    /// Drives the connections whose time has come. A timer of a connection that has gone, or waits for another time by
    /// now, is dropped.
    fn due(&mut self, ctx: &mut Context<'_>) {
        while let Some(Reverse((at, index))) = self.timers.peek().copied() {
            if at > ctx.now {
                return;
            }
            self.timers.pop();
            if let Some(Some(connection)) = self.slots.get_mut(index)
                && connection.timer == Some(at)
            {
                connection.timer = None;
                self.drive(index, ctx);
            }
        }
    }

    fn accept(&mut self, listener: &TcpListener, poll: &Poll, ctx: &mut Context<'_>) {
        self.accept_again = None;
        let stats = &ctx.shared.stats;
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e)
                    if matches!(
                        e.kind(),
                        ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                    ) =>
                {
                    continue;
                }
                Err(_) => {
                    add(&stats.accept_failures, 1);
                    self.accept_again = Some(ctx.now + ACCEPT_PAUSE);
                    return;
                }
            };
            let open = self.slots.len() - self.free.len();
            if open >= limits::WEB_CONNECTIONS_MAX {
                add(&stats.refused, 1);
                continue;
            }
            let index = self.free.last().copied().unwrap_or(self.slots.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            let ready = stream.set_nodelay(true).and_then(|()| {
                poll.registry()
                    .register(&mut stream, Token(index + FIRST), interest)
            });
            if ready.is_err() {
                add(&stats.accept_failures, 1);
                continue;
            }
            add(&stats.accepted, 1);
            let connection = Some(Connection::new(stream));
            if self.free.pop().is_some() {
                self.slots[index] = connection;
            } else {
                self.slots.push(connection);
            }
            // Its request is often there already.
            self.drive(index, ctx);
        }
    }
}
