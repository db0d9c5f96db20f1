//! `holdfast compact`: a trained or pruned network made really smaller.

use super::options::{FolderOptions, OutputOptions, Share};
use super::output;
use super::progress::Reporter;
use super::run::{announce, begin, data_sets, finish, open_engine};
use super::stack::{Checksums, DataOptions, Images, StackOptions};
use crate::data::Dataset;
use crate::engine::{Control, Engine};
use crate::error::{Error, Result};
use crate::network::Architecture;
use crate::network_files::stored_network::{StoredNetwork, is_run};
use crate::numbers::{counted, significant, thousands};
use crate::pruning::compact::Wanted;
use crate::pruning::surgery;
use crate::report::compact as told;
use crate::run::cell::Cell;
use crate::run::configuration::Configuration;
use crate::run::recorded::{Base, RecordedRun};
use crate::run_folder::{Manifest, csv};
use crate::study::classified::{Classified, TURNS, classify_by_turns, same_predictions};
use crate::study::compact::{Calibrating, CompactRow, Compacted, Goal, compact, file_bytes, lighting, rows};
use crate::study::comparison::hash_parameters;
use clap::Args;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Calibration images, unless a run or an option says how many.
const CALIBRATION_IMAGES: usize = 4096;

/// Arguments of `compact`.
#[derive(Args)]
#[command(after_help = "Examples:
  holdfast compact runs/compare-0123 --base mean --faster 3
  holdfast compact runs/prune-0123/smaller-6 --data mnist --replica 2 --out small
  holdfast compact weights.safetensors --dense fc1,fc2,fc3 --data mnist --normalize 0.1307,0.3081 --units 50%")]
pub(super) struct CompactArguments {
    /// A run folder of compare or train, a folder that prune or compact wrote, a network's .safetensors, or with --dense anyone's
    /// .npz or .safetensors.
    #[arg(value_name = "RUN|FILE")]
    path: PathBuf,
    /// Take whole units, filters and inputs out until there are so many times fewer weights than before, biases apart. Without
    /// this, --faster or --units only what changes no logit goes.
    #[arg(long, value_name = "TIMES", allow_negative_numbers = true, conflicts_with_all = ["faster", "units"])]
    smaller: Option<f64>,
    /// The same until there are so many times fewer multiply-adds.
    #[arg(long, value_name = "TIMES", allow_negative_numbers = true, conflicts_with = "units")]
    faster: Option<f64>,
    /// The same until this share of the hidden units and filters is left: 50% or 0.5. Inputs stay.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    units: Option<Share>,
    /// Each hidden layer that loses units keeps a multiple of this; 1 if not given. Other programs compute convolutions in blocks of
    /// 16 filters, and 22 take them as long as 32.
    #[arg(long, value_name = "N")]
    multiple: Option<usize>,
    /// Which replica, counted from 0; the first if not given.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    replica: Vec<usize>,
    /// Which weights of a run: those after the last epoch, or their mean over the last half of the epochs; last if not given.
    #[arg(long, value_enum)]
    base: Option<Base>,
    /// Training images, without labels, on which weights that stay are solved anew; as many as the run had, else 4096.
    #[arg(long, value_name = "N")]
    calibration_images: Option<usize>,
    /// Ridge of the equations that are solved, as a share of the mean of the Gram matrix' diagonal; the run's, else 0.001.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    ridge: Option<f64>,
    #[command(flatten)]
    stack: StackOptions,
    #[command(flatten)]
    data: DataOptions,
    #[command(flatten)]
    folder: FolderOptions,
}

/// The settings of `compact`, for hash and manifest.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Settings {
    replica: usize,
    base: Base,
    #[serde(skip_serializing_if = "Option::is_none")]
    smaller: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    faster: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    units: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multiple: Option<usize>,
    calibration_images: usize,
    ridge: f64,
    seed: u64,
}

/// The images that a network is measured with.
enum Source {
    /// Those of its run.
    Run(Box<Cell>, Box<Configuration>),
    /// Others that were named.
    Named(Images),
    Nothing,
}

