//! `holdfast study`: the paper's tables.

use super::options::OutputOptions;
use super::output;
use super::run::{begin, open_folder};
use crate::engine::DeviceDescription;
use crate::error::Result;
use crate::report::{growth_figure, study as report};
use crate::run_folder::timestamp;
use crate::study::configuration;
use crate::study::numbers::thousands;
use crate::study::tables::{self, read_observations, read_stable_nodes, tables};
use clap::Args;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

/// Arguments of `study`.
#[derive(Args)]
pub(super) struct StudyArguments {
    /// CSV file with the columns model, data_set, replicate and stability, a row for each node.
    #[arg(long, value_name = "FILE")]
    from_observations: PathBuf,
    /// CSV file with the columns model, data_set, replicate, epoch and stable_nodes, a row for each epoch.
    #[arg(long, value_name = "FILE")]
    from_stable_nodes: PathBuf,
    #[command(flatten)]
    output: OutputOptions,
    /// Folder for the tables; `runs/study-<hash>` if not given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What the tables were made from; the checksums of the files are kept beside.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Settings {
    made_from: &'static str,
}

pub(super) fn run(arguments: &StudyArguments) -> Result<()> {
    let say = &arguments.output;
    let (observations, stability_source) = read_observations(&arguments.from_observations)?;
    let (stable_nodes, numbers_source) = read_stable_nodes(&arguments.from_stable_nodes)?;
    if !say.quiet {
        for (source, replicates) in [(&stability_source, observations.len()), (&numbers_source, stable_nodes.len())] {
            let rows = thousands(source.rows as i64);
            output::note(&format!("{}: {rows} rows, {replicates} replicates", source.path.display()));
        }
    }
    let checksums = BTreeMap::from([
        ("observations".to_string(), stability_source.checksum),
        ("stable nodes".to_string(), numbers_source.checksum),
    ]);
    let settings = Settings { made_from: "observations and stable nodes in files" };
    let device = no_device();
    let hash = configuration::hash("study", &settings, &device, &checksums)?;
    let folder = open_folder("study", arguments.out.as_deref(), &hash)?;
    let mut manifest = begin(&folder, "study", hash, &settings, &device, checksums)?;

    let started = Instant::now();
    let made = tables(&observations, &stable_nodes);
    manifest.wall_times.insert("tables".into(), started.elapsed().as_secs_f64());
    tables::write(&|name| folder.file(name), &made)?;
    growth_figure::write_svg(&made.growth, &folder.file("figures/figure3.svg")?)?;
    growth_figure::write_png(&made.growth, &folder.file("figures/figure3.png")?)?;
    manifest.finished = Some(timestamp(SystemTime::now()));
    manifest.write(folder.path())?;

    let place = folder.path().display();
    if say.json {
        return output::json(&report::json(&made, &manifest.configuration_hash, &place.to_string()));
    }
    output::result(&format!("{}\nFiles are in {place}.\n", report::text(&made)))
}

/// Tables of given numbers run on no device.
fn no_device() -> DeviceDescription {
    DeviceDescription {
        name: "none".into(),
        kind: "none".into(),
        backend: "none".into(),
        driver: String::new(),
        variant: "none".into(),
    }
}
