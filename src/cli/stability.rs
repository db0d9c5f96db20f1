//! `holdfast stability`: magnitude stability of any history.

use super::options::{FolderOptions, OutputOptions, ReadingOptions};
use super::output;
use super::run::{begin, finish, open_engine};
use crate::error::{Error, Result};
use crate::stability::import::{Axes, ImportedHistory, read_history};
use crate::stability::summary::{ToleranceSummary, summarise};
use crate::stability::{Against, Reading, Stability, WindowedEnvelope, envelope, magnitude};
use crate::study::numbers::{significant, thousands};
use crate::study::recorded::RecordedRun;
use crate::study::records::{LayerAxes, write_envelope, write_stability};
use crate::training;
use clap::Args;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Arguments of `stability`.
#[derive(Args)]
pub(super) struct StabilityArguments {
    /// A run folder, or a history from any program: .npy, .npz or .safetensors, or a folder with a file for each epoch.
    ///
    /// Arrays or files that are numbered are an epoch each. `-` reads standard input. Two axes are [epoch, weight]; of more
    /// --axes says what they are.
    #[arg(value_name = "FILE|RUN")]
    source: PathBuf,
    #[command(flatten)]
    array: HistoryOptions,
    /// Tolerances, separated by commas.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NUMBER",
        allow_negative_numbers = true,
        default_value = "0.01,0.03,0.05"
    )]
    tolerance: Vec<f64>,
    /// Windows of last epochs, separated by commas; 2, 5, 10, 20, 50, half of the epochs and all if not given.
    #[arg(long, value_delimiter = ',', value_name = "EPOCHS")]
    window: Option<Vec<u32>>,
    #[command(flatten)]
    reading: ReadingOptions,
    #[command(flatten)]
    folder: FolderOptions,
}

/// Which array of a file is the history, and what its axes are.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct HistoryOptions {
    /// Name of the array that holds the history, where a file has several, or of the tensor of each epoch.
    #[arg(long, value_name = "NAME")]
    history_key: Option<String>,
    /// What the axes are, in their order: `epoch`, `replica` if there are several networks, any names for those of the layer.
    ///
    /// For example epoch,out,in or epoch,replica,weight. Needed where an array has three axes or more; epochs that come from
    /// the names of arrays or files count as one.
    #[arg(long, value_name = "NAMES", conflicts_with = "no_replica_axis")]
    axes: Option<String>,
    /// Short for --axes with an `epoch` and no `replica`: all axes but the first belong to the one network's layer.
    #[arg(long)]
    no_replica_axis: bool,
}

impl HistoryOptions {
    /// Reads the history of a run folder, a file, or a folder of files.
    pub(super) fn read(&self, path: &Path) -> Result<ImportedHistory> {
        let is_run = ["manifest.json", "history.npz", "cells"].iter().any(|name| path.join(name).exists());
        if is_run {
            self.refuse_for_run(path)?;
            return RecordedRun::open(path)?.history();
        }
        let axes = match &self.axes {
            Some(names) => Axes::parse(names)?,
            None if self.no_replica_axis => Axes::OneNetwork,
            None => Axes::Unknown,
        };
        read_history(path, self.history_key.as_deref(), &axes)
    }

    /// Fails with [`Error::Usage`] if something is said about a history whose arrays and axes are known.
    pub(super) fn refuse_for_run(&self, run: &Path) -> Result<()> {
        if self.history_key.is_none() && self.axes.is_none() && !self.no_replica_axis {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "{} is a run folder, whose history and axes are known; leave --history-key, --axes and --no-replica-axis out",
            run.display()
        )))
    }
}

/// Says how a history was read.
pub(super) fn announce_history(path: &Path, read: &ImportedHistory, say: &OutputOptions) {
    say.note(&format!("{}: {}", path.display(), read.describe()));
    say.notices(&read.notices);
}

/// Everything that can move a bit of the result, besides device and history.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Settings<'a> {
    weight_axes: &'a [usize],
    tolerance: &'a [f64],
    window: &'a [u32],
    #[serde(flatten)]
    reading: Reading,
}

