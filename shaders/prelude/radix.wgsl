// prelude.radix: what the kernels of the radix sort share.
//
// A segment is a layer of one epoch of one replica. It is cut into tiles, one workgroup each; a pass sorts by one digit
// of four bits, the lowest first, and keeps the order within equal digits: after eight passes all 31 bits are sorted.
// No workgroup waits for another: counting, adding up and scattering are launches of their own.
// The host's side is src/kernels/magnitude_sort/radix.rs.

const DIGITS: u32 = 16;
const TILE: u32 = 2048;

struct Params {
    weight_count: u32,
    replicas: u32,
    tiles: u32, // of a segment
    shift: u32, // of the pass's digit
}

// Keys ascend where magnitudes descend.
fn radix_digit(key: u32, shift: u32) -> u32 {
    return (key >> shift) & (DIGITS - 1u);
}
