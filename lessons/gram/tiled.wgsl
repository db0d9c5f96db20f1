// lessons/gram/tiled: total[i, j] = sum_n weighed[n, i] * x[n, j], in tiles of workgroup memory.
//
// A workgroup owns 16 x 16 sums, an invocation one of them. 16 rows at a time are copied to workgroup memory, one number of each
// side by each invocation, and read from there 16 times. What lies behind an edge counts 0.

const TILE: u32 = 16u;

struct Sizes {
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> weighed: array<f32>; // [row, column]
@group(0) @binding(2) var<storage, read> x: array<f32>; // [row, column]
@group(0) @binding(3) var<storage, read_write> total: array<f32>; // [column, column]

var<workgroup> left: array<f32, TILE * TILE>; // [row, i]
var<workgroup> right: array<f32, TILE * TILE>; // [row, j]

@compute @workgroup_size(TILE, TILE)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let i = TILE * group.y + local.x; // which column this invocation copies for the left
    let j = TILE * group.x + local.x; // and for the right
    let place = local.y * TILE + local.x;
    var sum = 0.0;
    for (var first = 0u; first < sizes.rows; first += TILE) {
        let n = first + local.y;
        left[place] = 0.0;
        right[place] = 0.0;
        if (n < sizes.rows && i < sizes.columns) { left[place] = weighed[n * sizes.columns + i]; }
        if (n < sizes.rows && j < sizes.columns) { right[place] = x[n * sizes.columns + j]; }
        workgroupBarrier();
        for (var row = 0u; row < TILE; row++) {
            sum += left[row * TILE + local.y] * right[row * TILE + local.x];
        }
        workgroupBarrier();
    }
    let own = TILE * group.y + local.y;
    if (own < sizes.columns && j < sizes.columns) { total[own * sizes.columns + j] = sum; }
}
