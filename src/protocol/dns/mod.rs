//! DNS messages (RFC 1035, EDNS0 of RFC 6891): a question out, facts about its answer in.
//!
//! What must hold:
//! * An answer is taken only if it repeats the question: identifier, name, type, class, and the mixed case of the name's
//!   letters (draft-vixie-dnsext-dns0x20), which adds a bit a letter to what a forger has to guess.
//! * Any bytes lead to an answer or a refusal, in time bounded by [`DNS_MESSAGE_BYTES_MAX`](crate::limits::DNS_MESSAGE_BYTES_MAX).
//! * Only records of the name that was asked for, or that its aliases in the same answer lead to, are looked at. What a
//!   server adds unasked is ignored.
//!
//! Deliberately absent: DNSSEC (addresses are checked, not trusted), search domains (names of URLs are absolute), any
//! record but A, AAAA, CNAME and SOA. The wire format itself is the `simple-dns` crate's.

mod answer;
mod question;

pub use answer::{Answer, Refused, read};
pub use question::{Family, Name, Question};

#[cfg(test)]
mod tests;
