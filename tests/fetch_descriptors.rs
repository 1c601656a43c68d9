//! A fetch lane that finds no descriptor free. A process of its own: nothing else may open files here meanwhile.

use cyclosa::event::{Job, Outcome, Page};
use cyclosa::fetch::{Lane, LaneSettings, Resolver};
use cyclosa::time::{Clock, SECOND, wall_now};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::thread;
use std::time::Duration;

/// Answers whatever comes, one connection at a time for as long as it lives.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        loop {
            let Ok((mut stream, _)) = listener.accept() else {
                // No descriptor here either.
                thread::sleep(Duration::from_millis(5));
                continue;
            };
            while stream.read(&mut [0; 4_096]).is_ok_and(|n| n > 0) {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
            }
        }
    });
    address
}

/// A name server that knows of no name: it sends every question back with that remark.
fn know_nothing() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port on loopback");
    let address = socket.local_addr().expect("its address");
    thread::spawn(move || {
        let mut message = [0; 512];
        while let Ok((n, from)) = socket.recv_from(&mut message) {
            (message[2], message[3]) = (0x81, 0x83);
            let _ = socket.send_to(&message[..n], from);
        }
    });
    address
}

/// Opens files until there is no descriptor left.
fn take_all_descriptors() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

fn order(lane: &mut Lane, clock: &Clock, address: SocketAddr, host: u32) {
    let origin = format!("http://{address}");
    let page = Page {
        url: format!("{origin}/").into_bytes(),
        path_at: origin.len() as u16,
        address: Some(address),
        host,
        ..Page::default()
    };
    lane.accept(Box::new(page), clock.now());
}

/// Turns until a page is finished; returns how it ended and in how many turns.
fn finish(lane: &mut Lane, clock: &Clock) -> (Outcome, usize) {
    let (mut out, mut turns) = (Vec::new(), 0);
    let start = clock.now();
    while out.is_empty() {
        assert!(clock.now() - start < 60 * SECOND, "{:?}", lane.load());
        lane.park(Duration::from_millis(500));
        lane.turn(clock.now(), wall_now(), &mut out);
        turns += 1;
    }
    (out[0].outcome, turns)
}

#[test]
fn orders_wait_for_a_descriptor_and_do_not_spin() {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = Some(64);
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).expect("a lower limit");
    let (first, second, names) = (serve(), serve(), know_nothing());
    let clock = Clock::starting_at(SECOND);
    let settings = LaneSettings {
        clock,
        ..LaneSettings::default()
    };
    let resolver = Resolver::new(&[], &[]);
    let mut lane = Lane::new(settings, resolver).expect("a lane");

    order(&mut lane, &clock, first, 1);
    assert_eq!(finish(&mut lane, &clock).0, Outcome::Fetched);
    let files = take_all_descriptors();

    // The idle connection gives way to another host.
    order(&mut lane, &clock, second, 2);
    assert_eq!(finish(&mut lane, &clock).0, Outcome::Fetched);
    assert_eq!(lane.load().evicted, 1);
    let more = take_all_descriptors();

    // A lane without idle connections: nothing gives way.
    lane.stop();
    let settings = LaneSettings {
        clock,
        ..LaneSettings::default()
    };
    drop(more);
    drop(files);
    let mut lane = Lane::new(settings, Resolver::new(&[], &[])).expect("a lane");
    let files = take_all_descriptors();
    order(&mut lane, &clock, first, 1);
    let (outcome, turns) = finish(&mut lane, &clock);
    assert_eq!(outcome, Outcome::NotSent);
    assert!(turns < 200, "{turns} turns");
    assert_eq!(lane.load().no_descriptor, 1);

    // Others close their files while it waits.
    order(&mut lane, &clock, first, 1);
    let mut out = Vec::new();
    lane.turn(clock.now(), wall_now(), &mut out);
    assert_eq!((out.len(), lane.load().starved), (0, 1));
    drop(files);
    assert_eq!(finish(&mut lane, &clock).0, Outcome::Fetched);
    assert_eq!(lane.load().starved, 0);

    // A name waits for the descriptor of its socket too, and none of its tries is used up by that.
    lane.stop();
    let settings = LaneSettings {
        clock,
        ..LaneSettings::default()
    };
    let mut lane = Lane::new(settings, Resolver::new(&[], &[names])).expect("a lane");
    let files = take_all_descriptors();
    let page = Page {
        job: Job::Resolve,
        url: b"http://a.test/".to_vec(),
        path_at: 13,
        ..Page::default()
    };
    lane.accept(Box::new(page), clock.now());
    let start = clock.now();
    while clock.now() - start < SECOND {
        lane.park(Duration::from_millis(50));
        lane.turn(clock.now(), wall_now(), &mut out);
    }
    assert_eq!((out.len(), lane.load().resolving), (0, 1));
    assert_eq!(lane.load().dns.questions, 0);
    drop(files);
    assert_eq!(finish(&mut lane, &clock).0, Outcome::DnsFailed);
    assert_eq!((lane.load().dns.none, lane.load().dns.timeouts), (1, 0));

    // Where there is an idle connection, it gives way.
    order(&mut lane, &clock, first, 1);
    assert_eq!(finish(&mut lane, &clock).0, Outcome::Fetched);
    let files = take_all_descriptors();
    let page = Page {
        job: Job::Resolve,
        url: b"http://b.test/".to_vec(),
        path_at: 13,
        ..Page::default()
    };
    lane.accept(Box::new(page), clock.now());
    assert_eq!(finish(&mut lane, &clock).0, Outcome::DnsFailed);
    assert_eq!((lane.load().dns.none, lane.load().evicted), (2, 1));
    drop(files);
}
