//! What a processor can do at most: multiply-adds in registers and nothing else, and a plain copy. No variant gets above it.

use super::dispatch;
use pulp::Simd;
use std::hint::black_box;

/// Sums that run side by side: enough to hide the latency of a multiply-add.
const SUMS: usize = 12;

/// Does multiply-adds on one thread for `steps` steps and returns how many there were.
pub fn multiply_adds(steps: usize) -> usize {
    dispatch(false, MultiplyAdds { steps })
}

struct MultiplyAdds {
    steps: usize,
}

impl pulp::WithSimd for MultiplyAdds {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        // Each number moves half of the way to 2 in every step; neither factor is known when this is compiled.
        let (factor, term) = (simd.splat_f32s(black_box(0.5)), simd.splat_f32s(black_box(1.0)));
        let mut sums: [S::f32s; SUMS] = std::array::from_fn(|sum| simd.splat_f32s(black_box(sum as f32)));
        for _ in 0..self.steps {
            for sum in &mut sums {
                *sum = simd.mul_add_f32s(*sum, factor, term);
            }
        }
        for sum in sums {
            black_box(simd.reduce_sum_f32s(sum));
        }
        self.steps * SUMS * S::F32_LANES
    }
}

/// Copies.
pub fn copy(source: &[f32], destination: &mut [f32]) {
    destination.copy_from_slice(black_box(source));
    black_box(destination);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiply_adds_are_counted_with_all_lanes_of_a_register() {
        let [one, three] = [1, 3].map(multiply_adds);
        assert!(one >= SUMS && one.is_multiple_of(SUMS));
        assert_eq!(three, 3 * one);
    }

    #[test]
    fn a_copy_is_equal() {
        let mut copied = [0.0; 5];
        copy(&[1.0, 2.0, 3.0, 4.0, 5.0], &mut copied);
        assert_eq!(copied, [1.0, 2.0, 3.0, 4.0, 5.0]);
    }
}
