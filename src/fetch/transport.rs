//! What a request travels over.
//!
//! The one place that knows that plain TCP is not all: TLS is a second variant here, and the lane does not change.

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::io::{self, Read, Write};
use std::net::SocketAddr;

/// A connection, as far as bytes are concerned. Never blocks.
#[derive(Debug)]
pub enum Transport {
    /// TCP without TLS.
    Plain(TcpStream),
}

impl Transport {
    /// Begins to connect to `address` and registers for all events under `token`. Whether the connection stands shows
    /// at the first write.
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

    /// Receives into `room`. 0 is the end of the stream.
    ///
    /// # Errors
    /// `WouldBlock` where nothing is there, and those of the connection.
    pub fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => retry(|| stream.read(room)),
        }
    }

    /// Sends a prefix of `bytes` and returns its length.
    ///
    /// # Errors
    /// `WouldBlock` where nothing can be sent now or the connection does not stand yet, and those of the connection,
    /// failed connects among them.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = match self {
            Self::Plain(stream) => retry(|| stream.write(bytes)),
        };
        sent.map_err(|e| match e.kind() {
            io::ErrorKind::NotConnected => io::ErrorKind::WouldBlock.into(),
            _ => e,
        })
    }
}

/// Repeats a call that a signal interrupted.
fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
