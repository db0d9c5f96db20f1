// conv2d.backward_weights: weight_gradient[ky, kx, c, k] = sum_{n, y, x} input[n, y + ky - 1, x + kx - 1, c]
// * output_gradient[n, y, x, k], and bias_gradient[k] = sum_{n, y, x} output_gradient[n, y, x, k].
//
// One invocation owns 9 taps x 1 input channel x 4 output channels and a chunk of the batch's rows; see
// prelude.weight_tile. It walks along a row with a window of 3 x 3 inputs in registers. y is 1, z is the replica.
//   input            [replica, sample, y, x, in]   read
//   output_gradient  [replica, sample, y, x, out]  read
//   gradient         [replica, parameter]          weights and bias written at their offsets
// with: step, convolution, weight_tile

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> input: array<f32>;
@group(0) @binding(3) var<storage, read> output_gradient: array<f32>;
@group(0) @binding(4) var<storage, read_write> gradient: array<f32>;

fn read_column(place: vec3u, inside: vec3<bool>) -> vec3f {
    return select(vec3f(0.0), vec3f(input[place.x], input[place.y], input[place.z]), inside);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let r = group.z;
    let own = own_tile(group.x, lane);
    let channels = quad(4u * own.quad_index, params.outputs);
    var tile = WeightTile();
    for (var line = lane / TILES; line < step.samples * params.height; line += LANES / TILES) {
        let n = line / params.height;
        let y = line - n * params.height;
        // Rows outside of the image are read at its edge, and count as 0. The one before the first wraps around.
        let rows = y + vec3u(0u, 1u, 2u) - 1u;
        let inside = rows < vec3u(params.height);
        let sample = r * params.capacity + n;
        let held = sample * params.height + min(rows, vec3u(params.height - 1u));
        var place = held * params.width * params.inputs + own.c;
        var value = (sample * params.height + y) * params.width * params.outputs + channels;
        var before = vec3f(0.0);
        var here = read_column(place, inside);
        for (var x = 0u; x < params.width; x++) {
            let exists = x + 1u < params.width;
            place += select(0u, params.inputs, exists);
            let next = read_column(place, inside & vec3<bool>(exists));
            tile = add(tile, mat3x3f(before, here, next), read_gradient(value));
            before = here;
            here = next;
            value += params.outputs;
        }
    }
    write_tiles(group, lane, tile);
}
