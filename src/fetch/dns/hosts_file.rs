//! The names of the hosts file, and those that no server is asked for.

use crate::limits::ADDRESSES_MAX;
use crate::protocol::dns::Name;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where the hosts file lies.
pub const PATH: &str = "/etc/hosts";

/// Names with their addresses, as hosts(5) has them.
#[derive(Debug, Default)]
pub struct HostsFile {
    names: HashMap<Name, Vec<IpAddr>>,
}

impl HostsFile {
    /// Reads the text of a hosts file. What is no address or no name is passed over.
    pub fn parse(text: &str) -> Self {
        let mut hosts = Self::default();
        for line in text.lines() {
            let mut words = line
                .split('#')
                .next()
                .unwrap_or("")
                .split_ascii_whitespace();
            let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else {
                continue;
            };
            for name in words.filter_map(Name::parse) {
                let addresses = hosts.names.entry(name).or_default();
                if addresses.len() < ADDRESSES_MAX && !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        hosts
    }

    /// The addresses of `name` if it is not for a server to know: it stands in the file, or it is one of the names that
    /// RFC 6761 6 and RFC 7686 2 keep from the name service (`localhost`, `invalid`, `onion`), which may have none.
    pub fn addresses(&self, name: &Name) -> Option<Vec<IpAddr>> {
        if let Some(addresses) = self.names.get(name) {
            return Some(addresses.clone());
        }
        if name.is_within("localhost") {
            return Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let nowhere = name.is_within("invalid") || name.is_within("onion");
        nowhere.then(Vec::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_file_is_read_as_it_is_written() {
        let hosts = HostsFile::parse(
            "127.0.0.1\tlocalhost\n# 192.0.2.9 no.test\n192.0.2.1 a.test A-Alias # b.test\n192.0.2.2 a.test\n192.0.2.2 a.test\n\
             fe80::1%eth0 c.test\nnonsense\n2001:db8::1 a.test bad/name\n192.0.2.3\n",
        );
        let of = |name: &str| hosts.addresses(&Name::parse(name).unwrap());
        let ips = |list: &[&str]| Some(list.iter().map(|i| i.parse().unwrap()).collect());
        assert_eq!(
            of("A.test"),
            ips(&["192.0.2.1", "192.0.2.2", "2001:db8::1"])
        );
        assert_eq!(of("a-alias"), ips(&["192.0.2.1"]));
        assert_eq!(of("localhost"), ips(&["127.0.0.1"]));
        for unknown in ["no.test", "b.test", "c.test", "test"] {
            assert_eq!(of(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn names_that_are_never_asked_for() {
        let of = |name: &str| HostsFile::default().addresses(&Name::parse(name).unwrap());
        assert_eq!(of("x.localhost").unwrap().len(), 2);
        assert_eq!(of("x.invalid"), Some(vec![]));
        assert_eq!(of("abc.onion"), Some(vec![]));
        assert_eq!(of("notlocalhost"), None);
    }
}
