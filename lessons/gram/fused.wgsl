// lessons/gram/fused: gram[i, j] = sum_n q[n] * x[n, i] * x[n, j] / rows, one half of it and its mirror image.
//
// As lessons/gram/registers. A row is weighed while it is copied, the mean is taken while the sums are in registers: two launches
// less. The result is symmetric: tiles left of the diagonal are not computed, every sum is written twice.

const SIDE: u32 = 32u;
const ROWS: u32 = 16u;
const LANES: u32 = 64u;

struct Sizes {
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> q: array<f32>; // [row]
@group(0) @binding(2) var<storage, read> x: array<f32>; // [row, column]
@group(0) @binding(3) var<storage, read_write> gram: array<f32>; // [column, column]

var<workgroup> left: array<f32, ROWS * SIDE>; // [row, i]
var<workgroup> right: array<f32, ROWS * SIDE>; // [row, j]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    if (group.x < group.y) { return; }
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
            if (n < sizes.rows && i < sizes.columns) { left[place] = q[n] * x[n * sizes.columns + i]; }
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
            if (i <= j && j < sizes.columns) {
                let mean = sums[row][column] / f32(sizes.rows);
                gram[i * sizes.columns + j] = mean;
                gram[j * sizes.columns + i] = mean;
            }
        }
    }
}
