//! Fast single-precision variants of the twins: the CPU engine.
//!
//! They compute what the twins define, in blocks of registers: rows are padded to [`LANES`] so that a row is a whole number
//! of vector registers on every processor, and `pulp` chooses the instruction set when the program starts (AVX-512, AVX2
//! with FMA, NEON, or plain code). Every sum runs in one fixed order, so results depend neither on threads nor on how
//! many replicas run side by side.

pub mod conv2d;
pub mod convolutions;
pub mod dense;
pub mod focus_sweep;
pub mod gram;
pub mod lanes;
pub mod layers;
pub mod limits;
pub mod max_pool2d;
pub mod network;
pub mod polish;
pub mod softmax_cross_entropy;
pub mod sparse;
pub mod stability;
pub mod surgeon;
pub mod training_step;
pub mod whole_inputs;
mod workspace;

/// Rows of units are padded to a multiple of this many numbers: one AVX-512 register, two of AVX2, four of NEON.
pub const LANES: usize = 16;

/// `units` rounded up to whole [`LANES`].
pub fn padded(units: usize) -> usize {
    units.next_multiple_of(LANES)
}

/// Runs `work` with the widest registers there are, or with those of AVX2 where `has_partial_registers` rows would leave half of an AVX-512
/// register empty. Sums have the same order in both, so the choice changes no bit.
fn dispatch<W: pulp::WithSimd>(has_partial_registers: bool, work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    if has_partial_registers && let Some(simd) = pulp::x86::V3::try_new() {
        return pulp::Simd::vectorize(simd, work);
    }
    let _ = has_partial_registers;
    pulp::Arch::new().dispatch(work)
}

/// [`crate::cpu::relu`] of a register. A maximum would turn NaN into 0 with some instruction sets, and keep it with others.
#[inline(always)]
fn relu<S: pulp::Simd>(simd: S, x: S::f32s) -> S::f32s {
    let zero = simd.splat_f32s(0.0);
    simd.select_f32s(simd.less_than_or_equal_f32s(x, zero), zero, x)
}

/// The instruction set that runs here; part of the device's variant, since it moves bits.
pub fn instruction_set() -> &'static str {
    struct Name;
    impl pulp::WithSimd for Name {
        type Output = usize;
        fn with_simd<S: pulp::Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    match pulp::Arch::new().dispatch(Name) {
        16 => "avx512",
        8 => "avx2-fma",
        4 => "neon",
        _ => "scalar",
    }
}

/// One cache line of numbers: what [`AlignedBuffer`] is made of, so that vector loads never straddle two lines.
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([f32; LANES]);

/// A vector of numbers that starts at a cache line.
#[derive(Clone, Debug)]
pub struct AlignedBuffer(Vec<Line>);

impl AlignedBuffer {
    /// At least `length` zeros, rounded up to whole lines.
    pub fn zeros(length: usize) -> Self {
        Self(vec![Line([0.0; LANES]); length.div_ceil(LANES)])
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.0[..])
    }
}

impl std::ops::Deref for AlignedBuffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        bytemuck::cast_slice(&self.0)
    }
}

impl std::ops::DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}
