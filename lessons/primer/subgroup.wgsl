// A subgroup is the part of a workgroup that a device runs in step. Its invocations can add without memory between them.
// run: 1 workgroup; x = 0..32; sum = 32 zeros; size = 1 zero

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> sum: array<f32>;
@group(0) @binding(2) var<storage, read_write> size: array<u32>;

@compute @workgroup_size(32)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(subgroup_size) lanes: u32) {
    sum[lane] = subgroupAdd(x[lane]); // the sum of its own subgroup
    if (lane == 0u) { size[0] = lanes; }
}
