//! From numbers to masks, from masks to accuracies.

pub mod allocation;
pub mod calibrated;
pub mod compact;
pub mod decay;
pub mod input_norm;
pub mod masks;
mod method;
pub mod operating_points;
pub mod score;
pub mod several_layers;
pub mod surgeon;
pub mod surgery;
pub mod sweep;
mod sweep_row;
pub mod whole_inputs;

pub use allocation::Scope;
pub use method::{FOCUS, Layers, Method, Repair};
pub use sweep_row::SweepRow;
