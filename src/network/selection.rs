//! Which weights take part: a list of weight tensors.

use super::{Architecture, ParameterLayout, Tensor};
use crate::error::{Error, Result};
use std::ops::Range;

/// The groups that [`Selection::named`] knows.
const GROUPS: [&str; 5] = ["focus", "hidden", "dense", "conv", "all"];
/// The most letters in which a name differs from the one that was meant.
const SLIP: usize = 2;

/// One weight tensor of a [`Selection`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name in files, e.g. `dense5.weight`.
    pub name: String,
    /// Its place in the flat parameters of a replica.
    pub range: Range<usize>,
    /// Sizes of the axes: `[in, out]`, of a convolution `[ky, kx, in, out]`.
    pub shape: Vec<usize>,
    /// Index of its first weight among all weights of the selection.
    pub start: usize,
}

impl Part {
    /// Number of weights.
    pub fn weights(&self) -> usize {
        self.range.len()
    }

    /// Number of inputs that feed one unit.
    pub fn fan_in(&self) -> usize {
        self.shape.iter().rev().skip(1).product()
    }
}

/// Weight tensors of one network, in the order in which they lie in its flat parameters; never empty. Biases take no part.
///
/// The weights of a selection are numbered through all its tensors: see [`Part::start`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    parts: Vec<Part>,
    parameters: usize,
    first_layer: usize,
}

impl Selection {
    /// Reads `focus` (the last hidden dense layer), `hidden` (all dense layers but the output), `dense`, `conv`, `all` (every
    /// weight tensor), names of layers or of their weights (`dense5` or `dense5.weight`), or a list of these with commas.
    ///
    /// Fails with [`Error::Usage`] where a name is not known or nothing is named: then the names follow, and one that may have
    /// been meant.
    ///
    /// ```
    /// use holdfast::network::{Architecture, Selection};
    ///
    /// let architecture = Architecture::dnn(28, 28, [30; 6], 10);
    /// let selection = Selection::named(&architecture, "dense6,focus")?;
    /// let names: Vec<&str> = selection.parts().iter().map(|part| part.name.as_str()).collect();
    /// assert_eq!(names, ["dense5.weight", "dense6.weight"]);
    /// assert_eq!(selection.weights(), 900 + 300);
    /// # Ok::<(), holdfast::error::Error>(())
    /// ```
    pub fn named(architecture: &Architecture, text: &str) -> Result<Self> {
        let layout = ParameterLayout::new(architecture);
        let tensors = weight_tensors(&layout);
        let focus = &layout.focus_weight().name;
        let output = tensors.last().map(|tensor| tensor.name.clone());
        let mut chosen = vec![false; tensors.len()];
        for name in text.split(',').map(|name| name.trim().to_lowercase()) {
            let is_meant = |tensor: &Tensor| {
                let is_dense = tensor.name.starts_with("dense");
                match name.as_str() {
                    "focus" => tensor.name == *focus,
                    "hidden" => is_dense && Some(&tensor.name) != output.as_ref(),
                    "dense" => is_dense,
                    "conv" => !is_dense,
                    "all" => true,
                    other => tensor.name == other || tensor.layer() == other,
                }
            };
            let mut found = false;
            for (chosen, tensor) in chosen.iter_mut().zip(&tensors) {
                if is_meant(tensor) {
                    (*chosen, found) = (true, true);
                }
            }
            if !found {
                return Err(unknown(&name, &layout, &tensors));
            }
        }
        let chosen: Vec<&Tensor> = tensors.iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(t, _)| *t).collect();
        Ok(Self::of(&layout, &chosen))
    }

    /// The focus layer: the last hidden dense layer.
    pub fn focus(architecture: &Architecture) -> Self {
        let layout = ParameterLayout::new(architecture);
        Self::of(&layout, &[layout.focus_weight()])
    }

    /// Every weight tensor.
    pub fn all(architecture: &Architecture) -> Self {
        let layout = ParameterLayout::new(architecture);
        Self::of(&layout, &weight_tensors(&layout))
    }

    /// These tensors, one or more, in the order of the layout.
    fn of(layout: &ParameterLayout, tensors: &[&Tensor]) -> Self {
        let mut start = 0;
        let part = |tensor: &&Tensor| {
            let part = Part { name: tensor.name.clone(), range: tensor.range(), shape: tensor.shape.clone(), start };
            start += part.weights();
            part
        };
        let parts: Vec<Part> = tensors.iter().map(part).collect();
        let is_first = |tensor: &&Tensor| parts.first().is_some_and(|part| part.name == tensor.name);
        let first_layer = weight_tensors(layout).iter().position(is_first).unwrap_or(0);
        Self { parts, parameters: layout.parameters(), first_layer }
    }

    /// The tensors.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Number of weights of all tensors.
    pub fn weights(&self) -> usize {
        self.parts.iter().map(Part::weights).sum()
    }

    /// Number of parameters of the network.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// The first layer that has a selected weight, counted from the image: convolutions, then dense layers.
    pub fn first_layer(&self) -> usize {
        self.first_layer
    }

    /// From the first selected parameter to behind the last, with whatever lies between them.
    pub fn span(&self) -> Range<usize> {
        let [first, last] = [self.parts.first(), self.parts.last()].map(|part| part.map(|part| part.range.clone()));
        first.map_or(0, |first| first.start)..last.map_or(0, |last| last.end)
    }

    /// Whether this is a selection of a network with this layout.
    pub fn fits(&self, layout: &ParameterLayout) -> bool {
        let is_there = |part: &Part| {
            layout.tensors.iter().any(|tensor| {
                (&tensor.name, tensor.range(), &tensor.shape) == (&part.name, part.range.clone(), &part.shape)
            })
        };
        self.parameters == layout.parameters() && self.parts.iter().all(is_there)
    }

    /// Whether parameter `index` is a selected weight.
    pub fn has(&self, index: usize) -> bool {
        self.parts.iter().any(|part| part.range.contains(&index))
    }

    /// The selected ones of the flat parameters of a replica, or of anything that lies like them.
    pub fn gather<T: Copy>(&self, parameters: &[T]) -> Vec<T> {
        self.parts.iter().flat_map(|part| &parameters[part.range.clone()]).copied().collect()
    }

    /// The other way round: puts the weights of the selection into the flat parameters.
    pub fn scatter<T: Copy>(&self, weights: &[T], parameters: &mut [T]) {
        for part in &self.parts {
            parameters[part.range.clone()].copy_from_slice(&weights[part.start..part.start + part.weights()]);
        }
    }
}

