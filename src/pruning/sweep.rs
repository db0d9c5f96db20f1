//! The sweep: all operating points of a method at once, equal masks evaluated once.

use super::masks::Mask;
use super::operating_points::OperatingPoint;
use super::{Method, Scope, SweepRow};
use crate::engine::{Batch, DataHandle, Evaluation, SweepPoint, Watch};
use crate::error::Result;
use crate::network::{Architecture, Layer, ParameterLayout, Part, Selection};
use std::collections::HashMap;
use std::ops::Range;

/// Accuracies of a list of operating points.
#[derive(Clone, Debug)]
pub struct Swept {
    /// One evaluation for each point, in their order.
    pub evaluations: Vec<Evaluation>,
    /// How many masks differ, over all replicas.
    pub distinct: usize,
}

/// Evaluates `points` of `selection` on a data set, each distinct mask of a replica once.
///
/// Fails as [`Batch::sweep`] does.
pub fn evaluate(
    batch: &mut Batch,
    data: DataHandle,
    selection: &Selection,
    points: &[OperatingPoint],
    watch: &Watch<'_>,
) -> Result<Swept> {
    let mut known: HashMap<(usize, &Mask), usize> = HashMap::new();
    let mut distinct = Vec::new();
    let places: Vec<usize> = points
        .iter()
        .map(|point| {
            *known.entry((point.replica, &point.kept)).or_insert_with(|| {
                distinct.push(SweepPoint { slot: point.replica, kept: point.kept.clone() });
                distinct.len() - 1
            })
        })
        .collect();
    let found = batch.sweep(data, selection, &distinct, watch)?;
    Ok(Swept { evaluations: places.into_iter().map(|place| found[place]).collect(), distinct: distinct.len() })
}

/// What all rows of one sweep have in common.
#[derive(Clone, Copy, Debug)]
pub struct RowContext<'a> {
    /// The network.
    pub architecture: &'a Architecture,
    /// Name of the data set.
    pub data_set: &'a str,
    /// Epochs that the networks were trained for.
    pub epochs: u32,
    /// What `--layers` calls the layers that are pruned.
    pub layers: &'a str,
    /// Their weights.
    pub selection: &'a Selection,
    /// Among which of them those that go are chosen.
    pub scope: Scope,
}

impl RowContext<'_> {
    /// The row of a replica's network that keeps these weights of the selection, as it came out of a cut; `frozen_weights` of
    /// the selection.
    pub fn row(
        &self,
        method: Method,
        rule: &str,
        replica: u32,
        kept: &[bool],
        frozen_weights: usize,
        evaluation: Evaluation,
    ) -> SweepRow {
        let gone = |range: Range<usize>| kept[range].iter().filter(|&&kept| !kept).count();
        let parts = self.selection.parts();
        let layers = Layer::all(self.architecture);
        let layout = ParameterLayout::new(self.architecture);
        // A weight of a convolution is multiplied at every position.
        let positions = |part: &Part| layers.get(Layer::of_part(&layout, part)).map_or(1, Layer::rows);
        let own = |part: &Part| gone(part.start..part.start + part.weights());
        let removed: usize = parts.iter().map(own).sum();
        let saved: usize = parts.iter().map(|part| own(part) * positions(part)).sum();
        self.counted(method, rule, replica, removed, saved, frozen_weights, evaluation)
    }

    /// The row of a network with so many weights removed, all of one dense layer or of layers that `saved` multiply-adds.
    pub fn counted(
        &self,
        method: Method,
        rule: &str,
        replica: u32,
        removed: usize,
        saved: usize,
        frozen_weights: usize,
        evaluation: Evaluation,
    ) -> SweepRow {
        let selected = self.selection.weights();
        let weights = ParameterLayout::new(self.architecture).weights();
        let multiply_adds = self.architecture.forward_multiply_adds();
        SweepRow {
            method,
            rule: rule.into(),
            layers: self.layers.into(),
            scope: self.scope,
            model: self.architecture.model().into(),
            data_set: self.data_set.into(),
            replica,
            epochs: self.epochs,
            sparsity: removed as f64 / selected as f64,
            nonzero_weights: (selected - removed) as u32,
            frozen_weights: frozen_weights as u32,
            smaller: weights as f64 / (weights - removed) as f64,
            theoretical_speedup: multiply_adds as f64 / (multiply_adds - saved) as f64,
            accuracy: evaluation.accuracy(),
            loss: evaluation.loss,
            ..SweepRow::default()
        }
    }

    /// The row of an operating point; `frozen_weights` of its replica.
    pub fn point_row(
        &self,
        method: Method,
        rule: &str,
        point: &OperatingPoint,
        frozen_weights: usize,
        evaluation: Evaluation,
    ) -> SweepRow {
        SweepRow {
            tolerance: point.tolerance,
            threshold: point.threshold,
            window: point.window,
            ..self.row(method, rule, point.replica as u32, &point.kept, frozen_weights, evaluation)
        }
    }
}
