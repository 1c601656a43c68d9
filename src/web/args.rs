//! The flags of `cyclosa web`, which are also those that `cyclosa demo` understands.
//!
//! Defaults come from [`WebSettings`] and stand nowhere else.

use super::settings::{RequestLog, WebSettings};
use bytesize::ByteSize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Serve the synthetic web: endless hosts and pages made from a seed, for trying and measuring a crawler without
/// touching anyone's site.
///
/// Hosts are h0.web.test, h1.web.test and so on, all on one address. The same flags are the same web, byte for byte.
/// Shares are given as 0.05 or 5%. Whatever goes wrong on purpose, every sound page stays reachable from
/// h0.web.test, the first host.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Address to serve on; port 0 takes any free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// What everything is made from: another seed is another web
    #[arg(long, value_name = "N", default_value_t = defaults().seed)]
    seed: u64,
    /// Hosts
    #[arg(long, value_name = "N", default_value_t = defaults().hosts, help_heading = "Shape")]
    hosts: u32,
    /// Pages of each host; 0 never ends
    #[arg(long, value_name = "N", default_value_t = defaults().pages, help_heading = "Shape")]
    pages: u64,
    /// Links of a page on average; a few pages have many
    #[arg(long, value_name = "N", default_value_t = defaults().degree, help_heading = "Shape")]
    degree: u32,
    /// Share of links that lead to other hosts
    #[arg(long, value_name = "SHARE", value_parser = share, default_value_t = defaults().far, help_heading = "Shape")]
    far: f64,
    /// Images of a page on average
    #[arg(long, value_name = "N", default_value_t = defaults().images, help_heading = "Shape")]
    images: u32,
    /// Size of a page on average, before compression (25KB, 100KiB)
    #[arg(long, value_name = "SIZE", value_parser = size, default_value_t = defaults().mean_size, help_heading = "Shape")]
    mean_size: usize,
    /// Share of pages sent gzipped to clients that accept it
    #[arg(long, value_name = "SHARE", value_parser = share, default_value_t = defaults().gzip, help_heading = "Shape")]
    gzip: f64,
    /// Share of pages sent in chunks instead of with a length
    #[arg(long, value_name = "SHARE", value_parser = share, default_value_t = defaults().chunked, help_heading = "Shape")]
    chunked: f64,
    /// Time to the first byte on average (20ms)
    #[arg(long, value_name = "TIME", value_parser = milliseconds, default_value = "0ms", help_heading = "Speed")]
    latency: u32,
    /// How much that time varies (standard deviation)
    #[arg(long, value_name = "TIME", value_parser = milliseconds, default_value = "0ms", help_heading = "Speed")]
    jitter: u32,
    /// Bytes a second of one connection; 0 is as fast as it goes
    #[arg(long, value_name = "SIZE", value_parser = rate, default_value_t = defaults().bandwidth, help_heading = "Speed")]
    bandwidth: u64,
    /// Share of pages that redirect to a sound page
    #[arg(long, value_name = "SHARE", value_parser = share, default_value_t = defaults().redirects, help_heading = "Faults")]
    redirects: f64,
    /// Redirects in a row at most
    #[arg(long, value_name = "N", default_value_t = defaults().redirect_chain, help_heading = "Faults")]
    redirect_chain: u32,
    /// Share of the redirects that run in a circle
    #[arg(long, value_name = "SHARE", value_parser = share, default_value_t = defaults().redirect_loops, help_heading = "Faults")]
    redirect_loops: f64,
    /// Share of pages answered with 403, 404, 410, 500 or 503
    #[arg(long, value_name = "SHARE", value_parser = share, default_value_t = defaults().errors, help_heading = "Faults")]
    errors: f64,
    /// Retry-After of a 503, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = defaults().retry_after_s, help_heading = "Faults")]
    retry_after: u32,
    /// Share of pages whose answer is broken: cut off, a wrong length, a senseless status line, nothing
    #[arg(long, value_name = "SHARE", value_parser = share, default_value_t = defaults().broken, help_heading = "Faults")]
    broken: f64,
    /// Share of pages that come one byte at a time
    #[arg(long, value_name = "SHARE", value_parser = share, default_value_t = defaults().slow, help_heading = "Faults")]
    slow: f64,
    /// Time between two bytes of a slow page
    #[arg(long, value_name = "TIME", value_parser = milliseconds, default_value = "1s", help_heading = "Faults")]
    slow_period: u32,
    /// Share of pages that are large
    #[arg(long, value_name = "SHARE", value_parser = share, default_value_t = defaults().large, help_heading = "Faults")]
    large: f64,
    /// Size of a large page
    #[arg(long, value_name = "SIZE", value_parser = size, default_value_t = defaults().large_size, help_heading = "Faults")]
    large_size: usize,
    /// Share of hosts that forbid /private/ in robots.txt and link to it all the same
    #[arg(long, value_name = "SHARE", value_parser = share, default_value_t = defaults().robots_rules, help_heading = "Manners")]
    robots_rules: f64,
    /// Share of hosts without a robots.txt (404: all is allowed)
    #[arg(long, value_name = "SHARE", value_parser = share, default_value_t = defaults().robots_missing, help_heading = "Manners")]
    robots_missing: f64,
    /// Share of hosts whose robots.txt fails (500: nothing is allowed)
    #[arg(long, value_name = "SHARE", value_parser = share, default_value_t = defaults().robots_failing, help_heading = "Manners")]
    robots_failing: f64,
    /// Crawl-delay of the hosts with rules, in seconds; 0 is none
    #[arg(long, value_name = "SECONDS", default_value_t = defaults().crawl_delay_s, help_heading = "Manners")]
    crawl_delay: u32,
    /// Share of hosts with traps: an endless calendar, growing paths, changing session ids
    #[arg(long, value_name = "SHARE", value_parser = share, default_value_t = defaults().traps, help_heading = "Manners")]
    traps: f64,
    /// Write every request to a file: millisecond, host, path, status, separated by tabs
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  cyclosa web                                   a thousand endless hosts without faults
  cyclosa web --hosts 50 --pages 200            a finite web of 10,000 pages: a crawl of it ends
  cyclosa web --errors 5% --broken 1% --slow 0.5% --traps 2%     a web like the real one
  cyclosa web --latency 80ms --jitter 30ms      a web that is far away";

