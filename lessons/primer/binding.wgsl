// A binding is an array that the host hands over, by its number. This one reads two and writes one.
// run: 1 workgroup; weights = 0.5 2 4; inputs = 1 1 0.25; product = 3 zeros

@group(0) @binding(0) var<storage, read> weights: array<f32>;
@group(0) @binding(1) var<storage, read> inputs: array<f32>;
@group(0) @binding(2) var<storage, read_write> product: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x < arrayLength(&product)) { product[id.x] = weights[id.x] * inputs[id.x]; }
}
