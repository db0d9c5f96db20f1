//! `holdfast prune`: removes weights from trained networks, and says what was lost.

use super::options::{FolderOptions, ReadingOptions, Share};
use super::output;
use super::progress::Reporter;
use super::run::{announce, begin, data_sets, finish as finish_run, open_engine};
use super::stability::{HistoryOptions, announce_history};
use crate::engine::{Engine, Evaluation};
use crate::error::{Error, Result};
use crate::pruning::criterion::Criterion;
use crate::run_folder::{Manifest, RunFolder, csv};
use crate::stability::envelope::headline_window;
use crate::study::comparison::hash_parameters;
use crate::study::foreign_weights;
use crate::study::recorded::{self, Loss, MASK, RecordedRun};
use crate::training;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Arguments of `prune`.
#[derive(Args)]
pub(super) struct PruneArguments {
    /// A run folder that `compare` or `train` wrote.
    #[arg(value_name = "RUN", required_unless_present = "history", conflicts_with_all = ["history", "weights"])]
    run: Option<PathBuf>,
    /// A history from another program, instead of a run: .npy, .npz or .safetensors, or a folder with a file for each epoch.
    #[arg(long, value_name = "FILE", requires = "weights")]
    history: Option<PathBuf>,
    /// The weights that are pruned by that history.
    #[arg(long, value_name = "FILE", requires = "history")]
    weights: Option<PathBuf>,
    /// Name of the array that holds the weights, where a file has several.
    #[arg(long, value_name = "NAME", requires = "weights")]
    weight_key: Option<String>,
    #[command(flatten)]
    array: HistoryOptions,
    /// What decides; stability if --min-stability is given.
    #[arg(long, value_enum)]
    criterion: Option<CriterionName>,
    /// stability: how far a weight may move.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    tolerance: Option<f64>,
    /// stability: weights that were stable for fewer epochs are removed.
    #[arg(long, value_name = "EPOCHS")]
    min_stability: Option<u32>,
    /// settle, hold: window of last epochs; half of the epochs if not given.
    #[arg(long, value_name = "EPOCHS")]
    window: Option<u32>,
    /// settle, hold, magnitude: share of weights that are removed, as 80% or 0.8.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    sparsity: Option<Share>,
    /// settle, hold: treat frozen weights like all others instead of removing them first.
    #[arg(long)]
    keep_frozen: bool,
    #[command(flatten)]
    reading: ReadingOptions,
    #[command(flatten)]
    folder: FolderOptions,
}

/// Names of [`Criterion`] on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CriterionName {
    /// Magnitude stability below --min-stability.
    #[value(alias = "ms")]
    Stability,
    /// Largest settling tolerance first.
    Settle,
    /// Smallest holding magnitude first.
    Hold,
    /// Smallest weight first.
    Magnitude,
}

impl PruneArguments {
    /// The criterion, every setting of which belongs to it.
    fn criterion(&self, epochs: u32) -> Result<Criterion> {
        let name = match (self.criterion, self.min_stability) {
            (Some(name), _) => name,
            (None, Some(_)) => CriterionName::Stability,
            (None, None) => {
                return Err(Error::Usage(
                    "what to prune by is missing; use --tolerance 0.03 --min-stability 50, or --criterion hold --sparsity \
                     0.8 (also settle, magnitude)"
                        .into(),
                ));
            }
        };
        let is_windowed = matches!(name, CriterionName::Settle | CriterionName::Hold);
        let is_stability = name == CriterionName::Stability;
        let foreign = [
            ("--tolerance", self.tolerance.is_some(), is_stability, "stability"),
            ("--min-stability", self.min_stability.is_some(), is_stability, "stability"),
            ("--tracking, --tolerance-kind or --against", self.reading.is_given(), is_stability, "stability"),
            ("--window", self.window.is_some(), is_windowed, "settle and hold"),
            ("--keep-frozen", self.keep_frozen, is_windowed, "settle and hold"),
            ("--sparsity", self.sparsity.is_some(), !is_stability, "settle, hold and magnitude"),
        ];
        if let Some((option, _, _, of)) = foreign.into_iter().find(|&(_, given, belongs, _)| given && !belongs) {
            return Err(Error::Usage(format!("{option} is a setting of {of}, not of this criterion; leave it out")));
        }
        let missing = |option: &str| Error::Usage(format!("this criterion needs {option}"));
        let sparsity = || {
            self.sparsity.map(f64::from).ok_or_else(|| missing("--sparsity, the share of weights to remove, e.g. 80%"))
        };
        let window = self.window.unwrap_or_else(|| headline_window(epochs));
        let keep_frozen = self.keep_frozen;
        let criterion = match name {
            CriterionName::Stability => Criterion::Stability {
                tolerance: self.tolerance.ok_or_else(|| missing("--tolerance, e.g. 0.03"))?,
                min_stability: self.min_stability.ok_or_else(|| missing("--min-stability, in epochs"))?,
                reading: self.reading.reading(),
            },
            CriterionName::Settle => Criterion::Settle { window, sparsity: sparsity()?, keep_frozen },
            CriterionName::Hold => Criterion::Hold { window, sparsity: sparsity()?, keep_frozen },
            CriterionName::Magnitude => Criterion::Magnitude { sparsity: sparsity()? },
        };
        criterion.validate(epochs)?;
        Ok(criterion)
    }
}

