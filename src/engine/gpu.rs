//! The engine on the GPU: waves of replicas, each step a few launches for all of them, many steps in one submission.

mod batch;
mod convolutions;
mod history;
mod launches;
mod room;
mod samples;
mod sweep;

use super::{Batch, Counts, DataHandle, DeviceDescription, Engine, Envelope, HistoryShape, Overheads, Setup};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::gpu::{DeviceChoice, Gpu, RequestedLimits};
use crate::kernels::dense_stack::Tiles;
use batch::GpuBatch;
use samples::{LoadedData, lock};
use std::sync::{Arc, Mutex};

/// How a training step goes through dense layers of at most 32 units; wider ones are always launched one by one.
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
        let tiles = match (self, Tiles::of(gpu)) {
            (Self::Stacked, _) => "stacked",
            (Self::Fused, Tiles::Single { .. }) => "fused",
            (Self::Fused, Tiles::Lanes) => "fused-lanes8",
        };
        format!("wgsl-{tiles}{}", if gpu.is_checked() { "-checked" } else { "" })
    }
}

/// The GPU engine.
pub struct GpuEngine {
    gpu: Arc<Gpu>,
    variant: Variant,
    description: DeviceDescription,
    data: Arc<Mutex<Vec<Arc<LoadedData>>>>,
}

impl GpuEngine {
    /// Opens a device. `checked` keeps bounds checks in the shaders; lowered `limits` are for tests.
    ///
    /// Fails with [`Error::NoDevice`] if there is none that fits.
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
        Self { gpu: Arc::new(gpu), variant, description, data: Arc::default() }
    }

    /// The device: its counters say how many launches and submissions there were.
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }
}

impl Engine for GpuEngine {
    fn description(&self) -> &DeviceDescription {
        &self.description
    }

    fn load(&mut self, data: &Arc<Dataset>) -> Result<DataHandle> {
        let mut loaded = lock(&self.data);
        if let Some(index) = loaded.iter().position(|known| Arc::ptr_eq(known.host(), data)) {
            return Ok(DataHandle(index));
        }
        loaded.push(Arc::new(LoadedData::new(&self.gpu, data)?));
        Ok(DataHandle(loaded.len() - 1))
    }

    fn begin(&mut self, setup: &Setup<'_>) -> Result<Box<dyn Batch>> {
        Ok(Box::new(GpuBatch::new(Arc::clone(&self.gpu), Arc::clone(&self.data), self.variant, setup)?))
    }

    fn rank(&mut self, shape: HistoryShape, history: &[f32]) -> Result<Vec<u32>> {
        check_history(shape, history)?;
        history::rank(&self.gpu, shape, history)
    }

    fn count(&mut self, shape: HistoryShape, history: &[f32], lower: &[f32], upper: &[f32]) -> Result<Counts> {
        check_history(shape, history)?;
        if lower.len() != upper.len() || !lower.len().is_multiple_of(shape.columns().max(1)) {
            return Err(Error::Shape(format!(
                "{} lower and {} upper bounds are not a pair for each of {} columns and tolerance",
                lower.len(),
                upper.len(),
                shape.columns()
            )));
        }
        history::count(&self.gpu, shape, history, lower, upper)
    }

    fn envelope(&mut self, shape: HistoryShape, history: &[f32], windows: &[u32]) -> Result<Envelope> {
        check_history(shape, history)?;
        let ascending = windows.is_sorted() && windows.iter().all(|&w| (1..=shape.epochs).contains(&(w as usize)));
        if !ascending {
            return Err(Error::Shape(format!(
                "windows {windows:?} must ascend and lie between 1 and the {} recorded epochs",
                shape.epochs
            )));
        }
        history::envelope(&self.gpu, shape, history, windows)
    }

    fn overheads(&self) -> Overheads {
        Overheads { build: self.gpu.build_time(), transfer: self.gpu.transfer_time() }
    }
}

fn check_history(shape: HistoryShape, history: &[f32]) -> Result<()> {
    if history.len() != shape.len() {
        return Err(Error::Shape(format!(
            "a history of {} weights is not {} epochs x {} replicas x {} nodes",
            history.len(),
            shape.epochs,
            shape.replicas,
            shape.nodes
        )));
    }
    Ok(())
}
