//! What a synthetic web is made of: every knob, with its unit and default.
//!
//! What must hold: a web is a function of these settings alone; two servers with equal settings on the same port send
//! the same bytes. Shares are fractions from 0 to 1. Faults are off by default.

use crate::error::{Error, Result};
use crate::limits;
use std::path::PathBuf;

/// Where requests are written down.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum RequestLog {
    /// Nowhere.
    #[default]
    Off,
    /// In memory, at most this many ([`limits::WEB_LOG_ENTRIES_MAX`] at most); later ones are counted, not kept.
    Memory(usize),
    /// In a file, one tab-separated line each: millisecond, host, target, status.
    File(PathBuf),
}

/// The knobs of a synthetic web.
#[derive(Clone, Debug, PartialEq)]
pub struct WebSettings {
    /// Everything follows from it.
    pub seed: u64,
    /// Hosts `h0.web.test` to `h{hosts-1}.web.test`, at least 1.
    pub hosts: u32,
    /// Pages of each host, the root included; 0: endless.
    pub pages: u64,
    /// Links of a page, mean; the distribution is heavy-tailed (Pareto, exponent 2). Links of the tree that makes
    /// all pages reachable are there whatever this says.
    pub degree: u32,
    /// Share of the free links that lead to other hosts.
    pub far: f64,
    /// Images of a page, mean.
    pub images: u32,
    /// Size of a page before any coding, bytes, mean; lognormal.
    pub mean_size: usize,
    /// Share of pages sent gzipped to clients that accept it.
    pub gzip: f64,
    /// Share of pages sent chunked instead of with a length.
    pub chunked: f64,
    /// Time to the first byte, milliseconds, mean.
    pub latency_ms: u32,
    /// Deviation of that time, milliseconds.
    pub jitter_ms: u32,
    /// Speed of one connection, bytes a second; 0: as fast as it goes.
    pub bandwidth: u64,
    /// Share of pages that redirect.
    pub redirects: f64,
    /// Redirects in a row at most, at least 1.
    pub redirect_chain: u32,
    /// Share of the redirects that lead back to themselves.
    pub redirect_loops: f64,
    /// Share of pages answered with 403, 404, 410, 500 or 503.
    pub errors: f64,
    /// `Retry-After` of a 503, seconds.
    pub retry_after_s: u32,
    /// Share of pages whose answer is no right HTTP: closed early, an unfinished chunk, a wrong length, a status
    /// line that is none, nothing at all.
    pub broken: f64,
    /// Share of pages that are dripped, one byte each [`slow_period_ms`](Self::slow_period_ms).
    pub slow: f64,
    /// Time between two bytes of a dripped page, milliseconds, at least 1.
    pub slow_period_ms: u32,
    /// Share of pages of [`large_size`](Self::large_size).
    pub large: f64,
    /// Size of a large page, bytes.
    pub large_size: usize,
    /// Share of hosts with a robots.txt that forbids `/private/` (but for `/private/open/`) and pages below it.
    pub robots_rules: f64,
    /// Share of hosts whose robots.txt is not found.
    pub robots_missing: f64,
    /// Share of hosts whose robots.txt is answered with 500 (RFC 9309 2.3.1.4: then all is forbidden).
    pub robots_failing: f64,
    /// `Crawl-delay` in the files with rules, seconds; 0: none.
    pub crawl_delay_s: u32,
    /// Share of hosts with traps: an endless calendar, paths that grow, session ids that change.
    pub traps: f64,
    /// Where requests are written down.
    pub log: RequestLog,
}

