// max_pool2d.naive: output[n, y, x, c] = the largest of input[n, 2y + dy, 2x + dx, c] over dy, dx in 0..2, and the code
// 2 dy + dx of the first place in row-major order that has it.
//
// To begin reading with, never used by the engine: one invocation owns one word of codes, the outputs that share it one
// after the other, and knows nothing of NaN; z is the replica.
//   input   [replica, sample, y, x, channel]                   read
//   output  [replica, sample, y / 2, x / 2, channel]           written for the samples of the step
//   argmax  [replica, sample, y / 2, x / 2 / 4, channel / 4]   words of codes, written: see prelude.pooling
// with: grid, step

override WORKGROUP_SIZE: u32 = 64;

struct Params {
    height: u32,   // rows that come in
    width: u32,    // columns that come in
    channels: u32,
    capacity: u32, // samples that a replica has room for
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> input: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;
@group(0) @binding(4) var<storage, read_write> argmax: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let height = params.height / 2u;
    let width = params.width / 2u;
    let words = vec2u((width + 3u) / 4u, (params.channels + 3u) / 4u);
    let word = flat_index(id, WORKGROUP_SIZE);
    let line = word / (words.x * words.y);
    if (line >= step.samples * height) { return; }
    let sample = id.z * params.capacity + line / height;
    let y = line % height;
    var codes = 0u;
    for (var i = 0u; i < 16u; i++) {
        let x = word / words.y % words.x * 4u + i / 4u;
        let c = word % words.y * 4u + i % 4u;
        if (x >= width || c >= params.channels) { continue; }
        var best = 0.0;
        var code = 0u;
        for (var place = 0u; place < 4u; place++) {
            let row = sample * params.height + 2u * y + place / 2u;
            let value = input[(row * params.width + 2u * x + place % 2u) * params.channels + c];
            if (place == 0u || value > best) {
                best = value;
                code = place;
            }
        }
        output[((sample * height + y) * width + x) * params.channels + c] = best;
        codes |= code << (8u * (i / 4u) + 2u * (i % 4u));
    }
    argmax[id.z * params.capacity * height * words.x * words.y + word] = codes;
}
