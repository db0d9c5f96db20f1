//! `holdfast stability`: magnitude stability of any history.

use super::options::{FolderOptions, OutputOptions, ReadingOptions};
use super::output;
use super::run::{begin, finish, open_engine};
use crate::engine::HistoryShape;
use crate::error::{Error, Result};
use crate::numbers::{significant, thousands};
use crate::run::recorded::RecordedRun;
use crate::run_folder::listed;
use crate::stability::import::{Axes, Histories, describe, find};
use crate::stability::summary::{Tally, ToleranceSummary};
use crate::stability::weight_tables::{EnvelopeTable, StabilityTable, TableLayer};
use crate::stability::{
    Against, History, Reading, Stability, TensorHistory, Tracking, WindowedEnvelope, envelope, magnitude,
};
use crate::training::NumberHash;
use clap::Args;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Arguments of `stability`.
#[derive(Args)]
pub(super) struct StabilityArguments {
    /// A run folder, or a history from any program: .npy, .npz or .safetensors, or a folder with a file for each epoch.
    ///
    /// Arrays or files that are numbered are an epoch each. `-` reads standard input. Two axes are [epoch, weight]; of more
    /// --axes says what they are.
    #[arg(value_name = "FILE|RUN")]
    source: PathBuf,
    /// The tensors to count, where there are several: names of the file, or `all`; of a run the focus layer if not given.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    layers: Option<Vec<String>>,
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

/// Names in a message.
const SHOWN: usize = 12;

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
    /// Reads the history of a run folder, a file, or a folder of files; of several tensors those that `layers` names.
    pub(super) fn read(&self, path: &Path, layers: Option<&[String]>) -> Result<ReadHistories> {
        let is_run = ["manifest.json", "history.npz", "cells"].iter().any(|name| path.join(name).exists());
        if is_run {
            self.refuse_for_run(path)?;
            let run = RecordedRun::open(path)?;
            let recorded = run.histories()?;
            let mut tensors = Vec::new();
            for name in run.chosen(layers, &recorded)? {
                let tensor = recorded.iter().find(|tensor| tensor.name == name);
                tensors.push(tensor.cloned().ok_or_else(|| {
                    let names: Vec<String> = recorded.iter().map(|tensor| tensor.name.clone()).collect();
                    Error::Usage(format!(
                        "{name} was not recorded; {} has the history of {}",
                        path.display(),
                        listed(SHOWN, &names)
                    ))
                })?);
            }
            return ReadHistories { tensors, notices: Vec::new(), is_named: true, is_run }.checked();
        }
        let axes = self.axes()?;
        let mut histories = self.open(path)?;
        let Some(layers) = layers else {
            histories.check_one()?;
            let notices = histories.notices().to_vec();
            let tensors = vec![histories.tensor(0, &axes)?];
            return Ok(ReadHistories { tensors, notices, is_named: false, is_run });
        };
        let chosen = chosen(layers, &histories.names(), &path.display().to_string())?;
        let notices = histories.notices().to_vec();
        let tensors = chosen.into_iter().map(|index| histories.tensor(index, &axes)).collect::<Result<_>>()?;
        ReadHistories { tensors, notices, is_named: true, is_run }.checked()
    }

