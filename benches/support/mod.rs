//! What the benchmarks of whole engines share: the paper's network on noise, and both engines.

use holdfast::data::Dataset;
use holdfast::engine::{Batch, DataHandle, Engine, Setup};
use holdfast::gpu::{DeviceChoice, RequestedLimits};
use holdfast::network::{Architecture, Selection};
use holdfast::random::{Sequence, Stream};
use std::sync::Arc;

/// The paper's network on MNIST.
pub fn paper_network() -> Architecture {
    Architecture::dnn(28, 28, [30; 6], 10)
}
/// Samples of a step.
pub const BATCH: usize = 32;

/// The CPU engine and the first adapter, with a name each that can stand in a benchmark's id.
pub fn engines() -> Vec<(String, Engine)> {
    let cpu = Engine::cpu(None).unwrap_or_else(|error| panic!("{error}"));
    let gpu = Engine::gpu(&DeviceChoice::Index(0), false, RequestedLimits::Adapter);
    let gpu = gpu.unwrap_or_else(|error| panic!("the benchmarks need a Vulkan, Metal or DX12 driver: {error}"));
    let name = |engine: &Engine| engine.description().name.replace('/', " ");
    vec![(name(&cpu), cpu), (name(&gpu), gpu)]
}

/// Images of noise: what pixels hold moves no time.
pub fn images(samples: usize) -> Arc<Dataset> {
    let mut noise = Sequence::new(1, Stream::Check, samples as u32, 0);
    let pixels = (0..samples * paper_network().image_len()).map(|_| noise.next_word() as u8).collect();
    let labels = (0..samples).map(|sample| (sample % paper_network().classes) as u8).collect();
    let data = Dataset::new(
        "noise",
        pixels,
        labels,
        paper_network().image_height,
        paper_network().image_width,
        paper_network().classes,
    );
    Arc::new(data.unwrap_or_else(|error| panic!("{error}")))
}

/// Replicas with initial weights.
pub fn begin(engine: &mut Engine, training: DataHandle, replicas: u32) -> Batch {
    let replica_ids: Vec<u32> = (0..replicas).collect();
    let setup = Setup {
        architecture: &paper_network(),
        training,
        batch: BATCH,
        pixel_scale: 255.0,
        seed: 1,
        replica_ids: &replica_ids,
        selection: &Selection::focus(&paper_network()),
    };
    engine.begin(&setup).unwrap_or_else(|error| panic!("{error}"))
}
