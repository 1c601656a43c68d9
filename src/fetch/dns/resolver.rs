//! What all lanes are told about names, once.

use super::hosts_file::{self, HostsFile};
use super::{Found, servers};
use crate::config::{ResolveRule, resolve_rule};
use crate::limits::{ADDRESS_TTL_MAX_S, DNS_FILE_BYTES_MAX};
use crate::protocol::dns::Name;
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

/// A public address; nothing is ever sent there.
const SOMEWHERE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0x500, 0x9f, 0, 0, 0, 0, 0x42);

/// Rules, hosts file and servers. Copies share them.
#[derive(Clone)]
pub struct Resolver {
    rules: Arc<[ResolveRule]>,
    hosts: Arc<HostsFile>,
    servers: Arc<[SocketAddr]>,
    /// The machine has a way to the IPv6 world.
    ipv6_first: bool,
}

impl Resolver {
    /// Reads the hosts file, and resolv.conf where `servers` is empty. A file that is not there counts as empty.
    pub fn new(rules: &[ResolveRule], servers: &[SocketAddr]) -> Self {
        let servers = match servers {
            [] => servers::parse(&file(servers::PATH)).into(),
            given => given.into(),
        };
        Self {
            rules: rules.into(),
            hosts: Arc::new(HostsFile::parse(&file(hosts_file::PATH))),
            servers,
            ipv6_first: has_way_to(SOMEWHERE_V6),
        }
    }

    /// The name servers, in the order in which they are asked. There is at least one.
    pub fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }

    /// What can be said about `host`, as URLs have it, without asking anybody.
    pub(super) fn known(&self, host: &str, port: u16) -> Result<Found, Name> {
        let known = |addresses| Found {
            addresses,
            ttl_s: ADDRESS_TTL_MAX_S,
        };
        if let Some(address) = resolve_rule(&self.rules, host, port) {
            return Ok(known(vec![address.ip()]));
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(literal) = bare.parse() {
            return Ok(known(vec![literal]));
        }
        let Some(name) = Name::parse(host) else {
            return Ok(known(Vec::new()));
        };
        match self.hosts.addresses(&name) {
            Some(mut addresses) => {
                self.order(&mut addresses);
                Ok(known(addresses))
            }
            None => Err(name),
        }
    }

    /// Families in turn, so that a fetch finds the other one soon; IPv6 first where there is a way to it (RFC 8305 4).
    pub(super) fn order(&self, addresses: &mut Vec<IpAddr>) {
        let (six, four): (Vec<IpAddr>, Vec<IpAddr>) =
            addresses.drain(..).partition(IpAddr::is_ipv6);
        let (first, second) = if self.ipv6_first {
            (six, four)
        } else {
            (four, six)
        };
        let (mut first, mut second) = (first.into_iter(), second.into_iter());
        loop {
            let (one, other) = (first.next(), second.next());
            if one.is_none() && other.is_none() {
                return;
            }
            addresses.extend(one.into_iter().chain(other));
        }
    }
}

/// The beginning of a text file; empty where it cannot be read.
fn file(path: &str) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        // What was read before an error is as good as what stands there.
        let _ = file.take(DNS_FILE_BYTES_MAX).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether the routing table has a way there. Connecting a UDP socket sends nothing.
fn has_way_to(address: Ipv6Addr) -> bool {
    UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))
        .and_then(|socket| socket.connect((address, 53)))
        .is_ok()
}

/// Where a socket that talks to `server` is bound: anywhere, at a port that the system draws.
pub(super) fn any_port_for(server: SocketAddr) -> SocketAddr {
    match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let resolver = |ipv6_first| Resolver {
            ipv6_first,
            ..Resolver::new(&[], &["192.0.2.1:53".parse().unwrap()])
        };
        let list =
            |all: &[&str]| -> Vec<IpAddr> { all.iter().map(|i| i.parse().unwrap()).collect() };
        let given = list(&["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"]);
        let (mut four, mut six) = (given.clone(), given);
        resolver(false).order(&mut four);
        assert_eq!(
            four,
            list(&["192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.3"])
        );
        resolver(true).order(&mut six);
        assert_eq!(
            six,
            list(&["2001:db8::1", "192.0.2.1", "192.0.2.2", "192.0.2.3"])
        );
    }
}
