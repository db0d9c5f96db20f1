//! Words of the command line and of files of settings, and what they stand for.

use crate::data::Fit;
use crate::stability::{Against, ToleranceKind, Tracking};
use crate::study::configuration::{EdRule, Model};
use crate::study::presets::Preset;
use clap::ValueEnum;
use serde::Deserialize;

/// Names of [`Preset`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PresetName {
    /// Seconds: for tests.
    Smoke,
    /// Under two minutes on two cores.
    Quick,
    /// The paper's sizes.
    Paper,
}

/// Names of [`Model`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ModelName {
    /// Fully connected.
    Dnn,
    /// Convolutional.
    Cnn,
    /// Both, one after the other.
    Both,
}

/// Names of [`Fit`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FitName {
    /// Resample; the proportions of images that are not square change.
    Resize,
    /// Put into the middle of black; shrink only what is larger.
    Pad,
}

/// Names of [`ToleranceKind`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ToleranceKindName {
    /// A share of the reference weight's magnitude.
    Relative,
    /// A distance.
    Absolute,
}

/// Names of [`Tracking`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum TrackingName {
    /// The weight in the same row and column.
    Position,
    /// The magnitude at the same place of the sorted order.
    Rank,
}

/// Names of [`Against`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum AgainstName {
    /// That of the last epoch.
    Last,
    /// That of the epoch after it.
    Previous,
}

/// Names of [`EdRule`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum EdRuleName {
    /// The surviving fraction decays exponentially.
    Density,
    /// The density is fixed, the rewired fraction decays exponentially.
    Exd,
    /// Selected weights decay exponentially and are then removed.
    Soft,
    /// Sparsity rises as a cubic polynomial.
    Cubic,
    /// All four, one after the other.
    All,
}

impl From<ModelName> for Model {
    fn from(name: ModelName) -> Self {
        match name {
            ModelName::Dnn => Self::Dnn,
            ModelName::Cnn => Self::Cnn,
            ModelName::Both => Self::Both,
        }
    }
}

impl From<FitName> for Fit {
    fn from(name: FitName) -> Self {
        match name {
            FitName::Resize => Self::Resize,
            FitName::Pad => Self::Pad,
        }
    }
}

impl From<EdRuleName> for EdRule {
    fn from(name: EdRuleName) -> Self {
        match name {
            EdRuleName::Density => Self::Density,
            EdRuleName::Exd => Self::Exd,
            EdRuleName::Soft => Self::Soft,
            EdRuleName::Cubic => Self::Cubic,
            EdRuleName::All => Self::All,
        }
    }
}

impl From<TrackingName> for Tracking {
    fn from(name: TrackingName) -> Self {
        match name {
            TrackingName::Position => Self::Position,
            TrackingName::Rank => Self::Rank,
        }
    }
}

impl From<ToleranceKindName> for ToleranceKind {
    fn from(name: ToleranceKindName) -> Self {
        match name {
            ToleranceKindName::Relative => Self::Relative,
            ToleranceKindName::Absolute => Self::Absolute,
        }
    }
}

impl From<AgainstName> for Against {
    fn from(name: AgainstName) -> Self {
        match name {
            AgainstName::Last => Self::Last,
            AgainstName::Previous => Self::Previous,
        }
    }
}

impl From<PresetName> for Preset {
    fn from(name: PresetName) -> Self {
        match name {
            PresetName::Smoke => Self::Smoke,
            PresetName::Quick => Self::Quick,
            PresetName::Paper => Self::Paper,
        }
    }
}
