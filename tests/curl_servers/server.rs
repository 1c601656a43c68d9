//! The server of curl's tests, as far as replies go: it reads a request head, takes the part of the script that the
//! number in the request target asks for, and sends it as it stands.
//!
//! `swsclose` in a reply (and an empty reply) ends the connection behind it, `swsbounce` has the next request for the
//! same test answered with the part behind, `writedelay` and `idle` and `wait` are what they say. It is proxy and server in
//! one: CONNECT is answered by the part `connect`, and what follows on the same connection as if it had come straight; a
//! connection that begins as SOCKS 5 does goes on likewise. It does not look at other methods, at credentials or bodies,
//! but keeps what it heard.

use super::script::{Part, Script};
use super::socks;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How replies go over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pieces {
    /// In one write.
    Whole,
    /// Byte by byte.
    Bytes,
    /// In pieces of up to 64 bytes, by dice thrown from this seed.
    Random(u64),
}

/// A server of one script; it ends when this is dropped.
pub struct Server {
    /// The script, for the port that was free.
    pub script: Arc<Script>,
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    stopped: Arc<AtomicBool>,
}

/// What a server was asked for.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Request heads, in order.
    pub heads: Vec<String>,
    /// Where SOCKS was asked to lead to, in the words of curl's server.
    pub socks: Vec<String>,
}

/// What its connections share.
struct Shared {
    script: Arc<Script>,
    folder: PathBuf,
    port: u16,
    pieces: Pieces,
    /// The part last sent, where it asked for the next one.
    bounce: Mutex<Option<(u32, u32)>>,
    heard: Mutex<Heard>,
}

impl Server {
    /// Serves test `number` of `folder`.
    pub fn start(folder: PathBuf, number: u32, pieces: Pieces) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("its address");
        let port = address.port();
        let script = Script::load(&folder, number, port).expect("a test file");
        let script = Arc::new(script);
        let shared = Arc::new(Shared {
            script: script.clone(),
            folder,
            port,
            pieces,
            bounce: Mutex::default(),
            heard: Mutex::default(),
        });
        let serving = shared.clone();
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = stopped.clone();
        spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let shared = serving.clone();
                spawn(move || shared.talk(stream));
            }
        });
        Self {
            script,
            address,
            shared,
            stopped,
        }
    }

    /// What it was asked for so far.
    pub fn heard(&self) -> Heard {
        self.shared
            .heard
            .lock()
            .expect("no panic under the lock")
            .clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) {
    let built = thread::Builder::new().stack_size(256 << 10).spawn(work);
    built.expect("a thread");
}

impl Shared {
    fn talk(&self, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        if !self.is_through(&mut stream) {
            return;
        }
        while let Some(head) = request(&mut stream) {
            self.hear(|heard| heard.heads.push(head.clone()));
            let target = target(&head);
            if head.starts_with("CONNECT ") {
                let reply = self.script.part("reply", "connect");
                let reply = reply.map(Part::bytes).unwrap_or_default();
                let sent = self.send(&mut stream, &reply, None);
                if sent.is_err() || reply.is_empty() || contains(&reply, b"swsclose") {
                    return;
                }
                continue;
            }
            let (test, mut part) = asked(target).unwrap_or((self.script.number, 0));
            let mut bounce = self.bounce.lock().expect("no panic under the lock");
            if let Some((_, last)) = bounce.take().filter(|b| b.0 == test) {
                part = last + 1;
            }
            let other = (test != self.script.number)
                .then(|| Script::load(&self.folder, test, self.port))
                .flatten();
            let script = other.as_ref().unwrap_or(&self.script);
            let name = if part == 0 {
                "data".into()
            } else {
                format!("data{part}")
            };
            let reply = script
                .part("reply", &name)
                .map(Part::bytes)
                .unwrap_or_default();
            if contains(&reply, b"swsbounce") {
                *bounce = Some((test, part));
            }
            drop(bounce);
            let commands = script.lines("reply", "servercmd");
            if commands.iter().any(|c| c == "idle") {
                let _ = stream.read(&mut [0; 64]);
                return;
            }
            let delay = commands.iter().find_map(|c| c.strip_prefix("writedelay:"));
            let delay = delay.and_then(|d| d.trim().parse().ok());
            if self.send(&mut stream, &reply, delay).is_err() {
                return;
            }
            let wait = script.lines("reply", "postcmd");
            let wait = wait.iter().find_map(|c| c.strip_prefix("wait "));
            if let Some(seconds) = wait.and_then(|s| s.trim().parse().ok()) {
                thread::sleep(Duration::from_secs(seconds));
            }
            if contains(&reply, b"swsclose")
                || commands.iter().any(|c| c == "swsclose")
                || reply.is_empty()
            {
                return;
            }
        }
    }

