//! The settings of a run as options, and how they become a [`Configuration`]: preset, then file, then command line.

use super::Share;
use crate::data::Fit;
use crate::error::{Error, Result};
use crate::pruning::Scope;
use crate::run::configuration::{Configuration, EdRule, Model, Surgeons};
use crate::run::presets::{DEPTH, Preset, WIDTH};
use crate::stability::{Against, ToleranceKind, Tracking};
use crate::training::LearningRate;
use clap::Args;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Settings of a run; each overrides the file, and the file overrides the preset.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(in crate::cli) struct RunOptions {
    /// Sizes that go well together.
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    /// Network: fully connected (dnn), convolutional (cnn), or one after the other (both).
    #[arg(long, value_enum)]
    model: Option<Model>,
    /// Data sets, separated by commas: mnist, mnist=DIR, pr, pr=DIR, ct, sc=PATH, sc-synthetic, xr=PATH, xr-synthetic,
    /// any=PATH.
    ///
    /// A PATH is a folder in which each class has a folder of PNG, JPEG, BMP or TIFF images (or which has such folders in
    /// `train` and `test`), a folder of IDX files, an IDX file of images beside its labels, or a .npz as
    /// MedMNIST's or Keras's.
    #[arg(long, value_delimiter = ',', value_name = "SET")]
    data: Option<Vec<String>>,
    /// Units of each hidden dense layer.
    #[arg(long, value_name = "N")]
    width: Option<usize>,
    /// Hidden dense layers, 2 or more; the last one is the focus layer.
    #[arg(long, value_name = "N")]
    depth: Option<usize>,
    /// Units of each hidden dense layer, separated by commas, in place of --width and --depth: 40,20.
    #[arg(long, value_delimiter = ',', value_name = "N,...")]
    hidden: Option<Vec<usize>>,
    /// Units and filters without biases.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    no_bias: Option<bool>,
    /// Channels of each convolution of the CNN.
    #[arg(long, value_name = "N")]
    filters: Option<usize>,
    /// Training runs, side by side.
    #[arg(long, value_name = "N")]
    replicates: Option<u32>,
    /// Epochs.
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Epochs of exponential decay for each target.
    #[arg(long, value_name = "N")]
    ed_epochs: Option<u32>,
    /// Samples of a training step.
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Learning rate of Adam: 0.001 from the first step to the last, or falling to 0 along a cosine. Exponential decay's own
    /// trainings follow it over their own epochs.
    #[arg(long, value_enum)]
    schedule: Option<LearningRate>,
    /// Take only so many training images, drawn by seed with the classes in their shares.
    #[arg(long, value_name = "N")]
    training_images: Option<usize>,
    /// Take only so many training images for the CNN; as many as for the DNN if only those are given.
    #[arg(long, value_name = "N")]
    cnn_training_images: Option<usize>,
    /// Bring all images to N x N pixels; 100 for sc and xr, else as they are.
    #[arg(long, value_name = "N")]
    side: Option<usize>,
    /// How images are brought to that size.
    #[arg(long, value_enum)]
    fit: Option<Fit>,
    /// Read colours as gray. Without it a set is in colour if any pixel is; sc and xr are always gray.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    gray: Option<bool>,
    /// Hold out this share of each class for testing where a set has no test set of its own.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    test_share: Option<Share>,
    /// Pixels are divided by this.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pixel_scale: Option<f64>,
    /// Key of every random draw.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Tolerances of magnitude stability, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "NUMBER", allow_negative_numbers = true)]
    tolerance: Option<Vec<f64>>,
    /// What is followed back through the epochs.
    #[arg(long, value_enum)]
    tracking: Option<Tracking>,
    /// Whether a tolerance is a share of the weight's magnitude or a distance.
    #[arg(long, value_enum)]
    tolerance_kind: Option<ToleranceKind>,
    /// Which value a weight is compared with.
    #[arg(long, value_enum)]
    against: Option<Against>,
    /// Windows of last epochs for settling tolerance and holding magnitude, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "EPOCHS")]
    window: Option<Vec<u32>>,
    /// Let settle and hold treat frozen weights like all others in the headline.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    keep_frozen: Option<bool>,
    /// Target sparsities of exponential decay, separated by commas: 50%,90% or 0.5,0.9.
    #[arg(long, value_delimiter = ',', value_name = "SHARE", allow_negative_numbers = true)]
    ed_targets: Option<Vec<Share>>,
    /// Rule of exponential decay.
    #[arg(long, value_enum)]
    ed_rule: Option<EdRule>,
    /// Layers that are recorded and pruned: focus (the last hidden one), hidden, dense, conv, all, or names such as
    /// dense0,dense5. If not given, all are recorded, and the focus layer and the whole network are pruned.
    #[arg(long, value_name = "NAME,...")]
    layers: Option<String>,
    /// Where several layers take part: the same share of each (layer), or one threshold for all, on the score (global) or on
    /// the score beside those of its layer (lamp).
    #[arg(long, value_enum)]
    scope: Option<Scope>,
    /// Training images, without labels, on which weights that stay are solved anew.
    #[arg(long, value_name = "N")]
    calibration_images: Option<usize>,
    /// How much a calibration image counts for a unit whose ReLU lets nothing through, 0 to 1.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    inactive_weight: Option<Share>,
    /// Ridge of the equations that are solved, as a share of the mean of the Gram matrix' diagonal.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    ridge: Option<f64>,
    /// Sizes that the whole network is cut to, one after the other: how many times smaller.
    #[arg(long, value_delimiter = ',', value_name = "TIMES", allow_negative_numbers = true)]
    stages: Option<Vec<f64>>,
    /// Over how many of the last epochs weights and biases are averaged; half of the epochs if not given.
    #[arg(long, value_name = "N")]
    averaged_epochs: Option<u32>,
    /// Cuts of the whole network once more, with this many steps after each that all weights left take together towards the
    /// trained network's logits (Gauss-Newton, no labels); where 8,192 weights or fewer are left. 0 for none.
    #[arg(long, value_name = "STEPS")]
    polish: Option<u32>,
    /// Which surgeons: one for the whole network, or all, holding and plain, on last and on mean weights.
    #[arg(long, value_enum)]
    surgeons: Option<Surgeons>,
    // Settings that only a study has: of its files, and of its own options.
    #[arg(skip)]
    all_images: Option<bool>,
    #[arg(skip)]
    min_accuracy: Option<Share>,
    #[arg(skip)]
    max_replacements: Option<u32>,
    #[arg(skip)]
    sensitivity_replicates: Option<u32>,
    #[arg(skip)]
    figure_4_replicates: Option<u32>,
    // A setting that only `train` has.
    #[arg(skip)]
    stop_at_plateau: Option<Share>,
}

