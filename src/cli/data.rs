//! `holdfast data`: which data there are, whether they are intact, and what they look like.

use super::options::OutputOptions;
use super::output;
use crate::data::catalogue::{self, FileState};
use crate::data::{LoadOptions, Source, Split, export};
use crate::error::{Error, Result};
use crate::study::numbers::thousands;
use clap::{Args, Subcommand};
use serde_json::json;
use std::ffi::OsString;
use std::path::PathBuf;

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
    /// Write the images of a set as PNG, in a folder for each class, with a contact sheet.
    Export(ExportArguments),
    /// Write a generated set as IDX files that `--data mnist=DIR` reads.
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
    /// Only so many images of each class, for training and for testing.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Seed of sets that are drawn or generated.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    output: OutputOptions,
}

/// Arguments of `data generate`.
#[derive(Args)]
struct GenerateArguments {
    /// A generated data set: ct.
    #[arg(value_name = "SET")]
    set: OsString,
    /// Folder for the files.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Seed of the pixels.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
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
        let place = match (&entry.found_in, entry.looked_in.as_slice()) {
            (Some(folder), _) => format!("in {}", folder.display()),
            (None, []) => "made when it is asked for".into(),
            (None, places) => {
                let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
                format!("not found; looked in {}", places.join(" and in "))
            }
        };
        text += &format!(
            "{:<6} {}\n       {} pixels, training + test; {place}\n       {}\n",
            entry.id, entry.what, entry.sizes, entry.licence
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
        0 => Ok(()),
        count => Err(Error::Data(format!(
            "{count} of {} files are not those that ship with the project; copy or download them again",
            checked.len()
        ))),
    }
}

fn load(set: &OsString, seed: u64) -> Result<(Source, Split)> {
    let source = Source::parse(set)?;
    let split = source.load(seed, &LoadOptions::default())?;
    Ok((source, split))
}

fn export(arguments: &ExportArguments) -> Result<()> {
    if arguments.limit == Some(0) {
        return Err(Error::Usage("--limit 0 exports nothing; use 1 or more, or leave it out for all images".into()));
    }
    let (source, split) = load(&arguments.set, arguments.seed)?;
    let folder = &arguments.folder;
    let training = export::write_images(&split.training, &folder.join("training"), arguments.limit)?;
    let test = export::write_images(&split.test, &folder.join("test"), arguments.limit)?;
    let sheet = folder.join("contact-sheet.png");
    export::write_contact_sheet(&split.training, &sheet)?;
    if arguments.output.json {
        return output::json(&json!({
            "set": source.id(),
            "training_images": training,
            "test_images": test,
            "folder": folder.display().to_string(),
            "contact_sheet": sheet.display().to_string(),
        }));
    }
    output::result(&format!(
        "{}: {} training and {} test images in {}; contact sheet: {}\n",
        source.id(),
        thousands(training as i64),
        thousands(test as i64),
        folder.display(),
        sheet.display()
    ))
}

fn generate(arguments: &GenerateArguments) -> Result<()> {
    let source = Source::parse(&arguments.set)?;
    if source != Source::Contrived {
        return Err(Error::Usage(format!(
            "{} is not generated but read from files; use ct, or data export to see its images",
            source.id()
        )));
    }
    let split = source.load(arguments.seed, &LoadOptions::default())?;
    let files = export::write_idx(&split, &arguments.folder)?;
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let checksums = [split.training.checksum(), split.test.checksum()];
    if arguments.output.json {
        return output::json(&json!({
            "set": source.id(),
            "seed": arguments.seed,
            "files": files,
            "training_checksum": checksums[0],
            "test_checksum": checksums[1],
        }));
    }
    output::result(&format!(
        "{}, seed {}: {}\nread them with --data mnist={} --training-images {}\n",
        source.id(),
        arguments.seed,
        files.join(", "),
        arguments.folder.display(),
        split.training.samples()
    ))
}
