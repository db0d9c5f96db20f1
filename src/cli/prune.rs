//! `holdfast prune`: removes weights from trained networks, and says what was lost.

mod calibrated;
mod files;
mod settings;
mod stack;
mod subjects;

use super::options::{FolderOptions, ReadingOptions, Share};
use super::output;
use super::progress::Reporter;
use super::run::{begin, finish as finish_run, open_engine};
use super::stability::HistoryOptions;
use super::stack::{DataOptions, StackOptions};
use crate::engine::{Engine, Evaluation};
use crate::error::{Error, Result};
use crate::pruning::allocation::{Amount, removed_if_smaller};
use crate::pruning::score::{Scores, below_threshold};
use crate::pruning::surgery::PrunedNetwork;
use crate::pruning::{Method, Repair, Scope};
use crate::run::recorded::Base;
use crate::run_folder::{Manifest, RunFolder, checksum};
use crate::study::pruned::{self, Loss, PrunedTensor};
use clap::Args;
use serde_json::{Value, json};
use settings::{Choice, Point};
use stack::CalibrationOptions;
use std::path::PathBuf;
use subjects::{Subject, Subjects};

/// Arguments of `prune`.
#[derive(Args)]
#[command(after_help = "Examples:
  holdfast prune runs/compare-0123 --criterion hold-surgeon --base mean --smaller 6
  holdfast prune --weights weights.safetensors --dense fc1,fc2,fc3 --data mnist --sparsity 90%")]
pub(super) struct PruneArguments {
    /// A run folder that `compare` or `train` wrote.
    #[arg(value_name = "RUN", required_unless_present_any = ["history", "weights"], conflicts_with_all = ["history", "weights"])]
    run: Option<PathBuf>,
    /// A history from another program, instead of a run: .npy, .npz or .safetensors, or a folder with a file for each epoch; of
    /// one tensor, or of several by the names that the weights have.
    #[arg(long, value_name = "FILE", requires = "weights")]
    history: Option<PathBuf>,
    /// The weights that are pruned: an array, or a whole state dict, all of which is written again. Without a history they can
    /// be pruned by magnitude.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Name of the one array that is pruned, where the file has several and the history is of one.
    #[arg(long, value_name = "NAME", requires = "weights", conflicts_with = "layers")]
    weight_key: Option<String>,
    /// The tensors that are pruned: names of the file with commas between, or `all`; of a run also `focus`, `hidden`, `dense`
    /// and `conv`.
    ///
    /// Not given: of a run the focus layer, or with --smaller all layers that it recorded; with --dense all of those; of
    /// other weights all tensors of two axes or more that the history has too.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    layers: Option<Vec<String>>,
    /// Among which weights those that go are chosen; `global` where several tensors take part.
    #[arg(long, value_enum)]
    scope: Option<Scope>,
    #[command(flatten)]
    array: HistoryOptions,
    /// What decides; stability if --min-stability is given, the surgeon with --dense.
    #[arg(long, value_enum)]
    criterion: Option<Method>,
    /// stability: how far a weight may move.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    tolerance: Option<f64>,
    /// stability: weights that were stable for fewer epochs are removed.
    #[arg(long, value_name = "EPOCHS")]
    min_stability: Option<u32>,
    /// settle, hold: window of last epochs; half of the epochs if not given.
    #[arg(long, value_name = "EPOCHS")]
    window: Option<u32>,
    /// What is done about the weights that stay: nothing (cut), or they are solved anew on calibration images (refit).
    #[arg(long, value_enum)]
    repair: Option<Repair>,
    /// Which weights of a run, or with --dense of a history of every tensor, a surgeon or a refit begins with: those after the
    /// last epoch, or their mean over the last half of the epochs.
    #[arg(long, value_enum)]
    base: Option<Base>,
    /// Steps that all weights that stay take together towards the trained network's logits after each cut (Gauss-Newton, no
    /// labels), where 8,192 of them or fewer are left; for surgeons and refit.
    #[arg(long, value_name = "STEPS", default_value_t = 0, hide_default_value = true)]
    polish: u32,
    /// Share of weights that are removed, as 80% or 0.8; several with commas between.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "SHARES",
        allow_negative_numbers = true,
        conflicts_with = "smaller"
    )]
    sparsity: Option<Vec<Share>>,
    /// How many times fewer weights the whole network is to have, biases apart; several with commas
    /// between.
    #[arg(long, value_delimiter = ',', value_name = "TIMES", allow_negative_numbers = true)]
    smaller: Option<Vec<f64>>,
    /// settle, hold: treat frozen weights like all others instead of removing them first.
    #[arg(long)]
    keep_frozen: bool,
    #[command(flatten)]
    reading: ReadingOptions,
    #[command(flatten)]
    folder: FolderOptions,
    #[command(flatten)]
    stack: StackOptions,
    #[command(flatten)]
    data: DataOptions,
    #[command(flatten)]
    calibration: CalibrationOptions,
}

