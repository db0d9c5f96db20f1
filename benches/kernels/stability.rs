use crate::{REPLICAS, Recorder, gpu, made, measure, numbers, upload, zeros};
use criterion::{Criterion, Throughput};
use holdfast::kernels::stability::{Count, CountArguments, Envelope, EnvelopeArguments, Shape};

/// Both kernels on the history of the main job.
pub(crate) fn all(criterion: &mut Criterion) {
    let gpu = gpu();
    let shape = Shape { epochs: 100, replicas: REPLICAS, nodes: 900 };
    let columns = REPLICAS * shape.nodes;
    let history = numbers(&gpu, shape.epochs * columns);
    let bytes = Throughput::Bytes(4 * (shape.epochs * columns) as u64);
    let arguments = CountArguments {
        shape,
        history: &history,
        lower: &upload(&gpu, &vec![[0x4000_0000; 4]; columns]),
        upper: &upload(&gpu, &vec![[0xbf00_0000; 4]; columns]),
        stability: &zeros(&gpu, columns),
        stable_nodes: &zeros(&gpu, shape.epochs * REPLICAS),
    };
    let bound = made(Count::new(&gpu).and_then(|kernel| kernel.bind(&gpu, &arguments)));
    let record = |recorder: &mut Recorder<'_>| bound.record(recorder);
    measure(criterion, &gpu, "stability/count", "e100_r10_n900", bytes.clone(), record);

    let windows = [2, 5, 10, 20, 50, 100];
    let results = windows.len() * columns;
    let arguments = EnvelopeArguments {
        shape,
        windows: &upload(&gpu, &windows),
        history: &history,
        minimum: &zeros(&gpu, results),
        maximum: &zeros(&gpu, results),
        smallest_magnitude: &zeros(&gpu, results),
    };
    let bound = made(Envelope::new(&gpu).and_then(|kernel| kernel.bind(&gpu, &arguments)));
    let record = |recorder: &mut Recorder<'_>| bound.record(recorder);
    measure(criterion, &gpu, "stability/envelope", "e100_r10_n900", bytes, record);
}
