// A probe, not a kernel: counts to a number that only the buffer knows.
//
// Mesa's software drivers before 23 silently leave a loop after 65,535 iterations; the device is asked once when it is
// opened (src/gpu/device.rs), so that kernels can refuse work that would be cut short.

@group(0) @binding(0) var<storage, read> iterations: u32;
@group(0) @binding(1) var<storage, read_write> counted: u32;

@compute @workgroup_size(1)
fn main() {
    var total = 0u;
    for (var i = 0u; i < iterations; i++) {
        total = (total ^ i) + 1u;
    }
    counted = total;
}
