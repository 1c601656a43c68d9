//! Which processors this process may use.
//!
//! Three sources, each seeing what the others do not: the affinity mask (cpusets, `taskset`), the standard library's
//! count (cgroup CPU quota), and `/sys` (which logical processors share a physical core). Where one cannot be read the
//! machine is taken as it looks without it.
//!
//! Deliberately absent: NUMA nodes and caches.

use std::collections::BTreeMap;
use std::path::Path;

/// Processors by physical core, and how many of them may run at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpus {
    cores: Vec<Vec<usize>>,
    quota: usize,
}

impl Cpus {
    /// What this process is allowed. Call it before any thread is pinned.
    pub fn allowed() -> Self {
        let counted = std::thread::available_parallelism().map_or(1, usize::from);
        let mask = rustix::thread::sched_getaffinity(None).map_or_else(
            |_| (0..counted).collect(),
            |set| {
                (0..rustix::thread::CpuSet::MAX_CPU)
                    .filter(|&cpu| set.is_set(cpu))
                    .collect::<Vec<_>>()
            },
        );
        let sys = Path::new("/sys/devices/system/cpu");
        Self::new(
            mask.into_iter().map(|cpu| (cpu, core_of(sys, cpu))),
            counted,
        )
    }

    /// From pairs of a logical processor and its physical core (any number that siblings share), and a quota in
    /// processors. At least one processor and a quota of 1 are assumed.
    pub fn new(cpus: impl IntoIterator<Item = (usize, usize)>, quota: usize) -> Self {
        let mut by_core = BTreeMap::<usize, Vec<usize>>::new();
        for (cpu, core) in cpus {
            by_core.entry(core).or_default().push(cpu);
        }
        let mut cores: Vec<_> = by_core.into_values().collect();
        for siblings in &mut cores {
            siblings.sort_unstable();
            siblings.dedup();
        }
        if cores.is_empty() {
            cores.push(vec![0]);
        }
        let logical = cores.iter().map(Vec::len).sum();
        Self {
            cores,
            quota: quota.clamp(1, logical),
        }
    }

    /// Logical processors of each physical core, ascending.
    pub fn cores(&self) -> &[Vec<usize>] {
        &self.cores
    }

    /// Physical cores.
    pub fn physical(&self) -> usize {
        self.cores.len()
    }

    /// Logical processors.
    pub fn logical(&self) -> usize {
        self.cores.iter().map(Vec::len).sum()
    }

    /// Processors that may run at once, at most [`Cpus::logical`]; fewer where a cgroup limits CPU time.
    pub fn quota(&self) -> usize {
        self.quota
    }

    /// Whether a quota takes away some of the processors that the mask shows: they are shared with others then.
    pub fn is_rationed(&self) -> bool {
        self.quota < self.logical()
    }
}

/// The physical core of `cpu`: its lowest sibling, which siblings agree on; `cpu` itself where `/sys` says nothing.
fn core_of(sys: &Path, cpu: usize) -> usize {
    let list = sys.join(format!("cpu{cpu}/topology/thread_siblings_list"));
    std::fs::read_to_string(list)
        .ok()
        .and_then(|text| first_in_list(&text))
        .unwrap_or(cpu)
}

/// First processor of a kernel list (`0,4` or `0-1`); the kernel lists them ascending.
fn first_in_list(text: &str) -> Option<usize> {
    text.trim().split([',', '-']).next()?.parse().ok()
}

/// Binds the calling thread to one logical processor.
pub fn pin(cpu: usize) -> std::io::Result<()> {
    if cpu >= rustix::thread::CpuSet::MAX_CPU {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_are_one_core() {
        let cpus = Cpus::new([(0, 0), (1, 1), (4, 0), (5, 1)], 4);
        assert_eq!(cpus.cores(), [vec![0, 4], vec![1, 5]]);
        assert_eq!((cpus.physical(), cpus.logical(), cpus.quota()), (2, 4, 4));
        assert!(!cpus.is_rationed());
    }

    #[test]
    fn a_quota_never_exceeds_the_mask_and_is_never_zero() {
        assert_eq!(Cpus::new([(3, 3)], 8).quota(), 1);
        assert_eq!(Cpus::new([(3, 3), (4, 4)], 0).quota(), 1);
        assert!(Cpus::new([(3, 3), (4, 4)], 1).is_rationed());
        assert_eq!(Cpus::new([], 4).cores(), [vec![0]]);
    }

    #[test]
    fn kernel_lists_are_read() {
        assert_eq!(first_in_list("0,32\n"), Some(0));
        assert_eq!(first_in_list("6-7\n"), Some(6));
        assert_eq!(first_in_list("12\n"), Some(12));
        assert_eq!(first_in_list("\n"), None);
    }

    #[test]
    fn this_machine_has_processors_and_a_thread_can_be_pinned_to_one() {
        let cpus = Cpus::allowed();
        let cpu = cpus.cores()[0][0];
        std::thread::spawn(move || {
            pin(cpu).unwrap();
            let seen = Cpus::allowed();
            assert_eq!(seen.cores(), [vec![cpu]]);
        })
        .join()
        .unwrap();
        assert!(pin(usize::MAX).is_err());
    }
}
