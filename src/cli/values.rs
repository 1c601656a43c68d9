//! Single values as typed, on the command line and in a configuration file alike.
//!
//! What must hold: each type is made by [`FromStr`] only, so both sources take the same text and give the same message;
//! a value that exists is well-formed. Messages say what to write instead; the caller adds flag, or file and line.

use super::proxy::ProxyUrl;
use crate::config;
use crate::limits;
use crate::time::Tick;
use serde::de::{Deserializer, Visitor};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Lets a type be read from a TOML string, or from a number as if it had been typed, through its `FromStr`.
macro_rules! from_text {
    ($type:ty, $expected:literal) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse()
                            .map_err(|why| E::custom(format!("`{text}`: {why}")))
                    }
                    fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<$type, E> {
                        self.visit_str(&n.to_string())
                    }
                    fn visit_f64<E: serde::de::Error>(self, n: f64) -> Result<$type, E> {
                        self.visit_str(&n.to_string())
                    }
                }
                from.deserialize_any(Text)
            }
        }
    };
}

/// A duration with its unit: `1s`, `500ms`, `2h 30m`; `0` needs none. At most [`limits::DURATION_S_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Tick);
from_text!(Time, "a duration such as \"1s\" or \"500ms\"");

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && text != "0" {
            return Err(format!("it has no unit; write {text}s or {text}ms"));
        }
        let time = humantime::parse_duration(text)
            .map_err(|e| format!("{e}; write a duration such as 1s, 500ms or 2h"))?;
        if time.as_secs() > limits::DURATION_S_MAX {
            return Err("that is more than ten years".to_string());
        }
        Ok(Self(time.as_nanos() as Tick))
    }
}

/// A number of bytes: `16MiB`, `8GB`, `4096`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);
from_text!(Size, "a size such as \"16MiB\"");

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<bytesize::ByteSize>()
            .map(|size| Self(size.as_u64()))
            .map_err(|_| "not a size; write it as 16MiB, 8GiB or a number of bytes".to_string())
    }
}

/// A share of a whole: `0.05` or `5%`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(pub f64);

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = match text.strip_suffix('%') {
            Some(number) => (number, 100.0),
            None => (text, 1.0),
        };
        match number.trim().parse::<f64>() {
            Ok(n) if (0.0..=unit).contains(&n) => Ok(Self(n / unit)),
            _ => Err("not a share; write it as 0.05 or 5%".to_string()),
        }
    }
}

/// A range of addresses: `127.0.0.0/8`, `fd00::/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net(pub ipnet::IpNet);
from_text!(Net, "an address range such as \"127.0.0.0/8\"");

impl FromStr for Net {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<ipnet::IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(ipnet::IpNet::from))
            .map(|net| Self(net.trunc()))
            .map_err(|_| "not an address range; write it as 127.0.0.0/8 or fd00::/8".to_string())
    }
}

/// A regular expression that compiles, in the syntax of the `regex` crate (linear time, no look-around).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(pub String);
from_text!(Pattern, "a regular expression");

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match regex::bytes::Regex::new(text) {
            Ok(_) => Ok(Self(text.to_string())),
            Err(regex::Error::CompiledTooBig(limit)) => Err(format!(
                "the regular expression needs more than {limit} bytes; make it smaller"
            )),
            Err(error) => {
                // The crate draws the place over several lines; its last line is the reason.
                let drawn = error.to_string();
                let why = drawn.lines().last().unwrap_or_default().trim();
                let why = why.strip_prefix("error: ").unwrap_or(why);
                Err(format!("not a regular expression: {why}"))
            }
        }
    }
}

/// `HOST:PORT:ADDR`: a name that is not looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolve(pub config::ResolveRule);
from_text!(Resolve, "a rule such as \"www.example:80:127.0.0.1\"");

impl FromStr for Resolve {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str =
            "write HOST:PORT:ADDR, for example www.example:80:127.0.0.1 or *.example:*:[::1]";
        let mut parts = text.splitn(3, ':');
        let (Some(host), Some(port), Some(address)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(FORM.to_string());
        };
        let (below, name) = match host.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, host),
        };
        let name = match url::Host::parse(name) {
            Ok(url::Host::Domain(name)) if !name.contains('*') => name,
            _ => return Err(format!("`{host}` is not a host name; {FORM}")),
        };
        let port = match port {
            "*" => None,
            number => match number.parse() {
                Ok(port) if port > 0 => Some(port),
                _ => return Err(format!("`{number}` is not a port; {FORM}")),
            },
        };
        let bare = address
            .strip_prefix('[')
            .and_then(|a| a.strip_suffix(']'))
            .unwrap_or(address);
        let address = bare
            .parse::<IpAddr>()
            .map_err(|_| format!("`{address}` is not an IP address; {FORM}"))?;
        Ok(Self(config::ResolveRule {
            name,
            below,
            port,
            address,
        }))
    }
}

