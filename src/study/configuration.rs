//! The settings of a run: everything that can move a bit.

use crate::data;
use crate::data::{Fit, LoadOptions, TEST_SHARE};
use crate::engine::DeviceDescription;
use crate::error::{Error, Result};
use crate::network::Architecture;
use crate::pruning::decay::Rule;
use crate::pruning::operating_points::{FROZEN_FIRST, FROZEN_KEPT};
use crate::stability::{Against, Reading, ToleranceKind, Tracking, envelope, magnitude};
use crate::training::Plateau;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The tolerance of the paper's tables.
pub const PAPER_TOLERANCE: f64 = 0.03;

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
    #[serde(default = "test_share")]
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

impl Configuration {
    /// Replicates that are trained anew for the sensitivity table.
    pub fn retrained_replicates(&self) -> u32 {
        self.sensitivity_replicates.unwrap_or(0).min(self.replicates)
    }

    /// Most replacements in a cell of a study.
    pub fn most_replacements(&self) -> u32 {
        self.max_replacements.unwrap_or(self.replicates)
    }

    /// Training accuracy that a replica of a study must reach.
    pub fn least_accuracy(&self) -> f64 {
        self.min_accuracy.unwrap_or(0.0)
    }

    /// Units of each hidden dense layer.
    ///
    /// Fails with [`Error::Usage`] unless either the list or a width and a depth are there, and with more layers than a
    /// network can have.
    pub fn hidden_units(&self) -> Result<Vec<usize>> {
        match (&self.hidden, self.width, self.depth) {
            (Some(hidden), None, None) => Ok(hidden.clone()),
            (None, Some(width), Some(depth)) => {
                // No list of a size that only a mistake asks for.
                Architecture::check_layers(depth)?;
                Ok(vec![width; depth])
            }
            (Some(_), ..) => Err(Error::Usage(
                "--hidden names the units of every hidden layer, so --width and --depth cannot stand beside it; leave out one \
                 or the other"
                    .into(),
            )),
            (None, ..) => Err(Error::Usage(
                "the settings name no hidden layers; give --width and --depth, or --hidden with the units of each layer".into(),
            )),
        }
    }

    /// Sizes of the focus layer's weights, `[in, out]`.
    ///
    /// Fails as [`Self::hidden_units`] does, and with fewer than two layers.
    pub fn focus_shape(&self) -> Result<[usize; 2]> {
        match *self.hidden_units()? {
            [.., inputs, outputs] => Ok([inputs, outputs]),
            _ => Err(Error::Usage("a network needs two hidden layers or more; use --depth 2 or more".into())),
        }
    }

    /// Names the units of each hidden dense layer. Layers that are all alike are kept as a width and a depth, so that the
    /// same network has the same configuration hash however it was asked for.
    pub fn set_hidden(&mut self, hidden: Vec<usize>) {
        let width = hidden.first().copied().filter(|&first| hidden.iter().all(|&units| units == first));
        (self.width, self.depth) = (width, width.map(|_| hidden.len()));
        self.hidden = Some(hidden).filter(|_| width.is_none());
    }

    /// Refuses what cannot be run.
    pub fn validate(&self) -> Result<()> {
        let at_least_one = [
            ("--replicates", self.replicates as usize, "train one run or more"),
            ("--epochs", self.epochs as usize, "train one epoch or more"),
            ("--ed-epochs", self.ed_epochs as usize, "train one epoch or more"),
            ("--batch", self.batch, "a step needs one image or more"),
            ("--training-images", self.training_images.unwrap_or(1), "take one image or more"),
            ("--cnn-training-images", self.cnn_training_images.unwrap_or(1), "take one image or more"),
            ("--data", self.data.len(), "name a data set, e.g. mnist"),
            ("--tolerance", self.tolerance.len(), "name one or more, e.g. 0.03"),
        ];
        for (option, value, advice) in at_least_one {
            if value == 0 {
                return Err(Error::Usage(format!("{option} 0 is not possible; {advice}")));
            }
        }
        if !(self.pixel_scale.is_finite() && self.pixel_scale > 0.0) {
            return Err(Error::Usage(format!(
                "--pixel-scale {} is not a positive number; use 255 to bring pixels into 0..1, or 1 to leave them",
                self.pixel_scale
            )));
        }
        if !(0.0..=1.0).contains(&self.least_accuracy()) {
            return Err(Error::Usage(format!(
                "--min-accuracy {} is no share of the training images; use 0 to 1, e.g. 0.9 or 90%, or 0 to replace no replica \
                 that learns slowly",
                self.least_accuracy()
            )));
        }
        if let Some(share) = self.stop_at_plateau.filter(|share| !(*share > 0.0 && *share < 1.0)) {
            return Err(Error::Usage(format!(
                "--stop-at-plateau {share} is no share of the focus layer; use a number between 0 and 1, e.g. 0.02 or 2%"
            )));
        }
        self.side.map_or(Ok(()), data::check_side)?;
        data::check_share(self.test_share)?;
        magnitude::check_tolerances(&self.tolerance)?;
        envelope::windows(self.window.as_deref(), self.epochs)?;
        for (index, target) in self.ed_targets.iter().enumerate() {
            if !(0.0..=1.0).contains(target) {
                return Err(Error::Usage(format!("--ed-targets: {target} is no sparsity; use 0 to 1, or 0% to 100%")));
            }
            if self.ed_targets[..index].contains(target) {
                return Err(Error::Usage(format!("--ed-targets: {target} is given twice; name each once")));
            }
        }
        for (index, data) in self.data.iter().enumerate() {
            if self.data[..index].contains(data) {
                return Err(Error::Usage(format!("--data: {data} is given twice; name each once")));
            }
        }
        let networks = self.model.networks().iter();
        // Images large enough for every network: whether the real ones are is known when they are read.
        networks.into_iter().try_for_each(|&network| self.architecture(network, [64, 64, 1], 2)?.validate())
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
        Ok(Architecture { channels, convolutions, ..dnn })
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

    /// Sparsities `0..=1` of every criterion that meets them exactly: each 5 %, and the targets of decay.
    pub fn sparsities(&self) -> Vec<f64> {
        let every_5 = (0..=100).step_by(5).map(|percent| f64::from(percent) / 100.0);
        let mut sparsities: Vec<f64> = every_5.chain(self.ed_targets.iter().copied()).collect();
        sparsities.sort_by(f64::total_cmp);
        sparsities.dedup();
        sparsities
    }

    /// The windows asked for, and always the headline's.
    pub fn windows(&self) -> Result<Vec<u32>> {
        let epochs = self.epochs;
        let mut windows = envelope::windows(self.window.as_deref(), epochs)?;
        windows.push(envelope::headline_window(epochs));
        windows.sort_unstable();
        windows.dedup();
        Ok(windows)
    }

    /// Whether settle and hold remove frozen weights first in the headline.
    pub fn headline_rule(&self) -> &'static str {
        if self.keep_frozen { FROZEN_KEPT } else { FROZEN_FIRST }
    }
}

