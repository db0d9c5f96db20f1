//! What a measurement chooses on each device for each network: invocations of a workgroup, and steps of the first launch. Neither
//! moves a bit; what does is chosen by the kind of the device alone.
//!
//! The choice is measured once, in less than a second, and kept in the user's cache folder. A file that cannot be read, is of
//! another device or makes no sense is no error: the choice is measured again.

use crate::error::{Error, Result};
use crate::kernels::WORKGROUP_SIZES;
use crate::network::Architecture;
use crate::run_folder;
use data_encoding::HEXLOWER;
use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// No candidate is begun after this. Tests make up the times, and have all the time there is on a busy machine.
const MEASURING: Duration = if cfg!(test) { Duration::MAX } else { Duration::from_millis(700) };
/// Another candidate than the one that suits the kind of device must be so much faster: times are never quite the same.
const MARGIN: f64 = 0.95;
/// How long a launch should take; a driver's watchdog and someone who stops the program wait for no longer.
const LAUNCH: Duration = Duration::from_millis(50);

/// Where choices are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TuningStore {
    /// Nothing is measured and nothing is read: everything as it suits the kind of device.
    Off,
    /// Files in this folder, one for each device and network.
    Folder(PathBuf),
}

impl TuningStore {
    /// What the environment says: `HOLDFAST_TUNING` is `off` or a folder; without it the user's cache folder
    /// (`XDG_CACHE_HOME`, or what the platform has).
    pub fn of_environment() -> Self {
        match std::env::var_os("HOLDFAST_TUNING") {
            Some(value) if value == "off" => Self::Off,
            Some(folder) if !folder.is_empty() => Self::Folder(folder.into()),
            _ => etcetera::choose_base_strategy()
                .map_or(Self::Off, |base| Self::Folder(base.cache_dir().join("holdfast").join("tuning"))),
        }
    }
}

/// What is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TuningChoice {
    /// Invocations of a workgroup.
    pub workgroup_size: u32,
    /// Microseconds of a replica's step, as measured; 0 if it was not.
    pub replica_step_us: f64,
}

impl TuningChoice {
    /// How many steps of so many replicas the first submission should have: later ones follow the clock. The dense stack
    /// takes up to [`crate::kernels::dense_stack::MOST_STEPS`] of them in one launch.
    pub fn first_steps(self, replicas: usize) -> usize {
        let step = 1e-6 * self.replica_step_us * replicas as f64;
        if step > 0.0 { ((LAUNCH.as_secs_f64() / step) as usize).max(1) } else { 1 }
    }

    fn makes_sense(self) -> bool {
        WORKGROUP_SIZES.contains(&self.workgroup_size) && self.replica_step_us.is_finite() && self.replica_step_us > 0.0
    }
}

/// A choice, and how it was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tuning {
    /// The choice.
    pub choice: TuningChoice,
    /// How it was made, for people: measured now, read from which file, or none of both.
    pub origin: String,
    /// Microseconds of a replica's step by candidate, where it was measured now.
    pub measured: Vec<(String, f64)>,
}

/// What one file holds.
#[derive(Serialize, Deserialize)]
struct Stored {
    key: String,
    version: String,
    device: String,
    driver: String,
    choice: TuningChoice,
}

/// What a choice holds for: this version of the program, one device with its driver and variant, one network and batch.
pub(super) struct TuningKey<'a> {
    pub(super) device: &'a str,
    pub(super) driver: &'a str,
    pub(super) variant: &'a str,
    pub(super) architecture: &'a Architecture,
    pub(super) batch: usize,
}

