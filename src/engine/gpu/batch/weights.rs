//! Weights and whole replicas, from the device and to it.

use super::{GpuBatch, Wave};
use crate::cpu::mask as states;
use crate::engine::{Replica, backend::BackendState, gpu::launches::State};
use crate::error::Result;
use crate::gpu::{Buffer, Gpu, Recorder, read_back};
use crate::kernels::Bound;
use crate::kernels::mean::{Accumulate, AccumulateArguments};
use crate::network::Selection;

/// Words of one array of states that are read back at once.
const READ_WORDS: usize = 4 << 20;

/// Sums of the parameters of a wave over epochs, `[replica, parameter]`, and the launch that adds to them.
pub(super) struct Sums {
    values: Buffer<f32>,
    add: Bound,
}

impl Sums {
    /// Arrays of a wave, all zeros.
    fn new(gpu: &Gpu, workgroup_size: u32, parameters_per_replica: usize, state: &State) -> Result<Self> {
        let replicas = state.replicas;
        let sums = Buffer::new(gpu, "sums", replicas * parameters_per_replica)?;
        let arguments =
            AccumulateArguments { replicas, parameters_per_replica, values: &state.parameters, sums: &sums };
        let add = Accumulate::new(gpu, workgroup_size)?.bind(gpu, &arguments)?;
        Ok(Self { values: sums, add })
    }
}

impl BackendState for GpuBatch {
    fn accumulate(&mut self) -> Result<()> {
        let (gpu, size, parameters) = (&self.gpu, self.choice.workgroup_size, self.plan.network.layout.parameters());
        for Wave { state, sums, .. } in &mut self.waves {
            let mut recorder = Recorder::new(gpu, "sums");
            match sums {
                Some(sums) => sums.add.record_once(&mut recorder)?,
                None => {
                    let made = sums.insert(Sums::new(gpu, size, parameters, state)?);
                    recorder.copy(&state.parameters, 0, &made.values, 0, state.replicas * parameters)?;
                }
            }
            recorder.submit()?;
        }
        Ok(())
    }

    fn weights(&mut self, selection: &Selection) -> Result<Vec<f32>> {
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

    fn set_weights(&mut self, selection: &Selection, weights: &[f32]) -> Result<()> {
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

    fn visit_replicas(&mut self, visit: &mut dyn FnMut(Replica<f32>) -> Result<()>) -> Result<()> {
        let (gpu, network) = (&self.gpu, &self.plan.network);
        let (parameters, span) = (network.layout.parameters(), network.masked());
        for Wave { state, sums, .. } in &self.waves {
            let masks = read_back(gpu, &state.mask)?;
            let block = (READ_WORDS / parameters).clamp(1, state.replicas);
            for first in (0..state.replicas).step_by(block) {
                let count = block.min(state.replicas - first);
                let part = |array| read_part(gpu, array, first * parameters, count * parameters);
                let (all, m, v) = (part(&state.parameters)?, part(&state.m)?, part(&state.v)?);
                let sums = sums.as_ref().map_or_else(|| Ok(Vec::new()), |sums| part(&sums.values))?;
                let [all, m, v] = [&all, &m, &v].map(|part| part.chunks_exact(parameters));
                let mut sums = sums.chunks_exact(parameters);
                for (replica, ((all, m), v)) in (first..).zip(all.zip(m).zip(v)) {
                    let mut mask = vec![states::KEPT; parameters];
                    mask[span.clone()].copy_from_slice(&masks[replica * span.len()..(replica + 1) * span.len()]);
                    network.layout.missing().for_each(|bias| mask[bias.range()].fill(states::KEPT));
                    let sums = sums.next().unwrap_or_default().to_vec();
                    visit(Replica { parameters: all.to_vec(), m: m.to_vec(), v: v.to_vec(), mask, sums })?;
                }
            }
        }
        Ok(())
    }

    fn restore(&mut self, replicas: &[Replica<f32>]) -> Result<()> {
        let network = &self.plan.network;
        let (parameters, span) = (network.layout.parameters(), network.masked());
        let has_sums = replicas.iter().any(|replica| !replica.sums.is_empty());
        for wave in &mut self.waves {
            wave.sums = None;
            if has_sums {
                let sums = Sums::new(&self.gpu, self.choice.workgroup_size, parameters, &wave.state)?;
                for (place, replica) in replicas[wave.slots.clone()].iter().enumerate() {
                    sums.values.write(&self.gpu, place * parameters, &replica.sums)?;
                }
                wave.sums = Some(sums);
            }
            for (place, replica) in replicas[wave.slots.clone()].iter().enumerate() {
                wave.state.parameters.write(&self.gpu, place * parameters, &replica.parameters)?;
                wave.state.m.write(&self.gpu, place * parameters, &replica.m)?;
                wave.state.v.write(&self.gpu, place * parameters, &replica.v)?;
                let mut mask = replica.mask[span.clone()].to_vec();
                network.hold_missing(&mut mask);
                wave.state.mask.write(&self.gpu, place * span.len(), &mask)?;
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
