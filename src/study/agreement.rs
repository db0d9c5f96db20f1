//! How often a pruned network puts training images into the class that the network before the cut puts them into. No label and
//! no test image takes part, so that a size may be chosen by it.

use super::comparison::CellComparison;
use crate::error::Result;
use crate::pruning::surgery::PrunedNetwork;
use crate::training::Trained;
use std::ops::Range;

/// Most training images that are looked at: of so many, 99 % are known to a tenth of a per cent.
const IMAGES: usize = 10_000;
/// Images whose logits are held at once.
const BLOCK: usize = 1000;

impl CellComparison<'_> {
    /// For each replica and each of its `networks` `[replica][size]` the share of training images, at most [`IMAGES`], on which it
    /// agrees with the network of the same replica in `uncut`. The batch ends as it began.
    pub(super) fn agreement(
        &mut self,
        trained: &mut Trained,
        uncut: &[Vec<f32>],
        networks: &[Vec<PrunedNetwork>],
    ) -> Result<Vec<Vec<f64>>> {
        let (training, _) = self.cell.upload(self.engine)?;
        let samples = blocks(self.cell.split.training.samples());
        let images: usize = samples.iter().map(Range::len).sum();
        let classes = self.cell.architecture.classes;
        let sizes = networks.iter().map(Vec::len).min().unwrap_or(0);
        let kept = trained.batch.replicas()?;
        let mut shown = kept.clone();
        let batch = &mut trained.batch;
        let found = self.control.stage("compare with the networks uncut", 1 + sizes as u64, "sizes", |watch| {
            let mut chosen = |parameters: &dyn Fn(usize) -> Vec<f32>| -> Result<Vec<Vec<u8>>> {
                watch.check()?;
                for (slot, replica) in shown.iter_mut().enumerate() {
                    replica.parameters = parameters(slot);
                }
                batch.restore(&shown)?;
                let mut all = vec![Vec::with_capacity(images); shown.len()];
                for block in &samples {
                    let logits = batch.logits(training, block.clone())?;
                    let slots = logits.chunks_exact(block.len() * classes);
                    all.iter_mut()
                        .zip(slots)
                        .for_each(|(all, logits)| all.extend(logits.chunks_exact(classes).map(class)));
                }
                (watch.progress)(1);
                Ok(all)
            };
            let reference = chosen(&|slot| uncut[slot].clone())?;
            let mut found = vec![Vec::with_capacity(sizes); reference.len()];
            (0..sizes).try_for_each(|size| -> Result<()> {
                let classes = chosen(&|slot| networks[slot][size].parameters.clone())?;
                for ((found, classes), reference) in found.iter_mut().zip(classes).zip(&reference) {
                    let alike = classes.iter().zip(reference).filter(|(own, other)| own == other).count();
                    found.push(alike as f64 / images as f64);
                }
                Ok(())
            })?;
            Ok(found)
        });
        trained.batch.restore(&kept)?;
        found
    }
}

/// The class of the largest logit, the first of equal ones.
fn class(logits: &[f32]) -> u8 {
    let first_largest = |best: usize, place: usize| if logits[place] > logits[best] { place } else { best };
    (0..logits.len()).fold(0, first_largest) as u8
}

/// All images, or blocks spread evenly over them, so that a set that is sorted by class is seen whole.
fn blocks(samples: usize) -> Vec<Range<usize>> {
    let count = samples.min(IMAGES).div_ceil(BLOCK);
    let length = samples.min(IMAGES) / count.max(1);
    let stride = samples as f64 / count.max(1) as f64;
    let first = |block: usize| (block as f64 * stride) as usize;
    let mut blocks: Vec<Range<usize>> = (0..count).map(|block| first(block)..first(block) + length).collect();
    if samples <= IMAGES {
        let ends: Vec<usize> = (1..count).map(first).chain([samples]).collect();
        blocks.iter_mut().zip(ends).for_each(|(block, end)| block.end = end);
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_images_are_all_seen_and_of_many_a_tenth_thousand_from_everywhere() {
        for samples in [1, 999, 1000, 1001, 2345, 9999, 10_000] {
            let seen: Vec<usize> = blocks(samples).into_iter().flatten().collect();
            assert_eq!(seen, (0..samples).collect::<Vec<_>>(), "{samples}");
        }
        let spread = blocks(60_000);
        assert_eq!((spread.len(), spread[0].clone(), spread[9].clone()), (10, 0..1000, 54_000..55_000));
        assert!(blocks(0).is_empty());
    }

    #[test]
    fn the_first_of_equal_logits_is_chosen() {
        assert_eq!([class(&[0.5, 2.0, 2.0]), class(&[1.0, 1.0]), class(&[f32::NAN, 1.0])], [1, 0, 0]);
    }
}
