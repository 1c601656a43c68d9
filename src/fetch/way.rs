//! The way through a proxy, over a socket.
//!
//! What must hold: never blocks; what is said is bounded by [`Tunnel`]; a proxy that fails is no fault of the host behind.

use super::transport::{retry, unconnected_blocks, would_block};
use crate::config::{Proxy, ProxyKind};
use crate::event::{Outcome, Page};
use crate::protocol::tunnel::{Target, Told, Tunnel};
use crate::protocol::url;
use mio::net::TcpStream;
use std::io::{Read, Write};

/// Bytes of a proxy's answer that are taken at once.
const PIECE_BYTES: usize = 1 << 10;

/// How far a way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dug {
    /// The proxy is not reached yet.
    Dialling,
    /// The proxy has to say more.
    Waiting,
    /// The next byte is for the server.
    Open,
    /// It leads nowhere.
    Failed(Outcome),
}

/// The way to the server of `page`; by its name where no address was looked up. `Err` where the proxy cannot be told.
pub(super) fn way(proxy: &Proxy, user_agent: &str, page: &Page) -> Result<Tunnel, Outcome> {
    let address = page.address.ok_or(Outcome::NotSent)?;
    let target = match address.ip().is_unspecified() {
        false => Target::Address(address),
        true => {
            let origin = url::origin(page.origin()).ok_or(Outcome::NotSent)?;
            Target::Name(origin.host, origin.port)
        }
    };
    match proxy.kind {
        ProxyKind::Http => Ok(Tunnel::connect(target, user_agent, proxy.authorization())),
        ProxyKind::Socks5 => Tunnel::socks5(target, proxy.login()).ok_or(Outcome::NotSent),
    }
}

/// Says and hears as much as the socket allows.
pub(super) fn dig(tunnel: &mut Tunnel, stream: &mut TcpStream) -> Dug {
    let mut piece = [0; PIECE_BYTES];
    loop {
        while !tunnel.unsent().is_empty() {
            match unconnected_blocks(retry(|| stream.write(tunnel.unsent()))) {
                Ok(n) if n > 0 => tunnel.sent(n),
                Err(e) if would_block(&e) && tunnel.has_begun() => return Dug::Waiting,
                Err(e) if would_block(&e) => return Dug::Dialling,
                Ok(_) | Err(_) => return Dug::Failed(Outcome::ProxyFailed),
            }
        }
        match retry(|| stream.read(&mut piece)) {
            Ok(n) if n > 0 => match tunnel.received(&piece[..n]) {
                Told::More => {}
                Told::Open => return Dug::Open,
                Told::Ended(outcome) => return Dug::Failed(outcome),
            },
            Err(e) if would_block(&e) => return Dug::Waiting,
            Ok(_) | Err(_) => return Dug::Failed(Outcome::ProxyFailed),
        }
    }
}
