//! Counting what held still: magnitude stability, stable weights, and the envelope of the last epochs.
//!
//! Everything here compares and never rounds, so every device gives the same integers and the same bits.

/// Sizes of a history `[epoch, replica, weight_index]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryShape {
    /// Epochs recorded; the last one is the reference.
    pub epochs: usize,
    /// Replicas recorded side by side.
    pub replicas: usize,
    /// Weights of the layer.
    pub weight_count: usize,
}

impl HistoryShape {
    /// Weights of one epoch.
    pub fn columns(&self) -> usize {
        self.replicas * self.weight_count
    }

    /// All weights.
    pub fn len(&self) -> usize {
        self.epochs * self.columns()
    }

    /// Whether nothing is recorded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Magnitude stability and stable weights, see [`count`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// `[tolerance, replica, weight_index]`.
    pub stability: Vec<u32>,
    /// `[tolerance, epoch, replica]`.
    pub stable_weights: Vec<u32>,
}

/// Extremes over windows of last epochs, each `[window, replica, weight_index]`, see [`envelope`].
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// Smallest value.
    pub minimum: Vec<f32>,
    /// Largest value.
    pub maximum: Vec<f32>,
    /// Smallest magnitude.
    pub smallest_magnitude: Vec<f32>,
}

/// A key that orders all finite numbers like integers: negative numbers reversed below positive ones, -0 equal to 0.
/// Devices may flush denormal floats to 0 in a comparison; they cannot flush integers.
pub fn sortable_key(value: f32) -> u32 {
    match value.to_bits() {
        0x8000_0000 => 0x8000_0000, // -0: the key of +0
        bits if bits >> 31 == 1 => !bits,
        bits => bits ^ 0x8000_0000,
    }
}

/// The number whose [`sortable_key`] this is.
pub fn from_sortable_key(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key ^ 0x8000_0000 } else { !key })
}

/// Magnitude stability and stable weights for each tolerance.
///
/// `lower` and `upper` `[tolerance, replica, weight_index]` are the [`sortable_key`]s of the bounds of each weight. Writes
/// `stability` `[tolerance, replica, weight_index]`: the number of consecutive epochs, counted backwards from the last and
/// including it, in which the weight lies within its bounds; and `stable_weights` `[tolerance, epoch, replica]`: how many
/// weights lie within their bounds at that epoch. Twin of `shaders/stability/count.wgsl`.
pub fn count(
    shape: HistoryShape,
    history: &[f32],
    lower: &[u32],
    upper: &[u32],
    stability: &mut [u32],
    stable_weights: &mut [u32],
) {
    let columns = shape.columns();
    let tolerances = lower.len() / columns.max(1);
    for tolerance in 0..tolerances {
        let bounds = tolerance * columns..(tolerance + 1) * columns;
        let (lower, upper) = (&lower[bounds.clone()], &upper[bounds.clone()]);
        let stability = &mut stability[bounds];
        stability.fill(0);
        for (counted, epoch) in (0..shape.epochs).rev().enumerate() {
            for replica in 0..shape.replicas {
                let mut stable = 0;
                for column in replica * shape.weight_count..(replica + 1) * shape.weight_count {
                    let key = sortable_key(history[epoch * columns + column]);
                    if lower[column] <= key && key <= upper[column] {
                        stable += 1;
                        // Unbroken until here: every later epoch was counted.
                        stability[column] += u32::from(stability[column] == counted as u32);
                    }
                }
                stable_weights[(tolerance * shape.epochs + epoch) * shape.replicas + replica] = stable;
            }
        }
    }
}

/// What each weight did in the last `windows[w]` epochs, the last one included: its minimum, its maximum and its smallest
/// magnitude, each `[window, replica, weight_index]`. `windows` ascends and lies in `1..=epochs`.
///
/// Twin of `shaders/stability/envelope.wgsl`.
pub fn envelope(
    shape: HistoryShape,
    history: &[f32],
    windows: &[u32],
    minimum: &mut [f32],
    maximum: &mut [f32],
    smallest_magnitude: &mut [f32],
) {
    let columns = shape.columns();
    for column in 0..columns {
        let (mut low, mut high, mut smallest) = (u32::MAX, 0, u32::MAX);
        let mut window = 0;
        for (seen, epoch) in (1..).zip((0..shape.epochs).rev()) {
            let value = history[epoch * columns + column];
            let key = sortable_key(value);
            low = low.min(key);
            high = high.max(key);
            smallest = smallest.min(super::magnitude_sort::magnitude_key(value));
            while window < windows.len() && windows[window] == seen {
                let place = window * columns + column;
                minimum[place] = from_sortable_key(low);
                maximum[place] = from_sortable_key(high);
                smallest_magnitude[place] = f32::from_bits(smallest);
                window += 1;
            }
        }
    }
}
