// Puzzle 3: y[i] = the mean of x[i - 1], x[i] and x[i + 1], of those that exist.

struct Sizes {
    elements: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let i = id.x;
    if (i >= sizes.elements) { return; }
    var sum = x[i];
    var count = 1.0;
    if (i > 0u) {
        sum += x[i - 1u];
        count += 1.0;
    }
    if (i + 1u < sizes.elements) {
        sum += x[i + 1u];
        count += 1.0;
    }
    y[i] = sum / count;
}
