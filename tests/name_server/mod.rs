//! A name server on loopback, over UDP and TCP, that answers as a test tells it. Its messages are put together by hand, so
//! that they can be wrong in any way.

#![allow(dead_code)] // each test crate uses its part

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

pub const A: u16 = 1;
pub const CNAME: u16 = 5;
pub const SOA: u16 = 6;
pub const AAAA: u16 = 28;

/// A question.
#[derive(Clone, Debug)]
pub struct Ask {
    pub id: u16,
    /// As spelled.
    pub spelling: String,
    /// In lower case.
    pub name: String,
    pub kind: u16,
    pub tcp: bool,
    /// With an OPT record.
    pub edns: bool,
    /// How often the same was asked before.
    pub before: usize,
    /// Port that it came from.
    pub port: u16,
}

/// An answer in the making.
#[derive(Clone, Debug)]
pub struct Reply {
    pub id: u16,
    pub flags: u16,
    /// Question's name, type.
    pub question: Option<(String, u16)>,
    answers: Vec<Vec<u8>>,
    authority: Vec<Vec<u8>>,
    ttl: u32,
}

pub fn wire_name(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|l| !l.is_empty()) {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out
}

fn record(name: &str, kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut out = wire_name(name);
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&1u16.to_be_bytes());
    out.extend_from_slice(&ttl.to_be_bytes());
    out.extend_from_slice(&(data.len() as u16).to_be_bytes());
    out.extend_from_slice(data);
    out
}

impl Ask {
    /// An answer that repeats the question and says nothing yet.
    pub fn reply(&self) -> Reply {
        Reply {
            id: self.id,
            flags: 0x8180,
            question: Some((self.spelling.clone(), self.kind)),
            answers: Vec::new(),
            authority: Vec::new(),
            ttl: 300,
        }
    }

    /// Those of `addresses` that are asked for, else none with the zone's word for it.
    pub fn with(&self, addresses: &[&str]) -> Vec<Vec<u8>> {
        let reply = addresses.iter().fold(self.reply(), |reply, address| {
            let ip: IpAddr = address.parse().expect("an address");
            let fits = ip.is_ipv4() == (self.kind == A);
            if fits {
                reply.address(&self.spelling, address)
            } else {
                reply
            }
        });
        vec![
            if reply.answers.is_empty() {
                reply.none()
            } else {
                reply
            }
            .bytes(),
        ]
    }
}

impl Reply {
    /// Time to live of what is added from now on.
    pub fn ttl(mut self, ttl: u32) -> Self {
        self.ttl = ttl;
        self
    }

    pub fn rcode(mut self, rcode: u16) -> Self {
        self.flags = self.flags & !0xf | rcode;
        self
    }

    pub fn truncated(mut self) -> Self {
        self.flags |= 0x0200;
        self
    }

    pub fn address(mut self, name: &str, address: &str) -> Self {
        let record = match address.parse().expect("an address") {
            IpAddr::V4(ip) => record(name, A, self.ttl, &ip.octets()),
            IpAddr::V6(ip) => record(name, AAAA, self.ttl, &ip.octets()),
        };
        self.answers.push(record);
        self
    }

    pub fn alias(mut self, name: &str, to: &str) -> Self {
        self.answers
            .push(record(name, CNAME, self.ttl, &wire_name(to)));
        self
    }

    /// The zone says that there is nothing.
    pub fn none(mut self) -> Self {
        let mut data = [wire_name("ns.test"), wire_name("root.test")].concat();
        for field in [1u32, 2, 3, 4, 60] {
            data.extend_from_slice(&field.to_be_bytes());
        }
        self.authority.push(record("test", SOA, self.ttl, &data));
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let questions = u16::from(self.question.is_some());
        let counts = [
            questions,
            self.answers.len() as u16,
            self.authority.len() as u16,
            0,
        ];
        for word in [self.id, self.flags].iter().chain(&counts) {
            out.extend_from_slice(&word.to_be_bytes());
        }
        if let Some((name, kind)) = &self.question {
            out.extend(wire_name(name));
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(&1u16.to_be_bytes());
        }
        out.extend(self.answers.concat());
        out.extend(self.authority.concat());
        out
    }
}

