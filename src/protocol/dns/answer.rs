//! What an answer says.

use super::question::{Family, Name, Question};
use crate::limits::{ADDRESSES_MAX, DNS_ALIASES_MAX, DNS_MESSAGE_BYTES_MAX};
use simple_dns::rdata::RData;
use simple_dns::{
    CLASS, Name as WireName, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of a message's header (RFC 1035 4.1.1).
const HEADER_BYTES: usize = 12;
/// Shortest question: the root, a type, a class.
const QUESTION_BYTES_MIN: usize = 5;
/// Shortest record: the root, type, class, time to live, length.
const RECORD_BYTES_MIN: usize = 11;

/// A verdict of a server on one question. Times to live are in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Addresses of the family asked for, at most half of [`ADDRESSES_MAX`], each once, in the server's order.
    Found {
        /// The addresses.
        addresses: Vec<IpAddr>,
        /// The shortest time to live on the way to them.
        ttl_s: u32,
    },
    /// The name is another name for `to`, of which the server says nothing.
    Alias {
        /// Whom to ask about.
        to: Name,
        /// Aliases on the way there.
        hops: u8,
        /// The shortest time to live among them.
        ttl_s: u32,
    },
    /// The name exists and has no address of this family (RFC 2308 2.2).
    NoData {
        /// For how long that holds, where the zone says so.
        ttl_s: Option<u32>,
    },
    /// The name does not exist (RFC 2308 2.1), nor does anything below it.
    NoName {
        /// For how long that holds, where the zone says so.
        ttl_s: Option<u32>,
    },
    /// The server cannot tell.
    Failed {
        /// It did not understand the question; it may be too old for EDNS0.
        format: bool,
    },
}

/// Why bytes are not taken for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// They answer something else, or are no answer.
    Mismatch,
    /// All fits but the case of letters: a forger's guess, or a server that rewrites names.
    WrongCase,
    /// They answer this question but are no DNS message, are too long, or lead from alias to alias without end.
    Malformed,
    /// The answer did not fit; it has to be asked for over TCP.
    Truncated,
}

/// Reads `bytes` as the answer to `asked`. Without `exact_case` the case of letters may differ (over TCP nobody can forge
/// without seeing the question).
///
/// # Errors
/// Why it is not taken.
pub fn read(bytes: &[u8], asked: &Question, exact_case: bool) -> Result<Answer, Refused> {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
        return Err(Refused::Mismatch);
    };
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let flags = PacketFlag::from_bits_truncate(word(2));
    if word(0) != asked.id || !flags.contains(PacketFlag::RESPONSE) {
        return Err(Refused::Mismatch);
    }
    // What is cut off need not be well-formed, and over TCP the question is asked anew.
    if flags.contains(PacketFlag::TRUNCATION) {
        return Err(Refused::Truncated);
    }
    // The counts are the sender's; room is made only for as much as can be there.
    let records = usize::from(word(6)) + usize::from(word(8)) + usize::from(word(10));
    let least = usize::from(word(4)) * QUESTION_BYTES_MIN + records * RECORD_BYTES_MIN;
    if bytes.len() > DNS_MESSAGE_BYTES_MAX || least > bytes.len() - HEADER_BYTES {
        return Err(Refused::Malformed);
    }
    let packet = Packet::parse(bytes).map_err(|_| Refused::Malformed)?;
    same_question(&packet, asked, exact_case)?;
    match packet.rcode() {
        RCODE::NoError => follow(&packet, asked),
        RCODE::NameError => Ok(Answer::NoName {
            ttl_s: negative_ttl(&packet),
        }),
        rcode => Ok(Answer::Failed {
            format: matches!(rcode, RCODE::FormatError | RCODE::BADVERS),
        }),
    }
}

/// Whether the packet repeats the question. Servers that did not understand a question may leave it out.
fn same_question(packet: &Packet<'_>, asked: &Question, exact_case: bool) -> Result<(), Refused> {
    let wanted = QTYPE::TYPE(asked.family.record_type());
    match packet.questions.as_slice() {
        [] if !matches!(packet.rcode(), RCODE::NoError | RCODE::NameError) => Ok(()),
        [q] if q.qtype == wanted && q.qclass == QCLASS::CLASS(CLASS::IN) => {
            let exact = same_bytes(&q.qname, &asked.spelling, |a, b| a == b);
            if exact || !exact_case && same_name(&q.qname, &asked.spelling) {
                Ok(())
            } else if same_name(&q.qname, &asked.spelling) {
                Err(Refused::WrongCase)
            } else {
                Err(Refused::Mismatch)
            }
        }
        _ => Err(Refused::Mismatch),
    }
}

