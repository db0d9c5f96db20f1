//! One cell of a study: one model on one data set, trained in replicas, with its records on disk.

use super::configuration::{Configuration, Network};
use crate::data::contents::Contents;
use crate::data::{Dataset, Loaded, Source, Split};
use crate::engine::{Batch, Control, DataHandle, Engine, Setup};
use crate::error::{Error, Result};
use crate::network::{Architecture, Selection};
use crate::numbers::significant;
use crate::run_folder::RunFolder;
use crate::training::{CheckpointFile, Plan, Trained, train};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;

/// One model on one data set.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Name of the data set in tables and files.
    pub data_set: String,
    /// What the set is called in the hash of the configuration: its name, unless that comes from its path.
    known_as: String,
    /// Training and test images.
    pub split: Split,
    /// The network that fits them.
    pub architecture: Architecture,
    /// The weights that are recorded and pruned.
    pub selection: Selection,
    /// What was read, by class.
    pub contents: Contents,
    /// What the user should know of how the images were read.
    pub notices: Vec<String>,
}

impl Cell {
    /// Loads the data sets of a configuration: one cell for each of them and each network.
    ///
    /// Fails with [`Error::Usage`] if two have the same name, since their files would be the same, and with [`Error::Job`]
    /// if the networks do not fit into memory.
    pub fn load_all(configuration: &Configuration) -> Result<Vec<Self>> {
        let mut cells: Vec<Self> = Vec::new();
        for (place, text) in (1..).zip(&configuration.data) {
            let source = Source::parse(OsStr::new(text))?;
            let first = cells.len();
            for &network in configuration.model.networks() {
                let options = configuration.load_options(network);
                // A second network that takes the same images shares them.
                let shared = cells.get(first).filter(|_| options == configuration.load_options(Network::Dnn));
                let (split, contents, notices) = match shared {
                    Some(cell) => (cell.split.clone(), cell.contents.clone(), cell.notices.clone()),
                    None => {
                        let Loaded { split, class_names, notices } = source.load(configuration.seed, &options)?;
                        let contents = Contents::of(&split, &class_names);
                        (split, contents, notices)
                    }
                };
                let Dataset { ref name, height, width, channels, classes, .. } = *split.training;
                if cells[..first].iter().any(|cell| cell.data_set == *name) {
                    return Err(Error::Usage(format!(
                        "--data names two sets that are both called {name}; compare them in two runs"
                    )));
                }
                let architecture = configuration.architecture(network, [height, width, channels], classes)?;
                architecture.validate()?;
                check_memory(&architecture, configuration.replicates, configuration.epochs, 0)?;
                let known_as = if matches!(source, Source::Any(_)) { format!("any {place}") } else { name.clone() };
                let selection = configuration.recorded(&architecture)?;
                cells.push(Self {
                    data_set: name.clone(),
                    known_as,
                    split,
                    architecture,
                    selection,
                    contents,
                    notices,
                });
            }
        }
        Ok(cells)
    }

    /// The part of the run folder that is this cell's: the top if it is the only one.
    pub fn folder<'a>(&self, run: &'a RunFolder, hash: &'a str, configuration: &Configuration) -> CellFolder<'a> {
        CellFolder { run, prefix: self.folder_name(configuration), hash }
    }

    /// Name of that part, ending in a slash; empty for the top.
    pub fn folder_name(&self, configuration: &Configuration) -> String {
        cell_folder_name(configuration, self.model(), &self.data_set)
    }

