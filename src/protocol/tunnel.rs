//! The way through a proxy: what is said before the first byte for the server behind it.
//!
//! HTTP CONNECT (RFC 9110 9.3.6) and SOCKS 5 (RFC 1928, name and password by RFC 1929), without a socket: bytes to send
//! come out, received ones go in.
//!
//! What must hold:
//! * The verdict on an answer does not depend on how it is split, and an answer is at most [`PROXY_ANSWER_BYTES_MAX`] long.
//! * Bytes that come along with the end of an answer are a fault of the proxy's: neither HTTP nor TLS has a server speak
//!   first.
//! * What the proxy says about the server behind it ends as if it had been dialled from here; what is wrong with the
//!   proxy itself has an outcome of its own, so that no host is blamed for it.
//!
//! Deliberately absent: SOCKS 4, GSSAPI, digest authentication, TLS to the proxy.

use crate::event::Outcome;
use crate::limits::PROXY_ANSWER_BYTES_MAX;
use std::net::{IpAddr, SocketAddr};

/// Fields of an answer to CONNECT that are looked at.
const FIELDS_MAX: usize = 64;
/// Version of SOCKS.
const SOCKS: u8 = 5;
/// SOCKS methods: no login, and name and password.
const NO_LOGIN: u8 = 0;
const LOGIN: u8 = 2;

/// Where the way leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// An address that was looked up and checked.
    Address(SocketAddr),
    /// A name that the proxy looks up, and a port.
    Name(&'a str, u16),
}

/// What an answer, or a part of it, came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// More has to be sent or to come.
    More,
    /// The next byte is for the server.
    Open,
    /// There is no way.
    Ended(Outcome),
}

/// What is waited for.
#[derive(Clone, Debug)]
enum Stage {
    /// The head of an answer to CONNECT.
    Head,
    /// SOCKS: which method it is to be; then the login (empty where there is none) and the request are sent.
    Method { login: Vec<u8>, request: Vec<u8> },
    /// SOCKS: whether the login is good; then the request is sent.
    Login { request: Vec<u8> },
    /// SOCKS: whether the server was reached.
    Reply,
}

/// One way through a proxy, in the making.
#[derive(Clone, Debug)]
pub struct Tunnel {
    out: Vec<u8>,
    sent: usize,
    begun: bool,
    came: Vec<u8>,
    /// Bytes that came, those of stages before this one too.
    total: usize,
    stage: Stage,
}

impl Tunnel {
    fn new(out: Vec<u8>, stage: Stage) -> Self {
        Self {
            out,
            sent: 0,
            begun: false,
            came: Vec::new(),
            total: 0,
            stage,
        }
    }

    /// By HTTP CONNECT. `authorization` is a whole line, or empty.
    pub fn connect(target: Target<'_>, user_agent: &str, authorization: &[u8]) -> Self {
        let at = match target {
            Target::Address(address) => address.to_string(),
            Target::Name(name, port) => format!("{name}:{port}"),
        };
        let head = format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\nUser-Agent: {user_agent}\r\n");
        let out = [head.as_bytes(), authorization, b"\r\n"].concat();
        Self::new(out, Stage::Head)
    }

    /// By SOCKS 5. `login` is name and password, each of 1 to 255 bytes. `None` for names of more than 255 bytes, which
    /// SOCKS cannot say and nobody can look up.
    pub fn socks5(target: Target<'_>, login: Option<(&[u8], &[u8])>) -> Option<Self> {
        let mut request = vec![SOCKS, 1, 0];
        let port = match target {
            Target::Address(address) => {
                match address.ip() {
                    IpAddr::V4(ip) => {
                        request.push(1);
                        request.extend_from_slice(&ip.octets());
                    }
                    IpAddr::V6(ip) => {
                        request.push(4);
                        request.extend_from_slice(&ip.octets());
                    }
                }
                address.port()
            }
            Target::Name(name, port) => {
                request.extend_from_slice(&[3, u8::try_from(name.len()).ok()?]);
                request.extend_from_slice(name.as_bytes());
                port
            }
        };
        request.extend_from_slice(&port.to_be_bytes());
        Some(Self::greeting(login, request))
    }

    /// A login alone, to find out before a crawl whether it is good: SOCKS 5 up to where the request would be sent.
    pub fn socks5_login(login: Option<(&[u8], &[u8])>) -> Self {
        Self::greeting(login, Vec::new())
    }

    fn greeting(login: Option<(&[u8], &[u8])>, request: Vec<u8>) -> Self {
        let out = match login {
            Some(_) => vec![SOCKS, 2, NO_LOGIN, LOGIN],
            None => vec![SOCKS, 1, NO_LOGIN],
        };
        let login = login.map(said).unwrap_or_default();
        Self::new(out, Stage::Method { login, request })
    }

