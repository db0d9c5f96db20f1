//! How much units matter to the logits: both engines against the definition in double precision.

use crate::*;
use holdfast::cpu::layers as twin;
use holdfast::engine::Engine;
use holdfast::gpu::Buffer;
use holdfast::kernels::StepRecord;
use holdfast::kernels::surgeon::{Importance, ImportanceArguments, ImportanceShape};
use holdfast::network::{Architecture, Layer, ParameterLayout};
use holdfast::random::{Sequence, Stream};

/// A network with seeded parameters, and seeded images.
fn subject(architecture: &Architecture, images: usize) -> [Vec<f32>; 2] {
    let mut draws = Sequence::new(11, Stream::Check, images as u32, 0);
    let layout = ParameterLayout::new(architecture);
    let mut parameters: Vec<f32> = (0..layout.parameters()).map(|_| draws.between(-0.5, 0.5) as f32).collect();
    layout.missing().for_each(|bias| parameters[bias.range()].fill(0.0));
    [parameters, (0..images * architecture.image_len()).map(|_| draws.unit() as f32).collect()]
}

/// Each derivative is a sum of products through all layers, rounded once a term, and its square is added to as many more as
/// there are samples, classes and positions.
fn roundings(architecture: &Architecture, images: usize) -> f64 {
    let layers = Layer::all(architecture);
    let terms: usize = layers.iter().map(|layer| layer.inputs() + 9 * layer.units()).sum();
    let squares = layers.iter().map(Layer::rows).max().unwrap() * images * architecture.classes;
    (2 * terms + squares) as f64
}

fn shaders(limits: RequestedLimits) -> Engine {
    Engine::gpu(&DeviceChoice::Index(adapter::index()), false, limits).unwrap()
}

fn assert_is_that_of_the_twin(engine: &Engine, architecture: &Architecture, images: usize) {
    let [parameters, pixels] = subject(architecture, images);
    let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
    let expected = twin::importance(architecture, &wide(&parameters), &wide(&pixels));
    let found = engine.importance(architecture, &parameters, &pixels).unwrap();
    assert_eq!(found.len(), expected.len());
    let bound = roundings(architecture, images) * f64::from(f32::EPSILON);
    for (layer, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let expected: Vec<f64> = expected.iter().map(|sum| sum / images as f64).collect();
        let largest = expected.iter().fold(0.0f64, |largest, &one| largest.max(one));
        assert!(found.len() == expected.len() && largest > 0.0, "layer {layer}");
        for (unit, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let error = (found - expected).abs();
            assert!(error <= bound * largest, "layer {layer}, unit {unit}: {found} for {expected}");
        }
    }
    assert_eq!(engine.importance(architecture, &parameters, &pixels).unwrap(), found, "other bits");
}

fn networks() -> [Architecture; 4] {
    let narrow = Architecture::dnn(9, 10, [17, 31, 5], 3);
    let cnn = Architecture { convolutions: Architecture::paper_convolutions(5), ..narrow.clone() };
    let colour = Architecture { channels: 3, bias: false, ..cnn.clone() };
    // Beyond 64 units layers are computed in tiles.
    [narrow, Architecture { bias: false, ..Architecture::dnn(5, 6, [70, 97], 12) }, cnn, colour]
}

#[test]
fn both_engines_give_the_importance_of_the_definition() {
    for engine in [Engine::cpu(Some(2)).unwrap(), shaders(RequestedLimits::WebGpuDefaults)] {
        for architecture in &networks() {
            for images in [1, 67] {
                assert_is_that_of_the_twin(&engine, architecture, images);
            }
        }
        // More than a batch, and not a multiple of one.
        assert_is_that_of_the_twin(&engine, &networks()[0], 600);
    }
}

#[test]
fn a_small_device_takes_images_in_smaller_batches() {
    // 4 KiB hold eleven images of 9 x 10.
    let architecture = Architecture::dnn(9, 10, [7, 5], 3);
    assert_is_that_of_the_twin(&shaders(RequestedLimits::ArrayBytes(4096)), &architecture, 25);
}

#[test]
fn lengths_that_do_not_fit_the_network_are_refused_on_every_engine() {
    let architecture = &networks()[0];
    let [parameters, images] = subject(architecture, 2);
    for engine in [Engine::cpu(Some(1)).unwrap(), shaders(RequestedLimits::WebGpuDefaults)] {
        assert_refused(engine.importance(architecture, &parameters[1..], &images), &["parameters"]);
        assert_refused(engine.importance(architecture, &parameters, &images[1..]), &["179 pixels", "90"]);
        assert_refused(engine.importance(architecture, &parameters, &[]), &["0 pixels"]);
    }
}

#[test]
fn rejects_bad_shapes() {
    let gpu = gpu();
    let [long, short] = [24, 7].map(|len| Buffer::<f32>::new(gpu, "array", len).unwrap());
    let steps = Buffer::from_slice(gpu, "steps", &[StepRecord::new(0, 0, 2, 0, 0.0)]).unwrap();
    let bind = |runs, gradient, sums| {
        let shape = ImportanceShape { capacity: 2, runs, length: 3, units: 2 };
        let arguments = ImportanceArguments { shape, steps: &steps, gradient, sums };
        Importance::new(gpu, gpu.usual_workgroup_size()).unwrap().bind(gpu, &arguments)
    };
    assert!(bind(2, &long, &long).is_ok());
    assert_refused(bind(2, &short, &long), &["surgeon.importance: gradient", "7", "24"]);
    assert_refused(bind(2, &long, &short), &["surgeon.importance: sums", "7", "8"]);
    assert_refused(bind(0, &long, &long), &["runs is 0"]);
}
