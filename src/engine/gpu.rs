//! The engine on the GPU: waves of replicas, each step a few launches for all of them, many steps in one submission.

mod batch;
mod capacity;
mod history;
mod importance;
mod launches;
mod layer;
mod samples;
mod surgeon;
mod tuning;

pub use tuning::{Tuning, TuningChoice, TuningStore};

use super::backend::{Backend, BackendBatch};
use super::loaded::Loaded;
use super::surgeon::{Moments, PathStep, chain_behind};
use super::surgeon_layer::{ChainLayer, Refit, SurgeonLayer};
use super::{
    Counts, DeviceDescription, Envelope, Footprint, HistoryShape, Overheads, RateSchedule, Setup, Steps, SweepSize,
    Watch,
};
use crate::data::Dataset;
use crate::data::batches::step_ranges;
use crate::error::Result;
use crate::gpu::{DeviceChoice, Gpu, RequestedLimits};
use crate::network::Architecture;
use batch::GpuBatch;
use parking_lot::Mutex;
use samples::LoadedData;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a training step goes through dense layers of the same width, at most 32 units; wider ones, and layers that differ in
/// width, are always launched one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The first layer spread over the whole device, the others one workgroup for each replica, the update over the whole
    /// device: four launches, for devices that few workgroups do not fill.
    Stacked,
    /// All layers and the update one workgroup for each replica, many steps in a launch.
    Fused,
}

impl Variant {
    /// What suits a device: a discrete GPU has many times more processors than a job has replicas. The number of replicas
    /// has no say, since variants differ in their bits.
    fn of(gpu: &Gpu) -> Self {
        match gpu.description().kind {
            "software" | "integrated GPU" => Self::Fused,
            _ => Self::Stacked,
        }
    }

    /// Its name in the description of the device.
    fn name(self, gpu: &Gpu) -> String {
        let path = match self {
            Self::Stacked => "stacked",
            Self::Fused => "fused",
        };
        format!("wgsl-{path}{}", if gpu.is_checked() { "-checked" } else { "" })
    }
}

/// The GPU behind an [`super::Engine`]: `Engine::from(GpuBackend::with_variant(..))`.
pub struct GpuBackend {
    gpu: Arc<Gpu>,
    variant: Variant,
    description: DeviceDescription,
    /// By place.
    data: Arc<Mutex<Vec<Arc<LoadedData>>>>,
    store: TuningStore,
    asked: Option<TuningChoice>,
    /// By subject, as far as it is known.
    tunings: HashMap<String, Tuning>,
    /// That of the last batch.
    tuning: Option<Tuning>,
}

/// Replicas that a choice is measured with, if there are as many.
const MEASURED_REPLICAS: usize = 8;
/// How long a measurement of steps takes.
const MEASURED: Duration = Duration::from_millis(30);
/// Measurements of each choice; the fastest counts.
const MEASUREMENTS: usize = 3;

impl GpuBackend {
    /// Opens a device. `checked` keeps bounds checks in the shaders; lowered `limits` are for tests.
    ///
    /// Fails with [`crate::error::Error::NoDevice`] if there is none that fits.
    pub fn open(choice: &DeviceChoice, checked: bool, limits: RequestedLimits) -> Result<Self> {
        let gpu = Gpu::open(choice, checked, limits)?;
        let variant = Variant::of(&gpu);
        Ok(Self::with_variant(gpu, variant))
    }

    /// An engine on a device that is open, with a variant that need not be the one that suits it.
    pub fn with_variant(gpu: Gpu, variant: Variant) -> Self {
        let adapter = gpu.description();
        let description = DeviceDescription {
            name: adapter.name.clone(),
            kind: adapter.kind.to_string(),
            backend: adapter.backend.clone(),
            driver: adapter.driver.clone(),
            variant: variant.name(&gpu),
        };
        Self {
            gpu: Arc::new(gpu),
            variant,
            description,
            data: Arc::default(),
            store: TuningStore::Off,
            asked: None,
            tunings: HashMap::new(),
            tuning: None,
        }
    }

    /// Lets a measurement choose what changes no bit, and keeps the choice in `store`.
    pub fn tuned(self, store: TuningStore) -> Self {
        Self { store, ..self }
    }

    /// Takes this choice for every batch and history, whatever a measurement would say.
    pub fn with_choice(self, choice: TuningChoice) -> Self {
        Self { asked: Some(choice), ..self }
    }

    /// The choice for a batch.
    fn tune(&mut self, setup: &Setup<'_>, training: &Loaded) -> Result<Tuning> {
        let usual = TuningChoice { workgroup_size: self.workgroup_size(), replica_step_us: 0.0 };
        if let Some(choice) = self.asked {
            return Ok(Tuning { choice, origin: "as asked".into(), measured: Vec::new() });
        }
        let DeviceDescription { name: device, driver, variant, .. } = &self.description;
        let subject =
            tuning::TuningKey { device, driver, variant, architecture: setup.architecture, batch: setup.batch };
        let key = subject.key();
        if let Some(known) = self.tunings.get(&key) {
            return Ok(known.clone());
        }
        let (started, before) = (Instant::now(), self.overheads());
        let tuning =
            subject.tune(&self.store, usual, |choice| self.seconds_per_replica_step(setup, training, choice))?;
        let Overheads { build, transfer } = self.overheads();
        let charged = build + transfer - before.build - before.transfer;
        // Nobody who measures training is to find this in it.
        self.gpu.add_build_time(started.elapsed().saturating_sub(charged));
        self.tunings.insert(key, tuning.clone());
        Ok(tuning)
    }

