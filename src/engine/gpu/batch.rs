//! Replicas of one network on the GPU.

mod masks;
mod networks;
mod sweep;
mod training;
mod weights;

use super::Variant;
use super::capacity::Capacity;
use super::launches::{ActivationSizes, Activations, Binder, Kernels, Network, Sequence, State, TrainingPath};
use super::samples::{self, BatchUploader, LoadedData, Pace};
use super::tuning::TuningChoice;
use crate::cpu::{he_normal, mask as states};
use crate::engine::{
    Evaluation, Footprint, MaskChange, Setup, StepLoss, Steps, SweepSize, Watch,
    backend::{BackendBatch, PackedPoint},
    loaded::Loaded,
};
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Gpu, Recorder, read_back};
use crate::kernels::dense_stack::Launches;
use crate::kernels::softmax_cross_entropy::BatchLoss;
use crate::kernels::{focus_sweep, he_normal as initial};
use crate::network::ParameterLayout;
use masks::MaskLaunches;
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::Arc;
use weights::Sums;

/// Replicas that fit the device's arrays together.
pub(super) struct Wave {
    /// Which slots.
    pub(super) slots: Range<usize>,
    /// Their parameters, moments and masks.
    pub(super) state: State,
    /// Made when masks change for the first time.
    mask_launches: Option<MaskLaunches>,
    /// Sums of the parameters over epochs, made for the first of them.
    sums: Option<Sums>,
}

/// Replicas on the GPU.
pub(super) struct GpuBatch {
    gpu: Arc<Gpu>,
    data: Arc<Mutex<Vec<Arc<LoadedData>>>>,
    plan: Plan,
    choice: TuningChoice,
    kernels: Kernels,
    seed: u64,
    replica_ids: Vec<u32>,
    waves: Vec<Wave>,
    training_activations: Activations,
    evaluation_activations: Activations,
    gradient: Buffer<f32>,
}

/// What a batch is made of: how the replicas are cut into waves, and how much room their steps need.
struct Plan {
    network: Network,
    training: Arc<LoadedData>,
    batch: usize,
    evaluation_samples: usize,
    path: TrainingPath,
    waves: Vec<Range<usize>>,
}

impl Plan {
    fn new(gpu: &Gpu, training: Arc<LoadedData>, variant: Variant, setup: &Setup<'_>) -> Result<Self> {
        let network = Network {
            architecture: setup.architecture.clone(),
            layout: ParameterLayout::new(setup.architecture),
            selection: setup.selection.clone(),
            scale: (1.0 / setup.pixel_scale) as f32,
        };
        let batch = setup.batch;
        let capacity = Capacity::of(gpu);
        let evaluation_samples = capacity.evaluation_samples(&network)?;
        let path = training_path(gpu, &network, variant, &capacity, batch);
        let most = capacity.slots(&network, training.words_per_sample(), batch, evaluation_samples, path)?;
        let slots = setup.replica_ids.len();
        let waves = (0..slots).step_by(most).map(|first| first..(first + most).min(slots)).collect();
        Ok(Self { network, training, batch, evaluation_samples, path, waves })
    }

    /// Replicas of the largest wave.
    fn largest(&self) -> usize {
        self.waves.iter().map(Range::len).max().unwrap_or(0)
    }

    /// Sizes of the activations of training and of evaluation.
    fn activations(&self) -> [ActivationSizes; 2] {
        [(self.batch, self.path), (self.evaluation_samples, TrainingPath::Evaluation)]
            .map(|(capacity, path)| ActivationSizes::new(&self.network, self.largest(), capacity, path))
    }

    /// Elements of the gradient with respect to all parameters.
    fn gradient(&self) -> usize {
        self.largest() * self.network.layout.parameters()
    }
}

