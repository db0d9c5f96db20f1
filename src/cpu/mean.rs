//! Means of parameters over epochs.

use super::Real;

/// `sums[i] += values[i]`: one more epoch.
///
/// Twin of `shaders/mean/accumulate.wgsl`.
pub fn accumulate<T: Real>(values: &[T], sums: &mut [T]) {
    for (sum, &value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}

/// The mean of as many epochs as were added to `sums`: one division, rounded once.
pub fn divide<T: Real>(sums: &[T], epochs: u32) -> Vec<T> {
    let epochs = T::of(f64::from(epochs));
    sums.iter().map(|&sum| sum / epochs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_a_sum_in_the_order_of_the_epochs_and_one_division() {
        let epochs = [[0.1f32, 1e8], [0.2, 1.0], [0.3, -1e8]];
        let mut sums = epochs[0].to_vec();
        epochs[1..].iter().for_each(|epoch| accumulate(epoch, &mut sums));
        assert_eq!(divide(&sums, 3), [(0.1 + 0.2 + 0.3) / 3.0, ((1e8 + 1.0) - 1e8) / 3.0]);
    }
}
