//! `holdfast evaluate`: how well networks classify a test set, of a run, of a file, or of another program.

use super::options::{DeviceOptions, OutputOptions};
use super::output;
use super::progress::Reporter;
use super::run::open_engine;
use super::stack::{DataOptions, Images, StackOptions};
use crate::engine::Evaluation;
use crate::error::{Error, Result};
use crate::study::numbers::{significant, thousands};
use crate::study::recorded::{Base, RecordedRun};
use crate::study::stored_network::{self, StoredNetwork, WEIGHTS_FILE};
use clap::Args;
use serde_json::json;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Arguments of `evaluate`.
#[derive(Args)]
#[command(after_help = "Examples:
  holdfast evaluate runs/train-0123
  holdfast evaluate weights.safetensors --dense fc1,fc2,fc3 --data mnist --normalize 0.1307,0.3081")]
pub(super) struct EvaluateArguments {
    /// A run folder of `compare` or `train`, a folder that `prune` or `compact` wrote, or a file: .safetensors that this program
    /// wrote of whole networks, or with --dense anyone's .npz or .safetensors.
    #[arg(value_name = "RUN|FILE")]
    source: PathBuf,
    /// Only this replica, counted from 0; all if not given.
    #[arg(long, value_name = "ID")]
    replica: Option<usize>,
    /// Which weights of a run: those after the last epoch, or their mean over the last half of the epochs; last if not given.
    #[arg(long, value_enum)]
    base: Option<Base>,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    stack: StackOptions,
    #[command(flatten)]
    data: DataOptions,
}

pub(super) fn run(arguments: &EvaluateArguments) -> Result<()> {
    let say = &arguments.output;
    let (networks, images) = match arguments.stack.dense {
        Some(_) => foreign(arguments)?,
        None => own(arguments)?,
    };
    let replicas = match arguments.replica {
        None => 0..networks.len(),
        Some(one) if one < networks.len() => one..one + 1,
        Some(one) => {
            return Err(Error::Usage(format!(
                "--replica {one}: {} has {} of them, counted from 0",
                arguments.source.display(),
                networks.len()
            )));
        }
    };
    // All are of one architecture.
    let test = networks[0].fit(&images.split.test)?;
    let mut engine = open_engine(&arguments.device, say.quiet)?;
    let reporter = Reporter::new(say.quiet);
    let mut found: Vec<(usize, Evaluation, f64)> = Vec::new();
    for replica in replicas {
        let start = Instant::now();
        let evaluation = networks[replica].evaluate(&mut engine, &test, reporter.control())?;
        found.push((replica, evaluation, start.elapsed().as_secs_f64()));
    }
    if say.json {
        let network = |&(replica, evaluation, seconds): &(usize, Evaluation, f64)| {
            json!({
                "replica": replica,
                "accuracy": evaluation.accuracy(),
                "loss": evaluation.loss,
                "correct": evaluation.correct,
                "seconds": seconds,
            })
        };
        return output::json(&json!({
            "data_set": images.name(),
            "test_images": test.samples(),
            "device": engine.description(),
            "networks": found.iter().map(network).collect::<Vec<_>>(),
        }));
    }
    let count = thousands(test.samples() as i64);
    let line = |&(replica, evaluation, seconds): &(usize, Evaluation, f64)| {
        format!(
            "replica {replica}: accuracy {:.4}, loss {}, {count} test images of {} in {} ms\n",
            evaluation.accuracy(),
            significant(evaluation.loss),
            images.name(),
            significant(seconds * 1e3)
        )
    };
    output::result(&found.iter().map(line).collect::<String>())
}

/// The stack of another program.
fn foreign(arguments: &EvaluateArguments) -> Result<(Vec<StoredNetwork>, Images)> {
    let EvaluateArguments { source, replica, base, stack, data, output: say, .. } = arguments;
    if replica.is_some() || base.is_some() {
        return Err(Error::Usage(
            "--replica and --base are of runs, and --dense names the layers of the one network of another program; leave them out".into(),
        ));
    }
    let input = stack.input()?;
    let images = stack.arranged(data.load()?.ok_or_else(|| without_data(source))?)?;
    images.announce(say);
    let path: Cow<'_, Path> = if source.is_dir() { source.join(WEIGHTS_FILE).into() } else { source.as_path().into() };
    let read = stack.read(&path, &images)?;
    say.notices(&read.notices);
    let network = StoredNetwork { architecture: read.architecture, parameters: read.parameters, pixels: None, input };
    Ok((vec![network], images))
}

/// Networks of this program.
fn own(arguments: &EvaluateArguments) -> Result<(Vec<StoredNetwork>, Images)> {
    let EvaluateArguments { source, base, data, output: say, .. } = arguments;
    let networks = StoredNetwork::open(source, base.unwrap_or_default())?;
    let images = match data.load()? {
        Some(images) => images,
        None if stored_network::is_run(source) => {
            let cell = RecordedRun::open(source)?.cell()?;
            Images { split: cell.split, contents: cell.contents, notices: cell.notices }
        }
        None => return Err(without_data(source)),
    };
    images.announce(say);
    Ok((networks, images))
}

fn without_data(source: &Path) -> Error {
    Error::Usage(format!(
        "{} does not say which images its networks read; name them with --data, e.g. --data mnist",
        source.display()
    ))
}
