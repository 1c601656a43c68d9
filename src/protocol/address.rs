//! Which addresses and ports the crawler may connect to. The fetcher asks for every address of every answer and every
//! hop, so that no page, redirect or name server can lead it into the operator's own network.
//!
//! What must hold:
//! * By default only globally reachable unicast addresses are allowed: 2000::/3 and IPv4, less the tables below.
//! * What is judged is the address that is connected to. An IPv4 address wrapped for IPv6 (mapped, NAT64) is judged as
//!   itself; wrappings whose inner address a third party routes (6to4, Teredo, IPv4-compatible) are never allowed.
//! * The addresses of this machine's own interfaces are denied like private ones, public as they may be.
//! * The operator's `--allow-net` opens ranges, and nothing else does. Where this program itself listens is not opened by it.
//!
//! Deliberately absent: rules for names (a name says nothing about where it leads), but for those that are never public.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, c: u16, d: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix)
}

/// IANA IPv4 Special-Purpose Address Registry (RFC 6890, RFC 8190), multicast, and one cloud's metadata address that
/// looks public. Cloud metadata elsewhere (169.254.169.254, 100.100.100.200, 192.0.0.192) is inside these ranges.
const DENIED_V4: [Ipv4Net; 19] = [
    v4(0, 0, 0, 0, 8),        // "this network", RFC 791
    v4(10, 0, 0, 0, 8),       // private use, RFC 1918
    v4(100, 64, 0, 0, 10),    // shared address space, RFC 6598
    v4(127, 0, 0, 0, 8),      // loopback, RFC 1122
    v4(168, 63, 129, 16, 32), // Azure's host services
    v4(169, 254, 0, 0, 16),   // link local, RFC 3927
    v4(172, 16, 0, 0, 12),    // private use, RFC 1918
    v4(192, 0, 0, 0, 24), // IETF protocol assignments, RFC 6890; its two anycast addresses serve no web
    v4(192, 0, 2, 0, 24), // TEST-NET-1, RFC 5737
    v4(192, 31, 196, 0, 24), // AS112, RFC 7535
    v4(192, 52, 193, 0, 24), // AMT, RFC 7450
    v4(192, 88, 99, 0, 24), // 6to4 relay anycast, RFC 7526
    v4(192, 168, 0, 0, 16), // private use, RFC 1918
    v4(192, 175, 48, 0, 24), // AS112 direct delegation, RFC 7534
    v4(198, 18, 0, 0, 15), // benchmarking, RFC 2544
    v4(198, 51, 100, 0, 24), // TEST-NET-2, RFC 5737
    v4(203, 0, 113, 0, 24), // TEST-NET-3, RFC 5737
    v4(224, 0, 0, 0, 4),  // multicast, RFC 5771
    v4(240, 0, 0, 0, 4),  // reserved and limited broadcast, RFC 1112, RFC 8190
];

/// All that IANA has given out as global unicast (RFC 4291 2.4). Loopback, unspecified, unique and link local, multicast,
/// discard-only, SRv6 SIDs and the rest of the special-purpose registry lie outside.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 0, 0, 3);

/// IANA IPv6 Special-Purpose Address Registry inside [`GLOBAL_V6`].
const DENIED_V6: [Ipv6Net; 5] = [
    v6(0x2001, 0, 0, 0, 23), // IETF protocol assignments, RFC 2928: Teredo, benchmarking, ORCHID, AMT, AS112
    v6(0x2001, 0xdb8, 0, 0, 32), // documentation, RFC 3849
    v6(0x2002, 0, 0, 0, 16), // 6to4, RFC 3056
    v6(0x2620, 0x4f, 0x8000, 0, 48), // AS112 direct delegation, RFC 7534
    v6(0x3fff, 0, 0, 0, 20), // documentation, RFC 9637
];

/// NAT64 well-known prefix (RFC 6052): the last 32 bits are the IPv4 address that is reached.
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 0, 0, 96);

/// The ports a page may not make a browser, or this crawler, talk to: the bad ports of the WHATWG Fetch Standard, "port
/// blocking", as web-platform-tests has them (`fetch/api/request/request-bad-port.any.js`, 83 ports). Sorted.
const BAD_PORTS: [u16; 83] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101,
    102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427,
    465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990,
    993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667,
    6668, 6669, 6679, 6697, 10080,
];

/// What may be connected to.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    allow: Box<[IpNet]>,
    own: Box<[IpAddr]>,
    listeners: Box<[SocketAddr]>,
    /// Public addresses are closed too.
    opened_only: bool,
}

