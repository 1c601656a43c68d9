//! `cyclosa demo`: the synthetic web on loopback, a crawl of it, and the report. No network, no arguments, no set-up.

use crate::config::{Assets, Config, ResolveRule, Scope};
use crate::engine;
use crate::engine::stop::{EXIT_STOPPED, Stop};
use crate::error::{Error, Result};
use crate::telemetry::thousands;
use crate::time::SECOND;
use crate::web::{Web, WebSettings};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const EXAMPLE: &str = "\
Example:
  cyclosa demo";

/// Long enough for the checkpoint that is due within 15 s, and for one at the end.
const RUN_FOR: u64 = 20 * SECOND;
/// Memory budget of the demo, bytes.
const MEMORY: u64 = 2 << 30;
/// Fetches of one host at once: there is nobody to be polite to.
const PER_HOST: u16 = 4;

/// `cyclosa demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct DemoArgs {}

/// A crawl directory that goes away with the demo.
struct Scratch(PathBuf);

impl Scratch {
    fn create() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("cyclosa-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path)
            .map_err(|e| Error::io("cannot create the demo's directory", &path, e))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed lies in the directory for temporary files, which is cleaned by others.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the demo and prints its report.
///
/// # Errors
/// Everything fatal; see [`crate::engine::run`].
pub fn run() -> Result<ExitCode> {
    let scratch = Scratch::create()?;
    let settings = WebSettings::default();
    let hosts = settings.hosts;
    let mut web = Web::start(settings, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let port = web.addr().port();
    eprintln!(
        "A synthetic web of {hosts} hosts and endless pages is on 127.0.0.1:{port}; crawling it for {} s, with every \
         page parsed, deduplicated, compressed, stored and checkpointed.",
        RUN_FOR / SECOND
    );
    let stop = Stop::on_signals()?;
    let config = config(&scratch.0, port);
    let ended = engine::run(&config, &stop, &mut |line: &str| eprintln!("{line}"))?;
    web.stop();
    super::report::print(&ended.report)?;
    let served = web.stats();
    eprintln!(
        "\n{} pages in {:.1} s with the web on the same cores. The web served {} requests and saw {} that its robots.txt \
         forbids and {} for what only looks like a link.\nNext: `cyclosa web --help` for a web to try things on, `cyclosa crawl --help` for a crawl of your own.",
        thousands(ended.report.run.pages),
        ended.report.run.elapsed_s,
        thousands(served.requests),
        served.violations,
        served.fakes
    );
    Ok(if ended.interrupted {
        ExitCode::from(EXIT_STOPPED)
    } else {
        ExitCode::SUCCESS
    })
}

fn config(dir: &Path, port: u16) -> Config {
    let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
    Config {
        dir: dir.to_path_buf(),
        seeds: vec![(format!("http://h0.web.test:{port}/"), "the demo".into())],
        run_for: Some(RUN_FOR),
        scope: Scope::Any,
        delay: 0,
        per_host: PER_HOST,
        assets: Assets::Images,
        memory: MEMORY,
        allow_net: vec![loopback.into()],
        resolve: vec![ResolveRule {
            name: "web.test".into(),
            below: true,
            port: None,
            address: loopback,
        }],
        connection_ends: 2,
        ..Config::default()
    }
}