impl TuningKey<'_> {
    /// SHA-256 of all of it, in hexadecimal.
    pub(super) fn key(&self) -> String {
        let mut hash = Sha256::new();
        let network = format!("{:?} batch {}", self.architecture, self.batch);
        for fact in [env!("CARGO_PKG_VERSION"), self.device, self.driver, self.variant, &network] {
            hash.update((fact.len() as u64).to_le_bytes());
            hash.update(fact);
        }
        HEXLOWER.encode(&hash.finalize())
    }

    fn path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.json", &self.key()[..16]))
    }

    /// The stored choice; what is wrong with the file otherwise, nothing if there is none.
    fn read(&self, folder: &Path) -> std::result::Result<Option<TuningChoice>, String> {
        let path = self.path(folder);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
        };
        match serde_json::from_slice::<Stored>(&bytes) {
            Err(error) => Err(format!("{} is damaged: {error}", path.display())),
            Ok(stored) if stored.key != self.key() => {
                Err(format!("{} is of another device or network", path.display()))
            }
            Ok(stored) if !stored.choice.makes_sense() => Err(format!("{} makes no sense", path.display())),
            Ok(stored) => Ok(Some(stored.choice)),
        }
    }

    fn write(&self, folder: &Path, choice: TuningChoice) -> Result<()> {
        let stored = Stored {
            key: self.key(),
            version: env!("CARGO_PKG_VERSION").into(),
            device: self.device.into(),
            driver: self.driver.into(),
            choice,
        };
        std::fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
        let text = serde_json::to_string_pretty(&stored)
            .map_err(|error| Error::Job(format!("the choice cannot be written as JSON: {error}")))?;
        run_folder::write(&self.path(folder), |file| file.write_all(format!("{text}\n").as_bytes()))
    }

    /// The choice for this subject: read, or measured by `seconds`, which gives the time of a replica's step with a choice, and kept.
    /// `usual` is what suits the kind of device.
    pub(super) fn tune(
        &self,
        store: &TuningStore,
        usual: TuningChoice,
        seconds: impl FnMut(TuningChoice) -> Result<f64>,
    ) -> Result<Tuning> {
        let TuningStore::Folder(folder) = store else {
            return Ok(Tuning {
                choice: usual,
                origin: "as usual for this kind of device".into(),
                measured: Vec::new(),
            });
        };
        let mut origin = match self.read(folder) {
            Ok(Some(choice)) => {
                let origin = format!("read from {}", self.path(folder).display());
                return Ok(Tuning { choice, origin, measured: Vec::new() });
            }
            Ok(None) => "measured now".to_string(),
            Err(problem) => format!("measured now, since {problem}"),
        };
        let (choice, measured) = fastest(usual, seconds)?;
        origin += &match self.write(folder, choice) {
            Ok(()) => format!("; kept in {}", self.path(folder).display()),
            Err(error) => format!("; not kept: {error}"),
        };
        Ok(Tuning { choice, origin, measured })
    }
}

/// Tries candidates until the time is up: first the usual one, then other workgroups.
fn fastest(
    usual: TuningChoice,
    mut seconds: impl FnMut(TuningChoice) -> Result<f64>,
) -> Result<(TuningChoice, Vec<(String, f64)>)> {
    let started = Instant::now();
    let mut measured = Vec::new();
    let mut time = |choice: TuningChoice| -> Result<f64> {
        let seconds = seconds(choice)?;
        measured.push((format!("{} invocations", choice.workgroup_size), 1e6 * seconds));
        Ok(seconds)
    };
    let mut best = (usual, time(usual)?);
    let mut bar = MARGIN * best.1;
    let sizes = WORKGROUP_SIZES.iter().filter(|&&size| size != usual.workgroup_size);
    let others = sizes.map(|&workgroup_size| TuningChoice { workgroup_size, ..usual });
    for other in others {
        if started.elapsed() > MEASURING {
            break;
        }
        if let Some(seconds) = possible(time(other))?
            && seconds < bar
        {
            (best, bar) = ((other, seconds), seconds);
        }
    }
    let (choice, seconds) = best;
    Ok((TuningChoice { replica_step_us: 1e6 * seconds, ..choice }, measured))
}

