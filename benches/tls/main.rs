//! What TLS costs a fetch lane: handshakes, pages on kept connections, bulk, each beside plain HTTP.
//!
//! The lane runs on core 0 and nginx on core 1, both on loopback; figures are CPU time of this process, so nginx's own
//! work is not in them. Certificates are ECDSA P-256 (leaf, intermediate, root), the protocol is TLS 1.3. A handshake's
//! cost is the difference to the same request on a plain connection of its own. Excluded: everything behind the lane.
//!
//! Below it, in memory: decryption through rustls' buffered interface (what the lane uses) beside its unbuffered one.

#[path = "../../tests/certificates/mod.rs"]
mod certificates;
mod memory;

use certificates::Authority;
use cyclosa::config::Roots;
use cyclosa::event::{Outcome, Page};
use cyclosa::fetch::{Lane, LaneSettings, Resolver, Trust};
use cyclosa::time::Clock;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

const PAGE_BYTES: usize = 26 << 10;
const BULK_BYTES: usize = 15 << 20;
const PARALLEL: usize = 32;
const ROUNDS: usize = 5;

/// A server block of nginx: what it is called here, and its lines.
const BLOCKS: [(&str, bool, &str); 5] = [
    ("http, kept", false, "keepalive_requests 1000000000;"),
    ("https, kept", true, "keepalive_requests 1000000000;"),
    ("http, one connection each", false, "keepalive_timeout 0;"),
    (
        "https, one connection each, resumed",
        true,
        "keepalive_timeout 0; ssl_session_cache shared:s:8m;",
    ),
    (
        "https, one connection each, full handshake",
        true,
        "keepalive_timeout 0; ssl_session_tickets off; ssl_session_cache off;",
    ),
];

fn main() {
    pin_to_first_core();
    memory::compare();
    let folder = tempfile::tempdir().expect("a scratch directory");
    let root = Authority::root("root");
    let Some((addresses, mut server)) = nginx(folder.path(), &root) else {
        return println!("nginx is not installed: the lane is not measured");
    };
    let trust = Trust::new(Roots::Webpki, &[root.certificate.der().to_vec()]).expect("a root");
    let mut bed = Bed { addresses, trust };
    // CPU microseconds a page by block, and a MiB in bulk by block.
    let mut pages = [[0.0; ROUNDS]; BLOCKS.len()];
    let mut bulk = [[0.0; ROUNDS]; 2];
    for round in 0..ROUNDS {
        for (block, times) in pages.iter_mut().enumerate() {
            let requests = if block < 2 { 40_000 } else { 4_000 };
            times[round] = bed.measure(block, "/page", PAGE_BYTES, requests);
        }
        for (block, times) in bulk.iter_mut().enumerate() {
            let each = bed.measure(block, "/bulk", BULK_BYTES, 100);
            times[round] = each / (BULK_BYTES >> 20) as f64;
        }
    }
    let _ = server.kill();
    let _ = server.wait();
    let pages = pages.map(median);
    for ((name, ..), cpu) in BLOCKS.iter().zip(pages) {
        println!("{name}: {cpu:.1} us CPU a page of {PAGE_BYTES} bytes");
    }
    let kept = pages[1] - pages[0];
    println!("TLS of a page on a kept connection: {kept:.1} us");
    for (what, cpu) in [("resumed", pages[3]), ("full", pages[4])] {
        let handshake = cpu - pages[2] - kept;
        let rate = 1e6 / handshake;
        println!("handshake, {what}: {handshake:.0} us, {rate:.0} a second and core");
    }
    let [plain, tls] = bulk.map(median);
    println!(
        "bulk: http {:.0} MiB/s of CPU time, https {:.0} MiB/s; decryption alone {:.0} MiB/s",
        1e6 / plain,
        1e6 / tls,
        1e6 / (tls - plain)
    );
}

fn median(mut values: [f64; ROUNDS]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[ROUNDS / 2]
}

struct Bed {
    addresses: [SocketAddr; BLOCKS.len()],
    trust: Trust,
}

