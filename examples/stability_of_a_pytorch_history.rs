//! Counts the magnitude stability of a layer that PyTorch trained, from the file that `docs/guide/pytorch.md` records:
//! `cargo run --release --example stability_of_a_pytorch_history -- history.npy`. Without a file it takes a small one of its own.

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use holdfast::engine::{Engine, HistoryShape};
use holdfast::error::Result;
use holdfast::stability::{History, Reading, Stability, import};
use std::path::Path;

/// Relative distance from its last value within which a weight counts as holding still.
const TOLERANCE: f64 = 0.03;

fn main() -> Result<()> {
    let history = match std::env::args_os().nth(1) {
        Some(file) => recorded(Path::new(&file))?,
        None => made_up()?,
    };
    for (threshold, held) in held(&history)? {
        println!("{held} weights held still for the last {threshold} of {} epochs", history.shape().epochs);
    }
    Ok(())
}

/// What `numpy.save("history.npy", numpy.stack(history))` left: `[epoch, out, in]`, whose second axis is not the replica.
pub(crate) fn recorded(file: &Path) -> Result<History> {
    Ok(import::read_history(file, None, &import::Axes::OneNetwork)?.whole()?.into_owned())
}

/// How many weights held still for the last epoch, the last half of the epochs, and all of them.
pub(crate) fn held(history: &History) -> Result<[(usize, usize); 3]> {
    let epochs = history.shape().epochs;
    let mut engine = Engine::cpu(None)?;
    let stability = Stability::count(&mut engine, history, &[TOLERANCE], Reading::default())?;
    let counted = stability.of_replica(0, history, 0);
    let held = |threshold| counted.iter().filter(|&&epochs| epochs as usize >= threshold).count();
    Ok([1, epochs.div_ceil(2), epochs].map(|threshold| (threshold, held(threshold))))
}

/// Five epochs of a layer with three weights: one stands still, one comes to rest, one keeps moving.
pub(crate) fn made_up() -> Result<History> {
    let weights = vec![
        0.5, 1.0, -0.1, //
        0.5, 0.6, -0.3, //
        0.5, 0.51, -0.5, //
        0.5, 0.5, -0.7, //
        0.5, 0.5, -0.9,
    ];
    History::new(HistoryShape { epochs: 5, replicas: 1, weight_count: 3 }, weights)
}
