//! A device that computes something wrong is caught, and the kernel is named.

use crate::{adapter, assert_passed};
use holdfast::check::recorded::{philox_on_host, ranks, training};
use holdfast::check::{Examination, FAMILIES, Setting, cpu};
use holdfast::engine::{Engine, GpuBackend, Variant};
use holdfast::gpu::{DeviceChoice, Kernel, RequestedLimits, Shader};
use holdfast::kernels::catalogue::SHADERS;
use std::collections::BTreeSet;

fn engine() -> Engine {
    Engine::gpu(&DeviceChoice::Index(adapter::index()), false, RequestedLimits::WebGpuDefaults).unwrap()
}

/// Has the device take another text for a kernel: a device that was asked for a kernel once never compiles it again.
fn spoil(engine: &Engine, name: &str, from: &str, to: &str) {
    let shader = *SHADERS.iter().find(|shader| shader.name == name).unwrap();
    assert!(shader.source.contains(from), "{name} has no {from:?} any more");
    let spoilt: &'static Shader =
        Box::leak(Box::new(Shader { source: shader.source.replace(from, to).leak(), ..*shader }));
    let gpu = engine.device().unwrap();
    Kernel::new(gpu, spoilt, &[("WORKGROUP_SIZE", gpu.usual_workgroup_size())]).unwrap();
}

/// Faults of the kind that drivers and careless edits have: a lost carry, a wrong constant, a missing term, an order that is
/// not kept, an element that is left out, one that is written too many.
const FAULTS: &[(&str, &str, &str)] = &[
    ("he_normal.fill", "+ (carried >> 16u)", ""),
    ("adam.step", "EPSILON: f32 = 1e-7", "EPSILON: f32 = 1e-6"),
    ("dense.forward", "i < params.inputs", "i + 1u < params.inputs"),
    ("dense.backward_weights", "WORKGROUP_SIZE: u32 = 64;", "WORKGROUP_SIZE: u32 = 64; const UNUSED = 1;"),
    ("magnitude_sort.rank", "(j < i)", "(j > i)"),
    ("stability.count", "(key <= high)", "(key < high)"),
    ("dense_stack.step", "hidden = layer < launch.params.depth", "hidden = layer <= launch.params.depth"),
    ("surgeon.update", "select(product, -product, sweeps)", "product"),
    ("surgeon.importance", "place += params.units", "place += 1u"),
    ("mask.smallest", "if (mask[i] == PRUNED) { state = PRUNED; }", ""),
];

#[test]
fn a_faulty_kernel_is_caught_and_named() {
    for &(name, from, to) in FAULTS {
        let engine = engine();
        spoil(&engine, name, from, to);
        let family = name.split('.').next().unwrap();
        let (_, check) = FAMILIES.iter().find(|(known, _)| *known == family).unwrap();
        let reports = check(&[Setting::usual(engine.device().unwrap())]).unwrap();
        let wrong: Vec<_> = reports.into_iter().filter(|report| !report.passed).collect();
        // A change that changes nothing must pass, or the test proves nothing.
        assert_eq!(wrong.is_empty(), to.contains("UNUSED"), "{name}: {from:?} became {to:?}");
        assert!(wrong.iter().all(|report| report.kernel == name), "{name}: {:?}", wrong.first());
    }
}

#[test]
fn the_verdict_on_a_device_with_a_faulty_kernel_names_it_and_what_to_do() {
    // The variant that leaves the update of all parameters to this kernel.
    let gpu = crate::open(false, RequestedLimits::WebGpuDefaults);
    let mut engine = Engine::from(GpuBackend::with_variant(gpu, Variant::Stacked));
    spoil(&engine, "adam.step", "BETA2: f32 = 0.999", "BETA2: f32 = 0.998");
    let examination = Examination::of(&mut engine, &|_| {}).unwrap();
    let error = examination.verdict().unwrap_err();
    assert_eq!(error.exit_code(), 4);
    let text = error.to_string();
    assert!(text.contains("adam.step") && text.contains("--device cpu"), "{text}");
    // What it spoils is seen from outside, too: losses are no longer PyTorch's.
    assert!(text.contains("training_step") && !text.contains("dense"), "{text}");
    let compiled: BTreeSet<&str> = examination.pipelines.iter().map(|(kernel, _)| *kernel).collect();
    assert!(SHADERS.iter().all(|shader| compiled.contains(shader.name)), "a kernel is never checked: {compiled:?}");
    assert!(examination.launches.keys().any(|kernel| *kernel == "dense.forward"));
}

#[test]
fn the_cpu_engines_fast_variants_match_their_twins() {
    assert_passed(
        &[
            cpu::training(),
            cpu::sweep(),
            cpu::networks(),
            cpu::ranks(),
            cpu::histories(),
            cpu::surgeon(),
            vec![philox_on_host()],
        ]
        .concat(),
    );
}

#[test]
fn recorded_runs_have_fifty_steps_and_both_engines_follow_them() {
    let mut cpu = Engine::cpu(Some(2)).unwrap();
    let reports = training(&mut cpu).unwrap();
    assert_passed(&reports);
    let steps: u32 = reports.iter().filter_map(|report| report.case.split(' ').nth(1)?.parse::<u32>().ok()).sum();
    assert!(steps >= 50, "{steps}");
    assert_passed(&[ranks(&mut cpu).unwrap()]);
    let mut gpu = engine();
    assert_passed(&training(&mut gpu).unwrap());
    assert_passed(&[ranks(&mut gpu).unwrap()]);
}
