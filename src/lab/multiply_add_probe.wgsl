// A probe, not a kernel: multiply-adds and nothing else, to find out how many a device does in a second.
//
// Every invocation owns 32 numbers in registers; each moves half of the way to 2 in every step, x <- x·factor + term, and all
// arrive exactly. Factor and term come from memory, so that nothing can be computed beforehand.

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> numbers: vec2f; // factor 0.5, term 1
@group(0) @binding(1) var<storage, read> iterations: u32; // of 16 steps
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let factor = vec4f(numbers.x);
    let term = vec4f(numbers.y);
    let start = f32(id.x % 7u);
    var a = vec4f(start);
    var b = vec4f(start + 1.0);
    var c = vec4f(start + 3.0);
    var d = vec4f(start + 4.0);
    var e = vec4f(start + 5.0);
    var f = vec4f(start + 6.0);
    var g = vec4f(start + 7.0);
    var h = vec4f(start + 8.0);
    for (var i = 0u; i < iterations; i++) {
        for (var step = 0u; step < 16u; step++) {
            a = fma(a, factor, term);
            b = fma(b, factor, term);
            c = fma(c, factor, term);
            d = fma(d, factor, term);
            e = fma(e, factor, term);
            f = fma(f, factor, term);
            g = fma(g, factor, term);
            h = fma(h, factor, term);
        }
    }
    let sum = (a + b) + (c + d) + (e + f) + (g + h);
    sums[id.x] = sum.x + sum.y + sum.z + sum.w;
}
