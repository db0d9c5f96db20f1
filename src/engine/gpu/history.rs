//! Ranks, counts and envelopes of recorded histories, in pieces that fit the device.

use crate::cpu::magnitude_sort;
use crate::cpu::stability::{HistoryShape, sortable_key};
use crate::engine::{Counts, Envelope};
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Gpu, Recorder, read_back};
use crate::kernels::stability::{CountArguments, EnvelopeArguments, Shape, TOLERANCES};
use crate::kernels::{magnitude_sort as sort, stability};
use std::borrow::Cow;
use std::ops::Range;

/// Weights of a history that are ranked at once, if a layer is not larger.
const PIECE_WEIGHTS: usize = 1 << 24;

/// A part of a history: some replicas with all their weights, or some weights of one replica.
struct Piece {
    replicas: Range<usize>,
    weights: Range<usize>,
}

impl Piece {
    fn shape(&self, epochs: usize) -> Shape {
        Shape { epochs, replicas: self.replicas.len(), weight_count: self.weights.len() }
    }

    /// The piece's part of `rows` rows of `source` `[row, replica, weight_index]`: a copy, unless the piece is whole.
    fn gather<'a, T: Copy>(&self, shape: HistoryShape, rows: Range<usize>, source: &'a [T]) -> Cow<'a, [T]> {
        if (self.replicas.len(), self.weights.len()) == (shape.replicas, shape.weight_count) {
            return Cow::Borrowed(&source[rows.start * shape.columns()..rows.end * shape.columns()]);
        }
        let mut piece = Vec::with_capacity(rows.len() * self.replicas.len() * self.weights.len());
        for row in rows {
            for replica in self.replicas.clone() {
                let first = row * shape.columns() + replica * shape.weight_count;
                piece.extend_from_slice(&source[first + self.weights.start..first + self.weights.end]);
            }
        }
        Cow::Owned(piece)
    }

    /// Places rows of the piece into `target` `[row, replica, weight_index]`.
    fn scatter<T: Copy>(&self, shape: HistoryShape, rows: Range<usize>, piece: &[T], target: &mut [T]) {
        let mut parts = piece.chunks_exact(self.weights.len());
        for row in rows {
            for replica in self.replicas.clone() {
                let first = row * shape.columns() + replica * shape.weight_count;
                if let Some(part) = parts.next() {
                    target[first + self.weights.start..first + self.weights.end].copy_from_slice(part);
                }
            }
        }
    }
}

/// Cuts replicas, and if one does not fit its weights, so that arrays of `words` words for each column, and of
/// `words_per_replica` for each replica, fit the device.
fn pieces(gpu: &Gpu, shape: HistoryShape, words: usize, words_per_replica: usize) -> Result<Vec<Piece>> {
    let limits = gpu.limits();
    let most = (limits.array_bytes() / 4) as usize;
    let weight_count = shape.weight_count.min(most / words);
    if weight_count == 0 || words_per_replica > most {
        return Err(Error::OutOfMemory(format!(
            "the history of one weight over {} epochs does not fit {}",
            shape.epochs,
            gpu.description().name
        )));
    }
    let replicas =
        (most / (words * weight_count)).min(most / words_per_replica.max(1)).min(limits.workgroups as usize).max(1);
    let replicas = if weight_count < shape.weight_count { 1 } else { replicas };
    let mut pieces = Vec::new();
    for first in (0..shape.replicas).step_by(replicas) {
        for weight in (0..shape.weight_count).step_by(weight_count) {
            pieces.push(Piece {
                replicas: first..(first + replicas).min(shape.replicas),
                weights: weight..(weight + weight_count).min(shape.weight_count),
            });
        }
    }
    Ok(pieces)
}

/// See [`crate::engine::Engine::rank`]; the twin ranks layers of which not even one fits the device.
pub(super) fn rank(gpu: &Gpu, workgroup_size: u32, shape: HistoryShape, history: &[f32]) -> Result<Vec<u32>> {
    let mut rank = vec![0; history.len()];
    let limits = gpu.limits();
    let most = (limits.array_bytes() / 4) as usize / shape.weight_count;
    if most == 0 {
        for (weights, rank) in history.chunks_exact(shape.weight_count).zip(rank.chunks_exact_mut(shape.weight_count)) {
            magnitude_sort::rank(weights, rank);
        }
        return Ok(rank);
    }
    // The sort's scratch is several times the piece: beyond this size, larger pieces gain nothing.
    let most = most.min(PIECE_WEIGHTS.div_ceil(shape.weight_count));
    // A segment is an epoch of a replica; how many lie along which dimension makes no difference.
    let segments = most.min(limits.workgroups as usize);
    for (history, rank) in
        history.chunks(segments * shape.weight_count).zip(rank.chunks_mut(segments * shape.weight_count))
    {
        let weights = Buffer::from_slice(gpu, "history", history)?;
        let ranks = Buffer::new(gpu, "rank", history.len())?;
        let bound = sort::Rank::new(workgroup_size).bind(
            gpu,
            &sort::RankArguments {
                epochs: history.len() / shape.weight_count,
                replicas: 1,
                weight_count: shape.weight_count,
                offset: 0,
                epoch_stride: shape.weight_count,
                replica_stride: 0,
                weights: &weights,
                rank: &ranks,
            },
        )?;
        let mut recorder = Recorder::new(gpu, "rank");
        bound.record(&mut recorder)?;
        recorder.submit()?;
        rank.copy_from_slice(&read_back(gpu, &ranks)?);
    }
    Ok(rank)
}

