//! One name being asked for: what is known of its two families, and what a server's answer adds to that.
//!
//! What must hold: a part is asked, refused by the server at hand, or known; a name that does not exist is known for both
//! families at once; aliases are counted over all answers, not one.

use super::Found;
use super::link::Link;
use super::servers::Round;
use crate::limits::{
    ADDRESS_TTL_MAX_S, ADDRESS_TTL_MIN_S, DNS_ALIASES_MAX, DNS_NEGATIVE_TTL_MAX_S,
    DNS_NEGATIVE_TTL_MIN_S, DNS_NEGATIVE_TTL_S,
};
use crate::protocol::dns::{Answer, Family, Name, Question};
use crate::time::Tick;
use std::net::IpAddr;

/// What is known of one family.
pub enum State {
    /// To be asked.
    Open,
    /// Asked; the answer is awaited.
    Asked(Question),
    /// The server at hand cannot tell.
    Refused,
    /// Known: addresses, or none for this many seconds.
    Known(Vec<IpAddr>, u32),
}

/// One family of a look-up.
pub struct Part {
    /// Which.
    pub family: Family,
    /// Whose addresses are asked for: the name itself, or what it is another name for.
    pub name: Name,
    /// What is known.
    pub state: State,
    /// Aliases between the look-up's name and `name`.
    hops: u8,
    /// The shortest time to live among them.
    ttl_s: u32,
}

/// A look-up under way.
pub struct Lookup {
    /// The name that somebody wants.
    pub name: Name,
    /// IPv4 and IPv6.
    pub parts: [Part; 2],
    /// Who waits for it.
    pub tickets: Vec<u32>,
    /// The way to the server; none while it waits for a descriptor.
    pub link: Option<Link>,
    /// The server that is asked.
    pub server: usize,
    /// Servers asked in this round.
    pub round: Round,
    /// Tries so far.
    pub tries: u8,
    /// Tries that ended with the server's word that it cannot tell.
    pub refusals: u8,
    /// The server at hand has said something in this try.
    pub heard: bool,
    /// Messages of this try that answered something else.
    pub mismatches: u8,
    /// We say what size we take.
    pub edns: bool,
    /// An answer came with the case of letters changed.
    pub recased: bool,
    /// Over UDP the case of letters has to be right.
    pub exact_case: bool,
    /// When the try is over.
    pub due: Tick,
    /// When the look-up is over.
    pub total_due: Tick,
}

/// What an answer led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Noted.
    Noted,
    /// An alias leads on: the part has to be asked again.
    AskAgain,
}

impl Lookup {
    /// A look-up of `name` that has not begun.
    pub fn new(name: Name, ticket: u32, total_due: Tick) -> Box<Self> {
        let part = |family| Part {
            family,
            name: name.clone(),
            state: State::Open,
            hops: 0,
            ttl_s: u32::MAX,
        };
        Box::new(Self {
            parts: [part(Family::V4), part(Family::V6)],
            name,
            tickets: vec![ticket],
            link: None,
            server: 0,
            round: Round::default(),
            tries: 0,
            refusals: 0,
            heard: false,
            mismatches: 0,
            edns: true,
            recased: false,
            exact_case: true,
            due: 0,
            total_due,
        })
    }

    /// The part whose question has this identifier.
    pub fn asked_with(&self, id: u16) -> Option<usize> {
        let is_it =
            |part: &Part| matches!(&part.state, State::Asked(question) if question.id == id);
        self.parts.iter().position(is_it)
    }

    /// Takes the answer to `part`.
    pub fn take(&mut self, part: usize, answer: Answer) -> Taken {
        match answer {
            Answer::Found { addresses, ttl_s } => self.parts[part].found(addresses, ttl_s),
            Answer::Alias { to, hops, ttl_s } => return self.parts[part].alias(to, hops, ttl_s),
            Answer::NoData { ttl_s } => self.parts[part].found(Vec::new(), negative(ttl_s)),
            Answer::NoName { ttl_s } => {
                // What does not exist has no address of the other family either (RFC 8020).
                for part in &mut self.parts {
                    if !matches!(part.state, State::Known(..)) {
                        part.found(Vec::new(), negative(ttl_s));
                    }
                }
            }
            Answer::Failed { format } => {
                self.edns &= !format;
                self.parts[part].state = State::Refused;
            }
        }
        Taken::Noted
    }

    /// Whether a part has an address.
    pub fn has_address(&self) -> bool {
        let has = |part: &Part| matches!(&part.state, State::Known(found, _) if !found.is_empty());
        self.parts.iter().any(has)
    }

    /// Whether an answer of this try is awaited.
    pub fn is_waiting(&self) -> bool {
        let waits = |part: &Part| matches!(part.state, State::Asked(_));
        self.parts.iter().any(waits)
    }

