//! One line of `sweep.csv`: how well one pruned network of one replica classifies the test set.

use super::allocation::Scope;
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

/// One operating point of one replica. The order of the fields is the order of the columns of `sweep.csv`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SweepRow {
    /// How the removed weights were chosen.
    pub method: Method,
    /// Which reading of the method, e.g. `density` for ED; empty where there is only one.
    pub rule: String,
    /// Which layers' weights are pruned.
    #[serde(default)]
    pub layers: Layers,
    /// Among which weights those that go are chosen.
    #[serde(default)]
    pub scope: Scope,
    /// What is done about the weights that stay.
    #[serde(default)]
    pub repair: Repair,
    /// Name of the network.
    pub model: String,
    /// Name of the data set.
    pub data_set: String,
    /// Which training run.
    pub replica: u32,
    /// Epochs that the network was trained for.
    pub epochs: u32,
    /// Tolerance of magnitude stability, where the method has one.
    pub tolerance: Option<f64>,
    /// Least magnitude stability of a weight that is kept, in epochs, where the method has one.
    pub threshold: Option<u32>,
    /// Number of last epochs that the criterion looks at, where the method has one.
    pub window: Option<u32>,
    /// Achieved share of these layers' weights that are zero, 0 to 1.
    pub sparsity: f64,
    /// Weights of these layers that are not zero.
    #[serde(alias = "nonzero_nodes")]
    pub nonzero_weights: u32,
    /// Weights of these layers that no longer moved at the end of training, kept or not.
    #[serde(alias = "frozen_nodes")]
    pub frozen_weights: u32,
    /// Weights of the whole network divided by those that are kept, biases apart. Runs before this column counted biases too.
    #[serde(alias = "compression_ratio")]
    pub smaller: f64,
    /// Multiply-adds of classifying an image with the whole model divided by those that are left.
    pub theoretical_speedup: f64,
    /// Images that the method looked at to prune; none where it needs none.
    #[serde(default)]
    pub calibration_images: Option<u32>,
    /// Share of the test images that are classified correctly, 0 to 1.
    pub accuracy: f64,
    /// Mean cross-entropy on the test images, in nats.
    pub loss: f64,
    /// Share of training images that are put into the class that the network before the cut puts them into, 0 to 1, where
    /// that was looked at.
    #[serde(default)]
    pub agreement: Option<f64>,
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

    #[test]
    fn a_row_survives_csv_and_its_columns_are_those_of_the_guide() {
        let row = SweepRow {
            method: Method::Hold,
            rule: String::new(),
            layers: Layers::default(),
            scope: Scope::Layer,
            repair: Repair::Cut,
            model: "dnn".into(),
            data_set: "mnist".into(),
            replica: 3,
            epochs: 100,
            tolerance: None,
            threshold: None,
            window: Some(50),
            sparsity: 0.8,
            nonzero_weights: 180,
            frozen_weights: 2,
            smaller: 1.026,
            theoretical_speedup: 1.026,
            calibration_images: None,
            accuracy: 0.844,
            loss: 0.61,
            agreement: None,
        };
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.serialize(&row).unwrap();
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let columns = "method,rule,layers,scope,repair,model,data_set,replica,epochs,tolerance,threshold,window,sparsity,\
                       nonzero_weights,frozen_weights,smaller,theoretical_speedup,calibration_images,accuracy,loss,agreement";
        assert_eq!(text.lines().next(), Some(columns));
        assert_eq!(read(&text), [row]);
    }

    fn read(text: &str) -> Vec<SweepRow> {
        csv::Reader::from_reader(text.as_bytes()).deserialize().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn a_row_of_an_old_run_is_read() {
        let text = "method,rule,model,data_set,replica,epochs,tolerance,threshold,window,sparsity,nonzero_nodes,\
                    frozen_nodes,compression_ratio,theoretical_speedup,accuracy,loss\n\
                    ms,,dnn,mnist,1,30,0.03,12,,0.5,450,7,1.016,1.02,0.75,0.875\n";
        let SweepRow { method, nonzero_weights, frozen_weights, smaller, ref layers, calibration_images, .. } =
            read(text)[0];
        assert_eq!((method, nonzero_weights, frozen_weights, smaller), (Method::Stability, 450, 7, 1.016));
        assert_eq!((&**layers, calibration_images), (FOCUS, None));
    }
}
