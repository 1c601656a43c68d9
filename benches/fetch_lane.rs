//! Requests a second of one fetch lane, and what a request costs it, against nginx with keep-alive.
//!
//! The lane runs on core 0 and nginx on core 1, both on loopback; pages are [`BODY_BYTES`] long and [`PARALLEL`] are in
//! flight. Excluded: everything behind the lane. Without nginx, or with an address as argument, only that address is
//! measured (it has to serve `/0` to `/99`).
//!
//! The baseline printed beside it is the same traffic without a lane: blocking reads and writes of the same bytes over
//! the same number of connections, one after another, with nothing parsed.

use cyclosa::event::{Outcome, Page};
use cyclosa::fetch::{Lane, LaneSettings, Resolver};
use cyclosa::time::Clock;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

const BODY_BYTES: usize = 26 << 10;
const PARALLEL: usize = 64;
const REQUESTS: usize = 100_000;
const ROUNDS: usize = 5;

fn main() {
    let given = std::env::args().nth(1).and_then(|a| a.parse().ok());
    let folder = tempfile::tempdir().expect("a scratch directory");
    let (address, server) = match given {
        Some(address) => (address, None),
        None => match nginx(folder.path()) {
            Some((address, child)) => (address, Some(child)),
            None => return println!("nginx is not installed: nothing measured"),
        },
    };
    pin_to_first_core();
    let mut rates = Vec::new();
    for round in 0..ROUNDS {
        let floor = baseline(address, REQUESTS / 4);
        let lane = measure(address, REQUESTS);
        println!(
            "round {round}: lane {:.0} requests/s, {:.1} us CPU each; bare sockets {:.0}/s, {:.1} us",
            lane.0, lane.1, floor.0, floor.1
        );
        rates.push(lane);
    }
    rates.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (rate, cpu) = rates[ROUNDS / 2];
    println!("median: {rate:.0} requests/s, {cpu:.1} us CPU a request");
    if let Some(mut child) = server {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Requests a second and microseconds of CPU a request of a lane.
fn measure(address: SocketAddr, requests: usize) -> (f64, f64) {
    let clock = Clock::starting_at(1);
    let settings = LaneSettings {
        clock,
        ..LaneSettings::default()
    };
    let resolver = Resolver::new(&[], &[]);
    let mut lane = Lane::new(settings, resolver).expect("a lane");
    let origin = format!("http://{address}");
    for n in 0..PARALLEL {
        let page = Page {
            url: format!("{origin}/{}", n % 100).into_bytes(),
            path_at: origin.len() as u16,
            address: Some(address),
            host: n as u32,
            ..Page::default()
        };
        lane.accept(Box::new(page), clock.now());
    }
    let (mut done, mut out) = (0, Vec::new());
    let (start, cpu) = (clock.now(), cpu_s());
    while done < requests {
        let now = clock.now();
        if lane.turn(now, clock.wall(), &mut out) == 0 {
            lane.park(Duration::from_millis(5));
        }
        for page in out.drain(..) {
            assert_eq!(
                (page.outcome, page.body_len()),
                (Outcome::Fetched, BODY_BYTES)
            );
            done += 1;
            lane.accept(page, now);
        }
    }
    let elapsed = (clock.now() - start) as f64 / 1e9;
    (done as f64 / elapsed, (cpu_s() - cpu) * 1e6 / done as f64)
}

/// The same for bare blocking sockets.
fn baseline(address: SocketAddr, requests: usize) -> (f64, f64) {
    let mut streams: Vec<TcpStream> = (0..PARALLEL)
        .map(|_| TcpStream::connect(address).expect("a connection"))
        .collect();
    let request = format!("GET /1 HTTP/1.1\r\nHost: {address}\r\nUser-Agent: cyclosa/0\r\n\r\n");
    let mut room = vec![0; 64 << 10];
    let clock = Clock::starting_at(1);
    let (start, cpu) = (clock.now(), cpu_s());
    for _ in 0..requests / PARALLEL {
        for stream in &mut streams {
            stream.write_all(request.as_bytes()).expect("sent");
        }
        for stream in &mut streams {
            let mut came = 0;
            while came <= BODY_BYTES {
                came += stream.read(&mut room).expect("received");
            }
        }
    }
    let elapsed = (clock.now() - start) as f64 / 1e9;
    let done = (requests / PARALLEL * PARALLEL) as f64;
    (done / elapsed, (cpu_s() - cpu) * 1e6 / done)
}

/// CPU seconds of this process, by the kernel's account.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let threads = std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    let of = |text: &str| text.split(' ').next().and_then(|n| n.parse::<f64>().ok());
    let all: f64 = threads
        .filter_map(|t| std::fs::read_to_string(t.path().join("schedstat")).ok())
        .filter_map(|s| of(&s))
        .sum();
    all.max(of(&stat).unwrap_or(0.0)) / 1e9
}

fn pin_to_first_core() {
    let mut first = rustix::thread::CpuSet::new();
    first.set(0);
    let _ = rustix::thread::sched_setaffinity(None, &first);
}

/// Starts nginx on a free port with one worker on core 1.
fn nginx(folder: &Path) -> Option<(SocketAddr, Child)> {
    let address = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?;
    for n in 0..100 {
        std::fs::write(folder.join(n.to_string()), vec![b'x'; BODY_BYTES]).ok()?;
    }
    let root = folder.display();
    let config = format!(
        "daemon off; master_process off; worker_processes 1; pid {root}/pid; error_log /dev/null;\n\
         events {{ worker_connections 2048; }}\n\
         http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; open_file_cache max=200;\n\
         client_body_temp_path {root}; proxy_temp_path {root}; fastcgi_temp_path {root}; uwsgi_temp_path {root};\n\
         scgi_temp_path {root}; server {{ listen {address}; root {root}; }} }}\n"
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, config).ok()?;
    let child = Command::new("taskset")
        .args(["-c", "1", "nginx", "-e", "/dev/null", "-c"])
        .arg(&file)
        .spawn()
        .ok()?;
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(50));
        let answered = TcpStream::connect(address).and_then(|mut s| {
            s.write_all(b"GET /0 HTTP/1.0\r\n\r\n")
                .and_then(|()| s.read(&mut [0; 16]))
        });
        if answered.is_ok() {
            return Some((address, child));
        }
    }
    None
}