pub(super) fn run(arguments: &PruneArguments) -> Result<()> {
    match (&arguments.run, &arguments.history, &arguments.weights) {
        (Some(run), ..) => prune_run(arguments, run),
        (None, Some(history), Some(weights)) => prune_foreign(arguments, history, weights),
        _ => Err(Error::Usage("name a run folder, or --history FILE and --weights FILE of another program".into())),
    }
}

fn prune_run(arguments: &PruneArguments, path: &Path) -> Result<()> {
    arguments.array.refuse_for_run(path)?;
    let run = RecordedRun::open(path)?;
    let read = run.history()?;
    announce_history(path, &read, &arguments.folder.output);
    let criterion = arguments.criterion(read.history.shape().epochs as u32)?;
    let mut notices = read.notices.clone();
    let cell = run.cell();
    let untold =
        cell.as_ref().err().map(|error| format!("what accuracy is lost cannot be told without the data: {error}"));
    arguments.folder.output.notices(untold.as_slice());
    notices.extend(untold);
    let cell = cell.ok();
    announce(cell.as_slice(), &arguments.folder.output);
    let architecture = cell.as_ref().map_or_else(|| run.network(), |cell| Ok(cell.architecture.clone()))?;
    let replicas = run.replicas(&architecture)?;
    if replicas.len() != read.history.shape().replicas {
        return Err(Error::Data(format!(
            "{} has weights of {} replicas and a history of {}; the folder is damaged, run it again",
            run.folder.display(),
            replicas.len(),
            read.history.shape().replicas
        )));
    }
    let mut engine = open_engine(&arguments.folder.device, arguments.folder.output.quiet)?;
    let selection = criterion.select(&mut engine, &read.history)?;
    let mut checksums = cell.as_ref().map(|cell| cell.checksums(&run.configuration)).unwrap_or_default();
    let mut identity: BTreeMap<String, String> =
        cell.iter().flat_map(|cell| cell.identity(&run.configuration, &checksums)).collect();
    for map in [&mut checksums, &mut identity] {
        map.insert("history".into(), training::hash(read.history.weights()));
        map.insert("weights".into(), hash_parameters(replicas.iter().map(|replica| replica.parameters.as_slice())));
    }
    let mut opened = open(arguments, &criterion, &engine, checksums, &identity)?;
    if let Some(cell) = &cell {
        opened.manifest.data_sets = data_sets(std::slice::from_ref(cell), &run.configuration)?;
    }

    let reporter = Reporter::new(arguments.folder.output.quiet);
    let mut losses = recorded::losses(&selection.masks, &selection.frozen);
    if let Some(cell) = &cell {
        let (before, after) =
            recorded::evaluate(&mut engine, cell, &run.configuration, &replicas, &selection.masks, reporter.control())?;
        for ((loss, before), after) in losses.iter_mut().zip(&before).zip(&after) {
            loss.accuracy_before = Some(Evaluation::accuracy(before));
            loss.accuracy_after = Some(Evaluation::accuracy(after));
        }
    }
    let (tensors, focus) = recorded::tensors(&architecture, &replicas);
    let files = recorded::write_pruned(&|name| opened.folder.file(name), tensors, &focus, &selection.masks)?;
    finish(arguments, opened, &losses, &files, &notices)
}

