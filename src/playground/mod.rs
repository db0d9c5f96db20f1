//! One HTML page on which a network is trained and pruned in the reader's browser, by the same WGSL.
//!
//! The page's script knows no kernel: it runs a launch program, which is written down here while the engine does the same work.
//! What a browser without WebGPU shows was computed here too.

mod launches;
mod recorded;
mod subject;

use crate::engine::{Engine, GpuBackend, Watch};
use crate::error::{Error, Result};
use crate::lab::program::Program;
use crate::network::ParameterLayout;
use crate::pruning::masks::RemovalOrder;
use crate::run_folder;
use askama::Template;
use bytemuck::NoUninit;
use data_encoding::BASE64;
use flate2::Compression;
use flate2::write::GzEncoder;
use recorded::Recorded;
use serde::Serialize;
use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use subject::{BATCH, EPOCHS, Subject, TOLERANCES, WINDOWS};

/// What runs on the page itself, and what in its worker.
const SCRIPT: &str = concat!(
    include_str!("../../templates/elements.js"),
    include_str!("../../templates/playground_unpack.js"),
    include_str!("../../templates/playground_runs.js"),
    include_str!("../../templates/playground_drawings.js"),
    include_str!("../../templates/playground_kernels.js"),
    include_str!("../../templates/playground.js")
);
const WORKER: &str =
    concat!(include_str!("../../templates/playground_worker.js"), include_str!("../../templates/playground_unpack.js"));

/// What the page's scripts are told. Arrays are as [`packed`] leaves them.
#[derive(Serialize)]
struct Contents {
    version: &'static str,
    program: Program,
    network: Network,
    plan: Plan,
    /// Bytes `[sample, y, x]`: the training images, then the test images.
    images: String,
    /// Bytes, in the same order.
    labels: String,
    recorded: Recorded,
}

/// Where the network's tensors lie in its parameters.
#[derive(Serialize)]
struct Network {
    parameters: usize,
    height: usize,
    width: usize,
    tensors: Vec<Tensor>,
    /// Index of the tensor that is recorded and pruned.
    focus: usize,
}

#[derive(Serialize)]
struct Tensor {
    name: String,
    offset: usize,
    shape: Vec<usize>,
}

/// What is trained for how long, and counted how.
#[derive(Serialize)]
struct Plan {
    training_images: usize,
    test_images: usize,
    batch: usize,
    epochs: usize,
    tolerances: [f64; TOLERANCES.len()],
    windows: [u32; WINDOWS.len()],
    /// Adam's rate of each step, `f32`.
    rates: String,
    /// `[epoch, place]`, `u32`: indices of training images.
    orders: String,
    /// The order in which the random control removes weights.
    random: RemovalOrder,
}

/// The page.
#[derive(Template)]
#[template(path = "playground.html")]
struct Page<'a> {
    version: &'static str,
    style: &'static str,
    contents: &'a str,
    worker: &'static str,
    script: &'static str,
}

/// Writes the page to a file. `gpu` is any device: it is watched, and no number of its is kept; `cpu` computes the run that is
/// recorded.
///
/// Fails as the engines do, with [`Error::Data`] if MNIST is not found, and with [`Error::Io`] if the file cannot be written.
pub fn write(gpu: GpuBackend, cpu: &mut Engine, path: &Path, watch: &Watch<'_>) -> Result<()> {
    let subject = Subject::read()?;
    let page = page(&Contents::new(gpu, cpu, &subject, watch)?)?;
    run_folder::write(path, |file| file.write_all(page.as_bytes()))
}

fn page(contents: &Contents) -> Result<String> {
    // Inside a script element only this could end it.
    let contents = serde_json::to_string(contents).map_err(failed)?.replace('<', "\\u003c");
    let page = Page {
        version: env!("CARGO_PKG_VERSION"),
        style: include_str!("../../templates/playground.css"),
        contents: &contents,
        worker: WORKER,
        script: SCRIPT,
    };
    page.render().map_err(failed)
}

fn failed(error: impl Display) -> Error {
    Error::Job(format!("the page could not be made: {error}; this is a mistake of the program, please report it"))
}

