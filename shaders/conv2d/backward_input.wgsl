// conv2d.backward_input: input_gradient[n, y, x, c] = sum_{ky, kx, k} output_gradient[n, y - ky + 1, x - kx + 1, k]
// * weights[ky, kx, c, k] where input[n, y, x, c] > 0, else 0.
//
// A gather: one invocation owns a tile of 4 x 4 pixels x 4 input channels in registers; z is the replica.
//   output_gradient  [replica, sample, y, x, out]  read
//   parameters       [replica, parameter]          weights [ky, kx, in, out] read at their offset
//   input            [replica, sample, y, x, in]   what the layer before produced after its ReLU, read
//   input_gradient   [replica, sample, y, x, in]   written for the samples of the step
// with: step, convolution, convolution_channels, convolution_tile, convolution_pixels, grid, relu

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> output_gradient: array<f32>;
@group(0) @binding(3) var<storage, read> parameters: array<f32>;
@group(0) @binding(4) var<storage, read> input: array<f32>;
@group(0) @binding(5) var<storage, read_write> input_gradient: array<f32>;

fn read_value(place: u32) -> f32 {
    return output_gradient[place];
}

fn write_channel(place: u32, gradient: f32) {
    input_gradient[place] = relu_gradient_of(gradient, input[place]);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let r = id.z;
    let tile = tile_of(flat_index(id, WORKGROUP_SIZE), params.inputs);
    if (tile.n >= step.samples) { return; }
    let columns = columns_of(tile, params.outputs);
    var rows = rows_of(r, tile, params.outputs);
    var weights = r * params.parameters + params.weights + quad(tile.channel, params.inputs) * params.outputs;
    let row_of_taps = 3u * params.inputs * params.outputs;

    var sums = all_rows(mat4x4f());
    for (var k = 0u; k < params.outputs; k++) {
        let taps0 = read_mirrored_taps(weights + 2u * row_of_taps);
        let taps1 = read_mirrored_taps(weights + row_of_taps);
        let taps2 = read_mirrored_taps(weights);
        sums = convolve_tile(sums, rows, columns, taps0, taps1, taps2);
        rows.first += 1u;
        rows.last += 1u;
        weights += 1u;
    }
    write_tile(r, tile, params.inputs, sums);
}