/// See [`crate::engine::Engine::count`]; the front has checked the sizes.
pub(super) fn count(
    gpu: &Gpu,
    workgroup_size: u32,
    shape: HistoryShape,
    history: &[f32],
    lower: &[f32],
    upper: &[f32],
) -> Result<Counts> {
    let columns = shape.columns();
    let tolerances = lower.len() / columns;
    let mut counts = Counts {
        stability: vec![0; tolerances * columns],
        stable_weights: vec![0; tolerances * shape.epochs * shape.replicas],
    };
    let kernel = stability::Count::new(gpu, workgroup_size)?;
    for piece in pieces(gpu, shape, shape.epochs.max(TOLERANCES), TOLERANCES * shape.epochs)? {
        let device_shape = piece.shape(shape.epochs);
        let own = Buffer::from_slice(gpu, "history", &piece.gather(shape, 0..shape.epochs, history))?;
        let own_columns = device_shape.replicas * device_shape.weight_count;
        for first in (0..tolerances).step_by(TOLERANCES) {
            let group = first..(first + TOLERANCES).min(tolerances);
            // Where there is no tolerance, no key lies between the bounds.
            let low = interleave(shape, &piece, group.clone(), lower, u32::MAX);
            let high = interleave(shape, &piece, group.clone(), upper, 0);
            let stability = Buffer::new(gpu, "stability", own_columns)?;
            let stable_weights = Buffer::new(gpu, "stable_weights", shape.epochs * device_shape.replicas)?;
            let bound = kernel.bind(
                gpu,
                &CountArguments {
                    shape: device_shape,
                    history: &own,
                    lower: &Buffer::from_slice(gpu, "lower", &low)?,
                    upper: &Buffer::from_slice(gpu, "upper", &high)?,
                    stability: &stability,
                    stable_weights: &stable_weights,
                },
            )?;
            let mut recorder = Recorder::new(gpu, "count");
            bound.record_once(&mut recorder)?;
            recorder.submit()?;
            let (stability, stable_weights) = (read_back(gpu, &stability)?, read_back(gpu, &stable_weights)?);
            for (component, tolerance) in group.enumerate() {
                let counted: Vec<u32> = stability.iter().map(|counted| counted[component]).collect();
                piece.scatter(shape, tolerance..tolerance + 1, &counted, &mut counts.stability);
                for (row, stable) in stable_weights.chunks_exact(device_shape.replicas).enumerate() {
                    let first = (tolerance * shape.epochs + row) * shape.replicas + piece.replicas.start;
                    // Pieces of one replica add up.
                    for (sum, stable) in counts.stable_weights[first..].iter_mut().zip(stable) {
                        *sum += stable[component];
                    }
                }
            }
        }
    }
    Ok(counts)
}

/// Keys of the bounds of the tolerances `group` side by side, a vector for each column of the piece.
fn interleave(
    shape: HistoryShape,
    piece: &Piece,
    group: Range<usize>,
    bounds: &[f32],
    missing: u32,
) -> Vec<[u32; TOLERANCES]> {
    let mut vectors = vec![[missing; TOLERANCES]; piece.replicas.len() * piece.weights.len()];
    for (component, tolerance) in group.enumerate() {
        let own = piece.gather(shape, tolerance..tolerance + 1, bounds);
        for (vector, &bound) in vectors.iter_mut().zip(own.iter()) {
            // No number is within NaN, whose key would let others of its kind in.
            vector[component] = if bound.is_nan() { missing } else { sortable_key(bound) };
        }
    }
    vectors
}

/// See [`crate::engine::Engine::envelope`]; the front has checked the sizes.
pub(super) fn envelope(
    gpu: &Gpu,
    workgroup_size: u32,
    shape: HistoryShape,
    history: &[f32],
    windows: &[u32],
) -> Result<Envelope> {
    let empty = vec![0.0; windows.len() * shape.columns()];
    let mut envelope = Envelope { minimum: empty.clone(), maximum: empty.clone(), smallest_magnitude: empty };
    let kernel = stability::Envelope::new(gpu, workgroup_size)?;
    let ends = Buffer::from_slice(gpu, "windows", windows)?;
    for piece in pieces(gpu, shape, shape.epochs.max(windows.len()), 0)? {
        let device_shape = piece.shape(shape.epochs);
        let results = windows.len() * device_shape.replicas * device_shape.weight_count;
        let [minimum, maximum, smallest_magnitude] = [
            Buffer::new(gpu, "minimum", results)?,
            Buffer::new(gpu, "maximum", results)?,
            Buffer::new(gpu, "smallest_magnitude", results)?,
        ];
        let bound = kernel.bind(
            gpu,
            &EnvelopeArguments {
                shape: device_shape,
                windows: &ends,
                history: &Buffer::from_slice(gpu, "history", &piece.gather(shape, 0..shape.epochs, history))?,
                minimum: &minimum,
                maximum: &maximum,
                smallest_magnitude: &smallest_magnitude,
            },
        )?;
        let mut recorder = Recorder::new(gpu, "envelope");
        bound.record_once(&mut recorder)?;
        recorder.submit()?;
        let rows = 0..windows.len();
        piece.scatter(shape, rows.clone(), &read_back(gpu, &minimum)?, &mut envelope.minimum);
        piece.scatter(shape, rows.clone(), &read_back(gpu, &maximum)?, &mut envelope.maximum);
        piece.scatter(shape, rows, &read_back(gpu, &smallest_magnitude)?, &mut envelope.smallest_magnitude);
    }
    Ok(envelope)
}
