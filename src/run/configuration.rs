//! The settings of a run: everything that can move a bit.

mod choices;
mod hidden;
mod validation;

pub use choices::{EdRule, Model, Network, Surgeons};

use crate::data::{Fit, LoadOptions};
use crate::engine::DeviceDescription;
use crate::error::{Error, Result};
use crate::network::{Architecture, Selection};
use crate::pruning::operating_points::{FROZEN_FIRST, FROZEN_KEPT};
use crate::pruning::{FOCUS, Scope, surgery};
use crate::stability::{Against, Reading, ToleranceKind, Tracking, envelope};
use crate::training::{LearningRate, Plateau};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The tolerance of the paper's tables.
pub const PAPER_TOLERANCE: f64 = 0.03;

/// Sizes of the whole network that tables show: how many times smaller.
pub const TABLE_SIZES: [f64; 5] = [2.0, 4.0, 6.0, 8.0, 10.0];

/// All settings of `compare`, `train` and `study`, resolved. Keys are the names of the options; shares are 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Configuration {
    /// The network.
    pub model: Model,
    /// Data sets, as the `--data` argument names them.
    pub data: Vec<String>,
    /// Units of each hidden dense layer, where all have as many; beside it stands `depth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// Hidden dense layers of that width.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<usize>,
    /// Units of each hidden dense layer, in place of `width` and `depth`; see [`Self::set_hidden`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Vec<usize>>,
    /// Whether units and filters have no biases.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_bias: bool,
    /// Channels of each convolution of the CNN.
    pub filters: usize,
    /// Training runs.
    pub replicates: u32,
    /// Epochs of the networks that are pruned without retraining.
    pub epochs: u32,
    /// Epochs of exponential decay for each target.
    pub ed_epochs: u32,
    /// Samples of a step.
    pub batch: usize,
    /// How the learning rate moves over the epochs; exponential decay's own trainings follow it over theirs.
    #[serde(default)]
    pub schedule: LearningRate,
    /// Training images that are taken; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_images: Option<usize>,
    /// Training images that are taken for the CNN; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnn_training_images: Option<usize>,
    /// Rows and columns that images are brought to; as the images are if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<usize>,
    /// How images are brought to that size.
    #[serde(default)]
    pub fit: Fit,
    /// Whether colours become their luma; see [`LoadOptions::gray`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gray: bool,
    /// Share of each class that is held out for testing where a set has no test set of its own.
    #[serde(default = "before::test_share")]
    pub test_share: f64,
    /// Pixels are divided by this.
    pub pixel_scale: f64,
    /// Key of every random draw.
    pub seed: u64,
    /// Tolerances of magnitude stability.
    pub tolerance: Vec<f64>,
    /// What magnitude stability follows back.
    #[serde(default)]
    pub tracking: Tracking,
    /// How tolerances are read.
    pub tolerance_kind: ToleranceKind,
    /// What a weight is compared with.
    #[serde(default)]
    pub against: Against,
    /// Windows of settling tolerance and holding magnitude; fitted to the epochs if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Vec<u32>>,
    /// Whether settle and hold treat frozen weights like all others in the headline.
    pub keep_frozen: bool,
    /// Target sparsities of exponential decay, 0 to 1.
    pub ed_targets: Vec<f64>,
    /// The rule of exponential decay.
    pub ed_rule: EdRule,
    /// Which layers are recorded and pruned, as `--layers` names them; if absent, all are recorded, and the focus layer and the
    /// whole network are pruned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<String>,
    /// Among which weights those that go are chosen, where several layers take part.
    #[serde(default = "before::scope")]
    pub scope: Scope,
    /// Training images that calibrate, without their labels; as many as there are, if there are fewer.
    #[serde(default = "before::calibration_images")]
    pub calibration_images: usize,
    /// How much a row of a calibration image counts where the unit's ReLU lets nothing through, 0 to 1.
    #[serde(default = "before::inactive_weight")]
    pub inactive_weight: f64,
    /// The ridge of the equations that are solved, as a share of the mean of the Gram matrix' diagonal.
    #[serde(default = "before::ridge")]
    pub ridge: f64,
    /// Sizes of the whole network, one after the other: how many times smaller.
    #[serde(default = "before::stages")]
    pub stages: Vec<f64>,
    /// Which surgeons cut the whole network.
    #[serde(default = "before::surgeons")]
    pub surgeons: Surgeons,
    /// Over how many of the last epochs weights and biases are averaged; half of them if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub averaged_epochs: Option<u32>,
    /// Steps that all weights of a network cut in stages take together towards the dense logits; none if absent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub polish: u32,
    /// Whether every image trains and none is held out, as a study does; see [`LoadOptions::all_images`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_images: bool,
    /// A replica of a study with less training accuracy at the end is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_accuracy: Option<f64>,
    /// A trained replica stops when less than this share of the focus layer is missing to its plateau of stable weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_at_plateau: Option<f64>,
    /// Most replacements in each cell of a study; as many as replicates if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_replacements: Option<u32>,
    /// Replicates of each cell of a study that are trained anew for what changes training in its sensitivity table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitivity_replicates: Option<u32>,
    /// Replicates of each cell of a study that its Figure 4 is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figure_4_replicates: Option<u32>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Configuration {
    /// Replicates that are trained anew for the sensitivity table.
    pub fn retrained_replicates(&self) -> u32 {
        self.sensitivity_replicates.unwrap_or(0).min(self.replicates)
    }

    /// Most replacements in a cell of a study.
    pub fn most_replacements(&self) -> u32 {
        self.max_replacements.unwrap_or(self.replicates)
    }

    /// Over how many of the last epochs weights and biases are averaged.
    pub fn averaged_epochs(&self) -> u32 {
        self.averaged_epochs.unwrap_or_else(|| envelope::headline_window(self.epochs))
    }

    /// Training accuracy that a replica of a study must reach.
    pub fn least_accuracy(&self) -> f64 {
        self.min_accuracy.unwrap_or(0.0)
    }

    /// The network for images of these rows, columns and channels.
    ///
    /// Fails as [`Self::hidden_units`] does.
    pub fn architecture(
        &self,
        network: Network,
        [image_height, image_width, channels]: [usize; 3],
        classes: usize,
    ) -> Result<Architecture> {
        let convolutions = match network {
            Network::Dnn => Vec::new(),
            Network::Cnn => Architecture::paper_convolutions(self.filters),
        };
        let dnn = Architecture::dnn(image_height, image_width, self.hidden_units()?, classes);
        Ok(Architecture { channels, convolutions, bias: !self.no_bias, ..dnn })
    }

    /// Training images that are taken for a network.
    pub fn training_images_of(&self, network: Network) -> Option<usize> {
        match network {
            Network::Dnn => self.training_images,
            Network::Cnn => self.cnn_training_images,
        }
    }

    /// Number of cells: networks times data sets.
    pub fn cells(&self) -> usize {
        self.model.networks().len() * self.data.len()
    }

    /// What is taken of the data sets for a network.
    pub fn load_options(&self, network: Network) -> LoadOptions {
        LoadOptions {
            training_images: self.training_images_of(network),
            side: self.side,
            fit: self.fit,
            gray: self.gray,
            test_share: self.test_share,
            all_images: self.all_images,
        }
    }

    /// When replicas stop before the last epoch: by the paper's tolerance if it is there, else by the first.
    pub fn plateau(&self) -> Option<Plateau> {
        let papers = self.tolerance.iter().find(|tolerance| **tolerance == PAPER_TOLERANCE);
        let (share, &tolerance) = (self.stop_at_plateau?, papers.or(self.tolerance.first())?);
        Some(Plateau { share, tolerance, reading: self.reading() })
    }

    /// How magnitude stability is read.
    pub fn reading(&self) -> Reading {
        Reading { tracking: self.tracking, tolerance_kind: self.tolerance_kind, against: self.against }
    }

    /// How weights are solved anew.
    pub fn surgery(&self) -> surgery::Settings {
        surgery::Settings { inactive_weight: self.inactive_weight as f32, ridge: self.ridge as f32, seed: self.seed }
    }

    /// Sparsities `0..=1` of every criterion that meets them exactly: each 5 %, and the targets of decay.
    pub fn sparsities(&self) -> Vec<f64> {
        let every_5 = (0..=100).step_by(5).map(|percent| f64::from(percent) / 100.0);
        let mut sparsities: Vec<f64> = every_5.chain(self.ed_targets.iter().copied()).collect();
        sparsities.sort_by(f64::total_cmp);
        sparsities.dedup();
        sparsities
    }

    /// The windows asked for, and always the headline's.
    ///
    /// Fails with [`Error::Usage`] if one does not fit the epochs.
    pub fn windows(&self) -> Result<Vec<u32>> {
        let epochs = self.epochs;
        let mut windows = envelope::windows(self.window.as_deref(), epochs)?;
        windows.push(envelope::headline_window(epochs));
        windows.sort_unstable();
        windows.dedup();
        Ok(windows)
    }

    /// Which layers are pruned, with the name of each choice.
    ///
    /// Fails with [`Error::Usage`] if the network has no such layers.
    pub fn parts(&self, architecture: &Architecture) -> Result<Vec<(String, Selection)>> {
        match &self.layers {
            Some(layers) => Ok(vec![(layers.clone(), Selection::named(architecture, layers)?)]),
            None => {
                let all = ("all".into(), Selection::all(architecture));
                Ok(vec![(FOCUS.into(), Selection::focus(architecture)), all])
            }
        }
    }

    /// Name of the focus layer's weights in files.
    pub fn focus_weight_name(&self) -> String {
        let layers = self.hidden.as_ref().map_or(self.depth.unwrap_or(0), Vec::len);
        format!("dense{}.weight", layers.saturating_sub(1))
    }

    /// Which layers are recorded: those that are pruned. Where replicas stop at the plateau of the focus layer, that one.
    ///
    /// Fails as [`Self::parts`] does.
    pub fn recorded(&self, architecture: &Architecture) -> Result<Selection> {
        match &self.layers {
            Some(layers) => Selection::named(architecture, layers),
            None if self.stop_at_plateau.is_some() => Ok(Selection::focus(architecture)),
            None => Ok(Selection::all(architecture)),
        }
    }

    /// The sizes of the whole network at which everything but the surgeons is evaluated: those of [`TABLE_SIZES`] among the
    /// stages, or all stages if none is.
    pub fn sizes(&self) -> Vec<f64> {
        let own: Vec<f64> = self.stages.iter().copied().filter(|size| TABLE_SIZES.contains(size)).collect();
        if own.is_empty() { self.stages.clone() } else { own }
    }

    /// Whether settle and hold remove frozen weights first in the headline.
    pub fn headline_rule(&self) -> &'static str {
        if self.keep_frozen { FROZEN_KEPT } else { FROZEN_FIRST }
    }
}

