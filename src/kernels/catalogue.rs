//! Every shader, with what Rust believes about it.

use super::{
    adam, conv2d, dense, focus_sweep, he_normal, magnitude_sort, mask, max_pool2d, softmax_cross_entropy, stability,
};
use crate::gpu::Shader;

/// All kernels; `tests/kernels/catalogue.rs` proves the list and every entry equal to the files in `shaders/`.
pub const SHADERS: [&Shader; 36] = [
    &he_normal::FILL,
    &conv2d::FORWARD,
    &conv2d::FORWARD_IMAGES,
    &conv2d::FORWARD_POOL,
    &conv2d::FORWARD_POOL_WIDE,
    &conv2d::FORWARD_POOL_IMAGES,
    &conv2d::FORWARD_POOL_IMAGES_WIDE,
    &conv2d::BACKWARD_INPUT,
    &conv2d::BACKWARD_INPUT_POOL,
    &conv2d::BACKWARD_INPUT_POOL_WIDE,
    &conv2d::BACKWARD_WEIGHTS,
    &conv2d::BACKWARD_WEIGHTS_IMAGES,
    &conv2d::BACKWARD_WEIGHTS_POOL,
    &conv2d::BACKWARD_WEIGHTS_POOL_WIDE,
    &conv2d::BACKWARD_WEIGHTS_POOL_IMAGES,
    &max_pool2d::FORWARD,
    &max_pool2d::BACKWARD,
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
