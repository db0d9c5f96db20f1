//! A ladder: one formula, and texts for it from the naive one to the fast one, each timed beside what was to be expected.

use super::Text;
use super::ladders;
use super::problem::Arrays;
pub use super::steps::{Ladder, Step};
use super::steps::{Rung, Sizes};
use crate::check::Report;
use crate::clock::{Turns, by_turns};
use crate::error::{Error, Result};
use crate::gpu::{BoundKernel, Gpu, Launch, Program};
use crate::lab::{CopyProbe, measure, peak_operations};
use crate::statistics::spread::Spread;
use std::time::Duration;

/// One launch is repeated for about this long in each turn of its step.
const MEASUREMENT: Duration = Duration::from_millis(30);
/// How often all steps are timed, in turn: whatever else runs on the machine meets them alike.
const TURNS: Turns = Turns { rounds: 25, within: Duration::from_secs(10), enough: 0.02 };

/// All ladders.
pub const LADDERS: &[&Ladder] = &[
    &ladders::dense::LADDER,
    &ladders::conv2d::LADDER,
    &ladders::magnitude_sort::LADDER,
    &ladders::stability::LADDER,
    &ladders::gram::LADDER,
];

/// The launches of a step.
type Launches = Vec<(BoundKernel, [u32; 3])>;

/// Time of all launches of a step together, each by itself.
fn time_of(gpu: &Gpu, launches: &Launches) -> Result<Duration> {
    let one = |(bound, workgroups): &(BoundKernel, [u32; 3])| {
        let launch = Launch { bound: bound.clone(), workgroups: *workgroups, record: None, time: None };
        measure(gpu, &launch, MEASUREMENT)
    };
    launches.iter().map(one).sum()
}

/// What a device can do at most.
#[derive(Clone, Copy, Debug)]
pub struct Peak {
    /// Operations a second, two for each multiply-add.
    pub operations: f64,
    /// Bytes a second of a copy as large as the problem.
    pub bytes: f64,
    /// What a launch takes at least.
    pub launch: Duration,
}

/// What sets the least time of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binds {
    /// Its arithmetic.
    Arithmetic,
    /// Moving its bytes.
    Memory,
    /// Its launches.
    Launches,
}

impl Binds {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Arithmetic => "arithmetic",
            Self::Memory => "memory",
            Self::Launches => "launches",
        }
    }
}

/// What is to be expected of a step before it is measured.
#[derive(Clone, Copy, Debug)]
pub struct Prediction {
    /// Operations, two for each multiply-add, one for each comparison.
    pub operations: f64,
    /// Bytes that a GPU fetches and stores.
    pub bytes: f64,
    /// Launches.
    pub launches: usize,
    /// The least time of the three.
    pub least: Duration,
    /// What sets it.
    pub binds: Binds,
}

/// What a step came to.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Seconds of all its launches.
    pub seconds: Spread,
    /// Its operations a second as a share of the device's.
    pub share: f64,
    /// How many times as fast as the step before it; nothing for the first.
    pub gain: Option<Spread>,
    /// How many times as fast as the first step; nothing for the first.
    pub over_first: Option<Spread>,
}

impl Measured {
    /// Whether the step was worth taking on this device: whether it is faster than the step before for certain.
    pub fn helped(&self) -> bool {
        self.gain.is_none_or(|gain| gain.low > 1.0)
    }
}

/// What one wants to hear of while a ladder is climbed.
pub trait Listener {
    /// The sizes, and what the device can do at most.
    fn begins(&mut self, sizes: &str, peak: &Peak) -> Result<()>;
    /// What is to be expected of a step: of each in turn, before any is measured.
    fn expects(&mut self, step: &Step, prediction: &Prediction) -> Result<()>;
    /// What was found of a step: of each in turn, after all were measured.
    fn found(&mut self, step: &Step, prediction: &Prediction, measured: &Measured) -> Result<()>;
}

/// The ladder of a family, if it has one.
pub fn of_family(family: &str) -> Option<&'static Ladder> {
    LADDERS.iter().copied().find(|ladder| ladder.family == family)
}

/// Checks every step of every ladder on its cases. Fails only where the device does.
pub fn check(gpu: &Gpu) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for ladder in LADDERS {
        reports.extend(ladder.check(gpu)?);
    }
    Ok(reports)
}

