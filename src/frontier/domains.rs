//! How many hosts are known of each registrable domain: whoever has a name server has endless hosts for nothing.
//!
//! What must hold: a function of the names of hosts alone, so a restore counts the same again; growing copies little (the
//! counts are divided into [`SHARDS`], of which one grows at a time). Deliberately absent: removal.

use crate::protocol::{scope, url};
use std::collections::HashMap;

/// Parts of the look-up.
const SHARDS: usize = 1_024;

/// Hosts by registrable domain.
pub struct Domains {
    /// Keyed fingerprints, so that nobody can choose which counts share a place.
    counts: Vec<HashMap<u64, u32>>,
}

impl Default for Domains {
    fn default() -> Self {
        Self {
            counts: vec![HashMap::new(); SHARDS],
        }
    }
}

/// The registrable domain that the host of an origin belongs to; its scheme and port say nothing about whose it is.
pub fn domain_of(origin: &[u8]) -> &str {
    url::origin(origin).map_or("", |o| scope::registrable_domain(o.host))
}

impl Domains {
    /// Counts a further host of the domain with this fingerprint, unless it has `most` already. Returns whether it did.
    pub fn admit(&mut self, domain: u64, most: u32) -> bool {
        let count = self.counts[(domain >> 40) as usize % SHARDS]
            .entry(domain)
            .or_default();
        let admitted = *count < most;
        *count += u32::from(admitted);
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_has_no_more_hosts_than_it_may() {
        let mut domains = Domains::default();
        let admitted =
            |domains: &mut Domains, domain, n| (0..n).filter(|_| domains.admit(domain, 3)).count();
        assert_eq!(admitted(&mut domains, 7, 2), 2);
        assert_eq!(admitted(&mut domains, 8, 10), 3);
        assert_eq!(admitted(&mut domains, 7, 10), 1);
        // What a restore has counted does not go back when the limit is lower.
        assert!(!domains.admit(7, 1));
    }

    #[test]
    fn hosts_belong_to_their_registrable_domain() {
        for (origin, domain) in [
            ("https://a.b.example.co.uk:8443", "example.co.uk"),
            ("http://x.alice.github.io", "alice.github.io"),
            ("http://127.0.0.1:81", "127.0.0.1"),
            ("http://[::1]", "[::1]"),
        ] {
            assert_eq!(domain_of(origin.as_bytes()), domain);
        }
    }
}
