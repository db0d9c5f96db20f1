//! What the methods of pruning are called: how weights are chosen, of which layers, and what is done about those that stay.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Deref;

/// How the removed weights were chosen.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::VariantArray,
)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Method {
    /// Nothing is removed: the network as it was trained.
    #[default]
    #[cfg_attr(feature = "cli", value(skip))]
    Dense,
    /// Magnitude stability below a threshold (Riedel & Segev 2023).
    #[serde(alias = "ms")]
    #[cfg_attr(feature = "cli", value(alias = "ms"))]
    Stability,
    /// Largest settling tolerance first.
    Settle,
    /// Smallest holding magnitude first.
    Hold,
    /// Smallest holding magnitude times the norm of the weight's input, over calibration images, first.
    HoldInput,
    /// Smallest trained weight first (one-shot pruning).
    Magnitude,
    /// As [`Self::Magnitude`], but frozen weights go before all others.
    #[cfg_attr(feature = "cli", value(skip))]
    MagnitudeFrozenFirst,
    /// Weights at random.
    #[cfg_attr(feature = "cli", value(skip))]
    Random,
    /// Smallest weight times the norm of its input, over calibration images, first (Sun et al. 2024).
    Wanda,
    /// What the units lose least by on calibration images first, the other weights each time taking over (optimal brain surgeon).
    Surgeon,
    /// As the surgeon, weights compared by how much of their magnitude they held.
    HoldSurgeon,
    /// Trained anew for each target while pruning towards it, one target after the other.
    #[serde(alias = "ed-sequential")]
    #[cfg_attr(feature = "cli", value(skip))]
    DecaySequential,
    /// The same, all targets and replicas in one batch.
    #[serde(alias = "ed-batched")]
    #[cfg_attr(feature = "cli", value(skip))]
    DecayBatched,
}

impl Method {
    /// Whether it is one of the surgeons, which solve what stays anew.
    pub fn is_surgeon(self) -> bool {
        matches!(self, Self::Surgeon | Self::HoldSurgeon)
    }

    /// Whether each operating point is trained anew, so that training is part of what a point costs.
    pub fn retrains(self) -> bool {
        matches!(self, Self::DecaySequential | Self::DecayBatched)
    }

    /// Whether the method reads the recorded history, and so is charged for recording and counting it. Frozen weights are
    /// found in the history too.
    pub fn reads_history(self) -> bool {
        matches!(
            self,
            Self::Stability
                | Self::Settle
                | Self::Hold
                | Self::HoldInput
                | Self::MagnitudeFrozenFirst
                | Self::HoldSurgeon
        )
    }
}

/// What `--layers` calls the last hidden dense layer.
pub const FOCUS: &str = "focus";

/// Which layers' weights are pruned, as `--layers` names them: `focus`, `all`, ... Files of before this column are about the
/// focus layer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Layers(String);

impl Default for Layers {
    fn default() -> Self {
        Self(FOCUS.into())
    }
}

impl From<&str> for Layers {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl Deref for Layers {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Layers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

/// What is done about the weights that stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::Display)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Repair {
    /// Nothing.
    #[default]
    Cut,
    /// They are solved anew, in closed form, so that units give what they gave before; see [`super::surgery`].
    Refit,
}

#[cfg(test)]
mod tests {
    use super::*;
    use strum::VariantArray;

    #[test]
    fn files_and_terminal_spell_a_method_the_same_way() {
        for method in Method::VARIANTS {
            assert_eq!(serde_json::to_value(method).unwrap(), method.to_string());
        }
    }
}
