//! `holdfast data`: which data there are, whether they are intact, and what they look like.

use super::options::{ImageOptions, OutputOptions};
use super::output;
use crate::data::catalogue::{self, FileState, Origin};
use crate::data::contents::Contents;
use crate::data::{ChannelStatistics, LoadOptions, Loaded, Source, export};
use crate::error::{Error, Result};
use crate::numbers::thousands;
use crate::run_folder::{FolderKind, OutputFolder};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Arguments of `data`.
#[derive(Args)]
pub(super) struct DataArguments {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Subcommand)]
enum DataCommand {
    /// List the data sets: sizes, licence, where their files lie.
    List {
        #[command(flatten)]
        output: OutputOptions,
    },
    /// Compare the files that ship with the project with their checksums.
    Verify {
        #[command(flatten)]
        output: OutputOptions,
    },
    /// Write the images of a set as files: PNG in a folder for each class with a contact sheet, IDX, or one .npz.
    Export(ExportArguments),
    /// Write a generated set as IDX files that `--data any=DIR` reads.
    Generate(GenerateArguments),
}

/// Arguments of `data export`.
#[derive(Args)]
struct ExportArguments {
    /// A data set, as --data names it.
    #[arg(value_name = "SET")]
    set: OsString,
    /// Folder for the images.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// What the images are written as.
    #[arg(long, value_enum, default_value_t = ExportFormat::Png)]
    format: ExportFormat,
    /// Only so many images of each class, for training and for testing; of png.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Remove what an earlier export wrote there, and start anew.
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    images: ImageOptions,
    #[command(flatten)]
    output: OutputOptions,
}

/// Forms of a data set that `--data any=PATH` reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    /// PNG images in a folder for each class, and a contact sheet.
    Png,
    /// Compressed IDX files, named as MNIST's.
    Idx,
    /// An archive as MedMNIST's.
    Npz,
}

/// Arguments of `data generate`.
#[derive(Args)]
struct GenerateArguments {
    /// A generated data set: ct, sc-synthetic or xr-synthetic.
    #[arg(value_name = "SET")]
    set: OsString,
    /// Folder for the files.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Seed of the pixels.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Remove what an earlier call wrote there, and start anew.
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    output: OutputOptions,
}

pub(super) fn run(arguments: &DataArguments) -> Result<()> {
    match &arguments.command {
        DataCommand::List { output } => list(output),
        DataCommand::Verify { output } => verify(output),
        DataCommand::Export(arguments) => export(arguments),
        DataCommand::Generate(arguments) => generate(arguments),
    }
}

fn list(say: &OutputOptions) -> Result<()> {
    let entries = catalogue::entries();
    if say.json {
        return output::json(&json!(entries));
    }
    let mut text = String::new();
    for entry in &entries {
        let place = match (entry.origin, &entry.found_in) {
            (Origin::Generated, _) => "made when it is asked for".into(),
            (Origin::Yours, _) => "read from where you say".into(),
            (Origin::Shipped, Some(folder)) => format!("in {}", folder.display()),
            (Origin::Shipped, None) => {
                let places: Vec<String> = entry.looked_in.iter().map(|place| place.display().to_string()).collect();
                format!("not found; looked in {}", places.join(" and in "))
            }
        };
        text += &format!(
            "{:<13} {}\n{:13} {}; {place}\n{:13} {}\n",
            entry.id, entry.what, "", entry.sizes, "", entry.licence
        );
    }
    output::result(&text)
}

fn verify(say: &OutputOptions) -> Result<()> {
    let checked = catalogue::verify()?;
    if say.json {
        output::json(&json!(checked))?;
    } else {
        let line = |file: &catalogue::CheckedFile| {
            let state = match file.state {
                FileState::Intact => "intact",
                FileState::Different => "DIFFERENT",
                FileState::Missing => "MISSING",
            };
            format!("{state:<9}  {}\n", file.path.display())
        };
        output::result(&checked.iter().map(line).collect::<String>())?;
    }
    match checked.iter().filter(|file| file.state != FileState::Intact).count() {
        0 if say.quiet => Ok(()),
        0 => {
            announce(&Source::Mnist(None).load(0, &LoadOptions::default())?, say);
            Ok(())
        }
        count => Err(Error::Data(format!(
            "{count} of {} files are not those that ship with the project; copy or download them again",
            checked.len()
        ))),
    }
}