    /// What is to be sent now.
    pub fn unsent(&self) -> &[u8] {
        &self.out[self.sent..]
    }

    /// The first `n` bytes of [`Tunnel::unsent`] have left.
    pub fn sent(&mut self, n: usize) {
        self.sent += n;
        self.begun |= n > 0;
    }

    /// Whether anything was sent: then the connection to the proxy stands.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Takes in what has come.
    pub fn received(&mut self, bytes: &[u8]) -> Told {
        let room = PROXY_ANSWER_BYTES_MAX - self.total;
        let (bytes, beyond) = bytes.split_at(room.min(bytes.len()));
        self.total += bytes.len();
        self.came.extend_from_slice(bytes);
        loop {
            let stage = std::mem::replace(&mut self.stage, Stage::Reply);
            let taken = match stage {
                Stage::Head => self.head(),
                Stage::Method { login, request } => self.method(login, request),
                Stage::Login { request } => self.login(request),
                Stage::Reply => self.reply(),
            };
            match taken {
                Taken::Nothing(_) if !beyond.is_empty() => {
                    return Told::Ended(Outcome::ProxyFailed);
                }
                Taken::Nothing(stage) => {
                    self.stage = stage;
                    return Told::More;
                }
                Taken::Bytes(n, Next::Stage(stage)) => {
                    self.came.drain(..n);
                    self.stage = stage;
                }
                Taken::Bytes(n, Next::Open) if n == self.came.len() && beyond.is_empty() => {
                    return Told::Open;
                }
                // Somebody speaks who has not been asked.
                Taken::Bytes(_, Next::Open) => return Told::Ended(Outcome::ProxyFailed),
                Taken::Bytes(_, Next::End(outcome)) => return Told::Ended(outcome),
            }
        }
    }

    fn say(&mut self, bytes: Vec<u8>) {
        self.out = bytes;
        self.sent = 0;
    }

    fn head(&self) -> Taken {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(&self.came) {
            Ok(httparse::Status::Complete(n)) => Taken::Bytes(
                n,
                match response.code.unwrap_or(0) {
                    100..200 => Next::Stage(Stage::Head),
                    200..300 => Next::Open,
                    // Whom it wants to know, or how many at once, is no host's fault.
                    407 | 429 => Next::End(Outcome::ProxyFailed),
                    504 => Next::End(Outcome::ConnectTimeout),
                    500..600 => Next::End(Outcome::ConnectFailed),
                    _ => Next::End(Outcome::ProxyRefused),
                },
            ),
            Ok(httparse::Status::Partial) => Taken::Nothing(Stage::Head),
            Err(_) => Taken::ended(Outcome::ProxyFailed),
        }
    }

    fn method(&mut self, login: Vec<u8>, request: Vec<u8>) -> Taken {
        let [version, method, ..] = self.came[..] else {
            return Taken::Nothing(Stage::Method { login, request });
        };
        match (version, method) {
            (SOCKS, NO_LOGIN) => self.ask(2, request),
            (SOCKS, LOGIN) if !login.is_empty() => {
                self.say(login);
                Taken::Bytes(2, Next::Stage(Stage::Login { request }))
            }
            _ => Taken::ended(Outcome::ProxyFailed),
        }
    }

    fn login(&mut self, request: Vec<u8>) -> Taken {
        match self.came[..] {
            [1, 0, ..] => self.ask(2, request),
            [_, _, ..] => Taken::ended(Outcome::ProxyFailed),
            _ => Taken::Nothing(Stage::Login { request }),
        }
    }

    fn ask(&mut self, taken: usize, request: Vec<u8>) -> Taken {
        let next = match request.is_empty() {
            true => Next::Open,
            false => Next::Stage(Stage::Reply),
        };
        self.say(request);
        Taken::Bytes(taken, next)
    }

    /// RFC 1928 6. Of a refusal the first two bytes are enough: some proxies send no more.
    fn reply(&self) -> Taken {
        let len = match self.came[..] {
            [version, ..] if version != SOCKS => return Taken::ended(Outcome::ProxyFailed),
            [_, code, ..] if code != 0 => return Taken::ended(refusal(code)),
            [_, _, _, 1, ..] => 10,
            [_, _, _, 3, name, ..] => 7 + usize::from(name),
            [_, _, _, 4, ..] => 22,
            [_, _, _, kind, ..] if kind != 3 => return Taken::ended(Outcome::ProxyFailed),
            _ => return Taken::Nothing(Stage::Reply),
        };
        match self.came.len() >= len {
            true => Taken::Bytes(len, Next::Open),
            false => Taken::Nothing(Stage::Reply),
        }
    }
}

/// What a stage made of what has come.
enum Taken {
    /// It is not enough.
    Nothing(Stage),
    /// So many bytes.
    Bytes(usize, Next),
}

