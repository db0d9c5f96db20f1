// Puzzle 5, a broken kernel: total[r] = x[r, 0] + x[r, 1] + .., with the same bits whenever it runs.

struct Sizes {
    elements: u32, // of one row
    rows: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [row, element]
@group(0) @binding(2) var<storage, read_write> total: array<atomic<u32>>; // [row], bits of f32, starts at 0

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= sizes.elements || id.y >= sizes.rows) { return; }
    let own = x[id.y * sizes.elements + id.x];
    // Whoever comes first adds first.
    var before = atomicLoad(&total[id.y]);
    loop {
        let after = bitcast<u32>(bitcast<f32>(before) + own);
        let found = atomicCompareExchangeWeak(&total[id.y], before, after);
        if (found.exchanged) { break; }
        before = found.old_value;
    }
}
