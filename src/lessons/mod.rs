//! For whoever studies the kernels: ladders from the naive kernel to the fast one, and WGSL that stands in no catalogue.
//!
//! The texts lie in `lessons/`, outside of `shaders/`: no engine runs them. Each is checked on seeded numbers by the twins, as
//! every kernel is.

/// A text of `lessons/` with its path as its name.
macro_rules! text {
    ($path:expr) => {
        crate::lessons::Text {
            name: concat!("lessons/", $path),
            wgsl: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/lessons/", $path, ".wgsl")),
        }
    };
}

pub mod ladder;
mod ladders;
mod problem;
pub mod puzzle;
mod puzzle_data;
pub mod running;
mod steps;

/// A text of `lessons/`.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// Its path, without the ending: what errors and the doctor call it.
    pub name: &'static str,
    /// The text.
    pub wgsl: &'static str,
}

/// The texts of `docs/gpu.md`, in its order.
pub const PRIMER: &[Text] = &[
    text!("primer/invocation"),
    text!("primer/dispatch"),
    text!("primer/binding"),
    text!("primer/workgroup"),
    text!("primer/barrier"),
    text!("primer/subgroup"),
    text!("primer/memory"),
    text!("primer/coalescing"),
    text!("primer/registers"),
    text!("primer/software"),
];
