// conv2d.backward_weights_pool: max_pool2d.backward followed by conv2d.backward_weights, whose gradient before pooling is
// never stored. Of the four pixels of a pooled one only that which gave the value has a gradient, so one is added.
//
// One invocation owns 9 taps x 1 input channel x 4 output channels and a chunk of the batch's rows; see
// prelude.weight_tile. It walks along a row with a window of 4 x 4 inputs in registers. y is 1, z is the replica.
//   input            [replica, sample, y, x, in]                   read
//   output_gradient, argmax  [replica, sample, y / 2, x / 2, out]  of the pooled output, and its words of codes, read
//   gradient         [replica, parameter]                          weights and bias written at their offsets
// with: step, convolution, weight_tile

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> input: array<f32>;
@group(0) @binding(3) var<storage, read> output_gradient: array<f32>;
@group(0) @binding(4) var<storage, read> argmax: array<u32>;
@group(0) @binding(5) var<storage, read_write> gradient: array<f32>;

fn read_column(place: vec4u, inside: vec4<bool>) -> vec4f {
    return select(vec4f(0.0), vec4f(input[place.x], input[place.y], input[place.z], input[place.w]), inside);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let r = group.z;
    let quads = (params.outputs + 3u) / 4u;
    let own = own_tile(group.x, lane);
    let channels = quad(4u * own.quad_index, params.outputs);
    let pooled_width = params.width / 2u;
    let pooled_height = params.height / 2u;
    let word_columns = (pooled_width + 3u) / 4u;
    var tile = WeightTile();
    for (var line = lane / TILES; line < step.samples * pooled_height; line += LANES / TILES) {
        let n = line / pooled_height;
        let y = line - n * pooled_height;
        // Rows outside of the image are read at its edge, and count as 0. The one before the first wraps around.
        let rows = 2u * y + vec4u(0u, 1u, 2u, 3u) - 1u;
        let inside = rows < vec4u(params.height);
        let sample = r * params.capacity + n;
        let held = sample * params.height + min(rows, vec4u(params.height - 1u));
        var place = held * params.width * params.inputs + own.c;
        let pooled_line = sample * pooled_height + y;
        var value = pooled_line * pooled_width * params.outputs + channels;
        let words = pooled_line * word_columns * quads + own.quad_index;
        var before = vec4f(0.0);
        var here = read_column(place, inside);
        for (var x = 0u; x < pooled_width; x++) {
            let third = read_column(place + params.inputs, inside);
            // Where the image ends in an even column there is none after it.
            let exists = 2u * x + 2u < params.width;
            let fourth = read_column(place + select(0u, 2u, exists) * params.inputs, inside & vec4<bool>(exists));
            let codes = argmax[words + x / 4u * quads] >> (8u * (x % 4u));
            tile = add_pooled(tile, mat4x4f(before, here, third, fourth), codes, read_gradient(value));
            before = third;
            here = fourth;
            place += 2u * params.inputs;
            value += params.outputs;
        }
    }
    write_tiles(group, lane, tile);
}
