//! The identity of a URL in the seen set: 64 keyed bits of its canonical form.
//!
//! What must hold: the value depends on the key and the bytes only, on every machine and in every version, since seen
//! sets outlive the program that wrote them. A test pins values. At 100 million URLs 0.0003 collisions are expected.
//!
//! The key is drawn per crawl so that a site cannot aim at collisions. XXH3 is no PRF: somebody who sees fingerprints
//! could attack it, so they are never shown to servers.

use sha1::{Digest, Sha1};
use xxhash_rust::xxh3::xxh3_64_with_secret;

/// Bytes of the secret: the length for which XXH3 is specified in full.
const SECRET_BYTES: usize = 192;

/// Maps canonical URLs to fingerprints under one crawl's key.
#[derive(Clone)]
pub struct Fingerprinter {
    secret: [u8; SECRET_BYTES],
}

impl Fingerprinter {
    /// The secret is the first 192 bytes of SHA-1(key ‖ 0) ‖ SHA-1(key ‖ 1) ‖ …, so no part of it tells the key.
    pub fn new(key: &[u8; 32]) -> Self {
        let mut secret = [0; SECRET_BYTES];
        for (counter, part) in secret.chunks_mut(20).enumerate() {
            let block = Sha1::new()
                .chain_update(key)
                .chain_update([counter as u8])
                .finalize();
            part.copy_from_slice(&block[..part.len()]);
        }
        Self { secret }
    }

    /// The fingerprint of a canonical URL. Never 0, which the seen set keeps for "empty".
    #[inline]
    pub fn of(&self, canonical: &[u8]) -> u64 {
        xxh3_64_with_secret(canonical, &self.secret).max(1)
    }
}

impl std::fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fingerprinter(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_never_change() {
        let key: [u8; 32] = std::array::from_fn(|i| i as u8);
        let prints = Fingerprinter::new(&key);
        // One value for each length class of XXH3: 0, 1-3, 4-8, 9-16, 17-128, 129-240, longer.
        let long = "http://example.org/".to_owned() + &"segment/".repeat(40);
        for (len, want) in PINNED {
            assert_eq!(prints.of(&long.as_bytes()[..len]), want, "length {len}");
        }
        assert_ne!(
            prints.of(b"http://example.org/"),
            Fingerprinter::new(&[0; 32]).of(b"http://example.org/")
        );
    }

    const PINNED: [(usize, u64); 7] = [
        (0, 0x8ef183c2aa8de7f2),
        (3, 0xfa20328d3da6dfa8),
        (8, 0x5746e61f75e57aa2),
        (16, 0x133b00617fedf057),
        (100, 0x84040facc6d2a5e6),
        (200, 0xf2f179decf77cc38),
        (300, 0xa6649c74e3191e1a),
    ];
}
