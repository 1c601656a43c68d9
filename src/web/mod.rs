//! The synthetic web: any number of hosts with any number of pages, made from a seed, served on loopback.
//!
//! ```text
//! settings ─► model (pure: fates, links, sizes, robots) ─► render ─► site (request → response) ─► server (mio, 1 thread)
//!                                          blocks, pictures (shared text, plain and deflated) ─┘
//! ```
//!
//! What must hold:
//! * equal settings on the same port are the same web, byte for byte, whatever is asked in whatever order;
//! * a right crawler that begins at `http://h0.web.test:PORT/` finds every page of a finite web, whatever the faults;
//! * [`Model::links_of`] is what it should find on each page, no more and no less;
//! * serving is cheap enough that it never limits the crawler: per page only its head and its links are written, the
//!   rest is sent from shared blocks.
//!
//! Deliberately absent: TLS, HTTP/2, request bodies, and a clock in the answers (no `Date`).

pub mod args;
mod blocks;
mod connection;
mod draw;
mod gzip;
pub mod links;
pub mod model;
pub mod path;
mod pictures;
mod render;
mod request;
mod response;
mod run;
mod server;
mod settings;
mod site;
mod stats;
mod words;

pub use links::LinkKind;
pub use model::{Break, Fate, Model, RobotsKind};
pub use run::run;
pub use settings::{RequestLog, WebSettings};
pub use site::robots_of;
pub use stats::{LogEntry, StatsSnapshot};

use crate::error::{Error, Result};
use mio::net::TcpListener;
use mio::{Interest, Poll, Waker};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

/// A running web. Dropping it stops it.
#[derive(Debug)]
pub struct Web {
    addr: SocketAddr,
    model: Arc<Model>,
    shared: Arc<stats::Shared>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    /// Binds `listen` (port 0: any free one) and serves from a thread of its own.
    ///
    /// Fails where the settings are out of range, or the address cannot be bound.
    pub fn start(settings: WebSettings, listen: SocketAddr) -> Result<Web> {
        settings.check()?;
        let cannot = |e: std::io::Error| {
            Error::environment(format!(
                "cannot serve the synthetic web on {listen}: {e}; choose another address with --listen"
            ))
        };
        let mut listener = TcpListener::bind(listen).map_err(cannot)?;
        let addr = listener.local_addr().map_err(cannot)?;
        let poll = Poll::new().map_err(cannot)?;
        let registry = poll.registry();
        registry
            .register(&mut listener, server::LISTENER, Interest::READABLE)
            .map_err(cannot)?;
        let waker = Waker::new(registry, server::WAKER).map_err(cannot)?;
        let logger = stats::Logger::open(&settings.log)?;
        let model = Arc::new(Model::new(settings, addr.port()));
        let shared = Arc::new(stats::Shared::new());
        let server = server::Server {
            poll,
            listener,
            site: site::Site::new(model.clone()),
            shared: shared.clone(),
            logger,
        };
        let thread = std::thread::Builder::new()
            .name("web".into())
            .spawn(move || server.run())
            .map_err(cannot)?;
        Ok(Web {
            addr,
            model,
            shared,
            waker,
            thread: Some(thread),
        })
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The model it serves: what a crawler should find.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What was asked for so far.
    pub fn stats(&self) -> StatsSnapshot {
        self.shared.snapshot()
    }

    /// The requests logged in memory since the last call.
    pub fn take_log(&self) -> Vec<LogEntry> {
        self.shared.take_log()
    }

    /// Closes all connections and waits for the thread.
    pub fn stop(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        self.shared.stop.store(true, Ordering::Release);
        // A thread that cannot be woken has died already.
        let _ = self.waker.wake();
        let _ = thread.join();
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests;
