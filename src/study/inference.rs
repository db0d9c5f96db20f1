//! What pruning does to the time that classifying takes, measured: masking alone is not expected to make a dense kernel
//! faster, and the numbers say so beside the compression ratio and the theoretical speed-up.

use super::accuracy::{Summary, TABLE_SPARSITIES};
use super::comparison::{CellComparison, REPETITIONS};
use crate::engine::{Batch, DataHandle, Watch};
use crate::error::Result;
use crate::pruning::Method;
use crate::pruning::masks::{RemovalOrder, removed_weights};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Columns of `inference.csv`.
pub(super) const INFERENCE_COLUMNS: &[&str] = &[
    "method",
    "model",
    "data_set",
    "replicates",
    "sparsity",
    "images",
    "milliseconds",
    "milliseconds_sd",
    "ratio_to_dense",
];

/// One line of `inference.csv`: time of classifying the test set with one replica. The order of the fields is the order of
/// the columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InferenceRow {
    /// `dense`, or `magnitude`: which weights are zero moves no time, so one criterion stands for all.
    pub method: Method,
    /// Name of the network.
    pub model: String,
    /// Name of the data set.
    pub data_set: String,
    /// Networks that were evaluated side by side.
    pub replicates: u32,
    /// Share of the focus layer's weights that are zero, 0 to 1.
    pub sparsity: f64,
    /// Images of the test set.
    pub images: usize,
    /// Wall time for each replica: mean of the repetitions.
    pub milliseconds: f64,
    /// Standard deviation of the repetitions; none of one.
    pub milliseconds_sd: Option<f64>,
    /// [`Self::milliseconds`] divided by that of the dense networks.
    pub ratio_to_dense: f64,
}

impl CellComparison<'_> {
    /// Times the evaluation of the dense networks and of the same with the smallest weights set to zero, by turns, so that
    /// whatever else the machine does meets all alike. The networks of `batch` are afterwards as they were.
    pub(super) fn inference(&mut self, batch: &mut Batch, test: DataHandle) -> Result<Vec<InferenceRow>> {
        let weight_count = self.cell.architecture.weight_count();
        let trained = batch.focus_weights()?;
        let removed: Vec<usize> =
            [0.0].into_iter().chain(TABLE_SPARSITIES).map(|sparsity| removed_weights(sparsity, weight_count)).collect();
        let networks: Vec<Vec<f32>> = removed
            .iter()
            .map(|&removed| trained.chunks_exact(weight_count).flat_map(|weights| pruned(weights, removed)).collect())
            .collect();
        let silent = Watch { stop: self.control.stop, progress: &|_| {} };
        let replicates = f64::from(self.configuration.replicates);
        let mut times = vec![Vec::new(); networks.len()];
        let started = Instant::now();
        for _ in 0..REPETITIONS {
            for (networks, times) in networks.iter().zip(&mut times) {
                batch.set_focus_weights(networks)?;
                let start = Instant::now();
                batch.evaluate(test, &silent)?;
                times.push(start.elapsed().as_secs_f64() * 1e3 / replicates);
            }
            if started.elapsed() > self.scope.repeat_within {
                break;
            }
        }
        batch.set_focus_weights(&trained)?;
        let summaries: Vec<Summary> = times.iter().filter_map(|times| Summary::of(times)).collect();
        let rows = removed.into_iter().zip(&summaries).map(|(removed, summary)| InferenceRow {
            method: if removed == 0 { Method::Dense } else { Method::Magnitude },
            model: self.cell.model().into(),
            data_set: self.cell.data_set.clone(),
            replicates: self.configuration.replicates,
            sparsity: removed as f64 / weight_count as f64,
            images: self.cell.split.test.samples(),
            milliseconds: summary.mean,
            milliseconds_sd: summary.sd,
            ratio_to_dense: summary.mean / summaries[0].mean,
        });
        Ok(rows.collect())
    }
}

/// The weights of a focus layer without the `removed` smallest.
fn pruned(weights: &[f32], removed: usize) -> Vec<f32> {
    let magnitudes: Vec<f32> = weights.iter().map(|weight| weight.abs()).collect();
    let mask = RemovalOrder::smallest_first(&magnitudes).mask(removed);
    weights.iter().zip(mask.iter()).map(|(&weight, &kept)| if kept { weight } else { 0.0 }).collect()
}
