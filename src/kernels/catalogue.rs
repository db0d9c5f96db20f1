//! Every shader, with what Rust believes about it.

use super::{adam, dense, focus_sweep, he_normal, magnitude_sort, mask, softmax_cross_entropy, stability};
use crate::gpu::Shader;

/// All kernels; `tests/kernels/catalogue.rs` proves the list and every entry equal to the files in `shaders/`.
pub const SHADERS: [&Shader; 20] = [
    &he_normal::FILL,
    &dense::FORWARD,
    &dense::FORWARD_IMAGES,
    &dense::BACKWARD_INPUT,
    &dense::BACKWARD_WEIGHTS,
    &dense::BACKWARD_WEIGHTS_IMAGES,
    &softmax_cross_entropy::LOSS,
    &adam::STEP,
    &mask::SMALLEST,
    &mask::DRAW,
    &mask::REGROW,
    &magnitude_sort::RANK,
    &magnitude_sort::RADIX_KEYS,
    &magnitude_sort::RADIX_COUNT,
    &magnitude_sort::RADIX_SCAN,
    &magnitude_sort::RADIX_SCATTER,
    &magnitude_sort::RADIX_RANK,
    &stability::COUNT,
    &stability::ENVELOPE,
    &focus_sweep::EVALUATE,
];
