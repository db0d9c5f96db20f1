//! Speed of a training step of the DNN on both engines: `cargo bench --bench training`.
//!
//! Throughput is in floating-point operations (as elements), two for each multiply-add; divide the time by steps and
//! replicas for the time of one replica-step.

#[path = "../support/mod.rs"]
mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use holdfast::engine::{Steps, Watch};
use std::sync::Arc;
use std::time::Duration;
use support::{BATCH, begin, engines, images, paper_network};

/// Steps of one measurement.
const STEPS: usize = 16;

fn step(criterion: &mut Criterion) {
    let data = images(STEPS * BATCH);
    let order: Arc<[u32]> = (0..data.samples() as u32).collect();
    let batches: Vec<_> = (0..STEPS).map(|step| step * BATCH..(step + 1) * BATCH).collect();
    let mut group = criterion.benchmark_group("training/step/dnn");
    group.sample_size(10).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(300));
    for (name, mut engine) in engines() {
        let training = engine.load(&data).unwrap_or_else(|error| panic!("{error}"));
        for replicas in [1, 10] {
            let mut batch = begin(&mut engine, training, replicas);
            let orders = vec![Arc::clone(&order); replicas as usize];
            let watch = Watch::nobody();
            let mut first_step = 0;
            let flops = paper_network().step_flops(BATCH) * f64::from(replicas) * STEPS as f64;
            group.throughput(Throughput::Elements(flops as u64));
            group.bench_function(format!("r{replicas}_b{BATCH}_28x28_k{STEPS}/{name}"), |bencher| {
                bencher.iter(|| {
                    let steps = Steps { first_step, orders: &orders, batches: &batches, decay: 1.0 };
                    first_step += STEPS as u64;
                    batch.train(&steps, &watch).unwrap_or_else(|error| panic!("{error}"))
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
