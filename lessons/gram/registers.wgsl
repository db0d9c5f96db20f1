// lessons/gram/registers: total[i, j] = sum_n weighed[n, i] * x[n, j], with 4 x 4 sums in registers.
//
// A workgroup of 64 owns 32 x 32 sums, an invocation 4 x 4 of them. 16 rows at a time lie in workgroup memory; eight numbers that
// are read from there serve 16 multiply-adds. What lies behind an edge counts 0.

const SIDE: u32 = 32u;
const ROWS: u32 = 16u;
const LANES: u32 = 64u;

struct Sizes {
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> weighed: array<f32>; // [row, column]
@group(0) @binding(2) var<storage, read> x: array<f32>; // [row, column]
@group(0) @binding(3) var<storage, read_write> total: array<f32>; // [column, column]

var<workgroup> left: array<f32, ROWS * SIDE>; // [row, i]
var<workgroup> right: array<f32, ROWS * SIDE>; // [row, j]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let first = SIDE * group.yx; // i and j
    let own = 4u * vec2u(lane / 8u, lane % 8u);
    var sums = mat4x4f();
    for (var block = 0u; block < sizes.rows; block += ROWS) {
        for (var place = lane; place < ROWS * SIDE; place += LANES) {
            let n = block + place / SIDE;
            let i = first.x + place % SIDE;
            let j = first.y + place % SIDE;
            left[place] = 0.0;
            right[place] = 0.0;
            if (n < sizes.rows && i < sizes.columns) { left[place] = weighed[n * sizes.columns + i]; }
            if (n < sizes.rows && j < sizes.columns) { right[place] = x[n * sizes.columns + j]; }
        }
        workgroupBarrier();
        for (var row = 0u; row < ROWS; row++) {
            let a = row * SIDE + own.x;
            let b = row * SIDE + own.y;
            let y = vec4f(right[b], right[b + 1u], right[b + 2u], right[b + 3u]);
            sums += mat4x4f(left[a] * y, left[a + 1u] * y, left[a + 2u] * y, left[a + 3u] * y);
        }
        workgroupBarrier();
    }
    for (var row = 0u; row < 4u; row++) {
        for (var column = 0u; column < 4u; column++) {
            let i = first.x + own.x + row;
            let j = first.y + own.y + column;
            if (i < sizes.columns && j < sizes.columns) { total[i * sizes.columns + j] = sums[row][column]; }
        }
    }
}
