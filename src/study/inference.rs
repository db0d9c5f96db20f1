//! How long classifying takes, dense and pruned.

use super::accuracy::{TABLE_SPARSITIES, are_several};
use super::comparison::{CellComparison, REPETITIONS};
use super::part::Part;
use super::results::InferenceRow;
use crate::clock::{Turns, by_turns, seconds};
use crate::engine::{Batch, DataHandle};
use crate::error::Result;
use crate::network::ParameterLayout;
use crate::pruning::Method;
use crate::pruning::allocation::removed_if_smaller;
use crate::pruning::masks::{RemovalOrder, removed_weights};
use crate::statistics::order::{Spread, median};
use crate::statistics::standard_deviation;

impl CellComparison<'_> {
    /// Times the evaluation of the dense networks and of the same with the smallest weights of a part set to zero, by turns. The
    /// networks of `batch` are afterwards as they were.
    pub(super) fn inference(
        &mut self,
        batch: &mut Batch,
        test: DataHandle,
        part: &Part<'_>,
    ) -> Result<Vec<InferenceRow>> {
        let (selection, weight_count) = (part.selection, part.selection.weights());
        let all = ParameterLayout::new(&self.cell.architecture).weights();
        let removed: Vec<usize> = if are_several(part.layers) {
            let sizes = self.configuration.sizes();
            let removed = sizes.into_iter().map(|size| removed_if_smaller(size, all)).collect::<Result<Vec<_>>>()?;
            [0].into_iter().chain(removed.into_iter().filter(|&removed| removed < weight_count)).collect()
        } else {
            [0.0].into_iter().chain(TABLE_SPARSITIES).map(|sparsity| removed_weights(sparsity, weight_count)).collect()
        };
        let trained = batch.weights(selection)?;
        let networks: Vec<Vec<f32>> = removed
            .iter()
            .map(|&removed| trained.chunks_exact(weight_count).flat_map(|weights| pruned(weights, removed)).collect())
            .collect();
        let replicates = f64::from(self.configuration.replicates);
        let turns = Turns { rounds: REPETITIONS, within: self.scope.repeat_within, enough: 0.0 };
        let times = by_turns(networks.len(), turns, |which| {
            batch.set_weights(selection, &networks[which])?;
            let (_, seconds) = seconds(|| batch.evaluate(test, &self.control.silent()))?;
            Ok(seconds * 1e3 / replicates)
        })?;
        batch.set_weights(selection, &trained)?;
        // The first of them has all its weights.
        let dense = &times[0];
        let row = |(removed, times): (usize, &Vec<f64>)| {
            let ratio = Spread::of_ratios(times, dense).unwrap_or_default();
            InferenceRow {
                method: if removed == 0 { Method::Dense } else { Method::Magnitude },
                model: self.cell.model().into(),
                data_set: self.cell.data_set.clone(),
                layers: part.layers.to_string(),
                replicates: self.configuration.replicates,
                sparsity: removed as f64 / weight_count as f64,
                smaller: Some(all as f64 / (all - removed) as f64),
                images: self.cell.split.test.samples(),
                milliseconds: median(times),
                milliseconds_sd: standard_deviation(times),
                ratio_to_dense: ratio.median,
                ratio_to_dense_low: Some(ratio.low),
                ratio_to_dense_high: Some(ratio.high),
            }
        };
        Ok(removed.into_iter().zip(&times).map(row).collect())
    }
}

/// Weights of a part without the `removed` smallest.
fn pruned(weights: &[f32], removed: usize) -> Vec<f32> {
    let magnitudes: Vec<f32> = weights.iter().map(|weight| weight.abs()).collect();
    let mask = RemovalOrder::smallest_first(&magnitudes).mask(removed);
    weights.iter().zip(mask.iter()).map(|(&weight, &kept)| if kept { weight } else { 0.0 }).collect()
}
