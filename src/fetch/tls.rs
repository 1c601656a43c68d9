//! TLS over one socket: rustls does the protocol, this moves the bytes.
//!
//! What must hold:
//! * Never blocks and never spins: a call ends when the socket has no more, and reads a bounded amount of it.
//! * Bytes are read from the socket in large pieces into the lane's scratch buffer; rustls would take 4 KiB at a time.
//!   All of a piece goes into rustls before the call ends: a piece is no longer than the room for its plaintext (or, in
//!   a handshake, than one record), so rustls' own buffer, which takes a record's plaintext, always has room for the rest.
//! * An end of the stream without close_notify is no clean end: somebody else may have cut it.
//! * What rustls has to say (alerts, key updates) goes out when the socket takes it, or not at all.

use super::sessions::Sessions;
use super::transport::{Then, Took, retry, unconnected_blocks, would_block};
use super::trust::{Trust, outcome_of};
use crate::event::{Outcome, Page};
use crate::limits::{
    TLS_HANDSHAKE_BYTES_MAX, TLS_IDLE_READS_MAX, TLS_READ_BYTES, TLS_SEND_BYTES_MAX,
};
use crate::protocol::url;
use mio::net::TcpStream;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

/// Plaintext of one record at most (RFC 8446 5.1).
const RECORD_BYTES_MAX: usize = 16 << 10;

/// What all TLS connections of a lane share.
pub(super) struct TlsClient {
    config: Arc<ClientConfig>,
    sessions: Arc<Sessions>,
    /// Where bytes from a socket lie on their way into rustls.
    pub scratch: Vec<u8>,
}

impl TlsClient {
    /// A client that believes `trust` and has no sessions yet.
    pub fn new(trust: &Trust) -> io::Result<Self> {
        let mut config = trust.configuration().map_err(io::Error::other)?;
        let sessions = Arc::new(Sessions::default());
        config.resumption = Resumption::store(sessions.clone());
        Ok(Self {
            config: Arc::new(config),
            sessions,
            scratch: vec![0; TLS_READ_BYTES],
        })
    }

    /// Servers whose sessions were forgotten for the limit so far.
    pub fn sessions_dropped(&self) -> u64 {
        self.sessions.dropped()
    }

    /// A connection to the server of `page`, before its first byte; `None` where its host is no name for TLS.
    pub fn connection(&self, page: &Page) -> Option<ClientConnection> {
        let host = url::origin(page.origin())?.host;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        // RFC 6066 3: without a trailing dot. rustls sends no SNI for addresses.
        let name = ServerName::try_from(bare.strip_suffix('.').unwrap_or(bare)).ok()?;
        let made = ClientConnection::new(self.config.clone(), name.to_owned());
        let mut connection = made.ok()?;
        connection.set_buffer_limit(Some(TLS_SEND_BYTES_MAX));
        Some(connection)
    }
}

/// How far a handshake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shaken {
    /// The connection does not stand yet.
    Dialling,
    /// It stands, and the server has to say more.
    Waiting,
    /// The connection can be used; whether an earlier session was resumed.
    Done(bool),
    /// The connection did not come to stand.
    Unconnected(ErrorKind),
    /// The handshake failed.
    Failed(Outcome),
}

/// A TLS connection.
#[derive(Debug)]
pub(super) struct Tls {
    stream: TcpStream,
    session: ClientConnection,
    /// Bytes of the handshake that were received.
    came: usize,
    stands: bool,
    /// close_notify has come.
    closed: bool,
}

impl Tls {
    pub fn new(stream: TcpStream, session: ClientConnection) -> Self {
        Self {
            stream,
            session,
            came: 0,
            stands: false,
            closed: false,
        }
    }

    /// The socket beneath.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Goes on with the handshake as far as the socket allows. What it ends with is sent along with the request.
    pub fn handshake(&mut self, scratch: &mut [u8]) -> Shaken {
        loop {
            match self.flush() {
                Ok(()) => self.stands = true,
                Err(e) if would_block(&e) => {
                    self.stands = self.stands || self.stream.peer_addr().is_ok();
                    if !self.stands {
                        return Shaken::Dialling;
                    }
                }
                Err(e) if !self.stands => return Shaken::Unconnected(e.kind()),
                // What the server said before it closed may still be there to read.
                Err(_) => {}
            }
            if self.came > TLS_HANDSHAKE_BYTES_MAX {
                return Shaken::Failed(Outcome::TlsProtocol);
            }
            let n = match retry(|| self.stream.read(&mut scratch[..RECORD_BYTES_MAX])) {
                Ok(0) => return Shaken::Failed(Outcome::TlsClosed),
                Ok(n) => n,
                Err(e) if would_block(&e) => return Shaken::Waiting,
                Err(_) => return Shaken::Failed(Outcome::TlsClosed),
            };
            self.came += n;
            if let Err(outcome) = self.feed(&scratch[..n], &mut []) {
                return Shaken::Failed(outcome);
            }
            if !self.session.is_handshaking() {
                let kind = self.session.handshake_kind();
                return Shaken::Done(kind == Some(HandshakeKind::Resumed));
            }
            if self.closed {
                return Shaken::Failed(Outcome::TlsClosed);
            }
        }
    }