impl Bed {
    /// Microseconds of CPU a request of a fresh lane, the first requests of each connection not counted.
    fn measure(&mut self, block: usize, path: &str, bytes: usize, requests: usize) -> f64 {
        let clock = Clock::starting_at(1);
        let settings = LaneSettings {
            clock,
            trust: self.trust.clone(),
            ..LaneSettings::default()
        };
        let resolver = Resolver::new(&[], &[]);
        let mut lane = Lane::new(settings, resolver).expect("a lane");
        let (_, secure, _) = BLOCKS[block];
        let address = self.addresses[block];
        let parallel = PARALLEL.min(requests / 25);
        for n in 0..parallel {
            let scheme = if secure { "https" } else { "http" };
            let origin = format!("{scheme}://h{n}.test:{}", address.port());
            let page = Page {
                url: format!("{origin}{path}").into_bytes(),
                path_at: origin.len() as u16,
                address: Some(address),
                host: n as u32,
                ..Page::default()
            };
            lane.accept(Box::new(page), clock.now());
        }
        let (mut done, mut out, mut cpu) = (0, Vec::new(), cpu_s());
        let warm = 2 * parallel;
        while done < requests + warm {
            let now = clock.now();
            if lane.turn(now, clock.wall(), &mut out) == 0 {
                lane.park(Duration::from_millis(5));
            }
            for page in out.drain(..) {
                assert_eq!((page.outcome, page.body_len()), (Outcome::Fetched, bytes));
                done += 1;
                if done == warm {
                    cpu = cpu_s();
                }
                lane.accept(page, now);
            }
        }
        let load = lane.load();
        match block {
            1 => assert_eq!(load.tls_full, parallel as u64),
            3 => assert_eq!(load.tls_full, parallel as u64, "{load:?}"),
            4 => assert_eq!(load.tls_resumed, 0),
            _ => assert_eq!(load.tls_full + load.tls_resumed, 0),
        }
        (cpu_s() - cpu) * 1e6 / (done - warm) as f64
    }
}

/// CPU seconds of this thread, by the kernel's account.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = stat.split(' ').next().and_then(|n| n.parse::<f64>().ok());
    ns.unwrap_or(0.0) / 1e9
}

fn pin_to_first_core() {
    let mut first = rustix::thread::CpuSet::new();
    first.set(0);
    let _ = rustix::thread::sched_setaffinity(None, &first);
}

/// Starts nginx with one worker on core 1, a port a block.
fn nginx(folder: &Path, root: &Authority) -> Option<([SocketAddr; BLOCKS.len()], Child)> {
    let listeners = BLOCKS.map(|_| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let addresses = listeners.map(|l| l.local_addr().expect("its address"));
    let middle = root.below("middle");
    let names: Vec<String> = (0..PARALLEL).map(|n| format!("h{n}.test")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let leaf = middle.leaf(&names);
    let chain = leaf.certificate.pem() + &middle.certificate.pem();
    std::fs::write(folder.join("chain.pem"), chain).ok()?;
    std::fs::write(folder.join("key.pem"), leaf.key.serialize_pem()).ok()?;
    std::fs::write(folder.join("page"), vec![b'x'; PAGE_BYTES]).ok()?;
    std::fs::write(folder.join("bulk"), vec![b'x'; BULK_BYTES]).ok()?;
    let root = folder.display();
    let mut servers = String::new();
    for ((_, secure, lines), address) in BLOCKS.iter().zip(addresses) {
        let tls = format!("ssl_certificate {root}/chain.pem; ssl_certificate_key {root}/key.pem;");
        let (ssl, tls) = if *secure {
            ("ssl", tls.as_str())
        } else {
            ("", "")
        };
        servers += &format!("server {{ listen {address} {ssl}; root {root}; {tls} {lines} }}\n");
    }
    let config = format!(
        "daemon off; master_process off; worker_processes 1; pid {root}/pid; error_log /dev/null;\n\
         events {{ worker_connections 2048; }}\n\
         http {{ access_log off; ssl_protocols TLSv1.3; sendfile on; tcp_nopush on; open_file_cache max=200;\n\
         client_body_temp_path {root}; proxy_temp_path {root}; fastcgi_temp_path {root}; uwsgi_temp_path {root};\n\
         scgi_temp_path {root}; {servers} }}\n"
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
        let answered = TcpStream::connect(addresses[0]).and_then(|mut s| {
            s.write_all(b"GET /page HTTP/1.0\r\n\r\n")
                .and_then(|()| s.read(&mut [0; 16]))
        });
        if answered.is_ok() {
            return Some((addresses, child));
        }
    }
    None
}