impl Source {
    /// Training and test images.
    fn sets(&self) -> Option<[&Arc<Dataset>; 2]> {
        let split = match self {
            Self::Run(cell, _) => &cell.split,
            Self::Named(images) => &images.split,
            Self::Nothing => return None,
        };
        Some([&split.training, &split.test])
    }

    /// Checksums for the manifest, and those that tell this run from others; `weights` is one of both.
    fn checksums(&self, weights: String) -> (Checksums, Checksums) {
        let (mut checksums, mut identity) = match self {
            Self::Run(cell, configuration) => {
                let checksums = cell.checksums(configuration);
                let identity = cell.identity(configuration, &checksums).collect();
                (checksums, identity)
            }
            Self::Named(images) => (images.checksums(), images.checksums()),
            Self::Nothing => Default::default(),
        };
        for map in [&mut checksums, &mut identity] {
            map.insert("weights".into(), weights.clone());
        }
        (checksums, identity)
    }

    fn describe(&self, manifest: &mut Manifest) -> Result<()> {
        manifest.data_sets = match self {
            Self::Run(cell, configuration) => data_sets(std::slice::from_ref(&**cell), configuration)?,
            Self::Named(images) => images.data_sets()?,
            Self::Nothing => BTreeMap::new(),
        };
        Ok(())
    }
}

impl CompactArguments {
    fn goal(&self) -> Option<Goal> {
        let units = self.units.map(|share| Goal::Units(share.into()));
        self.smaller.map(Goal::Smaller).or(self.faster.map(Goal::Faster)).or(units)
    }

    /// How small a network of this architecture is to be.
    fn wanted(&self, architecture: &Architecture) -> Result<Option<Wanted>> {
        match (self.goal(), self.multiple) {
            (None, Some(_)) => Err(Error::Usage(
                "--multiple says how many units stay where units go; say how small with --smaller, --faster or --units"
                    .into(),
            )),
            (goal, multiple) => goal.map(|goal| goal.of(architecture, multiple.unwrap_or(1))).transpose(),
        }
    }

    /// The one replica that is asked for.
    fn replica(&self) -> Result<usize> {
        match self.replica[..] {
            [] => Ok(0),
            [one] => Ok(one),
            _ => Err(Error::Usage(format!(
                "--replica names {} replicas, and a compact network is made of one; name one, and make the others one by one",
                self.replica.len()
            ))),
        }
    }

    /// The stack of dense layers of another program, with the images that it reads, and what the user should know.
    fn foreign(&self, say: &OutputOptions) -> Result<(StoredNetwork, Source, Vec<String>)> {
        if !self.replica.is_empty() || self.base.is_some() {
            return Err(Error::Usage(
                "--replica and --base are of runs, and --dense names the layers of the one network of another program; leave them \
                 out"
                    .into(),
            ));
        }
        let input = self.stack.input()?;
        let images = self.data.load()?.ok_or_else(|| {
            Error::Usage(
                "--dense needs the images that the network reads; name them with --data, e.g. --data mnist".into(),
            )
        })?;
        let images = self.stack.arranged(images)?;
        images.announce(say);
        let read = self.stack.read(&self.path, &images)?;
        say.notices(&read.notices);
        let notices = images.notices.iter().cloned().chain(read.notices).collect();
        let network =
            StoredNetwork { architecture: read.architecture, parameters: read.parameters, pixels: None, input };
        Ok((network, Source::Named(images), notices))
    }

    /// The images that are named, or those of the run; with what the user should know.
    fn source(&self, say: &OutputOptions, run: Option<&RecordedRun>) -> Result<(Source, Vec<String>)> {
        if let Some(images) = self.data.load()? {
            images.announce(say);
            let notices = images.notices.clone();
            return Ok((Source::Named(images), notices));
        }
        let Some(run) = run else {
            let notice = "without --data nobody knows which inputs no training image lights, nor how well the network classifies";
            say.notices(&[notice.into()]);
            return Ok((Source::Nothing, vec![notice.into()]));
        };
        match run.cell() {
            Ok(cell) => {
                announce(std::slice::from_ref(&cell), say);
                Ok((Source::Run(Box::new(cell), Box::new(run.configuration.clone())), Vec::new()))
            }
            Err(error) => {
                let notice = format!("the images of the run are not there ({error}); name them with --data");
                say.notices(std::slice::from_ref(&notice));
                Ok((Source::Nothing, vec![notice]))
            }
        }
    }