/// What only a study asks; the same in a file of settings.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(in crate::cli) struct StudyOptions {
    /// Replace a replica that classifies a smaller share of the training images correctly at the end; 0 replaces none.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    min_accuracy: Option<Share>,
    /// Replace at most so many replicas of each model on each data set; as many as replicates if not given.
    #[arg(long, value_name = "N")]
    max_replacements: Option<u32>,
    /// Train so many replicates of each model on each data set anew for what changes training in the sensitivity table:
    /// with other pixels, and on images padded to the largest size; 0 leaves these lines out.
    #[arg(long, value_name = "N")]
    sensitivity_replicates: Option<u32>,
    /// Make Figure 4 of so many trained networks of each model on each data set, and of exponential decay beside them; 0
    /// leaves it out.
    #[arg(long, value_name = "N")]
    figure_4_replicates: Option<u32>,
}

/// Where settings come from besides the options.
#[derive(Args, Clone, Debug, Default)]
pub(in crate::cli) struct ConfigurationFile {
    /// Read settings from a file with the names of the options as keys; options given here win. Paths in it count from its
    /// folder.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Print all settings in force as such a file, and stop.
    #[arg(long)]
    pub(in crate::cli) print_config: bool,
}

impl RunOptions {
    /// All settings: options before the file before the preset, whose network is replaced by `network` if there is one.
    pub(in crate::cli) fn resolve(&self, file: &ConfigurationFile, network: Option<Model>) -> Result<Configuration> {
        self.resolve_over(file, |preset| {
            let settings = Configuration::preset(preset);
            Configuration { model: network.unwrap_or(settings.model), ..settings }
        })
    }

    /// All settings of `train`.
    pub(in crate::cli) fn resolve_training(
        &self,
        file: &ConfigurationFile,
        stop_at_plateau: Option<Share>,
    ) -> Result<Configuration> {
        Self { stop_at_plateau, ..self.clone() }.resolve(file, Some(Model::Dnn))
    }

    /// All settings of a study.
    pub(in crate::cli) fn resolve_study(&self, file: &ConfigurationFile, own: StudyOptions) -> Result<Configuration> {
        let StudyOptions { min_accuracy, max_replacements, sensitivity_replicates, figure_4_replicates } = own;
        let options =
            Self { min_accuracy, max_replacements, sensitivity_replicates, figure_4_replicates, ..self.clone() };
        options.resolve_over(file, Configuration::study)
    }