impl Contents {
    fn new(gpu: GpuBackend, cpu: &mut Engine, subject: &Subject, watch: &Watch<'_>) -> Result<Self> {
        let layout = ParameterLayout::new(&subject.architecture);
        let focus = layout.tensors.iter().position(|tensor| tensor == layout.focus_weight()).unwrap_or_default();
        let tensor = |tensor: &crate::network::Tensor| Tensor {
            name: tensor.name.clone(),
            offset: tensor.offset,
            shape: tensor.shape.clone(),
        };
        let (training, test) = (&subject.images.training, &subject.images.test);
        let orders: Vec<u32> = (0..EPOCHS).flat_map(|epoch| subject.order(epoch).to_vec()).collect();
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            program: launches::of(gpu, subject, watch)?,
            network: Network {
                parameters: layout.parameters(),
                height: training.height,
                width: training.width,
                tensors: layout.tensors.iter().map(tensor).collect(),
                focus,
            },
            plan: Plan {
                training_images: training.samples(),
                test_images: test.samples(),
                batch: BATCH,
                epochs: EPOCHS,
                tolerances: TOLERANCES,
                windows: WINDOWS,
                rates: packed(&subject.rates()),
                orders: packed(&orders),
                random: subject.random_order(),
            },
            images: packed(&[&training.images[..], &test.images].concat()),
            labels: packed(&[&training.labels[..], &test.labels].concat()),
            recorded: Recorded::new(cpu, subject, watch)?,
        })
    }
}

/// Numbers as the page unpacks them: their bytes, little end first, compressed by gzip, in base64.
fn packed<T: NoUninit>(numbers: &[T]) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Memory takes whatever is written to it.
    let compressed =
        encoder.write_all(bytemuck::cast_slice(numbers)).and_then(|()| encoder.finish()).unwrap_or_default();
    BASE64.encode(&compressed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Variant;
    use crate::gpu::{DeviceChoice, Gpu, RequestedLimits};
    use crate::kernels::catalogue::SHADERS;
    use crate::report::html;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn the_page_is_one_file_of_ours_that_loads_nothing() {
        let gpu = Gpu::open(&DeviceChoice::Index(0), false, RequestedLimits::WebGpuDefaults).unwrap();
        let backend = GpuBackend::with_variant(gpu, Variant::Stacked);
        let watch = Watch { stop: &AtomicBool::new(false), progress: &|_| {} };
        let subject = subject::tests::noise();
        let contents = Contents::new(backend, &mut Engine::cpu(Some(2)).unwrap(), &subject, &watch).unwrap();
        let page = page(&contents).unwrap();
        for loading in ["src=", "<link", "@import", "url(", "fetch(", "import(", "XMLHttpRequest"] {
            assert!(!page.contains(loading), "{loading}");
        }
        // Each script ends where it should: no text of ours ends one before.
        assert_eq!(page.matches("<script").count(), page.matches("</script>").count());
        let (folder, kernels) = (tempfile::tempdir().unwrap(), ["adam.step", "stability.count", "magnitude_sort.rank"]);
        assert!(kernels.iter().all(|kernel| page.contains(kernel)));
        let path = folder.path().join("page.html");
        std::fs::write(&path, page).unwrap();
        assert!(html::is_page(&path).unwrap());
    }

    /// The page that the guide links to.
    #[test]
    fn the_example_has_the_kernels_of_today() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guide/playground.html");
        let page = std::fs::read_to_string(path).unwrap();
        let begin = "<script type=\"application/json\" id=\"contents\">";
        let contents = page.split_once(begin).and_then(|(_, rest)| rest.split_once("</script>")).unwrap().0;
        let contents: serde_json::Value = serde_json::from_str(contents).unwrap();
        for (name, kernel) in contents["program"]["kernels"].as_object().unwrap() {
            let shader = SHADERS.iter().find(|shader| shader.name == name).unwrap();
            let again = "make it anew: holdfast playground docs/guide/playground.html";
            assert_eq!(kernel["source"].as_str().unwrap(), shader.source, "{name} has changed; {again}");
        }
    }

    #[test]
    fn numbers_survive_the_packing() {
        let packed = packed(&[1.5f32, -0.0, f32::MAX]);
        let bytes = BASE64.decode(packed.as_bytes()).unwrap();
        let mut numbers = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut numbers).unwrap();
        assert_eq!(bytemuck::pod_collect_to_vec::<u8, u32>(&numbers), [1.5f32, -0.0, f32::MAX].map(f32::to_bits));
    }
}
