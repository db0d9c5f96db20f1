//! Networks as data: which layers there are, which shapes they have, where their parameters lie. Nothing here computes.

mod architecture;
mod layer;
mod parameters;
mod selection;
mod sizes;

pub use architecture::Architecture;
pub use layer::Layer;
pub use parameters::{ParameterLayout, Tensor};
pub use selection::{Part, Selection};
pub use sizes::{ConvLayer, Convolution, DenseLayer};
