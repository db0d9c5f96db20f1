//! `holdfast export`: one network in a file that other programs run.

use super::evaluate::NetworkOptions;
use super::options::{DeviceOptions, OutputOptions};
use super::output;
use super::progress::Reporter;
use super::run::open_engine;
use super::stack::Images;
use crate::error::{Error, Result};
use crate::network::ParameterLayout;
use crate::network_files::onnx::{self, OnnxSettings};
use crate::network_files::stored_network::StoredNetwork;
use crate::numbers::{significant, thousands};
use crate::run_folder::file_kind::Purpose;
use crate::run_folder::onnx_messages::{Model, OPSET};
use crate::run_folder::{OUTPUT_FOLDER_FILES, arrays::ArrayFile};
use crate::study::classified::{Classified, TURNS, classify_by_turns};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Arguments of `export`.
#[derive(Args)]
#[command(
    after_help = "ONNX files are of operator set 17, which onnxruntime reads since 1.12. They read images as they are stored, u8 \
[N, y, x], in colour [N, y, x, channel], and give f32 logits [N, class].

Examples:
  holdfast export pruned/smaller-6 --format onnx --out mnist.onnx --data mnist
  holdfast export runs/train-0123 --replica 2 --base mean --format safetensors --out network.safetensors"
)]
pub(super) struct ExportArguments {
    #[command(flatten)]
    network: NetworkOptions,
    /// What the file is.
    #[arg(long, value_enum)]
    format: Format,
    /// The file.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// onnx: give probabilities instead of logits.
    #[arg(long)]
    softmax: bool,
    /// onnx: rows, columns and, in colour, channels of the images that go in; needed only where a network reads some of their
    /// pixels and no data are named.
    #[arg(long, value_delimiter = ',', value_name = "ROWS,COLUMNS", conflicts_with = "data")]
    image: Option<Vec<usize>>,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    output: OutputOptions,
}

/// Kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A graph of operators, for ONNX Runtime and others.
    Onnx,
    /// The tensors by name, with what they are of.
    Safetensors,
}

impl Format {
    fn ending(self) -> &'static str {
        match self {
            Self::Onnx => "onnx",
            Self::Safetensors => "safetensors",
        }
    }
}

pub(super) fn run(arguments: &ExportArguments) -> Result<()> {
    let say = &arguments.output;
    arguments.check()?;
    let place = place(&arguments.out, arguments.format)?;
    let (networks, images) = arguments.network.open_with_any_images(say)?;
    let replica = arguments.network.only_replica(networks.len(), say)?;
    let network = &networks[replica];
    let image = arguments.image(network, images.as_ref())?;
    let mut engine = open_engine(&arguments.device, say.quiet)?;
    let classified = match &images {
        None => None,
        Some(images) => {
            let reporter = Reporter::new(say.quiet);
            classify_by_turns(&mut engine, &[network], &images.split.test, TURNS, reporter.control())?.pop()
        }
    };
    match arguments.format {
        Format::Safetensors => network.write(&place)?,
        Format::Onnx => {
            let accuracy = classified.as_ref().map(|classified| classified.evaluation.accuracy());
            onnx::model(network, OnnxSettings { image, softmax: arguments.softmax, accuracy })?.write(&place)?;
        }
    }
    let bytes = std::fs::metadata(&place).map_err(|error| Error::io("read", &place, error))?.len();
    let sizes = Sizes::of(network, bytes);
    if say.json {
        let mut result = json!({
            "file": arguments.out.display().to_string(),
            "format": arguments.format.ending(),
            "replica": replica,
            "architecture": network.architecture,
            "weights": sizes.weights,
            "nonzero_weights": sizes.nonzero,
            "biases": sizes.biases,
            "bytes": sizes.bytes,
            "weight_bytes": sizes.weight_bytes(),
            "overhead_bytes": sizes.overhead(),
            "multiply_adds": network.architecture.forward_multiply_adds(),
        });
        if arguments.format == Format::Onnx {
            result["opset"] = json!(OPSET);
        }
        if let Some((images, classified)) = images.as_ref().zip(classified.as_ref()) {
            let evaluation = classified.evaluation;
            result["data_set"] = json!(images.name());
            result["test_images"] = json!(evaluation.samples);
            result["accuracy"] = json!(evaluation.accuracy());
            result["seconds"] = json!(classified.median());
            result["device"] = json!(engine.description());
        }
        return output::json(&result);
    }
    output::result(&table(arguments, replica, network, &sizes, images.as_ref().zip(classified.as_ref())))
}

impl ExportArguments {
    /// Refuses what does not go together.
    fn check(&self) -> Result<()> {
        if self.format != Format::Onnx && (self.softmax || self.image.is_some()) {
            return Err(Error::Usage(
                "--softmax and --image are of --format onnx: a .safetensors file holds weights and no operators; leave them out"
                    .into(),
            ));
        }
        if self.network.is_channels_first() {
            return Err(Error::Usage(
                "a network is exported as it reads images as they are stored, [y, x, channel], and --channels-first says that it reads \
                 [channel, y, x]; put the rows of its first layer into that order"
                    .into(),
            ));
        }
        if self.image.as_ref().is_some_and(|sizes| ![2, 3].contains(&sizes.len()) || sizes.contains(&0)) {
            return Err(Error::Usage(
                "--image takes rows and columns, and of images in colour their channels: 28,28 or 32,32,3".into(),
            ));
        }
        Ok(())
    }

