//! Many pruned networks at once: their parameters are made on the device, as if they were replicas, and go through the same
//! launches. What lies before the first layer that differs is computed for the slots, and copied.

use super::{GpuBatch, Plan, Wave, evaluate_steps, steps_of};
use crate::engine::{
    Evaluation, Watch,
    backend::{BackendNetworks, Content, PrunedNetwork},
    gpu::capacity::Capacity,
    gpu::launches::{ActivationSizes, Activations, Binder, Sequence, State, TrainingPath},
    gpu::samples::{self, BatchUploader, LoadedData},
    loaded::Loaded,
};
use crate::error::Result;
use crate::gpu::{Buffer, Gpu, Recorder};
use crate::kernels::mask::{Apply, ApplyArguments};
use std::sync::Arc;

impl Plan {
    /// Networks that are evaluated side by side, of so many.
    fn points(&self, gpu: &Gpu, networks: usize) -> usize {
        Capacity::of(gpu).points(&self.network, self.evaluation_samples).min(networks)
    }

    /// Sizes of what their layers produce.
    fn point_activations(&self, points: usize) -> ActivationSizes {
        ActivationSizes::new(&self.network, points, self.evaluation_samples, TrainingPath::Evaluation)
    }

    /// Words of the arrays of a sweep over so many networks.
    pub(super) fn networks_words(&self, gpu: &Gpu, networks: usize) -> usize {
        let (points, parameters) = (self.points(gpu, networks), self.network.layout.parameters());
        self.point_activations(points).words() + points * (parameters + parameters.div_ceil(32) + 1)
    }
}

impl BackendNetworks for GpuBatch {
    fn sweep_networks(
        &mut self,
        data: &Loaded,
        first: usize,
        networks: &[PrunedNetwork],
        watch: &Watch<'_>,
    ) -> Result<Vec<Evaluation>> {
        let (gpu, data) = (&self.gpu, samples::at(&self.data, data.place));
        let unknown = Evaluation { loss: 0.0, correct: 0, samples: data.host().samples() as u32 };
        let mut evaluations = vec![unknown; networks.len()];
        if networks.is_empty() {
            return Ok(evaluations);
        }
        let points = self.plan.points(gpu, networks.len());
        let activations = Activations::new(gpu, self.plan.point_activations(points))?;
        for wave in &self.waves {
            let own: Vec<usize> =
                (0..networks.len()).filter(|&place| wave.slots.contains(&networks[place].slot)).collect();
            for group in own.chunks(points) {
                watch.check()?;
                let chosen: Vec<&PrunedNetwork> = group.iter().map(|&place| &networks[place]).collect();
                let found = self.evaluate_group(wave, &data, first, &chosen, &activations, watch)?;
                for (&place, found) in group.iter().zip(found) {
                    evaluations[place] = found;
                }
                (watch.progress)(group.len() as u64);
            }
        }
        Ok(evaluations)
    }
}

impl GpuBatch {
    /// Those of one wave that fit side by side.
    fn evaluate_group(
        &self,
        wave: &Wave,
        data: &Arc<LoadedData>,
        first: usize,
        networks: &[&PrunedNetwork],
        activations: &Activations,
        watch: &Watch<'_>,
    ) -> Result<Vec<Evaluation>> {
        let (gpu, step, points) = (&self.gpu, self.evaluation_step(data)?, networks.len());
        let mut uploader = BatchUploader::in_order(gpu, data, step)?;
        let batches = steps_of(0..data.host().samples(), step);
        let rows = uploader.steps.len().min(Capacity::of(gpu).words / (2 * points)).max(1);
        let losses = Buffer::new(gpu, "losses", rows * points)?;
        let state = self.pruned(wave, networks)?;
        let own = self.binder(wave, &uploader, &self.evaluation_activations);
        // Of networks that bring all their parameters the first of each slot has what is common to them.
        let mut firsts: Vec<&PrunedNetwork> = Vec::new();
        for &network in networks.iter().filter(|network| matches!(network.content, Content::Parameters(_))) {
            if firsts.iter().all(|known| known.slot != network.slot) {
                firsts.push(network);
            }
        }
        let shared = if first > 0 && !firsts.is_empty() { Some(self.pruned(wave, &firsts)?) } else { None };
        let before = Sequence::forward(Binder { state: shared.as_ref().unwrap_or(own.state), ..own }, 0..first)?;
        let place = |network: &PrunedNetwork| match shared {
            Some(_) => firsts.iter().position(|known| known.slot == network.slot).unwrap_or(0),
            None => network.slot - wave.slots.start,
        };
        let after = Sequence::evaluation(Binder { state: &state, activations, ..own }, first, &losses)?;
        let record = |recorder: &mut Recorder<'_>, step: u32, samples: usize| {
            before.record(recorder, step, samples)?;
            if let Some(last) = first.checked_sub(1) {
                let (from, to) = (self.evaluation_activations.output(last), activations.output(last));
                let (units, capacity) = (self.plan.network.layers()[last].output_len(), activations.capacity);
                for (point, network) in networks.iter().enumerate() {
                    let [source, target] = [place(network), point].map(|index| index * capacity * units);
                    recorder.copy(from, source, to, target, samples * units)?;
                }
            }
            after.record(recorder, step, samples)
        };
        evaluate_steps(gpu, &mut uploader, &batches, &losses, [rows, points], &record, &|_| {}, watch)
    }

    /// The parameters of these networks, as if they were replicas; there is nothing to train them with.
    fn pruned(&self, wave: &Wave, networks: &[&PrunedNetwork]) -> Result<State> {
        let (gpu, parameters) = (&self.gpu, self.plan.network.layout.parameters());
        let pruned = Buffer::new(gpu, "pruned networks", networks.len() * parameters)?;
        let words = parameters.div_ceil(32);
        let mut kept = Vec::new();
        let mut replicas = Vec::new();
        for (point, network) in networks.iter().enumerate() {
            match &network.content {
                Content::Kept(mask) => {
                    kept.resize(point * words, 0);
                    kept.extend_from_slice(mask);
                }
                Content::Parameters(own) => pruned.write(gpu, point * parameters, own)?,
            }
            replicas.push((network.slot - wave.slots.start) as u32);
        }
        // All networks of a sweep are of one kind.
        if !kept.is_empty() {
            let arguments = ApplyArguments {
                points: networks.len(),
                replicas: wave.state.replicas,
                parameters_per_replica: parameters,
                kept: &Buffer::from_slice(gpu, "kept", &kept)?,
                point_replica: &Buffer::from_slice(gpu, "point replicas", &replicas)?,
                parameters: &wave.state.parameters,
                pruned: &pruned,
            };
            let mut recorder = Recorder::new(gpu, "pruned networks");
            let apply = Apply::new(gpu, self.choice.workgroup_size)?;
            apply.bind(gpu, &arguments)?.record_once(&mut recorder)?;
            recorder.submit()?;
        }
        let unused = || Buffer::new(gpu, "unused", 1);
        Ok(State {
            replicas: networks.len(),
            parameters: pruned,
            m: unused()?,
            v: unused()?,
            mask: Buffer::new(gpu, "unused", 1)?,
        })
    }
}
