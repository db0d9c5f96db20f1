//! `holdfast merge`: the shards of a study, joined.

use super::options::{DeviceOptions, FolderOptions, FullOption};
use super::progress::Reporter;
use super::run::{announce, cells_in, manifest_in, open_engine, open_folder, settings_of, write_settings};
use super::study::TrainedStudy;
use crate::engine::{Control, Engine};
use crate::error::{Error, Result};
use crate::run::cell::Cell;
use crate::run::configuration::Configuration;
use crate::run::training_runs::CellRuns;
use crate::run_folder::{Manifest, RunFolder, Shard};
use crate::study::replication::{Variant, variants};
use clap::Args;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Arguments of `merge`.
#[derive(Args)]
pub(super) struct MergeArguments {
    /// Run folders of all shards, in any order.
    #[arg(value_name = "SHARD", required = true)]
    shards: Vec<PathBuf>,
    /// Leave Figure 4 out, which needs the data, and trains exponential decay.
    #[arg(long)]
    without_figure_4: bool,
    #[command(flatten)]
    full: FullOption,
    #[command(flatten)]
    folder: FolderOptions,
}

/// What to do about a shard that cannot be used.
const AGAIN: &str = "train that shard again with --fresh";

/// A folder that `study --shard` wrote.
struct ShardFolder {
    path: PathBuf,
    shard: Shard,
    manifest: Manifest,
}

pub(super) fn run(arguments: &MergeArguments) -> Result<()> {
    let FolderOptions { device, output: say, out } = &arguments.folder;
    let mut parts: Vec<ShardFolder> =
        arguments.shards.iter().map(|path| ShardFolder::open(path)).collect::<Result<_>>()?;
    parts.sort_by_key(|part| part.shard);
    check_complete(&parts)?;
    // The list of arguments is never empty.
    let first = &parts[0];
    let configuration = settings_of(&first.manifest, &first.path, "train that shard again")?;
    let cells = cells_in(&first.path, &configuration, AGAIN)?;
    for part in &parts[1..] {
        if cells_in(&part.path, &configuration, AGAIN)? != cells {
            return Err(Error::Data(format!(
                "{} and {} do not hold the same models and data sets; train one of them again with --fresh",
                first.path.display(),
                part.path.display()
            )));
        }
    }
    let mut manifest = Manifest { shard: None, finished: None, ..first.manifest.clone() };
    let folder = open_folder(&manifest, out.as_deref())?;
    if let Some(shard) = folder.earlier_manifest().and_then(|manifest| manifest.shard) {
        let place = folder.path().display();
        return Err(Error::Usage(format!("{place} is shard {shard} itself; choose another --out for the whole")));
    }
    write_settings(&folder, &configuration)?;
    manifest.wall_times = sums(&parts);
    manifest.write(folder.path())?;
    for cell in &cells {
        let read = |part: &ShardFolder| CellRuns::read(&|name| part.path.join(format!("{cell}{name}")), &configuration);
        let joined = CellRuns::joined(parts.iter().map(read).collect::<Result<_>>()?, &configuration)?;
        joined.write(&|name| folder.file(&format!("{cell}{name}")))?;
        for variant in variants(&configuration) {
            join_retrained(&parts, &format!("{cell}{}/", variant.folder), &variant, &folder)?;
        }
    }
    let reporter = Reporter::new(say.quiet);
    let control = reporter.control();
    let mut engine = open_engine(&device_of(&manifest, device), true)?;
    let data = if arguments.without_figure_4 || configuration.figure_4_replicates.unwrap_or(0) == 0 {
        Vec::new()
    } else {
        data_of(&manifest, &configuration, &engine, control)?
    };
    announce(&data, say);
    let trained = TrainedStudy { configuration: &configuration, names: cells, cells: &data, folder: &folder };
    trained.conclude(&mut engine, &mut manifest, control)?.print(say, arguments.full)
}

/// Joins what the shards have trained anew of a cell for the sensitivity table, in the part `place` of their folders.
///
/// Fails with [`Error::Data`] if some shards have it and others have lost theirs.
fn join_retrained(parts: &[ShardFolder], place: &str, variant: &Variant, folder: &RunFolder) -> Result<()> {
    let has = |part: &&ShardFolder| part.path.join(format!("{place}runs.csv")).is_file();
    let read =
        |part: &ShardFolder| CellRuns::read(&|name| part.path.join(format!("{place}{name}")), &variant.configuration);
    let found: Vec<CellRuns> = parts.iter().filter(has).map(read).collect::<Result<_>>()?;
    if found.is_empty() {
        return Ok(());
    }
    let joined = CellRuns::joined(found, &variant.configuration)?;
    let expected = variant.configuration.retrained_replicates() as usize;
    if joined.runs.len() != expected {
        return Err(Error::Data(format!(
            "the shards hold {} of {expected} networks in {place}; train those that lack them again with --fresh",
            joined.runs.len()
        )));
    }
    joined.write(&|name| folder.file(&format!("{place}{name}")))
}

