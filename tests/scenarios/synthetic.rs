//! The synthetic web as `cyclosa web` serves it, with every fault it knows.

use super::program::Crawl;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// `cyclosa web` on a port of its own; ended when dropped.
pub struct Web {
    child: Child,
    /// Where it listens on loopback.
    pub port: u16,
}

impl Web {
    pub fn start(flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cyclosa"))
            .args(["web", "--listen", "127.0.0.1:0"])
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the web starts");
        let said = BufReader::new(child.stdout.take().expect("a pipe"));
        let port = said.lines().map_while(Result::ok).find_map(|line| {
            let (_, rest) = line.split_once("*.web.test:")?;
            rest.split(':').next()?.parse().ok()
        });
        let port = port.expect("it prints the crawl line that fits it");
        Self { child, port }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_crawl_of_every_fault_ends_and_balances() {
    let faults = "--hosts 20 --pages 40 --errors 5% --broken 5% --redirects 10% --redirect-loops 20% --traps 20% --large 1%";
    let web = Web::start(&faults.split(' ').collect::<Vec<_>>());
    let seed = format!("http://h0.web.test:{}/", web.port);
    let bounds = ["--scope", "any", "--max-depth", "12", "--for", "60s"];
    let crawl = Crawl::new(&[seed], &[&bounds[..], &["--per-host", "8"]].concat());
    crawl.run().expect(0);
    let report = crawl.report();
    assert_eq!(report["urls"]["in_flight"], 0);
    assert!(report["outcomes"]["fetched"].as_u64() > Some(100));
    crawl.assert_sound();
}
