//! Thousands of connections that drip, and one host that does not: whose crawl goes on as if it were alone.

use super::super::program::Crawl;
use super::super::synthetic::Web;
use super::{Used, run};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// Hosts that drip.
const DRIPS: usize = 5_000;
/// Between two bytes of one of them.
const BETWEEN: Duration = Duration::from_secs(10);

/// Answers every connection with a byte at once and one every [`BETWEEN`], of a head that never ends.
struct Drip {
    port: u16,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Drip {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let taken = open.clone();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.write_all(b"H");
                taken.lock().expect("no panic inside").push(stream);
            }
        });
        let dripping = open.clone();
        thread::spawn(move || {
            loop {
                let next = Instant::now() + BETWEEN;
                let mut open = dripping.lock().expect("no panic inside");
                // A socket whose client is gone says so at the second byte.
                open.retain_mut(|stream| stream.write_all(b"T").is_ok());
                drop(open);
                sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        Self { port, open }
    }

    fn open(&self) -> usize {
        self.open.lock().expect("no panic inside").len()
    }
}

/// Pages a second of the fast host in a crawl with `drips` further hosts.
fn rate(web: &Web, drip: &Drip, drips: usize, concurrency: usize) -> (f64, Used) {
    let fast = format!("http://h0.web.test:{}", web.port);
    let mut seeds = vec![format!("{fast}/")];
    let slow = |n| format!("http://h{n}.drip.test:{}/", drip.port);
    seeds.extend((0..drips).map(slow));
    let concurrency = concurrency.to_string();
    let bounds = [
        "--for",
        "4s",
        "--quiet",
        "--assets",
        "none",
        "--per-host",
        "4",
    ];
    let crawl = Crawl::new(
        &seeds,
        &[&bounds[..], &["--concurrency", &concurrency]].concat(),
    );
    let (_, used) = run(&crawl);
    let report = crawl.report();
    assert_eq!(report["stop"], "time", "{report}");
    let hosts = report["hosts"].as_array().expect("a list");
    let of_fast = hosts.iter().find(|h| h["host"] == fast.as_str());
    let pages = of_fast.map_or(0, |h| h["pages"].as_u64().expect("a count"));
    (pages as f64 / 4.0, used)
}

#[test]
fn a_fast_host_is_crawled_beside_thousands_that_drip() {
    let (web, drip) = (
        Web::start(&["--hosts", "1", "--latency", "5ms"]),
        Drip::start(),
    );
    for concurrency in [8_192, 1_024] {
        let (alone, _) = rate(&web, &drip, 0, concurrency);
        let before = drip.open();
        let (beside, used) = rate(&web, &drip, DRIPS, concurrency);
        let dripping = drip.open() - before.min(drip.open());
        let ratio = beside / alone;
        println!(
            "{dripping} connections dripped beside it, --concurrency {concurrency}: {beside:.0} pages/s, alone {alone:.0}: \
             ratio {ratio:.2}; {} MiB, {:?} CPU",
            used.peak_mib, used.cpu
        );
        assert!(ratio >= 0.5, "{ratio}");
    }
}
