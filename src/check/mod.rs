//! Is this device right? Every kernel on seeded cases, against its twin in double precision.
//!
//! Used by the tests and by `holdfast doctor`. Outputs are preset to a pattern that no kernel gives, with a guard
//! behind the end: a [`Report`] also says whether a kernel wrote all of its output and nothing else.
//!
//! That a kernel is wrong is no failure: its report says so. What runs a case fails where the device does, with
//! [`crate::error::Error::OutOfMemory`] or [`crate::error::Error::DeviceLost`], and where a wrapper refuses the sizes, with
//! [`crate::error::Error::Shape`].

mod adam;
mod certificate;
pub mod comparator;
pub mod conv2d;
pub mod cpu;
pub mod dense;
pub mod dense_stack;
mod examination;
pub mod focus_sweep;
pub mod gram;
pub mod he_normal;
pub mod magnitude_sort;
mod mask;
pub mod max_pool2d;
mod mean;
pub mod recorded;
pub mod softmax_cross_entropy;
pub(crate) mod stability;
pub mod surgeon;

pub use certificate::Certificate;
pub use comparator::Report;
pub use examination::{Examination, KernelSummary};

use crate::error::Result;
use crate::gpu::{Buffer, Gpu, Recorder, read_back};
use crate::kernels::dense::{ImageShape, Images, Input};
use crate::kernels::{StepRecord, WORKGROUP_SIZES};
use crate::random::{Sequence, Stream};
use comparator::{Expected, UNWRITTEN, compare_exact, sums_of_products};
use std::ops::Range;

/// Elements behind the end of each output.
pub(crate) const GUARD: usize = 67;
/// Factor of the tolerance of a sum: rounding errors of a thousand terms of either sign stay well below it, one wrong
/// term far above.
const FACTOR: f64 = 8.0;
/// What pixels are multiplied by.
const SCALE: f32 = 1.0 / 255.0;
/// Parameters before a layer's weights, so that offsets count.
const OFFSET: usize = 3;

/// What a case runs on: a device, and the size of workgroups there.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// The device.
    pub gpu: &'a Gpu,
    /// Invocations of a workgroup.
    pub workgroup_size: u32,
    /// Whether the naive kernel of the family runs.
    pub naive: bool,
}

impl<'a> Setting<'a> {
    /// The size that suits the device.
    pub fn usual(gpu: &'a Gpu) -> Self {
        Self { gpu, workgroup_size: gpu.usual_workgroup_size(), naive: false }
    }

    /// Every size that may be asked for, the usual one first, and the naive kernels.
    pub fn every(gpu: &'a Gpu) -> Vec<Self> {
        let usual = Self::usual(gpu);
        let others = WORKGROUP_SIZES.into_iter().filter(|&size| size != usual.workgroup_size);
        let others = others.map(|workgroup_size| Self { workgroup_size, ..usual });
        std::iter::once(usual).chain(others).chain([Self { naive: true, ..usual }]).collect()
    }
}

