// A register tile: one invocation owns 2 x 2 outputs, and four numbers that it loads serve four multiply-adds, not two.
// run: 1 workgroup; a = 1 2 3 4; b = 10 20 30 40; product = 16 zeros

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> product: array<f32>; // [4, 4]: a times b

@compute @workgroup_size(2, 2)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let rows = vec2f(a[2u * id.y], a[2u * id.y + 1u]);
    let columns = vec2f(b[2u * id.x], b[2u * id.x + 1u]);
    let first = 8u * id.y + 2u * id.x;
    product[first] = rows.x * columns.x;
    product[first + 1u] = rows.x * columns.y;
    product[first + 4u] = rows.y * columns.x;
    product[first + 5u] = rows.y * columns.y;
}
