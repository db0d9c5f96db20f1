//! Reads a recorded training run.

use holdfast::cpu::mask;
use holdfast::cpu::training_step::Replica;
use holdfast::data::Dataset;
use holdfast::engine::RateSchedule;
use holdfast::network::{Architecture, ParameterLayout, Selection};
use ndarray::{ArrayD, Ix0, Ix1, Ix2, IxDyn};
use ndarray_npy::{NpzReader, ReadableElement};
use std::fs::File;
use std::path::{Path, PathBuf};

/// One recorded run.
pub struct Fixture {
    pub name: String,
    pub architecture: Architecture,
    pub batch: usize,
    pub data: Dataset,
    /// The samples of each step.
    pub orders: Vec<Vec<u32>>,
    /// The step from which parameters are masked, and the state of each.
    pub mask: Option<(usize, Vec<u32>)>,
    /// The weights that masks are about.
    pub selection: Selection,
    pub rates: RateSchedule,
    pub initial: Vec<f64>,
    pub first_gradient: Vec<f64>,
    pub final_parameters: Vec<f64>,
    pub losses: Vec<f64>,
    pub final_logits: Vec<f64>,
}

/// All recorded runs; panics if there is none.
pub fn all() -> Vec<Fixture> {
    let folder = std::env::var_os("HOLDFAST_FIXTURES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/training"), PathBuf::from);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "npz"))
        .collect();
    files.sort();
    let fixtures: Vec<Fixture> = files.iter().map(|path| read(path)).collect();
    assert!(!fixtures.is_empty(), "{} holds no recorded run", folder.display());
    fixtures
}

fn read(path: &Path) -> Fixture {
    let mut archive = NpzReader::new(File::open(path).unwrap()).unwrap();
    let names = archive.names().unwrap();
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    let [is_cnn, side, filters, classes, batch] =
        ["is_cnn", "side", "filters", "classes", "batch"].map(|name| scalar(&mut archive, name) as usize);
    let hidden = if has("hidden") {
        array::<i64>(&mut archive, "hidden").into_iter().map(|units| units as usize).collect()
    } else {
        let [width, depth] = ["width", "depth"].map(|name| scalar(&mut archive, name) as usize);
        vec![width; depth]
    };
    let convolutions = if is_cnn == 1 { Architecture::paper_convolutions(filters) } else { Vec::new() };
    let bias = has("init.dense0.bias");
    let images = archive.by_name::<ndarray::OwnedRepr<u8>, IxDyn>("images").unwrap();
    // [sample, y, x], or [sample, y, x, channel].
    let channels = images.shape().get(3).copied().unwrap_or(1);
    let dnn = Architecture::dnn(side, side, hidden, classes);
    let architecture = Architecture { channels, convolutions, bias, ..dnn };
    let labels = archive.by_name::<ndarray::OwnedRepr<u8>, Ix1>("labels").unwrap();
    let (images, sizes) = (images.into_iter().collect(), [side, side, channels]);
    let data = Dataset::with_channels("fixture", images, labels.to_vec(), sizes, classes).unwrap();
    let order = archive.by_name::<ndarray::OwnedRepr<u32>, Ix2>("order").unwrap();
    let sizes = archive.by_name::<ndarray::OwnedRepr<u32>, Ix1>("batch_sizes").unwrap();
    let orders =
        order.outer_iter().zip(&sizes).map(|(row, &size)| row.iter().copied().take(size as usize).collect()).collect();
    let layout = ParameterLayout::new(&architecture);
    let masks_all = has("mask.dense0.weight");
    let mask = has("mask_from_step").then(|| {
        let mut states = vec![mask::KEPT; layout.parameters()];
        for weight in layout.tensors.iter().filter(|tensor| tensor.fan_in.is_some()) {
            let name = if masks_all { format!("mask.{}", weight.name) } else { "focus_mask".into() };
            if masks_all || weight.name == layout.focus_weight().name {
                let kept = array::<u8>(&mut archive, &name).into_iter().map(u32::from).collect::<Vec<_>>();
                states[weight.range()].copy_from_slice(&kept);
            }
        }
        (scalar(&mut archive, "mask_from_step") as usize, states)
    });
    let selection = if masks_all { Selection::all(&architecture) } else { Selection::focus(&architecture) };
    let rates = if has("cosine_steps") {
        RateSchedule::Cosine { steps: scalar(&mut archive, "cosine_steps") as u64 }
    } else {
        RateSchedule::Constant
    };
    let mut flat = |prefix: &str| -> Vec<f64> {
        // Where the network has no biases, their places hold 0.
        let mut flat = vec![0.0; layout.parameters()];
        for tensor in layout.stored() {
            let name = format!("{prefix}.{}", tensor.name);
            let values = array::<f64>(&mut archive, &name);
            assert_eq!(values.len(), tensor.len(), "{name} of {}", path.display());
            flat[tensor.range()].copy_from_slice(&values);
        }
        flat
    };
    let (initial, first_gradient, final_parameters) = (flat("init"), flat("grad1"), flat("final"));
    Fixture {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        architecture,
        batch,
        data,
        orders,
        mask,
        selection,
        rates,
        initial,
        first_gradient,
        final_parameters,
        losses: array(&mut archive, "losses"),
        final_logits: array(&mut archive, "final_logits"),
    }
}

fn scalar(archive: &mut NpzReader<File>, name: &str) -> i64 {
    archive.by_name::<ndarray::OwnedRepr<i64>, Ix0>(name).unwrap().into_scalar()
}

fn array<T: ReadableElement>(archive: &mut NpzReader<File>, name: &str) -> Vec<T> {
    let array: ArrayD<T> = archive.by_name::<ndarray::OwnedRepr<T>, IxDyn>(name).unwrap();
    array.into_iter().collect()
}

impl Fixture {
    /// The initial replica, rounded to the given precision.
    pub fn replica<T: holdfast::cpu::Real>(&self) -> Replica<T> {
        Replica::new(self.initial.iter().map(|&value| T::of(value)).collect())
    }

    /// Sets the mask on a replica, if `step` is the one it starts at.
    pub fn mask_at<T: holdfast::cpu::Real>(&self, step: usize, replica: &mut Replica<T>) -> bool {
        let Some((_, mask)) = self.mask.as_ref().filter(|(first, _)| *first == step) else { return false };
        replica.mask.copy_from_slice(mask);
        mask::hold(mask, &mut replica.parameters, &mut replica.m, &mut replica.v);
        true
    }
}
