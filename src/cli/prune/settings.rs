//! What `prune` is asked: criterion, amounts, and what goes with what.

use super::PruneArguments;
use super::stack::{StackPart, StackSettings};
use super::subjects::Subjects;
use crate::error::{Error, Result};
use crate::pruning::allocation::removed_if_smaller;
use crate::pruning::score::{Score, check_threshold};
use crate::pruning::{Method, Repair, Scope};
use crate::run::recorded::Base;
use crate::stability::Reading;
use crate::stability::envelope::headline_window;
use serde::Serialize;

/// What decides, with its settings.
#[derive(Clone, Copy)]
pub(super) enum Choice {
    Threshold {
        tolerance: f64,
        min_stability: u32,
        reading: Reading,
    },
    Scored(Score),
    /// The holding surgeon over a window, or the plain one.
    Surgeon(Option<u32>),
}

/// How much goes.
#[derive(Clone, Copy)]
pub(super) enum Point {
    /// What lies below a threshold.
    Threshold,
    Sparsity(f64),
    Smaller(f64),
}

impl Point {
    /// The part of the run folder for it, where there are several.
    pub(super) fn folder(self) -> String {
        match self {
            Self::Threshold => String::new(),
            Self::Sparsity(share) => format!("sparsity-{share}/"),
            Self::Smaller(times) => format!("smaller-{times}/"),
        }
    }

    /// In a heading.
    pub(super) fn heading(self) -> String {
        match self {
            Self::Threshold => String::new(),
            Self::Sparsity(share) => format!("sparsity {share}"),
            Self::Smaller(times) => format!("{times} times smaller"),
        }
    }
}

/// Everything that can move a bit of the result, besides device, history and weights.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Settings<'a> {
    criterion: Method,
    layers: Vec<&'a str>,
    scope: Option<Scope>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repair: Option<Repair>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<Base>,
    #[serde(skip_serializing_if = "Option::is_none")]
    polish: Option<u32>,
    tolerance: Option<f64>,
    min_stability: Option<u32>,
    window: Option<u32>,
    keep_frozen: Option<bool>,
    sparsity: Option<Vec<f64>>,
    smaller: Option<&'a [f64]>,
    reading: Option<Reading>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stack: Option<StackSettings>,
}

impl PruneArguments {
    /// What decides is asked of each setting that belongs to it.
    pub(super) fn criterion_name(&self) -> Result<Method> {
        let name = match (self.criterion, self.min_stability) {
            (Some(name), _) => name,
            (None, Some(_)) => Method::Stability,
            (None, None) if self.stack.dense.is_some() => Method::Surgeon,
            (None, None) => {
                return Err(Error::Usage(
                    "what to prune by is missing; use --tolerance 0.03 --min-stability 50, or --criterion hold --sparsity \
                     0.8 (also settle, magnitude)"
                        .into(),
                ));
            }
        };
        let is_windowed = Score::of_method(name, 1, false).is_some_and(Score::needs_history);
        let is_stability = name == Method::Stability;
        let scored = "the other criteria";
        let foreign = [
            ("--tolerance", self.tolerance.is_some(), is_stability, "stability"),
            ("--min-stability", self.min_stability.is_some(), is_stability, "stability"),
            ("--tracking, --tolerance-kind or --against", self.reading.is_given(), is_stability, "stability"),
            (
                "--window",
                self.window.is_some(),
                is_windowed || name == Method::HoldSurgeon,
                "settle, hold, hold-input and hold-surgeon",
            ),
            ("--keep-frozen", self.keep_frozen, is_windowed, "settle, hold and hold-input"),
            ("--sparsity", self.sparsity.is_some(), !is_stability, scored),
            ("--smaller", self.smaller.is_some(), !is_stability, scored),
            ("--scope", self.scope.is_some(), !is_stability, scored),
        ];
        if let Some((option, _, _, of)) = foreign.into_iter().find(|&(_, given, belongs, _)| given && !belongs) {
            return Err(Error::Usage(format!("{option} is a setting of {of}, not of this criterion; leave it out")));
        }
        if name.is_surgeon() && self.repair == Some(Repair::Cut) {
            return Err(Error::Usage(
                "a surgeon solves what stays anew, so --repair cut is none of its ways; leave it out, or prune by wanda or \
                 magnitude"
                    .into(),
            ));
        }
        if name.is_surgeon() && matches!(self.scope, Some(Scope::Layer | Scope::Lamp)) {
            return Err(Error::Usage(
                "a surgeon has one order for the weights of all layers, so --scope layer and lamp are none of its ways; leave it \
                 out"
                    .into(),
            ));
        }
        if self.base.is_some() && !self.repairs(name) {
            return Err(Error::Usage(
                "--base belongs to surgeons and to --repair refit; all else prunes the weights after the last epoch"
                    .into(),
            ));
        }
        if self.polish > 0 && !self.repairs(name) {
            return Err(Error::Usage(
                "--polish goes on from weights that were solved anew: it belongs to surgeons and to --repair refit"
                    .into(),
            ));
        }
        if self.run.is_none() && self.stack.dense.is_none() && self.is_calibrated(name) {
            return Err(Error::Usage(
                "surgeons, wanda, hold-input and --repair refit look at the calibration images of a run: name a run folder, name the \
                 layers of a dense network with --dense and its images with --data, or prune these weights by stability, settle, hold \
                 or magnitude"
                    .into(),
            ));
        }
        Ok(name)
    }

