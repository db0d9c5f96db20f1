//! The twins: every kernel as plain Rust, generic over `f32` and `f64`. In `f64` they are the oracle of all checks; their
//! fast variants in [`fast`] are the CPU engine.
//!
//! Twins work on one replica: the caller walks over replicas. They trust their arguments: callers have checked shapes,
//! and debug builds panic where slices do not fit.

pub mod adam;
pub mod conv2d;
pub mod dense;
pub mod dense_stack;
pub mod fast;
pub mod focus_sweep;
pub mod gram;
pub mod he_normal;
pub mod layers;
pub mod magnitude_sort;
pub mod mask;
pub mod max_pool2d;
pub mod mean;
pub mod polish;
pub mod softmax_cross_entropy;
pub mod stability;
pub mod surgeon;
pub mod training_step;
pub mod whole_inputs;

/// The number types that a twin computes in.
pub trait Real:
    num_traits::Float + num_traits::NumAssign + std::iter::Sum + std::fmt::Debug + Send + Sync + 'static
{
    /// The nearest number of this type.
    fn of(value: f64) -> Self;
}

impl Real for f32 {
    fn of(value: f64) -> Self {
        value as f32
    }
}

impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }
}

/// `max(x, 0)` that keeps NaN: a network that is broken must not look like one that is merely bad. Both zeros become +0.
///
/// Twin of `shaders/prelude/relu.wgsl`.
pub fn relu<T: Real>(x: T) -> T {
    if x <= T::zero() { T::zero() } else { x }
}
