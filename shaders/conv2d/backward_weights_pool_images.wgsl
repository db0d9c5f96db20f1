// conv2d.backward_weights_pool_images: conv2d.backward_weights_pool whose input[n, y, x] = pixel y, x of image order[n],
// times a scale.
//
// One invocation owns 9 taps x 4 output channels and a chunk of the batch's rows; see prelude.weight_tile. It walks along
// a row word by word: four pixels, two pooled ones. y is 1, z is the replica.
//   images, order    [image, y, word of 4 pixels], [replica, place]  u8, rows padded with 0; indices of images, read
//   output_gradient, argmax  [replica, sample, y / 2, x / 2, out]    of the pooled output, and its words of codes, read
//   gradient         [replica, parameter]                            weights and bias written at their offsets
// with: step, convolution, weight_tile

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> images: array<u32>;
@group(0) @binding(4) var<storage, read> output_gradient: array<f32>;
@group(0) @binding(5) var<storage, read> argmax: array<u32>;
@group(0) @binding(6) var<storage, read_write> gradient: array<f32>;

// A word of each of four rows.
fn read_words(place: vec4u, inside: vec4<bool>) -> vec4u {
    return select(vec4u(0u), vec4u(images[place.x], images[place.y], images[place.z], images[place.w]), inside);
}

// Column `index` of four rows.
fn column(words: vec4u, index: u32) -> vec4f {
    return vec4f((words >> vec4u(8u * index)) & vec4u(0xffu)) * params.scale;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let r = group.z;
    let quads = (params.outputs + 3u) / 4u;
    let own = own_tile(group.x, lane);
    let channels = quad(4u * own.quad_index, params.outputs);
    let pooled_width = params.width / 2u;
    let pooled_height = params.height / 2u;
    let row_words = (params.width + 3u) / 4u;
    let word_columns = (pooled_width + 3u) / 4u;
    var tile = WeightTile();
    for (var line = lane / TILES; line < step.samples * pooled_height; line += LANES / TILES) {
        let n = line / pooled_height;
        let y = line - n * pooled_height;
        // Rows outside of the image are read at its edge, and count as 0. The one before the first wraps around.
        let rows = 2u * y + vec4u(0u, 1u, 2u, 3u) - 1u;
        let inside = rows < vec4u(params.height);
        let image = order[r * step.order_stride + step.first + n] * params.height;
        var place = (image + min(rows, vec4u(params.height - 1u))) * row_words;
        let pooled_line = (r * params.capacity + n) * pooled_height + y;
        var value = pooled_line * pooled_width * params.outputs + channels;
        let words = pooled_line * word_columns * quads + own.quad_index;
        var before = vec4f(0.0);
        var here = read_words(place, inside);
        for (var x = 0u; x < pooled_width; x += 2u) {
            let exists = x / 2u + 1u < row_words;
            place += select(0u, 1u, exists);
            let next = read_words(place, inside & vec4<bool>(exists));
            let codes = argmax[words + x / 4u * quads] >> (8u * (x % 4u));
            let third = column(here, 1u);
            let fourth = column(here, 2u);
            let fifth = column(here, 3u);
            tile = add_pooled(tile, mat4x4f(before, column(here, 0u), third, fourth), codes, read_gradient(value));
            // Where the number of pooled pixels is odd the last one is alone.
            let pair = x + 1u < pooled_width;
            let second = select(vec4f(0.0), read_gradient(value + select(0u, params.outputs, pair)), pair);
            tile = add_pooled(tile, mat4x4f(third, fourth, fifth, column(next, 0u)), codes >> 8u, second);
            before = fifth;
            here = next;
            value += 2u * params.outputs;
        }
    }
    write_tiles(group, lane, tile);
}
