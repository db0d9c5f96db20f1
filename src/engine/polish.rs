//! Polishing a network: steps of all weights that it has together towards given logits. Both engines compute them on the host.

use super::{Engine, Watch};
use crate::cpu::fast::polish::{BLOCK, Sums};
use crate::cpu::fast::surgeon;
use crate::cpu::polish::logits;
use crate::error::{Error, Result};
use crate::network::{Architecture, ParameterLayout};
use rayon::prelude::*;

/// The most weights, biases too, that move together: their matrix has as many numbers as the square of that.
pub const MOST_POLISHED: usize = 8192;

/// The damping that the first step begins with, as a share of the mean of the matrix' diagonal.
const DAMPING: f32 = 1e-3;
/// What the damping is multiplied by after a step that made the logits worse, and divided by after one that did not.
const FACTOR: f32 = 10.0;
/// How often a step is tried with more damping.
const TRIES: u32 = 6;

/// A network on its way to given logits.
#[derive(Clone, Debug, PartialEq)]
pub struct Polished {
    /// All parameters; those that were not chosen are what they were.
    pub parameters: Vec<f32>,
    /// The mean squared distance of the logits before the first step, summed over classes.
    pub error_before: f64,
    /// The same after the last.
    pub error_after: f64,
}

impl Engine {
    /// Moves the `chosen` parameters, flat places that ascend, in `steps` steps so that the network's logits come nearer to
    /// `targets` `[image, class]` on `images` `[image, feature]`; formulas: [`crate::cpu::polish`]. A step that would make them
    /// worse is not taken. Progress is in images, as many for each step.
    ///
    /// Fails with [`Error::Usage`] where more than [`MOST_POLISHED`] parameters are chosen, with [`Error::Shape`] if lengths do
    /// not fit the network, and with [`Error::Interrupted`] if it is stopped.
    pub fn polish(
        &self,
        architecture: &Architecture,
        parameters: &[f32],
        chosen: &[u32],
        (images, targets): (&[f32], &[f32]),
        steps: u32,
        watch: &Watch<'_>,
    ) -> Result<Polished> {
        let (length, classes) = (architecture.image_len(), architecture.classes);
        let expected = ParameterLayout::new(architecture).parameters();
        let count = images.len() / length;
        let fits = parameters.len() == expected && images.len() == count * length && targets.len() == count * classes;
        if !fits || count == 0 || chosen.last().is_some_and(|&last| last as usize >= expected) {
            return Err(Error::Shape(format!(
                "{} parameters, images of {} features in all and {} logits do not fit a network of {expected} parameters, {length} \
                 features and {classes} classes",
                parameters.len(),
                images.len(),
                targets.len()
            )));
        }
        if chosen.len() > MOST_POLISHED {
            return Err(Error::Usage(format!(
                "{} weights and biases cannot be polished together, only up to {MOST_POLISHED}; ask for a smaller network",
                chosen.len()
            )));
        }
        let mut polished =
            Polished { parameters: parameters.to_vec(), error_before: f64::INFINITY, error_after: f64::INFINITY };
        self.on_threads(|| take_steps(architecture, &mut polished, chosen, (images, targets), steps, watch))?;
        Ok(polished)
    }
}

