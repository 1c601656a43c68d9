//! Answers as servers, broken servers and forgers write them.

use super::*;
use crate::limits::{ADDRESSES_MAX, DNS_ALIASES_MAX, DNS_MESSAGE_BYTES_MAX};
use proptest::prelude::*;
use simple_dns::rdata::{A, AAAA, CNAME, NS, RData, SOA, TXT};
use simple_dns::{CLASS, Name as WireName, Packet, PacketFlag, RCODE, ResourceRecord};
use std::net::{IpAddr, Ipv4Addr};

fn asked() -> Question {
    Question::new(
        &Name::parse("www.example.test").unwrap(),
        Family::V4,
        77,
        [0xa5; 32],
    )
}

fn wire(text: &str) -> WireName<'static> {
    WireName::new(text).unwrap().into_owned()
}

fn record(name: &str, ttl: u32, rdata: RData<'static>) -> ResourceRecord<'static> {
    ResourceRecord::new(wire(name), CLASS::IN, ttl, rdata)
}

fn a(name: &str, ttl: u32, last: u8) -> ResourceRecord<'static> {
    let address = Ipv4Addr::new(192, 0, 2, last).into();
    record(name, ttl, RData::A(A { address }))
}

fn cname(name: &str, ttl: u32, to: &str) -> ResourceRecord<'static> {
    record(name, ttl, RData::CNAME(CNAME(wire(to))))
}

fn soa(ttl: u32, minimum: u32) -> ResourceRecord<'static> {
    let soa = SOA {
        mname: wire("ns.test"),
        rname: wire("root.test"),
        serial: 1,
        refresh: 2,
        retry: 3,
        expire: 4,
        minimum,
    };
    record("test", ttl, RData::SOA(soa))
}