    /// Rows, columns and channels of the images that the file's network reads.
    fn image(&self, network: &StoredNetwork, images: Option<&Images>) -> Result<[usize; 3]> {
        let architecture = &network.architecture;
        match (self.image.as_deref(), images, &network.pixels) {
            (Some(&[height, width]), ..) => Ok([height, width, 1]),
            (Some(&[height, width, channels]), ..) => Ok([height, width, channels]),
            (_, Some(images), _) => {
                let set = &images.split.test;
                Ok([set.height, set.width, set.channels])
            }
            (_, None, Some(_)) if self.format == Format::Onnx => Err(Error::Usage(format!(
                "{} reads some pixels of larger images and does not say how large these are; name the data with --data, or their \
                 size with --image, e.g. --image 28,28",
                self.network.source.display()
            ))),
            _ => Ok([architecture.image_height, architecture.image_width, architecture.channels]),
        }
    }
}

/// What a file holds.
struct Sizes {
    weights: usize,
    nonzero: usize,
    biases: usize,
    bytes: u64,
}

impl Sizes {
    fn of(network: &StoredNetwork, bytes: u64) -> Self {
        let layout = ParameterLayout::new(&network.architecture);
        let stored = layout.stored().map(|tensor| tensor.len()).sum::<usize>();
        let weights = layout.tensors.iter().filter(|tensor| tensor.fan_in.is_some());
        let nonzero = weights.flat_map(|tensor| &network.parameters[tensor.range()]).filter(|&&weight| weight != 0.0);
        Self { weights: layout.weights(), nonzero: nonzero.count(), biases: stored - layout.weights(), bytes }
    }

    /// What the numbers take.
    fn weight_bytes(&self) -> u64 {
        ((self.weights + self.biases) * size_of::<f32>()) as u64
    }

    /// What names, operators and places of pixels take.
    fn overhead(&self) -> u64 {
        self.bytes.saturating_sub(self.weight_bytes())
    }
}

fn table(
    arguments: &ExportArguments,
    replica: usize,
    network: &StoredNetwork,
    sizes: &Sizes,
    measured: Option<(&Images, &Classified)>,
) -> String {
    let count = |number: usize| thousands(number as i64);
    let architecture = &network.architecture;
    let kind = match arguments.format {
        Format::Onnx => format!("ONNX, operator set {OPSET}"),
        Format::Safetensors => "safetensors".into(),
    };
    let line = |what: &str, value: String| format!("  {what:<22} {value}\n");
    let mut text = format!(
        "{}, replica {replica}: {} with {}, as {kind}\n",
        arguments.network.source.display(),
        architecture.model(),
        architecture.hidden_in_words()
    );
    text += &line("weights", format!("{}, of which {} are not 0", count(sizes.weights), count(sizes.nonzero)));
    text += &line("biases", count(sizes.biases));
    text += &line("multiply-adds", format!("{} an image", count(architecture.forward_multiply_adds())));
    text += &line(
        "file",
        format!(
            "{} bytes: {} of weights and biases, {} of overhead",
            count(sizes.bytes as usize),
            count(sizes.weight_bytes() as usize),
            count(sizes.overhead() as usize)
        ),
    );
    if let Some((images, classified)) = measured {
        let evaluation = classified.evaluation;
        text += &line("accuracy", format!("{:.4} on {}", evaluation.accuracy(), images.name()));
        text += &line(
            "time",
            format!(
                "{} ms for {} test images, here (median of {})",
                significant(classified.median() * 1e3),
                count(evaluation.samples as usize),
                classified.seconds.len()
            ),
        );
    }
    text + &format!("The network is {}.\n", arguments.out.display())
}

/// The file that is written: `out`, or what it is a link to.
///
/// Fails with [`Error::Usage`] if something else is there: only files of earlier exports are replaced.
fn place(out: &Path, format: Format) -> Result<PathBuf> {
    if out.file_name().is_none() || out.is_dir() {
        return Err(Error::Usage(format!(
            "--out {} is no file; name one, e.g. network.{}",
            out.display(),
            format.ending()
        )));
    }
    // Arrays are written by the ending of the file's name, and nobody finds an ONNX model behind another one.
    if out.extension().is_none_or(|ending| ending != format.ending()) {
        return Err(Error::Usage(format!(
            "--out {} does not end in .{}, which --format {} writes",
            out.display(),
            format.ending(),
            format.ending()
        )));
    }
    let Ok(found) = std::fs::symlink_metadata(out) else { return Ok(out.to_path_buf()) };
    let refused = |found: &str| {
        Error::Usage(format!(
            "{} {found}, and only files of earlier exports are replaced; name another file with --out, or move it away",
            out.display()
        ))
    };
    let place = if found.is_symlink() { out.canonicalize() } else { Ok(out.to_path_buf()) };
    let place = place.map_err(|_| refused("is a link that leads nowhere"))?;
    if is_in_folder(&place) {
        return Err(refused("lies in a folder of a run"));
    }
    if is_export(&place, format) { Ok(place) } else { Err(refused("is not a file that holdfast export wrote")) }
}

/// Whether a file lies somewhere in a folder that Holdfast keeps a list of.
fn is_in_folder(file: &Path) -> bool {
    let whole = file.canonicalize().unwrap_or_else(|_| file.to_path_buf());
    let list = OUTPUT_FOLDER_FILES[0];
    whole.ancestors().skip(1).any(|folder| folder.join(list).is_file())
}

/// Whether a file is a network that an earlier export left.
fn is_export(file: &Path, format: Format) -> bool {
    match format {
        Format::Onnx => Model::read(file).is_ok_and(|model| model.is_ours()),
        Format::Safetensors => {
            ArrayFile::open(file, Purpose::Arrays).and_then(|mut file| file.note()).is_ok_and(|note| note.is_some())
        }
    }
}
