//! Trains three small networks on digits, removes half of a layer by what held, and says what that cost:
//! `cargo run --release --example train_and_prune`.

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use holdfast::data::{LoadOptions, Source};
use holdfast::engine::{Engine, SweepPoint, Watch};
use holdfast::error::Result;
use holdfast::network::{Architecture, Selection};
use holdfast::pruning::allocation::{Amount, Scope};
use holdfast::pruning::score::{Score, Scores};
use holdfast::stability::TensorHistory;
use holdfast::training::{Plan, train};

/// Trains for this many epochs.
const EPOCHS: u32 = 20;

fn main() -> Result<()> {
    for (network, [dense, pruned]) in accuracies()?.into_iter().enumerate() {
        let (dense, pruned) = (100.0 * dense, 100.0 * pruned);
        println!("network {network}: {dense:.1} % right, {pruned:.1} % with half of the layer removed");
    }
    Ok(())
}

/// Of each network: the share of test images that it classifies correctly, before and after.
pub(crate) fn accuracies() -> Result<Vec<[f64; 2]>> {
    // 100 images of each digit to train with, the test set of MNIST to judge by.
    let digits = Source::parse("pr".as_ref())?.load(1, &LoadOptions::default())?.split;
    let (training, test) = (digits.training, digits.test);
    let architecture = Architecture::dnn(training.height, training.width, [30; 6], training.classes);
    let mut engine = Engine::cpu(None)?;
    let selection = Selection::focus(&architecture);
    let handle = engine.load(&training)?;
    let plan = Plan::new((&architecture, &selection), (handle, &training), &[0, 1, 2], EPOCHS);
    let watch = Watch::nobody();
    let mut trained = train(&mut engine, &plan, None, &watch, &|_| {})?;

    // Of each weight of the last hidden layer: the smallest magnitude that it had in the last ten epochs. The smaller half goes.
    let history = TensorHistory::new("focus", trained.history()?, architecture.focus_shape().into());
    let hold = Score::Hold { window: EPOCHS / 2, keep_frozen: false };
    let scores = hold.of_history(&mut engine, &history, None)?;
    let masks = Scores::masks(&[scores], Scope::Layer, &[Amount::Share(0.5)])?.remove(0).remove(0);

    let images = engine.load(&test)?;
    let dense = trained.batch.evaluate(images, &watch)?;
    let points: Vec<_> = masks.into_iter().enumerate().map(|(slot, kept)| SweepPoint { slot, kept }).collect();
    let pruned = trained.batch.sweep(images, &selection, &points, &watch)?;
    Ok(dense.iter().zip(&pruned).map(|(dense, pruned)| [dense.accuracy(), pruned.accuracy()]).collect())
}
