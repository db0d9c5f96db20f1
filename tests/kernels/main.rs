//! Every kernel on the device that is there, against its definition. No adapter is a failure: install a Vulkan, Metal or
//! DX12 driver (Mesa's software driver will do).

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test whose set-up fails has failed")]

mod adam;
#[path = "../support/adapter.rs"]
mod adapter;
mod catalogue;
mod conv2d;
mod convolutional_engine;
mod dense;
mod dense_stack;
mod doctor;
mod engine;
mod families;
mod focus_sweep;
mod gram;
mod he_normal;
mod importance;
mod lessons;
mod magnitude_sort;
mod mask;
mod max_pool2d;
mod mean;
mod not_a_number;
mod refusals;
mod roofline;
mod selections;
mod softmax_cross_entropy;
mod stability;
mod surgeon;
mod tuning;
mod twins;
mod whole_inputs;

use holdfast::check::{Report, Setting};
use holdfast::error::Result;
use holdfast::gpu::{DeviceChoice, Gpu, RequestedLimits};
use std::sync::OnceLock;

fn open(checked: bool, limits: RequestedLimits) -> Gpu {
    Gpu::open(&DeviceChoice::Index(adapter::index()), checked, limits).expect("the adapter cannot be opened")
}

/// The device as the program uses it, with the limits that every kernel must fit.
fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| open(false, RequestedLimits::WebGpuDefaults))
}

/// The same device with bounds checks in the shaders.
fn checked() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| open(true, RequestedLimits::WebGpuDefaults))
}

/// A device whose arrays have at most 4 KiB.
fn lowered() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| open(false, RequestedLimits::ArrayBytes(4096)))
}

fn assert_passed(reports: &[Report]) {
    assert!(!reports.is_empty());
    for report in reports {
        assert!(report.passed, "{report}");
    }
}

/// The size of workgroups that suits the device.
fn usual() -> Setting<'static> {
    Setting::usual(gpu())
}

/// The work was refused, by an error that says `parts`.
fn assert_refused<T>(result: Result<T>, parts: &[&str]) {
    let error = result.map(|_| ()).expect_err("must be refused").to_string();
    for part in parts {
        assert!(error.contains(part), "\"{part}\" is missing in \"{error}\"");
    }
}
