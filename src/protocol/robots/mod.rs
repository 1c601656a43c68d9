//! robots.txt (RFC 9309): what a site allows this crawler.
//!
//! What must hold:
//! * Of a file only the group that applies to us is kept: all groups that name our product token, merged, or else all
//!   groups for `*`. The longest matching pattern decides, an allow wins a tie, no match allows.
//! * Paths are compared after normalising their percent-escapes (2.2.2): escaped unreserved characters are unescaped,
//!   what is neither reserved nor unreserved is escaped, hex digits are in upper case.
//! * Any bytes give rules, and any bytes give rules or nothing from [`Rules::decode`]. Time is linear in the file; a
//!   lookup takes at most one pass of the target per pattern, and the number of wildcards is limited.
//!
//! Taken over from Google's parser, because sites count on it: a missing colon, misspelt field names, lines cut at 16 KiB,
//! an allowed `index.html` that allows its directory. Crawl-delay is no part of the RFC; it applies to the agents named
//! above it and does not end a list of agents.
//!
//! Sitemap lines (2.2.4, sitemaps.org) hold for every crawler and belong to no group: [`sitemaps`] gives their values,
//! whatever they are.
//!
//! Deliberately absent: Content-Usage, License and other records (skipped without ending a group), and what a status code
//! means for the site (2.3.1), which the frontier knows.
//!
//! `parse` reads files, `pattern` has normalisation and matching, `image` the persistent form.

mod image;
mod parse;
mod pattern;
#[cfg(test)]
mod suite;

/// The rules that apply to us; by default none, so all is allowed. Patterns lie behind each other in one buffer, longest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    text: Box<[u8]>,
    rules: Box<[Rule]>,
    /// Crawl-delay in milliseconds.
    delay_ms: Option<u32>,
    simplified: u32,
}

/// One pattern of [`Rules::text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    at: u32,
    len: u16,
    /// Allow, not disallow.
    allow: bool,
    /// Ended by `$`: the target must end there too.
    anchored: bool,
    /// Contains wildcards.
    wild: bool,
}

impl Rule {
    /// What decides between rules that match: the octets of the pattern, and allow before disallow.
    fn rank(&self) -> (u32, bool) {
        (u32::from(self.len) + u32::from(self.anchored), self.allow)
    }
}

impl Rules {
    /// The rules of `file` for the crawler `product_token` (see [`product_token`]; compared without case). Only the
    /// first [`crate::limits::ROBOTS_BYTES_MAX`] bytes count. Nothing in a file is an error.
    pub fn parse(file: &[u8], product_token: &str) -> Rules {
        parse::parse(file, product_token)
    }

    /// Whether `target` (path and query of a canonical URL) may be fetched. `/robots.txt` always may (2.2.2).
    pub fn allows(&self, target: &[u8]) -> bool {
        if self.rules.is_empty() || target == b"/robots.txt" {
            return true;
        }
        pattern::with_normal_target(target, |target| {
            let decisive = self.rules.iter().find(|rule| {
                let start = rule.at as usize;
                pattern::matches(&self.text[start..start + rule.len as usize], rule, target)
            });
            decisive.is_none_or(|rule| rule.allow)
        })
    }

    /// Seconds to leave between fetches, at most [`crate::limits::CRAWL_DELAY_MAX_S`]; the longest where groups differ.
    pub fn crawl_delay_s(&self) -> Option<f64> {
        self.delay_ms.map(|ms| f64::from(ms) / 1_000.0)
    }

    /// Whether nothing is disallowed.
    pub fn is_allow_all(&self) -> bool {
        self.rules.iter().all(|rule| rule.allow)
    }

    /// Rules that were left out or shortened by [`crate::limits::ROBOTS_WILDCARDS_MAX`].
    pub fn simplified(&self) -> u32 {
        self.simplified
    }

    /// Bytes of memory beside the struct itself.
    pub fn heap_bytes(&self) -> usize {
        self.text.len() + std::mem::size_of_val(&*self.rules)
    }