/// `ADDR` or `ADDR:PORT` of a name server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameServer(pub SocketAddr);
from_text!(ProxyUrl, "a proxy such as \"http://proxy.example:3128\"");
from_text!(NameServer, "a name server such as \"9.9.9.9\"");

impl FromStr for NameServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const PORT: u16 = 53;
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        bare.unwrap_or(text)
            .parse::<IpAddr>()
            .map(|ip| SocketAddr::new(ip, PORT))
            .or_else(|_| text.parse())
            .ok()
            .filter(|server| server.port() != 0 && !server.ip().is_unspecified())
            .map(Self)
            .ok_or_else(|| {
                "not an address; write 9.9.9.9, 9.9.9.9:53 or [2620:fe::9]:53".to_string()
            })
    }
}

/// A field value that can be sent: printable ASCII, not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldText(pub String);
from_text!(FieldText, "printable text");

impl FromStr for FieldText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|b| matches!(b, b' '..=b'~')) {
            return Err("not printable ASCII; it is sent in a header field".to_string());
        }
        if text.len() > limits::USER_AGENT_BYTES_MAX {
            return Err(format!(
                "longer than {} bytes",
                limits::USER_AGENT_BYTES_MAX
            ));
        }
        Ok(Self(text.to_string()))
    }
}

/// A mail address as From takes it: `name@host`, without a display name, comments or quotes (a `mailto:` before it is left
/// out).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox(pub String);
from_text!(Mailbox, "a mail address such as \"crawl@example.org\"");

impl FromStr for Mailbox {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "not a mail address; write it as crawl@example.org";
        let FieldText(text) = text.parse()?;
        let address = text.strip_prefix("mailto:").unwrap_or(&text);
        if address.len() > limits::MAILBOX_BYTES_MAX {
            return Err(format!("longer than {} bytes", limits::MAILBOX_BYTES_MAX));
        }
        let (name, host) = address.rsplit_once('@').ok_or(FORM)?;
        // RFC 5322 3.2.3 (dot-atom) and RFC 1123 2.1.
        let in_name = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
        let in_host = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let dotted = |text: &str, allowed: fn(u8) -> bool| {
            text.split('.')
                .all(|part| !part.is_empty() && part.bytes().all(allowed))
        };
        match dotted(name, in_name) && dotted(host, in_host) {
            true => Ok(Self(address.to_string())),
            false => Err(FORM.to_string()),
        }
    }
}

/// A header field as it is sent: `Name: value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderField(pub String);
from_text!(
    HeaderField,
    "a header field such as \"Accept-Language: en\""
);

/// Fields that are not for the user to set, each with what is instead.
const KEPT_FIELDS: [(&str, &str); 15] = [
    ("user-agent", "write --user-agent"),
    ("from", "write --from MAIL"),
    (
        "authorization",
        "write --auth FILE, which sends it to one origin only",
    ),
    (
        "cookie",
        "write --cookies; a cookie of your own would go to every host",
    ),
    ("host", "the URL says it"),
    ("accept-encoding", "what is undone is asked for"),
    ("connection", "connections are kept as they can be"),
    ("expect", "requests have no body"),
    ("keep-alive", "connections are kept as they can be"),
    ("range", "pages are fetched whole"),
    ("te", "transfer codings are not for the user"),
    ("trailer", "requests have no body"),
    ("transfer-encoding", "requests have no body"),
    ("upgrade", "HTTP/1.1 is spoken"),
    ("http2-settings", "HTTP/1.1 is spoken"),
];

/// Beginnings of further such names.
const KEPT_BEGINNINGS: [(&str, &str); 3] = [
    ("proxy-", "it would go to every host"),
    ("content-", "requests have no body"),
    (
        "if-",
        "pages are fetched whole, whatever was fetched before",
    ),
];

