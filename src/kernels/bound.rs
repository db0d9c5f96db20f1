//! A kernel that is tied to its arrays and ready to be launched.

use super::grid;
use crate::error::{Error, Result};
use crate::gpu::{Bindable, BoundKernel, Cost, Gpu, Kernel, Recorder, Shader};

/// A kernel with its arrays, the samples that they hold for each replica, and how its grid follows from those of a step.
pub struct Bound {
    kernel: BoundKernel,
    capacity: usize,
    grid: Box<dyn Fn(usize) -> [u32; 3] + Send + Sync>,
}

impl Bound {
    /// A kernel whose arrays hold `capacity` samples of each replica; `grid` gives the workgroups for the samples of a step.
    pub(super) fn new(
        kernel: BoundKernel,
        capacity: usize,
        grid: impl Fn(usize) -> [u32; 3] + Send + Sync + 'static,
    ) -> Self {
        Self { kernel, capacity, grid: Box::new(grid) }
    }

    /// A kernel that knows no samples: the grid is always the same.
    pub(super) fn fixed(kernel: BoundKernel, workgroups: [u32; 3]) -> Self {
        Self::new(kernel, usize::MAX, move |_| workgroups)
    }

    /// The name of the kernel, which may be a variant.
    pub fn name(&self) -> &'static str {
        self.kernel.name()
    }

    /// Records one launch for the step in record `step`, which has `samples` samples of each replica.
    ///
    /// Fails with [`Error::Shape`] if the arrays hold fewer samples, or the kernel reads no step.
    pub fn record(&self, recorder: &mut Recorder<'_>, step: u32, samples: usize) -> Result<()> {
        if samples > self.capacity {
            let (name, capacity) = (self.name(), self.capacity);
            return Err(Error::Shape(format!("{name}: a step of {samples} samples, room for {capacity}")));
        }
        recorder.dispatch(&self.kernel, (self.grid)(samples), Some(step))
    }

    /// Records one launch of a kernel that reads no step. Fails with [`Error::Shape`] if it reads one.
    pub fn record_once(&self, recorder: &mut Recorder<'_>) -> Result<()> {
        recorder.dispatch(&self.kernel, (self.grid)(0), None)
    }
}

/// Which kernel of a pass runs, and with how many invocations of a workgroup, which change no bit.
#[derive(Clone, Copy)]
pub(super) struct Choice {
    pub(super) workgroup_size: u32,
    pub(super) naive: bool,
}

impl Choice {
    /// Compiles a kernel and binds it for replicas that have room for so many samples; an invocation owns one of the `tiles`
    /// of the samples of a step.
    pub(super) fn bind(
        self,
        gpu: &Gpu,
        shader: &'static Shader,
        [replicas, capacity]: [usize; 2],
        arrays: &[&dyn Bindable],
        cost: Cost,
        tiles: impl Fn(usize) -> usize + Send + Sync + 'static,
    ) -> Result<Bound> {
        let size = self.workgroup_size;
        let kernel = Kernel::new(gpu, shader, &[("WORKGROUP_SIZE", size)])?.bind(gpu, arrays)?.costing(cost);
        Ok(Bound::new(kernel, capacity, move |samples| grid(tiles(samples), size, replicas)))
    }
}
