//! How long classifying takes, dense and pruned.

use super::accuracy::{Summary, TABLE_SPARSITIES, are_several};
use super::comparison::{CellComparison, REPETITIONS};
use super::part::Part;
use super::results::InferenceRow;
use crate::engine::{Batch, DataHandle};
use crate::error::Result;
use crate::network::ParameterLayout;
use crate::pruning::Method;
use crate::pruning::allocation::removed_if_smaller;
use crate::pruning::masks::{RemovalOrder, removed_weights};
use std::time::Instant;

impl CellComparison<'_> {
    /// Times the evaluation of the dense networks and of the same with the smallest weights of a part set to zero, alternating,
    /// so that whatever else the machine does meets all alike. The networks of `batch` are afterwards as they were.
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
        let mut times = vec![Vec::new(); networks.len()];
        let started = Instant::now();
        for _ in 0..REPETITIONS {
            for (networks, times) in networks.iter().zip(&mut times) {
                batch.set_weights(selection, networks)?;
                let start = Instant::now();
                batch.evaluate(test, &self.control.silent())?;
                times.push(start.elapsed().as_secs_f64() * 1e3 / replicates);
            }
            if started.elapsed() > self.scope.repeat_within {
                break;
            }
        }
        batch.set_weights(selection, &trained)?;
        let summaries: Vec<Summary> = times.iter().filter_map(|times| Summary::of(times)).collect();
        let rows = removed.into_iter().zip(&summaries).map(|(removed, summary)| InferenceRow {
            method: if removed == 0 { Method::Dense } else { Method::Magnitude },
            model: self.cell.model().into(),
            data_set: self.cell.data_set.clone(),
            layers: part.layers.to_string(),
            replicates: self.configuration.replicates,
            sparsity: removed as f64 / weight_count as f64,
            smaller: Some(all as f64 / (all - removed) as f64),
            images: self.cell.split.test.samples(),
            milliseconds: summary.mean,
            milliseconds_sd: summary.sd,
            ratio_to_dense: summary.mean / summaries[0].mean,
        });
        Ok(rows.collect())
    }
}

/// Weights of a part without the `removed` smallest.
fn pruned(weights: &[f32], removed: usize) -> Vec<f32> {
    let magnitudes: Vec<f32> = weights.iter().map(|weight| weight.abs()).collect();
    let mask = RemovalOrder::smallest_first(&magnitudes).mask(removed);
    weights.iter().zip(mask.iter()).map(|(&weight, &kept)| if kept { weight } else { 0.0 }).collect()
}
