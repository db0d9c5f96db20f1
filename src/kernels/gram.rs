//! `gram.*`: second moments of what a layer reads, for every unit, and their ridge.

use super::{Bound, StepRecord, grid, read, record, require, require_positive, write};
use crate::error::Result;
use crate::gpu::{Buffer, Cost, Gpu, Kernel, Shader, parameters};
use std::sync::Arc;

shader!(ACCUMULATE = "gram", "accumulate"; with "step" "layer_rows"; AccumulateParams;
    read params, record step, read values, read positions.indexing, read columns.indexing, read row_weights, read targets,
    write moments);

shader!(NAIVE = "gram", "naive"; with "grid" "step" "layer_rows"; as ACCUMULATE ["WORKGROUP_SIZE"]);

shader!(RIDGE = "gram", "ridge"; with; RidgeParams; read params, read columns, read weights, write moments);

/// What stands in a unit's list of columns where it has none.
pub const NO_COLUMN: u32 = u32::MAX;

/// The most rows of one launch: its loops stay short enough for every driver.
pub const MOST_ROWS: usize = 16_384;

/// Rows and columns of sums of a workgroup.
pub(super) const SUMS: usize = 32;

/// Rows that a workgroup gathers at a time.
pub(super) const ROWS: usize = 16;

/// Invocations of a workgroup of [`RIDGE`].
pub(super) const LANES: usize = 64;

parameters! {
    struct AccumulateParams {
        rows: u32,
        inputs: u32,
        columns: u32,
        units: u32,
        values: u32,
        height: u32,
        width: u32,
        channels: u32,
    }
}

parameters! {
    struct RidgeParams {
        columns: u32,
        strength: f32,
        path: u32,
    }
}

/// Sizes of a layer and its calibration rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Replicas side by side.
    pub replicas: usize,
    /// Rows of one.
    pub rows: usize,
    /// Units of one.
    pub units: usize,
    /// Inputs of a row; of a convolution nine times its channels.
    pub inputs: usize,
    /// Columns of a unit.
    pub columns: usize,
    /// Samples, height, width and channels of a convolution's activations; none for a dense layer.
    pub patches: Option<[usize; 4]>,
}

impl Shape {
    /// Numbers of one replica's `values`.
    fn values(&self) -> usize {
        self.patches.map_or(self.rows * self.inputs, |sizes| sizes.iter().product())
    }

    /// Numbers of all moments.
    fn moments(&self) -> usize {
        self.replicas * self.units * self.columns * (self.columns + 1)
    }
}

/// Arrays of [`Accumulate`].
pub struct AccumulateArguments<'a> {
    /// Sizes.
    pub shape: Shape,
    /// Which rows each launch takes: from `first` on, as many as it has samples.
    pub step: &'a Buffer<StepRecord>,
    /// `[replica, row, input]`, or activations `[replica, sample, y, x, channel]`.
    pub values: &'a Buffer<f32>,
    /// `[row]`: a pixel `[sample, y, x]`, the same in all replicas. Of a dense layer nothing is read.
    pub positions: &'a Buffer<u32>,
    /// `[replica, unit, column]`: inputs, the number of inputs for the constant 1, or [`NO_COLUMN`].
    pub columns: &'a Buffer<u32>,
    /// `[replica, row, unit]`
    pub row_weights: &'a Buffer<f32>,
    /// `[replica, row, unit]`
    pub targets: &'a Buffer<f32>,
    /// `[replica, unit, column, column + 1]`: written by a launch from row 0 on, added to by others.
    pub moments: &'a Buffer<f32>,
}

/// Moments of all units, rows in as many launches as it takes.
pub struct Accumulate {
    kernel: Arc<Kernel>,
    /// Of the naive kernel.
    workgroup_size: Option<u32>,
}

impl Accumulate {
    /// Compiles the kernel.
    pub fn new(gpu: &Gpu) -> Result<Self> {
        Ok(Self { kernel: Kernel::new(gpu, &ACCUMULATE, &[])?, workgroup_size: None })
    }

    /// Compiles the naive kernel, which no engine uses.
    pub fn naive(gpu: &Gpu, workgroup_size: u32) -> Result<Self> {
        let kernel = Kernel::new(gpu, &NAIVE, &[("WORKGROUP_SIZE", workgroup_size)])?;
        Ok(Self { kernel, workgroup_size: Some(workgroup_size) })
    }

