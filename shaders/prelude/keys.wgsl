// prelude.keys: integers that order like the numbers they stand for.
//
// Devices may flush denormal floats to 0 in a comparison, and may assume that there is no NaN; they do neither to
// integers. Weights are therefore bound as their bits. Twins: `sortable_key` in src/cpu/stability.rs and
// `magnitude_key` in src/cpu/magnitude_sort.rs.

// Orders all finite numbers; -0 has the key of +0.
fn sortable_key(bits: u32) -> u32 {
    if (bits == 0x80000000u) { return 0x80000000u; }
    return select(bits ^ 0x80000000u, ~bits, (bits >> 31u) == 1u);
}

// The bits of the number whose sortable key this is.
fn from_sortable_key(key: u32) -> u32 {
    return select(~key, key ^ 0x80000000u, (key >> 31u) == 1u);
}

// Orders by magnitude: bits of |w|.
fn magnitude_key(bits: u32) -> u32 {
    return bits & 0x7fffffffu;
}