impl Policy {
    /// The default policy with `allow` opened, less the machine's `own` addresses where `allow` does not name them, and
    /// less the program's `listeners` in any case.
    pub fn new(allow: &[IpNet], own: &[IpAddr], listeners: &[SocketAddr]) -> Self {
        let listener = |a: &SocketAddr| SocketAddr::new(unwrapped(a.ip()), a.port());
        Self {
            allow: IpNet::aggregate(&allow.to_vec()).into(),
            own: own.iter().copied().map(unwrapped).collect(),
            listeners: listeners.iter().map(listener).collect(),
            opened_only: false,
        }
    }

    /// The same with public addresses closed, but for those that are opened.
    pub fn opened_only(mut self) -> Self {
        self.opened_only = true;
        self
    }

    /// Whether `ip` may be connected to.
    pub fn allows(&self, ip: IpAddr) -> bool {
        let inner = unwrapped(ip);
        let opened = |ip: IpAddr| self.allow.iter().any(|net| net.contains(&ip));
        let public = is_global(inner) && !self.opened_only;
        public && !self.own.contains(&inner) || opened(inner) || opened(ip)
    }

    /// Whether `address` may be connected to: its address is allowed, and it is not ourselves that answer there.
    pub fn may_connect(&self, address: SocketAddr) -> bool {
        let inner = unwrapped(address.ip());
        let ourselves = |listener: &SocketAddr| {
            let here = listener.ip().is_unspecified()
                && (inner.is_loopback() || inner.is_unspecified() || self.own.contains(&inner));
            listener.port() == address.port() && (here || listener.ip() == inner)
        };
        self.allows(address.ip()) && !self.listeners.iter().any(ourselves)
    }
}

/// The IPv4 address inside a mapped (RFC 4291 2.5.5.2) or NAT64 address, else `ip`.
fn unwrapped(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return v4.into();
    }
    if NAT64.contains(&v6) {
        let [.., a, b, c, d] = v6.octets();
        return Ipv4Addr::new(a, b, c, d).into();
    }
    ip
}

fn is_global(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !DENIED_V4.iter().any(|net| net.contains(&ip)),
        IpAddr::V6(ip) => GLOBAL_V6.contains(&ip) && !DENIED_V6.iter().any(|net| net.contains(&ip)),
    }
}

/// Names that do not exist on the public Internet: single labels, and those below the special-use domains of RFC 6761,
/// RFC 6762, RFC 8375 and ICANN's `.internal`.
pub fn name_is_private(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    let special = [
        "localhost",
        "test",
        "invalid",
        "example",
        "local",
        "internal",
        "home.arpa",
    ];
    let below = |domain: &str| {
        let front = name.strip_suffix(domain);
        front.is_some_and(|front| front.is_empty() || front.ends_with('.'))
    };
    !name.contains('.') || special.iter().any(|domain| below(domain))
}

