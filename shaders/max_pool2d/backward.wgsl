// max_pool2d.backward: input_gradient is the output's gradient where the code points to, and 0 elsewhere.
//
// Stand-alone, as the definition that conv2d.backward_input_pool and conv2d.backward_weights_pool must equal. A gather:
// one invocation owns one input value, also of an odd last row or column, which went nowhere; z is the replica.
//   output_gradient  [replica, sample, y / 2, x / 2, channel]          read
//   argmax           [replica, sample, y / 2, x / 2 / 4, channel / 4]  words of codes, see prelude.pooling, read
//   input_gradient   [replica, sample, y, x, channel]                  written for the samples of the step
// with: grid, step

override WORKGROUP_SIZE: u32 = 64;

struct Params {
    height: u32,   // rows that came in
    width: u32,    // columns that came in
    channels: u32,
    capacity: u32, // samples that a replica has room for
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> output_gradient: array<f32>;
@group(0) @binding(3) var<storage, read> argmax: array<u32>;
@group(0) @binding(4) var<storage, read_write> input_gradient: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let index = flat_index(id, WORKGROUP_SIZE);
    let pixel = index / params.channels;
    let c = index - pixel * params.channels;
    let line = pixel / params.width;
    let x = pixel - line * params.width;
    let n = line / params.height;
    let y = line - n * params.height;
    if (n >= step.samples) { return; }
    let width = params.width / 2u;
    let height = params.height / 2u;
    let sample = id.z * params.capacity + n;
    var gradient = 0.0;
    if (x < 2u * width && y < 2u * height) {
        let pooled_line = sample * height + y / 2u;
        let words = (width + 3u) / 4u;
        let word = argmax[(pooled_line * words + x / 8u) * ((params.channels + 3u) / 4u) + c / 4u];
        let code = (word >> (8u * (x / 2u % 4u) + 2u * (c % 4u))) & 3u;
        if (code == 2u * (y % 2u) + x % 2u) {
            gradient = output_gradient[(pooled_line * width + x / 2u) * params.channels + c];
        }
    }
    input_gradient[((sample * params.height + y) * params.width + x) * params.channels + c] = gradient;
}
