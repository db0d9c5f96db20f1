//! What the wrappers count as work is what the network's formulas say, and every launch says what it costs.

use crate::*;
use holdfast::data::Dataset;
use holdfast::engine::{Engine, GpuBackend, HistoryShape, Variant, Watch};
use holdfast::lab::roofline::{Bound, Roofline, TRAINING, Work};
use holdfast::network::{Architecture, ParameterLayout};
use holdfast::random::{Sequence, Stream};
use std::sync::Arc;
use std::time::Duration;

const EPOCHS: usize = 12;
const REPLICAS: usize = 3;

fn network(convolutional: bool) -> Architecture {
    let convolutions = if convolutional { Architecture::paper_convolutions(5) } else { Vec::new() };
    Architecture { convolutions, ..Architecture::dnn(9, 10, [6; 3], 4) }
}

/// Calls `use_it` with small work for `architecture`.
fn with_work<R>(architecture: &Architecture, use_it: impl FnOnce(&Work<'_>, &Watch<'_>) -> R) -> R {
    let mut draws = Sequence::new(1, Stream::Check, 77, 0);
    let mut data = |samples: usize| {
        let images = (0..samples * architecture.image_len()).map(|_| draws.next_word() as u8).collect();
        let labels = (0..samples).map(|sample| (sample % architecture.classes) as u8).collect();
        let Architecture { image_height, image_width, classes, .. } = *architecture;
        Arc::new(Dataset::new("random", images, labels, image_height, image_width, classes).unwrap())
    };
    let (training, test) = (data(50), data(30));
    let shape = HistoryShape { epochs: EPOCHS, replicas: REPLICAS, weight_count: architecture.weight_count() };
    let history: Vec<f32> = (0..shape.len()).map(|_| draws.unit() as f32 - 0.5).collect();
    let work = Work {
        architecture,
        training: &training,
        test: &test,
        replicates: REPLICAS as u32,
        batch: 16,
        history: &history,
        shape,
    };
    use_it(&work, &Watch::nobody())
}

fn engine() -> Engine {
    Engine::gpu(&DeviceChoice::Index(adapter::index()), false, RequestedLimits::Adapter).unwrap()
}

#[test]
fn the_operations_of_a_step_are_those_of_the_formula_and_of_adam() {
    let cases = [false, true].map(|convolutional| [Variant::Stacked, Variant::Fused].map(|way| (convolutional, way)));
    for (convolutional, variant) in cases.into_iter().flatten() {
        let architecture = network(convolutional);
        let limits = (1e9, 1e9, Duration::ZERO);
        let mut engine = Engine::from(GpuBackend::with_variant(open(false, RequestedLimits::Adapter), variant));
        let roofline = with_work(&architecture, |work, watch| Roofline::counted(&mut engine, work, watch, limits));
        let lines = roofline.unwrap().lines;
        assert!(lines.iter().all(|line| line.part == TRAINING && line.time.is_none()));
        let counted: f64 = lines.iter().map(|line| line.cost.operations * line.launches as f64).sum();
        let adam = 12 * ParameterLayout::new(&architecture).parameters();
        let expected = REPLICAS as f64 * (architecture.step_flops(16) + adam as f64);
        assert_eq!(counted, expected, "{lines:?}");
    }
}

#[test]
fn every_kernel_of_the_gpu_engine_says_what_it_costs_and_takes_time() {
    for convolutional in [false, true] {
        let measure = |work: &Work<'_>, watch: &Watch<'_>| Roofline::of_gpu(&mut engine(), work, watch, &|_| {});
        let roofline = with_work(&network(convolutional), measure).unwrap();
        assert!(roofline.peak > 0.0 && roofline.copy > 0.0 && roofline.launch > Duration::ZERO);
        assert!(roofline.launches_a_step.unwrap() > 0.0);
        for part in [TRAINING, "evaluation", "sweep", "history", "masks", "initial weights"] {
            assert!(roofline.lines.iter().any(|line| line.part == part), "{part}");
        }
        for line in &roofline.lines {
            assert!(line.cost.bytes > 0.0, "{} does not say what it costs", line.kernel);
            assert!(line.time.unwrap() > Duration::ZERO && line.launches > 0, "{}", line.kernel);
        }
    }
}

#[test]
fn every_part_of_the_cpu_engine_is_measured() {
    let mut engine = Engine::cpu(Some(2)).unwrap();
    let measure = |work: &Work<'_>, watch: &Watch<'_>| Roofline::of_cpu(&mut engine, Some(2), work, watch, &|_| {});
    let roofline = with_work(&network(false), measure).unwrap();
    assert_eq!(roofline.launches_a_step, None);
    let parts: Vec<&str> = roofline.lines.iter().map(|line| line.part).collect();
    assert_eq!(parts, [TRAINING, "evaluation", "sweep", "history", "history", "history"]);
    for line in &roofline.lines {
        let (least, bound) = roofline.least(line);
        assert!(least > Duration::ZERO && bound != Bound::Launch, "{}", line.kernel);
    }
}
