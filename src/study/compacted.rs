//! What the surgeon's networks are once nothing is stored that nobody reads: their shape, their bytes, and how fast they classify.

use super::compact::{Ready, never_lit};
use super::comparison::{CellComparison, CutBySize, REPETITIONS};
use super::results::CompactedRow;
use super::stored_network::{InputScale, StoredNetwork};
use crate::error::Result;
use crate::network::ParameterLayout;
use crate::pruning::compact::{CompactNetwork, DarkInputs};
use std::time::Instant;

impl CellComparison<'_> {
    /// Makes networks of one replica, pruned to several sizes, compact, and times all alternately, so that whatever else
    /// the machine does meets all alike.
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
        let mut rows = Vec::with_capacity(networks.len());
        control.stage("make networks compact", networks.len() as u64, "networks", |watch| {
            let trained = stored(dense);
            for (size, network) in networks {
                watch.check()?;
                let whole = CompactNetwork::new(architecture.clone(), network.parameters.clone());
                let (found, _) = whole.lossless(Some(dark));
                let pixels = (found.inputs.len() != is_dark.len()).then_some(found.inputs);
                let inputs = pixels.as_ref().map_or(is_dark.len(), Vec::len);
                let compact =
                    StoredNetwork { architecture: found.architecture, parameters: found.parameters, pixels, input };
                let pruned = stored(&network.parameters);
                let mut ready = [
                    Ready::new(self.engine, &trained, test)?,
                    Ready::new(self.engine, &pruned, test)?,
                    Ready::new(self.engine, &compact, test)?,
                ];
                let started = Instant::now();
                let mut times = [const { Vec::new() }; 3];
                // The first turn warms up.
                for turn in 0..=REPETITIONS {
                    for (ready, times) in ready.iter_mut().zip(&mut times) {
                        let start = Instant::now();
                        ready.evaluate(self.engine, &control.silent())?;
                        times.extend((turn > 0).then(|| start.elapsed().as_secs_f64() * 1e3));
                    }
                    if turn > 0 && started.elapsed() > self.scope.repeat_within / 5 {
                        break;
                    }
                }
                let [dense_milliseconds, pruned_milliseconds, compact_milliseconds] = times.map(|mut times| {
                    times.sort_by(f64::total_cmp);
                    times[times.len() / 2]
                });
                let layers = &compact.architecture;
                let filters = layers.convolutions.iter().map(|convolution| convolution.filters);
                let units: Vec<String> =
                    filters.chain(layers.hidden.iter().copied()).map(|units| units.to_string()).collect();
                let weights = ParameterLayout::new(layers).weights();
                rows.push(CompactedRow {
                    model: cell.model().into(),
                    data_set: cell.data_set.clone(),
                    smaller: *size,
                    inputs,
                    units: units.join("-"),
                    weights,
                    multiply_adds: layers.forward_multiply_adds(),
                    bytes: size_of_val(&compact.parameters[..]),
                    dense_milliseconds,
                    pruned_milliseconds,
                    compact_milliseconds,
                });
                (watch.progress)(1);
            }
            Ok(rows)
        })
    }
}
