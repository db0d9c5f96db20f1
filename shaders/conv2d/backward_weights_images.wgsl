// conv2d.backward_weights_images: conv2d.backward_weights whose input[n, y, x] = pixel y, x of image order[n], times a
// scale.
//
// One invocation owns 9 taps x 4 output channels and a chunk of the batch's rows; see prelude.weight_tile. It walks along
// a row with a window of 3 x 3 pixels in registers. y is 1, z is the replica.
//   images, order    [image, y, word of 4 pixels], [replica, place]  u8, rows padded with 0; indices of images, read
//   output_gradient  [replica, sample, y, x, out]                    read
//   gradient         [replica, parameter]                            weights and bias written at their offsets
// with: step, convolution, weight_tile

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> images: array<u32>;
@group(0) @binding(4) var<storage, read> output_gradient: array<f32>;
@group(0) @binding(5) var<storage, read_write> gradient: array<f32>;

// Column x of three rows.
fn read_column(rows: vec3u, x: u32, inside: vec3<bool>) -> vec3f {
    let place = rows + x / 4u;
    let words = vec3u(images[place.x], images[place.y], images[place.z]) >> vec3u(8u * (x % 4u));
    return select(vec3f(0.0), vec3f(words & vec3u(0xffu)) * params.scale, inside);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let r = group.z;
    let own = own_tile(group.x, lane);
    let channels = quad(4u * own.quad_index, params.outputs);
    let row_words = (params.width + 3u) / 4u;
    var tile = WeightTile();
    for (var line = lane / TILES; line < step.samples * params.height; line += LANES / TILES) {
        let n = line / params.height;
        let y = line - n * params.height;
        // Rows outside of the image are read at its edge, and count as 0. The one before the first wraps around.
        let rows = y + vec3u(0u, 1u, 2u) - 1u;
        let inside = rows < vec3u(params.height);
        let image = order[r * step.order_stride + step.first + n] * params.height;
        let place = (image + min(rows, vec3u(params.height - 1u))) * row_words;
        var value = ((r * params.capacity + n) * params.height + y) * params.width * params.outputs + channels;
        var before = vec3f(0.0);
        var here = read_column(place, 0u, inside);
        for (var x = 0u; x < params.width; x++) {
            let exists = x + 1u < params.width;
            let next = read_column(place, select(x, x + 1u, exists), inside & vec3<bool>(exists));
            tile = add(tile, mat3x3f(before, here, next), read_gradient(value));
            before = here;
            here = next;
            value += params.outputs;
        }
    }
    write_tiles(group, lane, tile);
}