/// What a file of settings means that does not say it: it is of a run of before these settings.
mod before {
    use super::Surgeons;
    use crate::data::TEST_SHARE;
    use crate::pruning::Scope;

    pub(super) fn test_share() -> f64 {
        TEST_SHARE
    }

    pub(super) fn scope() -> Scope {
        Scope::Global
    }

    pub(super) fn calibration_images() -> usize {
        1024
    }

    pub(super) fn inactive_weight() -> f64 {
        0.1
    }

    pub(super) fn ridge() -> f64 {
        1e-3
    }

    pub(super) fn stages() -> Vec<f64> {
        super::TABLE_SIZES.to_vec()
    }

    pub(super) fn surgeons() -> Surgeons {
        Surgeons::One
    }
}

/// Hash of everything that can move a bit: command, settings, device and its variant, data. 16 hexadecimal digits. Of data
/// sets their kinds and the `checksums` count, not the paths.
///
/// Fails with [`Error::Job`] if the settings cannot be written as JSON.
pub fn hash(
    command: &str,
    settings: &impl Serialize,
    device: &DeviceDescription,
    checksums: &BTreeMap<String, String>,
) -> Result<String> {
    // Sorted maps of plain values have one text.
    let mut settings = serde_json::to_value(settings)
        .map_err(|error| Error::Job(format!("cannot write the settings as text: {error}")))?;
    for set in settings.get_mut("data").and_then(serde_json::Value::as_array_mut).into_iter().flatten() {
        if let Some((kind, _)) = set.as_str().and_then(|set| set.split_once('=')) {
            *set = kind.into();
        }
    }
    // What a setting of a later version means where it is not named changes no bit: such runs keep their hash.
    if let Some(settings) = settings.as_object_mut() {
        settings.retain(|key, value| !(key == "schedule" && value == "constant"));
    }
    let parts = serde_json::json!({
        "command": command,
        "configuration": settings,
        "device": [&device.name, &device.backend, &device.driver, &device.variant],
        "data": checksums,
        "version": env!("CARGO_PKG_VERSION"),
    });
    Ok(HEXLOWER.encode(&Sha256::digest(parts.to_string())[..8]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::presets::Preset;

    #[test]
    fn replicas_stop_by_the_papers_tolerance_where_it_is_one_of_several() {
        let tolerance = |tolerance: Vec<f64>| {
            let stopping =
                Configuration { tolerance, stop_at_plateau: Some(0.02), ..Configuration::preset(Preset::Smoke) };
            stopping.plateau().map(|plateau| plateau.tolerance)
        };
        assert_eq!(tolerance(vec![0.01, 0.03, 0.05]), Some(0.03));
        assert_eq!(tolerance(vec![0.05, 0.01]), Some(0.05));
        assert_eq!(Configuration::preset(Preset::Smoke).plateau(), None);
    }

    #[test]
    fn a_configuration_survives_its_file() {
        let configuration = Configuration { window: Some(vec![2, 5]), ..Configuration::preset(Preset::Paper) };
        let text = toml::to_string(&configuration).unwrap();
        assert_eq!(toml::from_str::<Configuration>(&text).unwrap(), configuration);
    }

    #[test]
    fn the_hash_moves_with_what_moves_bits() {
        let device = DeviceDescription {
            name: "a".into(),
            kind: "CPU engine".into(),
            backend: "cpu".into(),
            driver: String::new(),
            variant: "fast-avx2-fma".into(),
        };
        let none = BTreeMap::new();
        let configuration = Configuration::preset(Preset::Smoke);
        let hashed = |command, configuration: &Configuration, device: &DeviceDescription| {
            hash(command, configuration, device, &none).unwrap()
        };
        let first = hashed("compare", &configuration, &device);
        let mut earlier = serde_json::to_value(&configuration).unwrap();
        assert_eq!(earlier.as_object_mut().unwrap().remove("schedule"), Some("constant".into()));
        assert_eq!(first, hash("compare", &earlier, &device, &none).unwrap(), "as before there was a choice");
        assert_eq!(first.len(), 16);
        assert_eq!(first, hashed("compare", &configuration, &device));
        assert_ne!(first, hashed("train", &configuration, &device));
        for other in [
            Configuration { seed: 2, ..configuration.clone() },
            Configuration { schedule: LearningRate::Cosine, ..configuration.clone() },
            Configuration { tracking: Tracking::Rank, ..configuration.clone() },
            Configuration { against: Against::Previous, ..configuration.clone() },
            Configuration { fit: Fit::Pad, ..configuration.clone() },
            Configuration { test_share: 0.25, ..configuration.clone() },
        ] {
            assert_ne!(first, hashed("compare", &other, &device));
        }
        let other = DeviceDescription { variant: "fast-avx512".into(), ..device };
        assert_ne!(first, hashed("compare", &configuration, &other));
    }
}
