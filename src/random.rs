//! Philox4x32-10 on the host: the counter-based random-number generator behind every draw.
//!
//! A draw is a pure function of (counter, key): no state, so no draw depends on how many were made before it, on
//! threads, or on which replicas run beside it. Source: Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy
//! as 1, 2, 3", SC 2011. The device's twin is `shaders/prelude/philox.wgsl`.

use std::f64::consts::TAU;

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const KEY_INCREMENTS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// What a draw is for; the last word of its counter, so that no two uses share a random number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stream {
    /// Initial weights: counter = (replica id, tensor, index of the block of four, stream).
    InitialWeights = 0,
    /// Order of the training samples: counter = (replica id, epoch, index, stream).
    Shuffle = 1,
    /// Which images a reduced data set takes: counter = (class, 0, index, stream).
    Subset = 2,
    /// Pixels of a generated data set: counter = (image, part, index, stream); each set has its own parts.
    Pixels = 3,
    /// Random pruning masks: counter = (replica id, 0, index, stream).
    RandomMask = 4,
    /// Which samples are held out for testing: counter = (class, 0, index, stream).
    HoldOut = 5,
    /// Inputs of self-checks and benchmarks: counter = (array, case, index, stream).
    Check = 6,
    /// Weights and weights that a rewired layer grows: counter = (replica id, update, weight, stream).
    Rewiring = 7,
    /// Which training images calibrate the surgeon, and which positions of them: counter = (0 for images and 1 for positions,
    /// layer, index, stream).
    Calibration = 8,
}

/// Four random words for one counter: Philox4x32 with ten rounds.
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS {
        let product0 = u64::from(MULTIPLIERS[0]) * u64::from(c0);
        let product1 = u64::from(MULTIPLIERS[1]) * u64::from(c2);
        (c0, c1, c2, c3) =
            ((product1 >> 32) as u32 ^ c1 ^ k0, product1 as u32, (product0 >> 32) as u32 ^ c3 ^ k1, product0 as u32);
        k0 = k0.wrapping_add(KEY_INCREMENTS[0]);
        k1 = k1.wrapping_add(KEY_INCREMENTS[1]);
    }
    [c0, c1, c2, c3]
}

/// The key of a seed: its low and high half.
pub fn key(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}

/// A sequence of random words with one fixed (first, second, stream) part of the counter: the third word counts up.
#[derive(Clone, Debug)]
pub struct Sequence {
    first: u32,
    second: u32,
    stream: Stream,
    key: [u32; 2],
    block: [u32; 4],
    drawn: u32,
}

impl Sequence {
    /// The sequence of `stream` for `seed`, apart from every other (`first`, `second`).
    pub fn new(seed: u64, stream: Stream, first: u32, second: u32) -> Self {
        Self { first, second, stream, key: key(seed), block: [0; 4], drawn: 0 }
    }

    /// The next 32 random bits.
    pub fn next_word(&mut self) -> u32 {
        let lane = (self.drawn % 4) as usize;
        if lane == 0 {
            self.block = philox([self.first, self.second, self.drawn / 4, self.stream as u32], self.key);
        }
        self.drawn += 1;
        self.block[lane]
    }

    /// A number in `0..bound`, by the high half of a product; its bias is below `bound / 2^32`.
    pub fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.next_word()) * u64::from(bound)) >> 32) as u32
    }

    /// A number in the open interval (0, 1), on a grid of 2^-32.
    pub fn unit(&mut self) -> f64 {
        (f64::from(self.next_word()) + 0.5) / 4_294_967_296.0
    }

    /// Two independent standard normal numbers (Box & Muller 1958).
    pub fn normal_pair(&mut self) -> [f64; 2] {
        let radius = (-2.0 * self.unit().ln()).sqrt();
        let (sine, cosine) = (TAU * self.unit()).sin_cos();
        [radius * cosine, radius * sine]
    }

    /// A number between `low` and `high`, each as likely as the others.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Leaves `count` of the `items`, drawn at random, in random order; all if there are no more.
    pub fn choose<T>(&mut self, items: &mut Vec<T>, count: usize) {
        for place in 0..count.min(items.len()) {
            let chosen = place + self.below((items.len() - place) as u32) as usize;
            items.swap(place, chosen);
        }
        items.truncate(count);
    }

    /// Brings `items` into random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let chosen = self.below(last as u32 + 1) as usize;
            items.swap(last, chosen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers published with Random123 (`kat_vectors`, philox 4x32 10).
    #[test]
    fn philox_gives_the_published_words() {
        let cases = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, expected) in cases {
            assert_eq!(philox(counter, key), expected, "counter {counter:x?}");
        }
    }

    #[test]
    fn a_shuffle_keeps_every_item_once() {
        let mut items: Vec<u32> = (0..1000).collect();
        Sequence::new(7, Stream::Shuffle, 3, 1).shuffle(&mut items);
        assert_ne!(items, (0..1000).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn a_choice_takes_no_item_twice() {
        let mut items: Vec<u32> = (0..1000).collect();
        Sequence::new(7, Stream::Calibration, 0, 0).choose(&mut items, 100);
        items.sort_unstable();
        items.dedup();
        assert_eq!((items.len(), items.iter().any(|&item| item >= 1000)), (100, false));
        let mut few = vec![1, 2];
        Sequence::new(7, Stream::Calibration, 0, 0).choose(&mut few, 3);
        few.sort_unstable();
        assert_eq!(few, [1, 2]);
    }

    #[test]
    fn sequences_with_another_counter_part_differ() {
        let word = |first, second| Sequence::new(7, Stream::Shuffle, first, second).next_word();
        assert_ne!(word(0, 0), word(1, 0));
        assert_ne!(word(0, 0), word(0, 1));
    }

    #[test]
    fn normal_numbers_have_the_moments_of_the_normal_distribution() {
        let mut sequence = Sequence::new(4, Stream::Check, 0, 0);
        let numbers: Vec<f64> = (0..200_000).flat_map(|_| sequence.normal_pair()).collect();
        let n = numbers.len() as f64;
        let moment = |power| numbers.iter().map(|number| number.powi(power)).sum::<f64>() / n;
        // Five standard errors: the variances of the first four powers are 1, 2, 15 and 96.
        for (power, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0f64)] {
            let error = 5.0 * (variance / n).sqrt();
            assert!((moment(power) - expected).abs() < error, "moment {power}: {}", moment(power));
        }
        let products = numbers.chunks_exact(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / (n / 2.0);
        assert!(products.abs() < 5.0 / (n / 2.0).sqrt(), "the two numbers of a pair correlate: {products}");
    }
}
