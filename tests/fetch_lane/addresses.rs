//! Hosts with several addresses, some of which do not work.

use crate::server::{hold, ok, serve_same};
use crate::{Net, page};
use cyclosa::event::{Outcome, Page};
use cyclosa::limits::CONNECT_NEXT_MS;
use cyclosa::time::MILLISECOND;
use std::net::{IpAddr, SocketAddr, TcpListener};

/// An order for `first` with further addresses.
fn order(first: &str, port: u16, others: &[&str]) -> Page {
    Page {
        addresses: others.iter().map(|ip| ip.parse().unwrap()).collect(),
        ..page(SocketAddr::new(first.parse().unwrap(), port))
    }
}

fn went_to(page: &Page) -> String {
    page.address.expect("an address").ip().to_string()
}

#[test]
fn a_refused_connection_leads_to_the_next_address() {
    let server = serve_same(ok("hello"));
    let mut net = Net::new(|_| {});
    // The server listens at one address only; the port is closed at the others, one has no way to it at all.
    let others = ["127.0.0.3", "2001:db8::1", "127.0.0.1", "127.0.0.4"];
    for n in 0..3 {
        net.order(order("127.0.0.2", server.port(), &others));
        let page = net.finish(1).0.remove(0);
        assert_eq!(
            (page.outcome, page.body()),
            (Outcome::Fetched, &b"hello"[..])
        );
        assert_eq!(went_to(&page), "127.0.0.1");
        if n == 0 {
            assert_eq!(page.addresses, [IpAddr::from([127, 0, 0, 4])]);
        }
        // Afterwards the kept connection to the further address is found without dialling.
        assert_eq!((net.lane.load().fell_back, net.lane.load().reused), (3, n));
    }
}

#[test]
fn a_fetch_fails_when_all_its_addresses_have() {
    let server = serve_same(ok("hello"));
    let mut net = Net::new(|_| {});
    net.order(order(
        "127.0.0.2",
        server.port(),
        &["127.0.0.3", "127.0.0.4"],
    ));
    let page = net.finish(1).0.remove(0);
    assert_eq!(
        (page.outcome, went_to(&page).as_str()),
        (Outcome::ConnectFailed, "127.0.0.4")
    );
    assert_eq!((net.lane.load().fell_back, net.lane.load().open), (2, 0));
}

#[test]
fn an_address_that_does_not_answer_is_not_waited_for_when_there_is_another() {
    // Nobody accepts and the backlog is full: connects to this address hang.
    let full = TcpListener::bind("127.0.0.2:0").expect("a port");
    let at = full.local_addr().expect("its address");
    let good = TcpListener::bind(("127.0.0.1", at.port())).expect("the same port elsewhere");
    std::thread::spawn(move || {
        for mut stream in good.incoming().flatten() {
            crate::server::request(&mut stream);
            let _ = std::io::Write::write_all(&mut stream, ok("hello").as_bytes());
            hold(stream);
        }
    });
    let mut fillers = Net::new(|_| {});
    for host in 0..400 {
        fillers.order(Page { host, ..page(at) });
    }
    let mut out = Vec::new();
    for _ in 0..20 {
        fillers.lane.park(std::time::Duration::from_millis(10));
        fillers.turn(&mut out);
    }
    if fillers.lane.load().dialling == 0 {
        return println!("skipped: the backlog takes everything here");
    }
    let mut net = Net::new(|_| {});
    net.order(order("127.0.0.2", at.port(), &["127.0.0.1"]));
    let page = net.finish(1).0.remove(0);
    assert_eq!(
        (page.outcome, went_to(&page).as_str()),
        (Outcome::Fetched, "127.0.0.1")
    );
    let waited = page.clocks.connected - page.clocks.started;
    assert!(
        waited >= CONNECT_NEXT_MS * MILLISECOND,
        "the first was given its time"
    );
}

#[test]
fn what_fails_after_the_connection_stands_is_not_tried_elsewhere() {
    let closing = crate::server::serve_and_close(Vec::new());
    let mut net = Net::new(|_| {});
    net.order(order("127.0.0.1", closing.port(), &["127.0.0.2"]));
    let page = net.finish(1).0.remove(0);
    assert_eq!(
        (page.outcome, went_to(&page).as_str()),
        (Outcome::ClosedEarly, "127.0.0.1")
    );
    assert_eq!(net.lane.load().fell_back, 0);
}