/// The weight tensors of a network, one of each layer.
fn weight_tensors(layout: &ParameterLayout) -> Vec<&Tensor> {
    layout.tensors.iter().filter(|tensor| tensor.fan_in.is_some()).collect()
}

/// What is said of a name that stands for no weights.
fn unknown(name: &str, layout: &ParameterLayout, tensors: &[&Tensor]) -> Error {
    let layers: Vec<&str> = tensors.iter().map(|tensor| tensor.layer()).collect();
    let names = format!("{}; or {} for a group of them", layers.join(", "), GROUPS.join(", "));
    if name.is_empty() {
        return Error::Usage(format!("no layer is named; the layers are {names}"));
    }
    if name == "conv" {
        return Error::Usage(format!("this network has no convolutions to choose; its layers are {names}"));
    }
    if let Some(bias) = layout.tensors.iter().find(|tensor| tensor.name == name) {
        return Error::Usage(format!("{name} is a bias, and biases are never removed; choose {}", bias.layer()));
    }
    let candidates = GROUPS.into_iter().chain(layers.iter().copied()).chain(tensors.iter().map(|t| t.name.as_str()));
    // Of several that are as near the longest: a number at the end says more than a group's name.
    let distance =
        |candidate: &'_ str| (strsim::damerau_levenshtein(name, candidate), std::cmp::Reverse(candidate.len()));
    match candidates.min_by_key(|candidate| distance(candidate)).filter(|near| distance(near).0 <= SLIP) {
        Some(meant) => {
            Error::Usage(format!("there is no layer {name:?}; did you mean {meant}? The layers are {names}"))
        }
        None => Error::Usage(format!("there is no layer {name:?}; the layers are {names}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paper's networks on MNIST: with convolutions, and without.
    fn networks() -> [Architecture; 2] {
        let dnn = Architecture::dnn(28, 28, [30; 6], 10);
        [Architecture { convolutions: Architecture::paper_convolutions(8), ..dnn.clone() }, dnn]
    }

    fn names(text: &str) -> Vec<String> {
        let selection = Selection::named(&networks()[0], text).unwrap();
        selection.parts().iter().map(|part| part.name.clone()).collect()
    }

    #[test]
    fn groups_and_names_choose_tensors_in_the_order_of_the_layout() {
        assert_eq!(names("focus"), ["dense5.weight"]);
        assert_eq!(names("conv"), ["conv0.weight", "conv1.weight", "conv2.weight", "conv3.weight"]);
        assert_eq!(names("all").len(), 4 + 7);
        assert_eq!((names("dense").len(), names("hidden").len()), (7, 6));
        assert_eq!(names("hidden").last().unwrap(), "dense5.weight");
        assert_eq!(names(" Dense6 , conv1.weight,dense6"), ["conv1.weight", "dense6.weight"]);
        let [cnn, _] = networks();
        assert_eq!(Selection::named(&cnn, "all").unwrap(), Selection::all(&cnn));
        assert_eq!(Selection::named(&cnn, "focus").unwrap(), Selection::focus(&cnn));
    }

    #[test]
    fn weights_are_numbered_through_all_parts() {
        let [cnn, dnn] = networks();
        let selection = Selection::named(&cnn, "conv1,dense6").unwrap();
        let [first, second] = selection.parts() else { panic!("two parts") };
        assert_eq!((first.start, first.weights(), first.fan_in()), (0, 576, 72));
        assert_eq!((second.start, second.weights(), second.fan_in()), (576, 300, 30));
        assert_eq!((selection.weights(), selection.first_layer()), (876, 1));
        assert_eq!(Selection::focus(&cnn).first_layer(), 4 + 5);
        assert_eq!(Selection::all(&dnn).weights(), 784 * 30 + 5 * 900 + 300);
        let parameters: Vec<usize> = (0..selection.parameters()).collect();
        let weights = selection.gather(&parameters);
        assert_eq!((weights[0], weights[575], weights[576]), (80, 655, parameters.len() - 310));
        let mut back = vec![0; parameters.len()];
        selection.scatter(&weights, &mut back);
        let expected = |&index: &usize| if selection.has(index) { index } else { 0 };
        assert_eq!(back, parameters.iter().map(expected).collect::<Vec<_>>());
        assert_eq!(selection.span(), 80..parameters.len() - 10);
    }

    #[test]
    fn a_selection_fits_its_own_network_only() {
        let [cnn, dnn] = networks();
        let selection = Selection::focus(&cnn);
        assert!(selection.fits(&ParameterLayout::new(&cnn)) && !selection.fits(&ParameterLayout::new(&dnn)));
    }

    #[test]
    fn names_that_stand_for_nothing_are_refused_with_those_that_do() {
        let [cnn, dnn] = networks();
        let refused = |architecture: &Architecture, text: &str, parts: &[&str]| {
            let error = Selection::named(architecture, text).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            parts.iter().for_each(|part| assert!(error.to_string().contains(part), "{part}: {error}"));
        };
        refused(&cnn, "dens5", &["\"dens5\"", "did you mean dense5?", "conv3, dense0"]);
        refused(&cnn, "focus,hiden", &["did you mean hidden?"]);
        refused(&cnn, "layer seven", &["\"layer seven\"; the layers are conv0"]);
        refused(&cnn, "", &["no layer is named"]);
        refused(&cnn, "dense5,", &["no layer is named"]);
        refused(&cnn, "dense5.bias", &["is a bias", "choose dense5"]);
        refused(&dnn, "conv", &["no convolutions", "dense0, dense1"]);
        refused(&dnn, "conv0", &["\"conv0\""]);
    }
}
