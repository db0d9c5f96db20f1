//! The engine on the GPU: waves of replicas, each step a few launches for all of them, many steps in one submission.

mod batch;
mod convolutions;
mod history;
mod launches;
mod room;
mod samples;
mod sweep;

use super::{
    Activity, Batch, Counts, DataHandle, DeviceDescription, Engine, Envelope, Footprint, HistoryShape, KernelTime,
    Overheads, Setup, SweepSize,
};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::gpu::{DeviceChoice, Gpu, LaunchTimes, RequestedLimits};
use batch::GpuBatch;
use samples::{LoadedData, lock};
use std::sync::{Arc, Mutex};

/// The GPU engine.
pub struct GpuEngine {
    gpu: Arc<Gpu>,
    description: DeviceDescription,
    data: Arc<Mutex<Vec<Arc<LoadedData>>>>,
}

impl GpuEngine {
    /// Opens a device. `checked` keeps bounds checks in the shaders; lowered `limits` are for tests.
    ///
    /// Fails with [`Error::NoDevice`] if there is none that fits.
    pub fn open(choice: &DeviceChoice, checked: bool, limits: RequestedLimits) -> Result<Self> {
        let gpu = Gpu::open(choice, checked, limits)?;
        let adapter = gpu.description();
        let description = DeviceDescription {
            name: adapter.name.clone(),
            kind: adapter.kind.to_string(),
            backend: adapter.backend.clone(),
            driver: adapter.driver.clone(),
            variant: if checked { "wgsl-stacked-checked" } else { "wgsl-stacked" }.to_string(),
        };
        Ok(Self { gpu: Arc::new(gpu), description, data: Arc::default() })
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
        Ok(Box::new(GpuBatch::new(Arc::clone(&self.gpu), Arc::clone(&self.data), setup)?))
    }

    fn footprint(&self, setup: &Setup<'_>, sweep: SweepSize) -> Result<Footprint> {
        GpuBatch::footprint(&self.gpu, &self.data, setup, sweep)
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

    fn activity(&self) -> Option<Activity> {
        Some(Activity { launches: self.gpu.dispatches(), submissions: self.gpu.submits() })
    }

    fn start_profile(&mut self) -> bool {
        self.gpu.start_profile()
    }

    fn take_profile(&mut self) -> Vec<KernelTime> {
        let kernel = |(kernel, LaunchTimes { launches, time })| KernelTime { kernel, launches, time };
        let mut times: Vec<KernelTime> = self.gpu.take_profile().into_iter().map(kernel).collect();
        times.sort_by_key(|time| std::cmp::Reverse(time.time));
        times
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
