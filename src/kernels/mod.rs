//! The kernels as Rust calls them: each wrapper checks shapes and limits, binds arrays, and records launches. It never
//! submits and never reads back.
//!
//! All arrays have a leading replica axis, and replicas are the z dimension of every launch. `bind` fails with
//! [`Error::Shape`] if an array is too short (the message says which), or if the device cannot run the sizes; `new` fails
//! as [`crate::gpu::Kernel::new`] does, `record` as [`crate::gpu::Recorder::dispatch`] does.

/// The text of a shader: its preludes, in the order that its header names them, and its own file.
macro_rules! source {
    ($($prelude:literal),* => $file:expr) => {
        concat!(
            $(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/prelude/", $prelude, ".wgsl")),)*
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $file, ".wgsl")),
        )
    };
}

/// `Params` from values by name, whole numbers and truths as words of 32 bits, on the device.
macro_rules! params {
    ($gpu:expr, $kernel:expr; $name:ident { $($field:ident $(: $value:expr)?),* }) => {
        Buffer::from_slice($gpu, concat!($kernel, " params"), &[params!(; $name { $($field $(: $value)?),* })])
    };
    (; $name:ident { $($field:ident $(: $value:expr)?),* }) => {
        $name { $($field: crate::kernels::Word::word(params!(@ $field $($value)?))),* }
    };
    (@ $field:ident) => { $field };
    (@ $field:ident $value:expr) => { $value };
}

/// Declares the shader in `shaders/FAMILY/KERNEL.wgsl`, behind its preludes: its `Params`, its bindings in order, and its
/// `override` constants; or all of these as another one has them.
macro_rules! shader {
    (
        $name:ident = $family:literal, $kernel:literal; with $($prelude:literal)*; $parameters:ty;
        $($access:ident $binding:ident $(.$indexing:ident)?),* $(; $($constant:literal)+)?
    ) => {
        #[doc = concat!("`shaders/", $family, "/", $kernel, ".wgsl`")]
        pub static $name: Shader = Shader {
            name: concat!($family, ".", $kernel),
            source: source!($($prelude),* => concat!($family, "/", $kernel)),
            bindings: &[$($access(stringify!($binding)) $(.$indexing())?),*],
            parameters: Some(<$parameters>::LAYOUT),
            constants: &[$($($constant),+)?],
        };
    };
    (
        $name:ident = $family:literal, $kernel:literal; with $($prelude:literal)*;
        as $other:ident $([$($constant:literal)*])?
    ) => {
        #[doc = concat!("`shaders/", $family, "/", $kernel, ".wgsl`")]
        pub static $name: Shader = Shader {
            name: concat!($family, ".", $kernel),
            source: source!($($prelude),* => concat!($family, "/", $kernel)),
            $(constants: &[$($constant),*],)?
            ..$other
        };
    };
}

