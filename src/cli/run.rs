//! What every command with a run folder does first and last: device, data, hash, folder, manifest.

use super::options::{DeviceOptions, FolderOptions, OutputOptions, RunArguments};
use super::{dry_run, output};
use crate::check::Certificate;
use crate::clock::Fingerprint;
use crate::engine::{self, DeviceDescription, Engine};
use crate::error::{Error, Result};
use crate::run::cell::Cell;
use crate::run::configuration::{self, Configuration};
use crate::run_folder::{self, Manifest, RunFolder, Shard, timestamp};
use crate::study::memory::Job;
use crate::study::replication::variants;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Everything that a run needs, its folder locked.
pub(super) struct Run {
    pub(super) configuration: Configuration,
    pub(super) cells: Vec<Cell>,
    pub(super) engine: Engine,
    pub(super) folder: RunFolder,
    pub(super) manifest: Manifest,
}

/// Data and device of a run, before anything is written.
pub(super) struct Prepared {
    command: &'static str,
    pub(super) configuration: Configuration,
    cells: Vec<Cell>,
    engine: Engine,
    checksums: BTreeMap<String, String>,
    pub(super) hash: String,
    /// Which part of a study is run; `None` of everything else.
    shard: Option<Shard>,
}

/// Opens the device and says which one and why.
pub(super) fn open_engine(device: &DeviceOptions, quiet: bool) -> Result<Engine> {
    device.validate()?;
    let (engine, reason) = engine::open(&device.choice(), device.threads(quiet), device.checked_shaders)?;
    if !quiet {
        output::note(&reason);
    }
    Ok(engine)
}

/// Says what was read for these cells: a line for each data set, and what the user should know of it.
pub(super) fn announce(cells: &[Cell], say: &OutputOptions) {
    let mut said = BTreeSet::new();
    for (place, cell) in cells.iter().enumerate() {
        let before = place.checked_sub(1).map(|before| &cells[before]);
        let notices = cell.notices.iter().map(|notice| format!("notice: {notice}"));
        // Networks that take other images of a set have most notices in common.
        cell.line(before).into_iter().chain(notices).filter(|line| said.insert(line.clone())).for_each(|line| {
            say.note(&line);
        });
    }
}

/// What the data sets of these cells hold, for the manifest.
pub(super) fn data_sets(cells: &[Cell], configuration: &Configuration) -> Result<BTreeMap<String, serde_json::Value>> {
    cells
        .iter()
        .map(|cell| {
            let contents = serde_json::to_value(&cell.contents)
                .map_err(|error| Error::Job(format!("cannot write the manifest: {error}")))?;
            Ok((cell.label(configuration), contents))
        })
        .collect()
}

/// Loads data and opens the device. With `--print-config` or `--dry-run` prints what is asked, and there is nothing to run.
pub(super) fn prepare(
    command: &'static str,
    configuration: Configuration,
    arguments: &RunArguments,
    job: Job,
    shard: Option<Shard>,
) -> Result<Option<Prepared>> {
    if arguments.file.print_config {
        return output::result(&settings_text(&configuration)?).map(|()| None);
    }
    let FolderOptions { device, output: say, .. } = &arguments.folder;
    let cells = Cell::load_all(&configuration)?;
    announce(&cells, say);
    let mut engine = open_engine(device, say.quiet)?;
    let checksums: BTreeMap<String, String> = cells.iter().flat_map(|cell| cell.checksums(&configuration)).collect();
    let identity = cells.iter().flat_map(|cell| cell.identity(&configuration, &checksums)).collect();
    let hash = configuration::hash(command, &configuration, engine.description(), &identity)?;
    let all = configuration.replicates;
    let replicates = shard.map_or(Ok(all), |shard| Ok(shard.replicas(all)?.len() as u32))?;
    if arguments.dry_run {
        // What is trained anew for the sensitivity table has images of its own, which lie in memory beside the others.
        let retrained = variants(&configuration);
        let retrained: Vec<_> =
            retrained.iter().map(|variant| variant.cells(&configuration, &cells)).collect::<Result<_>>()?;
        dry_run::print(&mut engine, &cells, &configuration, replicates, job, &hash, say.json)?;
        drop(retrained);
        return Ok(None);
    }
    Ok(Some(Prepared { command, configuration, cells, engine, checksums, hash, shard }))
}

