//! From the paths of units to one order for all weights of a network: nested, so that a cut anywhere is a sparsity.
//!
//! Paths come from [`crate::engine::Engine::paths`], the weights that are left are solved anew by
//! [`crate::engine::Engine::refit`]. Formulas and sources: `docs/kernels/surgeon.md`.

use crate::engine::PathStep;

/// Inputs up to which each unit has its own Gram matrix.
const MOST_INPUTS: usize = 1024;
/// The most `units * inputs^3` for which each unit has its own Gram matrix.
const MOST_WORK: f64 = 2e10;

/// Whether the units of a layer share one Gram matrix, for which all rows count alike, because one for each is too much work.
pub fn shares_gram(inputs: usize, units: usize) -> bool {
    inputs > MOST_INPUTS || units as f64 * (inputs as f64).powi(3) > MOST_WORK
}

/// What the holding surgeon multiplies weights by before it compares them: `min(1, h / |w|)` with the holding magnitude h and
/// the last recorded weight w; 1 where w is 0.
pub fn holding_ratios(holding_magnitudes: &[f32], last_weights: &[f32]) -> Vec<f32> {
    let ratio = |(&h, &w): (&f32, &f32)| if w == 0.0 { 1.0 } else { (h / w.abs()).min(1.0) };
    holding_magnitudes.iter().zip(last_weights).map(ratio).collect()
}

/// The paths of a layer's units.
#[derive(Clone, Debug)]
pub struct LayerPaths<T> {
    /// Of each unit its removals, one after the other; they may be fewer than its inputs.
    pub units: Vec<Vec<PathStep<T>>>,
    /// Of each unit how much an error of its pre-activation matters; 1 for all where only one layer is pruned.
    pub importance: Vec<f64>,
}

/// One weight in the order of removals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Removal {
    /// Which of the layers.
    pub layer: usize,
    /// The unit that it belongs to.
    pub unit: usize,
    /// The input that it weights.
    pub input: usize,
    /// What the order is by: the running maximum of the unit's scores, times the unit's importance.
    pub score: f64,
    /// What its removal alone adds to the weighted squared error of the unit's pre-activation.
    pub cost: f64,
}

/// All weights in the order in which they go.
#[derive(Clone, Debug, PartialEq)]
pub struct RemovalOrder {
    removals: Vec<Removal>,
    /// The last weight of each layer, at the end of `removals`: they go only all together.
    last: usize,
}

/// Merges the paths of all units of all layers by their scores; ties by layer, unit and step.
pub fn merge<T: Copy + Into<f64>>(layers: &[LayerPaths<T>]) -> RemovalOrder {
    let mut removals = Vec::new();
    for (layer, LayerPaths { units, importance }) in layers.iter().enumerate() {
        for (unit, (steps, importance)) in units.iter().zip(importance).enumerate() {
            let mut largest = 0.0f64;
            for step in steps {
                largest = largest.max(step.score.into());
                let (input, score) = (step.column as usize, largest * importance);
                removals.push(Removal { layer, unit, input, score, cost: step.cost.into() });
            }
        }
    }
    removals.sort_by(|one, other| one.score.total_cmp(&other.score));
    let mut left: Vec<usize> = layers.iter().map(|layer| layer.units.iter().map(Vec::len).sum()).collect();
    let is_last = |removal: &Removal| {
        left[removal.layer] -= 1;
        left[removal.layer] == 0
    };
    let (last, mut removals): (Vec<Removal>, Vec<Removal>) = removals.into_iter().partition(is_last);
    removals.extend(&last);
    RemovalOrder { removals, last: last.len() }
}

impl RemovalOrder {
    /// Weights that there are.
    pub fn len(&self) -> usize {
        self.removals.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.removals.is_empty()
    }

    /// The weights that go where `kept` stay. No layer loses its last one, unless all go.
    pub fn cut(&self, kept: usize) -> &[Removal] {
        let most = if kept == 0 { self.len() } else { self.len() - self.last };
        &self.removals[..self.len().saturating_sub(kept).min(most)]
    }
}

/// Weights that a network of `weights` weights keeps where it is `smaller` times smaller, rounded to the nearest.
pub fn kept_when_smaller(weights: usize, smaller: f64) -> usize {
    (weights as f64 / smaller).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(scores: &[f32]) -> Vec<PathStep<f32>> {
        (0..).zip(scores).map(|(column, &score)| PathStep { column, score, cost: 2.0 * score }).collect()
    }

    fn places(removals: &[Removal]) -> Vec<[usize; 3]> {
        removals.iter().map(|removal| [removal.layer, removal.unit, removal.input]).collect()
    }

    #[test]
    fn scores_never_fall_along_a_path_and_importance_weighs_units() {
        let layer = LayerPaths { units: vec![unit(&[3.0, 1.0, 5.0]), unit(&[2.0, 2.0])], importance: vec![1.0, 2.0] };
        let order = merge(&[layer]);
        assert_eq!(places(order.cut(1)), [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]]);
        let scores: Vec<f64> = order.cut(0).iter().map(|removal| removal.score).collect();
        assert_eq!(scores, [3.0, 3.0, 4.0, 4.0, 5.0]);
        assert_eq!(order.cut(0)[1].cost, 2.0);
    }

    #[test]
    fn ties_go_by_layer_unit_and_step_and_no_layer_loses_its_last_weight() {
        let layer = |scores: &[f32]| LayerPaths { units: vec![unit(scores)], importance: vec![1.0] };
        let order = merge(&[layer(&[0.0, 0.0]), layer(&[0.0, 1.0, 1.0]), layer(&[])]);
        assert_eq!(order.len(), 5);
        assert_eq!(places(order.cut(4)), [[0, 0, 0]]);
        assert_eq!(places(order.cut(2)), [[0, 0, 0], [1, 0, 0], [1, 0, 1]]);
        assert_eq!(order.cut(1), order.cut(2));
        assert_eq!(places(&order.cut(0)[3..]), [[0, 0, 1], [1, 0, 2]]);
        assert!(order.cut(5).is_empty() && order.cut(6).is_empty());
    }

    #[test]
    fn a_weight_that_never_held_goes_first_and_none_counts_more_than_it_is() {
        assert_eq!(holding_ratios(&[0.0, 0.5, 3.0, 0.0], &[1.0, -1.0, 2.0, 0.0]), [0.0, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn wide_layers_share_their_gram_matrix() {
        assert!(!shares_gram(784, 30) && shares_gram(784, 50) && shares_gram(1025, 1) && !shares_gram(1024, 18));
    }

    #[test]
    fn sizes_are_rounded_to_the_nearest_weight() {
        assert_eq!([2.0, 3.0, 1e9].map(|smaller| kept_when_smaller(376, smaller)), [188, 125, 0]);
    }
}
