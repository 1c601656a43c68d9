//! Servers that mean harm: what they can cost a crawl is bounded, counted and measured from outside.
//!
//! * Measured are memory (`VmHWM`) and CPU time (`/proc/PID/stat`) of the real program, what was asked for, and how URLs
//!   end. Figures are printed (`--nocapture`); no speed is asserted, only shares and ratios with wide bounds.
//! * [`Dumb`] is the server of them all: it knows nothing of HTTP but where a request ends.

mod bombs;
mod drip;
mod endless;
mod flood;
mod markup;
mod silent;

use super::program::{Crawl, Ended};
use super::scripted::request;
use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// A server on loopback; each connection is a thread's, which ends with the test program.
struct Dumb {
    port: u16,
    /// Connections so far.
    connections: Arc<AtomicU64>,
    /// Bytes that clients, or their systems, took.
    sent: Arc<AtomicU64>,
}

impl Dumb {
    /// `play` has every connection for itself.
    fn raw(play: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        Self::over(listener, move |stream, _| play(stream))
    }

    /// `play` has every request: host without port, target, and the connection to write to. The connection ends where it
    /// returns false.
    fn start(play: impl Fn(&str, &str, &mut Pipe) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        Self::over(listener, move |mut stream, sent| {
            while let Some((host, target, _)) = request(&mut stream) {
                let name = host.split(':').next().unwrap_or_default();
                let mut pipe = Pipe {
                    stream: &stream,
                    sent: &sent,
                };
                if !play(name, &target, &mut pipe) {
                    return;
                }
            }
        })
    }

    fn over(
        listener: TcpListener,
        play: impl Fn(TcpStream, Arc<AtomicU64>) + Send + Sync + 'static,
    ) -> Self {
        let port = listener.local_addr().expect("its address").port();
        let (connections, sent) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (counted, bytes, play) = (connections.clone(), sent.clone(), Arc::new(play));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::Relaxed);
                let (play, bytes) = (play.clone(), bytes.clone());
                thread::spawn(move || play(stream, bytes));
            }
        });
        Self {
            port,
            connections,
            sent,
        }
    }

    fn url(&self, name: &str, target: &str) -> String {
        format!("http://{name}:{}{target}", self.port)
    }

    fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// Where an answer goes.
struct Pipe<'a> {
    stream: &'a TcpStream,
    sent: &'a AtomicU64,
}

impl Pipe<'_> {
    /// Writes; false where nobody takes it any more.
    fn say(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let bytes = bytes.as_ref();
        let taken = self.stream.write_all(bytes).is_ok();
        self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        taken
    }

    /// Writes the same for ever; always false.
    fn say_for_ever(&mut self, bytes: &[u8]) -> bool {
        let piece = bytes.repeat((64 << 10) / bytes.len() + 1);
        while self.say(&piece) {}
        false
    }

    /// The server's own port.
    fn port(&self) -> u16 {
        self.stream.local_addr().map_or(0, |a| a.port())
    }

    /// A whole response.
    fn answer(&mut self, status: &str, fields: &str, body: &[u8]) -> bool {
        let len = body.len();
        let head = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {len}\r\n\r\n");
        self.say(head) && self.say(body)
    }

    fn html(&mut self, body: &[u8]) -> bool {
        self.answer("200 OK", "Content-Type: text/html\r\n", body)
    }

    fn redirect(&mut self, to: &str) -> bool {
        self.answer("302 Found", &format!("Location: {to}\r\n"), b"")
    }

    fn not_found(&mut self) -> bool {
        self.answer("404 Not Found", "", b"")
    }
}

/// What a run took.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    /// Most memory at once, MiB.
    peak_mib: u64,
    /// CPU time of all threads.
    cpu: Duration,
}

impl Used {
    /// What the process has used so far; `None` where it is gone.
    fn by(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
        let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // utime and stime (proc_pid_stat(5)), counted from behind the name; a tick is 10 ms on every Linux.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<u64> = fields
            .split_whitespace()
            .map(|f| f.parse().unwrap_or(0))
            .collect();
        Some(Self {
            peak_mib: kib >> 10,
            cpu: Duration::from_millis(10 * (fields[11] + fields[12])),
        })
    }
}

/// Runs a crawl to its end, which has to be clean, and says what it used.
#[track_caller]
fn run(crawl: &Crawl) -> (Ended, Used) {
    let mut running = crawl.start();
    let mut used = Used::default();
    while running.is_running() {
        used = Used::by(running.pid())
            .filter(|u| u.peak_mib > 0)
            .unwrap_or(used);
        sleep(Duration::from_millis(5));
    }
    let ended = running.wait().expect(0);
    crawl.assert_sound();
    (ended, used)
}

/// The share of one core that a crawl takes for a while, once it has run for a second.
fn cpu_share(crawl: &Crawl, during: Duration) -> f64 {
    let mut running = crawl.start();
    sleep(Duration::from_secs(1));
    let (before, began) = (Used::by(running.pid()), Instant::now());
    sleep(during);
    let (after, wall) = (Used::by(running.pid()), began.elapsed());
    assert!(running.is_running(), "{}", running.stderr());
    running.signal("INT");
    running.wait().expect(130);
    crawl.assert_sound();
    let cpu = after.expect("it runs").cpu - before.expect("it runs").cpu;
    cpu.as_secs_f64() / wall.as_secs_f64()
}

/// A count of the report, 0 where it is not there.
fn count(crawl: &Crawl, group: &str, name: &str) -> u64 {
    crawl.report()[group][name].as_u64().unwrap_or(0)
}