/// Whether a URL may name `port`.
pub fn port_allowed(port: u16) -> bool {
    BAD_PORTS.binary_search(&port).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn suite(file: &str) -> Option<PathBuf> {
        let Some(suites) = std::env::var_os("CYCLOSA_SUITES") else {
            println!("skipped: CYCLOSA_SUITES is not set");
            return None;
        };
        Some(PathBuf::from(suites).join("ssrf").join(file))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn denied(text: &str) -> bool {
        !Policy::default().allows(ip(text))
    }

    #[test]
    fn ranges_are_denied_up_to_their_ends() {
        for (first, last) in [
            ("0.0.0.0", "0.255.255.255"),
            ("10.0.0.0", "10.255.255.255"),
            ("100.64.0.0", "100.127.255.255"),
            ("127.0.0.0", "127.255.255.255"),
            ("169.254.0.0", "169.254.255.255"),
            ("172.16.0.0", "172.31.255.255"),
            ("192.168.0.0", "192.168.255.255"),
            ("198.18.0.0", "198.19.255.255"),
            ("224.0.0.0", "255.255.255.255"),
            ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ] {
            assert!(denied(first) && denied(last), "{first} {last}");
        }
        for neighbour in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2000::",
            "2001:200::",
            "2003::",
            "2606:4700::1111",
        ] {
            assert!(!denied(neighbour), "{neighbour}");
        }
    }

    #[test]
    fn metadata_and_wrapped_addresses() {
        for address in [
            "169.254.169.254",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "fd00:ec2::254",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:0.0.0.0",
            "::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::808:808",
            "2002:808:808::1",
            "2001::f7f7:f7f7",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "fc00::",
            "100::1",
            "5f00::1",
            "4000::",
        ] {
            assert!(denied(address), "{address}");
        }
        assert!(!denied("::ffff:8.8.8.8"));
        assert!(!denied("64:ff9b::8.8.8.8"));
    }

    #[test]
    fn opened_ranges_only() {
        let nets = ["127.0.0.0/8".parse().unwrap(), "fc00::/7".parse().unwrap()];
        let policy = Policy::new(&nets, &[], &[]);
        for open in [
            "127.0.0.1",
            "127.255.255.255",
            "::ffff:127.0.0.1",
            "fd00::1",
            "8.8.8.8",
        ] {
            assert!(policy.allows(ip(open)), "{open}");
        }
        for closed in ["10.0.0.1", "::1", "169.254.169.254", "64:ff9b::10.0.0.1"] {
            assert!(!policy.allows(ip(closed)), "{closed}");
        }
    }

    #[test]
    fn this_machine_is_denied_by_all_its_names_unless_opened() {
        let own = [ip("8.8.8.8"), ip("2606:4700::1111")];
        let policy = Policy::new(&[], &own, &[]);
        for address in [
            "8.8.8.8",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2606:4700::1111",
        ] {
            assert!(!policy.allows(ip(address)), "{address}");
        }
        assert!(policy.allows(ip("8.8.8.9")));
        let opened = Policy::new(&["8.8.8.8/32".parse().unwrap()], &own, &[]);
        assert!(opened.allows(ip("8.8.8.8")) && !opened.allows(ip("2606:4700::1111")));
    }

    #[test]
    fn our_own_listeners_are_denied_whatever_is_opened() {
        let nets: [IpNet; 2] = ["127.0.0.0/8".parse().unwrap(), "8.0.0.0/8".parse().unwrap()];
        let at = |text: &str| -> SocketAddr { text.parse().unwrap() };
        let one = Policy::new(&nets, &[], &[at("127.0.0.1:9180")]);
        assert!(!one.may_connect(at("127.0.0.1:9180")));
        assert!(!one.may_connect(at("[::ffff:127.0.0.1]:9180")));
        assert!(one.may_connect(at("127.0.0.1:80")) && one.may_connect(at("127.0.0.2:9180")));
        let all = Policy::new(&nets, &[ip("8.8.8.8")], &[at("0.0.0.0:9180")]);
        for here in ["127.0.0.1:9180", "127.9.9.9:9180", "8.8.8.8:9180"] {
            assert!(!all.may_connect(at(here)), "{here}");
        }
        assert!(all.may_connect(at("8.8.8.9:9180")) && all.may_connect(at("127.0.0.1:80")));
        assert!(!all.may_connect(at("10.0.0.1:80")));
    }

    #[test]
    fn bad_ports() {
        assert!(BAD_PORTS.is_sorted());
        for bad in [0, 22, 25, 6000, 6697, 10080] {
            assert!(!port_allowed(bad), "{bad}");
        }
        for good in [80, 443, 8080, 8443, 3000, 65535] {
            assert!(port_allowed(good), "{good}");
        }
    }

    #[test]
    fn registry_rows() {
        let Some(file) = suite("iana_special_purpose.csv") else {
            return;
        };
        let text = std::fs::read_to_string(file).unwrap();
        let mut rows = 0;
        for row in text.lines().skip(1).filter(|row| !row.is_empty()) {
            let fields: Vec<&str> = row.split(',').collect();
            let net: IpNet = fields[0].parse().unwrap();
            rows += 1;
            if fields
                .last()
                .is_some_and(|action| action.starts_with("unwrap"))
            {
                continue;
            }
            for end in [net.network(), net.broadcast()] {
                assert!(!Policy::default().allows(end), "{row}: {end}");
                let alone = Policy::new(&[net], &[], &[]);
                assert!(alone.allows(end), "{row}: {end} opened");
            }
        }
        println!("iana_special_purpose.csv: {rows} rows");
        assert!(rows >= 39);
    }

    /// The boundary vectors carry the verdict of an older table; ours is stricter and must never be laxer, except inside
    /// the wrappings, where the inner address decides.
    #[test]
    fn boundary_and_wrapped_vectors() {
        let Some(file) = suite("ip_vectors.json") else {
            return;
        };
        let text = std::fs::read_to_string(file).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let (mut same, mut stricter) = (0, Vec::new());
        for vector in json["boundary_vectors"].as_array().unwrap() {
            let address = vector["ip"].as_str().unwrap();
            let global = vector["python_is_global"].as_bool().unwrap()
                && !vector["is_multicast"].as_bool().unwrap();
            match (Policy::default().allows(ip(address)), global) {
                (true, false) => assert_ne!(unwrapped(ip(address)), ip(address), "{address}"),
                (false, true) => stricter.push(address),
                _ => same += 1,
            }
        }
        println!(
            "boundary vectors: {same} as expected, {} stricter: {stricter:?}",
            stricter.len()
        );
        let wrapped = json["embedded_v4_vectors"].as_array().unwrap();
        for vector in wrapped {
            let address = vector["ip"].as_str().unwrap();
            assert_eq!(
                Policy::default().allows(ip(address)),
                vector["allow"].as_bool().unwrap(),
                "{vector}"
            );
        }
        println!("wrapped vectors: {} as expected", wrapped.len());
        assert!(same > 0 && !wrapped.is_empty());
    }
}
