//! Which settings cannot be run.

use super::Configuration;
use crate::data;
use crate::error::{Error, Result};
use crate::run::survival::MOST_SIZES;
use crate::stability::{envelope, magnitude};

impl Configuration {
    /// Refuses what cannot be run.
    ///
    /// Fails with [`Error::Usage`], or [`Error::Data`] where the images of such a network are to blame.
    pub fn validate(&self) -> Result<()> {
        let at_least_one = [
            ("--replicates", self.replicates as usize, "train one run or more"),
            ("--epochs", self.epochs as usize, "train one epoch or more"),
            ("--ed-epochs", self.ed_epochs as usize, "train one epoch or more"),
            ("--batch", self.batch, "a step needs one image or more"),
            ("--training-images", self.training_images.unwrap_or(1), "take one image or more"),
            ("--cnn-training-images", self.cnn_training_images.unwrap_or(1), "take one image or more"),
            ("--calibration-images", self.calibration_images, "take one image or more"),
            ("--data", self.data.len(), "name a data set, e.g. mnist"),
            ("--tolerance", self.tolerance.len(), "name one or more, e.g. 0.03"),
        ];
        for (option, value, advice) in at_least_one {
            check(value > 0, || format!("{option} 0 is not possible; {advice}"))?;
        }
        check(self.pixel_scale.is_finite() && self.pixel_scale > 0.0, || {
            let scale = self.pixel_scale;
            format!(
                "--pixel-scale {scale} is not a positive number; use 255 to bring pixels into 0..1, or 1 to leave them"
            )
        })?;
        let least = self.least_accuracy();
        check((0.0..=1.0).contains(&least), || {
            format!(
                "--min-accuracy {least} is no share of the training images; use 0 to 1, e.g. 0.9 or 90%, or 0 to replace no \
                 replica that learns slowly"
            )
        })?;
        if let Some(share) = self.stop_at_plateau {
            check(share > 0.0 && share < 1.0, || {
                format!(
                    "--stop-at-plateau {share} is no share of the focus layer; use a number between 0 and 1, e.g. 0.02 or 2%"
                )
            })?;
        }
        self.side.map_or(Ok(()), data::check_side)?;
        data::check_share(self.test_share)?;
        magnitude::check_tolerances(&self.tolerance)?;
        envelope::windows(self.window.as_deref(), self.epochs)?;
        for target in &self.ed_targets {
            let is_sparsity = (0.0..=1.0).contains(target);
            check(is_sparsity, || format!("--ed-targets: {target} is no sparsity; use 0 to 1, or 0% to 100%"))?;
        }
        check_each_once("--ed-targets", &self.ed_targets)?;
        let (averaged, epochs) = (self.averaged_epochs(), self.epochs);
        check((1..=epochs).contains(&averaged), || {
            format!("--averaged-epochs {averaged} is not possible; average from 1 to all {epochs} epochs")
        })?;
        let inactive = self.inactive_weight;
        check((0.0..=1.0).contains(&inactive), || {
            format!(
                "--inactive-weight {inactive} is no share; use 0 to 1, e.g. 0.1: how much a row counts where the unit is not \
                 active"
            )
        })?;
        // Single precision must hold it.
        let ridge = self.ridge as f32;
        check(self.ridge > 0.0 && ridge > 0.0 && ridge.is_finite(), || {
            format!("--ridge {} solves nothing; use a number above 0, e.g. 0.001", self.ridge)
        })?;
        self.check_stages()?;
        check_each_once("--data", &self.data)?;
        // Images large enough for every network: whether the real ones are is known when they are read.
        let mut networks = self.model.networks().iter();
        networks.try_for_each(|&network| self.architecture(network, [64, 64, 1], 2)?.validate())
    }

    fn check_stages(&self) -> Result<()> {
        let stages = &self.stages;
        check(!stages.is_empty(), || "--stages names no size; write how many times smaller, e.g. 2,4,6".into())?;
        check(stages.len() <= MOST_SIZES, || {
            format!(
                "--stages names {} sizes; name at most {MOST_SIZES}, the weights of each are counted in a byte",
                stages.len()
            )
        })?;
        for size in stages {
            check(size.is_finite() && *size >= 1.0, || {
                format!("--stages: {size} times smaller is not possible; write numbers from 1 on, e.g. 2,4,6")
            })?;
        }
        let grow = stages.windows(2).all(|pair| pair[0] < pair[1]);
        check(grow, || format!("--stages: sizes must grow, each named once; {stages:?} were found"))
    }
}

fn check(is_possible: bool, sentence: impl FnOnce() -> String) -> Result<()> {
    if is_possible { Ok(()) } else { Err(Error::Usage(sentence())) }
}

fn check_each_once<T: PartialEq + std::fmt::Display>(option: &str, list: &[T]) -> Result<()> {
    let repeated = list.iter().enumerate().find(|(index, value)| list[..*index].contains(value));
    repeated.map_or(Ok(()), |(_, value)| Err(Error::Usage(format!("{option}: {value} is given twice; name each once"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::presets::Preset;

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
            (Configuration { calibration_images: 0, ..quick() }, "--calibration-images 0"),
            (Configuration { inactive_weight: 1.5, ..quick() }, "--inactive-weight 1.5"),
            (Configuration { ridge: 0.0, ..quick() }, "--ridge 0"),
            (Configuration { ridge: 1e-60, ..quick() }, "--ridge"),
            (Configuration { stages: vec![0.5], ..quick() }, "0.5 times smaller"),
            (Configuration { stages: vec![4.0, 2.0], ..quick() }, "sizes must grow"),
            (Configuration { stages: (1..=256).map(f64::from).collect(), ..quick() }, "names 256 sizes"),
            (Configuration { min_accuracy: Some(f64::NAN), ..quick() }, "--min-accuracy"),
            (Configuration { min_accuracy: Some(90.0), ..quick() }, "--min-accuracy"),
            (Configuration { stop_at_plateau: Some(0.0), ..quick() }, "--stop-at-plateau"),
        ];
        for (configuration, named) in cases {
            let message = configuration.validate().unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
        }
    }
}
