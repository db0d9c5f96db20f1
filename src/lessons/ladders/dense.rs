//! The ladder of `dense`: a product of two matrices, with a bias and a ReLU behind it.

use super::{Draws, flat, groups, made, rung, sums, words};
use crate::check::{bits, dense};
use crate::cpu::dense::{DenseShape, forward};
use crate::lessons::problem::{Problem, Wanted};
use crate::lessons::steps::{Ladder, Rung, Step};

const BIAS_RELU: Rung = rung!("dense/bias_relu", |s| flat(s[0] * s[2]));

pub(in crate::lessons) const LADDER: Ladder = Ladder {
    family: "dense",
    formula: "output[n, k] = max(bias[k] + sum_i input[n, i] * weights[i, k], 0)",
    sizes: &["samples", "inputs", "units"],
    steps: &[
        Step {
            name: "naive",
            idea: "one invocation owns one output; neighbours own neighbouring samples and read far apart",
            rungs: &[rung!("dense/naive", |s| flat(s[0] * s[2])), BIAS_RELU],
            bytes: |s| products(s) * (32.0 + 1.0) + outputs(s) * (32.0 + 12.0),
        },
        Step {
            name: "coalesced",
            idea: "neighbours own neighbouring units: their weights arrive together, their input arrives once",
            rungs: &[rung!("dense/coalesced", |s| flat(s[0] * s[2])), BIAS_RELU],
            bytes: |s| products(s) * (4.0 + 1.0) + outputs(s) * (4.0 + 12.0),
        },
        Step {
            name: "tiled",
            idea: "16 x 16 outputs a workgroup: each number is copied to workgroup memory once and read 16 times",
            rungs: &[rung!("dense/tiled", |s| [groups(s[2], 16), groups(s[0], 16), 1]), BIAS_RELU],
            bytes: |s| products(s) * 8.0 / 16.0 + outputs(s) * (4.0 + 12.0),
        },
        Step {
            name: "registers",
            idea: "32 x 32 outputs a workgroup, 4 x 4 an invocation: 8 reads of workgroup memory serve 16 multiply-adds",
            rungs: &[rung!("dense/registers", |s| [groups(s[2], 32), groups(s[0], 32), 1]), BIAS_RELU],
            bytes: |s| products(s) * 8.0 / 32.0 + outputs(s) * (4.0 + 12.0),
        },
        Step {
            name: "fused",
            idea: "bias and ReLU while the sums are in registers: one launch less, and the product is never written",
            rungs: &[rung!("dense/fused", |s| [groups(s[2], 32), groups(s[0], 32), 1])],
            bytes: |s| products(s) * 8.0 / 32.0 + outputs(s) * 4.0,
        },
    ],
    cases,
    timed: |is_software| if is_software { vec![64, 512, 512] } else { vec![1024, 1024, 1024] },
    operations: |s| 2.0 * products(s),
    problem,
};

/// Multiply-adds.
fn products(s: &[usize]) -> f64 {
    s.iter().map(|&size| size as f64).product()
}

fn outputs(s: &[usize]) -> f64 {
    (s[0] * s[2]) as f64
}

/// The sizes that every kernel of the family must pass.
fn cases() -> Vec<Vec<usize>> {
    let mut sizes: Vec<_> = dense::cases().iter().map(|case| vec![case.samples, case.inputs, case.outputs]).collect();
    sizes.sort();
    sizes.dedup();
    sizes
}

fn problem(s: &[usize]) -> Problem {
    let [samples, inputs, outputs] = [s[0], s[1], s[2]];
    let mut draws = Draws::new((inputs * 1000 + samples) as u32);
    let [mut input, weights, bias] = [samples * inputs, inputs * outputs, outputs].map(|len| draws.numbers(len));
    // As after a ReLU, so that no sum of magnitudes is cut.
    input.iter_mut().for_each(|x| *x = x.max(0.0));
    let expected = sums(inputs, |number| {
        let mut output = vec![0.0; samples * outputs];
        let shape = DenseShape { samples, inputs, outputs };
        forward(shape, &made(&input, number), &made(&weights, number), &made(&bias, number), true, &mut output);
        output
    });
    Problem {
        name: format!("b{samples}_{inputs}x{outputs}"),
        inputs: vec![("sizes", words(s)), ("input", bits(&input)), ("weights", bits(&weights)), ("bias", bits(&bias))],
        scratch: vec![("product", samples * outputs)],
        outputs: vec![("output", None, Wanted::Near(expected))],
    }
}
