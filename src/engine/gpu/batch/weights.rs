//! Weights and whole replicas, from the device and to it.

use super::{GpuBatch, Wave};
use crate::cpu::mask as states;
use crate::engine::Replica;
use crate::error::Result;
use crate::gpu::{Buffer, Gpu, Recorder, read_back};
use crate::network::Selection;

/// Words of one array of states that are read back at once.
const READ_WORDS: usize = 4 << 20;

impl GpuBatch {
    /// See [`crate::engine::Batch::weights`].
    pub(super) fn read_weights(&self, selection: &Selection) -> Result<Vec<f32>> {
        let gpu = &self.gpu;
        let mut weights = Vec::new();
        for Wave { state, .. } in &self.waves {
            let own = Buffer::new(gpu, "weights", state.replicas * selection.weights())?;
            let mut recorder = Recorder::new(gpu, "weights");
            self.plan.network.copy_weights(&mut recorder, state, selection, &own)?;
            recorder.submit()?;
            weights.extend(read_back(gpu, &own)?);
        }
        Ok(weights)
    }

    /// See [`crate::engine::Batch::set_weights`].
    pub(super) fn write_weights(&self, selection: &Selection, weights: &[f32]) -> Result<()> {
        let (stride, all) = (self.plan.network.layout.parameters(), selection.weights());
        for wave in &self.waves {
            let own = &weights[wave.slots.start * all..wave.slots.end * all];
            for (replica, weights) in own.chunks_exact(all).enumerate() {
                for part in selection.parts() {
                    let own = &weights[part.start..part.start + part.weights()];
                    wave.state.parameters.write(&self.gpu, replica * stride + part.range.start, own)?;
                }
            }
        }
        Ok(())
    }

    /// See [`crate::engine::Batch::visit_replicas`].
    pub(super) fn read_replicas(&self, visit: &mut dyn FnMut(Replica<f32>) -> Result<()>) -> Result<()> {
        let (gpu, parameters, span) =
            (&self.gpu, self.plan.network.layout.parameters(), self.plan.network.selection.span());
        for Wave { state, .. } in &self.waves {
            let masks = read_back(gpu, &state.mask)?;
            let block = (READ_WORDS / parameters).clamp(1, state.replicas);
            for first in (0..state.replicas).step_by(block) {
                let count = block.min(state.replicas - first);
                let part = |array| read_part(gpu, array, first * parameters, count * parameters);
                let (all, m, v) = (part(&state.parameters)?, part(&state.m)?, part(&state.v)?);
                let [all, m, v] = [&all, &m, &v].map(|part| part.chunks_exact(parameters));
                for (replica, ((all, m), v)) in (first..).zip(all.zip(m).zip(v)) {
                    let mut mask = vec![states::KEPT; parameters];
                    mask[span.clone()].copy_from_slice(&masks[replica * span.len()..(replica + 1) * span.len()]);
                    visit(Replica { parameters: all.to_vec(), m: m.to_vec(), v: v.to_vec(), mask })?;
                }
            }
        }
        Ok(())
    }

    /// See [`crate::engine::Batch::restore`].
    pub(super) fn write_replicas(&self, replicas: &[Replica<f32>]) -> Result<()> {
        let (parameters, span) = (self.plan.network.layout.parameters(), self.plan.network.selection.span());
        for wave in &self.waves {
            for (place, replica) in replicas[wave.slots.clone()].iter().enumerate() {
                wave.state.parameters.write(&self.gpu, place * parameters, &replica.parameters)?;
                wave.state.m.write(&self.gpu, place * parameters, &replica.m)?;
                wave.state.v.write(&self.gpu, place * parameters, &replica.v)?;
                wave.state.mask.write(&self.gpu, place * span.len(), &replica.mask[span.clone()])?;
            }
        }
        Ok(())
    }
}

/// Some elements of an array on the device.
fn read_part(gpu: &Gpu, array: &Buffer<f32>, first: usize, len: usize) -> Result<Vec<f32>> {
    let part = Buffer::new(gpu, "part", len)?;
    let mut recorder = Recorder::new(gpu, "part");
    recorder.copy(array, first, &part, 0, len)?;
    recorder.submit()?;
    read_back(gpu, &part)
}
