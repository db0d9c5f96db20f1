//! What a setting chooses among.

use crate::pruning::decay::Rule;
use serde::{Deserialize, Serialize};

/// Which network is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// Fully connected: flatten, hidden dense layers, softmax.
    Dnn,
    /// Convolutions before the same dense layers.
    Cnn,
    /// One after the other.
    Both,
}

impl Model {
    /// The networks, the one that comes first in reports first.
    pub fn networks(self) -> &'static [Network] {
        match self {
            Self::Dnn => &[Network::Dnn],
            Self::Cnn => &[Network::Cnn],
            Self::Both => &[Network::Dnn, Network::Cnn],
        }
    }
}

/// One of the paper's two networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Fully connected.
    Dnn,
    /// Convolutional.
    Cnn,
}

/// By which rules exponential decay prunes while it trains; see [`Rule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum EdRule {
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

impl EdRule {
    /// The rules, the one that comes first in reports first.
    pub fn rules(self) -> &'static [Rule] {
        match self {
            Self::Density => &[Rule::Density],
            Self::Exd => &[Rule::Exd],
            Self::Soft => &[Rule::Soft],
            Self::Cubic => &[Rule::Cubic],
            Self::All => &Rule::ALL,
        }
    }
}

/// Which surgeons a comparison has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Surgeons {
    /// On the whole network the holding surgeon on mean weights; on one layer holding and plain on last weights.
    One,
    /// Holding and plain, on last and on mean weights.
    All,
}
