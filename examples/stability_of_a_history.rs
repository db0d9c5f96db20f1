//! Counts the magnitude stability of a made-up history: `cargo run --release --example stability_of_a_history`.

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use holdfast::engine::{CpuEngine, HistoryShape};
use holdfast::error::Result;
use holdfast::stability::{History, Reading, Stability};

fn main() -> Result<()> {
    // Five epochs of one network with three weights: one stands still, one comes to rest, one keeps moving.
    let shape = HistoryShape { epochs: 5, replicas: 1, nodes: 3 };
    let weights = vec![
        0.5, 1.0, -0.1, //
        0.5, 0.6, -0.3, //
        0.5, 0.51, -0.5, //
        0.5, 0.5, -0.7, //
        0.5, 0.5, -0.9,
    ];
    let history = History::new(shape, weights)?;
    let mut engine = CpuEngine::new(None)?;
    let stability = Stability::count(&mut engine, &history, &[0.03], Reading::default())?;
    for (node, epochs) in stability.of_replica(0, &history, 0).iter().enumerate() {
        println!("weight {node} held still for the last {epochs} of {} epochs", shape.epochs);
    }
    Ok(())
}
