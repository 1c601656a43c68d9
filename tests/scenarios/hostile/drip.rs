//! Thousands of connections that drip, and hosts that do not: one whose crawl goes on as if it were alone, and one that is
//! found later.

use super::super::program::Crawl;
use super::super::synthetic::Web;
use super::{Dumb, Used, run};
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

/// Seconds of a crawl, and those at its start in which thousands of connections are made: 70 µs of CPU each, once, and as
/// much again for the server here. What is measured is what comes behind them.
const RUN_S: usize = 6;
const BEGINNING_S: usize = 2;

/// Pages a second, behind its beginning, of a crawl of a fast host with `drips` further hosts, which have none.
fn rate(web: &Web, drip: &Drip, drips: usize, concurrency: usize) -> (f64, Used) {
    let mut seeds = vec![format!("http://h0.web.test:{}/", web.port)];
    let slow = |n| format!("http://h{n}.drip.test:{}/", drip.port);
    seeds.extend((0..drips).map(slow));
    let (concurrency, seconds) = (concurrency.to_string(), format!("{RUN_S}s"));
    let bounds = [
        "--for",
        &seconds,
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
    let series = &report["series"];
    assert_eq!(series["step_s"], 1.0, "{series}");
    let pages = series["pages_per_s"].as_array().expect("a list");
    let steady = pages[BEGINNING_S..RUN_S].iter().filter_map(|p| p.as_f64());
    (steady.sum::<f64>() / (RUN_S - BEGINNING_S) as f64, used)
}

#[test]
fn a_fast_host_is_crawled_beside_thousands_that_drip() {
    let web = Web::start(&["--hosts", "1", "--latency", "5ms"]);
    for concurrency in [8_192, 1_024] {
        let drip = Drip::start();
        let (alone, of_one) = rate(&web, &drip, 0, concurrency);
        let (beside, used) = rate(&web, &drip, DRIPS, concurrency);
        let dripping = drip.open();
        let ratio = beside / alone;
        println!(
            "{dripping} connections dripped beside it, --concurrency {concurrency}: {beside:.0} pages/s, alone {alone:.0}: \
             ratio {ratio:.2}; {} MiB, {:?} CPU, alone {:?}",
            used.peak_mib, used.cpu, of_one.cpu
        );
        assert!(ratio >= 0.6, "{ratio}");
    }
}

#[test]
fn a_host_found_beside_thousands_that_drip_is_crawled() {
    let drip = Drip::start();
    // When the link to the new host was given, and when it was asked for robots.txt and the page.
    let times: Arc<Mutex<Vec<(String, Instant)>>> = Arc::default();
    let seen = times.clone();
    let server = Dumb::start(move |host, target, pipe| {
        let page = match target {
            "/" if host == "late.test" => {
                sleep(Duration::from_secs(2));
                format!("<a href=http://new.test:{}/>", pipe.port())
            }
            _ => String::new(),
        };
        let at = (format!("{host}{target}"), Instant::now());
        seen.lock().expect("no panic inside").push(at);
        match target {
            "/robots.txt" => pipe.not_found(),
            _ => pipe.html(page.as_bytes()),
        }
    });
    let mut seeds = vec![server.url("late.test", "/")];
    seeds.extend((0..DRIPS).map(|n| format!("http://h{n}.drip.test:{}/", drip.port)));
    let crawl = Crawl::new(&seeds, &["--for", "14s", "--quiet", "--scope", "any"]);
    let (_, used) = run(&crawl);
    let times = times.lock().expect("no panic inside");
    let at = |what: &str| times.iter().find(|t| t.0 == what).map(|t| t.1);
    let found = at("late.test/").expect("a seed");
    let waited = at("new.test/").map(|at| at - found);
    println!(
        "{} connections dripped; a new host had its first page {waited:.1?} after it was found; {used:?}",
        drip.open()
    );
    assert!(waited.is_some(), "in 12 s: {times:?}");
}
