// Puzzle 7: probabilities[n, c] = exp(logits[n, c]) / sum_d exp(logits[n, d]).

struct Sizes {
    rows: u32,
    classes: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> logits: array<f32>; // [row, class]
@group(0) @binding(2) var<storage, read_write> probabilities: array<f32>; // [row, class]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= sizes.rows) { return; }
    let row = id.x * sizes.classes;
    var largest = logits[row];
    for (var c = 1u; c < sizes.classes; c++) {
        largest = max(largest, logits[row + c]);
    }
    var sum = 0.0;
    for (var c = 0u; c < sizes.classes; c++) {
        sum += exp(logits[row + c] - largest);
    }
    for (var c = 0u; c < sizes.classes; c++) {
        probabilities[row + c] = exp(logits[row + c] - largest) / sum;
    }
}
