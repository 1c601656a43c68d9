//! Names a second of one fetch lane, and what a name costs it, against a responder that answers at once.
//!
//! The lane runs on core 0 and the responder on core 1, both on loopback. Every name is new, both families are asked,
//! [`PARALLEL`] names are in flight; a name costs a socket of its own, two questions and two answers. Excluded: the way to a
//! real resolver and what it does. `cached` is the same for names that the cache knows.
//!
//! The baseline printed beside it is the least that as many datagrams cost: one socket for all, the same bytes, nothing
//! drawn, checked or remembered.

use cyclosa::event::{Job, Outcome, Page};
use cyclosa::fetch::{Lane, LaneSettings, Resolver};
use cyclosa::time::Clock;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

const PARALLEL: usize = 64;
const NAMES: usize = 100_000;
const KNOWN: usize = 10_000;
const ROUNDS: usize = 5;

fn main() {
    let server = respond();
    pin_to(0);
    let mut rates = Vec::new();
    for round in 0..ROUNDS {
        let floor = baseline(server, NAMES / 4);
        let clock = Clock::starting_at(1);
        let settings = LaneSettings {
            clock,
            ..LaneSettings::default()
        };
        let mut lane = Lane::new(settings, Resolver::new(&[], &[server])).expect("a lane");
        let fresh = resolve(&mut lane, clock, NAMES, |n| n);
        let cached = resolve(&mut lane, clock, NAMES, |n| NAMES - 1 - n % KNOWN);
        let load = lane.load().dns;
        assert_eq!((load.lookups, load.cached), (NAMES as u64, NAMES as u64));
        println!(
            "round {round}: {:.0} names/s, {:.1} us CPU each; cached {:.0}/s, {:.2} us; bare datagrams {:.0}/s, {:.1} us",
            fresh.0, fresh.1, cached.0, cached.1, floor.0, floor.1
        );
        rates.push(fresh);
    }
    rates.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (rate, cpu) = rates[ROUNDS / 2];
    println!("median: {rate:.0} names/s, {cpu:.1} us CPU a name");
}

/// Names a second and microseconds of CPU a name of a lane that resolves the names `number` gives.
fn resolve(
    lane: &mut Lane,
    clock: Clock,
    names: usize,
    number: impl Fn(usize) -> usize,
) -> (f64, f64) {
    let order = |page: &mut Page, n: usize| {
        page.reset();
        page.job = Job::Resolve;
        page.url
            .extend_from_slice(format!("http://www.n{}.example", number(n)).as_bytes());
        page.path_at = page.url.len() as u16;
        page.url.push(b'/');
    };
    let (mut given, mut done, mut out) = (PARALLEL, 0, Vec::new());
    let (start, cpu) = (clock.now(), cpu_s());
    for n in 0..PARALLEL {
        let mut page = Box::new(Page::default());
        order(&mut page, n);
        lane.accept(page, clock.now());
    }
    while done < names {
        let now = clock.now();
        if lane.turn(now, clock.wall(), &mut out) == 0 {
            lane.park(Duration::from_millis(5));
        }
        for mut page in out.drain(..) {
            assert_eq!((page.outcome, page.addresses.len()), (Outcome::Fetched, 2));
            done += 1;
            if given < names {
                order(&mut page, given);
                given += 1;
                lane.accept(page, now);
            }
        }
    }
    let elapsed = (clock.now() - start) as f64 / 1e9;
    (done as f64 / elapsed, (cpu_s() - cpu) * 1e6 / done as f64)
}

/// The same number of questions and answers over one blocking socket.
fn baseline(server: SocketAddr, names: usize) -> (f64, f64) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(server).expect("a way");
    let mut question = [0; 48];
    question[..12].copy_from_slice(b"\0\0\x01\0\0\x01\0\0\0\0\0\x01");
    question[12..33].copy_from_slice(b"\x03www\x07example\x04test\0\0\x01\0");
    let clock = Clock::starting_at(1);
    let (start, cpu) = (clock.now(), cpu_s());
    let mut room = [0; 512];
    let batch = PARALLEL;
    for _ in 0..names / batch {
        for _ in 0..2 * batch {
            socket.send(&question).expect("sent");
        }
        for _ in 0..2 * batch {
            socket.recv(&mut room).expect("received");
        }
    }
    let elapsed = (clock.now() - start) as f64 / 1e9;
    let done = (names / batch * batch) as f64;
    (done / elapsed, (cpu_s() - cpu) * 1e6 / done)
}

/// Answers every question with one address, on core 1, until the process ends.
fn respond() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("its address");
    std::thread::spawn(move || {
        pin_to(1);
        let mut room = [0; 512];
        while let Ok((n, from)) = socket.recv_from(&mut room) {
            let end = 12 + room[12..n].iter().position(|b| *b == 0).unwrap_or(0) + 5;
            let six = room[end - 3] == 28;
            let mut answer = room[..end].to_vec();
            answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
            answer.extend_from_slice(&[0xc0, 12, 0, room[end - 3], 0, 1, 0, 0, 1, 44, 0]);
            answer.push(if six { 16 } else { 4 });
            answer.extend_from_slice(if six { &[0x20; 16] } else { &[192, 0, 2, 1] });
            let _ = socket.send_to(&answer, from);
        }
    });
    address
}

/// CPU seconds of this thread, by the kernel's account.
fn cpu_s() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = text.split(' ').next().and_then(|n| n.parse::<f64>().ok());
    ns.unwrap_or(0.0) / 1e9
}

fn pin_to(core: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    let _ = rustix::thread::sched_setaffinity(None, &set);
}
