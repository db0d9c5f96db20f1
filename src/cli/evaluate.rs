//! `holdfast evaluate`: how well networks classify a test set, of a run, of a file, or of another program.

use super::options::{DeviceOptions, OutputOptions};
use super::output;
use super::progress::Reporter;
use super::run::open_engine;
use super::stack::{DataOptions, Images, StackOptions};
use crate::engine::Evaluation;
use crate::error::{Error, Result};
use crate::network_files::stored_network::{self, StoredNetwork, WEIGHTS_FILE};
use crate::numbers::{significant, thousands};
use crate::run::recorded::{Base, RecordedRun};
use clap::{ArgAction, Args};
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
    #[command(flatten)]
    network: NetworkOptions,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    output: OutputOptions,
}

/// Which networks, and the images that they read.
#[derive(Args)]
pub(super) struct NetworkOptions {
    /// A run folder of `compare` or `train`, a folder that `prune` or `compact` wrote, or a file: .safetensors that this program
    /// wrote of whole networks, or with --dense anyone's .npz or .safetensors.
    #[arg(value_name = "RUN|FILE")]
    pub(super) source: PathBuf,
    /// Only this replica, counted from 0.
    #[arg(long, value_name = "ID", action = ArgAction::Append, value_delimiter = ',')]
    replica: Vec<usize>,
    /// Which weights of a run: those after the last epoch, or their mean over the last half of the epochs; last if not given.
    #[arg(long, value_enum)]
    base: Option<Base>,
    #[command(flatten)]
    stack: StackOptions,
    #[command(flatten)]
    data: DataOptions,
}

pub(super) fn run(arguments: &EvaluateArguments) -> Result<()> {
    let say = &arguments.output;
    let (networks, images) = arguments.network.open(say)?;
    let replicas = match arguments.network.replica(networks.len())? {
        None => 0..networks.len(),
        Some(one) => one..one + 1,
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

impl NetworkOptions {
    /// The networks, all of one architecture, and their images: those that are named, or those of the run.
    ///
    /// Fails with [`Error::Usage`] if there are none.
    fn open(&self, say: &OutputOptions) -> Result<(Vec<StoredNetwork>, Images)> {
        let (networks, images) = self.read()?;
        let images = images.ok_or_else(|| without_data(&self.source))??;
        images.announce(say);
        Ok((networks, images))
    }

    /// The same for commands that can do without images: where a run's own are not there any more, that is said.
    pub(super) fn open_with_any_images(&self, say: &OutputOptions) -> Result<(Vec<StoredNetwork>, Option<Images>)> {
        let (networks, images) = self.read()?;
        let images = match images {
            Some(Err(Error::Data(why))) => {
                say.notices(&[format!("nothing is classified: {why}")]);
                None
            }
            other => other.transpose()?,
        };
        images.iter().for_each(|images| images.announce(say));
        Ok((networks, images))
    }

    /// The networks, and the images if any are named or are of the run; that a run's are not there is the inner failure.
    fn read(&self) -> Result<(Vec<StoredNetwork>, Option<Result<Images>>)> {
        if self.stack.dense.is_some() {
            return self.foreign();
        }
        let networks = StoredNetwork::open(&self.source, self.base.unwrap_or_default())?;
        let of_run = || {
            let cell = RecordedRun::open(&self.source)?.cell()?;
            Ok(Images { split: cell.split, contents: cell.contents, notices: cell.notices })
        };
        let images = match self.data.load()? {
            Some(images) => Some(Ok(images)),
            None => stored_network::is_run(&self.source).then(of_run),
        };
        Ok((networks, images))
    }

    /// The stack of another program.
    fn foreign(&self) -> Result<(Vec<StoredNetwork>, Option<Result<Images>>)> {
        let Self { source, replica, base, stack, data } = self;
        if !replica.is_empty() || base.is_some() {
            return Err(Error::Usage(
                "--replica and --base are of runs, and --dense names the layers of the one network of another program; leave them out".into(),
            ));
        }
        let input = stack.input()?;
        let mut images = stack.arranged(data.load()?.ok_or_else(|| without_data(source))?)?;
        let path: Cow<'_, Path> =
            if source.is_dir() { source.join(WEIGHTS_FILE).into() } else { source.as_path().into() };
        let read = stack.read(&path, &images)?;
        images.notices.extend(read.notices);
        let network =
            StoredNetwork { architecture: read.architecture, parameters: read.parameters, pixels: None, input };
        Ok((vec![network], Some(Ok(images))))
    }

    /// Whether the first layer is said to read colours as [channel, y, x].
    pub(super) fn is_channels_first(&self) -> bool {
        self.stack.channels_first
    }

    /// The replica that is asked for, of so many.
    ///
    /// Fails with [`Error::Usage`] if there is no such one, or if several are named.
    fn replica(&self, replicas: usize) -> Result<Option<usize>> {
        match self.replica[..] {
            [] => Ok(None),
            [one] if one < replicas => Ok(Some(one)),
            [one] => Err(Error::Usage(format!(
                "--replica {one}: {} has {replicas} of them, counted from 0",
                self.source.display()
            ))),
            _ => Err(Error::Usage(format!(
                "--replica names {} replicas; name one, or give the command once for each",
                self.replica.len()
            ))),
        }
    }

    /// The one replica of so many that a command takes: the first, said so, unless another is asked for.
    pub(super) fn only_replica(&self, replicas: usize, say: &OutputOptions) -> Result<usize> {
        let asked = self.replica(replicas)?;
        if asked.is_none() && replicas > 1 {
            say.note(&format!("replica 0 of {replicas} is taken; --replica names another"));
        }
        Ok(asked.unwrap_or(0))
    }
}

fn without_data(source: &Path) -> Error {
    Error::Usage(format!(
        "{} does not say which images its networks read; name them with --data, e.g. --data mnist",
        source.display()
    ))
}