    /// Invocations of a workgroup where no clock chooses.
    fn workgroup_size(&self) -> u32 {
        self.asked.map_or_else(|| self.gpu.usual_workgroup_size(), |choice| choice.workgroup_size)
    }

    /// What a step of one of a few replicas takes with a choice, compiled and warmed up.
    fn seconds_per_replica_step(&self, setup: &Setup<'_>, training: &Loaded, choice: TuningChoice) -> Result<f64> {
        let replicas = setup.replica_ids.len().min(MEASURED_REPLICAS);
        let few = Setup { replica_ids: &setup.replica_ids[..replicas], ..setup.clone() };
        let mut batch = self.batch(&few, training, choice)?;
        let samples = training.set.samples();
        let orders = vec![(0..samples as u32).collect::<Arc<[u32]>>(); replicas];
        let ranges = step_ranges(samples, setup.batch)?;
        let watch = Watch::nobody();
        let mut taken = 0;
        let mut time = |steps: usize| -> Result<f64> {
            let batches: Vec<_> = ranges.iter().cloned().cycle().take(steps).collect();
            let start = Instant::now();
            let rates = RateSchedule::Constant.rates(taken, steps);
            let steps_of = Steps { first_step: taken, orders: &orders, batches: &batches, decay: 1.0 };
            batch.train(&steps_of, &rates, &watch)?;
            taken += steps as u64;
            Ok(start.elapsed().as_secs_f64() / steps as f64)
        };
        // Compiles.
        time(1)?;
        let once = time(2)?;
        let steps = ((MEASURED.as_secs_f64() / once) as usize).max(1);
        let mut fastest = once;
        for _ in 0..MEASUREMENTS {
            fastest = fastest.min(time(steps)?);
        }
        Ok(fastest / replicas as f64)
    }

    fn batch(&self, setup: &Setup<'_>, training: &Loaded, choice: TuningChoice) -> Result<GpuBatch> {
        let data = samples::at(&self.data, training.place);
        GpuBatch::new(Arc::clone(&self.gpu), Arc::clone(&self.data), data, self.variant, setup, choice)
    }

    /// The device.
    pub fn device(&self) -> &Arc<Gpu> {
        &self.gpu
    }
}

impl Backend for GpuBackend {
    fn description(&self) -> &DeviceDescription {
        &self.description
    }

    fn load(&mut self, set: &Arc<Dataset>) -> Result<()> {
        let data = LoadedData::new(&self.gpu, set)?;
        self.data.lock().push(Arc::new(data));
        Ok(())
    }

    fn begin(&mut self, setup: &Setup<'_>, training: &Loaded) -> Result<Box<dyn BackendBatch>> {
        let tuning = self.tune(setup, training)?;
        let batch = self.batch(setup, training, tuning.choice)?;
        self.tuning = Some(tuning);
        Ok(Box::new(batch))
    }

    fn tuning(&self) -> Option<&Tuning> {
        self.tuning.as_ref()
    }

    fn footprint(&self, setup: &Setup<'_>, training: &Loaded, sweep: SweepSize) -> Result<Footprint> {
        GpuBatch::footprint(&self.gpu, samples::at(&self.data, training.place), self.variant, setup, sweep)
    }

    fn rank(&mut self, shape: HistoryShape, history: &[f32]) -> Result<Vec<u32>> {
        history::rank(&self.gpu, self.workgroup_size(), shape, history)
    }

    fn count(&mut self, shape: HistoryShape, history: &[f32], lower: &[f32], upper: &[f32]) -> Result<Counts> {
        history::count(&self.gpu, self.workgroup_size(), shape, history, lower, upper)
    }

    fn envelope(&mut self, shape: HistoryShape, history: &[f32], windows: &[u32]) -> Result<Envelope> {
        history::envelope(&self.gpu, self.workgroup_size(), shape, history, windows)
    }

    fn moments(&self, _: &SurgeonLayer<'_>, _: &Watch<'_>) -> Result<Moments> {
        Ok(Moments::none())
    }

    fn paths(
        &self,
        layer: &SurgeonLayer<'_>,
        _: Option<&Moments>,
        ratios: Option<&[f32]>,
        watch: &Watch<'_>,
    ) -> Result<Vec<Vec<PathStep<f32>>>> {
        surgeon::paths(&self.gpu, layer, ratios, watch)
    }

    fn refit(
        &self,
        layer: &SurgeonLayer<'_>,
        _: Option<&Moments>,
        cuts: &[&[bool]],
        watch: &Watch<'_>,
    ) -> Result<Vec<Refit>> {
        let one = |&kept: &&[bool]| surgeon::refit(&self.gpu, &SurgeonLayer { kept, ..*layer }, watch);
        cuts.iter().map(one).collect()
    }

    fn refit_behind(
        &self,
        layers: &[ChainLayer<'_>],
        first: Vec<Refit>,
        cuts: &[Vec<&[bool]>],
        watch: &Watch<'_>,
    ) -> Result<Vec<Vec<Refit>>> {
        let solve = |layer: &SurgeonLayer<'_>| Ok(vec![surgeon::refit(&self.gpu, layer, watch)?]);
        first.into_iter().zip(cuts).map(|(first, cut)| chain_behind(layers, first, cut, solve)).collect()
    }

    fn importance(&self, architecture: &Architecture, parameters: &[f32], images: &[f32]) -> Result<Vec<Vec<f64>>> {
        importance::importance(&self.gpu, architecture, parameters, images)
    }

    fn gpu(&self) -> Option<&Arc<Gpu>> {
        Some(&self.gpu)
    }

    fn overheads(&self) -> Overheads {
        Overheads { build: self.gpu.build_time(), transfer: self.gpu.transfer_time() }
    }
}
