// Puzzle 4: sums[g] = the sum of x[256 g] to x[256 g + 255], by halves.

struct Sizes {
    elements: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>; // [workgroup]

var<workgroup> partial: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = 256u * group.x + lane;
    partial[lane] = 0.0;
    if (i < sizes.elements) { partial[lane] = x[i]; }
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if (lane < half) { partial[lane] += partial[lane + half]; }
        workgroupBarrier();
    }
    if (lane == 0u) { sums[group.x] = partial[0]; }
}
