//! The adapter that the tests of the shaders run on, whatever its driver is called.

use holdfast::gpu::adapters;
use std::sync::OnceLock;

/// Index of the first adapter that runs in software, else of the first of all. Says once which one was taken;
/// `WGPU_ADAPTER_NAME` asks for another, since it leaves out all that have not this word in their names.
///
/// Panics where there is none: a test that needs a device is never skipped.
#[expect(clippy::print_stderr, reason = "whoever reads the output of the tests wants to know")]
pub fn index() -> usize {
    static INDEX: OnceLock<usize> = OnceLock::new();
    *INDEX.get_or_init(|| {
        let all = adapters();
        let taken = all.iter().find(|adapter| adapter.kind == "software").or(all.first());
        let taken = taken.unwrap_or_else(|| panic!("the tests need a Vulkan, Metal or DX12 driver; see the README"));
        eprintln!("the shaders are tested on {} ({}, {})", taken.name, taken.kind, taken.backend);
        taken.index
    })
}
