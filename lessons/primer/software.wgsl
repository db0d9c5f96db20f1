// The same text on a driver that runs in software: lanes of a processor's vector in the place of a GPU's.
// run: 2 workgroups; x = 0..16; y = 16 zeros

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3u) {
    var value = x[id.x];
    for (var i = 0u; i < 10u; i++) { value = 0.5 * value + 1.0; } // registers: fast everywhere
    y[id.x] = value;
}
