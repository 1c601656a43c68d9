//! Names to addresses, by the system's resolver on threads of its own.
//!
//! What must hold: the asking side never blocks. Both directions are bounded by [`RESOLVER_QUEUE_MAX`]; a client has
//! no more questions out than its answer queue holds, so answering never blocks either. Names that a `--resolve` rule
//! covers, and addresses written out, are answered without a thread.
//!
//! Deliberately absent: a cache (the frontier keeps addresses) and a way to call off a question; who no longer wants
//! an answer ignores it.

use crate::config::{ResolveRule, resolve_rule};
use crate::limits::{ADDRESSES_MAX, RESOLVER_QUEUE_MAX, RESOLVER_THREADS};
use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;

/// A question.
struct Ask {
    ticket: u64,
    name: String,
    port: u16,
    reply: Sender<Answer>,
    bell: Arc<mio::Waker>,
}

/// An answer: at most [`ADDRESSES_MAX`] addresses, each once; none where the name could not be resolved.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// What was passed to [`Client::ask`].
    pub ticket: u64,
    /// The addresses, in the resolver's order.
    pub addresses: Vec<IpAddr>,
}

/// The resolver; copies share its threads. They end when the last copy and the last client are gone.
#[derive(Clone)]
pub struct Resolver {
    rules: Arc<[ResolveRule]>,
    asks: Sender<Ask>,
}

impl Resolver {
    /// Starts [`RESOLVER_THREADS`] threads.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn new(rules: &[ResolveRule]) -> io::Result<Self> {
        let (asks, questions) = bounded::<Ask>(RESOLVER_QUEUE_MAX);
        for n in 0..RESOLVER_THREADS {
            let questions = questions.clone();
            std::thread::Builder::new()
                .name(format!("resolve-{n}"))
                .spawn(move || answer_all(&questions))?;
        }
        Ok(Self {
            rules: rules.into(),
            asks,
        })
    }

    /// A client whose answers ring `bell`.
    pub(super) fn client(&self, bell: Arc<mio::Waker>) -> Client {
        let (reply, answers) = bounded(RESOLVER_QUEUE_MAX);
        Client {
            resolver: self.clone(),
            bell,
            reply,
            answers,
            out: 0,
        }
    }
}

/// What became of a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A rule had the answer.
    Known(IpAddr),
    /// The answer will come under the ticket.
    Sent,
    /// Not now: too many questions are out.
    Full,
}

/// One lane's side of the resolver.
pub(super) struct Client {
    resolver: Resolver,
    bell: Arc<mio::Waker>,
    reply: Sender<Answer>,
    answers: Receiver<Answer>,
    /// Questions without an answer taken.
    out: usize,
}

impl Client {
    /// Asks for the addresses of `name`, which is a host as URLs have it (IPv6 in brackets).
    pub fn ask(&mut self, name: &str, port: u16, ticket: u64) -> Asked {
        if let Some(known) = resolve_rule(&self.resolver.rules, name, port) {
            return Asked::Known(known.ip());
        }
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        if let Ok(literal) = bare.parse() {
            return Asked::Known(literal);
        }
        if self.out == RESOLVER_QUEUE_MAX {
            return Asked::Full;
        }
        let ask = Ask {
            ticket,
            name: name.to_string(),
            port,
            reply: self.reply.clone(),
            bell: self.bell.clone(),
        };
        match self.resolver.asks.try_send(ask) {
            Ok(()) => {
                self.out += 1;
                Asked::Sent
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Asked::Full,
        }
    }

    /// The next answer that has come.
    pub fn answer(&mut self) -> Option<Answer> {
        if self.out == 0 {
            return None;
        }
        let answer = self.answers.try_recv().ok()?;
        self.out -= 1;
        Some(answer)
    }
}

/// Body of a resolver thread.
fn answer_all(questions: &Receiver<Ask>) {
    while let Ok(ask) = questions.recv() {
        let mut addresses = Vec::new();
        if let Ok(found) = (ask.name.as_str(), ask.port).to_socket_addrs() {
            for address in found.map(|a| a.ip()) {
                if addresses.len() < ADDRESSES_MAX && !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        let answer = Answer {
            ticket: ask.ticket,
            addresses,
        };
        // A lane that is gone wants no answer; one that cannot be woken finds it at its next turn.
        if ask.reply.try_send(answer).is_ok() {
            let _ = ask.bell.wake();
        }
    }
}
