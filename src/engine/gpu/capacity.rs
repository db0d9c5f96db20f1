//! How much fits a device: replicas of a wave, and samples of a step.

use super::launches::{Network, RECORD_WORDS, TrainingPath};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::kernels::dense_stack::{Launches, StepShape};

/// The most samples of a step of an evaluation. Sums are made step by step, and their bits must not depend on how many
/// replicas run side by side: so the step follows from the network and the limits of the device alone.
const EVALUATION_SAMPLES: usize = 512;
/// Words of activations of one replica that a step of an evaluation may have, 16 MiB: no more than training needs, so that
/// evaluation does not cut waves that training would not.
const EVALUATION_WORDS: usize = 4 << 20;
/// The most words of all activations and gradients of a wave, 2 GiB: enough to fill any device, and a part of its memory.
const WAVE_WORDS: usize = 512 << 20;
/// The same in arrays of the largest size.
const WAVE_ARRAYS: usize = 16;

/// The most networks of a sweep that are evaluated side by side: enough to fill any device, few enough for a launch to stay
/// short.
const POINTS: usize = 256;
/// The most words of what their layers produce, 256 MiB.
const POINT_WORDS: usize = 64 << 20;

/// How much fits the arrays of a device.
pub(super) struct Capacity {
    /// Words of one array.
    pub(super) words: usize,
    /// Words of the activations and gradients of a wave, all arrays together.
    total: usize,
    /// Workgroups in a dimension, and so replicas.
    workgroups: usize,
}

impl Capacity {
    pub(super) fn of(gpu: &Gpu) -> Self {
        let limits = gpu.limits();
        let words = (limits.array_bytes() / 4) as usize;
        Self { words, total: WAVE_WORDS.min(WAVE_ARRAYS * words), workgroups: limits.workgroups as usize }
    }

    /// Samples of a step of an evaluation: the constant, or the largest power of two that fits for one replica.
    pub(super) fn evaluation_samples(&self, network: &Network) -> Result<usize> {
        match self.words / network.widest() {
            0 => Err(Error::OutOfMemory(format!("one sample of {} units does not fit", network.widest()))),
            fitting => {
                let fitting = fitting.min(EVALUATION_WORDS / network.words_per_sample(TrainingPath::Evaluation)).max(1);
                Ok(EVALUATION_SAMPLES.min(1 << fitting.ilog2()))
            }
        }
    }

    /// Networks of a sweep that are evaluated side by side, in steps of `evaluation_samples` samples, one at least.
    pub(super) fn points(&self, network: &Network, evaluation_samples: usize) -> usize {
        let largest = network.layout.parameters().max(evaluation_samples * network.widest());
        let together = evaluation_samples * network.words_per_sample(TrainingPath::Evaluation);
        (self.words / largest).min(self.total.min(POINT_WORDS) / together).clamp(1, POINTS.min(self.workgroups))
    }

    /// Whether the array of a stack of dense layers fits: it holds more than one layer.
    pub(super) fn stacks(&self, network: &Network, batch: usize) -> bool {
        network.stack(1, batch).is_some_and(|stack| stack.activations() <= self.words)
    }

    /// Whether the arrays of whole steps of all dense layers fit: what layers produce, and what a launch of one step is
    /// told.
    pub(super) fn fuses(&self, network: &Network, batch: usize) -> bool {
        let fits = |shape: StepShape| shape.scratch().max(Launches::words(&shape, 1)) <= self.words;
        network.whole_stack(1, batch).is_some_and(fits)
    }

