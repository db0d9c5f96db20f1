//! Training against answers that PyTorch gave in double precision (`tests/fixtures/README.md`), and by every rule of
//! exponential decay.
//!
//! `HOLDFAST_FIXTURES` names another folder of files of the same form.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../support/adapter.rs"]
mod adapter;
mod engines;
mod fixture;
mod lost_device;
mod rules;
mod selections;
mod twins;

use holdfast::data::Dataset;
use holdfast::engine::Engine;
use holdfast::error::{Error, Result};
use holdfast::gpu::{DeviceChoice, RequestedLimits};
use holdfast::random::{Sequence, Stream};
use holdfast::training::{CheckpointFile, Trained};
use std::sync::Arc;

fn engines() -> Vec<Engine> {
    let gpu = Engine::gpu(&DeviceChoice::Index(adapter::index()), false, RequestedLimits::Adapter).unwrap();
    vec![Engine::cpu(Some(2)).unwrap(), gpu]
}

/// 60 images of noise of 4 x 5 pixels, in three classes.
fn data() -> Arc<Dataset> {
    let mut draws = Sequence::new(1, Stream::Check, 0, 0);
    let images = (0..60 * 20).map(|_| draws.next_word() as u8).collect();
    let labels = (0..60).map(|sample| sample % 3).collect();
    Arc::new(Dataset::new("random", images, labels, 4, 5, 3).unwrap())
}

/// A training that is stopped again and again, until it is done; and how often that was.
fn resumed(mut run: impl FnMut(&CheckpointFile) -> Result<Trained>) -> (Trained, u32) {
    let folder = tempfile::tempdir().unwrap();
    let file = CheckpointFile::new(folder.path().join("a.checkpoint"), "session".into());
    for stops in 0.. {
        match run(&file) {
            Err(Error::Interrupted) => {}
            finished => return (finished.unwrap(), stops),
        }
    }
    panic!("it never ended")
}