    fn hear(&self, note: impl FnOnce(&mut Heard)) {
        note(&mut self.heard.lock().expect("no panic under the lock"));
    }

    /// Goes through SOCKS, where a connection begins with it; whether one may go on.
    fn is_through(&self, stream: &mut TcpStream) -> bool {
        let mut first = [0];
        if !matches!(stream.peek(&mut first), Ok(1)) || first != [5] {
            return true;
        }
        let commands = self.script.lines("reply", "servercmd");
        let said = |name| commands.iter().find_map(|c| c.strip_prefix(name));
        let login = said("user ").zip(said("password "));
        match socks::accept(stream, login, self.pieces != Pieces::Whole) {
            Ok(asked) => self.hear(|heard| heard.socks.push(asked)),
            Err(_) => return false,
        }
        true
    }

    fn send(
        &self,
        stream: &mut TcpStream,
        reply: &[u8],
        delay: Option<u64>,
    ) -> std::io::Result<()> {
        if let Some(delay) = delay {
            for piece in reply.chunks(20) {
                stream.write_all(piece)?;
                thread::sleep(Duration::from_millis(delay));
            }
            return Ok(());
        }
        let mut rest = reply;
        let mut dice = match self.pieces {
            Pieces::Random(seed) => seed | 1,
            _ => 0,
        };
        for turn in 1.. {
            if rest.is_empty() {
                break;
            }
            let n = match self.pieces {
                Pieces::Whole => rest.len(),
                Pieces::Bytes => 1,
                Pieces::Random(_) => {
                    dice ^= dice << 13;
                    dice ^= dice >> 7;
                    dice ^= dice << 17;
                    // Large replies need no more than some thousand pieces.
                    (1 + dice as usize % 64) * (1 + reply.len() / 50_000)
                }
            };
            let (piece, later) = rest.split_at(n.min(rest.len()));
            stream.write_all(piece)?;
            rest = later;
            // Otherwise all pieces wait in one socket buffer and are read at once.
            if self.pieces != Pieces::Whole && turn % 16 == 0 {
                thread::yield_now();
            }
        }
        Ok(())
    }
}

/// A server of all `replies`, until the test's process ends: the target of a request is the index of what is sent, and
/// then the connection ends.
pub fn serve_each(replies: Vec<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let address = listener.local_addr().expect("its address");
    let replies = Arc::new(replies);
    spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let replies = replies.clone();
            spawn(move || {
                let head = request(&mut stream).unwrap_or_default();
                let index: Option<usize> = target(&head).trim_start_matches('/').parse().ok();
                if let Some(reply) = index.and_then(|i| replies.get(i)) {
                    let _ = stream.write_all(reply);
                }
            });
        }
    });
    address
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|w| w == what)
}

/// Head of the next request; `None` where the client has closed.
fn request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut bytes = [0; 512];
        match stream.read(&mut bytes).ok()? {
            0 => return None,
            n => head.extend_from_slice(&bytes[..n]),
        }
    }
    String::from_utf8(head).ok()
}

/// Target of the request with this head.
fn target(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

/// Test and part that a target asks for: the number behind its last slash; of a large one the last four digits are the
/// part.
fn asked(target: &str) -> Option<(u32, u32)> {
    let (_, tail) = target.rsplit_once('/')?;
    let path = tail.split('?').next().unwrap_or_default();
    numbered(path).or_else(|| numbered(tail))
}

fn numbered(tail: &str) -> Option<(u32, u32)> {
    // Escapes are ours.
    let tail = tail
        .rsplit_once('%')
        .map_or(tail, |(_, t)| t.get(2..).unwrap_or_default());
    let digits = tail.trim_start_matches(|c: char| !c.is_ascii_digit());
    let len = digits.bytes().take_while(u8::is_ascii_digit).count();
    let number: u32 = digits[..len].parse().ok()?;
    Some(if number > 9_999 {
        (number / 10_000, number % 10_000)
    } else {
        (number, 0)
    })
}
