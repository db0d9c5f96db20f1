//! The sweep: all operating points of a method at once, equal masks evaluated once.

use super::masks::Mask;
use super::operating_points::OperatingPoint;
use super::{Layers, Method, Repair, Scope, SweepRow};
use crate::engine::{Batch, DataHandle, Evaluation, SweepPoint, Watch};
use crate::error::Result;
use crate::network::{Architecture, ParameterLayout, Selection};
use std::collections::HashMap;

/// Accuracies of a list of operating points.
#[derive(Clone, Debug)]
pub struct Swept {
    /// One evaluation for each point, in their order.
    pub evaluations: Vec<Evaluation>,
    /// How many masks differ, over all replicas.
    pub distinct: usize,
}

/// Evaluates `points`, masks of a selection, on a data set, each distinct mask of a replica once.
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
    /// Its name.
    pub model: &'a str,
    /// Name of the data set.
    pub data_set: &'a str,
    /// Epochs that the networks were trained for.
    pub epochs: u32,
}

impl RowContext<'_> {
    /// The row of a network with `nonzero_weights` weights left.
    pub fn row(
        &self,
        method: Method,
        rule: &str,
        replica: u32,
        nonzero_weights: usize,
        frozen_weights: usize,
        evaluation: Evaluation,
    ) -> SweepRow {
        let weight_count = self.architecture.weight_count();
        let removed = weight_count - nonzero_weights;
        let weights = ParameterLayout::new(self.architecture).weights();
        let multiply_adds = self.architecture.forward_multiply_adds();
        SweepRow {
            method,
            rule: rule.into(),
            layers: Layers::Focus,
            scope: Scope::Layer,
            repair: Repair::Cut,
            model: self.model.into(),
            data_set: self.data_set.into(),
            replica,
            epochs: self.epochs,
            tolerance: None,
            threshold: None,
            window: None,
            sparsity: removed as f64 / weight_count as f64,
            nonzero_weights: nonzero_weights as u32,
            frozen_weights: frozen_weights as u32,
            smaller: weights as f64 / (weights - removed) as f64,
            theoretical_speedup: multiply_adds as f64 / (multiply_adds - removed) as f64,
            calibration_images: None,
            accuracy: evaluation.accuracy(),
            loss: evaluation.loss,
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
        let nonzero = point.kept.iter().filter(|&&kept| kept).count();
        SweepRow {
            tolerance: point.tolerance,
            threshold: point.threshold,
            window: point.window,
            ..self.row(method, rule, point.replica as u32, nonzero, frozen_weights, evaluation)
        }
    }
}
