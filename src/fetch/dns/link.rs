//! How a look-up talks to its server: a datagram socket of its own, or a connection.
//!
//! What must hold: nothing blocks; a socket is connected to its server, so that the system drops what comes from others;
//! a connection keeps at most two of the longest messages that are looked at.

use super::resolver::any_port_for;
use crate::limits::DNS_MESSAGE_BYTES_MAX;
use mio::net::{TcpStream, UdpSocket};
use mio::{Interest, Registry, Token};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

/// Bytes in front of a message that say how long it is (RFC 1035 4.2.2).
const LENGTH_BYTES: usize = 2;
/// Received and not yet taken, at most.
const RECEIVED_BYTES_MAX: usize = 2 * (LENGTH_BYTES + DNS_MESSAGE_BYTES_MAX);

/// A way to a server.
pub enum Link {
    /// Datagrams, from a port drawn for this try.
    Udp(UdpSocket),
    /// A connection.
    Tcp(Box<Tcp>),
}

/// A connection and what is on its way over it.
pub struct Tcp {
    stream: TcpStream,
    unsent: Vec<u8>,
    received: Vec<u8>,
}

impl Link {
    /// A socket for datagrams.
    ///
    /// # Errors
    /// Those of socket, bind, connect and epoll_ctl: no descriptor free, no way to the server.
    pub fn udp(server: SocketAddr, registry: &Registry, token: Token) -> io::Result<Self> {
        let mut socket = UdpSocket::bind(any_port_for(server))?;
        socket.connect(server)?;
        registry.register(&mut socket, token, Interest::READABLE)?;
        Ok(Self::Udp(socket))
    }

    /// Begins to connect.
    ///
    /// # Errors
    /// Those of socket, connect and epoll_ctl.
    pub fn tcp(server: SocketAddr, registry: &Registry, token: Token) -> io::Result<Self> {
        let mut stream = TcpStream::connect(server)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self::Tcp(Box::new(Tcp {
            stream,
            unsent: Vec::new(),
            received: Vec::new(),
        })))
    }

    /// Whether it is a connection.
    pub fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    /// Sends a message, or as much of it as goes now.
    ///
    /// # Errors
    /// Those of the socket. A datagram that finds no room is lost, as datagrams are.
    pub fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => match socket.send(message) {
                Err(e) if e.kind() != ErrorKind::WouldBlock => Err(e),
                _ => Ok(()),
            },
            Self::Tcp(tcp) => {
                let length = u16::try_from(message.len()).map_err(io::Error::other)?;
                tcp.unsent.extend_from_slice(&length.to_be_bytes());
                tcp.unsent.extend_from_slice(message);
                tcp.flush()
            }
        }
    }

    /// The next message that has come, into `room`; its length. A longer one is cut to `room`.
    ///
    /// # Errors
    /// `WouldBlock` where none has come whole, and those of the socket: the server refused, closed, or says more than is
    /// ever listened to.
    pub fn receive(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.recv(room),
            Self::Tcp(tcp) => {
                tcp.flush()?;
                tcp.receive(room)
            }
        }
    }
}

impl Tcp {
    fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => drop(self.unsent.drain(..n)),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return Ok(());
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn receive(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some((head, rest)) = self.received.split_first_chunk::<LENGTH_BYTES>() {
                let length = usize::from(u16::from_be_bytes(*head));
                if length > DNS_MESSAGE_BYTES_MAX {
                    return Err(ErrorKind::InvalidData.into());
                }
                if let Some(message) = rest.get(..length) {
                    let taken = length.min(room.len());
                    room[..taken].copy_from_slice(&message[..taken]);
                    self.received.drain(..LENGTH_BYTES + length);
                    return Ok(taken);
                }
            }
            // Less than a whole message is kept, so there is always room for more of it.
            let mut more = [0; 4 << 10];
            let free = RECEIVED_BYTES_MAX - self.received.len();
            let n = more.len().min(free);
            match self.stream.read(&mut more[..n]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.received.extend_from_slice(&more[..n]),
                Err(e) if e.kind() == ErrorKind::NotConnected => {
                    return Err(ErrorKind::WouldBlock.into());
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}