fn understand(bytes: &[u8], tcp: bool, port: u16) -> Option<Ask> {
    let mut spelling = String::new();
    let mut at = 12;
    while *bytes.get(at)? != 0 {
        let len = usize::from(bytes[at]);
        if !spelling.is_empty() {
            spelling.push('.');
        }
        spelling.push_str(std::str::from_utf8(bytes.get(at + 1..at + 1 + len)?).ok()?);
        at += 1 + len;
    }
    Some(Ask {
        id: u16::from_be_bytes([bytes[0], bytes[1]]),
        name: spelling.to_ascii_lowercase(),
        spelling,
        kind: u16::from_be_bytes([*bytes.get(at + 1)?, *bytes.get(at + 2)?]),
        tcp,
        edns: bytes[11] == 1,
        before: 0,
        port,
    })
}

/// A running server; its threads end with the test.
pub struct NameServer {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Ask>>>,
}

/// What a test tells a server: the messages to send for a question.
pub trait Script: Fn(&Ask) -> Vec<Vec<u8>> + Send + Sync + 'static {}
impl<F: Fn(&Ask) -> Vec<Vec<u8>> + Send + Sync + 'static> Script for F {}

impl NameServer {
    /// A server on a free port of `ip` with both transports.
    pub fn on(ip: &str, script: impl Script) -> Self {
        let (udp, tcp) = (0..100)
            .find_map(|_| {
                let udp = UdpSocket::bind((ip, 0)).ok()?;
                let tcp = TcpListener::bind(udp.local_addr().ok()?).ok()?;
                Some((udp, tcp))
            })
            .expect("a free port");
        Self::run(udp, Some(tcp), script)
    }

    pub fn start(script: impl Script) -> Self {
        Self::on("127.0.0.1", script)
    }

    /// A server that nothing but datagrams reach.
    pub fn without_tcp(script: impl Script) -> Self {
        Self::run(
            UdpSocket::bind("127.0.0.1:0").expect("a port"),
            None,
            script,
        )
    }

    /// A server over sockets of the same port.
    pub fn over(udp: UdpSocket, tcp: TcpListener, script: impl Script) -> Self {
        Self::run(udp, Some(tcp), script)
    }

    fn run(udp: UdpSocket, tcp: Option<TcpListener>, script: impl Script) -> Self {
        // A lane asks a thousand things at once; a server that is not scheduled for a while must not lose them. Without
        // the right to so large a buffer it stays as it is.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size_force(&udp, 8 << 20);
        let address = udp.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::<Ask>::new()));
        let log = Arc::clone(&asked);
        let answer = Arc::new(move |bytes: &[u8], tcp: bool, port: u16| {
            let Some(mut ask) = understand(bytes, tcp, port) else {
                return Vec::new();
            };
            let mut log = log.lock().expect("no panic");
            let same = |a: &&Ask| a.name == ask.name && a.kind == ask.kind;
            ask.before = log.iter().filter(same).count();
            log.push(ask.clone());
            drop(log);
            script(&ask)
        });
        let over_udp = Arc::clone(&answer);
        thread::spawn(move || {
            let mut room = [0; 2_048];
            while let Ok((n, from)) = udp.recv_from(&mut room) {
                for message in over_udp(&room[..n], false, from.port()) {
                    let _ = udp.send_to(&message, from);
                }
            }
        });
        if let Some(tcp) = tcp {
            thread::spawn(move || {
                for mut stream in tcp.incoming().flatten() {
                    let answer = Arc::clone(&answer);
                    thread::spawn(move || {
                        let mut length = [0; 2];
                        while stream.read_exact(&mut length).is_ok() {
                            let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                            if stream.read_exact(&mut question).is_err() {
                                return;
                            }
                            for message in answer(&question, true, 0) {
                                let length = (message.len() as u16).to_be_bytes();
                                let whole = [&length[..], &message].concat();
                                // In two pieces: nobody may rely on whole messages.
                                let (one, other) = whole.split_at(whole.len() / 2);
                                let _ = stream.write_all(one);
                                let _ = stream.flush();
                                let _ = stream.write_all(other);
                            }
                        }
                    });
                }
            });
        }
        Self { address, asked }
    }

    /// All questions so far.
    pub fn asked(&self) -> Vec<Ask> {
        self.asked.lock().expect("no panic").clone()
    }

    /// Questions for a name.
    pub fn asked_for(&self, name: &str) -> Vec<Ask> {
        self.asked()
            .into_iter()
            .filter(|a| a.name == name)
            .collect()
    }
}