/// A candidate that the device refuses is none; a lost device is an error.
fn possible(seconds: Result<f64>) -> Result<Option<f64>> {
    match seconds {
        Ok(seconds) => Ok(Some(seconds)),
        Err(Error::Shape(_) | Error::OutOfMemory(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: TuningChoice = TuningChoice { workgroup_size: 64, replica_step_us: 0.0 };

    fn architecture() -> Architecture {
        let convolutions = Architecture::paper_convolutions(2);
        Architecture { convolutions, ..Architecture::dnn(8, 8, [8; 2], 10) }
    }

    fn subject(architecture: &Architecture) -> TuningKey<'_> {
        TuningKey { device: "card", driver: "1.0", variant: "wgsl", architecture, batch: 32 }
    }

    /// 32 invocations are fastest.
    fn clock(choice: TuningChoice) -> Result<f64> {
        Ok((f64::from(choice.workgroup_size) - 32.0).abs() + 1.0)
    }

    #[test]
    fn the_fastest_is_chosen_once_and_then_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = TuningStore::Folder(folder.path().join("tuning"));
        let architecture = architecture();
        let subject = subject(&architecture);
        let tuned = subject.tune(&store, USUAL, clock).unwrap();
        assert_eq!(tuned.choice, TuningChoice { workgroup_size: 32, replica_step_us: 1e6 });
        assert_eq!(tuned.measured.len(), 4);
        assert!(tuned.origin.starts_with("measured now; kept in"), "{}", tuned.origin);
        let again = subject.tune(&store, USUAL, |_| panic!("measured twice")).unwrap();
        assert_eq!(again.choice, tuned.choice);
        assert!(again.origin.starts_with("read from"), "{}", again.origin);
        let other = TuningKey { batch: 33, ..subject };
        assert!(other.tune(&store, USUAL, clock).unwrap().origin.starts_with("measured now"), "another batch");
    }

    #[test]
    fn a_file_that_is_broken_foreign_or_senseless_is_measured_anew() {
        let folder = tempfile::tempdir().unwrap();
        let store = TuningStore::Folder(folder.path().into());
        let architecture = architecture();
        let subject = subject(&architecture);
        let kept = subject.tune(&store, USUAL, clock).unwrap().choice;
        let path = subject.path(folder.path());
        let whole = std::fs::read_to_string(&path).unwrap();
        let foreign = whole.replace(&subject.key(), "0");
        let senseless = whole.replace("32,", "33,");
        assert!(foreign != whole && senseless != whole, "{whole}");
        for (text, problem) in [("{", "damaged"), (&foreign, "another device"), (&senseless, "no sense")] {
            std::fs::write(&path, text).unwrap();
            let tuned = subject.tune(&store, USUAL, clock).unwrap();
            assert_eq!(tuned.choice, kept);
            assert!(tuned.origin.contains(problem), "{problem}: {}", tuned.origin);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), whole, "mended");
        }
    }

    #[test]
    fn a_store_that_cannot_be_written_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "no folder").unwrap();
        let architecture = architecture();
        let tuned = subject(&architecture).tune(&TuningStore::Folder(file.join("tuning")), USUAL, clock).unwrap();
        assert!(tuned.choice.workgroup_size == 32 && tuned.origin.contains("not kept"), "{}", tuned.origin);
    }

    #[test]
    fn without_a_store_nothing_is_measured() {
        let architecture = architecture();
        let tuned = subject(&architecture).tune(&TuningStore::Off, USUAL, |_| panic!("measured")).unwrap();
        assert_eq!((tuned.choice, tuned.measured.len()), (USUAL, 0));
    }

    #[test]
    fn a_little_faster_is_no_reason_to_change() {
        let folder = tempfile::tempdir().unwrap();
        let architecture = architecture();
        let clock = |choice: TuningChoice| Ok(if choice == USUAL { 1.0 } else { 0.97 });
        let tuned = subject(&architecture).tune(&TuningStore::Folder(folder.path().into()), USUAL, clock).unwrap();
        assert_eq!(tuned.choice, TuningChoice { replica_step_us: 1e6, ..USUAL });
    }

    #[test]
    fn a_candidate_that_the_device_refuses_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let architecture = architecture();
        let clock = |choice: TuningChoice| {
            if choice.workgroup_size == 32 { Err(Error::Shape("too many iterations".into())) } else { clock(choice) }
        };
        let tuned = subject(&architecture).tune(&TuningStore::Folder(folder.path().into()), USUAL, clock).unwrap();
        assert_eq!(tuned.choice.workgroup_size, 8);
    }

    #[test]
    fn the_first_launch_has_as_many_steps_as_fit_its_time() {
        let steps = |replica_step_us, replicas| TuningChoice { replica_step_us, ..USUAL }.first_steps(replicas);
        assert_eq!((steps(100.0, 10), steps(100.0, 1), steps(1e9, 1), steps(0.0, 10)), (50, 500, 1, 1));
    }
}
