// The invocations of a workgroup share memory: each leaves its number there, and takes its neighbour's.
// run: 2 workgroups; x = 0..16; y = 16 zeros

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

var<workgroup> shared_numbers: array<f32, 8>;

@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    shared_numbers[lane] = x[id.x];
    workgroupBarrier();
    y[id.x] = shared_numbers[(lane + 1u) % 8u];
}