pub(super) fn run(arguments: &StabilityArguments) -> Result<()> {
    let StabilityArguments { tolerance, folder: FolderOptions { device, output: say, out }, .. } = arguments;
    let reading = arguments.reading.reading();
    magnitude::check_tolerances(tolerance)?;
    let read = arguments.array.read(&arguments.source)?;
    let shape = read.history.shape();
    let windows = envelope::windows(arguments.window.as_deref(), shape.epochs as u32)?;
    announce_history(&arguments.source, &read, say);
    let mut engine = open_engine(device, say.quiet)?;

    let checksums = BTreeMap::from([("history".to_string(), training::hash(read.history.weights()))]);
    let settings = Settings { weight_axes: &read.weight_axes, tolerance, window: &windows, reading };
    let (folder, mut manifest) =
        begin(out.as_deref(), "stability", &settings, engine.description(), checksums.clone(), &checksums)?;

    let started = Instant::now();
    let stability = Stability::count(&mut engine, &read.history, tolerance, reading)?;
    manifest.wall_times.insert("count".into(), started.elapsed().as_secs_f64());
    let started = Instant::now();
    let extremes = WindowedEnvelope::new(&mut engine, &read.history, &windows)?;
    manifest.wall_times.insert("envelope".into(), started.elapsed().as_secs_f64());
    let path = |name: &str| folder.file(name);
    let axes = LayerAxes { layer: &read.layer, sizes: &read.weight_axes, names: &read.weight_axis_names };
    let files = [
        write_stability(&path, axes, &read.history, &stability)?,
        write_envelope(&path, axes, &read.history, &extremes)?,
    ];
    finish(&folder, &mut manifest)?;

    let frozen = extremes.frozen.iter().filter(|&&frozen| frozen).count();
    let summaries = summarise(&read.history, &stability);
    let named: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "npz")) {
        say.notices(&[format!("above a million rows: arrays in {} instead of a table", file.display())]);
    }
    if say.json {
        return output::json(&json!({
            "epochs": shape.epochs,
            "replicas": shape.replicas,
            "weights": shape.weight_count,
            "weight_axes": read.weight_axes,
            "weight_axis_names": read.weight_axis_names,
            "reading": reading,
            "device": engine.description(),
            "configuration_hash": manifest.configuration_hash,
            "tolerances": summaries,
            "windows": windows,
            "frozen_weights": frozen,
            "notices": read.notices,
            "files": named,
        }));
    }
    let mut text = format!(
        "{}; followed by {}, {} tolerance, against the {}\n",
        read.describe(),
        reading.tracking.name(),
        reading.tolerance_kind.name(),
        match reading.against {
            Against::Last => "last epoch",
            Against::Previous => "epoch after",
        }
    );
    for summary in &summaries {
        text += &line(summary, shape.epochs);
    }
    text += &format!(
        "frozen weights: {} of {} ({:.1} %)\n",
        thousands(frozen as i64),
        thousands(shape.columns() as i64),
        frozen as f64 * 100.0 / shape.columns() as f64
    );
    output::result(&format!("{text}Files: {}\n", named.join(", ")))
}

/// One tolerance: mean ± sd of MS, stable weights at a few epochs, how many thresholds differ.
fn line(summary: &ToleranceSummary, epochs: usize) -> String {
    let mut shown = vec![1, epochs.div_ceil(4), epochs.div_ceil(2), (3 * epochs).div_ceil(4), epochs];
    shown.dedup();
    let stable: Vec<String> = shown.iter().map(|&epoch| significant(summary.stable_weights[epoch - 1])).collect();
    let shown: Vec<String> = shown.iter().map(usize::to_string).collect();
    let (fewest, most) = (summary.fewest_distinct_thresholds, summary.most_distinct_thresholds);
    let distinct = if fewest == most { most.to_string() } else { format!("{fewest} to {most}") };
    format!(
        "tolerance {}: stability {:.1}{} of {epochs} epochs · stable weights {} at epoch {} · {distinct} of {epochs} thresholds \
         give different masks\n",
        summary.tolerance,
        summary.mean,
        summary.sd.map(|sd| format!(" ± {sd:.1}")).unwrap_or_default(),
        stable.join(", "),
        shown.join(", "),
    )
}
