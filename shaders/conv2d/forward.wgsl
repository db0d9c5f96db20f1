// conv2d.forward: output[n, y, x, k] = relu(bias[k] + sum_{ky, kx, c} input[n, y + ky - 1, x + kx - 1, c]
// * weights[ky, kx, c, k]), where pixels outside of the image are 0.
//
// One invocation owns a tile of 4 x 4 pixels x 4 channels in registers, and adds in the order of c, ky, kx; z is the
// replica. Per input channel 36 pixels and 9 quads of weights are loaded for 576 multiply-adds.
//   input       [replica, sample, y, x, in]   read
//   parameters  [replica, parameter]          weights [ky, kx, in, out] and bias [out] read at their offsets
//   output      [replica, sample, y, x, out]  written for the samples of the step
// with: step, convolution, convolution_channels, convolution_tile, convolution_pixels, grid, relu

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> input: array<f32>;
@group(0) @binding(3) var<storage, read> parameters: array<f32>;
@group(0) @binding(4) var<storage, read_write> output: array<f32>;

fn read_value(place: u32) -> f32 {
    return input[place];
}

fn write_channel(place: u32, sum: f32) {
    output[place] = relu(vec4f(sum)).x;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let r = id.z;
    let tile = tile_of(flat_index(id, WORKGROUP_SIZE), params.outputs);
    if (tile.n >= step.samples) { return; }
    let columns = columns_of(tile, params.inputs);
    var rows = rows_of(r, tile, params.inputs);
    let channels = quad(tile.channel, params.outputs);
    var weights = r * params.parameters + params.weights + channels;
    let row_of_taps = 3u * params.inputs * params.outputs;

    let bias = read_quad(r * params.parameters + params.bias + channels);
    var sums = all_rows(mat4x4f(bias, bias, bias, bias));
    for (var c = 0u; c < params.inputs; c++) {
        let taps0 = read_taps(weights);
        let taps1 = read_taps(weights + row_of_taps);
        let taps2 = read_taps(weights + 2u * row_of_taps);
        sums = convolve_tile(sums, rows, columns, taps0, taps1, taps2);
        rows.first += 1u;
        rows.last += 1u;
        weights += params.outputs;
    }
    write_tile(r, tile, params.outputs, sums);
}
