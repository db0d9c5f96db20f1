// prelude.states: what a mask says of a weight.
//
// Twin: src/cpu/mask.rs.
// A pruned weight and its moments are exactly 0.
// A decaying weight is multiplied by a factor behind each step.

const PRUNED: u32 = 0u;
const KEPT: u32 = 1u;
const DECAYING: u32 = 2u;