    /// Opens the histories of a file or of a folder of files.
    pub(super) fn open<'a>(&self, path: &'a Path) -> Result<Histories<'a>> {
        Histories::open(path, self.history_key.as_deref(), &self.axes()?)
    }

    /// What is said of the axes.
    pub(super) fn axes(&self) -> Result<Axes> {
        match &self.axes {
            Some(names) => Axes::parse(names),
            None if self.no_replica_axis => Ok(Axes::OneNetwork),
            None => Ok(Axes::Unknown),
        }
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

/// The histories of one tensor or of several, of equally many epochs and replicas.
pub(super) struct ReadHistories {
    pub(super) tensors: Vec<TensorHistory>,
    /// What the user should know of the file.
    notices: Vec<String>,
    /// Whether tables name the tensors.
    is_named: bool,
    is_run: bool,
}

impl ReadHistories {
    fn checked(self) -> Result<Self> {
        check_alike(&self.tensors)?;
        Ok(self)
    }

    /// Says how they were read.
    fn announce(&self, path: &Path, say: &OutputOptions) {
        for tensor in &self.tensors {
            announce_history(path, tensor, self.is_named, say);
        }
        say.notices(&self.notices);
    }

    fn all_notices(&self) -> Vec<String> {
        self.notices.iter().chain(self.tensors.iter().flat_map(|tensor| &tensor.notices)).cloned().collect()
    }

    /// What tables say of each of them.
    fn table_layers(&self) -> Vec<TableLayer> {
        let layer = |tensor: &TensorHistory| TableLayer {
            name: match (self.is_named, self.is_run) {
                (false, _) => String::new(),
                (true, false) => tensor.name.clone(),
                (true, true) => tensor.name.split('.').next().unwrap_or_default().into(),
            },
            shape: tensor.shape,
            axes: tensor.weight_axes.clone(),
            axis_names: tensor.weight_axis_names.clone(),
        };
        self.tensors.iter().map(layer).collect()
    }
}

/// Fails with [`Error::Data`] unless all tensors have equally many epochs and replicas.
pub(super) fn check_alike<'a>(tensors: impl IntoIterator<Item = &'a TensorHistory>) -> Result<()> {
    let mut tensors = tensors.into_iter();
    let Some(first) = tensors.next() else { return Ok(()) };
    let sizes = |tensor: &TensorHistory| (tensor.shape.epochs, tensor.shape.replicas);
    match tensors.find(|other| sizes(other) != sizes(first)) {
        Some(other) => Err(Error::Data(format!(
            "{} has {} epochs of {} replicas, and {} has {} of {}; a history needs every epoch of every tensor, record them \
             together or name fewer --layers",
            first.name, first.shape.epochs, first.shape.replicas, other.name, other.shape.epochs, other.shape.replicas
        ))),
        None => Ok(()),
    }
}

/// The places of the tensors that `--layers` names; `all` are all, and `fc1` is `fc1.weight` too.
pub(super) fn chosen(layers: &[String], names: &[String], whose: &str) -> Result<Vec<usize>> {
    if layers.iter().all(|layer| layer.is_empty()) {
        return Err(Error::Usage(
            "--layers names none; write --layers all, or names of the file with commas between".into(),
        ));
    }
    if layers == ["all"] {
        return Ok((0..names.len()).collect());
    }
    let mut chosen = Vec::new();
    for layer in layers {
        let weight = format!("{layer}.weight");
        let place = match names.iter().position(|name| *name == weight) {
            Some(place) if !names.contains(layer) => place,
            _ => find(layer, names, whose)?,
        };
        if chosen.contains(&place) {
            return Err(Error::Usage(format!("--layers names {} twice; name each once", names[place])));
        }
        chosen.push(place);
    }
    Ok(chosen)
}

/// Says how a history was read.
pub(super) fn announce_history(path: &Path, read: &TensorHistory, is_named: bool, say: &OutputOptions) {
    let name = if is_named && !read.name.is_empty() { format!(", {}", read.name) } else { String::new() };
    let stays = match read.in_memory() {
        Some(_) => "",
        None => "; it is larger than 256 MB, and is read from the file in blocks",
    };
    say.note(&format!("{}{name}: {}{stays}", path.display(), read.describe()));
    say.notices(&read.notices);
}

/// Name and value of what tells these histories from others: the hash of all numbers, or, where some stay in their file, of
/// their sizes, first and last epochs.
pub(super) fn checksum<'a>(tensors: impl Iterator<Item = &'a TensorHistory> + Clone) -> Result<(String, String)> {
    let mut hash = NumberHash::default();
    let is_whole = tensors.clone().all(|tensor| tensor.in_memory().is_some());
    for tensor in tensors {
        match tensor.in_memory() {
            Some(history) => hash.add(history.weights()),
            None => {
                let HistoryShape { epochs, replicas, weight_count } = tensor.shape;
                hash.add(&[epochs, replicas, weight_count].map(|size| size as f32));
                hash.add(&tensor.epoch(0)?);
                hash.add(&tensor.epoch(epochs - 1)?);
            }
        }
    }
    let name = if is_whole { "history" } else { "history-sizes-first-and-last-epoch" };
    Ok((name.into(), hash.finish()))
}

/// Everything that can move a bit of the result, besides device and history.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Settings<'a> {
    layers: Vec<&'a str>,
    weight_axes: Vec<&'a [usize]>,
    tolerance: &'a [f64],
    window: &'a [u32],
    #[serde(flatten)]
    reading: Reading,
}

