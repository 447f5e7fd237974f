//! Random numbers that are reproducible on every machine and in every version.
//!
//! xoshiro256++ 1.0 (Blackman & Vigna 2021), seeded by SplitMix64 from a seed and a purpose. Each
//! use has its own [`Purpose`] and index, so that, for example, an additional star in the catalogue
//! leaves the noise of every visit unchanged.
//!
//! # References
//!
//! - D. Blackman, S. Vigna, 2021, ACM Trans. Math. Softw. 47, 36: xoshiro256++.
//! - G. Steele, D. Lea, C. Flood, 2014, OOPSLA: SplitMix64.

/// Purpose of a stream of random numbers.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(crate) enum Purpose {
    Catalogue = 1,
    Visit,
    Noise,
    Artefact,
    Variability,
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: [u64; 4],
    spare_normal: Option<f64>,
}

impl Random {
    /// The `index`-th stream for `seed` and `purpose`.
    pub(crate) fn new(seed: u64, purpose: Purpose, index: u64) -> Self {
        let mut mixer = seed;
        for word in [purpose as u64, index] {
            mixer = split_mix(&mut mixer) ^ word;
        }
        let state = std::array::from_fn(|_| split_mix(&mut mixer));
        Self { state, spare_normal: None }
    }

    /// The next 64 bits (xoshiro256++).
    fn bits(&mut self) -> u64 {
        let [s0, s1, s2, s3] = &mut self.state;
        let result = s0.wrapping_add(*s3).rotate_left(23).wrapping_add(*s0);
        let t = *s1 << 17;
        *s2 ^= *s0;
        *s3 ^= *s1;
        *s1 ^= *s2;
        *s0 ^= *s3;
        *s2 ^= t;
        *s3 = s3.rotate_left(45);
        result
    }

    /// Uniform in [0, 1), a multiple of 2⁻⁵³.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Uniform in [`low`, `high`).
    pub(crate) fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform among 0 … `count` − 1; 0 when `count` is 0.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        (self.unit() * count as f64) as usize
    }

    /// Normal with mean 0 and standard deviation 1 (Box & Muller 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare_normal.take() {
            return spare;
        }
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        let (sin, cos) = libm::sincos(std::f64::consts::TAU * self.unit());
        self.spare_normal = Some(radius * sin);
        radius * cos
    }
}

/// SplitMix64: advances `state` and returns its next value.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_mix_gives_the_published_sequence() {
        // The first values for seed 1234567, as published with the algorithm.
        let mut state = 1_234_567;
        assert_eq!(split_mix(&mut state), 6_457_827_717_110_365_317);
        assert_eq!(split_mix(&mut state), 3_203_168_211_198_807_973);
    }

    #[test]
    fn xoshiro_gives_the_published_sequence() {
        // The state 1, 2, 3, 4 starts with these values in the authors' C code.
        let mut random = Random { state: [1, 2, 3, 4], spare_normal: None };
        assert_eq!(random.bits(), 41_943_041);
        assert_eq!(random.bits(), 58_720_359);
        assert_eq!(random.bits(), 3_588_806_011_781_223);
    }

    #[test]
    fn normal_has_the_right_moments() {
        let mut random = Random::new(7, Purpose::Noise, 0);
        let draws: Vec<f64> = (0..200_000).map(|_| random.normal()).collect();
        let moment = |power: i32| draws.iter().map(|x| x.powi(power)).sum::<f64>() / draws.len() as f64;
        // Five standard errors: 1/√n, √2/√n, √15/√n, √96/√n.
        assert!(moment(1).abs() < 0.012);
        assert!((moment(2) - 1.0).abs() < 0.016);
        assert!(moment(3).abs() < 0.044);
        assert!((moment(4) - 3.0).abs() < 0.11);
    }

    #[test]
    fn streams_differ_by_seed_purpose_and_index() {
        let first = |seed, purpose, index| Random::new(seed, purpose, index).bits();
        let all = [
            first(1, Purpose::Noise, 0),
            first(2, Purpose::Noise, 0),
            first(1, Purpose::Visit, 0),
            first(1, Purpose::Noise, 1),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(!all[i + 1..].contains(a));
        }
        assert_eq!(first(1, Purpose::Noise, 0), all[0]);
    }
}
