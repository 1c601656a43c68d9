//! Numbers that nobody can guess, drawn from the system some at a time.

use std::io;

/// Bytes drawn at once: a system call for seven names.
const POOL_BYTES: usize = 512;

/// A supply of random bytes.
pub struct Random {
    pool: [u8; POOL_BYTES],
    used: usize,
}

impl Random {
    /// An empty supply.
    pub fn new() -> Self {
        Self {
            pool: [0; POOL_BYTES],
            used: POOL_BYTES,
        }
    }

    /// The next `N` bytes, `N` at most 512. None is given twice.
    ///
    /// # Errors
    /// The system has no random numbers to give.
    pub fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        const { assert!(N <= POOL_BYTES) };
        if self.used + N > POOL_BYTES {
            getrandom::fill(&mut self.pool).map_err(io::Error::other)?;
            self.used = 0;
        }
        let mut taken = [0; N];
        taken.copy_from_slice(&self.pool[self.used..self.used + N]);
        self.used += N;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_given_twice() {
        let mut random = Random::new();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1_000 {
            assert!(seen.insert(random.take::<34>().unwrap()));
        }
    }
}
