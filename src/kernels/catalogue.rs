//! Every shader, with what Rust believes about it.

use super::dense_stack::{MOST_STEPS, ROWS, WIDTH};
use super::{
    adam, conv2d, dense, dense_stack, focus_sweep, gram, he_normal, magnitude_sort, mask, max_pool2d,
    softmax_cross_entropy, stability, surgeon,
};
use crate::gpu::Shader;

/// All kernels, the naive ones first in each family; `tests/kernels/catalogue.rs` proves the list and every entry equal to the files in `shaders/`.
pub const SHADERS: &[&Shader] = &[
    &he_normal::NAIVE,
    &he_normal::FILL,
    &conv2d::NAIVE,
    &conv2d::NAIVE_BACKWARD_INPUT,
    &conv2d::NAIVE_BACKWARD_WEIGHTS,
    &conv2d::FORWARD,
    &conv2d::FORWARD_IMAGES,
    &conv2d::FORWARD_POOL,
    &conv2d::FORWARD_POOL_IMAGES,
    &conv2d::BACKWARD_INPUT,
    &conv2d::BACKWARD_INPUT_POOL,
    &conv2d::BACKWARD_WEIGHTS,
    &conv2d::BACKWARD_WEIGHTS_IMAGES,
    &conv2d::BACKWARD_WEIGHTS_POOL,
    &conv2d::BACKWARD_WEIGHTS_POOL_IMAGES,
    &max_pool2d::NAIVE,
    &max_pool2d::FORWARD,
    &max_pool2d::BACKWARD,
    &dense::NAIVE,
    &dense::NAIVE_BACKWARD_INPUT,
    &dense::NAIVE_BACKWARD_WEIGHTS,
    &dense::FORWARD,
    &dense::FORWARD_IMAGES,
    &dense::GATHER,
    &dense::BACKWARD_INPUT,
    &dense::BACKWARD_WEIGHTS,
    &dense::BACKWARD_WEIGHTS_IMAGES,
    &dense_stack::NAIVE,
    &dense_stack::GRADIENT,
    &dense_stack::STEP,
    &dense_stack::STEP_FEATURES,
    &softmax_cross_entropy::NAIVE,
    &softmax_cross_entropy::LOSS,
    &adam::NAIVE,
    &adam::STEP,
    &mask::NAIVE,
    &mask::SMALLEST,
    &mask::DRAW,
    &mask::REGROW,
    &magnitude_sort::NAIVE,
    &magnitude_sort::RANK,
    &magnitude_sort::RADIX_KEYS,
    &magnitude_sort::RADIX_COUNT,
    &magnitude_sort::RADIX_SCAN,
    &magnitude_sort::RADIX_SCATTER,
    &magnitude_sort::RADIX_RANK,
    &stability::NAIVE,
    &stability::COUNT,
    &stability::ENVELOPE,
    &focus_sweep::NAIVE,
    &focus_sweep::EVALUATE,
    &gram::NAIVE,
    &gram::ACCUMULATE,
    &gram::RIDGE,
    &surgeon::NAIVE,
    &surgeon::PATH,
    &surgeon::REFIT,
    &surgeon::CHOOSE,
    &surgeon::UPDATE,
];

const STEPS: &[&Shader] = &[&dense_stack::STEP, &dense_stack::STEP_FEATURES];
const SMALL_UNITS: &[&Shader] = &[&surgeon::PATH, &surgeon::REFIT];
const CHUNK: &[&Shader] = &[&dense_stack::GRADIENT];

/// Constants that shaders share with their wrappers: whose they are, their name in WGSL, and what the wrappers take them for.
/// The catalogue's test finds each of them in the shaders, and none beside them. An empty list of shaders means all that
/// have the constant.
pub const SHARED: &[(&[&Shader], &str, usize)] = &[
    (&[], "WORKGROUPS_PER_ROW", super::WORKGROUPS_PER_ROW),
    (&[], "LANES", conv2d::backward::LANES),
    (&[], "BLOCK", stability::BLOCK),
    (&[&magnitude_sort::RANK], "QUADS", magnitude_sort::MOST_COUNTED / 4),
    (&[], "TILE", magnitude_sort::radix::TILE),
    (&[], "DIGITS", magnitude_sort::radix::DIGITS),
    (&[&dense_stack::NAIVE], "UNITS", WIDTH),
    (CHUNK, "SAMPLES", WIDTH),
    (CHUNK, "QUADS", WIDTH / 4),
    (CHUNK, "MATRIX", WIDTH * WIDTH / 4),
    (CHUNK, "TILES", WIDTH * WIDTH / 32),
    (STEPS, "MOST_STEPS", MOST_STEPS),
    (STEPS, "INPUTS", WIDTH),
    (STEPS, "SAMPLES", WIDTH),
    (STEPS, "QUADS", WIDTH / 4),
    (STEPS, "ROWS", ROWS),
    (&[&gram::ACCUMULATE], "SUMS", gram::SUMS),
    (&[&gram::ACCUMULATE], "ROWS", gram::ROWS),
    (&[], "NO_COLUMN", gram::NO_COLUMN as usize),
    (SMALL_UNITS, "MOST", surgeon::MOST),
    (SMALL_UNITS, "STRIDE", surgeon::MOST + 1),
    (&[&softmax_cross_entropy::LOSS], "WORKGROUP_SIZE", softmax_cross_entropy::WORKGROUP_SIZE),
];