impl Default for WebSettings {
    fn default() -> Self {
        Self {
            seed: 1,
            hosts: 1_000,
            pages: 0,
            degree: 30,
            far: 0.1,
            images: 2,
            mean_size: 25_000,
            gzip: 0.5,
            chunked: 0.1,
            latency_ms: 0,
            jitter_ms: 0,
            bandwidth: 0,
            redirects: 0.01,
            redirect_chain: 3,
            redirect_loops: 0.0,
            errors: 0.0,
            retry_after_s: 1,
            broken: 0.0,
            slow: 0.0,
            slow_period_ms: 1_000,
            large: 0.0,
            large_size: 20 << 20,
            robots_rules: 0.2,
            robots_missing: 0.2,
            robots_failing: 0.0,
            crawl_delay_s: 0,
            traps: 0.0,
            log: RequestLog::Off,
        }
    }
}

/// Share of pages (and of hosts) that carry nothing below them, so that a fault there hides nothing else.
pub const LEAF_SHARE: f64 = 0.75;

impl WebSettings {
    /// Checks ranges; the message names the flag.
    pub fn check(&self) -> Result<()> {
        let shares = [
            ("far", self.far),
            ("gzip", self.gzip),
            ("chunked", self.chunked),
            ("redirects", self.redirects),
            ("redirect-loops", self.redirect_loops),
            ("errors", self.errors),
            ("broken", self.broken),
            ("slow", self.slow),
            ("large", self.large),
            ("robots-rules", self.robots_rules),
            ("robots-missing", self.robots_missing),
            ("robots-failing", self.robots_failing),
            ("traps", self.traps),
        ];
        for (flag, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                return Err(Error::usage(format!(
                    "--{flag} {share}: a share lies between 0 and 1 (or 0% and 100%)"
                )));
            }
        }
        let faults = self.redirects + self.errors + self.broken + self.slow + self.large;
        if faults > LEAF_SHARE {
            return Err(Error::usage(format!(
                "--redirects, --errors, --broken, --slow and --large together are {faults:.2}: at most {LEAF_SHARE} \
                 of the pages can be at fault, the rest holds the web together"
            )));
        }
        if self.robots_failing > LEAF_SHARE {
            return Err(Error::usage(format!(
                "--robots-failing {}: at most {LEAF_SHARE} of the hosts, the rest holds the web together",
                self.robots_failing
            )));
        }
        if self.robots_rules + self.robots_missing + self.robots_failing > 1.0 {
            return Err(Error::usage(
                "--robots-rules, --robots-missing and --robots-failing together are more than all hosts",
            ));
        }
        at_most("degree", self.degree as usize, limits::WEB_DEGREE_MAX)?;
        at_most("images", self.images as usize, limits::WEB_DEGREE_MAX)?;
        at_most("mean-size", self.mean_size, limits::WEB_PAGE_BYTES_MAX)?;
        at_most("large-size", self.large_size, limits::WEB_LARGE_BYTES_MAX)?;
        at_least("hosts", self.hosts)?;
        at_least("redirect-chain", self.redirect_chain)?;
        at_least("slow-period", self.slow_period_ms)
    }
}

fn at_most(flag: &str, value: usize, max: usize) -> Result<()> {
    if value > max {
        return Err(Error::usage(format!("--{flag} {value}: at most {max}")));
    }
    Ok(())
}

fn at_least(flag: &str, value: u32) -> Result<()> {
    if value == 0 {
        return Err(Error::usage(format!("--{flag} 0: at least 1")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_without_faults() {
        let d = WebSettings::default();
        assert!(d.check().is_ok());
        assert_eq!(d.errors + d.broken + d.slow + d.large + d.traps, 0.0);
    }

    #[test]
    fn too_many_faults_are_refused_by_name() {
        let s = WebSettings {
            errors: 0.5,
            broken: 0.4,
            ..WebSettings::default()
        };
        let message = s.check().unwrap_err().to_string();
        assert!(message.contains("--errors"), "{message}");
        let s = WebSettings {
            gzip: f64::NAN,
            ..WebSettings::default()
        };
        assert!(s.check().unwrap_err().to_string().contains("--gzip"));
        let s = WebSettings {
            hosts: 0,
            ..WebSettings::default()
        };
        assert!(s.check().unwrap_err().to_string().contains("--hosts"));
    }
}
