//! The radix sort: ranks of layers that are too large to be counted, by eight passes over keys and indices in memory.

use super::{Launch, RankArguments, read, write};
use crate::error::Result;
use crate::gpu::{Buffer, Cost, Gpu, Kernel, Shader, parameters};

/// Keys of a workgroup.
pub(in crate::kernels) const TILE: usize = 2048;
/// Values of a digit.
pub(in crate::kernels) const DIGITS: usize = 16;
/// Where the digits of a key of 31 bits start, the lowest first.
const SHIFTS: [u32; 8] = [0, 4, 8, 12, 16, 20, 24, 28];

shader!(RADIX_KEYS = "magnitude_sort", "radix_keys"; with "keys"; super::Params;
    read params, read weights, write keys, write indices; "WORKGROUP_SIZE");

shader!(RADIX_COUNT = "magnitude_sort", "radix_count"; with "radix"; Params;
    read params, read keys.indexing, write counts; "WORKGROUP_SIZE");

shader!(RADIX_SCAN = "magnitude_sort", "radix_scan"; with "radix"; Params; read params, write counts; "WORKGROUP_SIZE");

shader!(RADIX_SCATTER = "magnitude_sort", "radix_scatter"; with "radix"; Params;
    read params, read keys.indexing, read indices, read places.indexing, write sorted_keys, write sorted_indices;
    "WORKGROUP_SIZE");

shader!(RADIX_RANK = "magnitude_sort", "radix_rank"; with "radix"; Params;
    read params, read indices.indexing, write rank; "WORKGROUP_SIZE");

parameters! {
    struct Params {
        weight_count: u32,
        replicas: u32,
        tiles: u32,
        shift: u32,
    }
}

/// Keys and the weights that they belong to, each `[epoch, replica, weight_index]`.
struct Pairs {
    keys: Buffer<u32>,
    indices: Buffer<u32>,
}

impl Pairs {
    fn new(gpu: &Gpu, len: usize) -> Result<Self> {
        Ok(Self {
            keys: Buffer::new(gpu, "magnitude_sort keys", len)?,
            indices: Buffer::new(gpu, "magnitude_sort indices", len)?,
        })
    }
}

/// Binds all launches; the caller has checked the arrays. Scratch: four arrays of the size of `rank`.
pub(super) fn bind(
    gpu: &Gpu,
    workgroup_size: u32,
    arguments: &RankArguments<'_>,
    params: &Buffer<super::Params>,
) -> Result<Vec<Launch>> {
    let RankArguments { epochs, replicas, weight_count, weights, rank, .. } = *arguments;
    let kernel = |shader| Kernel::new(gpu, shader, &[("WORKGROUP_SIZE", workgroup_size)]);
    let tiles = weight_count.div_ceil(TILE);
    let segments = [epochs as u32, replicas as u32];
    let one_a_tile = [tiles as u32, segments[0], segments[1]];
    let one_a_segment = [1, segments[0], segments[1]];
    let mut unsorted = Pairs::new(gpu, epochs * replicas * weight_count)?;
    let mut sorted = Pairs::new(gpu, epochs * replicas * weight_count)?;
    let counts = Buffer::<u32>::new(gpu, "magnitude_sort counts", epochs * replicas * DIGITS * tiles)?;
    let params_at = |shift| {
        let params =
            Params { weight_count: weight_count as u32, replicas: replicas as u32, tiles: tiles as u32, shift };
        Buffer::from_slice(gpu, "magnitude_sort.radix params", &[params])
    };
    let all = epochs * replicas * weight_count;
    let counters = counts.len();
    let keys = kernel(&RADIX_KEYS)?;
    let [count, scan, scatter] = [kernel(&RADIX_COUNT)?, kernel(&RADIX_SCAN)?, kernel(&RADIX_SCATTER)?];
    let mut launches = Vec::with_capacity(2 + 3 * SHIFTS.len());
    let bound = keys.bind(gpu, &[params, weights, &unsorted.keys, &unsorted.indices])?;
    launches.push((bound.costing(Cost::comparisons(0, 3 * all)), one_a_tile));
    for shift in SHIFTS {
        let params = params_at(shift)?;
        let (before, after) = (&unsorted, &sorted);
        let bound = count.bind(gpu, &[&params, &before.keys, &counts])?;
        launches.push((bound.costing(Cost::comparisons(0, all + counters)), one_a_tile));
        let bound = scan.bind(gpu, &[&params, &counts])?;
        launches.push((bound.costing(Cost::comparisons(0, 2 * counters)), one_a_segment));
        let moved: [&dyn crate::gpu::Bindable; 6] =
            [&params, &before.keys, &before.indices, &counts, &after.keys, &after.indices];
        let bound = scatter.bind(gpu, &moved)?;
        launches.push((bound.costing(Cost::comparisons(0, 4 * all + counters)), one_a_tile));
        std::mem::swap(&mut unsorted, &mut sorted);
    }
    let params = params_at(0)?;
    let bound = kernel(&RADIX_RANK)?.bind(gpu, &[&params, &unsorted.indices, rank])?;
    launches.push((bound.costing(Cost::comparisons(0, 2 * all)), one_a_tile));
    Ok(launches)
}
