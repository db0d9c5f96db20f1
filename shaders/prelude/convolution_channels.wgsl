// prelude.convolution_channels: quads of channels of a convolution: its weights and bias, and what is written of a pixel.
//
// A tile owns four channels from a multiple of 4 on. Where there are fewer, `quad` reads the last again, and nothing is
// written for it.
// Reads `params` and `parameters` of the shader, and calls its `write_channel`, which says what becomes of a sum.

fn read_quad(place: vec4u) -> vec4f {
    return vec4f(parameters[place.x], parameters[place.y], parameters[place.z], parameters[place.w]);
}

// A row of taps from left to right.
fn read_taps(place: vec4u) -> mat3x4f {
    let tap = params.inputs * params.outputs;
    return mat3x4f(read_quad(place), read_quad(place + tap), read_quad(place + 2u * tap));
}

// From right to left, for a gradient: what lies right of a pixel reached it through its left tap.
fn read_mirrored_taps(place: vec4u) -> mat3x4f {
    let taps = read_taps(place);
    return mat3x4f(taps[2], taps[1], taps[0]);
}

fn write_quad(place: u32, channel: u32, channels: u32, values: vec4f) {
    write_channel(place, values.x);
    if (channel + 1u < channels) { write_channel(place + 1u, values.y); }
    if (channel + 2u < channels) { write_channel(place + 2u, values.z); }
    if (channel + 3u < channels) { write_channel(place + 3u, values.w); }
}

// Four pixels of row y from column x on, as far as they are in the image; `image` is where its values begin.
fn write_pixels(image: u32, y: u32, x: u32, channel: u32, channels: u32, sums: mat4x4f) {
    if (y >= params.height) { return; }
    let place = image + (y * params.width + x) * channels + channel;
    if (x < params.width) { write_quad(place, channel, channels, sums[0]); }
    if (x + 1u < params.width) { write_quad(place + channels, channel, channels, sums[1]); }
    if (x + 2u < params.width) { write_quad(place + 2u * channels, channel, channels, sums[2]); }
    if (x + 3u < params.width) { write_quad(place + 3u * channels, channel, channels, sums[3]); }
}
