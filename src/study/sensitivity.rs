//! How mean magnitude stability depends on what the paper leaves open: all that one recorded history can answer, and what
//! changes training, by networks that were trained anew ([`super::retrained`]).

use super::configuration::{Configuration, PAPER_TOLERANCE};
use super::runs::CellRuns;
use super::tables::published_summary;
use crate::data::Fit;
use crate::stability::summary::{ToleranceSummary, summarise};
use crate::stability::{Against, History, Reading, Stability, ToleranceKind, Tracking};
use serde::{Deserialize, Serialize};

/// A line of `sensitivity.csv`. The order of the fields is the order of the columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SensitivityRow {
    /// Name of the model.
    pub model: String,
    /// Name of the data set.
    pub data_set: String,
    /// What is followed.
    pub tracking: Tracking,
    /// How the tolerance is meant.
    pub tolerance_kind: ToleranceKind,
    /// What a weight is compared with.
    pub against: Against,
    /// The tolerance.
    pub tolerance: f64,
    /// What pixels were divided by.
    pub pixel_scale: f64,
    /// Rows and columns that images were brought to, if any.
    pub side: Option<usize>,
    /// How they were brought to that size.
    pub fit: Fit,
    /// Whether these networks were trained for this line, and are not those of the tables.
    pub retrained: bool,
    /// Number of networks that learnt.
    pub replicates: usize,
    /// Mean stability over their weights, in epochs; none if no network learnt.
    pub mean: Option<f64>,
    /// Its standard deviation over weights.
    pub sd: Option<f64>,
    /// What the paper prints, at tolerance 0.03.
    pub published_mean: Option<String>,
    /// What the paper prints.
    pub published_sd: Option<String>,
}

/// Columns of `sensitivity.csv`.
pub const SENSITIVITY_COLUMNS: &[&str] = &[
    "model",
    "data_set",
    "tracking",
    "tolerance_kind",
    "against",
    "tolerance",
    "pixel_scale",
    "side",
    "fit",
    "retrained",
    "replicates",
    "mean",
    "sd",
    "published_mean",
    "published_sd",
];

/// Every way to read a history.
pub fn readings() -> Vec<Reading> {
    let mut all = Vec::new();
    for tracking in [Tracking::Position, Tracking::Rank] {
        for tolerance_kind in [ToleranceKind::Relative, ToleranceKind::Absolute] {
            for against in [Against::Last, Against::Previous] {
                all.push(Reading { tracking, tolerance_kind, against });
            }
        }
    }
    all
}

impl SensitivityRow {
    /// How the history was read.
    pub fn reading(&self) -> Reading {
        Reading { tracking: self.tracking, tolerance_kind: self.tolerance_kind, against: self.against }
    }

    /// A row for each tolerance of one reading of a cell, whose networks were trained by `configuration`.
    pub(super) fn of(
        cell: &CellRuns,
        configuration: &Configuration,
        retrained: bool,
        reading: Reading,
        stability: &Stability,
        history: &History,
    ) -> Vec<Self> {
        let row = |summary: ToleranceSummary| Self {
            replicates: history.shape().replicas,
            mean: Some(summary.mean),
            sd: summary.sd,
            ..Self::without_networks(cell, configuration, retrained, reading, summary.tolerance)
        };
        summarise(history, stability).into_iter().map(row).collect()
    }

    /// The row of a cell none of whose networks learnt.
    pub(super) fn without_networks(
        cell: &CellRuns,
        configuration: &Configuration,
        retrained: bool,
        reading: Reading,
        tolerance: f64,
    ) -> Self {
        let published = published_summary(&cell.model, &cell.data_set).filter(|_| tolerance == PAPER_TOLERANCE);
        Self {
            model: cell.model.clone(),
            data_set: cell.data_set.clone(),
            tracking: reading.tracking,
            tolerance_kind: reading.tolerance_kind,
            against: reading.against,
            tolerance,
            pixel_scale: configuration.pixel_scale,
            side: configuration.side,
            fit: configuration.fit,
            retrained,
            replicates: 0,
            mean: None,
            sd: None,
            published_mean: published.map(|published| published.0.into()),
            published_sd: published.map(|published| published.1.into()),
        }
    }
}