/// Declares a wrapper's type: a compiled kernel, or in its place the naive one of its family.
macro_rules! wrapper {
    ($(#[$attribute:meta])* $name:ident: $shader:ident $(or $naive:ident)?) => {
        $(#[$attribute])*
        pub struct $name(std::sync::Arc<crate::gpu::Kernel>);

        impl $name {
            /// Compiles the kernel with so many invocations of a workgroup, which change no bit.
            pub fn new(gpu: &crate::gpu::Gpu, workgroup_size: u32) -> crate::error::Result<Self> {
                crate::gpu::Kernel::new(gpu, &$shader, &[("WORKGROUP_SIZE", workgroup_size)]).map(Self)
            }
            $(
                /// Compiles the naive kernel, which no engine uses.
                pub fn naive(gpu: &crate::gpu::Gpu, workgroup_size: u32) -> crate::error::Result<Self> {
                    crate::gpu::Kernel::new(gpu, &$naive, &[("WORKGROUP_SIZE", workgroup_size)]).map(Self)
                }
            )?
        }
    };
}

/// Declares a pass over a layer: its kernel follows from its arrays.
macro_rules! pass {
    ($(#[$attribute:meta])* $name:ident $(or $naive:ident)?) => {
        $(#[$attribute])*
        pub struct $name(Choice);

        impl $name {
            /// With so many invocations of a workgroup, which change no bit.
            pub fn new(workgroup_size: u32) -> Self {
                Self(Choice { workgroup_size, naive: false })
            }
            $(
                /// The naive kernel, which no engine uses: it reads features, and does not pool.
                pub fn $naive(workgroup_size: u32) -> Self {
                    Self(Choice { workgroup_size, naive: true })
                }
            )?
        }
    };
}

pub mod adam;
mod bound;
pub mod catalogue;
pub mod conv2d;
pub mod dense;
pub mod dense_stack;
pub mod focus_sweep;
pub mod gram;
pub mod he_normal;
mod images;
pub mod magnitude_sort;
pub mod mask;
pub mod max_pool2d;
pub mod mean;
pub mod softmax_cross_entropy;
pub mod stability;
pub mod surgeon;

pub use bound::Bound;
use bound::Choice;

use crate::error::{Error, Result};
use crate::gpu::{Access, Binding, Buffer, parameters};
use bytemuck::Pod;

/// Invocations of a workgroup that may be asked for where a kernel's bits do not depend on them, as a tuner does: each
/// kernel is checked with each.
pub const WORKGROUP_SIZES: [u32; 4] = [8, 32, 64, 128];

/// Workgroups of a row of the grid.
const WORKGROUPS_PER_ROW: usize = 32_768;

parameters! {
    /// What changes from one training step to the next: the record behind `step` in the shaders.
    pub struct Step {
        first: u32,
        order_stride: u32,
        samples: u32,
        row: u32,
        rate: f32,
    }
}

impl Step {
    /// Layout of the shader's `Step`, for the catalogue.
    pub const PARAMETERS: crate::gpu::Parameters = Self::LAYOUT;
}

/// A [`Step`] as it lies in its buffer: every launch is bound to one of them, and bindings start at multiples of 256 bytes.
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct StepRecord {
    step: Step,
    padding: [u32; 59],
}

impl StepRecord {
    /// A step of `samples` samples. They start at place `first` of each replica's order; orders of replicas lie
    /// `order_stride` apart, 0 if all replicas share one. Results go to row `row` of their array; `rate` is Adam's
    /// bias-corrected learning rate, unused without an update.
    pub fn new(first: usize, order_stride: usize, samples: usize, row: usize, rate: f32) -> Self {
        let [first, order_stride, samples, row] = [first, order_stride, samples, row].map(|value| value as u32);
        Self { step: Step { first, order_stride, samples, row, rate }, padding: [0; 59] }
    }
}

/// Where the parameters of a layer lie in the flat parameter buffer `[replica, parameter]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterOffsets {
    /// Parameters of one replica.
    pub parameters: usize,
    /// The first weight.
    pub weights: usize,
    /// The first bias.
    pub bias: usize,
}

/// A value as a field of `Params`.
trait Word<T> {
    fn word(self) -> T;
}

impl Word<u32> for usize {
    fn word(self) -> u32 {
        self as u32
    }
}

impl Word<u32> for bool {
    fn word(self) -> u32 {
        u32::from(self)
    }
}

/// What is a word already.
impl<T> Word<T> for T {
    fn word(self) -> T {
        self
    }
}

const fn read(name: &'static str) -> Binding {
    Binding::new(name, Access::Read)
}

const fn record(name: &'static str) -> Binding {
    Binding::new(name, Access::ReadRecord)
}

const fn write(name: &'static str) -> Binding {
    Binding::new(name, Access::ReadWrite)
}

/// Fails if `array` has fewer elements than `kernel` needs.
fn require<T: Pod>(kernel: &str, role: &str, array: &Buffer<T>, needed: usize) -> Result<()> {
    if array.len() < needed {
        return Err(Error::Shape(format!(
            "{kernel}: {role} ({}) has {} elements, {needed} needed",
            array.label(),
            array.len()
        )));
    }
    if u32::try_from(needed).is_err() {
        return Err(Error::Shape(format!(
            "{kernel}: {role} ({}) needs {needed} elements, more than 32 bits can count; use fewer replicas",
            array.label()
        )));
    }
    Ok(())
}

/// Fails if one of `sizes`, each with its name, is 0: a launch of nothing has no defined result.
fn require_positive(kernel: &str, sizes: &[(&str, usize)]) -> Result<()> {
    match sizes.iter().find(|(_, size)| *size == 0) {
        Some((name, _)) => Err(Error::Shape(format!("{kernel}: {name} is 0, at least 1 is needed"))),
        None => Ok(()),
    }
}

/// The grid for `invocations` invocations of each of `replicas`, in workgroups of `workgroup_size`: rows along y, as
/// `flat_index` in `shaders/prelude/grid.wgsl` reads it.
fn grid(invocations: usize, workgroup_size: u32, replicas: usize) -> [u32; 3] {
    let groups = invocations.div_ceil(workgroup_size as usize);
    [groups.min(WORKGROUPS_PER_ROW) as u32, groups.div_ceil(WORKGROUPS_PER_ROW) as u32, replicas as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_record_fills_the_distance_between_records() {
        assert_eq!(size_of::<StepRecord>(), 256);
    }

    #[test]
    fn a_grid_has_a_workgroup_for_every_invocation_and_stays_within_the_limits() {
        for (invocations, size) in
            [(1, 64), (64, 64), (65, 64), (32_768 * 64, 64), (32_768 * 64 + 1, 64), (9_999_999, 8)]
        {
            let [x, y, z] = grid(invocations, size, 3);
            assert!(x as usize * y as usize * size as usize >= invocations);
            assert!(x <= 65_535 && y <= 65_535 && z == 3);
        }
    }
}
