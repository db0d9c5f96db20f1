//! Cases of `mean.accumulate`.

use super::comparator::{Report, compare_exact};
use super::{Draws, Setting, at_every_size, bits, preset, read, run};
use crate::cpu::mean as twin;
use crate::error::Result;
use crate::gpu::Buffer;
use crate::kernels::mean::{ACCUMULATE, Accumulate, AccumulateArguments};

/// Replicas and parameters of each: around the workgroup, a prime, and the paper's network.
const CASES: [[usize; 2]; 6] = [[1, 1], [2, 63], [2, 64], [3, 65], [3, 997], [3, 28_510]];

/// Compares a case with the twin: one addition has one result.
fn check(on: Setting<'_>, &[replicas, parameters]: &[usize; 2]) -> Result<Vec<Report>> {
    let gpu = on.gpu;
    let mut draws = Draws::new(parameters as u32);
    let [values, mut expected] = [(); 2].map(|()| draws.numbers(replicas * parameters));
    let sums = preset(gpu, &bits(&expected))?;
    let values_there = Buffer::from_slice(gpu, "values", &values)?;
    let arguments =
        AccumulateArguments { replicas, parameters_per_replica: parameters, values: &values_there, sums: &sums };
    let name = format!("r{replicas}_n{parameters}");
    let bound = Accumulate::new(gpu, on.workgroup_size)?.bind(gpu, &arguments)?;
    run(gpu, &name, |recorder| bound.record_once(recorder))?;
    twin::accumulate(&values, &mut expected);
    Ok(vec![compare_exact(ACCUMULATE.name, name, &read(gpu, &sums)?, &bits(&expected))])
}

/// Checks all cases.
pub(super) fn all(settings: &[Setting<'_>]) -> Result<Vec<Report>> {
    let check = |on: Setting<'_>, case: &[usize; 2]| if on.naive { Ok(Vec::new()) } else { check(on, case) };
    at_every_size(settings, &CASES, |case| case[1] < 1000, check)
}