/// Opens the folder for a set: two in one folder would be read as one.
fn open(folder: &Path, fresh: bool) -> Result<OutputFolder> {
    let opened = OutputFolder::open(folder, FolderKind::DataSet)?;
    if fresh {
        opened.clear()?;
    } else if !opened.is_new() {
        return Err(Error::Usage(format!(
            "{} holds a data set that an earlier call wrote, and the two would mix; use --fresh to remove that first, or \
             choose another DIR",
            folder.display()
        )));
    }
    Ok(opened)
}

/// Says what was read or made.
fn announce(loaded: &Loaded, say: &OutputOptions) {
    say.note(&Contents::of(&loaded.split, &loaded.class_names).line(&loaded.split.training.name));
    say.notices(&loaded.notices);
    let of_channel = |channel: &ChannelStatistics| {
        format!("{} {:.1} ± {:.1}", channel.channel, channel.mean, channel.standard_deviation)
    };
    let channels: Vec<String> = loaded.split.training.channel_statistics().iter().map(of_channel).collect();
    say.note(&format!("training pixels, 0 to 255: {}", channels.join(", ")));
}

fn export(arguments: &ExportArguments) -> Result<()> {
    if arguments.limit == Some(0) {
        return Err(Error::Usage("--limit 0 exports nothing; use 1 or more, or leave it out for all images".into()));
    }
    if arguments.limit.is_some() && arguments.format != ExportFormat::Png {
        return Err(Error::Usage("--limit is of --format png alone; leave it out, or export png".into()));
    }
    let ImageOptions { seed, .. } = arguments.images;
    let loaded = Source::parse(&arguments.set)?.load(seed, &arguments.images.load_options())?;
    announce(&loaded, &arguments.output);
    let Loaded { split, class_names, .. } = loaded;
    let name = &split.training.name;
    let output = open(&arguments.folder, arguments.fresh)?;
    let folder = output.path();
    let write = |set, part| export::write_images(set, &class_names, &output, part, arguments.limit);
    let (mut training, mut test) = (split.training.samples(), split.test.samples());
    let (what, files) = match arguments.format {
        ExportFormat::Png => {
            training = write(&split.training, "training")?;
            test = write(&split.test, "test")?;
            let sheet = output.file(&format!("{name}-contact-sheet.png"))?;
            export::write_contact_sheet(&split.training, &sheet)?;
            ("contact sheet", vec![sheet])
        }
        ExportFormat::Idx => ("files", export::write_idx(&split, &output)?),
        ExportFormat::Npz => ("file", vec![export::write_npz(&split, &output)?]),
    };
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    if arguments.output.json {
        let mut result = json!({
            "set": name,
            "classes": class_names,
            "channels": split.training.channels,
            "pixel_statistics": split.training.channel_statistics(),
            "training_images": training,
            "test_images": test,
            "folder": folder.display().to_string(),
        });
        match arguments.format {
            ExportFormat::Png => result["contact_sheet"] = json!(files[0]),
            ExportFormat::Idx | ExportFormat::Npz => result["files"] = json!(files),
        }
        return output::json(&result);
    }
    output::result(&format!(
        "{name}: {} training and {} test images in {}; {what}: {}\n",
        thousands(training as i64),
        thousands(test as i64),
        folder.display(),
        files.join(", ")
    ))
}

fn generate(arguments: &GenerateArguments) -> Result<()> {
    let source = Source::parse(&arguments.set)?;
    if !source.is_generated() {
        return Err(Error::Usage(format!(
            "{} is not generated but read from files; use ct, sc-synthetic or xr-synthetic, or data export to see its images",
            arguments.set.display()
        )));
    }
    let loaded = source.load(arguments.seed, &LoadOptions::default())?;
    announce(&loaded, &arguments.output);
    let split = loaded.split;
    let name = &split.training.name;
    let files = export::write_idx(&split, &open(&arguments.folder, arguments.fresh)?)?;
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let checksums = [split.training.checksum(), split.test.checksum()];
    if arguments.output.json {
        return output::json(&json!({
            "set": name,
            "seed": arguments.seed,
            "files": files,
            "training_checksum": checksums[0],
            "test_checksum": checksums[1],
        }));
    }
    output::result(&format!(
        "{name}, seed {}: {}\nread them with --data any={}\n",
        arguments.seed,
        files.join(", "),
        arguments.folder.display()
    ))
}
