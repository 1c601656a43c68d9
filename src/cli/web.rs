//! `cyclosa web`: its arguments. What is left out has the default of the synthetic web's own settings.

use super::values::{Share, Size, Time};
use std::net::SocketAddr;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  cyclosa web --hosts 100 --pages 1000
  cyclosa web --latency 50ms --jitter 20ms --errors 2% --broken 1% --traps 10%

Hosts are named h0.web.test, h1.web.test, ...; the same settings and the same seed give the same web on every machine.
Shares are written as 0.05 or 5%.";

/// `cyclosa web`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct WebArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Everything follows from it
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// Write the requests to this file
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,

    /// Number of hosts
    #[arg(long, value_name = "N", help_heading = "Shape")]
    pub hosts: Option<u32>,
    /// Pages of each host; 0: endless
    #[arg(long, value_name = "N", help_heading = "Shape")]
    pub pages: Option<u64>,
    /// Links of a page, mean
    #[arg(long, value_name = "N", help_heading = "Shape")]
    pub degree: Option<u32>,
    /// Share of links that lead to other hosts
    #[arg(long, value_name = "SHARE", help_heading = "Shape")]
    pub far: Option<Share>,
    /// Images of a page, mean
    #[arg(long, value_name = "N", help_heading = "Shape")]
    pub images: Option<u32>,
    /// Size of a page before coding, mean
    #[arg(long, value_name = "SIZE", help_heading = "Shape")]
    pub mean_size: Option<Size>,
    /// Share of pages sent gzipped
    #[arg(long, value_name = "SHARE", help_heading = "Shape")]
    pub gzip: Option<Share>,
    /// Share of pages sent chunked
    #[arg(long, value_name = "SHARE", help_heading = "Shape")]
    pub chunked: Option<Share>,
    /// Share of pages of --large-size
    #[arg(long, value_name = "SHARE", help_heading = "Shape")]
    pub large: Option<Share>,
    /// Size of a large page
    #[arg(long, value_name = "SIZE", help_heading = "Shape")]
    pub large_size: Option<Size>,

    /// Time to the first byte, mean
    #[arg(long, value_name = "TIME", help_heading = "Speed")]
    pub latency: Option<Time>,
    /// Deviation of that time
    #[arg(long, value_name = "TIME", help_heading = "Speed")]
    pub jitter: Option<Time>,
    /// Bytes a second and connection; 0: as fast as it goes
    #[arg(long, value_name = "SIZE", help_heading = "Speed")]
    pub bandwidth: Option<Size>,
    /// Share of pages sent a byte at a time
    #[arg(long, value_name = "SHARE", help_heading = "Speed")]
    pub slow: Option<Share>,
    /// Time between two bytes of a slow page
    #[arg(long, value_name = "TIME", help_heading = "Speed")]
    pub slow_period: Option<Time>,

    /// Share of pages that redirect
    #[arg(long, value_name = "SHARE", help_heading = "Faults and traps")]
    pub redirects: Option<Share>,
    /// Redirects in a row at most
    #[arg(long, value_name = "N", help_heading = "Faults and traps")]
    pub redirect_chain: Option<u32>,
    /// Share of redirects that lead back to themselves
    #[arg(long, value_name = "SHARE", help_heading = "Faults and traps")]
    pub redirect_loops: Option<Share>,
    /// Share of pages answered with 403, 404, 410, 500 or 503
    #[arg(long, value_name = "SHARE", help_heading = "Faults and traps")]
    pub errors: Option<Share>,
    /// Retry-After of a 503
    #[arg(long, value_name = "TIME", help_heading = "Faults and traps")]
    pub retry_after: Option<Time>,
    /// Share of pages whose answer is no right HTTP
    #[arg(long, value_name = "SHARE", help_heading = "Faults and traps")]
    pub broken: Option<Share>,
    /// Share of hosts with endless calendars, growing paths and session ids
    #[arg(long, value_name = "SHARE", help_heading = "Faults and traps")]
    pub traps: Option<Share>,

    /// Share of hosts whose robots.txt forbids something
    #[arg(long, value_name = "SHARE", help_heading = "robots.txt")]
    pub robots_rules: Option<Share>,
    /// Share of hosts whose robots.txt is not found
    #[arg(long, value_name = "SHARE", help_heading = "robots.txt")]
    pub robots_missing: Option<Share>,
    /// Share of hosts whose robots.txt fails with 500
    #[arg(long, value_name = "SHARE", help_heading = "robots.txt")]
    pub robots_failing: Option<Share>,
    /// Crawl-delay in the files with rules
    #[arg(long, value_name = "TIME", help_heading = "robots.txt")]
    pub crawl_delay: Option<Time>,
}
