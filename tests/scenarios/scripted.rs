//! A server on loopback that answers as a test tells it, and remembers what it was asked, when, and how many at once.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// A request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// When its head was complete.
    pub at: Instant,
    /// Who asked.
    pub peer: IpAddr,
    /// `name:port` of the Host field.
    pub host: String,
    pub target: String,
    /// All of the request.
    pub head: String,
    /// Requests of this host that were not answered yet, this one included.
    pub at_once: usize,
}

/// What to answer.
#[derive(Clone)]
pub struct Answer {
    bytes: Vec<u8>,
    /// Before the first byte.
    wait: Duration,
    close: bool,
}

impl Answer {
    /// These bytes and nothing else.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: bytes.into(),
            wait: Duration::ZERO,
            close: false,
        }
    }

    /// A response with fields (each with its line end) and a body with its length.
    pub fn new(status: &str, fields: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let len = body.len();
        let head = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {len}\r\n\r\n");
        Self::raw([head.as_bytes(), body].concat())
    }

    /// An HTML page.
    pub fn html(body: impl AsRef<[u8]>) -> Self {
        Self::new("200 OK", "Content-Type: text/html\r\n", body)
    }

    /// An HTML page with links to `targets`.
    pub fn links<S: AsRef<str>>(targets: &[S]) -> Self {
        let link = |t: &S| format!("<a href=\"{}\">x</a>\n", t.as_ref());
        Self::html(targets.iter().map(link).collect::<String>())
    }

    /// A redirect.
    pub fn redirect(status: &str, to: &str) -> Self {
        Self::new(status, &format!("Location: {to}\r\n"), "")
    }

    /// Plain text.
    pub fn text(body: &str) -> Self {
        Self::new("200 OK", "Content-Type: text/plain\r\n", body)
    }

    pub fn not_found() -> Self {
        Self::new("404 Not Found", "Content-Type: text/plain\r\n", "no")
    }

    /// The same after a while.
    pub fn after(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// The same, and the connection ends.
    pub fn and_close(mut self) -> Self {
        self.close = true;
        self
    }
}

#[derive(Default)]
struct Memory {
    asked: Vec<Asked>,
    open: BTreeMap<String, usize>,
}

/// The server; its threads end with the test program.
pub struct Server {
    pub port: u16,
    memory: Arc<Mutex<Memory>>,
}

impl Server {
    /// Answers every request by `answer(host without port, target)`.
    pub fn start(answer: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) -> Self {
        Self::over(TcpListener::bind("127.0.0.1:0").expect("a port"), answer)
    }

    /// The same over a socket that listens already.
    pub fn over(
        listener: TcpListener,
        answer: impl Fn(&str, &str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let port = listener.local_addr().expect("its address").port();
        let memory = Arc::new(Mutex::new(Memory::default()));
        let (answer, kept) = (Arc::new(answer), memory.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, memory) = (answer.clone(), kept.clone());
                thread::spawn(move || talk(stream, &*answer, &memory));
            }
        });
        Self { port, memory }
    }

    /// `http://name:port/path`.
    pub fn url(&self, name: &str, target: &str) -> String {
        format!("http://{name}:{}{target}", self.port)
    }

    /// All requests so far, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.memory.lock().expect("no panic inside").asked.clone()
    }

    /// What was asked of a host but robots.txt, in order.
    pub fn targets(&self, name: &str) -> Vec<String> {
        let host = format!("{name}:{}", self.port);
        let all = self.asked().into_iter();
        let of_host = all.filter(|a| a.host == host && a.target != "/robots.txt");
        of_host.map(|a| a.target).collect()
    }
}

fn talk(mut stream: TcpStream, answer: &dyn Fn(&str, &str) -> Answer, memory: &Mutex<Memory>) {
    let _ = stream.set_nodelay(true);
    let Ok(peer) = stream.peer_addr().map(|address| address.ip()) else {
        return;
    };
    while let Some((host, target, head)) = request(&mut stream) {
        let name = host.split(':').next().unwrap_or_default().to_string();
        {
            let mut memory = memory.lock().expect("no panic inside");
            let open = memory.open.entry(host.clone()).or_default();
            *open += 1;
            let asked = Asked {
                at: Instant::now(),
                peer,
                host: host.clone(),
                target: target.clone(),
                head,
                at_once: *open,
            };
            memory.asked.push(asked);
        }
        let answer = answer(&name, &target);
        sleep(answer.wait);
        // No longer open before the last byte is out: the next request may come right behind it.
        let open = |memory: &mut Memory| *memory.open.entry(host.clone()).or_default() -= 1;
        open(&mut memory.lock().expect("no panic inside"));
        if stream.write_all(&answer.bytes).is_err() || answer.close {
            return;
        }
    }
}

/// Host, target and all of the next request; `None` where the client is gone.
pub fn request(stream: &mut TcpStream) -> Option<(String, String, String)> {
    let mut head = Vec::new();
    let mut piece = [0; 4_096];
    while !head.ends_with(b"\r\n\r\n") {
        let n = stream.read(&mut piece).ok().filter(|n| *n > 0)?;
        head.extend_from_slice(&piece[..n]);
    }
    let head = String::from_utf8(head).ok()?;
    let target = head.split(' ').nth(1)?.to_string();
    let mut fields = head.lines().filter_map(|l| l.split_once(':'));
    let (_, host) = fields.find(|(name, _)| name.eq_ignore_ascii_case("host"))?;
    let host = host.trim().to_string();
    Some((host, target, head))
}

/// A host of endless pages: page N links to pages 2N+1 and 2N+2, each below `/p/`.
pub fn endless(target: &str) -> Answer {
    if target == "/robots.txt" {
        return Answer::not_found();
    }
    let number = target
        .rsplit('/')
        .next()
        .and_then(|n| n.parse::<u64>().ok());
    let n = number.unwrap_or(0) % (1 << 40);
    let text = "Every page says about the same. ".repeat(100);
    let links = format!(
        "<a href=/p/{}>a</a><a href=/p/{}>b</a>",
        2 * n + 1,
        2 * n + 2
    );
    Answer::html(format!("<!doctype html><title>{n}</title>{links}<p>{text}"))
}
