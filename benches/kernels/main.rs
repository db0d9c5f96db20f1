//! Speed of every kernel on the first adapter: `cargo bench --bench kernels -- dense/forward`.
//!
//! Inputs are made outside the measurement, a launch and the wait for it are inside. Ids are the kernel's name, its sizes
//! and the device; throughput is in floating-point operations (as elements) or bytes.

mod adam;
mod conv2d;
mod dense;
mod dense_stack;
mod focus_sweep;
mod gram;
mod he_normal;
mod magnitude_sort;
mod mask;
mod max_pool2d;
mod softmax_cross_entropy;
mod stability;
mod surgeon;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use holdfast::error::Result;
use holdfast::gpu::{Buffer, DeviceChoice, Gpu, Recorder, RequestedLimits};
use holdfast::random::{Sequence, Stream};
use std::time::Duration;

/// Replicas of every benchmark: those of the main job.
const REPLICAS: usize = 10;

fn gpu() -> Gpu {
    let open = Gpu::open(&DeviceChoice::Index(0), false, RequestedLimits::Adapter);
    open.unwrap_or_else(|error| panic!("the benchmarks need a Vulkan, Metal or DX12 driver: {error}"))
}

/// Measures launches of what `record` records, one at a time, each waited for.
fn measure(
    criterion: &mut Criterion,
    gpu: &Gpu,
    kernel: &str,
    sizes: &str,
    throughput: Throughput,
    record: impl Fn(&mut Recorder<'_>) -> Result<()>,
) {
    let mut group = criterion.benchmark_group(kernel);
    group.throughput(throughput).sample_size(10).measurement_time(Duration::from_secs(1));
    group.warm_up_time(Duration::from_millis(200));
    let device = gpu.description().name.replace('/', " ");
    group.bench_function(format!("{sizes}/{device}"), |bencher| {
        bencher.iter(|| {
            let run = || {
                let mut recorder = Recorder::new(gpu, kernel);
                record(&mut recorder)?;
                recorder.submit()?.wait()
            };
            run().unwrap_or_else(|error| panic!("{kernel}: {error}"));
        });
    });
    group.finish();
}

/// What a benchmark needs, or the end of it.
fn made<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

/// Random numbers in (-1, 1) on the device.
fn numbers(gpu: &Gpu, len: usize) -> Buffer<f32> {
    let mut draws = Sequence::new(1, Stream::Check, len as u32, 0);
    let numbers: Vec<f32> = (0..len).map(|_| (2.0 * draws.unit() - 1.0) as f32).collect();
    upload(gpu, &numbers)
}

/// Random whole numbers below `bound` on the device.
fn below(gpu: &Gpu, len: usize, bound: u32) -> Buffer<u32> {
    let mut draws = Sequence::new(1, Stream::Check, len as u32, 1);
    let numbers: Vec<u32> = (0..len).map(|_| draws.below(bound)).collect();
    upload(gpu, &numbers)
}

fn upload<T: bytemuck::Pod>(gpu: &Gpu, elements: &[T]) -> Buffer<T> {
    made(Buffer::from_slice(gpu, "input", elements))
}

fn zeros<T: bytemuck::Pod>(gpu: &Gpu, len: usize) -> Buffer<T> {
    made(Buffer::new(gpu, "output", len))
}

criterion_group!(
    kernels,
    he_normal::fill,
    conv2d::all,
    max_pool2d::all,
    dense::all,
    dense_stack::gradient,
    dense_stack::step,
    softmax_cross_entropy::loss,
    adam::step,
    mask::smallest,
    mask::draw,
    mask::regrow,
    magnitude_sort::rank,
    magnitude_sort::processor,
    stability::all,
    stability::processor,
    focus_sweep::evaluate,
    gram::accumulate,
    surgeon::path,
    surgeon::processor
);
criterion_main!(kernels);
