// Which elements are read together? Neighbours at first; then elements that lie 8 apart, each from a piece of its own.
// run: 1 workgroup; x = 0..64; near = 8 zeros; far = 8 zeros

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> near: array<f32>;
@group(0) @binding(2) var<storage, read_write> far: array<f32>;

@compute @workgroup_size(8)
fn main(@builtin(local_invocation_index) lane: u32) {
    near[lane] = x[lane]; // 0 1 2 ..: one piece of 32 bytes serves all eight
    far[lane] = x[8u * lane]; // 0 8 16 ..: eight pieces, of which one number each is used
}