impl FromStr for HeaderField {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let FieldText(text) = text.parse()?;
        let (name, value) = text
            .split_once(':')
            .ok_or("write it as NAME: VALUE, for example Accept-Language: en")?;
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(format!("`{name}` is no field name (RFC 9110 5.1)"));
        }
        let value = value.trim();
        if value.is_empty() {
            return Err(format!("{name} has no value"));
        }
        let lower = name.to_ascii_lowercase();
        let kept = KEPT_FIELDS.iter().find(|(kept, _)| *kept == lower);
        let begun = || {
            KEPT_BEGINNINGS
                .iter()
                .find(|(begin, _)| lower.starts_with(begin))
        };
        if let Some((_, why)) = kept.or_else(begun) {
            return Err(format!("{name} cannot be set: {why}"));
        }
        Ok(Self(format!("{name}: {value}")))
    }
}

/// A User-Agent: starts with the product token that robots.txt files are searched for (RFC 9309 2.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserAgent(pub String);
from_text!(UserAgent, "a user agent such as \"mybot/1.0\"");

impl FromStr for UserAgent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let FieldText(text) = text.parse()?;
        let token = text.bytes();
        let token = token.take_while(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'-'));
        if token.count() == 0 {
            return Err(
                "it must start with a name of letters, - and _, which robots.txt files are searched for; write it as \
                 mybot/1.0"
                    .to_string(),
            );
        }
        Ok(Self(text))
    }
}

/// Declares an enumeration as typed and what it means.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident => $meaning:path { $($(#[$vdoc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl From<$name> for $meaning {
            fn from(typed: $name) -> Self {
                match typed { $($name::$variant => Self::$variant),+ }
            }
        }
    };
}

choice! {
    /// `--scope`.
    Scope => config::Scope {
        /// The hosts of the seeds
        Hosts,
        /// The registrable domains of the seeds
        Domains,
        /// Every host
        Any,
    }
}

choice! {
    /// `--robots`.
    Robots => config::Robots {
        /// Fetch robots.txt and obey it (RFC 9309)
        Obey,
        /// Neither fetch nor obey it; for sites of your own
        Ignore,
    }
}

choice! {
    /// `--sitemaps`.
    Sitemaps => config::Sitemaps {
        /// Crawl the sitemaps that robots.txt files name, and what they list
        Follow,
        /// Do not look at them
        Ignore,
    }
}

choice! {
    /// `--roots`.
    Roots => config::Roots {
        /// Mozilla's, compiled in: the same everywhere
        Webpki,
        /// Those of this machine
        System,
    }
}

