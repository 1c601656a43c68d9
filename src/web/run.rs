//! `cyclosa web` in the foreground.

use super::{StatsSnapshot, Web, WebSettings};
use crate::error::{Error, Result};
use crate::limits::HOSTS_PER_DOMAIN;
use std::io::{IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often the stop flag is looked at.
const GLANCE: Duration = Duration::from_millis(100);
/// Glances between two status lines: one a second.
const GLANCES_PER_LINE: u32 = 10;

/// Serves `settings` on `listen` until Ctrl-C or SIGTERM; says how to crawl it, and on a terminal what is asked for.
pub fn run(settings: WebSettings, listen: SocketAddr) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())
            .map_err(|e| Error::environment(format!("cannot listen for Ctrl-C: {e}")))?;
    }
    let mut web = Web::start(settings, listen)?;
    print(&introduction(&web))?;
    let live = std::io::stdout().is_terminal();
    let (mut glances, mut before) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(GLANCE);
        glances += 1;
        if live && glances % GLANCES_PER_LINE == 0 {
            let now = web.stats();
            print(&format!("\r\x1b[K{}", line(&now, now.requests - before)))?;
            before = now.requests;
        }
    }
    web.stop();
    let last = web.stats();
    print(&format!(
        "{}{}\n",
        if live { "\r\x1b[K" } else { "" },
        summary(&last)
    ))
}

/// What is served, and the commands that crawl it.
fn introduction(web: &Web) -> String {
    let s = web.model().settings();
    let (ip, port) = (reachable(web.addr()), web.addr().port());
    let last = s.hosts - 1;
    let pages = match s.pages {
        0 => "endless pages".to_string(),
        n => format!("{n} pages"),
    };
    let colon_port = if port == 80 {
        String::new()
    } else {
        format!(":{port}")
    };
    format!(
        "synthetic web, seed {}: {} hosts (h0.web.test to h{last}.web.test) of {pages} each on {}\n\n\
         crawl it from one page:\n  echo http://h0.web.test{colon_port}/ > seeds.txt\n\
         or from all hosts:\n  seq -f 'http://h%.0f.web.test{colon_port}/' 0 {last} > seeds.txt\n\
         and then:\n  {}\n\n\
         look at a page:\n  curl --resolve h0.web.test:{port}:{ip} http://h0.web.test{colon_port}/\n\n\
         Ctrl-C stops it\n",
        s.seed,
        s.hosts,
        web.addr(),
        crawl_line(web.addr(), s.hosts),
    )
}

/// The crawl that fits a web of `hosts` hosts on `addr`. All of them are below one registrable domain.
pub fn crawl_line(addr: SocketAddr, hosts: u32) -> String {
    let (ip, port) = (reachable(addr), addr.port());
    let reach = match ip {
        IpAddr::V4(ip) if ip.is_loopback() => "127.0.0.0/8".to_string(),
        IpAddr::V4(ip) => format!("{ip}/32"),
        IpAddr::V6(ip) => format!("{ip}/128"),
    };
    let many = match hosts > HOSTS_PER_DOMAIN {
        true => format!(" --hosts-per-domain {hosts}"),
        false => String::new(),
    };
    format!(
        "cyclosa crawl seeds.txt --resolve '*.web.test:{port}:{ip}' --allow-net {reach} --scope any --delay 0s{many}"
    )
}

/// The address to connect to from the same machine.
fn reachable(addr: SocketAddr) -> IpAddr {
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

fn line(now: &StatsSnapshot, last_second: u64) -> String {
    format!("{last_second} requests/s, {}", summary(now))
}

fn summary(now: &StatsSnapshot) -> String {
    let mut text = format!(
        "{} requests, {}, {} connections",
        now.requests,
        bytesize::ByteSize(now.bytes),
        now.accepted
    );
    for (status, count) in &now.by_status {
        match status {
            0 => text.push_str(&format!(", {count} without a status")),
            _ => text.push_str(&format!(", {count} of {status}")),
        }
    }
    for (count, what) in [
        (now.violations, "against robots.txt"),
        (now.fakes, "for links that are none"),
        (now.traps, "into traps"),
        (now.refused, "connections refused"),
        (now.accept_failures, "failures to accept"),
        (now.unlogged, "not logged"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|e| Error::environment(format!("cannot write to standard output: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crawl_line_fits_the_address() {
        let line = |hosts| crawl_line("127.0.0.1:9000".parse().unwrap(), hosts);
        assert!(line(20_000).ends_with(" --hosts-per-domain 20000"));
        let line = line(1_000);
        assert!(line.contains("'*.web.test:9000:127.0.0.1' --allow-net 127.0.0.0/8"));
        let web = Web::start(WebSettings::default(), "127.0.0.1:0".parse().unwrap()).unwrap();
        let text = introduction(&web);
        assert!(text.contains("h999.web.test") && text.contains(&crawl_line(web.addr(), 1_000)));
    }
}