pub(super) fn run(arguments: &PruneArguments) -> Result<()> {
    // What is asked is checked before anything is read, as far as it can be.
    arguments.check_stack()?;
    let points = arguments.points()?;
    let name = arguments.criterion_name()?;
    let calibrated = arguments.is_calibrated(name);
    let subjects = match (&arguments.run, &arguments.weights) {
        (Some(run), _) => subjects::of_run(arguments, run)?,
        (None, Some(weights)) if arguments.stack.dense.is_some() => subjects::of_stack(arguments, weights, calibrated)?,
        (None, Some(weights)) => files::of_files(arguments, weights)?,
        (None, None) => {
            return Err(Error::Usage(
                "name a run folder, or --history FILE and --weights FILE of another program".into(),
            ));
        }
    };
    if name.reads_history() {
        subjects.list.iter().try_for_each(|subject| subject.followed().map(|_| ()))?;
    }
    let choice = arguments.choice(subjects.epochs())?;
    let default = if subjects.list.len() > 1 { Scope::Global } else { Scope::Layer };
    let scope = arguments.scope.unwrap_or(default);
    let mut engine = open_engine(&arguments.folder.device, arguments.folder.output.quiet)?;
    let reporter = Reporter::new(arguments.folder.output.quiet);
    let chosen = if calibrated {
        let asked = calibrated::Asked {
            choice,
            scope,
            points: &points,
            repairs: arguments.repairs(name),
            polish: arguments.polish,
        };
        calibrated::choose(&mut engine, &asked, arguments.base, &subjects, reporter.control())?
    } else {
        let tensors = choose(&mut engine, choice, scope, &points, &subjects)?;
        Chosen { tensors, state: None, used: Vec::new() }
    };

    let settings = arguments.settings(name, choice, scope, &subjects);
    let (mut checksums, mut identity) = subjects.checksums()?;
    for Used { file, decides } in &chosen.used {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let hash = checksum(file)?;
        // A way that is known gives the bits that finding it would have given.
        identity.extend(decides.then(|| (name.clone(), hash.clone())));
        checksums.insert(name, hash);
    }
    let out = arguments.folder.out.as_deref();
    let (folder, mut manifest) = begin(out, "prune", &settings, engine.description(), checksums, &identity)?;
    manifest.seeds.extend(subjects.stack().map(|part| part.configuration.seed));
    let mut losses: Vec<Vec<Vec<Loss>>> = chosen.tensors.iter().map(|tensors| pruned::losses(tensors)).collect();
    manifest.data_sets = subjects.data_sets()?;
    if let Some((before, after)) = subjects.evaluate(&mut engine, &chosen, reporter.control())? {
        for (losses, after) in losses.iter_mut().zip(&after) {
            let sums = losses.iter_mut().filter_map(|lines| lines.last_mut());
            for ((loss, before), after) in sums.zip(&before).zip(after) {
                loss.accuracy_before = Some(Evaluation::accuracy(before));
                loss.accuracy_after = Some(Evaluation::accuracy(after));
            }
        }
    }
    let several = points.len() > 1;
    let note = subjects.note()?;
    let mut files = Vec::new();
    for (place, ((point, tensors), losses)) in points.iter().zip(&chosen.tensors).zip(&losses).enumerate() {
        let part = if several { point.folder() } else { String::new() };
        let path = |name: &str| folder.file(&format!("{part}{name}"));
        // What was solved anew is written as it was solved; it is cut already.
        let solved = match &chosen.state {
            Some(solved) => Some(subjects.solved(&solved.points[place])?),
            None => None,
        };
        let state = solved.as_ref().unwrap_or(&subjects.state);
        let tensors = subjects.in_file_order(tensors);
        files.push(pruned::write(&path, state, &tensors, losses, subjects.as_numpy, note.as_deref())?);
    }
    finish(arguments, &folder, &mut manifest, &subjects, &points, &losses, &files)
}

/// What was chosen.
struct Chosen {
    /// At each point which weights of each subject stay.
    tensors: Vec<Vec<PrunedTensor>>,
    /// The networks, where what stays was solved anew.
    state: Option<Solved>,
    /// Files of the run that were read for it.
    used: Vec<Used>,
}

/// Networks that were solved anew.
struct Solved {
    /// The first layer that was.
    first: usize,
    /// At each point those of all replicas.
    points: Vec<Vec<PrunedNetwork>>,
}

/// A file of the run.
struct Used {
    file: PathBuf,
    /// Whether another one would give other bits.
    decides: bool,
}

/// Which weights of each subject go at each point.
fn choose(
    engine: &mut Engine,
    choice: Choice,
    scope: Scope,
    points: &[Point],
    subjects: &Subjects,
) -> Result<Vec<Vec<PrunedTensor>>> {
    let score = match choice {
        Choice::Scored(score) => score,
        // Cut with calibration images.
        Choice::Surgeon(_) => return Ok(Vec::new()),
        Choice::Threshold { tolerance, min_stability, reading } => {
            let tensor = |subject: &Subject| {
                let (masks, frozen) = below_threshold(engine, subject.followed()?, tolerance, min_stability, reading)?;
                Ok(PrunedTensor { name: subject.name.clone(), masks, frozen: Some(frozen) })
            };
            return Ok(vec![subjects.list.iter().map(tensor).collect::<Result<_>>()?]);
        }
    };
    let scores: Vec<Scores> =
        subjects.list.iter().map(|subject| subject.scores(engine, score, None)).collect::<Result<_>>()?;
    by_scores(&scores, scope, points, subjects)
}

