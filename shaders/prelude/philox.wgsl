// prelude.philox: Philox4x32-10, four random words for a counter and a key.
//
// WGSL has no 64-bit integers, so the high word of a product is put together from 16-bit halves.
// Integers only: the words are the same on every device.
// Source: Salmon, Moraes, Dror & Shaw, SC 2011. Twin: `philox` in src/random.rs.

const PHILOX_MULTIPLIER_0: u32 = 0xD2511F53u;
const PHILOX_MULTIPLIER_1: u32 = 0xCD9E8D57u;
const PHILOX_KEY_INCREMENT: vec2u = vec2u(0x9E3779B9u, 0xBB67AE85u);

fn high_word_of_product(a: u32, b: u32) -> u32 {
    let a_low = a & 0xffffu;
    let a_high = a >> 16u;
    let b_low = b & 0xffffu;
    let b_high = b >> 16u;
    let middle = a_high * b_low + ((a_low * b_low) >> 16u);
    let carried = a_low * b_high + (middle & 0xffffu);
    return a_high * b_high + (middle >> 16u) + (carried >> 16u);
}

fn philox(counter: vec4u, first_key: vec2u) -> vec4u {
    var c = counter;
    var key = first_key;
    for (var round = 0u; round < 10u; round++) {
        c = vec4u(
            high_word_of_product(PHILOX_MULTIPLIER_1, c.z) ^ c.y ^ key.x,
            PHILOX_MULTIPLIER_1 * c.z,
            high_word_of_product(PHILOX_MULTIPLIER_0, c.x) ^ c.w ^ key.y,
            PHILOX_MULTIPLIER_0 * c.x,
        );
        key += PHILOX_KEY_INCREMENT;
    }
    return c;
}
