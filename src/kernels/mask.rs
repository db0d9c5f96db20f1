//! `mask.smallest`: pruning during training.

use super::{grid, read, require, require_positive, write};
use crate::error::Result;
use crate::gpu::{BoundKernel, Buffer, Gpu, Kernel, Recorder, Shader, parameters};
use std::sync::Arc;

/// `shaders/mask/smallest.wgsl`
pub static SMALLEST: Shader = Shader {
    name: "mask.smallest",
    source: concat!(include_str!("../../shaders/prelude/grid.wgsl"), include_str!("../../shaders/mask/smallest.wgsl"),),
    bindings: &[
        read("params"),
        read("rank"),
        read("remove"),
        write("mask"),
        write("parameters"),
        write("m"),
        write("v"),
    ],
    parameters: Some(Params::LAYOUT),
    constants: &["WORKGROUP_SIZE"],
};

parameters! {
    struct Params {
        nodes: u32,
        parameters: u32,
        offset: u32,
    }
}

/// Arrays of [`Smallest`].
pub struct SmallestArguments<'a> {
    /// Replicas side by side.
    pub replicas: usize,
    /// Nodes of the layer.
    pub nodes: usize,
    /// Parameters of one replica.
    pub parameters_per_replica: usize,
    /// Parameter of the first node.
    pub offset: usize,
    /// `[replica, node]`: place in descending order of magnitude.
    pub rank: &'a Buffer<u32>,
    /// `[replica]`: how many to prune, at most `nodes`.
    pub remove: &'a Buffer<u32>,
    /// `[replica, node]`, read and written: 1 keeps, 0 prunes.
    pub mask: &'a Buffer<u32>,
    /// `[replica, parameter]`, written at masked nodes.
    pub parameters: &'a Buffer<f32>,
    /// As `parameters`.
    pub m: &'a Buffer<f32>,
    /// As `parameters`.
    pub v: &'a Buffer<f32>,
}

/// Prunes the nodes of smallest magnitude of every replica.
pub struct Smallest {
    kernel: Arc<Kernel>,
    workgroup_size: u32,
}

/// [`Smallest`] with its arrays.
pub struct BoundSmallest {
    kernel: BoundKernel,
    workgroups: [u32; 3],
}

impl Smallest {
    /// Compiles the kernel.
    pub fn new(gpu: &Gpu) -> Result<Self> {
        let workgroup_size = gpu.workgroup_size();
        Ok(Self { kernel: Kernel::new(gpu, &SMALLEST, &[("WORKGROUP_SIZE", workgroup_size)])?, workgroup_size })
    }

    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &SmallestArguments<'_>) -> Result<BoundSmallest> {
        let name = SMALLEST.name;
        let SmallestArguments { replicas, nodes, parameters_per_replica, offset, rank, remove, mask, parameters, m, v } =
            *arguments;
        require_positive(name, &[("replicas", replicas), ("nodes", nodes)])?;
        require(name, "rank", rank, replicas * nodes)?;
        require(name, "remove", remove, replicas)?;
        require(name, "mask", mask, replicas * nodes)?;
        let needed = (replicas - 1) * parameters_per_replica + offset + nodes;
        for (role, array) in [("parameters", parameters), ("m", m), ("v", v)] {
            require(name, role, array, needed)?;
        }
        let params = Params { nodes: nodes as u32, parameters: parameters_per_replica as u32, offset: offset as u32 };
        let params = Buffer::from_slice(gpu, "mask.smallest params", &[params])?;
        let kernel = self.kernel.bind(gpu, &[&params, rank, remove, mask, parameters, m, v])?;
        Ok(BoundSmallest { kernel, workgroups: grid(nodes, self.workgroup_size, replicas) })
    }
}

impl BoundSmallest {
    /// Records one launch.
    pub fn record(&self, recorder: &mut Recorder<'_>) -> Result<()> {
        recorder.dispatch(&self.kernel, self.workgroups, None)
    }
}
