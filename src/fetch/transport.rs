//! What a request travels over: TCP, or TLS over it. The lane above sees bytes.

use super::tls::{Shaken, Tls};
use crate::event::Outcome;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ClientConnection;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

/// A connection, as far as bytes are concerned. Never blocks.
#[derive(Debug)]
pub(super) enum Transport {
    /// TCP without TLS.
    Plain(TcpStream),
    /// TLS.
    Tls(Box<Tls>),
}

/// What reading brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Took {
    /// Bytes put into the room.
    pub bytes: usize,
    /// Bytes taken from the socket for it.
    pub wire: usize,
    /// How it goes on.
    pub then: Then,
}

/// How it goes on after a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// More may be there.
    More,
    /// Nothing more is there until the poller says so.
    Drained,
    /// The stream has ended; `clean`: the server meant it.
    Closed { clean: bool },
    /// What came is no TLS, or an alert.
    Broken(Outcome),
}

impl Took {
    pub fn new(bytes: usize, wire: usize, then: Then) -> Self {
        Self { bytes, wire, then }
    }
}

impl Transport {
    /// Begins to connect to `address` and registers for all events under `token`. Whether the connection stands shows at
    /// the first write.
    ///
    /// # Errors
    /// Those of socket, connect and epoll_ctl.
    pub fn dial(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        // Requests leave in one write; waiting to fill a segment only delays them. Failing here is no harm.
        let _ = stream.set_nodelay(true);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self::Plain(stream))
    }

    /// The same connection with TLS to come.
    pub fn secured(self, session: ClientConnection) -> Self {
        match self {
            Self::Plain(stream) => Self::Tls(Box::new(Tls::new(stream, session))),
            tls @ Self::Tls(_) => tls,
        }
    }

    /// The socket, for what is said before anything else on it.
    pub fn stream(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) => tls.stream(),
        }
    }

    /// Goes on with the handshake; `None` where there is none to do.
    pub fn handshake(&mut self, scratch: &mut [u8]) -> Option<Shaken> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(tls) => Some(tls.handshake(scratch)),
        }
    }

    /// Receives into `room`, which is not empty. `read_closed`: the peer has announced the end of its stream, and no
    /// further event will tell.
    pub fn read(&mut self, room: &mut [u8], scratch: &mut [u8], read_closed: bool) -> Took {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) => return tls.read(room, scratch, read_closed),
        };
        match retry(|| stream.read(room)) {
            Ok(0) => Took::new(0, 0, Then::Closed { clean: true }),
            Ok(n) if n < room.len() && !read_closed => Took::new(n, n, Then::Drained),
            Ok(n) => Took::new(n, n, Then::More),
            Err(e) if would_block(&e) => Took::new(0, 0, Then::Drained),
            Err(_) => Took::new(0, 0, Then::Closed { clean: false }),
        }
    }

    /// Takes a prefix of `bytes` to send and returns its length. With TLS the last of it may still wait for
    /// [`Transport::flush`].
    ///
    /// # Errors
    /// `WouldBlock` where nothing can be sent now or the connection does not stand yet, and those of the connection,
    /// failed connects among them.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => unconnected_blocks(retry(|| stream.write(bytes))),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    /// Sends what was taken and has not left yet.
    ///
    /// # Errors
    /// `WouldBlock` where the rest has to wait, and those of the connection.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(tls) => tls.flush(),
        }
    }

    /// Whether another request can be sent when a response is through.
    pub fn is_reusable(&mut self) -> bool {
        match self {
            Self::Plain(_) => true,
            Self::Tls(tls) => tls.is_reusable(),
        }
    }

    /// Whether a connection without a request is still good. Reads what is there.
    pub fn is_silent(&mut self, scratch: &mut [u8]) -> bool {
        match self {
            Self::Plain(stream) => {
                retry(|| stream.read(&mut scratch[..1])).is_err_and(|e| would_block(&e))
            }
            Self::Tls(tls) => tls.is_silent(scratch),
        }
    }

    /// Tells the peer that this is the end, where the protocol has a word for it.
    pub fn farewell(&mut self) {
        if let Self::Tls(tls) = self {
            tls.farewell();
        }
    }
}

/// Repeats a call that a signal interrupted.
pub(super) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

pub(super) fn would_block(e: &io::Error) -> bool {
    e.kind() == ErrorKind::WouldBlock
}

/// A connection that does not stand yet has to be waited for like one that is full.
pub(super) fn unconnected_blocks<T>(sent: io::Result<T>) -> io::Result<T> {
    sent.map_err(|e| match e.kind() {
        ErrorKind::NotConnected => ErrorKind::WouldBlock.into(),
        _ => e,
    })
}