    /// Receives into `room`: one piece from the socket at most.
    pub fn read(&mut self, room: &mut [u8], scratch: &mut [u8], read_closed: bool) -> Took {
        let mut bytes = self.take(room);
        if bytes == room.len() {
            return Took::new(bytes, 0, Then::More);
        }
        if self.closed {
            return Took::new(bytes, 0, Then::Closed { clean: true });
        }
        let most = scratch.len().min(room.len() - bytes);
        let wire = match retry(|| self.stream.read(&mut scratch[..most])) {
            Ok(0) => return Took::new(bytes, 0, Then::Closed { clean: false }),
            Ok(n) => n,
            Err(e) if would_block(&e) => return Took::new(bytes, 0, Then::Drained),
            Err(_) => return Took::new(bytes, 0, Then::Closed { clean: false }),
        };
        let then = match self.feed(&scratch[..wire], &mut room[bytes..]) {
            Ok(n) => {
                bytes += n;
                // A short read says that the socket has no more, unless the peer has announced its end.
                let drained = wire < most && !read_closed && !self.closed && bytes < room.len();
                if drained { Then::Drained } else { Then::More }
            }
            Err(outcome) => Then::Broken(outcome),
        };
        // Answers to key updates; what the socket does not take now goes with the next request.
        let _ = self.flush();
        Took::new(bytes, wire, then)
    }

    /// Has rustls take in all of `received`; its plaintext goes to `room` as far as it fits. Returns how much did.
    fn feed(&mut self, mut received: &[u8], room: &mut [u8]) -> Result<usize, Outcome> {
        let mut taken = 0;
        while !received.is_empty() && !self.closed {
            let fed = self.session.read_tls(&mut received);
            fed.map_err(|_| Outcome::TlsProtocol)?;
            match self.session.process_new_packets() {
                Ok(state) => self.closed = state.peer_has_closed(),
                Err(error) => {
                    // The alert that tells the server why.
                    let _ = self.flush();
                    return Err(outcome_of(&error));
                }
            }
            taken += self.take(&mut room[taken..]);
        }
        Ok(taken)
    }

    /// Plaintext that lies there.
    fn take(&mut self, room: &mut [u8]) -> usize {
        let mut taken = 0;
        while taken < room.len() {
            match self.session.reader().read(&mut room[taken..]) {
                Ok(n) if n > 0 => taken += n,
                _ => break,
            }
        }
        taken
    }

    /// Sends a prefix of `bytes` and returns its length; the last of it may have to wait for [`Tls::flush`].
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.session.writer().write(bytes)?;
        if n == 0 {
            self.flush()?;
            return self.session.writer().write(bytes);
        }
        Ok(n)
    }

    /// Sends what rustls holds.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            let (session, stream) = (&mut self.session, &mut self.stream);
            if unconnected_blocks(retry(|| session.write_tls(stream)))? == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    /// Whether another request can be sent: nothing unread, no end announced.
    pub fn is_reusable(&mut self) -> bool {
        let state = self.session.process_new_packets();
        state.is_ok_and(|s| s.plaintext_bytes_to_read() == 0 && !s.peer_has_closed())
    }

    /// Whether a connection without a request is still good: session tickets may come, anything else ends it.
    pub fn is_silent(&mut self, scratch: &mut [u8]) -> bool {
        for _ in 0..TLS_IDLE_READS_MAX {
            let n = match retry(|| self.stream.read(&mut scratch[..RECORD_BYTES_MAX])) {
                Ok(0) => return false,
                Ok(n) => n,
                Err(e) => return would_block(&e),
            };
            if self.feed(&scratch[..n], &mut []).is_err() || !self.is_reusable() {
                return false;
            }
        }
        false
    }

    /// Says goodbye (close_notify), if the socket takes it.
    pub fn farewell(&mut self) {
        if !self.session.is_handshaking() {
            self.session.send_close_notify();
            let _ = self.flush();
        }
    }
}