    /// Settings of the run, unless options say others.
    fn settings(&self, replica: usize, run: Option<&RecordedRun>) -> Result<Settings> {
        let of_run = run.map(|run| &run.configuration);
        let calibration_images = self
            .calibration_images
            .unwrap_or_else(|| of_run.map_or(CALIBRATION_IMAGES, |configuration| configuration.calibration_images));
        if calibration_images == 0 {
            return Err(Error::Usage("--calibration-images 0 is not possible; take one image or more".into()));
        }
        let usual = f64::from(surgery::Settings::default().ridge);
        let ridge = self.ridge.unwrap_or_else(|| of_run.map_or(usual, |configuration| configuration.ridge));
        if !(ridge > 0.0 && (ridge as f32) > 0.0 && (ridge as f32).is_finite()) {
            return Err(Error::Usage(format!("--ridge {ridge} solves nothing; use a number above 0, e.g. 0.001")));
        }
        let seed =
            self.data.seed.unwrap_or_else(|| of_run.map_or(self.data.seed(), |configuration| configuration.seed));
        let base = self.base.unwrap_or_default();
        let units = self.units.map(f64::from);
        let (smaller, faster, multiple) = (self.smaller, self.faster, self.multiple);
        Ok(Settings { replica, base, smaller, faster, units, multiple, calibration_images, ridge, seed })
    }
}

/// The network of replica `replica` at a path; says which it is where there are several.
fn network_at(arguments: &CompactArguments, replica: usize, notices: &mut Vec<String>) -> Result<StoredNetwork> {
    let path = &arguments.path;
    let mut networks = StoredNetwork::open(path, arguments.base.unwrap_or_default())?;
    let count = networks.len();
    if replica >= count {
        return Err(Error::Usage(format!(
            "there is no replica {replica} in {}, which holds {}, counted from 0; name another",
            path.display(),
            counted(count as f64, "network")
        )));
    }
    if count > 1 && arguments.replica.is_empty() {
        let notice = format!("replica 0 of {count} is made compact; --replica ID takes another");
        arguments.folder.output.notices(std::slice::from_ref(&notice));
        notices.push(notice);
    }
    Ok(networks.swap_remove(replica))
}

/// What is known of the compact network beside its sizes.
#[derive(Default)]
struct Known {
    /// Both networks, alternating.
    measured: Option<Vec<Classified>>,
    /// Training images of which the network says what it said before, after the lossless stage alone, and of how many.
    same: Option<[usize; 2]>,
    /// Test images that light an input that no training image lights.
    lighting: Option<usize>,
}

fn known(
    engine: &mut Engine,
    original: &StoredNetwork,
    compacted: &Compacted,
    source: &Source,
    control: Control<'_>,
) -> Result<Known> {
    let Some([training, test]) = source.sets() else { return Ok(Known::default()) };
    let same = same_predictions(engine, [original, &compacted.lossless], training, control)?;
    let lights = lighting(&*original.fit(test)?, &compacted.findings.dark_inputs);
    let measured = classify_by_turns(engine, &[original, &compacted.network], test, TURNS, control)?;
    Ok(Known { measured: Some(measured), same: Some([same, training.samples()]), lighting: Some(lights) })
}

