//! One connection: requests in, one after the other; answers out, as fast as it takes them or as slowly as it should.
//!
//! What must hold: requests that were sent ahead are answered in order; a connection holds at most one answer and
//! little more than one read of input; it is never read while an answer waits. Deliberately absent: a timeout for idle
//! clients. They cost a descriptor and a few bytes, and their number is limited.

use super::request::{Parsed, parse};
use super::response::{Response, SLICES};
use super::site::{Pace, Site};
use super::stats::{Logger, Shared};
use crate::limits;
use crate::time::{MILLISECOND, Tick};
use mio::net::TcpStream;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;

/// Steps of one connection before others have their turn.
const STEPS: usize = 64;

/// What all connections of a thread share.
pub(super) struct Context<'a> {
    pub site: &'a mut Site,
    pub spare: &'a mut Vec<Response>,
    pub shared: &'a Shared,
    pub logger: &'a mut Logger,
    pub scratch: &'a mut [u8],
    pub now: Tick,
}

/// What a connection waits for after its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// An event of its socket.
    Event,
    /// This time, or an event.
    At(Tick),
    /// Another turn: it has not finished.
    Turn,
    /// Nothing: drop it.
    Close,
}

#[derive(Debug)]
struct Sending {
    response: Response,
    pace: Option<Pace>,
    from: Tick,
    close: bool,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub stream: TcpStream,
    /// The time that it waits for, where a timer is set.
    pub timer: Option<Tick>,
    input: Vec<u8>,
    used: usize,
    readable: bool,
    ended: bool,
    sending: Option<Sending>,
    draining: Option<Tick>,
}

enum Step {
    On,
    Wait(Next),
}

impl Connection {
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            timer: None,
            input: Vec::new(),
            used: 0,
            readable: true,
            ended: false,
            sending: None,
            draining: None,
        }
    }

    /// The socket may have something to read; `ended`: and its end, too.
    pub fn mark_readable(&mut self, ended: bool) {
        self.readable = true;
        self.ended |= ended;
    }

    /// Does what can be done now.
    pub fn drive(&mut self, ctx: &mut Context<'_>) -> Next {
        for _ in 0..STEPS {
            let step = if self.sending.is_some() {
                self.send(ctx)
            } else if let Some(until) = self.draining {
                self.drain(until, ctx)
            } else {
                self.take_request(ctx)
            };
            if let Step::Wait(next) = step {
                if next == Next::Close {
                    self.give_back(ctx);
                }
                return next;
            }
        }
        Next::Turn
    }

    /// Answers the next request of the input, or reads on.
    fn take_request(&mut self, ctx: &mut Context<'_>) -> Step {
        if self.used == self.input.len() {
            self.input.clear();
            self.used = 0;
            return self.read(ctx);
        }
        let mut response = ctx.spare.pop().unwrap_or_default();
        response.clear();
        let (served, path, used) = match parse(&self.input[self.used..]) {
            Parsed::Whole(request, used) => {
                (ctx.site.answer(&request, &mut response), request.path, used)
            }
            Parsed::Refused(status) => {
                let served = ctx.site.refuse(status, &mut response);
                (served, &b""[..], self.input.len() - self.used)
            }
            Parsed::Partial => {
                ctx.spare.push(response);
                return self.read(ctx);
            }
        };
        ctx.logger.record(ctx.shared, &served, path, ctx.now);
        self.used += used;
        self.sending = Some(Sending {
            response,
            pace: served.pace,
            from: ctx.now + served.delay,
            close: served.close,
        });
        Step::On
    }

    fn read(&mut self, ctx: &mut Context<'_>) -> Step {
        if !self.readable {
            return Step::Wait(Next::Event);
        }
        match self.stream.read(ctx.scratch) {
            Ok(0) => Step::Wait(Next::Close),
            Ok(n) => {
                // Less than there was room for: the next bytes come with an event of their own.
                self.readable = n == ctx.scratch.len() || self.ended;
                self.input.drain(..self.used);
                self.used = 0;
                self.input.extend_from_slice(&ctx.scratch[..n]);
                Step::On
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                Step::Wait(Next::Event)
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => Step::On,
            Err(_) => Step::Wait(Next::Close),
        }
    }

    fn send(&mut self, ctx: &mut Context<'_>) -> Step {
        let Some(sending) = &mut self.sending else {
            return Step::On;
        };
        if sending.response.left() == 0 {
            return self.sent(ctx);
        }
        if sending.from > ctx.now {
            return Step::Wait(Next::At(sending.from));
        }
        let most = sending.pace.map_or(usize::MAX, |p| p.bytes);
        let mut slices = [IoSlice::new(&[]); SLICES];
        let n = sending.response.slices(&ctx.site.blocks, most, &mut slices);
        let offered: usize = slices[..n].iter().map(|s| s.len()).sum();
        match self.stream.write_vectored(&slices[..n]) {
            Ok(0) => Step::Wait(Next::Close),
            Ok(taken) => {
                ctx.shared.sent(taken);
                sending.response.advance(taken, &ctx.site.blocks);
                if let Some(pace) = sending.pace {
                    sending.from = ctx.now + pace.every;
                }
                // Less than offered: the socket is full and will tell when it is not.
                if taken < offered {
                    Step::Wait(Next::Event)
                } else {
                    Step::On
                }
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => Step::Wait(Next::Event),
            Err(e) if e.kind() == ErrorKind::Interrupted => Step::On,
            Err(_) => Step::Wait(Next::Close),
        }
    }

    fn sent(&mut self, ctx: &mut Context<'_>) -> Step {
        let close = self.sending.as_ref().is_some_and(|s| s.close);
        self.give_back(ctx);
        if close {
            // Closing with unread input would reset the connection and could lose what was sent.
            if self.stream.shutdown(Shutdown::Write).is_err() {
                return Step::Wait(Next::Close);
            }
            self.draining = Some(ctx.now + limits::WEB_DRAIN_MS * MILLISECOND);
        }
        Step::On
    }

    fn drain(&mut self, until: Tick, ctx: &mut Context<'_>) -> Step {
        if ctx.now >= until {
            return Step::Wait(Next::Close);
        }
        match self.stream.read(ctx.scratch) {
            Ok(0) => Step::Wait(Next::Close),
            Ok(_) => Step::On,
            Err(e) if e.kind() == ErrorKind::WouldBlock => Step::Wait(Next::At(until)),
            Err(e) if e.kind() == ErrorKind::Interrupted => Step::On,
            Err(_) => Step::Wait(Next::Close),
        }
    }

    fn give_back(&mut self, ctx: &mut Context<'_>) {
        if let Some(sending) = self.sending.take()
            && ctx.spare.len() < limits::WEB_SPARE_RESPONSES_MAX
        {
            ctx.spare.push(sending.response);
        }
    }
}
