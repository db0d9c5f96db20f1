//! How long classifying takes: dense, pruned, and once nothing is stored that nobody reads.

use super::classified::classify_by_turns;
use super::compact::never_lit;
use super::comparison::{CellComparison, CutBySize, REPETITIONS};
use super::part::Part;
use crate::clock::{Turns, by_turns, seconds};
use crate::engine::{Batch, DataHandle};
use crate::error::Result;
use crate::network::ParameterLayout;
use crate::network_files::stored_network::{InputScale, StoredNetwork};
use crate::pruning::Method;
use crate::pruning::allocation::removed_if_smaller;
use crate::pruning::compact::{CompactNetwork, DarkInputs};
use crate::pruning::masks::{RemovalOrder, removed_weights};
use crate::results::accuracy::{TABLE_SPARSITIES, are_several};
use crate::results::comparison::{CompactedRow, InferenceRow};
use crate::statistics::spread::{Spread, median};
use crate::statistics::standard_deviation;

impl CellComparison<'_> {
    /// Times the evaluation of the dense networks and of the same with the smallest weights of a part set to zero, in turn. The
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

    /// Makes networks of one replica, pruned to several sizes, compact, and times all alternating.
    pub(super) fn compacted(&mut self, cut: &CutBySize) -> Result<Vec<CompactedRow>> {
        let CutBySize { dense, networks } = cut;
        let (cell, control) = (self.cell, self.control);
        let (training, test) = (&cell.split.training, &cell.split.test);
        let input = InputScale::divided_by(self.configuration.pixel_scale);
        let architecture = &cell.architecture;
        let stored = |parameters: &[f32]| StoredNetwork {
            architecture: architecture.clone(),
            parameters: parameters.to_vec(),
            pixels: None,
            input,
        };
        let is_dark = never_lit(training);
        let dark = DarkInputs { is_dark: &is_dark, feature: 0.0 };
        let compact: Vec<StoredNetwork> = networks
            .iter()
            .map(|(_, network)| {
                let whole = CompactNetwork::new(architecture.clone(), network.parameters.clone());
                let (found, _) = whole.lossless(Some(dark));
                let pixels = (found.inputs.len() != is_dark.len()).then_some(found.inputs);
                StoredNetwork { architecture: found.architecture, parameters: found.parameters, pixels, input }
            })
            .collect();
        let trained = stored(dense);
        let pruned: Vec<StoredNetwork> = networks.iter().map(|(_, network)| stored(&network.parameters)).collect();
        let all: Vec<&StoredNetwork> = [&trained].into_iter().chain(&pruned).chain(&compact).collect();
        let turns = Turns { rounds: REPETITIONS, within: self.scope.repeat_within, enough: 0.0 };
        let found = classify_by_turns(self.engine, &all, test, turns, control)?;
        let milliseconds: Vec<f64> = found.iter().map(|found| 1e3 * found.median()).collect();
        let row = |place: usize| {
            let (compact, sizes) = (&compact[place], networks.len());
            let layers = &compact.architecture;
            let filters = layers.convolutions.iter().map(|convolution| convolution.filters);
            let units: Vec<String> =
                filters.chain(layers.hidden.iter().copied()).map(|units| units.to_string()).collect();
            CompactedRow {
                model: cell.model().into(),
                data_set: cell.data_set.clone(),
                smaller: networks[place].0,
                inputs: compact.pixels.as_ref().map_or(is_dark.len(), Vec::len),
                units: units.join("-"),
                weights: ParameterLayout::new(layers).weights(),
                multiply_adds: layers.forward_multiply_adds(),
                bytes: size_of_val(&compact.parameters[..]),
                dense_milliseconds: milliseconds[0],
                pruned_milliseconds: milliseconds[1 + place],
                compact_milliseconds: milliseconds[1 + sizes + place],
            }
        };
        Ok((0..networks.len()).map(row).collect())
    }
}

/// Weights of a part without the `removed` smallest.
fn pruned(weights: &[f32], removed: usize) -> Vec<f32> {
    let magnitudes: Vec<f32> = weights.iter().map(|weight| weight.abs()).collect();
    let mask = RemovalOrder::smallest_first(&magnitudes).mask(removed);
    weights.iter().zip(mask.iter()).map(|(&weight, &kept)| if kept { weight } else { 0.0 }).collect()
}
