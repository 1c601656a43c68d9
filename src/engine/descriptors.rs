//! File descriptors: connections take what is left when the files of the crawl have theirs.
//!
//! What must hold: however many hosts answer, the store and the checkpoints find a descriptor when they need one: a
//! crawl that cannot open its next file is over. So what is on its way and what is kept idle is bounded together, by
//! what the system gives less [`limits::DESCRIPTORS_KEPT`]. The soft limit (`ulimit -n`, often 1,024) is raised to what
//! is wanted as far as the hard limit allows; where that is not enough the crawl is slower, and says so.
//!
//! Deliberately absent: looking at the limit again while the crawl runs. Where it is lowered, or the system as a whole
//! has none left, lanes wait for descriptors, and files that cannot be opened end the crawl at its last checkpoint.

use super::Announce;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Pages on their way at once.
    pub concurrency: usize,
    /// Idle connections kept by one lane.
    pub idle: usize,
}

/// Descriptors that are not for connections.
fn kept(lanes: usize) -> u64 {
    (limits::DESCRIPTORS_KEPT + limits::DESCRIPTORS_KEPT_LANE * lanes) as u64
}

/// How `limit` descriptors are used where `concurrency` pages are wanted at once and a connection takes `ends` of them.
/// `None`: too few to crawl at all.
fn share(limit: u64, concurrency: usize, lanes: usize, ends: usize) -> Option<Share> {
    let room = limit.saturating_sub(kept(lanes)) / ends as u64;
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    if room < limits::CONNECTIONS_MIN {
        return None;
    }
    // A quarter for idle connections at least: without them every page would cost a handshake.
    let concurrency = concurrency.min(room - room / 4);
    let idle = ((room - concurrency) / lanes.max(1)).min(limits::IDLE_CONNECTIONS_MAX);
    Some(Share { concurrency, idle })
}

/// Raises the soft limit as far as it is of use, and says what fits.
///
/// # Errors
/// If the hard limit is too low for any crawl.
pub fn claim(config: &Config, lanes: usize, announce: &mut dyn Announce) -> Result<Share> {
    let concurrency = config.concurrency;
    let ends = config.connection_ends;
    let connections = concurrency + limits::IDLE_CONNECTIONS_MAX * lanes;
    let wanted = kept(lanes) + (connections * ends) as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let most = maximum.unwrap_or(u64::MAX);
    let mut limit = current.unwrap_or(u64::MAX);
    if limit < wanted && limit < most {
        let raised = Rlimit {
            current: Some(wanted.min(most)),
            maximum,
        };
        // Where it is refused, the limit stays as it was.
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit = wanted.min(most);
        }
    }
    let fits = share(limit, concurrency, lanes, ends).ok_or_else(|| {
        Error::environment(format!(
            "the limit of {limit} open files is too low for a crawl; raise it to {} or more (ulimit -n) and run the same \
             command again",
            kept(lanes) as usize + limits::CONNECTIONS_MIN * ends
        ))
    })?;
    if fits.concurrency < concurrency {
        announce.line(&format!(
            "{} pages on their way at once instead of {concurrency}: this process may have {limit} files open (ulimit -n)",
            fits.concurrency
        ));
    }
    Ok(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_never_take_what_files_need() {
        let concurrencies = [1, 4, 64, 1_024, limits::CONCURRENCY_MAX];
        let limits_of = [0, 8, 60, 64, 100, 256, 1_024, 4_096, 1 << 20, u64::MAX];
        for lanes in [1, 3, 20] {
            for limit in limits_of {
                for wanted in concurrencies {
                    let Some(fits) = share(limit, wanted, lanes, 1) else {
                        assert!(limit < kept(lanes) + limits::CONNECTIONS_MIN as u64);
                        continue;
                    };
                    let used = fits.concurrency + fits.idle * lanes;
                    assert!(
                        used as u64 + kept(lanes) <= limit,
                        "{limit} {wanted} {lanes}"
                    );
                    assert!((1..=wanted).contains(&fits.concurrency));
                    assert!(fits.idle <= limits::IDLE_CONNECTIONS_MAX);
                }
            }
        }
    }

    #[test]
    fn what_is_wanted_fits_where_there_is_room() {
        let usual = limits::CONCURRENCY_DEFAULT;
        let fits = share(1 << 20, usual, 2, 1).unwrap();
        assert_eq!(
            (fits.concurrency, fits.idle),
            (usual, limits::IDLE_CONNECTIONS_MAX)
        );
        assert!(share(64, usual, 1, 1).is_some());
        let both = share(1_024, usual, 1, 2).unwrap();
        assert!(2 * (both.concurrency + both.idle) as u64 + kept(1) <= 1_024);
    }
}