impl Prepared {
    /// Takes the run folder: `out`, or `runs/<command>-<hash>`. Unless the run is finished, or if it is to start afresh,
    /// writes the configuration and an unfinished manifest.
    pub(super) fn start(self, out: Option<&Path>, fresh: bool) -> Result<Run> {
        let Self { command, configuration, mut cells, engine, checksums, hash, shard } = self;
        let mut manifest = draft(command, hash, &configuration, engine.description(), checksums)?;
        manifest.seeds.push(configuration.seed);
        manifest.shard = shard;
        let folder = open_folder(&manifest, out)?;
        if let Some(earlier) = folder.earlier_manifest() {
            if earlier.shard != shard {
                let name = |shard: Option<Shard>| {
                    shard.map_or("the study in one piece".into(), |shard| format!("shard {shard}"))
                };
                return Err(Error::Usage(format!(
                    "{} belongs to {}, and this is {}; choose another --out",
                    folder.path().display(),
                    name(earlier.shard),
                    name(shard)
                )));
            }
            // Its files are named as its data were then, and its checkpoints by its hash.
            for cell in &mut cells {
                cell.take_name_from(&earlier.data_checksums, &configuration, &manifest.data_checksums);
            }
            manifest.data_checksums.clone_from(&earlier.data_checksums);
            manifest.configuration_hash.clone_from(&earlier.configuration_hash);
            if earlier.finished.is_some() && !fresh {
                let is_as_given = earlier.configuration.get("data") == manifest.configuration.get("data");
                let manifest = Manifest { configuration: manifest.configuration, ..earlier.clone() };
                if !is_as_given {
                    // The data lie elsewhere now: whoever reads the settings finds them.
                    write_settings(&folder, &configuration)?;
                    manifest.write(folder.path())?;
                }
                return Ok(Run { configuration, cells, engine, folder, manifest });
            }
            if !fresh {
                manifest.started.clone_from(&earlier.started);
                manifest.wall_times.clone_from(&earlier.wall_times);
            }
        }
        if fresh {
            for cell in &cells {
                cell.folder(&folder, &manifest.configuration_hash, &configuration).remove_checkpoints()?;
            }
        }
        // Who sees the manifest may interrupt: nothing that was begun is lost then.
        super::stop::stop_flag();
        write_settings(&folder, &configuration)?;
        manifest.data_sets = data_sets(&cells, &configuration)?;
        manifest.write(folder.path())?;
        Ok(Run { configuration, cells, engine, folder, manifest })
    }
}

/// Opens the folder of the run that a manifest tells of: `out`, or `runs/<command>-<hash>`.
pub(super) fn open_folder(manifest: &Manifest, out: Option<&Path>) -> Result<RunFolder> {
    let name = || PathBuf::from("runs").join(format!("{}-{}", manifest.command, manifest.configuration_hash));
    RunFolder::open(&out.map_or_else(name, Path::to_path_buf), manifest)
}

/// Opens the folder of a run that starts now, and writes its settings and an unfinished manifest, without seeds. The folder's
/// name and the manifest tell of the settings, the device and what `identity` has of the `checksums`.
pub(super) fn begin(
    out: Option<&Path>,
    command: &str,
    settings: &impl Serialize,
    device: &DeviceDescription,
    checksums: BTreeMap<String, String>,
    identity: &BTreeMap<String, String>,
) -> Result<(RunFolder, Manifest)> {
    let hash = configuration::hash(command, settings, device, identity)?;
    let manifest = draft(command, hash, settings, device, checksums)?;
    let folder = open_folder(&manifest, out)?;
    write_settings(&folder, settings)?;
    manifest.write(folder.path())?;
    Ok((folder, manifest))
}

