//! What every command with a run folder does first and last: device, data, hash, folder, manifest.

use super::options::DeviceOptions;
use super::output;
use crate::check::Certificate;
use crate::engine::{self, DeviceDescription, Engine};
use crate::error::{Error, Result};
use crate::run_folder::{self, Manifest, RunFolder, Shard, timestamp};
use crate::study::configuration::{self, Configuration};
use crate::study::experiment::Cell;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Everything that a run needs, its folder locked.
pub(super) struct Run {
    pub(super) configuration: Configuration,
    pub(super) cells: Vec<Cell>,
    pub(super) engine: Box<dyn Engine>,
    pub(super) folder: RunFolder,
    pub(super) manifest: Manifest,
}

/// Data and device of a run, before anything is written.
pub(super) struct Prepared {
    pub(super) configuration: Configuration,
    pub(super) cells: Vec<Cell>,
    pub(super) engine: Box<dyn Engine>,
    pub(super) checksums: BTreeMap<String, String>,
    pub(super) hash: String,
    /// Which part of a study is run; `None` of everything else.
    pub(super) shard: Option<Shard>,
}

/// Opens the device and says which one and why.
pub(super) fn open_engine(device: &DeviceOptions, quiet: bool) -> Result<Box<dyn Engine>> {
    device.validate()?;
    let (engine, reason) = engine::open(&device.choice(), device.threads, device.checked_shaders)?;
    if !quiet {
        output::note(&reason);
    }
    Ok(engine)
}

/// Loads data and opens the device.
pub(super) fn prepare(
    command: &str,
    configuration: Configuration,
    device: &DeviceOptions,
    quiet: bool,
) -> Result<Prepared> {
    let cells = Cell::load_all(&configuration)?;
    if !quiet {
        cells.iter().flat_map(|cell| &cell.notices).for_each(|notice| output::note(&format!("notice: {notice}")));
    }
    let engine = open_engine(device, quiet)?;
    let checksums: BTreeMap<String, String> = cells.iter().flat_map(|cell| cell.checksums(&configuration)).collect();
    let hash = configuration::hash(command, &configuration, engine.description(), &checksums)?;
    Ok(Prepared { configuration, cells, engine, checksums, hash, shard: None })
}

impl Prepared {
    /// Takes the run folder: `out`, or `runs/<command>-<hash>`. Unless the run is finished, or if it is to start afresh,
    /// writes the configuration and an unfinished manifest.
    pub(super) fn start(self, command: &str, out: Option<&Path>, fresh: bool) -> Result<Run> {
        let Self { configuration, cells, engine, checksums, hash, shard } = self;
        let folder = open_folder(command, out, &hash)?;
        if let Some(found) = folder.earlier_manifest().map(|manifest| manifest.shard).filter(|found| *found != shard) {
            let name =
                |shard: Option<Shard>| shard.map_or("the study in one piece".into(), |shard| format!("shard {shard}"));
            return Err(Error::Usage(format!(
                "{} belongs to {}, and this is {}; choose another --out",
                folder.path().display(),
                name(found),
                name(shard)
            )));
        }
        let earlier = folder.earlier_manifest().filter(|_| !fresh).cloned();
        if let Some(manifest) = earlier.clone().filter(|manifest| manifest.finished.is_some()) {
            return Ok(Run { configuration, cells, engine, folder, manifest });
        }
        if fresh {
            for cell in &cells {
                cell.folder(&folder, &hash, &configuration).remove_checkpoints()?;
            }
        }
        // Who sees the manifest may interrupt: nothing that was begun is lost then.
        super::stop_flag()?;
        let mut manifest = begin(&folder, command, hash, &configuration, engine.description(), checksums)?;
        manifest.seeds.push(configuration.seed);
        manifest.shard = shard;
        if let Some(earlier) = earlier {
            manifest.started = earlier.started;
            manifest.wall_times = earlier.wall_times;
        }
        manifest.write(folder.path())?;
        Ok(Run { configuration, cells, engine, folder, manifest })
    }
}

/// Opens the run folder: `out`, or `runs/<command>-<hash>`.
pub(super) fn open_folder(command: &str, out: Option<&Path>, hash: &str) -> Result<RunFolder> {
    let path = out.map_or_else(|| PathBuf::from("runs").join(format!("{command}-{hash}")), Path::to_path_buf);
    RunFolder::open(&path, hash)
}

/// Writes the settings and an unfinished manifest, without seeds, of a run that starts now.
pub(super) fn begin(
    folder: &RunFolder,
    command: &str,
    hash: String,
    settings: &impl Serialize,
    device: &DeviceDescription,
    checksums: BTreeMap<String, String>,
) -> Result<Manifest> {
    write_settings(folder, settings)?;
    let as_json = |what: serde_json::Result<serde_json::Value>| {
        what.map_err(|error| Error::Job(format!("cannot write the manifest: {error}")))
    };
    let manifest = Manifest {
        version: env!("CARGO_PKG_VERSION").into(),
        command: command.into(),
        configuration_hash: hash,
        configuration: as_json(serde_json::to_value(settings))?,
        seeds: Vec::new(),
        device: as_json(serde_json::to_value(device))?,
        driver: device.driver.clone(),
        certificate: Certificate::of(device)
            .map(|certificate| as_json(serde_json::to_value(certificate)))
            .transpose()?,
        data_checksums: checksums,
        weight_hashes: BTreeMap::new(),
        wall_times: BTreeMap::new(),
        shard: None,
        replaced_replicas: Vec::new(),
        started: timestamp(SystemTime::now()),
        finished: None,
    };
    manifest.write(folder.path())?;
    Ok(manifest)
}

/// Writes `config.toml`.
pub(super) fn write_settings(folder: &RunFolder, settings: &impl Serialize) -> Result<()> {
    let text = toml::to_string(settings)
        .map_err(|error| Error::Job(format!("cannot write the configuration as text: {error}")))?;
    run_folder::write(&folder.file("config.toml")?, |file| std::io::Write::write_all(file, text.as_bytes()))
}

impl Run {
    /// Whether an earlier call finished this run.
    pub(super) fn is_finished(&self) -> bool {
        self.manifest.finished.is_some()
    }

    /// Marks the run as finished.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.manifest.finished = Some(timestamp(SystemTime::now()));
        self.manifest.write(self.folder.path())
    }
}
