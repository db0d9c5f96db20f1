// dense.gather: output[n, i] = number i of image order[n], times a scale: images of several channels, widened once for
// convolutions that read features.
//
// One invocation owns a word of 4 numbers of a row; z is the replica.
//   images  [image, y, word of 4 numbers]  u8, rows of columns x channels padded with 0 to whole words, read
//   order   [replica, place]               indices of images, read from the step's first place on
//   output  [replica, sample, in]          written for the samples of the step
// with: grid, step, dense_layer

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> images: array<u32>;
@group(0) @binding(4) var<storage, read_write> output: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let image_words = params.height * params.row_words;
    let tile = flat_index(id, WORKGROUP_SIZE);
    let n = tile / image_words;
    if (n >= step.samples) { return; }
    let word = tile - n * image_words;
    let r = id.z;
    let x = vec4f(unpack4xU8(images[order[r * step.order_stride + step.first + n] * image_words + word])) * params.scale;
    let y = word / params.row_words;
    let column = (word - y * params.row_words) * 4u;
    let place = (r * params.capacity + n) * params.inputs + y * params.width + column;
    output[place] = x.x;
    if (column + 1u < params.width) { output[place + 1u] = x.y; }
    if (column + 2u < params.width) { output[place + 2u] = x.z; }
    if (column + 3u < params.width) { output[place + 3u] = x.w; }
}
