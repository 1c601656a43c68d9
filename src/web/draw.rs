//! Seeded draws: the same inputs give the same numbers on every machine.
//!
//! What must hold: only integer arithmetic and the basic floating-point operations that IEEE 754 defines exactly
//! (`+ - * /` and square root) are used, so a seed means the same web everywhere. Deliberately absent: any state that
//! outlives a page, and any source of randomness.

/// A short sequence of pseudo-random numbers (SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number
/// generators", OOPSLA 2014).
#[derive(Clone, Copy, Debug)]
pub struct Draw(u64);

/// Finaliser of SplitMix64: a bijection in which every input bit touches every output bit.
#[inline]
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Draw {
    /// A sequence of its own for every (seed, host, item, purpose).
    #[inline]
    pub fn of(seed: u64, host: u32, item: u64, purpose: u64) -> Self {
        let who = mix(seed ^ (u64::from(host) << 8) ^ purpose);
        Self(mix(
            who.wrapping_add(item.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        ))
    }

    /// The next 64 bits. (Not an `Iterator`: a draw never ends, and nobody wants an `Option` of it.)
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Uniform in `0..n`; 0 where `n` is 0.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// Uniform in `[0, 1)`, 53 bits.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// True with probability `share`.
    #[inline]
    pub fn hits(&mut self, share: Share) -> bool {
        self.bits() >> 32 < share.0
    }

    /// A rank in `0..n` with probability about 1 / (rank + 1): Zipf's law with exponent 1. 0 where `n` is 0.
    ///
    /// A power of two is drawn uniformly, then a rank below it, which is the law in steps and needs no logarithm.
    #[inline]
    pub fn zipf(&mut self, n: u64) -> u64 {
        if n <= 1 {
            return 0;
        }
        let powers = u64::from(64 - n.leading_zeros());
        let low = 1u64 << self.below(powers);
        let rank = low - 1 + self.below(low);
        if rank < n { rank } else { rank % n }
    }

    /// About normal, mean 0, deviation 1, within ±6 (the sum of twelve uniforms).
    pub fn normal(&mut self) -> f64 {
        let mut sum = 0.0;
        for _ in 0..12 {
            sum += self.unit();
        }
        sum - 6.0
    }

    /// Lognormal with mean 1 and deviation `sigma` of the logarithm.
    pub fn lognormal(&mut self, sigma: f64) -> f64 {
        exp(sigma * self.normal() - sigma * sigma / 2.0)
    }

    /// Pareto with exponent 2 and mean 1, cut at 20: most are about a half, few are large.
    pub fn pareto(&mut self) -> f64 {
        (0.5 / (1.0 - self.unit()).sqrt()).min(20.0)
    }
}

/// A probability, ready to be compared with 32 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Share(u64);

impl Share {
    /// `share` within 0 and 1; others are cut to that.
    pub fn new(share: f64) -> Self {
        Self((share.clamp(0.0, 1.0) * (1u64 << 32) as f64) as u64)
    }
}

/// e^x for |x| up to about 20, to better than 1e-12, the same on every platform (the system's `exp` is not).
fn exp(x: f64) -> f64 {
    let small = x / 1024.0;
    let mut term = 1.0;
    let mut sum = 1.0;
    for n in 1..8 {
        term *= small / f64::from(n);
        sum += term;
    }
    for _ in 0..10 {
        sum *= sum;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_to_the_systems() {
        for x in [-6.0, -1.0, -0.1, 0.0, 0.5, 2.0, 7.5] {
            let (ours, theirs) = (exp(x), f64::exp(x));
            assert!((ours - theirs).abs() <= theirs * 1e-11, "{x}");
        }
    }

    #[test]
    fn zipf_stays_in_range_and_prefers_low_ranks() {
        let mut draw = Draw::of(1, 0, 0, 0);
        for n in [0u64, 1, 2, 3, 7, 1000, u64::MAX] {
            for _ in 0..200 {
                assert!(draw.zipf(n) < n.max(1));
            }
        }
        let low = (0..10_000).filter(|_| draw.zipf(1_000) < 10).count();
        assert!(
            (2_000..6_000).contains(&low),
            "{low} of 10000 in the first ten ranks"
        );
    }

    #[test]
    fn shares_hold_at_the_ends() {
        let mut draw = Draw::of(1, 2, 3, 4);
        assert!((0..1000).all(|_| draw.hits(Share::new(1.0))));
        assert!((0..1000).all(|_| !draw.hits(Share::new(0.0))));
        let some = (0..10_000).filter(|_| draw.hits(Share::new(0.25))).count();
        assert!((2_200..2_800).contains(&some));
    }

    #[test]
    fn means_are_what_they_say() {
        let mut draw = Draw::of(9, 9, 9, 9);
        let n = 100_000;
        let lognormal: f64 = (0..n).map(|_| draw.lognormal(0.8)).sum::<f64>() / f64::from(n);
        let pareto: f64 = (0..n).map(|_| draw.pareto()).sum::<f64>() / f64::from(n);
        assert!((0.97..1.03).contains(&lognormal), "{lognormal}");
        assert!((0.93..1.03).contains(&pareto), "{pareto}");
    }
}