    /// Appends the persistent form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        image::encode(self, out);
    }

    /// The rules of [`Rules::encode`]'s bytes; `None` for any others.
    pub fn decode(bytes: &[u8]) -> Option<Rules> {
        image::decode(bytes)
    }
}

/// The values of the Sitemap lines of `file`, in its order and as they stand: URLs, or anything. Only the first
/// [`crate::limits::ROBOTS_BYTES_MAX`] bytes of the file count, and of a line the first
/// [`crate::limits::ROBOTS_LINE_BYTES_MAX`].
pub fn sitemaps(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    parse::sitemaps(file)
}

/// The product token of a User-Agent value: its first product, or the one after `compatible;` in the form that
/// browsers' names are wrapped in (`Mozilla/5.0 (compatible; ExampleBot/1.0; +https://…)`). Letters, digits, `-`, `_`:
/// RFC 9309 2.2.1 has no digits, but names with digits exist. Empty where there is no product.
pub fn product_token(user_agent: &str) -> &str {
    let wrapped = user_agent
        .strip_prefix("Mozilla/")
        .and_then(|rest| rest.split_once("(compatible;"));
    let name = wrapped.map_or(user_agent, |(_, rest)| rest).trim_start();
    let end = name
        .bytes()
        .position(|b| !is_token_byte(b))
        .unwrap_or(name.len());
    &name[..end]
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{
        CRAWL_DELAY_MAX_S, ROBOTS_BYTES_MAX, ROBOTS_LINE_BYTES_MAX, ROBOTS_WILDCARDS_MAX,
    };
    use proptest::prelude::*;

    fn rules(file: &str) -> Rules {
        Rules::parse(file.as_bytes(), "FooBot")
    }

    fn allows(file: &str, target: &str) -> bool {
        rules(file).allows(target.as_bytes())
    }

    #[test]
    fn product_tokens() {
        for (agent, want) in [
            ("Cyclosa/0.1 (+https://e.org/bot)", "Cyclosa"),
            (
                "Mozilla/5.0 (compatible; ExampleBot/0.1; +https://e.org/bot.html)",
                "ExampleBot",
            ),
            ("Mozilla/5.0 (X11)", "Mozilla"),
            ("my-bot_2", "my-bot_2"),
            ("", ""),
            ("/1.0", ""),
        ] {
            assert_eq!(product_token(agent), want);
        }
        let file = b"User-agent: 360Spider/2.0\nDisallow: /\n";
        assert!(!Rules::parse(file, product_token("360Spider/1.0")).allows(b"/"));
    }

    #[test]
    fn line_ends_marks_and_comments() {
        for file in [
            "\u{feff}User-agent: foobot\nDisallow: /x\n",
            "User-agent: FooBot\rDisallow: /x\r",
            "User-agent: FooBot\r\nDisallow: /x",
            "  user-agent :FOOBOT # us \n\n\n \t disallow :\t/x # that",
            "User-agent: a\nUser-agent: FooBot/2.1\nUser-agent: b\nDisallow: /x",
            "User-agent: *\nAllow: /\nUser-agent: FooBot\nDisallow: /y\nUser-agent: FooBot\nDisallow: /x",
            "user-agent: FooBot\nSitemap: http://e.org/s\nContent-Usage: train-ai=n\nLicense: x\nDisallow: /x",
            "useragent: foobot\ndissallow: /x",
            "user agent: foobot\ndisalow /x",
        ] {
            assert!(!allows(file, "/x"), "{file:?}");
            assert!(allows(file, "/z"), "{file:?}");
        }
        assert!(allows("User-agent: FooBotter\nDisallow: /", "/x"));
        assert!(
            allows("Disallow: /x\nUser-agent: Foo", "/x"),
            "rules before any agent"
        );
        assert!(allows("User-agent: FooBot\nDisallow: /", "/robots.txt"));
        assert!(allows("User-agent: FooBot\nDisallow: x", "/x"), "no path");
    }

    #[test]
    fn escapes_are_normalised() {
        // The table of RFC 9309 2.2.2 and the examples of 2.2.3, then the hazards beside them.
        for (pattern, target, want) in [
            ("/foo/bar?baz=quz", "/foo/bar?baz=quz", true),
            (
                "/foo/bar?baz=https://foo.bar",
                "/foo/bar?baz=https://foo.bar",
                true,
            ),
            ("/foo/bar/ツ", "/foo/bar/%E3%83%84", true),
            ("/foo/bar/%e3%83%84", "/foo/bar/%E3%83%84", true),
            ("/foo/bar/%62%61%7A", "/foo/bar/baz", true),
            (
                "/path/file-with-a-%2A.html",
                "/path/file-with-a-*.html",
                true,
            ),
            (
                "/path/file-with-a-%2A.html",
                "/path/file-with-a-x.html",
                false,
            ),
            ("/path/foo-%24", "/path/foo-$", true),
            ("/path/foo-%24", "/path/foo-", false),
            ("/bar", "/%62ar", true),
            ("/a%2Fb", "/a/b", false),
            ("/a/b", "/a%2fb", false),
            ("/a b", "/a%20b", true),
            ("/?q='x'", "/?q=%27x%27", true),
            ("/%zz", "/%zz", true),
            ("/a$b", "/a$b", true),
            ("/a\0", "/a%00", true),
            ("/a\0b", "/axb", false),
        ] {
            assert_eq!(
                allows(&format!("user-agent: *\ndisallow: {pattern}"), target),
                !want,
                "{pattern} {target}"
            );
        }
    }

    #[test]
    fn crawl_delays() {
        let delay = |lines: &str| rules(lines).crawl_delay_s();
        assert_eq!(delay("user-agent: *\ncrawl-delay: 2.5"), Some(2.5));
        assert_eq!(delay("user-agent: *\ncrawl-delay: 0"), Some(0.0));
        assert_eq!(
            delay("user-agent: *\ncrawl-delay: 1e9"),
            Some(CRAWL_DELAY_MAX_S as f64)
        );
        for nonsense in ["-1", "nan", "inf", "soon", ""] {
            assert_eq!(
                delay(&format!("user-agent: *\ncrawl-delay: {nonsense}")),
                None,
                "{nonsense}"
            );
        }
        // It counts for the agents above it, and the list of agents goes on below.
        let file = "user-agent: Slow\ncrawl-delay: 9\nuser-agent: *\ndisallow: /x";
        assert_eq!(delay(file), None);
        assert!(!allows(file, "/x"));
        assert_eq!(
            Rules::parse(file.as_bytes(), "slow").crawl_delay_s(),
            Some(9.0)
        );
        // A group of ours without a delay is not slowed by that of everybody.
        assert_eq!(
            delay("user-agent: *\ncrawl-delay: 9\nallow: /\nuser-agent: foobot\nallow: /"),
            None
        );
    }

    #[test]
    fn sitemaps_belong_to_no_group() {
        let file = b"\xef\xbb\xbfSitemap: http://e.org/1\r\nuser-agent: other\nSITEMAP :\thttps://e.org/2 # here\ndisallow: /\n\
            site-map: /3\rsitemap http://e.org/4\nsitemap /5\nsitemaps: http://e.org/6\n#sitemap: http://e.org/7\nsitemap:";
        let values: Vec<&[u8]> = sitemaps(file).collect();
        let expected: [&[u8]; 5] = [b"http://e.org/1", b"https://e.org/2", b"/3", b"/5", b""];
        // Where a line has a colon, its field ends there: the fourth is no field of ours.
        assert_eq!(values, expected);
        let mut long = vec![b'#'; ROBOTS_BYTES_MAX];
        long.extend_from_slice(b"\nsitemap: http://e.org/");
        assert_eq!(sitemaps(&long).count(), 0);
        let line = [&b"sitemap: "[..], &vec![b'x'; 1 << 17]].concat();
        let value = sitemaps(&line).next().expect("a line");
        assert_eq!(value.len() + 9, ROBOTS_LINE_BYTES_MAX);
    }

    #[test]
    fn only_the_first_bytes_count() {
        let mut file = "user-agent: *\n".to_owned();
        while file.len() < ROBOTS_BYTES_MAX {
            file += "#---------------------------\n";
        }
        file.truncate(ROBOTS_BYTES_MAX);
        file += "\ndisallow: /";
        assert!(allows(&file, "/x"));
    }

    #[test]
    fn too_many_wildcards_err_on_the_polite_side() {
        let mut file = "user-agent: *\n".to_owned();
        for i in 0..ROBOTS_WILDCARDS_MAX {
            file += &format!("disallow: /{i}*z\n");
        }
        assert_eq!(rules(&file).simplified(), 0);
        file += "disallow: /private*.html\nallow: /private*.txt\n";
        let rules = rules(&file);
        assert_eq!(rules.simplified(), 2);
        assert!(!rules.allows(b"/private.txt"));
        assert!(rules.allows(b"/other"));
        assert!(!rules.allows(b"/5z"));
        assert!(rules.allows(b"/5y"));
    }

    #[test]
    fn wildcards_do_not_backtrack() {
        // Exponential for a backtracking matcher, and the file is as long as files can be.
        let line = format!("disallow: /{}b\n", "*a".repeat(500));
        let file = format!(
            "user-agent: *\n{}",
            line.repeat(ROBOTS_BYTES_MAX / line.len())
        );
        let target = format!("/{}", "a".repeat(2_000));
        assert!(!allows(&file, &target), "shortened to / by the limit");
        let file = format!("user-agent: *\n{}", line.repeat(4));
        assert!(allows(&file, &target));
        assert!(!allows(&file, &(target + "b")));
    }

    /// The matcher by definition: every way to split the target.
    fn naive(pattern: &[u8], target: &[u8]) -> bool {
        match pattern {
            [] => true,
            b"$" => target.is_empty(),
            [b'*', rest @ ..] => (0..=target.len()).any(|skip| naive(rest, &target[skip..])),
            [b, rest @ ..] => target.first() == Some(b) && naive(rest, &target[1..]),
        }
    }

    proptest! {
        #[test]
        fn same_as_the_naive_matcher(
            rules in proptest::collection::vec((any::<bool>(), "/[ab*]{0,6}[$]?"), 0..6),
            target in "/[ab]{0,8}",
        ) {
            let mut file = "user-agent: foobot\n".to_owned();
            let mut best: Option<(usize, bool)> = None;
            for (allow, pattern) in &rules {
                file += &format!("{}: {pattern}\n", if *allow { "allow" } else { "disallow" });
                if naive(pattern.as_bytes(), target.as_bytes()) {
                    best = best.max(Some((pattern.len(), *allow)));
                }
            }
            let rules = super::Rules::parse(file.as_bytes(), "FooBot");
            prop_assert_eq!(rules.allows(target.as_bytes()), best.is_none_or(|(_, allow)| allow), "{}", file);
        }

        #[test]
        fn any_file_survives_persistence(
            lines in proptest::collection::vec(
                ("(user-agent|allow|disallow|crawl-delay|x)", ":? ?[*/]?", any::<Vec<u8>>()),
                0..20,
            ),
        ) {
            let mut file = Vec::new();
            for (key, separator, value) in &lines {
                file.extend_from_slice(key.as_bytes());
                file.extend_from_slice(separator.as_bytes());
                file.extend_from_slice(value);
                file.push(b'\n');
            }
            let rules = Rules::parse(&file, "FooBot");
            let mut image = Vec::new();
            rules.encode(&mut image);
            prop_assert_eq!(Rules::decode(&image), Some(rules));
            for cut in 0..image.len() {
                prop_assert_eq!(Rules::decode(&image[..cut]), None);
            }
        }

        #[test]
        fn any_image_is_safe(flip in any::<(u16, u8)>(), target in any::<Vec<u8>>(), noise in any::<Vec<u8>>()) {
            let mut image = Vec::new();
            rules("user-agent: *\ndisallow: /a*b\nallow: /c$\ndisallow: /longer\ncrawl-delay: 3").encode(&mut image);
            let at = flip.0 as usize % image.len();
            image[at] ^= flip.1;
            for image in [&image, &noise] {
                if let Some(rules) = Rules::decode(image) {
                    rules.allows(&target);
                }
            }
        }
    }
}
