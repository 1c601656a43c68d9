//! What belongs together and what leads nowhere: registrable domains, and the shape of endless URL spaces.
//!
//! Deliberately absent: the decision. The frontier has the scope and counts what it drops; these are the facts.

use crate::limits::{PATH_SEGMENTS_MAX, SEGMENT_REPEATS_MAX};
use std::net::Ipv4Addr;

/// The registrable domain of a canonical host: one label more than its public suffix, by the Public Suffix List that is
/// compiled in (private section included, so sites of one hosting service are apart; a top-level domain that is not
/// listed is a suffix itself). An address, a single label or a public suffix is its own domain.
pub fn registrable_domain(host: &str) -> &str {
    if host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok() {
        return host;
    }
    psl::domain_str(host).unwrap_or(host)
}

/// Whether the path of `target` (path and query of a canonical URL) is deeper than [`PATH_SEGMENTS_MAX`] or has one
/// segment more than [`SEGMENT_REPEATS_MAX`] times: calendars, relative links that nest, session loops.
pub fn path_is_trap(target: &[u8]) -> bool {
    let path = &target[..memchr::memchr(b'?', target).unwrap_or(target.len())];
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let mut seen: [&[u8]; PATH_SEGMENTS_MAX] = [&[]; PATH_SEGMENTS_MAX];
    for (depth, segment) in path.split(|&b| b == b'/').enumerate() {
        if depth == PATH_SEGMENTS_MAX {
            return true;
        }
        let before = seen[..depth].iter().filter(|&&s| s == segment).count();
        if before == SEGMENT_REPEATS_MAX {
            return true;
        }
        seen[depth] = segment;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains() {
        for (host, want) in [
            ("www.example.com", "example.com"),
            ("example.com", "example.com"),
            ("a.b.example.co.uk", "example.co.uk"),
            ("co.uk", "co.uk"),
            ("alice.github.io", "alice.github.io"),
            ("x.alice.github.io", "alice.github.io"),
            ("h0.web.test", "web.test"),
            ("localhost", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(registrable_domain(host), want, "{host}");
        }
    }

    #[test]
    fn public_suffix_list_tests() {
        let Some(suites) = std::env::var_os("CYCLOSA_SUITES") else {
            println!("skipped: CYCLOSA_SUITES is not set");
            return;
        };
        let file = std::path::Path::new(&suites).join("psl/tests/test_psl.txt");
        let (mut same, mut other) = (0, 0);
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let Some(rest) = line.strip_prefix("checkPublicSuffix(") else {
                continue;
            };
            let fields: Vec<&str> = rest.trim_end_matches([')', ';']).split(", ").collect();
            let quoted = |field: &str| {
                field
                    .strip_prefix('\'')
                    .map(|f| f.trim_end_matches('\'').to_owned())
            };
            let Some(host) = quoted(fields[0]) else {
                continue;
            };
            // Hosts reach us in canonical form only: lower case, punycode, no leading dot.
            let canonical = crate::protocol::url::canonical(format!("http://{host}/").as_bytes());
            let Some(canonical) = canonical.ok().filter(|_| !host.starts_with('.')) else {
                other += 1;
                continue;
            };
            let (url, path_at) = canonical;
            let origin = crate::protocol::url::origin(&url[..path_at as usize]).unwrap();
            let want = quoted(fields[1]).map(|domain| {
                let (url, path_at) =
                    crate::protocol::url::canonical(format!("http://{domain}").as_bytes()).unwrap();
                crate::protocol::url::origin(&url[..path_at as usize])
                    .unwrap()
                    .host
                    .to_owned()
            });
            assert_eq!(
                registrable_domain(origin.host),
                want.as_deref().unwrap_or(origin.host),
                "{line}"
            );
            same += 1;
        }
        println!("test_psl.txt: {same} as expected, {other} not canonical hosts");
        assert!(same > 60);
    }

    #[test]
    fn traps() {
        let deep = |n: usize| (0..n).map(|i| format!("/{i}")).collect::<String>();
        let target = deep(PATH_SEGMENTS_MAX);
        assert!(!path_is_trap(target.as_bytes()));
        assert!(!path_is_trap((target + "/?a/b/c/d/e").as_bytes()));
        assert!(path_is_trap(deep(PATH_SEGMENTS_MAX + 1).as_bytes()));
        assert!(path_is_trap("/a".repeat(1_000).as_bytes()));
        assert!(!path_is_trap("/a/b".repeat(SEGMENT_REPEATS_MAX).as_bytes()));
        assert!(path_is_trap(
            "/a/b".repeat(SEGMENT_REPEATS_MAX + 1).as_bytes()
        ));
        assert!(path_is_trap("/".repeat(9).as_bytes()));
        for harmless in ["", "/", "/?/////////////////////////", "//x", "/a/a/a"] {
            assert!(!path_is_trap(harmless.as_bytes()), "{harmless}");
        }
    }
}