impl GpuBatch {
    /// `choice` changes no bit.
    pub(super) fn new(
        gpu: Arc<Gpu>,
        data: Arc<Mutex<Vec<Arc<LoadedData>>>>,
        training: Arc<LoadedData>,
        variant: Variant,
        setup: &Setup<'_>,
        choice: TuningChoice,
    ) -> Result<Self> {
        let plan = Plan::new(&gpu, training, variant, setup)?;
        let [training, evaluation] = plan.activations();
        let wave = |slots: &Range<usize>| Wave::new(&gpu, choice.workgroup_size, &plan.network, setup, slots.clone());
        Ok(Self {
            kernels: Kernels::new(&gpu, &plan.network, plan.path, choice)?,
            choice,
            training_activations: Activations::new(&gpu, training)?,
            evaluation_activations: Activations::new(&gpu, evaluation)?,
            gradient: Buffer::new(&gpu, "parameter gradient", plan.gradient())?,
            waves: plan.waves.iter().map(wave).collect::<Result<_>>()?,
            plan,
            gpu,
            data,
            seed: setup.seed,
            replica_ids: setup.replica_ids.to_vec(),
        })
    }

    /// Bytes of what [`Self::new`] makes, of the samples that steps bring, and of the arrays of a sweep.
    pub(super) fn footprint(
        gpu: &Gpu,
        training: Arc<LoadedData>,
        variant: Variant,
        setup: &Setup<'_>,
        sweep: SweepSize,
    ) -> Result<Footprint> {
        let plan = Plan::new(gpu, training, variant, setup)?;
        let Network { architecture, layout, .. } = &plan.network;
        let bytes = |words: usize| 4 * words as u64;
        let state = setup.replica_ids.len() * (3 * layout.parameters() + plan.network.masked().len());
        let activations: usize = plan.activations().iter().map(ActivationSizes::words).sum();
        let mut uploader = BatchUploader::words(gpu, &plan.training, plan.largest(), plan.batch);
        let fused = plan.network.whole_stack(plan.largest(), plan.batch);
        if let Some(shape) = fused.filter(|_| plan.path == TrainingPath::FusedTraining) {
            let (steps, launches) = BatchUploader::launched(gpu, &plan.training, &shape, gpu.usual_workgroup_size());
            uploader += launches * Launches::words(&shape, steps);
        }
        let of_points = match sweep.first_layer {
            Some(_) => plan.networks_words(gpu, sweep.points),
            None => {
                sweep.points.div_ceil(plan.waves.len())
                    * focus_sweep::point_words(architecture.focus_shape(), sweep.samples)
            }
        };
        Ok(Footprint {
            state: bytes(state),
            activations: bytes(activations + plan.gradient() + uploader),
            sweep: bytes(of_points),
        })
    }

    fn slots(&self) -> usize {
        self.waves.last().map_or(0, |wave| wave.slots.end)
    }

    /// Samples of a step of an evaluation of `data`: fewer where its images do not stay on the device and are large.
    fn evaluation_step(&self, data: &LoadedData) -> Result<usize> {
        match Capacity::of(&self.gpu).words / data.words_per_sample() {
            0 => Err(Error::OutOfMemory(format!("one image of {} does not fit", data.host().name))),
            fitting => Ok(self.plan.evaluation_samples.min(1 << fitting.ilog2())),
        }
    }

    /// What launches on a wave are bound to.
    fn binder<'a>(&'a self, wave: &'a Wave, uploader: &'a BatchUploader, activations: &'a Activations) -> Binder<'a> {
        Binder {
            gpu: &self.gpu,
            kernels: &self.kernels,
            network: &self.plan.network,
            uploader,
            state: &wave.state,
            activations,
        }
    }
}

/// The widest way to train that the sizes allow, given what suits the device: fused kernels where all hidden layers have the
/// same number of units, at most 32; else each dense layer by itself.
fn training_path(gpu: &Gpu, network: &Network, variant: Variant, capacity: &Capacity, batch: usize) -> TrainingPath {
    // What a driver completes may depend on the size of workgroups, and ways to train differ in their bits: so the usual
    // size counts, whatever was measured.
    let whole = network.whole_stack(1, batch);
    let fuses = whole.is_some_and(|whole| whole.most_steps(gpu, gpu.usual_workgroup_size()) > 0);
    if variant == Variant::Fused && fuses && capacity.fuses(network, batch) {
        TrainingPath::FusedTraining
    } else if network.stack(1, batch).is_some_and(|stack| stack.fits(gpu)) && capacity.stacks(network, batch) {
        TrainingPath::StackedTraining
    } else {
        TrainingPath::Training
    }
}