    /// Checks the arrays and binds them. A launch takes at most [`MOST_ROWS`] rows.
    pub fn bind(&self, gpu: &Gpu, arguments: &AccumulateArguments<'_>) -> Result<Bound> {
        let name = self.kernel.name();
        let AccumulateArguments { shape, step, values, positions, columns, row_weights, targets, moments } = *arguments;
        let Shape { replicas, rows, units, inputs, columns: size, patches } = shape;
        let [_, height, width, channels] = patches.unwrap_or_default();
        require_positive(
            name,
            &[("replicas", replicas), ("rows", rows), ("units", units), ("inputs", inputs), ("columns", size)],
        )?;
        if patches.is_some() {
            require_positive(name, &[("height", height), ("width", width), ("channels", channels)])?;
            require(name, "positions", positions, rows)?;
        }
        require(name, "values", values, replicas * shape.values())?;
        require(name, "columns", columns, replicas * units * size)?;
        for (role, array) in [("row_weights", row_weights), ("targets", targets)] {
            require(name, role, array, replicas * rows * units)?;
        }
        require(name, "moments", moments, shape.moments())?;
        let capacity = rows.min(MOST_ROWS);
        gpu.check_iterations(name, capacity.div_ceil(ROWS) * (1 + ROWS / 2 + ROWS))?;
        let params = params!(gpu, "gram.accumulate"; AccumulateParams {
            rows, inputs, columns: size, units, values: shape.values(), height, width, channels
        })?;
        let arrays: [&dyn crate::gpu::Bindable; 8] =
            [&params, step, values, positions, columns, row_weights, targets, moments];
        let kernel = self.kernel.bind(gpu, &arrays)?;
        let sums = shape.moments() / 2;
        let words = capacity * replicas * (inputs + 2 * units) + 2 * shape.moments();
        let kernel = kernel.costing(Cost::new(sums * capacity, words));
        let workgroups = match self.workgroup_size {
            Some(workgroup_size) => grid(size * (size + 1), workgroup_size, replicas * units),
            None => [(size + 1).div_ceil(SUMS) as u32, size.div_ceil(SUMS) as u32, (replicas * units) as u32],
        };
        Ok(Bound::new(kernel, capacity, move |_| workgroups))
    }
}

/// Arrays of [`Ridge`].
pub struct RidgeArguments<'a> {
    /// Units, of all replicas.
    pub units: usize,
    /// Columns of a unit.
    pub columns: usize,
    /// The ridge as a share of the mean of the diagonal.
    pub strength: f32,
    /// Whether the moments are for a path, with the weights at their right, instead of for a refit.
    pub is_path: bool,
    /// `[unit, column]`, as for [`Accumulate`].
    pub column_list: &'a Buffer<u32>,
    /// `[unit, column]`
    pub weights: &'a Buffer<f32>,
    /// `[unit, column, column + 1]`, changed.
    pub moments: &'a Buffer<f32>,
}

/// Adds the ridge.
pub struct Ridge {
    kernel: Arc<Kernel>,
}

impl Ridge {
    /// Compiles the kernel.
    pub fn new(gpu: &Gpu) -> Result<Self> {
        Ok(Self { kernel: Kernel::new(gpu, &RIDGE, &[])? })
    }

    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &RidgeArguments<'_>) -> Result<Bound> {
        let name = RIDGE.name;
        let RidgeArguments { units, columns, strength, is_path, column_list, weights, moments } = *arguments;
        require_positive(name, &[("units", units), ("columns", columns)])?;
        require(name, "columns", column_list, units * columns)?;
        require(name, "weights", weights, units * columns)?;
        require(name, "moments", moments, units * columns * (columns + 1))?;
        gpu.check_iterations(name, 2 * columns.div_ceil(LANES) + LANES)?;
        let params = params!(gpu, "gram.ridge"; RidgeParams { columns, strength, path: is_path })?;
        let kernel = self.kernel.bind(gpu, &[&params, column_list, weights, moments])?;
        let kernel = kernel.costing(Cost::new(3 * units * columns, 6 * units * columns));
        Ok(Bound::fixed(kernel, [1, 1, units as u32]))
    }
}