fn take_steps(
    architecture: &Architecture,
    polished: &mut Polished,
    chosen: &[u32],
    (images, targets): (&[f32], &[f32]),
    steps: u32,
    watch: &Watch<'_>,
) -> Result<()> {
    let (length, classes) = (architecture.image_len(), architecture.classes);
    let count = images.len() / length;
    let blocks = || images.chunks(BLOCK * length).zip(targets.chunks(BLOCK * classes));
    let error = |parameters: &[f32]| -> f64 {
        let of_block = |(images, targets): (&[f32], &[f32])| -> f64 {
            let logits = logits(architecture, parameters, images);
            logits.iter().zip(targets).map(|(&logit, &target)| f64::from(target - logit).powi(2)).sum()
        };
        let pairs: Vec<_> = blocks().collect();
        // Blocks are added in their order, whatever the number of threads.
        let sums: Vec<f64> = pairs.into_par_iter().map(of_block).collect();
        sums.iter().sum::<f64>() / count as f64
    };
    polished.error_before = error(&polished.parameters);
    polished.error_after = polished.error_before;
    let mut damping = DAMPING;
    for _ in 0..steps {
        let mut sums = Sums::new(architecture, chosen);
        for (images, targets) in blocks() {
            watch.check()?;
            sums.add(architecture, &polished.parameters, images, targets, chosen);
            (watch.progress)((targets.len() / classes) as u64);
        }
        let moments = sums.moments(count);
        let mean = (0..moments.size).map(|i| f64::from(moments.at(i, i))).sum::<f64>() / moments.size.max(1) as f64;
        for _ in 0..TRIES {
            watch.check()?;
            let mut damped = moments.clone();
            // A network whose logits nothing moves has no step either.
            damped.add_ridge((mean as f32 * damping).max(f32::MIN_POSITIVE), 1, |_, _| 0.0);
            let mut moved = polished.parameters.clone();
            let found = surgeon::refit(damped).map(|step| {
                chosen.iter().zip(step).for_each(|(&place, step)| moved[place as usize] += step);
                error(&moved)
            });
            if let Some(error) = found.filter(|&error| error < polished.error_after) {
                (polished.parameters, polished.error_after) = (moved, error);
                damping /= FACTOR;
                break;
            }
            damping *= FACTOR;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Sequence, Stream};

    fn polish(engine: &Engine, chosen: &[u32], steps: u32) -> Result<Polished> {
        let architecture = Architecture::dnn(6, 6, [7; 2], 3);
        let numbers = |first: u32, count: usize| -> Vec<f32> {
            let mut sequence = Sequence::new(3, Stream::Check, first, 12);
            (0..count).map(|_| sequence.between(-0.8, 0.8) as f32).collect()
        };
        let mut there = numbers(1, ParameterLayout::new(&architecture).parameters());
        (0..there.len()).filter(|&place| !chosen.contains(&(place as u32))).for_each(|place| there[place] = 0.0);
        let images = numbers(2, 300 * architecture.image_len());
        let targets = logits(&architecture, &there, &images);
        // Near its targets, and all weights that may move lead there.
        let near: Vec<f32> = there.iter().map(|weight| weight * 0.98).collect();
        let watch = Watch::nobody();
        engine.polish(&architecture, &near, chosen, (&images, &targets), steps, &watch)
    }

    #[test]
    fn steps_bring_the_logits_nearer_leave_removed_weights_at_zero_and_do_not_depend_on_threads() {
        let engine = Engine::cpu(Some(1)).unwrap();
        let chosen: Vec<u32> = (0..339).filter(|place| place % 3 != 0).collect();
        let one = polish(&engine, &chosen, 1).unwrap();
        let three = polish(&engine, &chosen, 3).unwrap();
        assert!(one.error_after < one.error_before / 10.0, "{} {}", one.error_before, one.error_after);
        assert!(three.error_after < one.error_after);
        let places = (0..three.parameters.len()).filter(|&place| !chosen.contains(&(place as u32)));
        assert!(places.into_iter().all(|place| three.parameters[place] == 0.0));
        assert_eq!(three, polish(&Engine::cpu(Some(2)).unwrap(), &chosen, 3).unwrap());
        assert_eq!(one.parameters, polish(&engine, &chosen, 1).unwrap().parameters);
        let none = polish(&engine, &chosen, 0).unwrap();
        assert_eq!(none.error_after, none.error_before);
    }

    #[test]
    fn too_many_weights_and_wrong_lengths_are_refused() {
        let engine = Engine::cpu(Some(1)).unwrap();
        let many: Vec<u32> = (0..=MOST_POLISHED as u32).collect();
        assert_eq!(polish(&engine, &[100_000], 1).unwrap_err().exit_code(), 1);
        let architecture = Architecture::dnn(100, 100, [2; 2], 2);
        let parameters = vec![0.0; ParameterLayout::new(&architecture).parameters()];
        let watch = Watch::nobody();
        let found = engine.polish(&architecture, &parameters, &many, (&[0.0; 10_000], &[0.0; 2]), 1, &watch);
        assert!(matches!(found, Err(Error::Usage(ref text)) if text.contains("8192")), "{found:?}");
    }
}