impl Wave {
    /// Makes room for the replicas in `slots` and fills in their initial weights.
    fn new(gpu: &Gpu, workgroup_size: u32, network: &Network, setup: &Setup<'_>, slots: Range<usize>) -> Result<Self> {
        let replicas = slots.len();
        let parameters = replicas * network.layout.parameters();
        let mut mask = vec![states::KEPT; network.masked().len()];
        network.hold_missing(&mut mask);
        let state = State {
            replicas,
            parameters: Buffer::new(gpu, "parameters", parameters)?,
            m: Buffer::new(gpu, "m", parameters)?,
            v: Buffer::new(gpu, "v", parameters)?,
            mask: Buffer::from_slice(gpu, "mask", &mask.repeat(replicas))?,
        };
        let replica_ids = Buffer::from_slice(gpu, "replica ids", &setup.replica_ids[slots.clone()])?;
        let fill = initial::Fill::new(gpu, workgroup_size)?;
        let mut recorder = Recorder::new(gpu, "initial weights");
        for (tensor, layout) in (0..).zip(&network.layout.tensors) {
            if let Some(fan_in) = layout.fan_in {
                let arguments = initial::FillArguments {
                    parameters_per_replica: network.layout.parameters(),
                    offset: layout.offset,
                    weights: layout.len(),
                    tensor,
                    seed: setup.seed,
                    scale: he_normal::scale(fan_in) as f32,
                    replica_ids: &replica_ids,
                    parameters: &state.parameters,
                };
                fill.bind(gpu, &arguments)?.record_once(&mut recorder)?;
            }
        }
        recorder.submit()?;
        Ok(Self { slots, state, mask_launches: None, sums: None })
    }
}

impl BackendBatch for GpuBatch {
    fn train(&mut self, steps: &Steps<'_>, rates: &[f32], watch: &Watch<'_>) -> Result<Vec<StepLoss>> {
        self.train_waves(steps, rates, watch)
    }

    fn change_masks(&mut self, change: MaskChange, weight_count: &[u32]) -> Result<()> {
        let (gpu, network, workgroup_size) = (&self.gpu, &self.plan.network, self.choice.workgroup_size);
        for Wave { slots, state, mask_launches, .. } in &mut self.waves {
            let launches = match mask_launches {
                Some(launches) => launches,
                None => mask_launches.insert(MaskLaunches::new(gpu, workgroup_size, network, self.seed, state)?),
            };
            let (ids, counts) = (&self.replica_ids[slots.clone()], &weight_count[slots.clone()]);
            launches.change(gpu, network, state, change, ids, counts)?;
        }
        Ok(())
    }

    fn logits(&mut self, data: &Loaded, samples: Range<usize>) -> Result<Vec<f32>> {
        let data = samples::at(&self.data, data.place);
        let classes = self.plan.network.architecture.classes;
        let count = samples.len();
        let mut logits = vec![0.0; self.slots() * count * classes];
        let (gpu, activations) = (&self.gpu, &self.evaluation_activations);
        let step = self.evaluation_step(&data)?;
        let mut uploader = BatchUploader::in_order(gpu, &data, step)?;
        for wave in &self.waves {
            let layers = 0..self.plan.network.layers().len();
            let launches = Sequence::forward(self.binder(wave, &uploader, activations), layers)?;
            for batch in steps_of(samples.clone(), step) {
                uploader.load_in_order(gpu, std::slice::from_ref(&batch), 0)?;
                let mut recorder = Recorder::new(gpu, "logits");
                launches.record(&mut recorder, 0, batch.len())?;
                recorder.submit()?;
                let found = read_back(gpu, activations.logits())?;
                for (slot, found) in wave.slots.clone().zip(found.chunks_exact(activations.capacity * classes)) {
                    let first = (slot * count + batch.start - samples.start) * classes;
                    logits[first..first + batch.len() * classes].copy_from_slice(&found[..batch.len() * classes]);
                }
            }
        }
        Ok(logits)
    }