impl Taken {
    fn ended(outcome: Outcome) -> Self {
        Self::Bytes(0, Next::End(outcome))
    }
}

enum Next {
    Stage(Stage),
    Open,
    End(Outcome),
}

/// Name and password as RFC 1929 2 has them.
fn said((name, password): (&[u8], &[u8])) -> Vec<u8> {
    let mut out = vec![1];
    for part in [name, password] {
        let part = &part[..part.len().min(255)];
        out.push(part.len() as u8);
        out.extend_from_slice(part);
    }
    out
}

/// A reply other than "succeeded" (RFC 1928 6).
fn refusal(code: u8) -> Outcome {
    match code {
        // General failure, network or host unreachable, refused, address type: another address may do.
        1 | 3 | 4 | 5 | 8 => Outcome::ConnectFailed,
        6 => Outcome::ConnectTimeout,
        2 | 7 => Outcome::ProxyRefused,
        _ => Outcome::ProxyFailed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: Target<'_> = Target::Name("a.test", 443);

    fn address() -> Target<'static> {
        Target::Address(SocketAddr::from(([192, 0, 2, 7], 80)))
    }

    /// What a tunnel sends and ends with, where the proxy answers `all` in pieces of `piece` bytes.
    fn talk(mut tunnel: Tunnel, all: &[u8], piece: usize) -> (Vec<u8>, Told) {
        let mut sent = Vec::new();
        let mut told = Told::More;
        for part in all.chunks(piece) {
            sent.extend_from_slice(tunnel.unsent());
            tunnel.sent(tunnel.unsent().len());
            told = tunnel.received(part);
            if told != Told::More {
                break;
            }
        }
        sent.extend_from_slice(tunnel.unsent());
        (sent, told)
    }

    fn asked(answer: &str) -> Told {
        let tunnel = || Tunnel::connect(AT, "cyclosa/1", b"");
        let whole = talk(tunnel(), answer.as_bytes(), usize::MAX).1;
        assert_eq!(talk(tunnel(), answer.as_bytes(), 1).1, whole, "{answer:?}");
        whole
    }

    #[test]
    fn connect_names_the_server_and_whom_it_is_asked_for() {
        let tunnel = Tunnel::connect(
            address(),
            "cyclosa/1",
            b"Proxy-Authorization: Basic eA==\r\n",
        );
        assert_eq!(
            tunnel.unsent(),
            b"CONNECT 192.0.2.7:80 HTTP/1.1\r\nHost: 192.0.2.7:80\r\nUser-Agent: cyclosa/1\r\n\
              Proxy-Authorization: Basic eA==\r\n\r\n"
        );
        let v6 = Target::Address("[2001:db8::1]:443".parse().unwrap());
        let tunnel = Tunnel::connect(v6, "cyclosa/1", b"");
        assert!(
            tunnel
                .unsent()
                .starts_with(b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\n")
        );
    }

    #[test]
    fn answers_to_connect_open_the_way_or_say_whose_fault_it_is() {
        for (answer, told) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", Told::Open),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", Told::Open),
            (
                "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
                Told::Open,
            ),
            ("HTTP/1.1 200 OK\r\n", Told::More),
            (
                "HTTP/1.1 403 No\r\n\r\n",
                Told::Ended(Outcome::ProxyRefused),
            ),
            (
                "HTTP/1.1 302 Go\r\n\r\n",
                Told::Ended(Outcome::ProxyRefused),
            ),
            (
                "HTTP/1.1 407 Who\r\n\r\n",
                Told::Ended(Outcome::ProxyFailed),
            ),
            (
                "HTTP/1.1 429 Slow\r\n\r\n",
                Told::Ended(Outcome::ProxyFailed),
            ),
            (
                "HTTP/1.1 502 Bad\r\n\r\n",
                Told::Ended(Outcome::ConnectFailed),
            ),
            (
                "HTTP/1.1 503 Bad\r\n\r\n",
                Told::Ended(Outcome::ConnectFailed),
            ),
            (
                "HTTP/1.1 504 Late\r\n\r\n",
                Told::Ended(Outcome::ConnectTimeout),
            ),
            ("SSH-2.0-OpenSSH\r\n", Told::Ended(Outcome::ProxyFailed)),
            ("\x05\x00", Told::Ended(Outcome::ProxyFailed)),
        ] {
            assert_eq!(asked(answer), told, "{answer:?}");
        }
        let more = b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
        let told = talk(Tunnel::connect(AT, "c", b""), more, usize::MAX).1;
        assert_eq!(told, Told::Ended(Outcome::ProxyFailed));
        // Nor does it matter where the bound falls: a verdict within it stands, whatever comes behind.
        let page = "x".repeat(PROXY_ANSWER_BYTES_MAX);
        let told = asked(&format!("HTTP/1.1 403 No\r\n\r\n{page}"));
        assert_eq!(told, Told::Ended(Outcome::ProxyRefused));
        for (over, wanted) in [(0, Told::Open), (1, Told::Ended(Outcome::ProxyFailed))] {
            let frame = "HTTP/1.1 200 OK\r\nX: \r\n\r\n".len();
            let field = "x".repeat(PROXY_ANSWER_BYTES_MAX - frame + over);
            assert_eq!(
                asked(&format!("HTTP/1.1 200 OK\r\nX: {field}\r\n\r\n")),
                wanted
            );
        }
        let endless = format!(
            "HTTP/1.1 200 OK\r\nX: {}",
            "x".repeat(PROXY_ANSWER_BYTES_MAX)
        );
        assert_eq!(asked(&endless), Told::Ended(Outcome::ProxyFailed));
        let hints = "HTTP/1.1 103 Early\r\n\r\n".repeat(PROXY_ANSWER_BYTES_MAX / 20);
        assert_eq!(asked(&hints), Told::Ended(Outcome::ProxyFailed));
    }

    #[test]
    fn socks_without_a_login() {
        let tunnel = Tunnel::socks5(address(), None).unwrap();
        let answer = [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let (sent, told) = talk(tunnel, &answer, 2);
        assert_eq!(sent, [5, 1, 0, 5, 1, 0, 1, 192, 0, 2, 7, 0, 80]);
        assert_eq!(told, Told::Open);
    }

    #[test]
    fn socks_with_a_login_and_a_name() {
        let login = Some((&b"me"[..], &b"pw"[..]));
        let tunnel = Tunnel::socks5(AT, login).unwrap();
        let answer = [5, 2, 1, 0, 5, 0, 0, 3, 1, b'x', 0, 0];
        let (sent, told) = talk(tunnel, &answer, 1);
        let mut wanted = vec![5, 2, 0, 2, 1, 2, b'm', b'e', 2, b'p', b'w'];
        wanted.extend_from_slice(b"\x05\x01\x00\x03\x06a.test\x01\xbb");
        assert_eq!((sent, told), (wanted, Told::Open));
        let told = |answer: &[u8]| talk(Tunnel::socks5_login(login), answer, 1).1;
        assert_eq!(told(&[5, 2, 1, 0]), Told::Open);
        assert_eq!(told(&[5, 0]), Told::Open);
        assert_eq!(told(&[5, 2, 1, 1]), Told::Ended(Outcome::ProxyFailed));
        assert!(Tunnel::socks5(Target::Name(&"a".repeat(256), 1), None).is_none());
    }

    #[test]
    fn socks_refusals_say_whose_fault_it_is() {
        for (answer, outcome) in [
            (&[5, 0xff][..], Outcome::ProxyFailed),
            (&[5, 2], Outcome::ProxyFailed),
            (&[4, 0], Outcome::ProxyFailed),
            (b"HTTP/1.1 400 Bad\r\n", Outcome::ProxyFailed),
            (&[5, 0, 4], Outcome::ProxyFailed),
            (&[5, 0, 5, 1], Outcome::ConnectFailed),
            (&[5, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0], Outcome::ProxyRefused),
            (&[5, 0, 5, 5], Outcome::ConnectFailed),
            (&[5, 0, 5, 6], Outcome::ConnectTimeout),
            (&[5, 0, 5, 0, 0, 9, 0], Outcome::ProxyFailed),
        ] {
            for piece in 1..4 {
                let tunnel = Tunnel::socks5(address(), None).unwrap();
                let told = talk(tunnel, answer, piece).1;
                assert_eq!(told, Told::Ended(outcome), "{answer:?} by {piece}");
            }
        }
    }

    /// Bytes that get somewhere more often than chance would have it.
    fn answers() -> impl Strategy<Value = Vec<u8>> {
        let heads = prop::sample::select(vec![
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 103 E\r\n",
            "X: y\r\n",
            "\r\n",
        ]);
        let part = prop_oneof![
            4 => (0u8..8).prop_map(|b| vec![b]),
            1 => any::<u8>().prop_map(|b| vec![b]),
            2 => heads.prop_map(|h| h.as_bytes().to_vec()),
        ];
        prop::collection::vec(part, 1..30).prop_map(|parts| parts.concat())
    }

    proptest! {
        /// Whatever a proxy says, and however it is split: one verdict, and never more than the bound is kept.
        #[test]
        fn no_answer_confuses_it(answer in answers(), piece in 1usize..60, socks: bool) {
            let tunnel = || match socks {
                true => Tunnel::socks5(AT, Some((b"u", b"p"))).unwrap(),
                false => Tunnel::connect(AT, "c", b""),
            };
            let by_one = talk(tunnel(), &answer, 1).1;
            let by_many = talk(tunnel(), &answer, piece).1;
            if by_one != Told::Open {
                prop_assert_eq!(by_one, by_many);
            }
        }
    }
}