/// Marks a run as finished.
pub(super) fn finish(folder: &RunFolder, manifest: &mut Manifest) -> Result<()> {
    manifest.finish();
    manifest.write(folder.path())
}

/// The manifest of a folder that a user names; `advice` says what to do about a damaged one.
pub(super) fn manifest_in(path: &Path, advice: &str) -> Result<Option<Manifest>> {
    Manifest::read(path).map_err(|error| match error {
        Error::Usage(_) => Error::Data(format!(
            "{} is cut off, damaged or of another version; {advice}",
            path.join("manifest.json").display()
        )),
        other => other,
    })
}

/// The settings of such a run.
pub(super) fn settings_of(manifest: &Manifest, path: &Path, advice: &str) -> Result<Configuration> {
    serde_json::from_value(manifest.configuration.clone()).map_err(|error| {
        Error::Data(format!(
            "{} has no settings that this version understands ({error}); {advice}",
            path.join("manifest.json").display()
        ))
    })
}

/// The cells' parts of the folder of such a run in the order of their names, ending in a slash; empty for the top.
///
/// Fails with [`Error::Data`] if there are fewer than its settings say.
pub(super) fn cells_in(path: &Path, configuration: &Configuration, advice: &str) -> Result<Vec<String>> {
    if configuration.cells() == 1 {
        return Ok(vec![String::new()]);
    }
    let folder = path.join("cells");
    let entries = std::fs::read_dir(&folder)
        .map_err(|error| Error::Data(format!("cannot read {}: {error}; {advice}", folder.display())))?;
    let mut cells: Vec<String> = entries
        .filter_map(|entry| entry.ok().filter(|entry| entry.path().is_dir())?.file_name().into_string().ok())
        .map(|name| format!("cells/{name}/"))
        .collect();
    cells.sort();
    if cells.len() == configuration.cells() {
        return Ok(cells);
    }
    Err(Error::Data(format!(
        "{} holds {} of {} models and data sets; {advice}",
        folder.display(),
        cells.len(),
        configuration.cells()
    )))
}

/// The manifest of a run that starts now, without seeds.
fn draft(
    command: &str,
    hash: String,
    settings: &impl Serialize,
    device: &DeviceDescription,
    checksums: BTreeMap<String, String>,
) -> Result<Manifest> {
    let as_json = |what: serde_json::Result<serde_json::Value>| {
        what.map_err(|error| Error::Job(format!("cannot write the manifest: {error}")))
    };
    Ok(Manifest {
        version: env!("CARGO_PKG_VERSION").into(),
        command: command.into(),
        configuration_hash: hash,
        configuration: as_json(serde_json::to_value(settings))?,
        seeds: Vec::new(),
        device: as_json(serde_json::to_value(device))?,
        driver: device.driver.clone(),
        fingerprint: Some(Fingerprint::now(&device.driver)),
        certificate: Certificate::of(device)
            .map(|certificate| as_json(serde_json::to_value(certificate)))
            .transpose()?,
        data_checksums: checksums,
        data_sets: BTreeMap::new(),
        weight_hashes: BTreeMap::new(),
        wall_times: BTreeMap::new(),
        shard: None,
        replaced_replicas: Vec::new(),
        started: timestamp(SystemTime::now()),
        finished: None,
    })
}

/// Settings as a file that `--config` reads.
fn settings_text(settings: &impl Serialize) -> Result<String> {
    toml::to_string(settings).map_err(|error| Error::Job(format!("cannot write the configuration as text: {error}")))
}

/// Writes `config.toml`.
pub(super) fn write_settings(folder: &RunFolder, settings: &impl Serialize) -> Result<()> {
    let text = settings_text(settings)?;
    run_folder::write(&folder.file("config.toml")?, |file| std::io::Write::write_all(file, text.as_bytes()))
}

impl Run {
    /// Whether an earlier call finished this run; says so.
    pub(super) fn is_finished(&self, say: &OutputOptions) -> bool {
        let finished = self.manifest.finished.is_some();
        if finished {
            say.notices(&["this run is finished: these are its results; --fresh runs it anew".into()]);
        }
        finished
    }
}
