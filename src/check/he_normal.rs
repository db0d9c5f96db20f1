//! Cases of `he_normal.fill`.

use super::comparator::{EPSILON, Expected, Report, compare};
use super::{Output, Setting, at_every_size, output, read, run};
use crate::cpu::he_normal as twin;
use crate::error::Result;
use crate::gpu::Buffer;
use crate::kernels::he_normal::{FILL, Fill, FillArguments, NAIVE};

/// Units in the last place that a weight may be off: two polynomials of fifteen roundings whose terms all have one sign, a
/// division of 2.5, three products.
pub const ULP: f64 = 24.0;

/// One tensor of some replicas.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Which replicas.
    pub replica_ids: Vec<u32>,
    /// Weights of the tensor.
    pub weights: usize,
    /// Its number.
    pub tensor: u32,
    /// Key of every draw.
    pub seed: u64,
    /// Inputs that feed a unit.
    pub fan_in: usize,
}

impl Case {
    fn name(&self) -> String {
        format!("r{}_n{}", self.replica_ids.len(), self.weights)
    }
}

/// The cases that every device must pass: the layers of the paper's network among them.
pub fn cases() -> Vec<Case> {
    let case =
        |weights, fan_in| Case { replica_ids: vec![5, 0, 4_000_000_000], weights, tensor: 4, seed: 11 << 33, fan_in };
    [(1, 1), (7, 3), (31, 5), (32, 9), (33, 4), (23_520, 784), (900, 30), (300, 30)].map(|(w, f)| case(w, f)).to_vec()
}

/// Fills the tensor on the device.
pub fn fill(on: Setting<'_>, case: &Case) -> Result<Output> {
    let gpu = on.gpu;
    let parameters = output(gpu, case.replica_ids.len() * case.weights)?;
    let arguments = FillArguments {
        parameters_per_replica: case.weights,
        offset: 0,
        weights: case.weights,
        tensor: case.tensor,
        seed: case.seed,
        scale: twin::scale(case.fan_in) as f32,
        replica_ids: &Buffer::from_slice(gpu, "replica ids", &case.replica_ids)?,
        parameters: &parameters,
    };
    let kernel = if on.naive { Fill::naive } else { Fill::new };
    let bound = kernel(gpu, on.workgroup_size)?.bind(gpu, &arguments)?;
    run(gpu, &case.name(), |recorder| bound.record_once(recorder))?;
    read(gpu, &parameters)
}

/// Compares a case with the twin.
pub fn check(on: Setting<'_>, case: &Case) -> Result<Report> {
    let found = fill(on, case)?;
    let mut expected = Vec::new();
    for &id in &case.replica_ids {
        let mut weights = vec![0.0; case.weights];
        twin::fill(case.seed, id, case.tensor, twin::scale(case.fan_in), &mut weights);
        expected
            .extend(weights.into_iter().map(|value: f64| Expected { value, tolerance: ULP * EPSILON * value.abs() }));
    }
    Ok(compare(if on.naive { NAIVE.name } else { FILL.name }, case.name(), &found, &expected))
}

/// Checks all cases.
pub fn all(settings: &[Setting<'_>]) -> Result<Vec<Report>> {
    at_every_size(settings, &cases(), |case| case.weights < 1000, |on, case| Ok(vec![check(on, case)?]))
}