/// What a file of settings means that does not say it.
fn test_share() -> f64 {
    TEST_SHARE
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
    use crate::study::presets::Preset;

    #[test]
    fn every_preset_is_valid() {
        for preset in [Preset::Smoke, Preset::Quick, Preset::Paper] {
            assert!(Configuration::preset(preset).validate().is_ok(), "{preset:?}");
            assert!(Configuration::study(preset).validate().is_ok(), "{preset:?}");
        }
        assert_eq!(Configuration::preset(Preset::Paper).ed_targets.len(), 21);
    }

    #[test]
    fn impossible_settings_are_refused_by_name() {
        let quick = || Configuration::preset(Preset::Quick);
        let cases = [
            (Configuration { epochs: 0, ..quick() }, "--epochs"),
            (Configuration { replicates: 0, ..quick() }, "--replicates"),
            (Configuration { batch: 0, ..quick() }, "--batch"),
            (Configuration { tolerance: vec![f64::NAN], ..quick() }, "tolerance"),
            (Configuration { tolerance: vec![0.03, 0.03], ..quick() }, "twice"),
            (Configuration { window: Some(vec![31]), ..quick() }, "window 31"),
            (Configuration { ed_targets: vec![1.01], ..quick() }, "--ed-targets"),
            (Configuration { depth: Some(1), ..quick() }, "depth"),
            (Configuration { depth: None, ..quick() }, "--hidden"),
            (Configuration { hidden: Some(vec![40, 20]), ..quick() }, "--hidden"),
            (Configuration { hidden: Some(vec![40, 0]), width: None, depth: None, ..quick() }, "width 0"),
            (Configuration { filters: 0, ..quick() }, "--filters"),
            (Configuration { pixel_scale: 0.0, ..quick() }, "--pixel-scale"),
            (Configuration { side: Some(0), ..quick() }, "--side 0"),
            (Configuration { test_share: 1.0, ..quick() }, "--test-share"),
            (Configuration { min_accuracy: Some(f64::NAN), ..quick() }, "--min-accuracy"),
            (Configuration { min_accuracy: Some(90.0), ..quick() }, "--min-accuracy"),
            (Configuration { stop_at_plateau: Some(0.0), ..quick() }, "--stop-at-plateau"),
        ];
        for (configuration, named) in cases {
            let message = configuration.validate().unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
        }
    }

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
    fn layers_that_are_all_alike_are_a_width_and_a_depth_however_they_were_named() {
        let mut settings = Configuration::preset(Preset::Quick);
        settings.set_hidden(vec![30; 6]);
        assert_eq!(settings, Configuration::preset(Preset::Quick));
        settings.set_hidden(vec![40, 20]);
        assert_eq!((settings.hidden_units().unwrap(), settings.focus_shape().unwrap()), (vec![40, 20], [40, 20]));
        let text = toml::to_string(&settings).unwrap();
        assert!(text.contains("hidden = [40, 20]") && !text.contains("width") && !text.contains("depth"), "{text}");
        assert_eq!(toml::from_str::<Configuration>(&text).unwrap(), settings);
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
        assert_eq!(first.len(), 16);
        assert_eq!(first, hashed("compare", &configuration, &device));
        assert_ne!(first, hashed("train", &configuration, &device));
        for other in [
            Configuration { seed: 2, ..configuration.clone() },
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