    /// Replicas of a wave, in steps of `batch` samples that bring `image_words` words each. If not even one fits, the error
    /// names the batch that would.
    pub(super) fn slots(
        &self,
        network: &Network,
        image_words: usize,
        batch: usize,
        evaluation_samples: usize,
        path: TrainingPath,
    ) -> Result<usize> {
        let parameters = network.layout.parameters();
        if parameters > self.words || RECORD_WORDS > self.words {
            return Err(Error::OutOfMemory(format!(
                "the {parameters} parameters of one replica need more than the {} bytes that an array can have",
                4 * self.words
            )));
        }
        let words_per_sample = network.widest().max(image_words);
        let all_words_per_sample = network.words_per_sample(path);
        let fitting = (self.words / words_per_sample).min(self.total / all_words_per_sample);
        if fitting == 0 {
            return Err(Error::OutOfMemory(format!(
                "one sample of one replica, {all_words_per_sample} numbers, does not fit arrays of {} bytes; use smaller \
                 images or fewer filters",
                4 * self.words
            )));
        }
        if batch > fitting {
            return Err(Error::OutOfMemory(format!(
                "one replica with a batch of {batch} samples does not fit arrays of {} bytes, {} bytes together; a \
                 batch of {fitting} does",
                4 * self.words,
                4 * self.total
            )));
        }
        let stack = match path {
            TrainingPath::StackedTraining => network.stack(1, batch).map(|stack| stack.activations()),
            // What a launch is told has a part that all replicas share.
            TrainingPath::FusedTraining => {
                network.whole_stack(1, batch).map(|shape| shape.scratch().max(Launches::words(&shape, 1)))
            }
            TrainingPath::Training | TrainingPath::Evaluation => None,
        };
        let stack = stack.unwrap_or(0);
        let largest = parameters.max(batch * words_per_sample).max(evaluation_samples * network.widest()).max(stack);
        let evaluation_words = network.words_per_sample(TrainingPath::Evaluation);
        let fused = if path == TrainingPath::FusedTraining { stack } else { 0 };
        let together = batch * all_words_per_sample + evaluation_samples * evaluation_words + fused;
        Ok((self.words / largest).min(self.total / together).clamp(1, self.workgroups))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Architecture, ParameterLayout, Selection};

    /// WebGPU's 128 MiB.
    const DEFAULT: Capacity = Capacity { words: 32 << 20, total: WAVE_WORDS, workgroups: 65_535 };

    fn network(side: usize, filters: usize) -> Network {
        let architecture = Architecture {
            convolutions: Architecture::paper_convolutions(filters),
            ..Architecture::dnn(side, side, [30; 6], 10)
        };
        let (layout, selection) = (ParameterLayout::new(&architecture), Selection::focus(&architecture));
        Network { layout, selection, architecture, scale: 1.0 }
    }

    #[test]
    fn fifty_replicas_of_a_large_network_run_in_a_few_waves() {
        let network = network(100, 32);
        let samples = DEFAULT.evaluation_samples(&network).unwrap();
        let slots = DEFAULT.slots(&network, 1, 32, samples, TrainingPath::StackedTraining).unwrap();
        assert!((10..50).contains(&slots), "{slots}");
        let widest = 50 * 50 * 32;
        assert!(slots * 32 * widest <= DEFAULT.words && slots * samples * widest <= DEFAULT.words);
        let training = network.words_per_sample(TrainingPath::StackedTraining);
        let words = slots * (32 * training + samples * network.words_per_sample(TrainingPath::Evaluation));
        let states = 50 * 4 * network.layout.parameters();
        assert!(4 * (words + states) < 8 << 30, "{words} words of activations, {states} of state");
    }

    #[test]
    fn a_batch_that_does_not_fit_is_refused_with_one_that_does() {
        let network = network(224, 64);
        let error = DEFAULT.slots(&network, 1, 1000, 1, TrainingPath::Training).unwrap_err().to_string();
        let fitting = DEFAULT.words / (112 * 112 * 64);
        assert!(error.contains("1000") && error.contains(&format!("batch of {fitting} does")), "{error}");
        assert_eq!(DEFAULT.slots(&network, 1, fitting, 1, TrainingPath::Training).unwrap(), 1);
    }
}
