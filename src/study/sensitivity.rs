//! How mean magnitude stability depends on what the paper leaves open: everything that one recorded history can answer.

use super::configuration::Configuration;
use super::runs::CellRuns;
use super::tables::published_summary;
use crate::stability::summary::{ToleranceSummary, summarise};
use crate::stability::{Against, History, Reading, Stability, ToleranceKind, Tracking};
use serde::Serialize;

/// A line of `sensitivity.csv`. The order of the fields is the order of the columns.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    /// Number of networks.
    pub replicates: usize,
    /// Mean stability over their nodes, in epochs.
    pub mean: f64,
    /// Its standard deviation over nodes.
    pub sd: Option<f64>,
    /// What the paper prints, at tolerance 0.03.
    pub published_mean: Option<&'static str>,
    /// What the paper prints.
    pub published_sd: Option<&'static str>,
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
    "replicates",
    "mean",
    "sd",
    "published_mean",
    "published_sd",
];

/// The tolerance of the paper's Table 1.
const PAPER_TOLERANCE: f64 = 0.03;

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

    /// A row for each tolerance of one reading of a cell.
    pub(super) fn of(
        cell: &CellRuns,
        configuration: &Configuration,
        reading: Reading,
        stability: &Stability,
        history: &History,
    ) -> Vec<Self> {
        let row = |summary: ToleranceSummary| {
            let published =
                published_summary(&cell.model, &cell.data_set).filter(|_| summary.tolerance == PAPER_TOLERANCE);
            Self {
                model: cell.model.clone(),
                data_set: cell.data_set.clone(),
                tracking: reading.tracking,
                tolerance_kind: reading.tolerance_kind,
                against: reading.against,
                tolerance: summary.tolerance,
                pixel_scale: configuration.pixel_scale,
                side: configuration.side,
                replicates: history.shape().replicas,
                mean: summary.mean,
                sd: summary.sd,
                published_mean: published.map(|published| published.0),
                published_sd: published.map(|published| published.1),
            }
        };
        summarise(history, stability).into_iter().map(row).collect()
    }
}
