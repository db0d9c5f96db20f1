//! What the page is about: a network, a part of MNIST, and how long it trains.

use crate::data::batches::{shuffled_order, step_ranges};
use crate::data::{LoadOptions, Source, Split, stratified_draw};
use crate::engine::{Batch, DataHandle, Engine, RateSchedule, Setup, StepLoss, Steps, Watch};
use crate::error::Result;
use crate::network::{Architecture, Selection};
use crate::pruning::masks::RemovalOrder;
use std::sync::Arc;

/// Images that are trained on: whole batches of [`BATCH`], few enough for a small page.
const TRAINING_IMAGES: usize = 6400;
/// Images that accuracies are of: whole steps of the engine's evaluations.
const TEST_IMAGES: usize = 2048;
/// Units of the hidden layers, as in the paper.
const HIDDEN: [usize; 6] = [30; 6];
/// Samples of a step.
pub(super) const BATCH: usize = 32;
/// Passes over the training images.
pub(super) const EPOCHS: usize = 20;
/// Key of every random draw.
pub(super) const SEED: u64 = 1;
/// Tolerances of magnitude stability, as many as one launch counts.
pub(super) const TOLERANCES: [f64; 4] = [0.01, 0.03, 0.05, 0.1];
/// Windows of last epochs that settle and hold look at.
pub(super) const WINDOWS: [u32; 3] = [5, 10, 20];
/// Pruned networks that one launch evaluates: few enough for a launch to stay short on a phone and in software.
pub(super) const POINTS: usize = 7;

/// The network and its images.
pub(super) struct Subject {
    pub(super) architecture: Architecture,
    /// The weights that are recorded and pruned: the last hidden layer's.
    pub(super) selection: Selection,
    pub(super) images: Split,
}

/// A network on an engine.
pub(super) struct Begun {
    pub(super) batch: Batch,
    pub(super) test: DataHandle,
}

impl Subject {
    /// Reads MNIST and draws the part.
    ///
    /// Fails with [`crate::error::Error::Data`] if MNIST is not found.
    pub(super) fn read() -> Result<Self> {
        let all = Source::Mnist(None).load(SEED, &LoadOptions::default())?.split;
        let draw = |set, images| stratified_draw(set, images, SEED);
        Ok(Self::of(Split::new(draw(&all.training, TRAINING_IMAGES)?, draw(&all.test, TEST_IMAGES)?)?))
    }

    /// These images, in whole steps of training and of evaluation.
    pub(super) fn of(images: Split) -> Self {
        let set = &images.training;
        let architecture = Architecture::dnn(set.height, set.width, HIDDEN, set.classes);
        Self { selection: Selection::focus(&architecture), architecture, images }
    }

    /// The network with its initial weights.
    pub(super) fn begin(&self, engine: &mut Engine) -> Result<Begun> {
        let [training, test] = [engine.load(&self.images.training)?, engine.load(&self.images.test)?];
        let setup = Setup {
            architecture: &self.architecture,
            training,
            batch: BATCH,
            pixel_scale: 255.0,
            seed: SEED,
            replica_ids: &[0],
            selection: &self.selection,
        };
        Ok(Begun { batch: engine.begin(&setup)?, test })
    }

    /// Steps of an epoch.
    pub(super) fn steps(&self) -> usize {
        self.images.training.samples() / BATCH
    }

    /// The order of the training images in an epoch, counted from 0.
    pub(super) fn order(&self, epoch: usize) -> Arc<[u32]> {
        shuffled_order(self.images.training.samples() as u32, SEED, 0, epoch as u32)
    }

    /// Adam's rate of each step of the whole training.
    pub(super) fn rates(&self) -> Vec<f32> {
        RateSchedule::Constant.rates(0, EPOCHS * self.steps())
    }

    /// The order in which the random control removes weights.
    pub(super) fn random_order(&self) -> RemovalOrder {
        RemovalOrder::random(SEED, 0, self.selection.weights())
    }

    /// Trains for one epoch: the loss of each step.
    pub(super) fn train(&self, batch: &mut Batch, epoch: usize, watch: &Watch<'_>) -> Result<Vec<StepLoss>> {
        let batches = step_ranges(self.images.training.samples(), BATCH)?;
        let first_step = (epoch * batches.len()) as u64;
        batch.train(&Steps { first_step, orders: &[self.order(epoch)], batches: &batches, decay: 1.0 }, watch)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::data::Dataset;
    use crate::random::{Sequence, Stream};

    /// Images of noise, a few steps of them.
    pub(in crate::playground) fn noise() -> Subject {
        let mut draws = Sequence::new(5, Stream::Check, 0, 0);
        let mut set = |samples: usize| {
            let images = (0..samples * 28 * 28).map(|_| draws.next_word() as u8).collect();
            let labels = (0..samples).map(|_| draws.below(10) as u8).collect();
            Dataset::new("noise", images, labels, 28, 28, 10).unwrap()
        };
        Subject::of(Split::new(set(4 * BATCH), set(1024)).unwrap())
    }

    #[test]
    fn the_part_of_mnist_is_cut_into_whole_steps() {
        let subject = Subject::read().unwrap();
        assert_eq!(subject.images.training.samples() % BATCH, 0);
        assert_eq!((subject.steps(), subject.rates().len()), (200, 200 * EPOCHS));
        assert_eq!(subject.images.test.samples() % 512, 0);
    }
}