choice! {
    /// `--assets`.
    Assets => config::Assets {
        /// Pages only
        None,
        /// Images too
        Images,
        /// Images, styles, scripts, media, fonts
        All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_addresses_with_or_without_a_port() {
        for (text, server) in [
            ("9.9.9.9", "9.9.9.9:53"),
            ("9.9.9.9:5353", "9.9.9.9:5353"),
            ("2620:fe::9", "[2620:fe::9]:53"),
            ("[2620:fe::9]", "[2620:fe::9]:53"),
            ("[2620:fe::9]:54", "[2620:fe::9]:54"),
        ] {
            assert_eq!(
                text.parse(),
                Ok(NameServer(server.parse().unwrap())),
                "{text}"
            );
        }
        for bad in [
            "x",
            "",
            "dns.test",
            "9.9.9.9:",
            "9.9.9.9:0",
            "0.0.0.0",
            "1.2.3",
            "::1]:53",
        ] {
            let why = bad.parse::<NameServer>().unwrap_err();
            assert!(why.contains("write 9.9.9.9"), "{bad}: {why}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!("1s".parse(), Ok(Time(1_000_000_000)));
        assert_eq!("500ms".parse(), Ok(Time(500_000_000)));
        assert_eq!("2h 30m".parse(), Ok(Time(9_000 * 1_000_000_000)));
        assert_eq!("0".parse(), Ok(Time(0)));
        assert_eq!("0s".parse(), Ok(Time(0)));
        assert!("5".parse::<Time>().unwrap_err().contains("5s"));
        for bad in ["", "s", "1 fortnight", "-1s", "99999999y", "1e3s"] {
            assert!(bad.parse::<Time>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mailbox_is_a_name_at_a_host() {
        for (typed, address) in [
            ("crawl@example.org", "crawl@example.org"),
            ("mailto:crawl@example.org", "crawl@example.org"),
            (
                " o'neil+bots.2@mail-1.example ",
                "o'neil+bots.2@mail-1.example",
            ),
            ("root@intranet", "root@intranet"),
        ] {
            assert_eq!(typed.parse(), Ok(Mailbox(address.to_string())), "{typed}");
        }
        for bad in [
            "",
            "crawl",
            "@example.org",
            "crawl@",
            "a@b@example.org",
            "a b@example.org",
            "Crawl <crawl@example.org>",
            "a@example.org, b@example.org",
            "\"a b\"@example.org",
            "a..b@example.org",
            ".a@example.org",
            "a@.example.org",
            "a@example.org.",
            "a@[127.0.0.1]",
            "https://example.org/@bot",
            "a@example.org\r\nX: y",
            "a@example.org\0",
            "m\u{e4}x@example.org",
        ] {
            assert!(bad.parse::<Mailbox>().is_err(), "{bad:?}");
        }
        let host = ".x".repeat(120);
        assert!(format!("abcdefghi@xxx{host}x").parse::<Mailbox>().is_ok());
        let why = format!("abcdefghi@xxxx{host}x").parse::<Mailbox>();
        assert!(why.unwrap_err().contains("254"));
        let why = "From: a@b.test".parse::<HeaderField>().unwrap_err();
        assert!(why.contains("--from"), "{why}");
    }

    #[test]
    fn sizes_are_binary_or_decimal() {
        assert_eq!("16MiB".parse(), Ok(Size(16 << 20)));
        assert_eq!("8GB".parse(), Ok(Size(8_000_000_000)));
        assert_eq!("4096".parse(), Ok(Size(4_096)));
        for bad in ["", "many", "-1", "1XB"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_are_fractions_or_percent() {
        assert_eq!("0.05".parse(), Ok(Share(0.05)));
        assert_eq!("5%".parse(), Ok(Share(0.05)));
        assert_eq!("100%".parse(), Ok(Share(1.0)));
        for bad in ["", "5", "101%", "-0.1", "NaN", "%"] {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges_are_networks_or_single_addresses() {
        let text = |s: &str| s.parse::<Net>().map(|n| n.0.to_string());
        assert_eq!(text("127.0.0.0/8"), Ok("127.0.0.0/8".into()));
        assert_eq!(text("127.0.0.1/8"), Ok("127.0.0.0/8".into()));
        assert_eq!(text("10.1.2.3"), Ok("10.1.2.3/32".into()));
        assert_eq!(text("::1"), Ok("::1/128".into()));
        assert!(text("127.0.0.0/33").is_err() && text("localhost").is_err());
    }

    #[test]
    fn resolve_rules_take_wildcards_and_both_families() {
        let rule = |s: &str| s.parse::<Resolve>().map(|r| r.0);
        let exact = rule("WWW.Example:80:127.0.0.1").unwrap();
        assert_eq!(
            (exact.name.as_str(), exact.below, exact.port),
            ("www.example", false, Some(80))
        );
        let below = rule("*.web.test:8080:127.0.0.1").unwrap();
        assert_eq!((below.name.as_str(), below.below), ("web.test", true));
        for v6 in ["a.test:*:::1", "a.test:*:[::1]"] {
            let v6 = rule(v6).unwrap();
            assert_eq!(
                (v6.port, v6.address),
                (None, IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]))
            );
        }
        assert_eq!(
            rule("bücher.example:1:127.0.0.1").unwrap().name,
            "xn--bcher-kva.example"
        );
        for bad in [
            "",
            "a",
            "a:80",
            ":80:127.0.0.1",
            "a:0:127.0.0.1",
            "a:x:127.0.0.1",
            "a:80:b",
            "*:80:127.0.0.1",
            "a:80:[::1",
            "a.*.b:1:::1",
            "127.0.0.1:80:127.0.0.2",
        ] {
            assert!(rule(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_compile_or_say_why_in_one_line() {
        assert!("^https?://".parse::<Pattern>().is_ok());
        for bad in ["(", "a{99999999}", "(?=x)"] {
            let why = bad.parse::<Pattern>().unwrap_err();
            assert!(
                why.contains("regular expression") && !why.contains('\n'),
                "{why}"
            );
        }
    }

    #[test]
    fn a_user_agent_cannot_smuggle_fields_and_has_a_product_token() {
        assert!("mybot/1.0 (+http://a.test/)".parse::<UserAgent>().is_ok());
        for bad in ["", " ", "a\r\nHost: b", "bot\u{e9}", "1bot", "/1.0"] {
            assert!(bad.parse::<UserAgent>().is_err(), "{bad:?}");
        }
        assert!("x".repeat(10_000).parse::<FieldText>().is_err());
    }
}