    fn evaluate(&mut self, data: &Loaded, watch: &Watch<'_>) -> Result<Vec<Evaluation>> {
        let data = samples::at(&self.data, data.place);
        let (gpu, samples) = (&self.gpu, data.host().samples());
        let step = self.evaluation_step(&data)?;
        let mut uploader = BatchUploader::in_order(gpu, &data, step)?;
        let batches = steps_of(0..samples, step);
        let mut evaluations = Vec::new();
        for wave in &self.waves {
            let replicas = wave.state.replicas;
            // A pair of words for each replica and step of a submission.
            let rows = uploader.steps.len().min(Capacity::of(gpu).words / (2 * replicas)).max(1);
            let losses = Buffer::new(gpu, "losses", rows * replicas)?;
            let launches =
                Sequence::evaluation(self.binder(wave, &uploader, &self.evaluation_activations), 0, &losses)?;
            let record = |recorder: &mut Recorder<'_>, step, samples| launches.record(recorder, step, samples);
            let done = |samples| (watch.progress)((samples * replicas) as u64);
            evaluations.extend(evaluate_steps(
                gpu,
                &mut uploader,
                &batches,
                &losses,
                [rows, replicas],
                &record,
                &done,
                watch,
            )?);
        }
        Ok(evaluations)
    }

    fn sweep_focus(&mut self, data: &Loaded, points: &[PackedPoint], watch: &Watch<'_>) -> Result<Vec<Evaluation>> {
        let data = samples::at(&self.data, data.place);
        let step = self.evaluation_step(&data)?;
        let unknown = Evaluation { loss: 0.0, correct: 0, samples: data.host().samples() as u32 };
        let mut evaluations = vec![unknown; points.len()];
        for wave in &self.waves {
            let own: Vec<usize> = (0..points.len()).filter(|&point| wave.slots.contains(&points[point].slot)).collect();
            let chosen: Vec<&PackedPoint> = own.iter().map(|&point| &points[point]).collect();
            for (point, evaluation) in own.into_iter().zip(self.sweep_wave(wave, &data, step, &chosen, watch)?) {
                evaluations[point] = evaluation;
            }
        }
        Ok(evaluations)
    }
}

/// Evaluates networks, replicas side by side, on steps of samples, as many in a submission as suits the device: `record` records
/// the launches of a step, which leave their `losses` `[row, replica]`, and `done` hears how many samples a step had.
fn evaluate_steps(
    gpu: &Gpu,
    uploader: &mut BatchUploader,
    batches: &[Range<usize>],
    losses: &Buffer<BatchLoss>,
    [rows, replicas]: [usize; 2],
    record: &dyn Fn(&mut Recorder<'_>, u32, usize) -> Result<()>,
    done: &dyn Fn(usize),
    watch: &Watch<'_>,
) -> Result<Vec<Evaluation>> {
    let samples: usize = batches.iter().map(Range::len).sum();
    let mut sums = vec![(0.0, 0); replicas];
    let mut pace = Pace::new();
    let mut rest = batches;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(uploader.fitting(rest, pace.steps().min(rows)));
        uploader.load_in_order(gpu, now, 0)?;
        let mut recorder = Recorder::new(gpu, "evaluation");
        for (step, batch) in (0..).zip(now) {
            record(&mut recorder, step, batch.len())?;
        }
        recorder.submit()?;
        let found = read_back(gpu, losses)?;
        pace.completed(now.len());
        for (batch, found) in now.iter().zip(found.chunks_exact(replicas)) {
            for ((loss, correct), found) in sums.iter_mut().zip(found) {
                *loss += f64::from(found.mean) * batch.len() as f64;
                *correct += found.correct;
            }
            done(batch.len());
        }
        watch.check()?;
        rest = later;
    }
    let evaluation =
        |(loss, correct): (f64, u32)| Evaluation { loss: loss / samples as f64, correct, samples: samples as u32 };
    Ok(sums.into_iter().map(evaluation).collect())
}

/// Cuts samples into steps of an evaluation.
pub(super) fn steps_of(samples: Range<usize>, most: usize) -> Vec<Range<usize>> {
    samples.clone().step_by(most).map(|first| first..(first + most).min(samples.end)).collect()
}
