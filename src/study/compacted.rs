//! What the surgeon's networks are once nothing is stored that nobody reads: their shape, their bytes, and how fast they classify.

use super::classified::classify_by_turns;
use super::compact::never_lit;
use super::comparison::{CellComparison, CutBySize, REPETITIONS};
use super::results::CompactedRow;
use super::stored_network::{InputScale, StoredNetwork};
use crate::clock::Turns;
use crate::error::Result;
use crate::network::ParameterLayout;
use crate::pruning::compact::{CompactNetwork, DarkInputs};

impl CellComparison<'_> {
    /// Makes networks of one replica, pruned to several sizes, compact, and times all by turns.
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