pub(super) fn run(arguments: &StabilityArguments) -> Result<()> {
    let StabilityArguments { tolerance, folder: FolderOptions { device, output: say, out }, .. } = arguments;
    let reading = arguments.reading.reading();
    magnitude::check_tolerances(tolerance)?;
    let read = arguments.array.read(&arguments.source, arguments.layers.as_deref())?;
    let Some(first) = read.tensors.first() else {
        return Err(Error::Data(format!("{} holds no history", arguments.source.display())));
    };
    let shape = first.shape;
    let windows = envelope::windows(arguments.window.as_deref(), shape.epochs as u32)?;
    read.announce(&arguments.source, say);
    let mut engine = open_engine(device, say.quiet)?;

    let layers = read.table_layers();
    let checksums = BTreeMap::from([checksum(read.tensors.iter())?]);
    let settings = Settings {
        layers: layers.iter().map(|layer| layer.name.as_str()).collect(),
        weight_axes: layers.iter().map(|layer| layer.axes.as_slice()).collect(),
        tolerance,
        window: &windows,
        reading,
    };
    let (folder, mut manifest) =
        begin(out.as_deref(), "stability", &settings, engine.description(), checksums.clone(), &checksums)?;

    let path = |name: &str| folder.file(name);
    let mut counted = StabilityTable::new(&path, &layers, tolerance)?;
    let mut enveloped = EnvelopeTable::new(&path, &layers, &windows)?;
    let mut tally = Tally::new(tolerance, shape.epochs, shape.replicas);
    let (mut frozen, mut times) = (0, [Duration::ZERO; 2]);
    for (layer, tensor) in read.tensors.iter().enumerate() {
        let mut count = |block: &History, first: usize| {
            let started = Instant::now();
            let stability = Stability::count(&mut engine, block, tolerance, reading)?;
            times[0] += started.elapsed();
            tally.add(first / tensor.shape.weight_count, block.shape(), &stability);
            counted.add(layer, first, block, &stability)?;
            let started = Instant::now();
            let extremes = WindowedEnvelope::new(&mut engine, block, &windows)?;
            times[1] += started.elapsed();
            frozen += extremes.frozen.iter().filter(|&&frozen| frozen).count();
            enveloped.add(layer, first, block, extremes)
        };
        match reading.tracking {
            Tracking::Position => tensor.for_each_block(shape.epochs, &mut count)?,
            // The place of a weight is known among all of them.
            Tracking::Rank => count(&*tensor.whole()?, 0)?,
        }
    }
    for (name, time) in ["count", "envelope"].into_iter().zip(times) {
        manifest.wall_times.insert(name.into(), time.as_secs_f64());
    }
    let files = [counted.write()?, enveloped.write()?];
    finish(&folder, &mut manifest)?;

    let summaries = tally.summaries();
    let named: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "npz")) {
        say.notices(&[format!("above a million rows: arrays in {} instead of a table", file.display())]);
    }
    let weights: usize = layers.iter().map(|layer| layer.shape.weight_count).sum();
    let whole = HistoryShape { weight_count: weights, ..shape };
    if say.json {
        let mut summary = json!({
            "epochs": shape.epochs,
            "replicas": shape.replicas,
            "weights": weights,
            "reading": reading,
            "device": engine.description(),
            "configuration_hash": manifest.configuration_hash,
            "tolerances": summaries,
            "windows": windows,
            "frozen_weights": frozen,
            "notices": read.all_notices(),
            "files": named,
        });
        match &layers[..] {
            [layer] => {
                summary["weight_axes"] = json!(layer.axes);
                summary["weight_axis_names"] = json!(layer.axis_names);
            }
            several => {
                let one = |layer: &TableLayer| {
                    json!({
                        "layer": layer.name,
                        "weights": layer.shape.weight_count,
                        "weight_axes": layer.axes,
                        "weight_axis_names": layer.axis_names,
                    })
                };
                summary["layers"] = several.iter().map(one).collect();
            }
        }
        return output::json(&summary);
    }
    let described = match &read.tensors[..] {
        [one] => one.describe(),
        several => format!("{} tensors, {}", several.len(), describe(whole)),
    };
    let mut text = format!(
        "{described}; followed by {}, {} tolerance, against the {}\n",
        reading.tracking,
        reading.tolerance_kind,
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
        thousands(whole.columns() as i64),
        frozen as f64 * 100.0 / whole.columns() as f64
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
