// An invocation is one run of main. It knows which one it is, and works on its own element.
// run: 1 workgroup; x = 0..8; y = 8 zeros

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3u) {
    y[id.x] = x[id.x] * x[id.x];
}
