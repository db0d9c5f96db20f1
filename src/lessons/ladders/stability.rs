//! The ladder of `stability`: for how many last epochs a weight held still, and how many did at each epoch.

use super::{groups, rung, words};
use crate::check::bits;
use crate::check::stability::Case;
use crate::cpu::stability::{HistoryShape, count};
use crate::kernels::stability::TOLERANCES;
use crate::lessons::problem::{Problem, Wanted};
use crate::lessons::steps::{Ladder, Rung, Step};

const KEYS: Rung = rung!("stability/keys", |s| [groups(s[1], 64), s[0] as u32, 1]);
const WEIGHTS: fn(&[usize]) -> [u32; 3] = |s| [groups(s[1], 64), 1, 1];
const WEIGHTS_AND_TOLERANCES: fn(&[usize]) -> [u32; 3] = |s| [groups(s[1], 64), TOLERANCES as u32, 1];

pub(in crate::lessons) const LADDER: Ladder = Ladder {
    family: "stability",
    formula: "stability[i] = number of last epochs t in a row with lower[i] <= W_t[i] <= upper[i]; \
              stable_weights[t] = how many i are within",
    sizes: &["epochs", "weights"],
    steps: &[
        Step {
            name: "naive",
            idea: "one launch counts epochs of a weight, another weights of an epoch; the history is read eight times",
            rungs: &[
                KEYS,
                rung!("stability/stable_weights", |s| [groups(s[0], 64), TOLERANCES as u32, 1]),
                rung!("stability/naive", WEIGHTS_AND_TOLERANCES),
            ],
            // Walking along an epoch each reads elsewhere, with bounds that are the same for all.
            bytes: |s| numbers(s) * (8.0 + 4.0 * (32.0 + 2.0) + 4.0 * 12.0),
        },
        Step {
            name: "coalesced",
            idea: "one walk for both: neighbours read neighbours, and every weight adds to the count of its epoch in memory",
            rungs: &[KEYS, rung!("stability/coalesced", WEIGHTS_AND_TOLERANCES)],
            // A sum in memory is read and written by everyone.
            bytes: |s| numbers(s) * (8.0 + 4.0 * (4.0 + 8.0)) + weights(s),
        },
        Step {
            name: "tiled",
            idea: "counts of 64 epochs are gathered in workgroup memory: one addition to memory for 64",
            rungs: &[KEYS, rung!("stability/tiled", WEIGHTS_AND_TOLERANCES)],
            bytes: |s| numbers(s) * (8.0 + 4.0 * (4.0 + 8.0 / 64.0)) + weights(s),
        },
        Step {
            name: "registers",
            idea: "four tolerances in vectors: a number of the history is read once",
            rungs: &[KEYS, rung!("stability/registers", WEIGHTS)],
            bytes: |s| numbers(s) * (8.0 + 4.0 + 4.0 * 8.0 / 64.0) + weights(s),
        },
        Step {
            name: "fused",
            idea: "the key is made where a weight is read: one launch less, no second history",
            rungs: &[rung!("stability/fused", WEIGHTS)],
            bytes: |s| numbers(s) * (4.0 + 4.0 * 8.0 / 64.0) + weights(s),
        },
    ],
    cases,
    timed: |is_software| if is_software { vec![100, 9_000] } else { vec![100, 300_000] },
    // Two comparisons for each tolerance.
    operations: |s| 2.0 * TOLERANCES as f64 * numbers(s),
    problem,
};

/// Numbers of the history.
fn numbers(s: &[usize]) -> f64 {
    (s[0] * s[1]) as f64
}

/// Bytes of bounds and of what is counted.
fn weights(s: &[usize]) -> f64 {
    (12 * TOLERANCES * s[1]) as f64
}

/// The sizes that the kernel must pass, one replica each.
fn cases() -> Vec<Vec<usize>> {
    crate::check::stability::cases().iter().map(|case| vec![case.epochs, case.weight_count]).collect()
}

/// From `[tolerance, element]` to `[element, tolerance]`.
fn interleaved(planes: &[u32]) -> Vec<u32> {
    let elements = planes.len() / TOLERANCES;
    (0..planes.len()).map(|place| planes[place % TOLERANCES * elements + place / TOLERANCES]).collect()
}

fn problem(s: &[usize]) -> Problem {
    let [epochs, weight_count] = [s[0], s[1]];
    let case = Case { epochs, replicas: 1, weight_count };
    let history = case.history();
    let [lower, upper] = case.bounds(&history);
    let shape = HistoryShape { epochs, replicas: 1, weight_count };
    let (mut stability, mut stable) = (vec![0; TOLERANCES * weight_count], vec![0; TOLERANCES * epochs]);
    count(shape, &history, &lower, &upper, &mut stability, &mut stable);
    Problem {
        name: case.name(),
        inputs: vec![
            ("sizes", words(s)),
            ("history", bits(&history)),
            ("lower", interleaved(&lower)),
            ("upper", interleaved(&upper)),
        ],
        scratch: vec![("keys", epochs * weight_count)],
        outputs: vec![
            ("stability", None, Wanted::Exact(interleaved(&stability))),
            ("stable_weights", Some(vec![0; TOLERANCES * epochs]), Wanted::Exact(interleaved(&stable))),
        ],
    }
}
