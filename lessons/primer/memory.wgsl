// Three kinds of memory: the array of all, the workgroup's own, and an invocation's registers.
// run: 1 workgroup; x = 0..64; y = 8 zeros

@group(0) @binding(0) var<storage, read> x: array<f32>; // of all: large, far away
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

var<workgroup> tile: array<f32, 64>; // of a workgroup: small, near

@compute @workgroup_size(8)
fn main(@builtin(local_invocation_index) lane: u32) {
    for (var i = lane; i < 64u; i += 8u) { tile[i] = x[i]; }
    workgroupBarrier();
    var sum = 0.0; // of an invocation: a register
    for (var i = 0u; i < 8u; i++) { sum += tile[8u * lane + i]; }
    y[lane] = sum;
}
