//! Sizes that go well together, for `compare`, `train` and `study`.

use super::configuration::{Configuration, EdRule, Model, Surgeons};
use crate::data::{Fit, TEST_SHARE};
use crate::pruning::{FOCUS, Scope};
use crate::stability::{Against, ToleranceKind, Tracking};
use crate::training::LearningRate;
use serde::{Deserialize, Serialize};

/// Units of each hidden dense layer of every preset, the paper's.
pub const WIDTH: usize = 30;
/// Hidden dense layers of every preset, the paper's.
pub const DEPTH: usize = 6;

/// Sizes that go well together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Seconds: for tests.
    Smoke,
    /// Under two minutes on two cores.
    Quick,
    /// The paper's sizes.
    Paper,
}

impl Configuration {
    /// The settings of a preset.
    pub fn preset(preset: Preset) -> Self {
        let quick = Self {
            model: Model::Both,
            data: vec!["mnist".into()],
            width: Some(WIDTH),
            depth: Some(DEPTH),
            hidden: None,
            no_bias: false,
            filters: 8,
            replicates: 5,
            epochs: 30,
            ed_epochs: 3,
            batch: 32,
            schedule: LearningRate::Constant,
            training_images: Some(10_000),
            cnn_training_images: Some(2000),
            side: None,
            fit: Fit::Resize,
            gray: false,
            test_share: TEST_SHARE,
            pixel_scale: 255.0,
            seed: 1,
            tolerance: vec![0.01, 0.03, 0.05],
            tracking: Tracking::Position,
            tolerance_kind: ToleranceKind::Relative,
            against: Against::Last,
            window: None,
            keep_frozen: false,
            ed_targets: every(10),
            ed_rule: EdRule::Density,
            layers: None,
            scope: Scope::Global,
            calibration_images: 1024,
            inactive_weight: 0.1,
            ridge: 1e-3,
            stages: vec![2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0],
            averaged_epochs: None,
            polish: 0,
            surgeons: Surgeons::One,
            all_images: false,
            min_accuracy: None,
            max_replacements: None,
            sensitivity_replicates: None,
            figure_4_replicates: None,
            stop_at_plateau: None,
        };
        match preset {
            Preset::Quick => quick,
            Preset::Smoke => Self {
                replicates: 2,
                epochs: 6,
                ed_epochs: 2,
                model: Model::Dnn,
                training_images: Some(2000),
                cnn_training_images: Some(500),
                calibration_images: 512,
                ed_targets: every(25),
                ..quick
            },
            Preset::Paper => Self {
                model: Model::Dnn,
                epochs: 100,
                training_images: None,
                cnn_training_images: None,
                calibration_images: 4096,
                stages: vec![2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0],
                surgeons: Surgeons::All,
                ed_targets: every(5),
                ..quick
            },
        }
    }

    /// The settings of a preset of `study`.
    pub fn study(preset: Preset) -> Self {
        let quick = Self {
            model: Model::Both,
            data: ["pr", "ct", "sc-synthetic", "xr-synthetic"].map(String::from).into(),
            replicates: 5,
            epochs: 30,
            training_images: None,
            cnn_training_images: None,
            // Tables are made at the first one.
            tolerance: vec![0.03, 0.01, 0.05],
            all_images: true,
            layers: Some(FOCUS.into()),
            // So few epochs teach some networks nothing: none is replaced.
            min_accuracy: Some(0.0),
            sensitivity_replicates: Some(1),
            figure_4_replicates: Some(2),
            ..Self::preset(Preset::Quick)
        };
        match preset {
            Preset::Quick => quick,
            Preset::Smoke => Self {
                data: ["pr", "xr-synthetic"].map(String::from).into(),
                side: Some(20),
                replicates: 3,
                epochs: 12,
                ed_epochs: 2,
                ed_targets: every(25),
                ..quick
            },
            Preset::Paper => Self {
                replicates: 50,
                epochs: 150,
                min_accuracy: Some(0.9),
                sensitivity_replicates: Some(5),
                figure_4_replicates: Some(5),
                ed_targets: every(5),
                ..quick
            },
        }
    }
}

/// Targets of exponential decay from 0 to 1, so many per cent apart.
fn every(step: usize) -> Vec<f64> {
    (0..=100).step_by(step).map(|percent| percent as f64 / 100.0).collect()
}