fn same_bytes(wire: &WireName<'_>, text: &str, equal: impl Fn(&[u8], &[u8]) -> bool) -> bool {
    let mut labels = text.as_bytes().split(|b| *b == b'.');
    wire.as_bytes()
        .all(|label| labels.next().is_some_and(|l| equal(l, label)))
        && labels.next().is_none()
}

fn same_name(wire: &WireName<'_>, text: &str) -> bool {
    same_bytes(wire, text, |a, b| a.eq_ignore_ascii_case(b))
}

/// Follows the aliases inside the answer section.
fn follow(packet: &Packet<'_>, asked: &Question) -> Result<Answer, Refused> {
    let mut name = asked.spelling.clone();
    let mut ttl_s = u32::MAX;
    for hops in 0..=DNS_ALIASES_MAX {
        let records = packet
            .answers
            .iter()
            .filter(|r| r.class == CLASS::IN && same_name(&r.name, &name));
        let mut alias = None;
        let mut addresses = Vec::new();
        let mut found_ttl = ttl_s;
        for record in records {
            if let RData::CNAME(to) = &record.rdata {
                alias = alias.or(Some((&to.0, time_to_live(record))));
            } else if let Some(address) = address_of(record, asked.family) {
                found_ttl = found_ttl.min(time_to_live(record));
                if addresses.len() < ADDRESSES_MAX / 2 && !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        if !addresses.is_empty() {
            return Ok(Answer::Found {
                addresses,
                ttl_s: found_ttl,
            });
        }
        let Some((to, alias_ttl)) = alias else {
            return ended(packet, &name, hops, ttl_s);
        };
        name = spelled(to).ok_or(Refused::Malformed)?;
        ttl_s = ttl_s.min(alias_ttl);
    }
    Err(Refused::Malformed)
}

/// The chain of aliases ends at `name`, of which there is no address.
fn ended(packet: &Packet<'_>, name: &str, hops: u8, ttl_s: u32) -> Result<Answer, Refused> {
    let negative = negative_ttl(packet);
    if negative.is_none() && hops > 0 {
        let to = Name::parse(name).ok_or(Refused::Malformed)?;
        return Ok(Answer::Alias { to, hops, ttl_s });
    }
    // Neither an answer nor a word of the zone from a server that does not recurse: it points elsewhere.
    if negative.is_none() && !packet.has_flags(PacketFlag::RECURSION_AVAILABLE) {
        return Ok(Answer::Failed { format: false });
    }
    Ok(Answer::NoData { ttl_s: negative })
}

/// Text of a name; `None` where a label has a dot in it.
fn spelled(name: &WireName<'_>) -> Option<Box<str>> {
    let mut text = String::new();
    for label in name.as_bytes() {
        if label.contains(&b'.') {
            return None;
        }
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(std::str::from_utf8(label).ok()?);
    }
    Some(text.into())
}

fn address_of(record: &ResourceRecord<'_>, family: Family) -> Option<IpAddr> {
    match (&record.rdata, family) {
        (RData::A(a), Family::V4) => Some(Ipv4Addr::from(a.address).into()),
        (RData::AAAA(a), Family::V6) => Some(Ipv6Addr::from(a.address).into()),
        _ => None,
    }
}

/// RFC 2181 8: with the highest bit set it is zero.
fn time_to_live(record: &ResourceRecord<'_>) -> u32 {
    if record.ttl > i32::MAX as u32 {
        0
    } else {
        record.ttl
    }
}

/// RFC 2308 5: the lesser of the SOA record's own time to live and its last field.
fn negative_ttl(packet: &Packet<'_>) -> Option<u32> {
    packet
        .name_servers
        .iter()
        .find_map(|record| match &record.rdata {
            RData::SOA(soa) => Some(time_to_live(record).min(soa.minimum)),
            _ => None,
        })
}
