//! Second moments of what a layer reads: all that the surgeon asks of the calibration images.
//!
//! A row is what one unit reads at once: an image in a dense layer, a position of an image in a convolution. Its columns are
//! the layer's inputs, and behind them the constant 1 that a bias stands for. Formulas: `docs/kernels/gram.md`.

use super::Real;

/// What a layer reads, row by row.
#[derive(Clone, Copy, Debug)]
pub enum Rows<'a, T> {
    /// A dense layer's inputs `[row, input]`.
    Features {
        /// `[row, input]`
        values: &'a [T],
        /// Inputs of a row.
        inputs: usize,
    },
    /// The 3 x 3 patches of a convolution, gathered where they are read; beyond the border is 0.
    Patches {
        /// Activations `[sample, y, x, channel]`.
        values: &'a [T],
        /// Height and width of a sample.
        size: [usize; 2],
        /// Channels that come in.
        channels: usize,
        /// Which positions are rows: each a flat index into `[sample, y, x]`.
        positions: &'a [u32],
    },
}

impl<T: Real> Rows<'_, T> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Features { values, inputs } => values.len() / (*inputs).max(1),
            Self::Patches { positions, .. } => positions.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Inputs of a row; of a patch in the order `[ky, kx, channel]`, as weights have it.
    pub fn inputs(&self) -> usize {
        match self {
            Self::Features { inputs, .. } => *inputs,
            Self::Patches { channels, .. } => 9 * channels,
        }
    }

    /// The chosen columns of a row, which ascend; column [`Self::inputs`] is the constant 1.
    pub fn gather(&self, row: usize, columns: &[u32], output: &mut [T]) {
        let inputs = self.inputs();
        let own = columns.len() - usize::from(columns.last() == Some(&(inputs as u32)));
        output[own..columns.len()].fill(T::one());
        match *self {
            Self::Features { values, .. } if own == inputs => {
                output[..own].copy_from_slice(&values[row * inputs..][..own]);
            }
            Self::Features { values, .. } => {
                let values = &values[row * inputs..][..inputs];
                output.iter_mut().zip(&columns[..own]).for_each(|(output, &column)| *output = values[column as usize]);
            }
            Self::Patches { values, size, channels, positions } => {
                let position = positions[row] as usize;
                for (output, &column) in output.iter_mut().zip(&columns[..own]) {
                    let (tap, channel) = (column as usize / channels, column as usize % channels);
                    *output =
                        neighbour(size, position, tap).map_or(T::zero(), |pixel| values[pixel * channels + channel]);
                }
            }
        }
    }
}

/// The pixel `[sample, y, x]` below tap `3 ky + kx` of the patch around `position`, or nothing beyond the border.
fn neighbour([height, width]: [usize; 2], position: usize, tap: usize) -> Option<usize> {
    // Shifted by one: 0 and the size plus one lie beyond the border.
    let (y, x) = (position / width % height + tap / 3, position % width + tap % 3);
    let inside = (1..=height).contains(&y) && (1..=width).contains(&x);
    inside.then(|| (position / (height * width) * height + y - 1) * width + x - 1)
}

/// How much a row counts for a unit: an inactive unit only has to stay inactive.
pub fn row_weight<T: Real>(is_active: bool, inactive_weight: T) -> T {
    if is_active { T::one() } else { inactive_weight }
}

/// For each pre-activation `[sample, y, x, unit]` before a 2 x 2 max pool whether it wins its window, the first of equals,
/// and is above 0. What an odd height or width leaves outside of all windows never wins.
pub fn winners<T: Real>(size: [usize; 2], units: usize, pre_activations: &[T]) -> Vec<bool> {
    let [height, width] = size;
    let mut wins = vec![false; pre_activations.len()];
    for sample in 0..pre_activations.len() / (height * width * units).max(1) {
        for (y, x) in (0..height / 2).flat_map(|y| (0..width / 2).map(move |x| (2 * y, 2 * x))) {
            for unit in 0..units {
                let place = |code: usize| (((sample * height + y + code / 2) * width) + x + code % 2) * units + unit;
                let largest = (1..4).fold(place(0), |best, code| {
                    if pre_activations[place(code)] > pre_activations[best] { place(code) } else { best }
                });
                wins[largest] = pre_activations[largest] > T::zero();
            }
        }
    }
    wins
}

/// Moments of the chosen columns for one unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments<T> {
    /// Columns.
    pub size: usize,
    /// Gram matrix `[column, column]`, symmetric.
    pub gram: Vec<T>,
    /// `[column]`
    pub cross: Vec<T>,
}

/// `gram[i, j] = sum_n q_n x_ni x_nj / N` and `cross[i] = sum_n q_n x_ni z_n / N` over all N rows, for the `columns` of x;
/// `row_weights` q and `targets` z are `[row]`. Only one half is added up, the other is its mirror image.
///
/// Twin of `shaders/gram/accumulate.wgsl`.
pub fn accumulate<T: Real>(rows: &Rows<'_, T>, columns: &[u32], row_weights: &[T], targets: &[T]) -> Moments<T> {
    let size = columns.len();
    let mut moments = Moments { size, gram: vec![T::zero(); size * size], cross: vec![T::zero(); size] };
    let mut x = vec![T::zero(); size];
    for (row, (&q, &z)) in row_weights.iter().zip(targets).enumerate() {
        rows.gather(row, columns, &mut x);
        for i in 0..size {
            for j in i..size {
                moments.gram[i * size + j] += q * x[i] * x[j];
            }
            moments.cross[i] += q * x[i] * z;
        }
    }
    let count = T::of(rows.len() as f64);
    for i in 0..size {
        for j in i..size {
            moments.gram[i * size + j] /= count;
            moments.gram[j * size + i] = moments.gram[i * size + j];
        }
        moments.cross[i] /= count;
    }
    moments
}

/// The ridge `strength * mean(diagonal)`. Where nothing ever comes in the mean is 0; then it is next to nothing, so that the
/// weights stay as they are and go by their magnitude.
pub fn ridge<T: Real>(diagonal: impl ExactSizeIterator<Item = T>, strength: T) -> T {
    let count = T::of(diagonal.len() as f64);
    let mean = diagonal.sum::<T>() / count;
    strength * if mean > T::zero() { mean } else { T::of(f64::from(f32::EPSILON)) }
}

impl<T: Real> Moments<T> {
    /// The ridge for all columns, see [`ridge`].
    pub fn ridge(&self, strength: T) -> T {
        ridge((0..self.size).map(|i| self.gram[i * self.size + i]), strength)
    }

    /// Adds `ridge` to the diagonal, and pulls towards `weights` with it.
    pub fn add_ridge(&mut self, ridge: T, weights: &[T]) {
        for (i, &weight) in weights.iter().enumerate() {
            self.gram[i * self.size + i] += ridge;
            self.cross[i] += ridge * weight;
        }
    }

    /// The moments of some of the columns.
    pub fn select(&self, chosen: &[usize]) -> Self {
        let gram = chosen.iter().flat_map(|&i| chosen.iter().map(move |&j| self.gram[i * self.size + j])).collect();
        Self { size: chosen.len(), gram, cross: chosen.iter().map(|&i| self.cross[i]).collect() }
    }
}
