//! `report.json` and `latency.hlog` as scripts rely on them (the command-line contract).

use super::program::Crawl;
use super::scripted::{Server, endless};
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

#[track_caller]
fn number(of: &Value, path: &str) -> f64 {
    let found = of.pointer(path).unwrap_or(&Value::Null);
    let number = found.as_f64();
    number.unwrap_or_else(|| panic!("{path} is no number: {found}"))
}

fn crawled() -> (Server, Crawl) {
    let server = Server::start(|_, target| endless(target));
    let crawl = Crawl::new(&[server.url("a.test", "/")], &["--max-pages", "200"]);
    crawl.run().expect(0);
    (server, crawl)
}

#[test]
fn the_report_has_what_scripts_rely_on() {
    let (_server, crawl) = crawled();
    let report = crawl.report();
    for path in ["/pages", "/bytes", "/elapsed_s", "/pages_per_s"] {
        assert!(number(&report, path) > 0.0, "{path}");
    }
    let places = [
        "discovered",
        "queued",
        "in_flight",
        "done",
        "excluded",
        "dropped",
    ];
    for place in places {
        number(&report, &format!("/urls/{place}"));
    }
    assert_eq!(number(&report, "/outcomes/fetched"), 200.0);
    assert_eq!(number(&report, "/status/200"), 200.0);
    let limiter = report["limiter"].as_object().expect("shares by cause");
    let shares: f64 = limiter.values().filter_map(Value::as_f64).sum();
    assert!(
        !limiter.is_empty() && (shares - 1.0).abs() < 0.01,
        "{limiter:?}"
    );
    let latencies = report["latency_us"].as_object().expect("stages");
    for stage in [
        "connect",
        "first_byte",
        "body",
        "parse",
        "frontier",
        "store",
    ] {
        let latency = latencies
            .get(stage)
            .unwrap_or_else(|| panic!("{stage} in {latencies:?}"));
        let quantiles = ["/p50", "/p90", "/p99", "/p999", "/max"].map(|q| number(latency, q));
        assert!(
            quantiles.is_sorted() && quantiles[4] > 0.0,
            "{stage}: {latency}"
        );
    }
    for field in ["count", "cut_us", "durable_ms", "bytes", "redo_bound_s"] {
        assert!(
            number(&report, &format!("/checkpoints/{field}")) > 0.0,
            "{field}"
        );
    }
    assert_eq!(report["restored"], Value::Null);
    assert_eq!(number(&report, "/memory/budget"), f64::from(256 << 20));
    assert!(number(&report, "/memory/peak_rss") > 0.0);
    assert_eq!(report["balance"]["ok"], true);
}

#[test]
fn after_a_restore_the_report_says_from_where() {
    let (_server, mut crawl) = crawled();
    crawl.keep(crawl.argument_count() - 1);
    crawl.add(&["300"]);
    crawl.run().expect(0);
    let report = crawl.report();
    assert_eq!(number(&report, "/pages"), 300.0);
    assert_eq!(number(&report, "/run/pages"), 100.0);
    for field in ["epoch", "urls"] {
        assert!(
            number(&report, &format!("/restored/{field}")) > 0.0,
            "{field}"
        );
    }
    assert!(number(&report, "/restored/age_s") >= 0.0);
    assert_eq!(number(&report, "/restored/requeued"), 0.0);
}

#[test]
fn the_command_prints_the_report_again() {
    let (_server, crawl) = crawled();
    let printed = crawl.ask("report", &["--json"]).expect(0).stdout;
    let printed: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(printed, crawl.report());
    let text = crawl.ask("report", &[]).expect(0).stdout;
    for part in ["200", "discovered", "checkpoint", "parse"] {
        assert!(text.contains(part), "`{part}` in {text}");
    }
}

#[test]
fn a_further_copy_is_written_where_the_user_wants_it() {
    let (_server, mut crawl) = crawled();
    let copy = crawl.dir().with_extension("json");
    crawl.add(&["--report", copy.to_str().expect("UTF-8")]);
    crawl.run().expect(0);
    let bytes = fs::read(copy).expect("a copy");
    let copy: Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(copy, crawl.report());
}

#[test]
fn the_interval_log_is_read_by_hdrhistogram() {
    let (_server, crawl) = crawled();
    let bytes = fs::read(crawl.dir().join("latency.hlog")).expect("a log");
    let mut deserializer = Deserializer::new();
    let mut counts = BTreeMap::<String, u64>::new();
    for entry in IntervalLogIterator::new(&bytes) {
        let LogEntry::Interval(interval) = entry.expect("a well-formed line") else {
            continue;
        };
        let packed = data_encoding::BASE64
            .decode(interval.encoded_histogram().as_bytes())
            .expect("base64");
        let histogram: hdrhistogram::Histogram<u64> = deserializer
            .deserialize(&mut packed.as_slice())
            .expect("a histogram");
        let tag = interval.tag().expect("a tag").as_str().to_string();
        *counts.entry(tag).or_default() += histogram.len();
    }
    let report = crawl.report();
    for stage in ["parse", "body", "frontier"] {
        let told = number(&report, &format!("/latency_us/{stage}/count"));
        assert_eq!(counts.get(stage).map(|n| *n as f64), Some(told), "{stage}");
    }
}