fn defaults() -> WebSettings {
    WebSettings::default()
}

impl Args {
    /// The settings that these flags mean; ranges are checked when the web starts.
    pub fn settings(&self) -> WebSettings {
        WebSettings {
            seed: self.seed,
            hosts: self.hosts,
            pages: self.pages,
            degree: self.degree,
            far: self.far,
            images: self.images,
            mean_size: self.mean_size,
            gzip: self.gzip,
            chunked: self.chunked,
            latency_ms: self.latency,
            jitter_ms: self.jitter,
            bandwidth: self.bandwidth,
            redirects: self.redirects,
            redirect_chain: self.redirect_chain,
            redirect_loops: self.redirect_loops,
            errors: self.errors,
            retry_after_s: self.retry_after,
            broken: self.broken,
            slow: self.slow,
            slow_period_ms: self.slow_period,
            large: self.large,
            large_size: self.large_size,
            robots_rules: self.robots_rules,
            robots_missing: self.robots_missing,
            robots_failing: self.robots_failing,
            crawl_delay_s: self.crawl_delay,
            traps: self.traps,
            log: self.log.clone().map_or(RequestLog::Off, RequestLog::File),
        }
    }
}

/// `0.05` or `5%`.
fn share(text: &str) -> Result<f64, String> {
    let value = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|p| p / 100.0),
        None => text.parse::<f64>(),
    };
    match value {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a share is 0.05 or 5%, and at most 1 or 100%".into()),
    }
}

/// `25KB`, `16MiB` or plain bytes.
fn rate(text: &str) -> Result<u64, String> {
    text.parse::<ByteSize>()
        .map(|size| size.0)
        .map_err(|e| format!("{e}; write 25KB or 16MiB"))
}

fn size(text: &str) -> Result<usize, String> {
    usize::try_from(rate(text)?).map_err(|_| "that is too large".into())
}

fn milliseconds(text: &str) -> Result<u32, String> {
    let time = humantime::parse_duration(text).map_err(|e| format!("{e}; write 20ms or 1s"))?;
    u32::try_from(time.as_millis()).map_err(|_| "that is too long".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args as _, FromArgMatches};

    fn parse(flags: &[&str]) -> Result<Args, clap::Error> {
        let command = Args::augment_args(clap::Command::new("web"));
        let line = std::iter::once("web").chain(flags.iter().copied());
        Args::from_arg_matches(&command.try_get_matches_from(line)?)
    }

    #[test]
    fn no_flags_are_the_defaults() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.settings(), WebSettings::default());
        Args::augment_args(clap::Command::new("web")).debug_assert();
    }

    #[test]
    fn shares_sizes_and_times_are_understood() {
        let s = parse(&[
            "--errors",
            "5%",
            "--gzip",
            "0.25",
            "--mean-size",
            "10KiB",
            "--latency",
            "1s",
            "--slow-period",
            "20ms",
        ])
        .unwrap()
        .settings();
        assert_eq!((s.errors, s.gzip, s.mean_size), (0.05, 0.25, 10_240));
        assert_eq!((s.latency_ms, s.slow_period_ms), (1_000, 20));
        for bad in [["--errors", "5"], ["--errors", "x%"], ["--latency", "fast"]] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
    }
}
