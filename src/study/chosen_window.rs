//! A labelled alternative to the headline's fixed window: the one under which pruning keeps most accuracy on the training
//! set. Test data choose nothing.

use super::accuracy::TABLE_SPARSITIES;
use super::comparison::{CellComparison, headline_rule};
use crate::engine::{Batch, DataHandle};
use crate::error::Result;
use crate::pruning::masks::removed_weights;
use crate::pruning::operating_points::{CHOSEN_IN_TRAINING, FROZEN_FIRST, Numbers, of_method};
use crate::pruning::sweep;
use crate::pruning::{Method, SweepRow};
use std::collections::BTreeMap;

impl CellComparison<'_> {
    /// Chooses a window for settle and for hold by mean accuracy on the training set at the sparsities of the accuracy
    /// table, and repeats the rows of that window under the rule [`CHOSEN_IN_TRAINING`].
    pub(super) fn chosen_windows(
        &mut self,
        batch: &mut Batch,
        training: DataHandle,
        numbers: &Numbers<'_>,
    ) -> Result<()> {
        let weight_count = self.cell.architecture.weight_count();
        let left = TABLE_SPARSITIES.map(|sparsity| weight_count - removed_weights(sparsity, weight_count));
        let rule = headline_rule(self.configuration);
        for method in [Method::Settle, Method::Hold] {
            let mut points = of_method(method, rule == FROZEN_FIRST, numbers);
            points.retain(|point| left.contains(&point.kept.iter().filter(|&&kept| kept).count()));
            let stage = format!("choose a window for {method} in training");
            let swept = self.control.stage(&stage, points.len() as u64, "points", |watch| {
                sweep::evaluate(batch, training, &points, watch)
            })?;
            let mut correct: BTreeMap<u32, u64> = BTreeMap::new();
            for (point, evaluation) in points.iter().zip(&swept.evaluations) {
                *correct.entry(point.window.unwrap_or_default()).or_default() += u64::from(evaluation.correct);
            }
            // Of equals the longest window.
            let chosen = correct.iter().max_by_key(|&(_, &correct)| correct).map(|(&window, _)| window);
            let own = |row: &&SweepRow| row.method == method && row.rule == rule && row.window == chosen;
            let repeated: Vec<SweepRow> = self
                .rows
                .iter()
                .filter(own)
                .map(|row| SweepRow { rule: CHOSEN_IN_TRAINING.into(), ..row.clone() })
                .collect();
            self.rows.extend(repeated);
        }
        Ok(())
    }
}
