//! `magnitude_sort.rank`: ranks by descending magnitude.

use super::{read, require, require_positive, write};
use crate::error::{Error, Result};
use crate::gpu::{BoundKernel, Buffer, Gpu, Kernel, Recorder, Shader, parameters};
use std::sync::Arc;

/// `shaders/magnitude_sort/rank.wgsl`
pub static RANK: Shader = Shader {
    name: "magnitude_sort.rank",
    source: concat!(
        include_str!("../../shaders/prelude/keys.wgsl"),
        include_str!("../../shaders/magnitude_sort/rank.wgsl"),
    ),
    bindings: &[read("params"), read("weights"), write("rank")],
    parameters: Some(Params::LAYOUT),
    constants: &["WORKGROUP_SIZE"],
};

/// The most nodes whose keys fit the kernel's workgroup memory.
pub const MOST_NODES: usize = 2048;

parameters! {
    struct Params {
        nodes: u32,
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
    /// Nodes of a segment, 1 to [`MOST_NODES`].
    pub nodes: usize,
    /// First node of the first segment.
    pub offset: usize,
    /// Elements from one epoch to the next.
    pub epoch_stride: usize,
    /// Elements from one replica to the next.
    pub replica_stride: usize,
    /// Weights; segments lie at the strides.
    pub weights: &'a Buffer<f32>,
    /// `[epoch, replica, node]`, written.
    pub rank: &'a Buffer<u32>,
}

/// Ranks each segment: an epoch of a replica.
pub struct Rank(Arc<Kernel>);

/// [`Rank`] with its arrays.
pub struct BoundRank {
    kernel: BoundKernel,
    workgroups: [u32; 3],
}

impl Rank {
    /// Compiles the kernel.
    pub fn new(gpu: &Gpu) -> Result<Self> {
        Kernel::new(gpu, &RANK, &[("WORKGROUP_SIZE", gpu.workgroup_size())]).map(Self)
    }

    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &RankArguments<'_>) -> Result<BoundRank> {
        let name = RANK.name;
        let RankArguments { epochs, replicas, nodes, offset, epoch_stride, replica_stride, weights, rank } = *arguments;
        require_positive(name, &[("epochs", epochs), ("replicas", replicas), ("nodes", nodes)])?;
        if nodes > MOST_NODES {
            return Err(Error::Shape(format!("{name}: {nodes} nodes, at most {MOST_NODES} fit workgroup memory")));
        }
        let needed = offset + (epochs - 1) * epoch_stride + (replicas - 1) * replica_stride + nodes;
        require(name, "weights", weights, needed)?;
        require(name, "rank", rank, epochs * replicas * nodes)?;
        let params = Params {
            nodes: nodes as u32,
            replicas: replicas as u32,
            offset: offset as u32,
            epoch_stride: epoch_stride as u32,
            replica_stride: replica_stride as u32,
        };
        let params = Buffer::from_slice(gpu, "magnitude_sort.rank params", &[params])?;
        let kernel = self.0.bind(gpu, &[&params, weights, rank])?;
        Ok(BoundRank { kernel, workgroups: [1, epochs as u32, replicas as u32] })
    }
}

impl BoundRank {
    /// Records one launch.
    pub fn record(&self, recorder: &mut Recorder<'_>) -> Result<()> {
        recorder.dispatch(&self.kernel, self.workgroups, None)
    }
}