    /// Options before the file before what a preset stands for.
    fn resolve_over(
        &self,
        file: &ConfigurationFile,
        preset_of: impl Fn(Preset) -> Configuration,
    ) -> Result<Configuration> {
        let mut own = self.clone();
        own.data.iter_mut().flatten().for_each(|set| anchor(set, Path::new("")));
        let from_file = match &file.config {
            None => Self::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Error::Data(format!("cannot read the configuration {}: {error}; check the path", path.display()))
                })?;
                let mut options: Self = toml::from_str(&text).map_err(|error| {
                    let error = error.to_string();
                    let advice = "--print-config shows what a configuration looks like";
                    Error::Usage(format!(
                        "{} is not a configuration of holdfast; {advice}: {}",
                        path.display(),
                        error.trim_end()
                    ))
                })?;
                options.data.iter_mut().flatten().for_each(|set| anchor(set, folder_of(path)));
                options
            }
        };
        let preset = self.preset.or(from_file.preset).unwrap_or(Preset::Quick);
        let mut settings = preset_of(preset);
        // The preset's number of training images is MNIST's; smaller sets are taken whole.
        let data = self.data.clone().or(from_file.data.clone());
        if data.as_ref().is_some_and(|sets| sets.iter().any(|set| !set.starts_with("mnist"))) {
            settings.training_images = None;
            settings.cnn_training_images = None;
        }
        from_file.apply(&mut settings);
        own.apply(&mut settings);
        settings.validate()?;
        Ok(settings)
    }

    /// Writes the options that are there into a configuration.
    fn apply(self, settings: &mut Configuration) {
        fn set<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        set(&mut settings.model, self.model);
        set(&mut settings.data, self.data);
        match (self.hidden, self.width, self.depth) {
            (None, None, None) => {}
            (Some(hidden), None, None) => settings.set_hidden(hidden),
            (None, width, depth) => {
                // Of a list that is replaced by one of the two, nothing says the other.
                settings.hidden = None;
                settings.width = width.or(settings.width).or(Some(WIDTH));
                settings.depth = depth.or(settings.depth).or(Some(DEPTH));
            }
            // Kept side by side: they are refused with the other settings that cannot be.
            (hidden, width, depth) => (settings.hidden, settings.width, settings.depth) = (hidden, width, depth),
        }
        set(&mut settings.no_bias, self.no_bias);
        set(&mut settings.filters, self.filters);
        set(&mut settings.replicates, self.replicates);
        set(&mut settings.epochs, self.epochs);
        set(&mut settings.ed_epochs, self.ed_epochs);
        set(&mut settings.batch, self.batch);
        set(&mut settings.schedule, self.schedule);
        set(&mut settings.training_images, self.training_images.map(Some));
        set(&mut settings.cnn_training_images, self.cnn_training_images.or(self.training_images).map(Some));
        set(&mut settings.side, self.side.map(Some));
        set(&mut settings.fit, self.fit);
        set(&mut settings.gray, self.gray);
        set(&mut settings.test_share, self.test_share.map(f64::from));
        set(&mut settings.pixel_scale, self.pixel_scale);
        set(&mut settings.seed, self.seed);
        set(&mut settings.tolerance, self.tolerance);
        set(&mut settings.tracking, self.tracking);
        set(&mut settings.tolerance_kind, self.tolerance_kind);
        set(&mut settings.against, self.against);
        set(&mut settings.window, self.window.map(Some));
        set(&mut settings.keep_frozen, self.keep_frozen);
        set(&mut settings.ed_targets, self.ed_targets.map(|targets| targets.into_iter().map(f64::from).collect()));
        set(&mut settings.ed_rule, self.ed_rule);
        set(&mut settings.layers, self.layers.map(Some));
        set(&mut settings.scope, self.scope);
        set(&mut settings.calibration_images, self.calibration_images);
        set(&mut settings.inactive_weight, self.inactive_weight.map(f64::from));
        set(&mut settings.ridge, self.ridge);
        set(&mut settings.stages, self.stages);
        set(&mut settings.polish, self.polish);
        set(&mut settings.averaged_epochs, self.averaged_epochs.map(Some));
        set(&mut settings.surgeons, self.surgeons);
        set(&mut settings.all_images, self.all_images);
        set(&mut settings.min_accuracy, self.min_accuracy.map(f64::from).map(Some));
        set(&mut settings.stop_at_plateau, self.stop_at_plateau.map(f64::from).map(Some));
        set(&mut settings.max_replacements, self.max_replacements.map(Some));
        set(&mut settings.sensitivity_replicates, self.sensitivity_replicates.map(Some));
        set(&mut settings.figure_4_replicates, self.figure_4_replicates.map(Some));
    }
}

/// Makes the path of a data set absolute, so that the settings mean the same wherever they are read. A relative path counts
/// from `base`.
fn anchor(set: &mut String, base: &Path) {
    let Some((kind, path)) = set.split_once('=').filter(|(_, path)| !path.is_empty()) else { return };
    // Of a path that is no Unicode text nothing can be kept but how it was given.
    let absolute = std::path::absolute(base.join(path)).ok();
    // Put together anew, a path has no slash at its end.
    let absolute: Option<PathBuf> = absolute.map(|path| path.components().collect());
    if let Some(path) = absolute.as_ref().and_then(|path| path.to_str()) {
        *set = format!("{kind}={path}");
    }
}

/// Where the paths in a file of settings count from: its folder, or the working directory if it comes through a pipe.
fn folder_of(file: &Path) -> &Path {
    let is_stored = file.is_file() && !["/dev", "/proc"].iter().any(|system| file.starts_with(system));
    file.parent().filter(|_| is_stored).unwrap_or(Path::new(""))
}
