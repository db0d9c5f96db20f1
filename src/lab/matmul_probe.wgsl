// A probe, not a kernel: a product of matrices and nothing else, the loop that every dense layer comes down to, to find out how
// fast a device gets through it where numbers must be loaded.
//
// product[r, n, k] = sum_i left[r, n, i]·right[r, i, k], 32 samples n and 32 units k. An invocation owns 16 samples x 4 units in
// registers, a workgroup of 8 invocations all units of 16 samples: the tile that was fastest on Mesa's software driver.

override INNER: u32 = 784; // a multiple of 4

@group(0) @binding(0) var<storage, read> left: array<vec4f>; // [r, n, i / 4]
@group(0) @binding(1) var<storage, read> right: array<vec4f>; // [r, i, k / 4]
@group(0) @binding(2) var<storage, read_write> product: array<vec4f>; // [r, n, k / 4]

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
        let at = first * words + i;
        a += weights * mat4x4f(left[at], left[at + words], left[at + 2u * words], left[at + 3u * words]);
        b += weights * mat4x4f(left[at + 4u * words], left[at + 5u * words], left[at + 6u * words], left[at + 7u * words]);
        c += weights * mat4x4f(left[at + 8u * words], left[at + 9u * words], left[at + 10u * words], left[at + 11u * words]);
        d += weights * mat4x4f(left[at + 12u * words], left[at + 13u * words], left[at + 14u * words], left[at + 15u * words]);
    }
    for (var n = 0u; n < 4u; n++) {
        let row = (first + n) * 8u + local.x;
        product[row] = a[n];
        product[row + 32u] = b[n];
        product[row + 64u] = c[n];
        product[row + 96u] = d[n];
    }
}