/// The device asked for, or that of the shards.
fn device_of(manifest: &Manifest, asked: &DeviceOptions) -> DeviceOptions {
    let of_shards = match manifest.device["backend"].as_str() {
        Some("cpu") => Some("cpu"),
        _ => manifest.device["name"].as_str(),
    };
    DeviceOptions { device: asked.device.clone().or(of_shards.map(String::from)), ..asked.clone() }
}

/// The data that the shards were trained on.
///
/// Fails with [`Error::Data`] if they are not here.
fn data_of(
    manifest: &Manifest,
    configuration: &Configuration,
    engine: &Engine,
    control: Control<'_>,
) -> Result<Vec<Cell>> {
    let advice = "name --without-figure-4 to leave out what needs them";
    let mut cells = Cell::load_all(configuration)
        .map_err(|error| Error::Data(format!("Figure 4 needs the data of the shards: {error}; {advice}")))?;
    let checksums: BTreeMap<String, String> = cells.iter().flat_map(|cell| cell.checksums(configuration)).collect();
    let is_there = |cell: &mut Cell| cell.take_name_from(&manifest.data_checksums, configuration, &checksums);
    if !cells.iter_mut().all(is_there) {
        return Err(Error::Data(format!("the data here are not those that the shards were trained on; {advice}")));
    }
    let (here, there) = (&engine.description().name, &manifest.device["name"]);
    if there != here {
        control.progress.notice(&format!(
            "exponential decay of Figure 4 is trained on {here}, the shards were on {there}; --device names another"
        ));
    }
    Ok(cells)
}

impl ShardFolder {
    /// Fails with [`Error::Data`] if the folder is no shard or not finished.
    fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        let read = manifest_in(path, &format!("{AGAIN}, in another --out"))?;
        let manifest = read.ok_or_else(|| {
            Error::Data(format!("{shown} has no manifest.json; name folders that holdfast study --shard has written"))
        })?;
        let shard = manifest.shard.filter(|_| manifest.command == "study").ok_or_else(|| {
            Error::Data(format!(
                "{shown} is a run of holdfast {} in one piece; name folders that holdfast study --shard has written",
                manifest.command
            ))
        })?;
        if manifest.finished.is_none() {
            return Err(Error::Data(format!(
                "{shown} is not finished: give its command, with --shard {shard}, once more and it goes on"
            )));
        }
        Ok(Self { path: path.to_path_buf(), shard, manifest })
    }
}

/// Fails with [`Error::Usage`] unless the parts, in order, are each shard of one study once.
fn check_complete(parts: &[ShardFolder]) -> Result<()> {
    let first = &parts[0];
    for part in parts {
        let (path, hash) = (part.path.display(), &part.manifest.configuration_hash);
        if *hash != first.manifest.configuration_hash {
            return Err(Error::Usage(format!(
                "{} is of the configuration {}, but {path} of {hash}; join shards of one study",
                first.path.display(),
                first.manifest.configuration_hash
            )));
        }
        if part.shard.of != first.shard.of {
            return Err(Error::Usage(format!(
                "{} is shard {}, but {path} is shard {}; join the shards of one division",
                first.path.display(),
                first.shard,
                part.shard
            )));
        }
    }
    if let Some(pair) = parts.windows(2).find(|pair| pair[0].shard == pair[1].shard) {
        return Err(Error::Usage(format!(
            "{} and {} are both shard {}; name each shard once",
            pair[0].path.display(),
            pair[1].path.display(),
            pair[0].shard
        )));
    }
    let is_there = |index: &u32| parts.iter().any(|part| part.shard.index == *index);
    let missing: Vec<String> = (1..=first.shard.of)
        .filter(|index| !is_there(index))
        .map(|index| Shard { index, ..first.shard }.to_string())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::Usage(format!("missing: shard {}; train what is not there, and name all shards", missing.join(", "))))
}

/// Wall times of all shards together.
fn sums(parts: &[ShardFolder]) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for (name, seconds) in parts.iter().flat_map(|part| &part.manifest.wall_times) {
        *sums.entry(name.clone()).or_insert(0.0) += seconds;
    }
    sums
}