    /// Name of the network in files and tables: `dnn` or `cnn`.
    pub fn model(&self) -> &'static str {
        self.architecture.model()
    }

    /// The cell in a sentence, e.g. `cnn on mnist`.
    pub fn name(&self) -> String {
        format!("{} on {}", self.model(), self.data_set)
    }

    /// What tells the cell from the others of its run: the data set, and the network where there are several.
    pub fn label(&self, configuration: &Configuration) -> String {
        self.labelled(configuration, &self.data_set)
    }

    fn labelled(&self, configuration: &Configuration, data_set: &str) -> String {
        let alone = configuration.model.networks().len() == 1;
        if alone { data_set.into() } else { format!("{} on {data_set}", self.model()) }
    }

    /// Checksums of both sets, by name.
    pub fn checksums(&self, configuration: &Configuration) -> BTreeMap<String, String> {
        [("training", &self.split.training), ("test", &self.split.test)]
            .map(|(part, data)| (format!("{}, {part}", self.label(configuration)), data.checksum()))
            .into()
    }

    /// Those of `checksums` that are the cell's, by names that do not depend on the path of its data.
    pub fn identity<'a>(
        &self,
        configuration: &Configuration,
        checksums: &'a BTreeMap<String, String>,
    ) -> impl Iterator<Item = (String, String)> + use<'a> {
        let [label, known_as] = [&self.data_set, &self.known_as].map(|name| self.labelled(configuration, name));
        ["training", "test"].into_iter().filter_map(move |part| {
            Some((format!("{known_as}, {part}"), checksums.get(&format!("{label}, {part}"))?.clone()))
        })
    }

    /// Gives the cell the name that its data have in an `earlier` manifest of its run, if they are there: they may have
    /// moved since. `checksums` are those of now. Says whether they are there.
    pub fn take_name_from(
        &mut self,
        earlier: &BTreeMap<String, String>,
        configuration: &Configuration,
        checksums: &BTreeMap<String, String>,
    ) -> bool {
        let label = self.label(configuration);
        let is_own = |label: &str| {
            ["training", "test"].iter().all(|part| {
                let found = earlier.get(&format!("{label}, {part}"));
                found.is_some() && found == checksums.get(&format!("{}, {part}", self.label(configuration)))
            })
        };
        if is_own(&label) {
            return true;
        }
        let prefix = self.labelled(configuration, "");
        let names = earlier.keys().filter_map(|key| key.strip_suffix(", training")?.strip_prefix(&prefix));
        let Some(name) = names.into_iter().find(|name| is_own(&format!("{prefix}{name}"))) else { return false };
        self.data_set = name.into();
        true
    }

    /// A line on the data set, see [`Contents::line`]; of a network that takes other images than the one before it, under
    /// the cell's name. `None` if the cell before it, of another network, said the same.
    pub fn line(&self, before: Option<&Self>) -> Option<String> {
        match before.filter(|before| before.data_set == self.data_set) {
            None => Some(self.contents.line(&self.data_set)),
            Some(before) if before.contents == self.contents => None,
            Some(_) => Some(self.contents.line(&self.name())),
        }
    }

    /// Training steps of an epoch.
    pub fn steps(&self, configuration: &Configuration) -> u64 {
        self.split.training.samples().div_ceil(configuration.batch) as u64
    }

    /// What an engine needs to know of replicas of the cell's network.
    pub fn setup<'a>(
        &'a self,
        training: DataHandle,
        configuration: &Configuration,
        replica_ids: &'a [u32],
    ) -> Setup<'a> {
        Setup {
            architecture: &self.architecture,
            training,
            batch: configuration.batch.min(self.split.training.samples()),
            pixel_scale: configuration.pixel_scale,
            seed: configuration.seed,
            replica_ids,
            selection: &self.selection,
        }
    }

    /// Replicas of the cell's network on a device, not trained.
    ///
    /// Fails as [`Engine::load`] and [`Engine::begin`] do.
    pub fn begin(&self, engine: &mut Engine, configuration: &Configuration, replica_ids: &[u32]) -> Result<Batch> {
        let training = engine.load(&self.split.training)?;
        engine.begin(&self.setup(training, configuration, replica_ids))
    }

    /// Training of these replicas for all epochs with the focus layer recorded, and nothing pruned or stopped.
    pub(crate) fn plan<'a>(
        &'a self,
        training: DataHandle,
        configuration: &Configuration,
        replica_ids: &'a [u32],
    ) -> Plan<'a> {
        let (network, data) = ((&self.architecture, &self.selection), (training, &*self.split.training));
        Plan {
            batch: configuration.batch,
            pixel_scale: configuration.pixel_scale,
            seed: configuration.seed,
            learning_rate: configuration.schedule,
            ..Plan::new(network, data, replica_ids, configuration.epochs)
        }
    }

    /// The engine's handles of the training and the test set.
    ///
    /// Fails as [`Engine::load`] does.
    pub fn upload(&self, engine: &mut Engine) -> Result<(DataHandle, DataHandle)> {
        Ok((engine.load(&self.split.training)?, engine.load(&self.split.test)?))
    }
}

/// Part of a run folder that belongs to a model on a data set, ending in a slash; empty for the top.
pub fn cell_folder_name(configuration: &Configuration, model: &str, data_set: &str) -> String {
    let alone = configuration.cells() == 1;
    if alone { String::new() } else { format!("cells/{model}-{data_set}/") }
}