pub(super) fn run(arguments: &CompactArguments) -> Result<()> {
    let say = &arguments.folder.output;
    let replica = arguments.replica()?;
    let is_foreign = arguments.stack.dense.is_some();
    let run = (!is_foreign && is_run(&arguments.path)).then(|| RecordedRun::open(&arguments.path)).transpose()?;
    let settings = arguments.settings(replica, run.as_ref())?;
    let (original, source, notices) = if is_foreign {
        arguments.foreign(say)?
    } else {
        let mut notices = Vec::new();
        let network = network_at(arguments, replica, &mut notices)?;
        // Numbers that say nothing are refused before images are read.
        arguments.wanted(&network.architecture)?;
        let (source, said) = arguments.source(say, run.as_ref())?;
        notices.extend(said);
        (network, source, notices)
    };
    let wanted = arguments.wanted(&original.architecture)?;
    let training = source.sets().map(|[training, _]| original.fit(training)).transpose()?;
    let mut engine = open_engine(&arguments.folder.device, say.quiet)?;
    let (checksums, identity) = source.checksums(hash_parameters([&original.parameters]));
    let out = arguments.folder.out.as_deref();
    let (folder, mut manifest) = begin(out, "compact", &settings, engine.description(), checksums, &identity)?;
    source.describe(&mut manifest)?;
    manifest.seeds.push(settings.seed);
    let reporter = Reporter::new(say.quiet);
    let control = reporter.control();
    let surgery = surgery::Settings { ridge: settings.ridge as f32, seed: settings.seed, ..Default::default() };
    let calibrating = Calibrating { images: settings.calibration_images, settings: surgery };
    let compacted = compact(&engine, &original, training.as_deref(), wanted, calibrating, control)?;
    let known = known(&mut engine, &original, &compacted, &source, control)?;

    let file = folder.file("weights.safetensors")?;
    compacted.network.write(&file)?;
    let of_file = |path: &Path| std::fs::metadata(path).map(|found| found.len());
    let after = of_file(&file).map_err(|error| Error::io("read", &file, error))?;
    let bytes = [file_bytes(&original)?, after];
    let rows = rows(&original.architecture, &compacted.network.architecture);
    let table = folder.file("compact.csv")?;
    csv::write::<CompactRow>(&table, &rows)?;
    let hash = hash_parameters([&compacted.network.parameters]);
    manifest.weight_hashes.insert("compact: all parameters".into(), hash);
    finish(&folder, &mut manifest)?;

    let files = [file, table].map(|file| file.display().to_string());
    if say.json {
        let of_both = |number: fn(&Classified) -> f64| {
            known.measured.as_ref().map(|measured| measured.iter().map(number).collect::<Vec<f64>>())
        };
        let [before, after] = [&original, &compacted.network]
            .map(|network| network.pixels.as_ref().map_or(network.architecture.image_len(), Vec::len));
        return output::json(&json!({
            "settings": manifest.configuration,
            "configuration_hash": manifest.configuration_hash,
            "replica": replica,
            "layers": rows,
            "inputs": [before, after],
            "removed": compacted.findings,
            "accuracy": of_both(|found| found.evaluation.accuracy()),
            "classify_s": of_both(Classified::median),
            "file_bytes": bytes,
            "test_images_that_light_dark_inputs": known.lighting,
            "training_images_classified_as_before": known.same,
            "notices": notices,
            "files": files,
        }));
    }
    let mut text = format!("gone without a loss: {}\n", told::findings(&compacted.findings));
    if let Some([same, all]) = known.same {
        let [same, all] = [same, all].map(|count| thousands(count as i64));
        text += &format!("{same} of {all} training images are classified as before that\n");
    }
    if let Some(lighting) = known.lighting.filter(|_| !compacted.findings.dark_inputs.is_empty()) {
        let lighting = thousands(lighting as i64);
        text += &format!("{lighting} test images light one of those inputs: their logits may be others\n");
    }
    text += &told::layers(&rows);
    text += &told::comparison(known.measured.as_deref(), bytes);
    if let Some(all) = rows.last() {
        let times = |before: usize, after: usize| significant(before as f64 / after as f64);
        text += &format!(
            "{} times fewer weights, {} times fewer multiply-adds\n",
            times(all.weights_before, all.weights_after),
            times(all.multiply_adds_before, all.multiply_adds_after)
        );
    }
    output::result(&format!("{text}Files: {}\n", files.join(", ")))
}
