//! The ladder of `magnitude_sort`: the place of each weight in descending order of magnitude, ties by lower index.

use super::{flat, groups, rung, words};
use crate::check::bits;
use crate::check::magnitude_sort::{self as check, Case, Weights};
use crate::lessons::problem::{Problem, Wanted};
use crate::lessons::steps::{Ladder, Rung, Step};

const KEYS: Rung = rung!("magnitude_sort/keys", |s| flat(s[0] * s[1]));

pub(in crate::lessons) const LADDER: Ladder = Ladder {
    family: "magnitude_sort",
    formula: "rank[i] = #{j : |w_j| > |w_i|, or |w_j| = |w_i| and j < i}",
    sizes: &["weights", "segments"],
    steps: &[
        Step {
            name: "naive",
            idea: "one invocation owns one rank; all read the same key at the same time",
            rungs: &[KEYS, rung!("magnitude_sort/naive", |s| [groups(s[0], 64), s[1] as u32, 1])],
            bytes: |s| pairs(s) + keys(s),
        },
        Step {
            name: "coalesced",
            idea: "each begins at its own key, so that neighbours read neighbours",
            rungs: &[KEYS, rung!("magnitude_sort/coalesced", |s| [groups(s[0], 64), s[1] as u32, 1])],
            bytes: |s| 4.0 * pairs(s) + keys(s),
        },
        Step {
            name: "tiled",
            idea: "64 keys at a time in workgroup memory, each read there by 64 invocations",
            rungs: &[KEYS, rung!("magnitude_sort/tiled", |s| [groups(s[0], 64), s[1] as u32, 1])],
            bytes: |s| 4.0 * pairs(s) / 64.0 + keys(s),
        },
        Step {
            name: "registers",
            idea: "four ranks an invocation, in vectors: a key that is read meets four",
            rungs: &[KEYS, rung!("magnitude_sort/registers", |s| [groups(s[0], 256), s[1] as u32, 1])],
            bytes: |s| 4.0 * pairs(s) / 256.0 + keys(s),
        },
        Step {
            name: "fused",
            idea: "the key is made where a weight is read: one launch less, no array of keys",
            rungs: &[rung!("magnitude_sort/fused", |s| [groups(s[0], 256), s[1] as u32, 1])],
            bytes: |s| 4.0 * pairs(s) / 256.0 + 8.0 * (s[0] * s[1]) as f64,
        },
    ],
    cases,
    timed: |is_software| if is_software { vec![900, 8] } else { vec![2048, 1024] },
    // A comparison of two keys, and one of two places.
    operations: |s| 2.0 * pairs(s),
    problem,
};

/// Pairs of weights.
fn pairs(s: &[usize]) -> f64 {
    (s[0] * s[0] * s[1]) as f64
}

/// Bytes of making the keys, reading each once more and writing the ranks.
fn keys(s: &[usize]) -> f64 {
    16.0 * (s[0] * s[1]) as f64
}

/// The sizes that the kernel that counts must pass. Weights that are awkward are those of an odd number of segments.
fn cases() -> Vec<Vec<usize>> {
    let counted = check::cases().into_iter().filter(|case| !case.radix);
    let mut sizes: Vec<_> = counted.map(|case| vec![case.weight_count, case.epochs * case.replicas]).collect();
    sizes.sort();
    sizes.dedup();
    sizes
}

fn problem(s: &[usize]) -> Problem {
    // Half of the cases with many equal keys, both zeros, denormal numbers and infinities.
    let weights = if s[1] % 2 == 1 { Weights::Awkward } else { Weights::Plain };
    let case = Case { epochs: s[1], replicas: 1, weight_count: s[0], weights, radix: false };
    Problem {
        name: check::name(&case),
        inputs: vec![("sizes", words(s)), ("weights", bits(&check::weights(&case)))],
        scratch: vec![("keys", s[0] * s[1])],
        outputs: vec![("rank", None, Wanted::Exact(check::expected(&case)))],
    }
}
