// prelude.pooling: the largest of 2 x 2 values and the code of its place, for four channels at once.
//
// `larger` compares values; NaN is larger than any number, so it goes on.
// A code is 2 dy + dx. The codes of four neighbouring pooled pixels x four channels share a word, [.., y, x / 4,
// channel / 4]: byte x % 4 is the pixel's, and has two bits for each channel. Bits of pixels and channels that do not
// exist are 0.

struct Pooled {
    values: vec4f,
    codes: u32, // one byte
}

// The first of equal values in row-major order wins.
fn pool(first: vec4f, second: vec4f, third: vec4f, fourth: vec4f) -> Pooled {
    var best = first;
    var code = vec4u(0u);
    code = select(code, vec4u(1u), larger(second, best));
    best = select(best, second, larger(second, best));
    code = select(code, vec4u(2u), larger(third, best));
    best = select(best, third, larger(third, best));
    code = select(code, vec4u(3u), larger(fourth, best));
    best = select(best, fourth, larger(fourth, best));
    return Pooled(best, code.x | (code.y << 2u) | (code.z << 4u) | (code.w << 6u));
}

// The bits of a word that `pixels` pixels and `channels` channels have, both at least 1.
fn used_bits(pixels: u32, channels: u32) -> u32 {
    let columns = 0xffffffffu >> (8u * (4u - min(pixels, 4u)));
    return columns & (0x01010101u * (0xffu >> (2u * (4u - min(channels, 4u)))));
}