    /// Whether calibration images are needed.
    pub(super) fn is_calibrated(&self, name: Method) -> bool {
        self.repairs(name) || Score::of_method(name, 1, false).is_some_and(Score::needs_norms)
    }

    /// Whether what stays is solved anew.
    pub(super) fn repairs(&self, name: Method) -> bool {
        name.is_surgeon() || self.repair == Some(Repair::Refit)
    }

    /// What decides over a history of so many epochs; 0 of weights without a history.
    pub(super) fn choice(&self, epochs: u32) -> Result<Choice> {
        let missing = |option: &str| Error::Usage(format!("this criterion needs {option}"));
        let name = self.criterion_name()?;
        let window = self.window.unwrap_or_else(|| headline_window(epochs));
        let keep_frozen = self.keep_frozen;
        let score = match (name, Score::of_method(name, window, keep_frozen)) {
            (_, Some(score)) => score,
            (Method::Surgeon, None) => return Ok(Choice::Surgeon(None)),
            (Method::HoldSurgeon, None) => {
                Score::Hold { window, keep_frozen }.validate(epochs)?;
                return Ok(Choice::Surgeon(Some(window)));
            }
            (Method::Stability, None) => {
                let tolerance = self.tolerance.ok_or_else(|| missing("--tolerance, e.g. 0.03"))?;
                let min_stability = self.min_stability.ok_or_else(|| missing("--min-stability, in epochs"))?;
                let reading = self.reading.reading();
                check_threshold(tolerance, min_stability, epochs)?;
                return Ok(Choice::Threshold { tolerance, min_stability, reading });
            }
            (_, None) => {
                return Err(Error::Usage(format!("{name} is no criterion of prune; see holdfast prune --help")));
            }
        };
        score.validate(epochs)?;
        Ok(Choice::Scored(score))
    }

    /// How much goes: one or several.
    pub(super) fn points(&self) -> Result<Vec<Point>> {
        if self.criterion_name()? == Method::Stability {
            return Ok(vec![Point::Threshold]);
        }
        let (option, values): (&str, Vec<f64>) = match (&self.sparsity, &self.smaller) {
            (Some(shares), _) => ("--sparsity", shares.iter().map(|&share| share.into()).collect()),
            (None, Some(times)) => ("--smaller", times.clone()),
            (None, None) => {
                return Err(Error::Usage(
                    "this criterion needs --sparsity, the share of weights to remove, e.g. 80%, or --smaller, how many times \
                     fewer weights are to stay, e.g. 4"
                        .into(),
                ));
            }
        };
        for (place, value) in values.iter().enumerate() {
            if values[..place].contains(value) {
                return Err(Error::Usage(format!("{option} names {value} twice; name each once")));
            }
        }
        // Impossible sizes are refused before anything is read.
        if option == "--smaller" {
            values.iter().try_for_each(|&times| removed_if_smaller(times, 1).map(|_| ()))?;
        }
        let point = if option == "--sparsity" { Point::Sparsity } else { Point::Smaller };
        Ok(values.into_iter().map(point).collect())
    }

    pub(super) fn settings<'a>(
        &'a self,
        criterion: Method,
        choice: Choice,
        scope: Scope,
        subjects: &'a Subjects,
    ) -> Settings<'a> {
        let (threshold, score, window) = match choice {
            Choice::Threshold { tolerance, min_stability, reading } => {
                (Some((tolerance, min_stability, reading)), None, None)
            }
            Choice::Scored(score) => (None, Some(score), score.window()),
            Choice::Surgeon(window) => (None, None, window),
        };
        Settings {
            criterion,
            layers: subjects.list.iter().map(|subject| subject.name.as_str()).collect(),
            scope: score.map(|_| scope),
            repair: self.repair.filter(|&repair| repair != Repair::Cut),
            base: self.base,
            polish: Some(self.polish).filter(|&steps| steps > 0),
            tolerance: threshold.map(|(tolerance, ..)| tolerance),
            min_stability: threshold.map(|(_, min_stability, _)| min_stability),
            window,
            keep_frozen: score.and(window).map(|_| self.keep_frozen),
            sparsity: self.shares(),
            smaller: self.smaller.as_deref(),
            reading: threshold.map(|(.., reading)| reading),
            stack: subjects.stack().map(StackPart::settings),
        }
    }

    pub(super) fn shares(&self) -> Option<Vec<f64>> {
        self.sparsity.as_ref().map(|shares| shares.iter().map(|&share| share.into()).collect())
    }
}