/// Checks all cases at the usual size of workgroups, and the small ones at every other.
fn at_every_size<C>(
    settings: &[Setting<'_>],
    cases: &[C],
    is_small: impl Fn(&C) -> bool,
    check: impl Fn(Setting<'_>, &C) -> Result<Vec<Report>>,
) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for &on in settings {
        let usual = on.workgroup_size == on.gpu.usual_workgroup_size();
        for case in cases.iter().filter(|case| usual || is_small(case)) {
            let mut found = check(on, case)?;
            if !usual {
                found.iter_mut().for_each(|report| report.case += &format!(" w{}", on.workgroup_size));
            }
            reports.extend(found);
        }
    }
    Ok(reports)
}

/// Runs the cases of a kernel family in each setting. Fails only if the device cannot run a case; a wrong result is a report.
pub type Family = fn(&[Setting<'_>]) -> Result<Vec<Report>>;

/// Every family of kernels with its cases.
pub const FAMILIES: &[(&str, Family)] = &[
    ("he_normal", he_normal::all),
    ("conv2d", conv2d::all),
    ("max_pool2d", max_pool2d::all),
    ("dense", dense::all),
    ("dense_stack", dense_stack::all),
    ("softmax_cross_entropy", softmax_cross_entropy::all),
    ("adam", adam::all),
    ("mean", mean::all),
    ("mask", mask::all),
    ("magnitude_sort", magnitude_sort::all),
    ("stability", stability::all),
    ("focus_sweep", focus_sweep::all),
    ("gram", gram::all),
    ("surgeon", surgeon::all),
];

/// What a kernel left in an array that it writes: the array itself, and the guard behind it. All as bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The output.
    pub bits: Vec<u32>,
    /// What lies behind it.
    pub guard: Vec<u32>,
}

impl Output {
    /// The output as numbers.
    pub fn numbers(&self) -> Vec<f32> {
        self.bits.iter().map(|&bits| f32::from_bits(bits)).collect()
    }
}

/// An array that a kernel writes: `len` elements preset to a pattern, and a guard.
fn output<T: bytemuck::Pod>(gpu: &Gpu, len: usize) -> Result<Buffer<T>> {
    preset(gpu, &vec![UNWRITTEN; len * size_of::<T>() / 4])
}

/// An array that a kernel changes: `bits`, and a guard.
pub(crate) fn preset<T: bytemuck::Pod>(gpu: &Gpu, bits: &[u32]) -> Result<Buffer<T>> {
    let mut padded = bits.to_vec();
    padded.resize(bits.len() + GUARD * size_of::<T>() / 4, UNWRITTEN);
    Buffer::from_slice(gpu, "output", &bytemuck::pod_collect_to_vec(&padded))
}

/// Reads an array made by [`output`] or [`preset`].
pub(crate) fn read<T: bytemuck::Pod>(gpu: &Gpu, buffer: &Buffer<T>) -> Result<Output> {
    let elements = read_back(gpu, buffer)?;
    let mut bits: Vec<u32> = bytemuck::pod_collect_to_vec(&elements);
    let guard = bits.split_off(bits.len() - GUARD * size_of::<T>() / 4);
    Ok(Output { bits, guard })
}

/// What a layer reads, on the device.
enum Held {
    Features(Buffer<f32>),
    Images { shape: ImageShape, scale: f32, order: Buffer<u32>, images: Buffer<u32> },
}

impl Held {
    fn features(gpu: &Gpu, input: &[f32]) -> Result<Self> {
        Buffer::from_slice(gpu, "input", input).map(Self::Features)
    }

    fn images(gpu: &Gpu, shape: ImageShape, scale: f32, order: &[u32], pixels: &[u8]) -> Result<Self> {
        let order = Buffer::from_slice(gpu, "order", order)?;
        Ok(Self::Images { shape, scale, order, images: Buffer::from_slice(gpu, "images", &shape.pack(pixels))? })
    }

    fn input(&self) -> Input<'_> {
        match self {
            Self::Features(input) => Input::Features(input),
            Self::Images { shape, scale, order, images } => {
                Input::Images(Images { shape: *shape, scale: *scale, order, images })
            }
        }
    }
}

/// Leaves out what a short batch leaves unwritten: of each replica's `room` elements only the first `used` are the output,
/// which must be written as a whole, and the rest must be as preset.
fn used_part(found: Output, room: usize, used: usize) -> Output {
    part(found, room, 0..used)
}

/// Of each replica's `room` elements those in `used` are the output, and the rest must be as preset.
fn part(mut found: Output, room: usize, used: Range<usize>) -> Output {
    let mut kept = Vec::new();
    for replica in found.bits.chunks_exact(room) {
        kept.extend_from_slice(&replica[used.clone()]);
        found.guard.extend_from_slice(&replica[..used.start]);
        found.guard.extend_from_slice(&replica[used.end..]);
    }
    Output { bits: kept, guard: found.guard }
}

/// Losses and numbers of correct samples. Those of the first `skipped` belong to another step and must be as preset.
fn pairs(mut found: Output, skipped: usize) -> [Output; 2] {
    let own = found.bits.split_off(2 * skipped);
    found.guard.append(&mut found.bits);
    [0, 1].map(|first| {
        let bits = own.iter().skip(first).step_by(2).copied().collect();
        Output { bits, guard: found.guard.clone() }
    })
}

/// The record of a case's step is the second, so that choosing a record counts.
fn second_step(gpu: &Gpu, capacity: usize, samples: usize) -> Result<Buffer<StepRecord>> {
    let unused = StepRecord::new(0, 0, 0, 0, 0.0);
    Buffer::from_slice(gpu, "steps", &[unused, StepRecord::new(0, capacity, samples, 0, 0.0)])
}

/// Records a case under its name and runs it.
fn run(gpu: &Gpu, case: &str, record: impl FnOnce(&mut Recorder<'_>) -> Result<()>) -> Result<()> {
    let mut recorder = Recorder::new(gpu, case);
    record(&mut recorder)?;
    recorder.submit().map(drop)
}

/// Compares several arrays of a case, each with its name: all bits must be equal.
fn exact<const N: usize>(kernel: &'static str, case: &str, arrays: [(&str, Output, Vec<u32>); N]) -> Vec<Report> {
    arrays.map(|(array, found, expected)| compare_exact(kernel, format!("{case} {array}"), &found, &expected)).into()
}

/// What a twin that sums products expects of all replicas: `twin` gives the numbers of one, once on what `number` makes of the
/// inputs, and once on their magnitudes.
fn sums(replicas: usize, factor: f64, twin: impl Fn(usize, fn(&[f32]) -> Vec<f64>) -> Vec<f64>) -> Vec<Expected> {
    (0..replicas).flat_map(|r| sums_of_products(&twin(r, widen), &twin(r, magnitudes), factor)).collect()
}

/// Bits of numbers.
pub(crate) fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

/// Seeded numbers for the inputs of a case.
pub(crate) struct Draws {
    case: u32,
    arrays: u32,
}

impl Draws {
    pub(crate) fn new(case: u32) -> Self {
        Self { case, arrays: 0 }
    }

    /// The next array's own sequence, so that its length moves no other array.
    pub(crate) fn sequence(&mut self) -> Sequence {
        self.arrays += 1;
        Sequence::new(2023, Stream::Check, self.arrays, self.case)
    }

    /// Numbers in (-1, 1).
    pub(crate) fn numbers(&mut self, len: usize) -> Vec<f32> {
        let mut sequence = self.sequence();
        (0..len).map(|_| (2.0 * sequence.unit() - 1.0) as f32).collect()
    }

    /// Whole numbers below `bound`.
    pub(crate) fn below(&mut self, len: usize, bound: u32) -> Vec<u32> {
        let mut sequence = self.sequence();
        (0..len).map(|_| sequence.below(bound)).collect()
    }
}

/// Numbers in double precision.
fn widen(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|&number| f64::from(number)).collect()
}

/// Magnitudes in double precision.
fn magnitudes(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|&number| f64::from(number.abs())).collect()
}
