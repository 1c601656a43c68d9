//! Which name server is asked next.
//!
//! What must hold: servers are asked in the order given; one that keeps silent rests, longer each time, while others do
//! not; a server that answers is good again at once. Where all rest, the one that has rested longest is asked: a name is
//! never given up for want of a server.

use crate::limits::{DNS_REST_MS, DNS_REST_MS_MAX, DNS_SERVERS_MAX, DNS_SILENCES_MAX};
use crate::time::{MILLISECOND, Tick};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where the system says which servers to ask.
pub const PATH: &str = "/etc/resolv.conf";
/// Port of name servers.
const PORT: u16 = 53;

/// The servers of a resolv.conf(5); where it names none, the one on this machine.
pub fn parse(text: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let names_one = words.next() == Some("nameserver");
        words.next().filter(|_| names_one)?.parse::<IpAddr>().ok()
    };
    let mut servers: Vec<SocketAddr> = Vec::new();
    for server in text
        .lines()
        .filter_map(address)
        .map(|ip| SocketAddr::new(ip, PORT))
    {
        if servers.len() < DNS_SERVERS_MAX && !servers.contains(&server) {
            servers.push(server);
        }
    }
    if servers.is_empty() {
        servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT));
    }
    servers
}

struct Server {
    address: SocketAddr,
    /// Questions in a row that it did not answer.
    silences: u32,
    rests_until: Tick,
}

/// The servers as one lane sees them.
pub struct Servers(Vec<Server>);

/// Servers that a look-up has asked in this round, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round(u32);

const _: () = assert!(DNS_SERVERS_MAX <= 32);

impl Servers {
    /// All fresh. There is at least one.
    pub fn new(addresses: &[SocketAddr]) -> Self {
        assert!(!addresses.is_empty(), "somebody has to be asked");
        let fresh = |address: &SocketAddr| Server {
            address: *address,
            silences: 0,
            rests_until: 0,
        };
        Self(addresses.iter().take(DNS_SERVERS_MAX).map(fresh).collect())
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Where a server is.
    pub fn address(&self, server: usize) -> SocketAddr {
        self.0[server].address
    }

    /// The next server of a round; a round that is through begins anew.
    pub fn next(&self, round: &mut Round, now: Tick) -> usize {
        if round.0.count_ones() as usize >= self.0.len() {
            round.0 = 0;
        }
        let open = (0..self.0.len()).filter(|n| round.0 >> n & 1 == 0);
        // Of equals the first is taken, so those awake keep their order.
        let rest = |n: &usize| Some(self.0[*n].rests_until).filter(|until| *until > now);
        let server = open.min_by_key(rest).unwrap_or(0);
        round.0 |= 1 << server;
        server
    }

    /// It answered, whatever it said.
    pub fn answered(&mut self, server: usize) {
        self.0[server].silences = 0;
        self.0[server].rests_until = 0;
    }

    /// It did not answer.
    pub fn silent(&mut self, server: usize, now: Tick) {
        let it = &mut self.0[server];
        it.silences = it.silences.saturating_add(1);
        if let Some(doublings) = it.silences.checked_sub(DNS_SILENCES_MAX) {
            let rest = DNS_REST_MS
                .saturating_mul(1 << doublings.min(16))
                .min(DNS_REST_MS_MAX);
            it.rests_until = now + rest * MILLISECOND;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(n: u8) -> Servers {
        let list: Vec<SocketAddr> = (0..n)
            .map(|i| SocketAddr::from(([192, 0, 2, i], 53)))
            .collect();
        Servers::new(&list)
    }

    #[test]
    fn a_resolv_conf_is_read_as_it_is_written() {
        let servers = parse(
            "# c\nnameserver 192.0.2.1\n nameserver\t2001:db8::1 x\nsearch a.test\nnameserver no\nnameserver 192.0.2.1\noptions rotate\n",
        );
        assert_eq!(
            servers,
            [
                "192.0.2.1:53".parse().unwrap(),
                "[2001:db8::1]:53".parse().unwrap()
            ]
        );
        assert_eq!(parse(""), ["127.0.0.1:53".parse().unwrap()]);
        let many: String = (0..100)
            .map(|n| format!("nameserver 192.0.2.{n}\n"))
            .collect();
        assert_eq!(parse(&many).len(), DNS_SERVERS_MAX);
    }

    #[test]
    fn each_is_asked_once_a_round_in_order() {
        let servers = servers(3);
        let mut round = Round::default();
        let asked: Vec<usize> = (0..7).map(|_| servers.next(&mut round, 0)).collect();
        assert_eq!(asked, [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn a_silent_server_rests_while_others_do_not() {
        let mut servers = servers(2);
        let first = |s: &Servers, now| s.next(&mut Round::default(), now);
        for _ in 1..DNS_SILENCES_MAX {
            servers.silent(0, 10);
        }
        assert_eq!(first(&servers, 10), 0);
        servers.silent(0, 10);
        assert_eq!(first(&servers, 10), 1);
        let rested = 11 + DNS_REST_MS * MILLISECOND;
        assert_eq!(first(&servers, rested), 0);
        servers.silent(0, rested);
        assert_eq!(first(&servers, rested + DNS_REST_MS * MILLISECOND), 1);
        for _ in 0..100 {
            servers.silent(1, rested);
        }
        assert_eq!(
            first(&servers, rested),
            0,
            "both rest; this one not for as long"
        );
        servers.answered(1);
        assert_eq!(first(&servers, rested), 1);
    }
}