fn prune_foreign(arguments: &PruneArguments, history: &Path, weights: &Path) -> Result<()> {
    let read = arguments.array.read(history)?;
    announce_history(history, &read, &arguments.folder.output);
    let criterion = arguments.criterion(read.history.shape().epochs as u32)?;
    let array = foreign_weights::read(weights, arguments.weight_key.as_deref(), "--weight-key")?;
    arguments.folder.output.notices(&array.notices);
    let notice = foreign_weights::compare(&array, &read)
        .map_err(|error| Error::Data(format!("{}: {error}", weights.display())))?;
    arguments.folder.output.notices(notice.as_slice());
    let name = &array.name.unwrap_or_else(|| "weights".into());
    if name == MASK {
        return Err(Error::Usage(format!(
            "the weights are named {MASK}, as the mask will be; save them under another name"
        )));
    }
    let mut engine = open_engine(&arguments.folder.device, arguments.folder.output.quiet)?;
    let selection = criterion.select(&mut engine, &read.history)?;
    let checksums = BTreeMap::from([
        ("history".to_string(), training::hash(read.history.weights())),
        ("weights".to_string(), training::hash(&array.values)),
    ]);
    let opened = open(arguments, &criterion, &engine, checksums.clone(), &checksums)?;
    let losses = recorded::losses(&selection.masks, &selection.frozen);
    let tensor = (name.to_string(), array.shape, array.values);
    let files = recorded::write_pruned(&|file| opened.folder.file(file), vec![tensor], name, &selection.masks)?;
    finish(arguments, opened, &losses, &files, &read.notices)
}

/// The folder of the results, and its manifest.
struct Opened {
    folder: RunFolder,
    manifest: Manifest,
}

fn open(
    arguments: &PruneArguments,
    criterion: &Criterion,
    engine: &Engine,
    checksums: BTreeMap<String, String>,
    identity: &BTreeMap<String, String>,
) -> Result<Opened> {
    let out = arguments.folder.out.as_deref();
    let (folder, manifest) = begin(out, "prune", criterion, engine.description(), checksums, identity)?;
    Ok(Opened { folder, manifest })
}

/// Writes what was lost, closes the folder and says so.
fn finish(
    arguments: &PruneArguments,
    opened: Opened,
    losses: &[Loss],
    files: &[PathBuf],
    notices: &[String],
) -> Result<()> {
    let Opened { folder, mut manifest } = opened;
    let table = folder.file("pruning.csv")?;
    csv::write::<Loss>(&table, losses)?;
    finish_run(&folder, &mut manifest)?;
    let named: Vec<String> =
        files.iter().map(PathBuf::as_path).chain([table.as_path()]).map(|file| file.display().to_string()).collect();
    if arguments.folder.output.json {
        return output::json(&json!({
            "criterion": manifest.configuration,
            "configuration_hash": manifest.configuration_hash,
            "replicas": losses,
            "notices": notices,
            "files": named,
        }));
    }
    let lines: String = losses.iter().map(line).collect();
    output::result(&format!("{lines}Files: {}\n", named.join(", ")))
}

fn line(loss: &Loss) -> String {
    let share = loss.removed_weights as f64 * 100.0 / loss.weight_count as f64;
    let accuracies = match (loss.accuracy_before, loss.accuracy_after) {
        (Some(before), Some(after)) => format!("; accuracy on the test set {before:.4} before, {after:.4} after"),
        _ => String::new(),
    };
    format!(
        "replica {}: {} of {} weights removed ({share:.1} %), {} of them frozen{accuracies}\n",
        loss.replica, loss.removed_weights, loss.weight_count, loss.removed_frozen_weights
    )
}