    /// Whether there is nothing more to ask.
    pub fn is_known(&self) -> bool {
        let known = |part: &Part| matches!(part.state, State::Known(..));
        self.parts.iter().all(known)
    }

    /// What came of it: addresses of either family, that there are none, or (time to live 0) nothing.
    pub fn conclusion(&mut self) -> Found {
        let mut found = Found {
            addresses: Vec::new(),
            ttl_s: u32::MAX,
        };
        let whole = self.is_known();
        let has_address = self.has_address();
        for part in &mut self.parts {
            if let State::Known(addresses, ttl_s) = &mut part.state
                && (!addresses.is_empty() || !has_address)
            {
                found.ttl_s = found.ttl_s.min(*ttl_s);
                found.addresses.append(addresses);
            }
        }
        if !has_address && !whole {
            found.ttl_s = 0;
        }
        found
    }
}

impl Part {
    fn found(&mut self, addresses: Vec<IpAddr>, ttl_s: u32) {
        let ttl_s = match addresses.is_empty() {
            true => ttl_s,
            false => ttl_s
                .min(self.ttl_s)
                .clamp(ADDRESS_TTL_MIN_S, ADDRESS_TTL_MAX_S),
        };
        self.state = State::Known(addresses, ttl_s);
    }

    fn alias(&mut self, to: Name, hops: u8, ttl_s: u32) -> Taken {
        self.hops = self.hops.saturating_add(hops);
        self.ttl_s = self.ttl_s.min(ttl_s);
        if self.hops > DNS_ALIASES_MAX {
            self.state = State::Refused;
            return Taken::Noted;
        }
        self.name = to;
        self.state = State::Open;
        Taken::AskAgain
    }
}

/// Seconds that a "no" is believed.
fn negative(ttl_s: Option<u32>) -> u32 {
    ttl_s
        .unwrap_or(DNS_NEGATIVE_TTL_S)
        .clamp(DNS_NEGATIVE_TTL_MIN_S, DNS_NEGATIVE_TTL_MAX_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup() -> Box<Lookup> {
        Lookup::new(Name::parse("a.test").unwrap(), 1, 100)
    }

    fn found(addresses: &[&str], ttl_s: u32) -> Answer {
        let addresses = addresses.iter().map(|i| i.parse().unwrap()).collect();
        Answer::Found { addresses, ttl_s }
    }

    fn alias(hops: u8) -> Answer {
        let to = Name::parse("b.test").unwrap();
        Answer::Alias {
            to,
            hops,
            ttl_s: 90,
        }
    }

    #[test]
    fn both_families_make_one_answer_and_no_answer_shortens_it() {
        let mut it = lookup();
        it.take(0, found(&["192.0.2.1"], 500));
        assert!(it.has_address() && !it.is_known());
        it.take(1, Answer::NoData { ttl_s: Some(7) });
        assert!(it.is_known());
        let end = it.conclusion();
        assert_eq!((end.addresses.len(), end.ttl_s), (1, 500));
        let mut it = lookup();
        it.take(0, found(&["192.0.2.1"], 500));
        it.take(1, found(&["2001:db8::1"], 0));
        let end = it.conclusion();
        assert_eq!((end.addresses.len(), end.ttl_s), (2, ADDRESS_TTL_MIN_S));
    }

    #[test]
    fn no_such_name_is_known_for_both_and_a_failure_for_none() {
        let mut it = lookup();
        it.take(
            1,
            Answer::NoName {
                ttl_s: Some(u32::MAX),
            },
        );
        assert!(it.is_known());
        assert_eq!(
            it.conclusion(),
            Found {
                addresses: vec![],
                ttl_s: DNS_NEGATIVE_TTL_MAX_S
            }
        );
        let mut it = lookup();
        it.take(0, Answer::NoData { ttl_s: None });
        it.take(1, Answer::Failed { format: false });
        assert!(!it.is_known() && !it.is_waiting() && it.edns);
        assert_eq!(it.conclusion().ttl_s, 0);
        it.take(1, Answer::Failed { format: true });
        assert!(!it.edns);
    }

    #[test]
    fn aliases_count_over_all_answers() {
        let mut it = lookup();
        assert_eq!(it.take(0, alias(DNS_ALIASES_MAX)), Taken::AskAgain);
        assert_eq!(it.parts[0].name.as_str(), "b.test");
        it.take(0, found(&["192.0.2.1"], 500));
        assert_eq!(it.conclusion().ttl_s, 90);
        let mut it = lookup();
        it.take(0, alias(DNS_ALIASES_MAX));
        assert_eq!(it.take(0, alias(1)), Taken::Noted);
        assert!(matches!(it.parts[0].state, State::Refused));
    }
}
