// prelude.pixels: the four pixels of a word, first one lowest, as numbers from 0 to 255.
//
// Signed, because many processors turn only signed numbers into floating-point ones in a single instruction; the numbers
// are the same.
// The host's side is `ImageShape::pack` in src/kernels/dense.rs.

fn unpack_pixels(word: u32) -> vec4f {
    return vec4f((vec4i(bitcast<i32>(word)) >> vec4u(0u, 8u, 16u, 24u)) & vec4i(255));
}
