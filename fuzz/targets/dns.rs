//! DNS messages: any bytes are an answer or a refusal; what is taken answers the question that was asked, within the
//! limits; whoever does not look at the case of letters takes at least what the strict reader takes; and addresses that
//! are written by hand behind a question of ours are read back.
//!
//! Input: first byte: family (1), what is read (2, 4), EDNS0 (8), case of letters (16). Second: length of the name. Then
//! the name and the bytes that are read: as they are, behind a header that fits, or as records behind question and header.

use cyclosa::limits::{ADDRESSES_MAX, DNS_ALIASES_MAX, DNS_MESSAGE_BYTES_MAX};
use cyclosa::protocol::dns::{Answer, Family, Name, Question, Refused, read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Identifier of all questions.
const ID: u16 = 0x1234;
/// Response, recursion desired and available, no error (RFC 1035 4.1.1).
const FLAGS: [u8; 2] = [0x81, 0x80];
/// Bytes of a header.
const HEADER: usize = 12;
/// Addresses that are written behind a question: more than are kept of them.
const WRITTEN_MAX: usize = ADDRESSES_MAX + 4;

/// Runs one input.
pub fn run(data: &[u8]) {
    let [how, length, rest @ ..] = data else {
        return;
    };
    let (host, bytes) = rest.split_at(usize::from(*length).min(rest.len()));
    let name = std::str::from_utf8(host).ok().and_then(Name::parse);
    let name = name.unwrap_or_else(|| Name::parse("www.example.test").expect("a name"));
    let family = [Family::V4, Family::V6][usize::from(how & 1)];
    let case = [if how & 16 == 0 { 0xa5 } else { *length }; 32];
    let asked = Question::new(&name, family, ID, case);
    let mut question = Vec::new();
    asked.write(how & 8 != 0, &mut question);
    assert_eq!(
        read(&question, &asked, true),
        Err(Refused::Mismatch),
        "a question is no answer"
    );
    question.clear();
    asked.write(false, &mut question);
    let message = match how >> 1 & 3 {
        0 => bytes.to_vec(),
        1 => [&ID.to_be_bytes(), &FLAGS[..], bytes].concat(),
        _ => behind(&question, bytes),
    };
    any(&message, &asked);
    written(&question, bytes, &asked);
}

/// The first byte of `bytes` counts the answers, the second the records of the zone; the rest are the records.
fn behind(question: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut message = question.to_vec();
    message[2..4].copy_from_slice(&FLAGS);
    if let [answers, zone, records @ ..] = bytes {
        message[7] = *answers;
        message[9] = *zone;
        message.extend_from_slice(records);
    }
    message
}

/// What holds of any message.
fn any(message: &[u8], asked: &Question) {
    let strict = read(message, asked, true);
    let lenient = read(message, asked, false);
    match &strict {
        Err(Refused::WrongCase) => assert_ne!(lenient, strict, "the case was not asked for"),
        _ => assert_eq!(lenient, strict),
    }
    if strict.is_ok() {
        assert!(message.len() >= HEADER && message.len() <= DNS_MESSAGE_BYTES_MAX);
        assert_eq!(message[..2], ID.to_be_bytes());
    }
    match lenient {
        Ok(Answer::Found { addresses, ttl_s }) => {
            assert!((1..=ADDRESSES_MAX / 2).contains(&addresses.len()));
            assert!(addresses.iter().all(|a| Family::of(*a) == asked.family));
            assert_eq!(addresses, each_once(&addresses));
            assert!(ttl_s <= i32::MAX as u32);
        }
        Ok(Answer::Alias { to, hops, ttl_s }) => {
            assert_eq!(Name::parse(to.as_str()), Some(to));
            assert!((1..=DNS_ALIASES_MAX).contains(&hops));
            assert!(ttl_s <= i32::MAX as u32);
        }
        Ok(Answer::NoData { .. } | Answer::NoName { .. } | Answer::Failed { .. }) | Err(_) => {}
    }
}

fn each_once(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let mut once = Vec::new();
    for address in addresses {
        if !once.contains(address) {
            once.push(*address);
        }
    }
    once
}

/// Records made of `bytes`, written as RFC 1035 4.1.3 has them, are read back.
fn written(question: &[u8], bytes: &[u8], asked: &Question) {
    let (kind, width) = match asked.family {
        Family::V4 => (1, 4),
        Family::V6 => (28, 16),
    };
    let mut message = question.to_vec();
    message[2..4].copy_from_slice(&FLAGS);
    let mut addresses: Vec<IpAddr> = Vec::new();
    for (n, address) in bytes.chunks_exact(width).take(WRITTEN_MAX).enumerate() {
        // The name of the question by a pointer, a type, the class IN, a time to live of 60 s and more, a length.
        message.extend_from_slice(&[0xc0, HEADER as u8, 0, kind, 0, 1]);
        message.extend_from_slice(&[0, 0, 0, 60 + n as u8, 0, width as u8]);
        message.extend_from_slice(address);
        addresses.push(match asked.family {
            Family::V4 => Ipv4Addr::from(<[u8; 4]>::try_from(address).expect("four bytes")).into(),
            Family::V6 => Ipv6Addr::from(<[u8; 16]>::try_from(address).expect("sixteen")).into(),
        });
    }
    message[7] = addresses.len() as u8;
    let expected = match addresses.len() {
        0 => Answer::NoData { ttl_s: None },
        _ => {
            let mut addresses = each_once(&addresses);
            addresses.truncate(ADDRESSES_MAX / 2);
            let ttl_s = 60;
            Answer::Found { addresses, ttl_s }
        }
    };
    assert_eq!(read(&message, asked, true), Ok(expected));
}
