// prelude.convolution: sizes of a convolution of 3 x 3, and the arithmetic of its register tiles.
//
// Four neighbouring pixels of a row, each with a quad of channels, are one matrix: a column is a pixel. A row of taps is
// a matrix too: a column is a tap, left to right. Every output value is added up over input channels, then rows, then
// columns of taps, whatever the tile: so all forward kernels give equal bits.

struct Params {
    height: u32,     // rows, in and before pooling out
    width: u32,      // columns, in and before pooling out
    inputs: u32,     // channels that come in
    outputs: u32,    // channels that go out
    capacity: u32,   // samples that a replica has room for
    parameters: u32, // per replica
    weights: u32,    // first weight
    bias: u32,       // first bias
    scale: f32,      // what pixels of an image are multiplied by
}

fn outer(pixels: vec4f, channels: vec4f) -> mat4x4f {
    return mat4x4f(pixels.x * channels, pixels.y * channels, pixels.z * channels, pixels.w * channels);
}

// Adds to four pixels what a row of taps takes from six: the first tap meets `pixels`, the last ends at `next`.
fn convolve(tile: mat4x4f, pixels: vec4f, next: vec2f, taps: mat3x4f) -> mat4x4f {
    var sum = tile;
    sum += outer(pixels, taps[0]);
    sum += outer(vec4f(pixels.yzw, next.x), taps[1]);
    sum += outer(vec4f(pixels.zw, next), taps[2]);
    return sum;
}

// Four channels from `first` on; beyond the last it names the last again, and nothing is written there.
fn quad(first: u32, channels: u32) -> vec4u {
    return min(vec4u(first) + vec4u(0u, 1u, 2u, 3u), vec4u(channels - 1u));
}
