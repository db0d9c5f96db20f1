//! `magnitude_sort.rank`: ranks by descending magnitude, by counting in small layers and by a radix sort in large ones.

pub(super) mod radix;

pub use radix::{RADIX_COUNT, RADIX_KEYS, RADIX_RANK, RADIX_SCAN, RADIX_SCATTER};

use super::{read, require, require_positive, write};
use crate::error::Result;
use crate::gpu::{BoundKernel, Buffer, Cost, Gpu, Kernel, Recorder, Shader, parameters};

shader!(RANK = "magnitude_sort", "rank"; with "keys"; Params; read params, read weights, write rank; "WORKGROUP_SIZE");

/// The most weights that are ranked by counting: their keys fit workgroup memory.
pub const MOST_COUNTED: usize = 2048;

shader!(NAIVE = "magnitude_sort", "naive"; with "keys"; as RANK);

parameters! {
    struct Params {
        weight_count: u32,
        replicas: u32,
        offset: u32,
        epoch_stride: u32,
        replica_stride: u32,
    }
}

/// Arrays of [`Rank`].
pub struct RankArguments<'a> {
    /// Epochs.
    pub epochs: usize,
    /// Replicas.
    pub replicas: usize,
    /// Weights of a segment.
    pub weight_count: usize,
    /// First weight of the first segment.
    pub offset: usize,
    /// Elements from one epoch to the next.
    pub epoch_stride: usize,
    /// Elements from one replica to the next.
    pub replica_stride: usize,
    /// Weights; segments lie at the strides.
    pub weights: &'a Buffer<f32>,
    /// `[epoch, replica, weight_index]`, written.
    pub rank: &'a Buffer<u32>,
}

/// One launch: a kernel with its arrays, and its workgroups.
type Launch = (BoundKernel, [u32; 3]);

/// Ranks each segment: an epoch of a replica.
pub struct Rank {
    workgroup_size: u32,
    /// Segments of at most so many weights are counted.
    most_counted: usize,
    naive: bool,
}

/// [`Rank`] with its arrays.
pub struct BoundRank(Vec<Launch>);

impl Rank {
    /// By counting up to [`MOST_COUNTED`] weights, above by the radix sort.
    pub fn new(workgroup_size: u32) -> Self {
        Self { workgroup_size, most_counted: MOST_COUNTED, naive: false }
    }

    /// By the radix sort at any size: for checks and benchmarks.
    pub fn radix(workgroup_size: u32) -> Self {
        Self { workgroup_size, most_counted: 0, naive: false }
    }

    /// The naive kernel, which no engine uses, for every layer.
    pub fn naive(workgroup_size: u32) -> Self {
        Self { workgroup_size, most_counted: usize::MAX, naive: true }
    }

    /// Checks the arrays, compiles what is needed for their size, and binds it. The radix sort makes its own scratch: four
    /// arrays of the size of `rank`.
    pub fn bind(&self, gpu: &Gpu, arguments: &RankArguments<'_>) -> Result<BoundRank> {
        let name = RANK.name;
        let RankArguments { epochs, replicas, weight_count, offset, epoch_stride, replica_stride, weights, rank } =
            *arguments;
        require_positive(name, &[("epochs", epochs), ("replicas", replicas), ("weights", weight_count)])?;
        let needed = offset + (epochs - 1) * epoch_stride + (replicas - 1) * replica_stride + weight_count;
        require(name, "weights", weights, needed)?;
        require(name, "rank", rank, epochs * replicas * weight_count)?;
        let params = params!(gpu, "magnitude_sort.rank"; Params {
            weight_count, replicas, offset, epoch_stride, replica_stride
        })?;
        if weight_count > self.most_counted {
            return radix::bind(gpu, self.workgroup_size, arguments, &params).map(BoundRank);
        }
        let shader = if self.naive { &NAIVE } else { &RANK };
        gpu.check_iterations(shader.name, weight_count)?;
        let kernel = Kernel::new(gpu, shader, &[("WORKGROUP_SIZE", self.workgroup_size)])?;
        let bound = kernel.bind(gpu, &[&params, weights, rank])?;
        let all = epochs * replicas * weight_count;
        let groups = if self.naive { weight_count.div_ceil(self.workgroup_size as usize) } else { 1 };
        let workgroups = [groups as u32, epochs as u32, replicas as u32];
        Ok(BoundRank(vec![(bound.costing(Cost::comparisons(weight_count * all, 2 * all)), workgroups)]))
    }
}

impl BoundRank {
    /// Records the launches.
    pub fn record(&self, recorder: &mut Recorder<'_>) -> Result<()> {
        self.0.iter().try_for_each(|(kernel, workgroups)| recorder.dispatch(kernel, *workgroups, None))
    }
}
