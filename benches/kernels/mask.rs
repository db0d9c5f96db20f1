use crate::{Buffer, Gpu, REPLICAS, below, gpu, made, measure, numbers, upload, zeros};
use criterion::{Criterion, Throughput};
use holdfast::kernels::mask::{Change, Draw, DrawArguments, Regrow, RegrowArguments, Smallest, SmallestArguments};

fn changes(gpu: &Gpu, count: u32) -> Buffer<Change> {
    upload(gpu, &[(); REPLICAS].map(|()| Change::new(1, 1, count)))
}

pub(crate) fn smallest(criterion: &mut Criterion) {
    let gpu = gpu();
    let weight_count = 900;
    let all = REPLICAS * weight_count;
    let arguments = SmallestArguments {
        replicas: REPLICAS,
        weight_count,
        parameters_per_replica: weight_count,
        offset: 0,
        rank: &below(&gpu, all, weight_count as u32),
        changes: &changes(&gpu, 450),
        state: 0,
        mask: &upload(&gpu, &vec![1; all]),
        parameters: &numbers(&gpu, all),
        m: &numbers(&gpu, all),
        v: &numbers(&gpu, all),
    };
    let bound = made(Smallest::new(&gpu, gpu.usual_workgroup_size()).and_then(|kernel| kernel.bind(&gpu, &arguments)));
    let bytes = Throughput::Bytes(12 * all as u64);
    measure(criterion, &gpu, "mask/smallest", "r10_n900", bytes, |recorder| bound.record_once(recorder));
}

pub(crate) fn draw(criterion: &mut Criterion) {
    let gpu = gpu();
    let weight_count = 900;
    let all = REPLICAS * weight_count;
    let arguments = DrawArguments {
        weight_count,
        state: 0,
        seed: 1,
        changes: &changes(&gpu, 0),
        mask: &below(&gpu, all, 2),
        draws: &zeros(&gpu, all),
    };
    let bound = made(Draw::new(&gpu, gpu.usual_workgroup_size()).and_then(|kernel| kernel.bind(&gpu, &arguments)));
    let bytes = Throughput::Bytes(8 * all as u64);
    measure(criterion, &gpu, "mask/draw", "r10_n900", bytes, |recorder| bound.record_once(recorder));
}

pub(crate) fn regrow(criterion: &mut Criterion) {
    let gpu = gpu();
    let weight_count = 900;
    let all = REPLICAS * weight_count;
    let arguments = RegrowArguments {
        weight_count,
        parameters_per_replica: weight_count,
        offset: 0,
        seed: 1,
        scale: 0.3,
        rank: &below(&gpu, all, weight_count as u32),
        changes: &changes(&gpu, 135),
        mask: &upload(&gpu, &vec![0; all]),
        parameters: &numbers(&gpu, all),
        m: &numbers(&gpu, all),
        v: &numbers(&gpu, all),
    };
    let bound = made(Regrow::new(&gpu, gpu.usual_workgroup_size()).and_then(|kernel| kernel.bind(&gpu, &arguments)));
    let bytes = Throughput::Bytes(4 * all as u64);
    measure(criterion, &gpu, "mask/regrow", "r10_n900", bytes, |recorder| bound.record_once(recorder));
}
