//! Names and questions.

use crate::limits::DNS_UDP_BYTES;
use simple_dns::rdata::OPT;
use simple_dns::{CLASS, Name as WireName, Packet, PacketFlag, Question as WireQuestion, TYPE};
use std::net::IpAddr;
use std::sync::Arc;

/// Longest name as text, without the last dot (RFC 1035 2.3.4: 255 bytes on the wire).
const NAME_BYTES_MAX: usize = 253;
/// Longest label (RFC 1035 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// Which kind of address is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// A records (RFC 1035 3.4.1).
    V4,
    /// AAAA records (RFC 3596).
    V6,
}

impl Family {
    pub(super) fn record_type(self) -> TYPE {
        match self {
            Self::V4 => TYPE::A,
            Self::V6 => TYPE::AAAA,
        }
    }

    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// An absolute name that can be asked for: lower case, without the last dot. Copies share their text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// From a host as URLs have it. `None` for what no host is called: more than 253 bytes, labels that are empty or longer
    /// than 63, anything but letters, digits, `-` and `_`.
    pub fn parse(host: &str) -> Option<Self> {
        let host = host.strip_suffix('.').unwrap_or(host);
        let label_fits = |label: &str| {
            (1..=LABEL_BYTES_MAX).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        let fits = host.len() <= NAME_BYTES_MAX && host.split('.').all(label_fits);
        fits.then(|| Self(host.to_ascii_lowercase().into()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `domain` or lies below it.
    pub fn is_within(&self, domain: &str) -> bool {
        self.0
            .strip_suffix(domain)
            .is_some_and(|head| head.is_empty() || head.ends_with('.'))
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A question on its way.
#[derive(Clone, Debug)]
pub struct Question {
    /// Its identifier.
    pub id: u16,
    /// What it asks for.
    pub family: Family,
    /// The name in mixed case.
    pub(super) spelling: Box<str>,
}

impl Question {
    /// Asks for the addresses of `name`. `id` and `case` must be unpredictable: each letter whose bit in `case` is set is
    /// written in upper case.
    pub fn new(name: &Name, family: Family, id: u16, case: [u8; 32]) -> Self {
        let bit = |at: usize| case[at / 8 % case.len()] >> (at % 8) & 1 == 1;
        let spelling: String = name
            .as_str()
            .chars()
            .enumerate()
            .map(|(at, c)| if bit(at) { c.to_ascii_uppercase() } else { c })
            .collect();
        Self {
            id,
            family,
            spelling: spelling.into(),
        }
    }

    /// Appends the message to `out`: one question, recursion desired, and where `edns` says so the size we take.
    pub fn write(&self, edns: bool, out: &mut Vec<u8>) {
        let mut packet = Packet::new_query(self.id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        packet.questions.push(WireQuestion::new(
            WireName::new_unchecked(&self.spelling),
            self.family.record_type().into(),
            CLASS::IN.into(),
            false,
        ));
        if edns {
            *packet.opt_mut() = Some(OPT {
                opt_codes: Vec::new(),
                udp_packet_size: DNS_UDP_BYTES,
                version: 0,
            });
        }
        packet
            .write_to(out)
            .expect("a checked name is written to memory");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_hosts_are_called() {
        for (host, name) in [
            ("Example.ORG", "example.org"),
            ("example.org.", "example.org"),
            ("_x.a-b.test", "_x.a-b.test"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(Name::parse(host).unwrap().as_str(), name);
        }
        let long_label = "a".repeat(64);
        let long_name = "a.".repeat(127);
        assert!(Name::parse(&long_name[..253]).is_some());
        for bad in [
            "",
            ".",
            "a..b",
            ".a",
            "a b",
            "a\0b",
            "a/b",
            "a..",
            "ü.test",
            "[::1]",
            &long_label,
        ] {
            assert_eq!(Name::parse(bad), None, "{bad:?}");
        }
        assert_eq!(Name::parse(&format!("{long_name}b")), None);
    }

    #[test]
    fn a_name_is_within_its_domains() {
        let name = Name::parse("a.b.test").unwrap();
        assert!(name.is_within("test") && name.is_within("b.test") && name.is_within("a.b.test"));
        assert!(!name.is_within("est") && !name.is_within("x.test"));
    }

    #[test]
    fn a_question_is_written_as_rfc_1035_has_it() {
        let name = Name::parse("ab.test").unwrap();
        let mut case = [0; 32];
        case[0] = 0b0000_1001;
        let question = Question::new(&name, Family::V6, 0x1234, case);
        assert_eq!(&*question.spelling, "Ab.Test");
        let mut message = Vec::new();
        question.write(false, &mut message);
        assert_eq!(
            message,
            b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0\x02Ab\x04Test\0\0\x1c\0\x01"
        );
        message.clear();
        question.write(true, &mut message);
        assert_eq!(message[11], 1);
        assert!(message.ends_with(b"\0\0\x29\x04\xd0\0\0\0\0\0\0"));
    }
}
