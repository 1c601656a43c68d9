//! Stopping: by signal, time, number of pages, and because all is done. What goes on afterwards repeats nothing.

use super::program::Crawl;
use super::scripted::{Answer, Server, endless};
use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

fn heavy(server: &Server, more: &[&str]) -> Crawl {
    let seeds: Vec<String> = (0..8)
        .map(|h| server.url(&format!("h{h}.test"), "/"))
        .collect();
    let load = ["--per-host", "8", "--assets", "none"];
    Crawl::new(&seeds, &[&load[..], more].concat())
}

/// Pages of which `pages` answers were wanted: (host, target), each once.
#[track_caller]
fn each_once(server: &Server) -> usize {
    let asked = server.asked();
    let pages: Vec<(String, String)> = asked
        .into_iter()
        .filter(|a| a.target != "/robots.txt")
        .map(|a| (a.host, a.target))
        .collect();
    let distinct: BTreeSet<_> = pages.iter().collect();
    assert_eq!(distinct.len(), pages.len(), "something was fetched twice");
    pages.len()
}

#[test]
fn a_signal_under_heavy_load_ends_politely_and_nothing_is_fetched_again() {
    for signal in ["INT", "TERM"] {
        let server = Server::start(|_, target| endless(target));
        let mut crawl = heavy(&server, &[]);
        let mut running = crawl.start();
        while server.asked().len() < 500 {
            assert!(running.is_running(), "{}", running.stderr());
            sleep(Duration::from_millis(5));
        }
        running.signal(signal);
        let asked = Instant::now();
        let ended = running.wait().expect(130);
        assert!(asked.elapsed() < Duration::from_secs(10), "{ended:#?}");
        crawl.assert_sound();
        let report = crawl.report();
        assert_eq!(report["stop"], "interrupted");
        assert_eq!(report["urls"]["in_flight"], 0);
        let pages = each_once(&server);
        assert_eq!(report["pages"], pages, "all that was asked for is kept");
        crawl.add(&["--for", "1s"]);
        let ended = crawl.run().expect(0);
        assert!(ended.stderr.contains("restored checkpoint"), "{ended:#?}");
        let report = crawl.report();
        assert_eq!(report["restored"]["requeued"], 0);
        assert_eq!(report["pages"], each_once(&server));
        assert!(each_once(&server) > pages, "it went on");
        crawl.assert_sound();
    }
}

#[test]
fn two_signals_end_at_once_and_cost_no_more_than_a_crash() {
    let server = Server::start(|_, target| endless(target).after(Duration::from_millis(300)));
    let crawl = heavy(&server, &[]);
    let mut running = crawl.start();
    while server.asked().len() < 30 {
        assert!(running.is_running(), "{}", running.stderr());
        sleep(Duration::from_millis(5));
    }
    running.signal("INT");
    // Two signals in a row may arrive as one.
    sleep(Duration::from_millis(20));
    running.signal("INT");
    running.wait().expect(130);
    crawl.ask("verify", &[]).expect(0);
}

#[test]
fn time_and_number_of_pages_end_a_run_with_success() {
    let server = Server::start(|_, target| endless(target));
    let mut crawl = heavy(&server, &[]);
    let plain = crawl.argument_count();
    crawl.add(&["--max-pages", "300"]);
    crawl.run().expect(0);
    let report = crawl.report();
    assert_eq!(
        (&report["stop"], &report["pages"]),
        (&"pages".into(), &300.into())
    );
    assert_eq!(each_once(&server), 300);
    // The number is of the whole crawl, so the same command has nothing to do.
    crawl.run().expect(0);
    assert_eq!(each_once(&server), 300);
    crawl.keep(plain);
    crawl.add(&["--for", "500ms"]);
    crawl.run().expect(0);
    let report = crawl.report();
    assert_eq!(report["stop"], "time");
    let pages = each_once(&server);
    assert!(pages > 300 && report["pages"] == pages, "{pages}");
    crawl.assert_sound();
}

#[test]
fn a_finished_crawl_says_so_and_fetches_nothing() {
    let server = Server::start(|_, target| match target {
        "/" => Answer::links(&["/a", "/b"]),
        "/a" | "/b" => Answer::links(&["/"]),
        _ => Answer::not_found(),
    });
    let crawl = Crawl::new(&[server.url("a.test", "/")], &[]);
    crawl.run().expect(0);
    let before = server.asked().len();
    assert_eq!(before, 4);
    let ended = crawl.run().expect(0);
    assert_eq!(server.asked().len(), before, "nothing is left to fetch");
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(
        said.contains("finished") || said.contains("nothing is left"),
        "{said}"
    );
    crawl.assert_sound();
}