/// An answer to [`asked`] with what `change` does to it.
fn answer(change: impl FnOnce(&mut Packet<'static>)) -> Vec<u8> {
    let mut question = Vec::new();
    asked().write(false, &mut question);
    let parsed = Packet::parse(&question).unwrap();
    let mut packet = Packet::new_reply(77);
    packet.set_flags(PacketFlag::RECURSION_AVAILABLE);
    let q = &parsed.questions[0];
    packet.questions.push(simple_dns::Question::new(
        q.qname.clone().into_owned(),
        q.qtype,
        q.qclass,
        false,
    ));
    change(&mut packet);
    packet.build_bytes_vec_compressed().unwrap()
}

fn with(records: Vec<ResourceRecord<'static>>) -> Vec<u8> {
    answer(|p| p.answers = records)
}

fn taken(bytes: &[u8]) -> Result<Answer, Refused> {
    read(bytes, &asked(), true)
}

fn addresses(last: &[u8]) -> Vec<IpAddr> {
    last.iter()
        .map(|n| Ipv4Addr::new(192, 0, 2, *n).into())
        .collect()
}

#[test]
fn addresses_come_with_the_shortest_time_to_live_on_the_way() {
    let bytes = with(vec![
        cname("www.example.test", 50, "b.test"),
        a("unasked.test", 1, 66),
        a("C.test", 300, 1),
        a("c.test", 200, 2),
        a("c.test", 200, 1),
        cname("B.TEST", 400, "c.test"),
        record("c.test", 9, RData::TXT(TXT::new())),
    ]);
    let expected = Answer::Found {
        addresses: addresses(&[1, 2]),
        ttl_s: 50,
    };
    assert_eq!(taken(&bytes), Ok(expected));
    let huge = with(vec![a("www.example.test", u32::MAX, 1)]);
    assert_eq!(
        taken(&huge),
        Ok(Answer::Found {
            addresses: addresses(&[1]),
            ttl_s: 0
        })
    );
}

#[test]
fn only_the_family_asked_for_counts() {
    let six = record("www.example.test", 9, RData::AAAA(AAAA { address: 1 }));
    assert_eq!(
        taken(&with(vec![six.clone()])),
        Ok(Answer::NoData { ttl_s: None })
    );
    let both = with(vec![six, a("www.example.test", 7, 3)]);
    assert_eq!(
        taken(&both),
        Ok(Answer::Found {
            addresses: addresses(&[3]),
            ttl_s: 7
        })
    );
}

#[test]
fn what_repeats_another_question_is_not_for_us() {
    let good = with(vec![a("www.example.test", 9, 1)]);
    let mut id = good.clone();
    id[1] ^= 1;
    assert_eq!(taken(&id), Err(Refused::Mismatch));
    let mut question = good.clone();
    question[2] &= 0x7f;
    assert_eq!(taken(&question), Err(Refused::Mismatch));
    let other = answer(|p| p.questions[0].qname = wire("www.example.test.other"));
    assert_eq!(taken(&other), Err(Refused::Mismatch));
    let family = answer(|p| p.questions[0].qtype = simple_dns::TYPE::AAAA.into());
    assert_eq!(taken(&family), Err(Refused::Mismatch));
    let none = answer(|p| p.questions.clear());
    assert_eq!(taken(&none), Err(Refused::Mismatch));
    let case = answer(|p| p.questions[0].qname = wire("www.example.test"));
    assert_eq!(taken(&case), Err(Refused::WrongCase));
    assert_eq!(
        read(&case, &asked(), false),
        Ok(Answer::NoData { ttl_s: None })
    );
    assert_eq!(taken(b""), Err(Refused::Mismatch));
}

#[test]
fn no_such_name_no_such_address_and_no_idea_are_told_apart() {
    let verdict = |rcode: RCODE, soa_in: bool| {
        taken(&answer(|p| {
            *p.rcode_mut() = rcode;
            p.name_servers.extend(soa_in.then(|| soa(500, 40)));
        }))
    };
    assert_eq!(
        verdict(RCODE::NameError, true),
        Ok(Answer::NoName { ttl_s: Some(40) })
    );
    assert_eq!(
        verdict(RCODE::NameError, false),
        Ok(Answer::NoName { ttl_s: None })
    );
    assert_eq!(
        verdict(RCODE::NoError, true),
        Ok(Answer::NoData { ttl_s: Some(40) })
    );
    assert_eq!(
        verdict(RCODE::ServerFailure, false),
        Ok(Answer::Failed { format: false })
    );
    assert_eq!(
        verdict(RCODE::Refused, true),
        Ok(Answer::Failed { format: false })
    );
    assert_eq!(
        verdict(RCODE::FormatError, false),
        Ok(Answer::Failed { format: true })
    );
    let bare = answer(|p| {
        *p.rcode_mut() = RCODE::FormatError;
        p.questions.clear();
    });
    assert_eq!(taken(&bare), Ok(Answer::Failed { format: true }));
    let referral = answer(|p| {
        p.remove_flags(PacketFlag::RECURSION_AVAILABLE);
        p.name_servers
            .push(record("test", 9, RData::NS(NS(wire("ns.test")))));
    });
    assert_eq!(taken(&referral), Ok(Answer::Failed { format: false }));
}

#[test]
fn aliases_are_followed_up_to_a_bound() {
    let chain = |n: u8| -> Vec<_> {
        (0..n)
            .map(|i| {
                let from = if i == 0 {
                    "www.example.test".into()
                } else {
                    format!("a{i}.test")
                };
                cname(&from, 9, &format!("a{}.test", i + 1))
            })
            .collect()
    };
    let most = chain(DNS_ALIASES_MAX);
    let to = Name::parse(&format!("a{DNS_ALIASES_MAX}.test")).unwrap();
    let open = Answer::Alias {
        to,
        hops: DNS_ALIASES_MAX,
        ttl_s: 9,
    };
    assert_eq!(taken(&with(most.clone())), Ok(open));
    assert_eq!(
        taken(&with(chain(DNS_ALIASES_MAX + 1))),
        Err(Refused::Malformed)
    );
    let ended = answer(|p| {
        p.answers = most;
        p.name_servers.push(soa(30, 60));
    });
    assert_eq!(taken(&ended), Ok(Answer::NoData { ttl_s: Some(30) }));
    for around in [
        vec![cname("www.example.test", 9, "WWW.example.test")],
        vec![
            cname("www.example.test", 9, "b.test"),
            cname("b.test", 9, "www.example.test"),
        ],
    ] {
        assert_eq!(taken(&with(around)), Err(Refused::Malformed));
    }
}

#[test]
fn truncation_needs_only_the_right_number() {
    let mut bytes = answer(|p| p.set_flags(PacketFlag::TRUNCATION));
    assert_eq!(taken(&bytes), Err(Refused::Truncated));
    bytes.truncate(14);
    assert_eq!(taken(&bytes), Err(Refused::Truncated));
    bytes[0] ^= 9;
    assert_eq!(taken(&bytes), Err(Refused::Mismatch));
}

#[test]
fn many_addresses_are_cut_and_giants_are_refused() {
    let many = |n: usize| with((0..n).map(|i| a("www.example.test", 9, i as u8)).collect());
    match taken(&many(100)) {
        Ok(Answer::Found { addresses, .. }) => assert_eq!(addresses.len(), ADDRESSES_MAX / 2),
        other => panic!("{other:?}"),
    }
    let giant = many(2_000);
    assert!(giant.len() > DNS_MESSAGE_BYTES_MAX);
    assert_eq!(taken(&giant), Err(Refused::Malformed));
}

#[test]
fn pointers_that_lead_nowhere_or_round_are_no_message() {
    let head = answer(|_| ());
    let with_record = |name: &[u8]| {
        let mut bytes = head.clone();
        bytes[7] = 1;
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(b"\0\x01\0\x01\0\0\0\x09\0\x04\x7f\0\0\x01");
        taken(&bytes)
    };
    let here = head.len() as u8;
    assert!(matches!(with_record(b"\xc0\x0c"), Ok(Answer::Found { .. })));
    assert_eq!(with_record(&[0xc0, here]), Err(Refused::Malformed));
    assert_eq!(with_record(&[0xc0, here + 2]), Err(Refused::Malformed));
    assert_eq!(with_record(b"\xff\xff"), Err(Refused::Malformed));
    assert_eq!(with_record(&[1, b'a', 0xc0, here]), Err(Refused::Malformed));
    // Counts that promise more than there is.
    let mut bytes = head.clone();
    bytes[6..12].fill(0xff);
    assert_eq!(taken(&bytes), Err(Refused::Malformed));
}

/// Answers with all kinds of records, to be broken.
fn rich() -> Vec<u8> {
    answer(|p| {
        p.answers = vec![
            cname("www.example.test", 50, "b.example.test"),
            a("b.example.test", 5, 1),
            record("b.example.test", 9, RData::TXT(TXT::new())),
        ];
        p.name_servers.push(soa(1, 2));
        p.additional_records.push(a("ns.test", 5, 2));
        *p.opt_mut() = Some(simple_dns::rdata::OPT {
            opt_codes: Vec::new(),
            udp_packet_size: 1_232,
            version: 0,
        });
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn any_bytes_lead_to_a_verdict(mut bytes in prop::collection::vec(any::<u8>(), 0..600), fitting in any::<bool>()) {
        if fitting && bytes.len() >= 12 {
            bytes[..4].copy_from_slice(&[0, 77, 0x81, 0x80]);
            bytes[4..12].copy_from_slice(&[0, 0, 0, 2, 0, 1, 0, 1]);
        }
        let _ = read(&bytes, &asked(), false);
    }

    /// Records of any type with any content behind a good question.
    #[test]
    fn any_record_leads_to_a_verdict(
        kind in prop_oneof![0u16..110, 240u16..260, any::<u16>()],
        class in prop_oneof![Just(1u16), any::<u16>()],
        data in prop::collection::vec(any::<u8>(), 0..80),
        length in prop_oneof![3 => Just(None), 1 => any::<u16>().prop_map(Some)],
        section in 0usize..3,
    ) {
        let mut bytes = answer(|_| ());
        bytes[7 + 2 * section] = 1;
        bytes.extend_from_slice(b"\xc0\x0c");
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&class.to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 0, 9]);
        bytes.extend_from_slice(&length.unwrap_or(data.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&data);
        let _ = taken(&bytes);
    }

    #[test]
    fn a_broken_answer_leads_to_a_verdict(
        breaks in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = rich();
        for (at, value) in breaks {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = taken(&bytes);
        bytes.truncate(cut.index(bytes.len()) + 1);
        let _ = taken(&bytes);
    }
}
