//! The ladder of `gram`: how the columns of a matrix vary together.

use super::{Draws, flat, groups, made, rung, sums, words};
use crate::check::{bits, gram};
use crate::cpu::gram::{Rows, accumulate};
use crate::lessons::problem::{Problem, Wanted};
use crate::lessons::steps::{Ladder, Rung, Step};

const WEIGH: Rung = rung!("gram/weigh", |s| flat(s[0] * s[1]));
const MEAN: Rung = rung!("gram/mean", |s| flat(s[1] * s[1]));

pub(in crate::lessons) const LADDER: Ladder = Ladder {
    family: "gram",
    formula: "gram[i, j] = sum_n q[n] * x[n, i] * x[n, j] / rows",
    sizes: &["rows", "columns"],
    steps: &[
        Step {
            name: "naive",
            idea: "one invocation owns one sum; neighbours own neighbouring rows of the result",
            rungs: &[WEIGH, rung!("gram/naive", |s| flat(s[1] * s[1])), MEAN],
            bytes: |s| products(s) * (4.0 + 1.0) + matrix(s) * (32.0 + 8.0) + weighed(s),
        },
        Step {
            name: "coalesced",
            idea: "neighbours own neighbouring columns of the result, and write neighbours",
            rungs: &[WEIGH, rung!("gram/coalesced", |s| flat(s[1] * s[1])), MEAN],
            bytes: |s| products(s) * (4.0 + 1.0) + matrix(s) * (4.0 + 8.0) + weighed(s),
        },
        Step {
            name: "tiled",
            idea: "16 x 16 sums a workgroup: each number is copied to workgroup memory once and read 16 times",
            rungs: &[WEIGH, rung!("gram/tiled", |s| [groups(s[1], 16), groups(s[1], 16), 1]), MEAN],
            bytes: |s| products(s) * 8.0 / 16.0 + matrix(s) * (4.0 + 8.0) + weighed(s),
        },
        Step {
            name: "registers",
            idea: "32 x 32 sums a workgroup, 4 x 4 an invocation: 8 reads of workgroup memory serve 16 multiply-adds",
            rungs: &[WEIGH, rung!("gram/registers", |s| [groups(s[1], 32), groups(s[1], 32), 1]), MEAN],
            bytes: |s| products(s) * 8.0 / 32.0 + matrix(s) * (4.0 + 8.0) + weighed(s),
        },
        Step {
            name: "fused",
            idea: "rows weighed as they are copied, the mean in registers, and one half with its mirror image",
            rungs: &[rung!("gram/fused", |s| [groups(s[1], 32), groups(s[1], 32), 1])],
            bytes: |s| products(s) / 2.0 * 8.0 / 32.0 + matrix(s) * (4.0 + 32.0) / 2.0,
        },
    ],
    cases,
    timed: |is_software| if is_software { vec![512, 192] } else { vec![2048, 1024] },
    operations: |s| 2.0 * products(s),
    problem,
};

/// Multiply-adds of the whole matrix.
fn products(s: &[usize]) -> f64 {
    (s[0] * s[1] * s[1]) as f64
}

fn matrix(s: &[usize]) -> f64 {
    (s[1] * s[1]) as f64
}

/// Bytes of weighing the rows.
fn weighed(s: &[usize]) -> f64 {
    (8 * s[0] * s[1]) as f64
}

/// The sizes that the kernel must pass.
fn cases() -> Vec<Vec<usize>> {
    gram::cases().iter().map(|case| vec![case.rows, case.inputs]).collect()
}

fn problem(s: &[usize]) -> Problem {
    let [rows, columns] = [s[0], s[1]];
    let mut draws = Draws::new((rows * 1000 + columns) as u32);
    let x = draws.numbers(rows * columns);
    let q: Vec<f32> = draws.numbers(rows).into_iter().map(|draw| if draw > 0.0 { 1.0 } else { 0.1 }).collect();
    let every: Vec<u32> = (0..columns as u32).collect();
    let expected = sums(rows, |number| {
        let values = made(&x, number);
        let of = Rows::Features { values: &values, inputs: columns };
        accumulate(&of, &every, &made(&q, number), &vec![0.0; rows]).gram
    });
    Problem {
        name: format!("n{rows}_c{columns}"),
        inputs: vec![("sizes", words(s)), ("x", bits(&x)), ("q", bits(&q))],
        scratch: vec![("weighed", rows * columns), ("total", columns * columns)],
        outputs: vec![("gram", None, Wanted::Near(expected))],
    }
}