/// The same, the scores given.
fn by_scores(scores: &[Scores], scope: Scope, points: &[Point], subjects: &Subjects) -> Result<Vec<Vec<PrunedTensor>>> {
    let taking_part: usize = scores.iter().map(Scores::weight_count).sum();
    let amount = |point: &Point| match *point {
        Point::Smaller(times) => {
            let removed = removed_if_smaller(times, subjects.weights)?;
            // Each tensor keeps one.
            let most = taking_part.saturating_sub(scores.len());
            if removed > most {
                return Err(Error::Usage(format!(
                    "--smaller {times} removes {removed} of the network's {} weights, but the tensors that take part have \
                     {taking_part}; name more with --layers (e.g. --layers all), or a smaller number",
                    subjects.weights
                )));
            }
            Ok(Amount::Count(removed))
        }
        Point::Sparsity(share) => Ok(Amount::Share(share)),
        Point::Threshold => Ok(Amount::Count(0)),
    };
    let amounts = points.iter().map(amount).collect::<Result<Vec<_>>>()?;
    let tensor = |((subject, scores), masks): ((&Subject, &Scores), _)| PrunedTensor {
        name: subject.name.clone(),
        masks,
        frozen: scores.frozen.clone(),
    };
    let of_point = |masks| subjects.list.iter().zip(scores).zip::<Vec<_>>(masks).map(tensor).collect();
    Ok(Scores::masks(scores, scope, &amounts)?.into_iter().map(of_point).collect())
}

/// Closes the folder and says what was lost.
fn finish(
    arguments: &PruneArguments,
    folder: &RunFolder,
    manifest: &mut Manifest,
    subjects: &Subjects,
    points: &[Point],
    losses: &[Vec<Vec<Loss>>],
    files: &[Vec<PathBuf>],
) -> Result<()> {
    finish_run(folder, manifest)?;
    let named: Vec<Vec<String>> =
        files.iter().map(|files| files.iter().map(|file| file.display().to_string()).collect()).collect();
    if arguments.folder.output.json {
        let points: Vec<Value> = points.iter().zip(losses).zip(&named).map(point_as_json).collect();
        let mut summary = json!({
            "criterion": manifest.configuration,
            "configuration_hash": manifest.configuration_hash,
            "notices": subjects.notices,
            "files": named.concat(),
        });
        match &points[..] {
            [one] => summary["replicas"] = one["replicas"].clone(),
            _ => summary["points"] = points.into(),
        }
        return output::json(&summary);
    }
    let mut text = String::new();
    for (point, losses) in points.iter().zip(losses) {
        if points.len() > 1 {
            text += &format!("{}\n", point.heading());
        }
        for lines in losses {
            text += &lines.last().map(line).unwrap_or_default();
            let (_, of_layers) = lines.split_last().map_or((None, &[][..]), |(all, layers)| (Some(all), layers));
            text.extend(of_layers.iter().map(layer_line));
        }
    }
    output::result(&format!("{text}Files: {}\n", named.concat().join(", ")))
}

fn point_as_json(((point, losses), files): ((&Point, &Vec<Vec<Loss>>), &Vec<String>)) -> Value {
    let of_replica = |lines: &Vec<Loss>| {
        let mut replica = json!(lines.last());
        if lines.len() > 1 {
            replica["layers"] = json!(lines[..lines.len() - 1]);
        }
        replica
    };
    let mut value = json!({ "replicas": losses.iter().map(of_replica).collect::<Vec<_>>(), "files": files });
    match *point {
        Point::Threshold => {}
        Point::Sparsity(share) => value["sparsity"] = share.into(),
        Point::Smaller(times) => value["smaller"] = times.into(),
    }
    value
}

fn share(loss: &Loss) -> f64 {
    loss.removed_weights as f64 * 100.0 / loss.weight_count as f64
}

/// What a replica lost.
fn line(loss: &Loss) -> String {
    let accuracies = match (loss.accuracy_before, loss.accuracy_after) {
        (Some(before), Some(after)) => format!("; accuracy on the test set {before:.4} before, {after:.4} after"),
        _ => String::new(),
    };
    let frozen = loss.removed_frozen_weights.map(|frozen| format!(", {frozen} of them frozen")).unwrap_or_default();
    format!(
        "replica {}: {} of {} weights removed ({:.1} %){frozen}{accuracies}\n",
        loss.replica,
        loss.removed_weights,
        loss.weight_count,
        share(loss)
    )
}

/// What it lost in one of several layers.
fn layer_line(loss: &Loss) -> String {
    format!("  {}: {} of {} ({:.1} %)\n", loss.layer, loss.removed_weights, loss.weight_count, share(loss))
}
