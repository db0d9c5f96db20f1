//! Options that several commands share.

mod settings;
mod share;

use super::output;
use crate::data::{Fit, LoadOptions};
use crate::engine::Choice;
use crate::error::{Error, Result};
use crate::stability::{Against, Reading, ToleranceKind, Tracking};
use clap::Args;
pub(super) use settings::{ConfigurationFile, RunOptions, StudyOptions};
pub(super) use share::Share;
use std::path::PathBuf;

/// Which device, and how it is used.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct DeviceOptions {
    /// `auto`, `cpu`, an index, or part of a name as `holdfast devices` lists them.
    ///
    /// `auto` takes the first discrete, then integrated GPU, else the CPU engine.
    #[arg(long, value_name = "auto|cpu|INDEX|NAME", allow_negative_numbers = true)]
    pub(super) device: Option<String>,
    /// Threads of the CPU engine; all cores if not given. Changes no bit.
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<usize>,
    /// Keep bounds checks in the shaders.
    #[arg(long)]
    pub(super) checked_shaders: bool,
}

impl DeviceOptions {
    /// The device that is asked for.
    pub(super) fn choice(&self) -> Choice {
        Choice::parse(self.device.as_deref().unwrap_or("auto"))
    }

    /// Refuses impossible numbers.
    pub(super) fn validate(&self) -> Result<()> {
        if self.threads == Some(0) {
            return Err(Error::Usage("--threads 0 is not possible; leave it out to use all cores".into()));
        }
        Ok(())
    }

    /// The threads that are asked for, as many as make sense.
    pub(super) fn threads(&self, quiet: bool) -> Option<usize> {
        sensible_threads(self.threads, quiet)
    }
}

/// More threads than this for each core only wait for each other: starting thousands takes longer than the work.
const THREADS_A_CORE: usize = 8;

/// At most [`THREADS_A_CORE`] times the cores, with a notice where more are asked for.
pub(super) fn sensible_threads(asked: Option<usize>, quiet: bool) -> Option<usize> {
    let most = THREADS_A_CORE * std::thread::available_parallelism().map_or(1, usize::from);
    let asked = asked?;
    if asked > most && !quiet {
        output::note(&format!("notice: --threads {asked} is more than this machine has use for; {most} are started"));
    }
    Some(asked.min(most))
}

/// How much is said.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct OutputOptions {
    /// Print the result as JSON.
    #[arg(long)]
    pub(super) json: bool,
    /// Say nothing but results and errors.
    #[arg(long)]
    pub(super) quiet: bool,
    /// Say more: device limits, hashes, where time went.
    #[arg(short, long)]
    pub(super) verbose: bool,
}

impl OutputOptions {
    /// Says a line, unless asked to be quiet.
    pub(super) fn note(&self, text: &str) {
        if !self.quiet {
            output::note(text);
        }
    }

    /// Says what the user should know, unless asked to be quiet.
    pub(super) fn notices(&self, notices: &[String]) {
        notices.iter().for_each(|notice| self.note(&format!("notice: {notice}")));
    }
}

/// Whether all tables are printed, or what they say.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(super) struct FullOption {
    /// Print every table after the verdict; they are in the report, too.
    #[arg(long)]
    pub(super) full: bool,
}

/// Which device, how much is said, and where results go.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct FolderOptions {
    #[command(flatten)]
    pub(super) device: DeviceOptions,
    #[command(flatten)]
    pub(super) output: OutputOptions,
    /// Folder for the results; `runs/<command>-<hash>` if not given.
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
}

/// What every command that trains asks.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct RunArguments {
    #[command(flatten)]
    pub(super) run: RunOptions,
    #[command(flatten)]
    pub(super) file: ConfigurationFile,
    #[command(flatten)]
    pub(super) folder: FolderOptions,
    /// Start anew, whatever an earlier call has done.
    #[arg(long)]
    pub(super) fresh: bool,
    /// Say what would be done, how much memory, disk and time it takes, and stop.
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// What is made of images, for commands without a configuration; see [`ReadingOptions`].
#[derive(Args, Clone, Copy, Debug, Default)]
pub(super) struct ImageOptions {
    /// Seed of what is drawn or generated.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// Bring all images to N x N pixels; 100 for sc and xr, else as they are.
    #[arg(long, value_name = "N")]
    side: Option<usize>,
    /// How images are brought to that size.
    #[arg(long, value_enum)]
    fit: Option<Fit>,
    /// Read colours as gray. Without it a set is in colour if any pixel is; sc and xr are always gray.
    #[arg(long)]
    gray: bool,
    /// Hold out this share of each class for testing where a set has no test set of its own.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    test_share: Option<Share>,
}

impl ImageOptions {
    /// What is taken of a data set.
    pub(super) fn load_options(&self) -> LoadOptions {
        let all = LoadOptions::default();
        LoadOptions {
            side: self.side,
            fit: self.fit.unwrap_or_default(),
            gray: self.gray,
            test_share: self.test_share.map_or(all.test_share, f64::from),
            ..all
        }
    }
}

/// How magnitude stability is read, for commands without a configuration. [`RunOptions`] has the same options as its own
/// fields: flattened, serde would no longer say where a file has an unknown key.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(super) struct ReadingOptions {
    /// What is followed back through the epochs.
    #[arg(long, value_enum)]
    tracking: Option<Tracking>,
    /// Whether a tolerance is a share of the weight's magnitude or a distance.
    #[arg(long, value_enum)]
    tolerance_kind: Option<ToleranceKind>,
    /// Which value a weight is compared with.
    #[arg(long, value_enum)]
    against: Option<Against>,
}

impl ReadingOptions {
    /// Whether any of them was named.
    pub(super) fn is_given(self) -> bool {
        self.tracking.is_some() || self.tolerance_kind.is_some() || self.against.is_some()
    }

    /// The reading asked for; what is not named is as the protocol has it.
    pub(super) fn reading(self) -> Reading {
        Reading {
            tracking: self.tracking.unwrap_or_default(),
            tolerance_kind: self.tolerance_kind.unwrap_or_default(),
            against: self.against.unwrap_or_default(),
        }
    }
}
