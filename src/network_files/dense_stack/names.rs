//! Which arrays of a file are a layer: what PyTorch, Keras, JAX and NumPy call its weights and biases.

use super::super::foreign_weights::WeightFile;
use super::{Orientation, SHOWN};
use crate::error::{Error, Result};
use crate::run_folder::listed;
use crate::stability::import::find;

/// What may follow the name of a layer in that of its weights, and in that of its biases.
const ENDINGS: [(&str, &str); 8] = [
    (".weight", ".bias"),
    ("/kernel", "/bias"),
    (".kernel", ".bias"),
    ("/kernel:0", "/bias:0"),
    ("/weight", "/bias"),
    ("_weight", "_bias"),
    (".W", ".b"),
    (".w", ".b"),
];
/// What weights are called where a number follows, and biases then.
const NUMBERED: [(&str, &str); 6] =
    [("W", "b"), ("w", "b"), ("weight", "bias"), ("weights", "biases"), ("kernel", "bias"), ("coef", "intercept")];

/// The weights of a layer in a file.
pub(super) struct Found {
    /// As the user named the layer.
    pub(super) name: String,
    /// Name of its weights.
    pub(super) weight: String,
    pub(super) shape: [usize; 2],
    /// Names that its biases may have.
    pub(super) biases: Vec<String>,
}

impl Found {
    /// What the ending of its name tells of its axes.
    pub(super) fn ending(&self) -> Option<(Orientation, &'static str)> {
        let name = self.weight.strip_suffix(":0").unwrap_or(&self.weight);
        let ends = |ending: &str| {
            name == ending || name.ends_with(&format!(".{ending}")) || name.ends_with(&format!("/{ending}"))
        };
        match (ends("weight"), ends("kernel")) {
            (true, _) => Some((Orientation::OutIn, "weight, as PyTorch's")),
            (_, true) => Some((Orientation::InOut, "kernel, as those of Keras and JAX")),
            _ => None,
        }
    }
}

/// The weights of the layer `name`.
///
/// Fails with [`Error::Usage`] if there are none or several may be meant, and with [`Error::Data`] if they are no matrix.
pub(super) fn find_weight(file: &WeightFile<'_>, name: &str, shown: &str) -> Result<Found> {
    if name.is_empty() {
        return Err(Error::Usage(
            "--dense has an empty name; write the names of the layers with commas between".into(),
        ));
    }
    let arrays = file.floats();
    let shape = |wanted: &str| arrays.iter().find(|(name, _)| name == wanted).map(|(_, shape)| shape.clone());
    let mut candidates: Vec<(String, Vec<String>)> = vec![(name.into(), biases_of(name))];
    candidates.extend(ENDINGS.iter().map(|(weight, bias)| (format!("{name}{weight}"), vec![format!("{name}{bias}")])));
    let mut there = candidates.into_iter().filter_map(|(weight, biases)| Some((shape(&weight)?, weight, biases)));
    let Some((shape, weight, biases)) = there.next() else {
        let names: Vec<String> = arrays.iter().map(|(name, _)| name.clone()).filter(|name| !name.is_empty()).collect();
        if names.is_empty() {
            return Err(Error::Data(format!(
                "{shown} has no arrays of floats with a name, and --dense names layers; save the weights of all layers as .npz or \
                 .safetensors"
            )));
        }
        // Says which is the nearest, or what there is.
        find(name, &names, shown)?;
        return Err(Error::Usage(format!("{shown} has no weights of {name}, but {}", listed(SHOWN, &names))));
    };
    if let Some((_, other, _)) = there.next() {
        return Err(Error::Usage(format!(
            "{shown} has {weight} and {other}; name the weights of the layer themselves"
        )));
    }
    match shape[..] {
        [first, second] if first > 0 && second > 0 => {
            Ok(Found { name: name.into(), weight, shape: [first, second], biases })
        }
        _ => Err(Error::Data(format!(
            "{shown}: {weight} has the shape {shape:?}, and a dense layer has two axes; --dense prunes stacks of dense layers alone, \
             without convolutions: leave --dense out to prune such weights by magnitude or with a history"
        ))),
    }
}

/// What the biases may be called where an array of weights is named itself.
fn biases_of(weight: &str) -> Vec<String> {
    let mut names: Vec<String> = ENDINGS
        .iter()
        .filter_map(|(of_weight, of_bias)| Some(format!("{}{of_bias}", weight.strip_suffix(of_weight)?)))
        .collect();
    let digits = weight.len() - weight.trim_end_matches(|last: char| last.is_ascii_digit()).len();
    let (word, number) = weight.split_at(weight.len() - digits);
    for (of_weight, of_bias) in NUMBERED {
        for separator in ["", "_", "."] {
            if let Some(before) = word.strip_suffix(separator).and_then(|word| word.strip_suffix(of_weight)) {
                // `layer1_W` is not `Wow1`: what stands before is nothing, or ends where a word ends.
                if before.is_empty() || before.ends_with(['.', '_', '/']) {
                    names.push(format!("{before}{of_bias}{separator}{number}"));
                }
            }
        }
    }
    // `arr_0`, `arr_1`: weights and biases by turns, as numpy.savez numbers what has no names.
    if let Some(next) = number.parse::<u32>().ok().and_then(|number| number.checked_add(1))
        && names.is_empty()
    {
        names.push(format!("{word}{next:0digits$}"));
    }
    names.dedup();
    names
}

/// The biases of a layer and their shape: an array of one axis, or of two the first of which has one place.
pub(super) fn find_bias(file: &WeightFile<'_>, layer: &Found, layers: &[Found]) -> Option<(String, Vec<usize>)> {
    let is_layer = |name: &String| layers.iter().any(|layer| layer.weight == *name);
    let arrays = file.floats();
    let bias = layer.biases.iter().filter(|name| !is_layer(name)).find_map(|name| {
        arrays.iter().find(|(known, _)| known == name).filter(|(_, shape)| matches!(shape[..], [_] | [1, _]))
    });
    bias.cloned()
}
