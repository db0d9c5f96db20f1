// A probe, not a kernel: the product of `matmul_probe.wgsl` for subgroups of exactly 8 lanes.
//
// Every lane owns 16 samples x 4 units as there. What all lanes need alike, 16 rows of the left matrix, is loaded once: each lane
// loads two quads and hands them to the others, which costs a software driver far less than loading them again.

override INNER: u32 = 784; // a multiple of 4

@group(0) @binding(0) var<storage, read> left: array<vec4f>; // [r, n, i / 4]
@group(0) @binding(1) var<storage, read> right: array<vec4f>; // [r, i, k / 4]
@group(0) @binding(2) var<storage, read_write> product: array<vec4f>; // [r, n, k / 4]

// Quads of four rows, for all lanes alike.
fn rows(x: vec4f, lane: u32) -> mat4x4f {
    return mat4x4f(
        subgroupShuffle(x, lane),
        subgroupShuffle(x, lane + 1u),
        subgroupShuffle(x, lane + 2u),
        subgroupShuffle(x, lane + 3u),
    );
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let words = INNER / 4u;
    let first = group.z * 32u + group.x * 16u;
    var a = mat4x4f();
    var b = mat4x4f();
    var c = mat4x4f();
    var d = mat4x4f();
    for (var i = 0u; i < words; i++) {
        let row = (group.z * INNER + 4u * i) * 8u + local.x;
        let weights = mat4x4f(right[row], right[row + 8u], right[row + 16u], right[row + 24u]);
        let upper = left[(first + local.x) * words + i];
        let lower = left[(first + 8u + local.x) * words + i];
        a += weights * rows(upper, 0u);
        b += weights * rows(upper, 4u);
        c += weights * rows(lower, 0u);
        d += weights * rows(lower, 4u);
    }
    for (var n = 0u; n < 4u; n++) {
        let row = (first + n) * 8u + local.x;
        product[row] = a[n];
        product[row + 32u] = b[n];
        product[row + 64u] = c[n];
        product[row + 96u] = d[n];
    }
}
