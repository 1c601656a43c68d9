//! The fetch lane against scripted servers on loopback.

mod addresses;
mod bodies;
#[path = "../certificates/mod.rs"]
mod certificates;
mod failures;
mod framing;
mod kept;
#[path = "../name_server/mod.rs"]
mod name_server;
mod names;
mod proxies;
mod server;
mod tls;

use cyclosa::config::ResolveRule;
use cyclosa::event::Outcome;
use cyclosa::event::Page;
use cyclosa::fetch::{Lane, LaneSettings, Resolver};
use cyclosa::time::SECOND;
use cyclosa::time::{Clock, Tick, wall_now};
use server::{hold, serve};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

/// Longest that a test waits for its pages before it counts as hanging.
const PATIENCE: Tick = 60 * SECOND;

/// A lane with its clock.
struct Net {
    lane: Lane,
    clock: Clock,
}

impl Net {
    fn new(change: impl FnOnce(&mut LaneSettings)) -> Self {
        Self::with_rules(&[], &[], change)
    }

    /// A lane that asks these name servers.
    fn asking(servers: &[SocketAddr]) -> Self {
        Self::with_rules(&[], servers, |_| {})
    }

    fn with_rules(
        rules: &[ResolveRule],
        servers: &[SocketAddr],
        change: impl FnOnce(&mut LaneSettings),
    ) -> Self {
        let clock = Clock::starting_at(SECOND);
        let mut settings = LaneSettings {
            clock,
            ..LaneSettings::default()
        };
        change(&mut settings);
        let resolver = Resolver::new(rules, servers);
        let lane = Lane::new(settings, resolver).expect("a lane");
        Self { lane, clock }
    }

    fn order(&mut self, page: Page) {
        self.lane.accept(Box::new(page), self.clock.now());
    }

    fn turn(&mut self, out: &mut Vec<Box<Page>>) -> usize {
        self.lane.turn(self.clock.now(), wall_now(), out)
    }

    /// Drives the lane until `n` pages are finished. Returns them and the number of turns it took.
    fn finish(&mut self, n: usize) -> (Vec<Box<Page>>, usize) {
        let (mut out, mut turns) = (Vec::new(), 0);
        let start = self.clock.now();
        while out.len() < n {
            assert!(
                self.clock.now() - start < PATIENCE,
                "{} of {n} pages, {:?}",
                out.len(),
                self.lane.load()
            );
            self.lane.park(Duration::from_millis(20));
            self.turn(&mut out);
            turns += 1;
        }
        assert_eq!(out.len(), n);
        (out, turns)
    }

    fn fetch(&mut self, address: SocketAddr) -> Box<Page> {
        self.order(page(address));
        self.finish(1).0.remove(0)
    }
}

fn page(address: SocketAddr) -> Page {
    let origin = format!("http://{address}");
    Page {
        path_at: origin.len() as u16,
        url: format!("{origin}/a?b").into_bytes(),
        address: Some(address),
        ..Page::default()
    }
}

fn fetch(address: SocketAddr) -> Box<Page> {
    Net::new(|_| {}).fetch(address)
}

#[test]
fn the_bell_ends_a_long_park() {
    let mut net = Net::new(|_| {});
    let bell = net.lane.bell();
    let ringer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        bell.wake()
    });
    let start = net.clock.now();
    net.lane.park(Duration::from_secs(600));
    assert!(net.clock.now() - start < PATIENCE);
    assert!(ringer.join().is_ok_and(|r| r.is_ok()));
}

#[test]
fn a_stopped_lane_gives_every_page_back() {
    let address = serve(|stream, _| hold(stream));
    let mut net = Net::new(|_| {});
    for host in 0..5 {
        let mut order = page(address);
        order.host = host;
        net.order(order);
    }
    let mut out = Vec::new();
    while net.lane.load().awaiting < 5 {
        net.lane.park(Duration::from_millis(20));
        net.turn(&mut out);
    }
    net.order(page(address));
    net.lane.stop();
    net.order(page(address));
    net.turn(&mut out);
    assert_eq!(out.len(), 7);
    assert!(out.iter().all(|p| p.outcome == Outcome::Pending));
    assert_eq!(net.lane.load().open, 0);
}
