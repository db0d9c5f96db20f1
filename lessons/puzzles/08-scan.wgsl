// Puzzle 8: y[i] = the sum of x from the first element of the block of 256 that i is in, up to x[i].

struct Sizes {
    elements: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

var<workgroup> sums: array<u32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = 256u * group.x + lane;
    sums[lane] = 0u;
    if (i < sizes.elements) { sums[lane] = x[i]; }
    workgroupBarrier();
    if (i < sizes.elements) { y[i] = sums[lane]; }
}
