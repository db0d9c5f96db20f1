//! Reads a recorded training run.

use holdfast::cpu::training_step::Replica;
use holdfast::data::Dataset;
use holdfast::network::{Architecture, ParameterLayout};
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
    pub mask: Option<(usize, Vec<u32>)>,
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
    let [is_cnn, side, filters, width, depth, classes, batch] =
        ["is_cnn", "side", "filters", "width", "depth", "classes", "batch"]
            .map(|name| scalar(&mut archive, name) as usize);
    let convolutions = if is_cnn == 1 { Architecture::paper_convolutions(filters) } else { Vec::new() };
    let images = archive.by_name::<ndarray::OwnedRepr<u8>, IxDyn>("images").unwrap();
    // [sample, y, x], or [sample, y, x, channel].
    let channels = images.shape().get(3).copied().unwrap_or(1);
    let dnn = Architecture::dnn(side, side, vec![width; depth], classes);
    let architecture = Architecture { convolutions, channels, ..dnn };
    let labels = archive.by_name::<ndarray::OwnedRepr<u8>, Ix1>("labels").unwrap();
    let (images, sizes) = (images.into_iter().collect(), [side, side, channels]);
    let data = Dataset::with_channels("fixture", images, labels.to_vec(), sizes, classes).unwrap();
    let order = archive.by_name::<ndarray::OwnedRepr<u32>, Ix2>("order").unwrap();
    let sizes = archive.by_name::<ndarray::OwnedRepr<u32>, Ix1>("batch_sizes").unwrap();
    let orders =
        order.outer_iter().zip(&sizes).map(|(row, &size)| row.iter().copied().take(size as usize).collect()).collect();
    let masked = names.iter().any(|name| name == "focus_mask");
    let mask = masked.then(|| {
        let mask = archive.by_name::<ndarray::OwnedRepr<u8>, Ix2>("focus_mask").unwrap();
        (scalar(&mut archive, "mask_from_step") as usize, mask.iter().map(|&kept| u32::from(kept)).collect())
    });
    let layout = ParameterLayout::new(&architecture);
    let mut flat = |prefix: &str| -> Vec<f64> {
        let tensors =
            layout.tensors.iter().map(|tensor| array::<f64>(&mut archive, &format!("{prefix}.{}", tensor.name)));
        let flat: Vec<f64> = tensors.flatten().collect();
        assert_eq!(flat.len(), layout.parameters(), "{prefix} of {}", path.display());
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
        Replica::new(&self.architecture, self.initial.iter().map(|&value| T::of(value)).collect())
    }

    /// Sets the focus mask on a replica, if `step` is the one it starts at.
    pub fn mask_at<T: holdfast::cpu::Real>(&self, step: usize, replica: &mut Replica<T>) -> bool {
        let Some((_, mask)) = self.mask.as_ref().filter(|(first, _)| *first == step) else { return false };
        let focus = ParameterLayout::new(&self.architecture).focus_weight().range();
        replica.mask.clone_from(mask);
        holdfast::cpu::mask::hold(
            mask,
            &mut replica.parameters[focus.clone()],
            &mut replica.m[focus.clone()],
            &mut replica.v[focus],
        );
        true
    }
}