impl Ladder {
    /// The texts of all steps.
    pub fn texts(&self) -> impl Iterator<Item = &'static Text> {
        self.steps.iter().flat_map(|step| step.rungs).map(|rung| &rung.text)
    }

    /// Checks every step on the cases: that it gives what the twin gives, and writes all and only its output.
    ///
    /// Fails only where the device does.
    pub fn check(&self, gpu: &Gpu) -> Result<Vec<Report>> {
        let mut reports = Vec::new();
        for sizes in (self.cases)() {
            let problem = (self.problem)(&sizes);
            for step in self.steps {
                let arrays = problem.upload(gpu)?;
                arrays.run(&step.launches(gpu, &sizes, &arrays)?)?;
                reports.extend(problem.check(step.text().name, &arrays)?);
            }
        }
        Ok(reports)
    }

    /// Checks every step on this device and says what is to be expected of it, then times all of them in turn.
    ///
    /// Fails where the device does, with [`Error::SelfCheck`] where a step is wrong, and as `listener` does.
    pub fn climb(&self, gpu: &Gpu, listener: &mut dyn Listener) -> Result<()> {
        let sizes = (self.timed)(gpu.is_software());
        let problem = (self.problem)(&sizes);
        let copies = CopyProbe::new(gpu)?;
        let launch = copies.launch_time(gpu)?;
        let bytes = copies.bytes_per_second(gpu, problem.upload(gpu)?.bytes(), launch)?;
        let peak = Peak { operations: peak_operations(gpu)?, bytes, launch };
        let named: Vec<String> = self.sizes.iter().zip(&sizes).map(|(name, size)| format!("{size} {name}")).collect();
        listener.begins(&named.join(", "), &peak)?;
        let mut ready = Vec::new();
        for step in self.steps {
            let prediction = self.predict(step, &sizes, &peak);
            listener.expects(step, &prediction)?;
            let arrays = problem.upload(gpu)?;
            let launches = step.launches(gpu, &sizes, &arrays)?;
            arrays.run(&launches)?;
            if let Some(report) = problem.check(step.text().name, &arrays)?.iter().find(|report| !report.passed) {
                let device = &gpu.description().name;
                return Err(Error::SelfCheck(format!(
                    "{report} on {device}; update the driver, or take another --device"
                )));
            }
            ready.push((prediction, launches));
        }
        let taken = by_turns(ready.len(), TURNS, |place| Ok(time_of(gpu, &ready[place].1)?.as_secs_f64()))?;
        for (place, (step, (prediction, _))) in self.steps.iter().zip(&ready).enumerate() {
            let seconds = Spread::of(&taken[place]).unwrap_or_default();
            let share = prediction.operations / seconds.median / peak.operations;
            let faster = |other: usize| Spread::of_ratios(&taken[other], &taken[place]);
            let gain = place.checked_sub(1).and_then(faster);
            let over_first = if place == 0 { None } else { faster(0) };
            listener.found(step, prediction, &Measured { seconds, share, gain, over_first })?;
        }
        Ok(())
    }

    fn predict(&self, step: &Step, sizes: &Sizes, peak: &Peak) -> Prediction {
        let (operations, bytes, launches) = ((self.operations)(sizes), (step.bytes)(sizes), step.rungs.len());
        let least = [
            (operations / peak.operations, Binds::Arithmetic),
            (bytes / peak.bytes, Binds::Memory),
            (launches as f64 * peak.launch.as_secs_f64(), Binds::Launches),
        ];
        let most = |most: (f64, Binds), next: (f64, Binds)| if next.0 > most.0 { next } else { most };
        let (seconds, binds) = least.into_iter().fold((0.0, Binds::Launches), most);
        Prediction { operations, bytes, launches, least: Duration::from_secs_f64(seconds), binds }
    }
}

impl Step {
    /// The text that the step is about: the one of its name.
    pub fn text(&self) -> &'static Text {
        let about = self.rungs.iter().find(|rung| rung.text.name.ends_with(&format!("/{}", self.name)));
        // A test holds every step to it; the last text is the one that writes the output.
        &about.unwrap_or(&self.rungs[self.rungs.len() - 1]).text
    }

    fn launches(&self, gpu: &Gpu, sizes: &Sizes, arrays: &Arrays<'_>) -> Result<Launches> {
        let launch = |rung: &Rung| {
            let program = Program::trusted(rung.text.name, rung.text.wgsl)?;
            Ok((arrays.bind(&program, &program.compile(gpu)?)?, (rung.grid)(sizes)))
        };
        self.rungs.iter().map(launch).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::catalogue::SHADERS;
    use std::collections::BTreeSet;

    #[test]
    fn every_text_of_a_ladder_stands_in_its_folder_and_is_named_by_its_header() {
        let mut named = BTreeSet::new();
        for ladder in LADDERS {
            assert!(SHADERS.iter().any(|shader| shader.name.starts_with(&format!("{}.", ladder.family))));
            for step in ladder.steps {
                assert!(step.text().name.ends_with(&format!("{}/{}", ladder.family, step.name)), "{}", step.name);
                for rung in step.rungs {
                    assert!(rung.text.wgsl.starts_with(&format!("// {}: ", rung.text.name)), "{}", rung.text.name);
                    named.insert(format!("{}.wgsl", rung.text.name));
                }
            }
            assert_eq!(ladder.sizes.len(), (ladder.timed)(true).len());
        }
        let files = |ladder: &&Ladder| std::fs::read_dir(format!("lessons/{}", ladder.family)).unwrap();
        let found: BTreeSet<String> =
            LADDERS.iter().flat_map(files).map(|file| file.unwrap().path().display().to_string()).collect();
        assert_eq!(named, found);
    }

    #[test]
    fn a_step_helped_only_if_it_is_faster_than_the_one_before_for_certain() {
        let helped = |ratios: &[f64]| {
            let gain = Spread::of(ratios);
            Measured { seconds: Spread::default(), share: 0.0, gain, over_first: gain }.helped()
        };
        assert!(helped(&[]) && helped(&[1.1, 1.2]));
        assert!(!helped(&[0.9, 1.2, 1.3]) && !helped(&[0.5, 0.6]));
    }
}
