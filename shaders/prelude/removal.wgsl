// prelude.removal: one step on a unit's path, and what tells which column may go.
//
// A score is (ratio w)^2 / H_pp, a cost w^2 / H_pp, both as bits: of numbers that are not negative these are in their order.
// Ratios are from 0 to 1; what stays, the bias and what is no column, has one below 0.
// Twin: `PathStep` in src/cpu/surgeon.rs.

const NO_COLUMN: u32 = 0xffffffffu;

struct Removal {
    column: u32, // NO_COLUMN where none is left
    score: u32,
    cost: u32,
}

fn nothing() -> Removal {
    return Removal(NO_COLUMN, 0u, 0u);
}

fn removal(column: u32, ratio: f32, cost: f32) -> Removal {
    return Removal(column, bitcast<u32>(ratio * ratio * cost), bitcast<u32>(cost));
}
