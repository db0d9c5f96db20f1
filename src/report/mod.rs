//! What a reader sees: text for the terminal, figures, one HTML page. Nothing here prints.

pub mod cell_json;
mod cell_tables;
pub mod chart;
mod chosen;
pub mod compact;
mod digits;
mod explorer;
mod figure_charts;
pub mod figures;
pub mod growth_figure;
pub mod html;
pub(crate) mod layout;
mod leading;
mod look;
pub mod markup;
mod overview;
pub mod pen;
mod picture;
mod provenance;
mod rules;
#[cfg(test)]
mod sample;
pub mod scaling;
pub mod scaling_figure;
pub mod settle_and_hold;
pub mod study;
pub mod study_verdict;
pub mod tables;
pub mod verdict;
mod whole_network;

pub use provenance::Provenance;

use crate::results::comparison::Results;
use crate::results::tables::Tables;
use crate::run::configuration::Configuration;
use crate::run::recorded::FocusLayer;
use crate::run::training_runs::RunRow;
use crate::study::conclusion::SensitivityRow;

/// A finished run as a page shows it.
#[derive(Clone, Debug)]
pub struct Run {
    /// Where its numbers come from.
    pub provenance: Provenance,
    /// The tables of a study.
    pub study: Option<Study>,
    /// Its comparisons: models on data sets, with their focus layers.
    pub cells: Vec<(Results, FocusLayer)>,
}

/// What a study found.
#[derive(Clone, Debug)]
pub struct Study {
    /// Its settings.
    pub configuration: Configuration,
    /// Tables 1 to 5, growth and slopes.
    pub tables: Tables,
    /// Runs that did not learn and were replaced.
    pub replaced: Vec<RunRow>,
    /// Mean stability by every reading, and of networks that were trained otherwise.
    pub sensitivity: Vec<SensitivityRow>,
}
