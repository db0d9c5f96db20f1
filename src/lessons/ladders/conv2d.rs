//! The ladder of `conv2d`: a convolution of 3 x 3, bias, ReLU and 2 x 2 max pooling.

use super::{Draws, flat, groups, made, rung, sums, words};
use crate::check::{bits, conv2d};
use crate::cpu::conv2d::{ConvShape, forward};
use crate::cpu::max_pool2d::{self, PoolShape};
use crate::lessons::problem::{Problem, Wanted};
use crate::lessons::steps::{Ladder, Rung, Step};

const BIAS_RELU: Rung = rung!("conv2d/bias_relu", |s| flat(convolved(s)));
const POOL: Rung = rung!("conv2d/pool", |s| flat(pooled(s)));

pub(in crate::lessons) const LADDER: Ladder = Ladder {
    family: "conv2d",
    formula: "output = 2 x 2 max pooling of max(bias[k] + sum_{ky, kx, c} input[y + ky - 1, x + kx - 1, c] \
              * weights[ky, kx, c, k], 0)",
    sizes: &["samples", "rows", "columns", "channels in", "channels out"],
    steps: &[
        Step {
            name: "naive",
            idea: "one invocation owns one output; neighbours own neighbouring pixels of one channel",
            rungs: &[rung!("conv2d/naive", |s| flat(convolved(s))), BIAS_RELU, POOL],
            bytes: |s| products(s) * (32.0 + 1.0) + convolved(s) as f64 * 32.0 + behind(s),
        },
        Step {
            name: "coalesced",
            idea: "neighbours own neighbouring channels of one pixel: their weights arrive together, their input once",
            rungs: &[rung!("conv2d/coalesced", |s| flat(convolved(s))), BIAS_RELU, POOL],
            bytes: |s| products(s) * (4.0 + 1.0) + convolved(s) as f64 * 4.0 + behind(s),
        },
        Step {
            name: "tiled",
            idea: "8 x 8 pixels a workgroup: a pixel is copied to workgroup memory once and read nine times",
            rungs: &[rung!("conv2d/tiled", |s| tiles(s, 8, s[4])), BIAS_RELU, POOL],
            // 100 pixels that lie all channels apart, and a weight that is the same for all, for 9 x 64 products.
            bytes: |s| products(s) * (32.0 * 100.0 / 576.0 + 1.0) + convolved(s) as f64 * 32.0 + behind(s),
        },
        Step {
            name: "registers",
            idea: "2 x 2 pixels x 4 channels an invocation: 16 pixels and 36 weights serve 144 multiply-adds",
            rungs: &[rung!("conv2d/registers", |s| tiles(s, 16, s[4].div_ceil(4))), BIAS_RELU, POOL],
            bytes: |s| products(s) * REGISTERS + convolved(s) as f64 * 32.0 + behind(s),
        },
        Step {
            name: "fused",
            idea: "bias, ReLU and pooling while the sums are in registers: two launches less, a quarter of the numbers written",
            rungs: &[rung!("conv2d/fused", |s| tiles(s, 16, s[4].div_ceil(4)))],
            bytes: |s| products(s) * REGISTERS + pooled(s) as f64 * 32.0,
        },
    ],
    cases,
    timed: |is_software| if is_software { vec![2, 28, 28, 16, 16] } else { vec![32, 28, 28, 64, 64] },
    operations: |s| 2.0 * products(s),
    problem,
};

/// Bytes of a multiply-add: of 18 x 18 pixels that lie all channels apart, and of weights that are the same for all.
const REGISTERS: f64 = (32.0 * 324.0 + 36.0 * 64.0) / (144.0 * 64.0);

/// Bytes of the launches of bias and ReLU, which read and write all, and of the pooling.
fn behind(s: &[usize]) -> f64 {
    4.0 * (3 * convolved(s) + pooled(s)) as f64
}

fn convolved(s: &[usize]) -> usize {
    s[0] * s[1] * s[2] * s[4]
}

fn pooled(s: &[usize]) -> usize {
    s[0] * (s[1] / 2) * (s[2] / 2) * s[4]
}

/// Multiply-adds, those with the border too.
fn products(s: &[usize]) -> f64 {
    (9 * convolved(s) * s[3]) as f64
}

fn tiles(s: &[usize], side: usize, channels: usize) -> [u32; 3] {
    [groups(s[2], side), groups(s[1], side), (s[0] * channels) as u32]
}

/// The sizes that every kernel of the family must pass.
fn cases() -> Vec<Vec<usize>> {
    let case = |case: &conv2d::Case| vec![case.samples, case.height, case.width, case.inputs, case.outputs];
    let mut sizes: Vec<_> = conv2d::cases().iter().map(case).collect();
    sizes.sort();
    sizes.dedup();
    sizes
}

fn problem(s: &[usize]) -> Problem {
    let [samples, height, width, inputs, outputs] = [s[0], s[1], s[2], s[3], s[4]];
    let mut draws = Draws::new((height * width * 100 + outputs) as u32);
    let mut input = draws.numbers(samples * height * width * inputs);
    let [weights, bias] = [9 * inputs * outputs, outputs].map(|len| draws.numbers(len));
    input.iter_mut().for_each(|x| *x = x.max(0.0));
    let expected = sums(9 * inputs, |number| {
        let mut values = vec![0.0; convolved(s)];
        let shape = ConvShape { samples, height, width, inputs, outputs };
        forward(shape, &made(&input, number), &made(&weights, number), &made(&bias, number), &mut values);
        let mut largest = vec![0.0; pooled(s)];
        let shape = PoolShape { samples, height, width, channels: outputs };
        max_pool2d::forward(shape, &values, &mut largest, &mut vec![0; pooled(s)]);
        largest
    });
    Problem {
        name: format!("b{samples}_c{inputs}_k{outputs}_{height}x{width}"),
        inputs: vec![("sizes", words(s)), ("input", bits(&input)), ("weights", bits(&weights)), ("bias", bits(&bias))],
        scratch: vec![("convolved", convolved(s))],
        outputs: vec![("output", None, Wanted::Near(expected))],
    }
}
