//! `surgeon.*`: elimination paths and refits of units, from their moments, and how much units matter to the logits.

mod importance;

pub use importance::{IMPORTANCE, Importance, ImportanceArguments, ImportanceShape};

use super::{Bound, StepRecord, grid, read, record, require, require_positive, write};
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Cost, Gpu, Kernel, Recorder, Shader, parameters};
use std::sync::Arc;

shader!(PATH = "surgeon", "path"; with "removal" "sweep"; PathParams;
    read params, read ratios.indexing, read moments.indexing, write removals);

shader!(NAIVE = "surgeon", "naive"; with "grid" "removal"; NaiveParams;
    read params, read ratios.indexing, write moments.indexing, write removals; "WORKGROUP_SIZE");

shader!(REFIT = "surgeon", "refit"; with "sweep"; PathParams; read params, read moments, write solution);

shader!(CHOOSE = "surgeon", "choose"; with "step" "removal"; StepsParams;
    read params, record step, read ratios.indexing, read matrix.indexing, write pivots, write removals);

shader!(UPDATE = "surgeon", "update"; with "grid" "step"; StepsParams;
    read params, record step, read pivots.indexing, write matrix; "WORKGROUP_SIZE");

/// The most columns of a unit whose matrix fits workgroup memory.
pub const MOST: usize = 60;

/// Invocations of a workgroup where a lane owns a row.
pub(super) const LANES: usize = 64;

parameters! {
    struct PathParams {
        columns: u32,
    }
}

parameters! {
    struct NaiveParams {
        columns: u32,
        units: u32,
    }
}

parameters! {
    struct StepsParams {
        columns: u32,
        solve: u32,
    }
}

/// A step on a path as it lies in its buffer: the column, and bits of the score and of the cost. The column is
/// [`super::gram::NO_COLUMN`] where none is left.
pub type Removal = [u32; 3];

/// Sizes of what units have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Units, of all replicas.
    pub units: usize,
    /// Columns of one.
    pub columns: usize,
}

impl Shape {
    fn check(&self, kernel: &str) -> Result<()> {
        require_positive(kernel, &[("units", self.units), ("columns", self.columns)])
    }

    /// Fails where a matrix does not fit workgroup memory.
    fn check_small(&self, kernel: &str) -> Result<()> {
        self.check(kernel)?;
        if self.columns > MOST {
            let columns = self.columns;
            return Err(Error::Shape(format!("{kernel}: {columns} columns, at most {MOST} fit workgroup memory")));
        }
        Ok(())
    }

    fn listed(&self) -> usize {
        self.units * self.columns
    }

    fn moments(&self) -> usize {
        self.listed() * (self.columns + 1)
    }
}

/// Arrays of [`Path`].
pub struct PathArguments<'a> {
    /// Sizes.
    pub shape: Shape,
    /// `[unit, column]`, from 0 to 1; below 0 what stays.
    pub ratios: &'a Buffer<f32>,
    /// `[unit, column, column + 1]`: Gram matrices with their ridge, and weights at their right. The naive kernel
    /// overwrites them.
    pub moments: &'a Buffer<f32>,
    /// `[unit, step]`, as many steps as columns, written.
    pub removals: &'a Buffer<Removal>,
}

/// Whole paths of small units in one launch.
pub struct Path {
    kernel: Arc<Kernel>,
    /// Of the naive kernel.
    workgroup_size: Option<u32>,
}

impl Path {
    /// Compiles the kernel.
    pub fn new(gpu: &Gpu) -> Result<Self> {
        Ok(Self { kernel: Kernel::new(gpu, &PATH, &[])?, workgroup_size: None })
    }

    /// Compiles the naive kernel, which no engine uses.
    pub fn naive(gpu: &Gpu, workgroup_size: u32) -> Result<Self> {
        let kernel = Kernel::new(gpu, &NAIVE, &[("WORKGROUP_SIZE", workgroup_size)])?;
        Ok(Self { kernel, workgroup_size: Some(workgroup_size) })
    }

    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &PathArguments<'_>) -> Result<Bound> {
        let name = self.kernel.name();
        let PathArguments { shape, ratios, moments, removals } = *arguments;
        let Shape { units, columns } = shape;
        match self.workgroup_size {
            Some(_) => shape.check(name)?,
            None => shape.check_small(name)?,
        }
        require(name, "ratios", ratios, shape.listed())?;
        require(name, "moments", moments, shape.moments())?;
        require(name, "removals", removals, shape.listed())?;
        let a_step = if self.workgroup_size.is_some() { columns * (columns + 2) } else { 2 * columns + 1 };
        gpu.check_iterations(name, 2 * columns * (a_step + 1))?;
        let cost = Cost::new(2 * columns * shape.moments(), shape.moments() + 4 * shape.listed());
        let (kernel, workgroups) = match self.workgroup_size {
            Some(workgroup_size) => {
                let params = params!(gpu, "surgeon.naive"; NaiveParams { columns, units })?;
                let kernel = self.kernel.bind(gpu, &[&params, ratios, moments, removals])?;
                (kernel, grid(units, workgroup_size, 1))
            }
            None => {
                let params = params!(gpu, "surgeon.path"; PathParams { columns })?;
                (self.kernel.bind(gpu, &[&params, ratios, moments, removals])?, [1, 1, units as u32])
            }
        };
        Ok(Bound::fixed(kernel.costing(cost), workgroups))
    }
}

