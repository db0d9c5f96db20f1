// prelude.convolution_pixels: how prelude.convolution_tile reads activations or their gradient,
// [replica, sample, y, x, channel].
//
// A value outside of the image is a branch, not a select: on software drivers a load that is left out costs little.
// Calls the shader's `read_value`, which reads the array.

alias Columns = Six;

fn read_pixel(place: u32, inside: bool) -> f32 {
    var value = 0.0;
    if (inside) { value = read_value(place); }
    return value;
}

fn read_row(place: u32, inside: bool, columns: Columns) -> Row {
    let first = place + columns.first;
    let last = place + columns.last;
    let first_inside = columns.first_inside & vec4<bool>(inside);
    return Row(
        vec4f(
            read_pixel(first.x, first_inside.x),
            read_pixel(first.y, first_inside.y),
            read_pixel(first.z, first_inside.z),
            read_pixel(first.w, first_inside.w),
        ),
        vec2f(
            read_pixel(last.x, columns.last_inside.x && inside),
            read_pixel(last.y, columns.last_inside.y && inside),
        ),
    );
}

// Places of six rows or columns that lie `stride` apart, from `start` on.
fn placed(six: Six, start: u32, stride: u32) -> Six {
    return Six(start + six.first * stride, start + six.last * stride, six.first_inside, six.last_inside);
}

// Places of a tile's rows in the first of `channels` channels.
fn rows_of(r: u32, tile: Tile, channels: u32) -> Six {
    let stride = params.width * channels;
    let image = (r * params.capacity + tile.n) * params.height * stride;
    return placed(six_around(tile.y, params.height), image, stride);
}

fn columns_of(tile: Tile, channels: u32) -> Columns {
    return placed(six_around(tile.x, params.width), 0u, channels);
}