/// Where the files of a cell go.
#[derive(Clone, Debug)]
pub struct CellFolder<'a> {
    run: &'a RunFolder,
    prefix: String,
    hash: &'a str,
}

impl CellFolder<'_> {
    /// The place of a file.
    ///
    /// Fails as [`RunFolder::file`] does.
    pub fn file(&self, name: &str) -> Result<PathBuf> {
        self.run.file(&format!("{}{name}", self.prefix))
    }

    /// The checkpoints of a session of this cell.
    ///
    /// Fails as [`Self::file`] does.
    pub fn checkpoints(&self, session: &str) -> Result<CheckpointFile> {
        let path = self.file(&format!("checkpoints/{session}.checkpoint"))?;
        Ok(CheckpointFile::new(path, format!("{} {}{session}", self.hash, self.prefix)))
    }

    /// A folder within this one.
    pub fn within(&self, name: &str) -> Self {
        Self { prefix: format!("{}{name}/", self.prefix), ..self.clone() }
    }

    /// Whether the cell's part of a study is there: its list of runs is written last.
    pub fn is_whole(&self) -> bool {
        self.place("runs.csv").is_file()
    }

    /// The place of a file, whether or not its folder is there.
    pub fn place(&self, name: &str) -> PathBuf {
        self.run.path().join(format!("{}{name}", self.prefix))
    }

    /// Removes a file, if it is there.
    pub(crate) fn forget(&self, name: &str) -> Result<()> {
        self.run.output().remove(&format!("{}{name}", self.prefix))
    }

    /// Removes all checkpoints: the results are written, or the run starts anew.
    ///
    /// Fails with [`Error::Io`] if one of them cannot be removed.
    pub fn remove_checkpoints(&self) -> Result<()> {
        self.run.output().remove_folder(&format!("{}checkpoints", self.prefix))
    }
}

/// Refuses what cannot fit: asks the system for as much memory as parameters, Adam's two moments, the history and `images`
/// made-up images take, and gives it straight back. Without this, allocating them piece by piece would end the program.
///
/// Fails with [`Error::Job`].
pub fn check_memory(architecture: &Architecture, replicates: u32, epochs: u32, images: usize) -> Result<()> {
    let [parameters, _] = architecture.counted();
    let Architecture { image_height, image_width, channels, .. } = *architecture;
    let pixels = image_height as f64 * image_width as f64 * channels as f64;
    let history = f64::from(epochs) * architecture.focus_shape().map(|units| units as f64).iter().product::<f64>();
    let bytes = f64::from(replicates) * 4.0 * (3.0 * parameters + history) + images as f64 * pixels;
    if bytes < isize::MAX as f64 && Vec::<u8>::new().try_reserve_exact(bytes as usize).is_ok() {
        return Ok(());
    }
    Err(Error::Job(format!(
        "{replicates} replicas of this network take {} GB with their history, which this machine does not have; use fewer \
         --replicates or --epochs, a smaller --width, --depth or --hidden, or smaller images",
        significant((bytes / 1e9).ceil())
    )))
}

/// Trains the replicas of a cell for all epochs and records the focus layer.
///
/// Fails as the engine does, with [`Error::Interrupted`] if it is stopped, and if a checkpoint cannot be read or written.
pub fn train_and_record(
    engine: &mut Engine,
    cell: &Cell,
    configuration: &Configuration,
    folder: &CellFolder<'_>,
    control: Control<'_>,
) -> Result<Trained> {
    let training = engine.load(&cell.split.training)?;
    let replica_ids: Vec<u32> = (0..configuration.replicates).collect();
    let plan = Plan {
        average: configuration.averaged_epochs(),
        plateau: configuration.plateau(),
        ..cell.plan(training, configuration, &replica_ids)
    };
    if configuration.batch > cell.split.training.samples() {
        control.progress.notice(&format!(
            "--batch {} is larger than the {} training images: each epoch is one short step",
            configuration.batch,
            cell.split.training.samples()
        ));
    }
    let session = if configuration.stop_at_plateau.is_some() { "train-to-plateau" } else { "train" };
    let checkpoints = folder.checkpoints(session)?;
    let total = cell.steps(configuration) * u64::from(configuration.epochs) * u64::from(configuration.replicates);
    let until = if configuration.stop_at_plateau.is_some() { ", to the plateau" } else { "" };
    let name = format!("train {}{until}", cell.name());
    control.stage(&name, total, "replica-steps", |watch| {
        train(engine, &plan, Some(&checkpoints), watch, &|text| control.progress.notice(text))
    })
}