/// Arrays of [`Refit`].
pub struct RefitArguments<'a> {
    /// Sizes.
    pub shape: Shape,
    /// `[unit, column, column + 1]`: Gram matrices with their ridge, and cross moments at their right.
    pub moments: &'a Buffer<f32>,
    /// `[unit, column]`, written.
    pub solution: &'a Buffer<f32>,
}

/// Weights of small units in one launch.
pub struct Refit {
    kernel: Arc<Kernel>,
}

impl Refit {
    /// Compiles the kernel.
    pub fn new(gpu: &Gpu) -> Result<Self> {
        Ok(Self { kernel: Kernel::new(gpu, &REFIT, &[])? })
    }

    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &RefitArguments<'_>) -> Result<Bound> {
        let name = REFIT.name;
        let RefitArguments { shape, moments, solution } = *arguments;
        shape.check_small(name)?;
        require(name, "moments", moments, shape.moments())?;
        require(name, "solution", solution, shape.listed())?;
        gpu.check_iterations(name, 2 * (shape.columns + 1) * (shape.columns + 1))?;
        let params = params!(gpu, "surgeon.refit"; PathParams { columns: shape.columns })?;
        let kernel = self.kernel.bind(gpu, &[&params, moments, solution])?;
        let kernel = kernel.costing(Cost::new(shape.columns * shape.moments(), shape.moments() + shape.listed()));
        Ok(Bound::fixed(kernel, [1, 1, shape.units as u32]))
    }
}

/// Arrays of [`Steps`].
pub struct StepsArguments<'a> {
    /// Sizes.
    pub shape: Shape,
    /// Whether the column at the right is solved for, instead of a path of weights.
    pub solves: bool,
    /// A record for each step, its number as `first`.
    pub step: &'a Buffer<StepRecord>,
    /// `[unit, column]`, from 0 to 1; below 0 what stays.
    pub ratios: &'a Buffer<f32>,
    /// `[unit, column, column + 1]`: as for [`Path`] or [`Refit`]; changed.
    pub matrix: &'a Buffer<f32>,
    /// `[unit, column + 2]`, written.
    pub pivots: &'a Buffer<f32>,
    /// `[unit, step]`, as many steps as columns, written by a path.
    pub removals: &'a Buffer<Removal>,
}

/// Paths and refits of units of any size, a step at a time: as many sweeps as there are columns, and for a path as many
/// removals behind them. What is solved for stands at the right of the matrix behind the sweeps.
pub struct Steps {
    choose: Arc<Kernel>,
    update: Arc<Kernel>,
    workgroup_size: u32,
}

/// [`Steps`] tied to its arrays.
pub struct BoundSteps {
    choose: Bound,
    update: Bound,
}

impl BoundSteps {
    /// Records the step in record `step`.
    pub fn record(&self, recorder: &mut Recorder<'_>, step: u32) -> Result<()> {
        self.choose.record(recorder, step, 1)?;
        self.update.record(recorder, step, 1)
    }
}

impl Steps {
    /// Compiles the kernels.
    pub fn new(gpu: &Gpu, workgroup_size: u32) -> Result<Self> {
        let update = Kernel::new(gpu, &UPDATE, &[("WORKGROUP_SIZE", workgroup_size)])?;
        Ok(Self { choose: Kernel::new(gpu, &CHOOSE, &[])?, update, workgroup_size })
    }

    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &StepsArguments<'_>) -> Result<BoundSteps> {
        let StepsArguments { shape, solves, step, ratios, matrix, pivots, removals } = *arguments;
        let Shape { units, columns } = shape;
        let name = CHOOSE.name;
        shape.check(name)?;
        require(name, "ratios", ratios, shape.listed())?;
        require(name, "matrix", matrix, shape.moments())?;
        require(name, "pivots", pivots, units * (columns + 2))?;
        require(name, "removals", removals, shape.listed())?;
        gpu.check_iterations(name, 2 * columns.div_ceil(LANES) + LANES + 1)?;
        let params = params!(gpu, "surgeon.choose"; StepsParams { columns, solve: solves })?;
        let choose = self.choose.bind(gpu, &[&params, step, ratios, matrix, pivots, removals])?;
        let choose = choose.costing(Cost::new(2 * shape.listed(), 4 * shape.listed()));
        let update = self.update.bind(gpu, &[&params, step, pivots, matrix])?;
        let update = update.costing(Cost::new(shape.moments(), 2 * shape.moments()));
        let workgroups = grid(columns * (columns + 1), self.workgroup_size, units);
        Ok(BoundSteps {
            choose: Bound::new(choose, 1, move |_| [1, 1, units as u32]),
            update: Bound::new(update, 1, move |_| workgroups),
        })
    }
}
