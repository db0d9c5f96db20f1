//! A stack of dense layers that another program trained, ReLU between them: its layers found in a file by their names, its
//! weights turned to ours and back.

mod names;

use super::foreign_weights::WeightFile;
use crate::error::{Error, Result};
use crate::network::{Architecture, ParameterLayout, Tensor};
use crate::run_folder::arrays::{ForeignArray, RawArray};
use crate::run_folder::listed;
use names::{Found, find_bias, find_weight};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Names in a message.
const SHOWN: usize = 12;
/// Layers of which every order is tried, to say which one fits.
const MOST_ORDERED: usize = 7;

/// Which axis of a weight matrix counts the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
pub enum Orientation {
    /// `[in, out]`, as Keras and JAX have it, and this program.
    #[serde(rename = "in,out")]
    #[strum(to_string = "[in, out]")]
    InOut,
    /// `[out, in]`, as PyTorch has it.
    #[serde(rename = "out,in")]
    #[strum(to_string = "[out, in]")]
    OutIn,
}

impl Orientation {
    /// Where our `[in, out]` place of a matrix of `inputs x outputs` lies in a file.
    fn place(self, [inputs, outputs]: [usize; 2], place: usize) -> usize {
        match self {
            Self::InOut => place,
            Self::OutIn => (place % outputs) * inputs + place / outputs,
        }
    }
}

/// One layer of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StackLayer {
    /// Name of its weights in the file.
    pub weight: String,
    /// Name of its biases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bias: Option<String>,
    /// How its weights lie in the file.
    pub axes: Orientation,
    /// Inputs and units.
    #[serde(skip)]
    pub sizes: [usize; 2],
}

impl StackLayer {
    /// Numbers in the order of the file's matrix, in ours.
    pub fn ours<T: Copy>(&self, numbers: &[T]) -> Vec<T> {
        (0..numbers.len()).map(|place| numbers[self.axes.place(self.sizes, place)]).collect()
    }

    /// Numbers in our order, in that of the file's matrix.
    pub fn theirs<T: Copy + Default>(&self, numbers: &[T]) -> Vec<T> {
        let mut turned = vec![T::default(); numbers.len()];
        for (place, &number) in numbers.iter().enumerate() {
            turned[self.axes.place(self.sizes, place)] = number;
        }
        turned
    }

    /// Sizes of the file's matrix.
    pub fn shape(&self) -> [usize; 2] {
        let [inputs, outputs] = self.sizes;
        match self.axes {
            Orientation::InOut => [inputs, outputs],
            Orientation::OutIn => [outputs, inputs],
        }
    }
}

/// What a stack reads and tells apart.
#[derive(Clone, Copy, Debug)]
pub struct StackData<'a> {
    /// Name of the data set, for messages.
    pub name: &'a str,
    /// Rows, columns and channels of an image.
    pub image: [usize; 3],
    /// Classes.
    pub classes: usize,
}

/// A whole stack.
#[derive(Clone, Debug)]
pub struct DenseStack {
    /// The same network as ours.
    pub architecture: Architecture,
    /// Its parameters, in the order of [`ParameterLayout`].
    pub parameters: Vec<f32>,
    /// The layers from the image to the classes.
    pub layers: Vec<StackLayer>,
    /// Every tensor of the file, as it is stored.
    pub state: Vec<RawArray>,
    /// What the user should know.
    pub notices: Vec<String>,
}

impl DenseStack {
    /// Reads the layers `named`, from the image to the classes, each by its name (`fc1` for `fc1.weight` and `fc1.bias`) or by that
    /// of its weights. How weights lie follows from the chain of sizes; where a layer has as many inputs as units, from the
    /// other layers, then from the ending of its name; `said` decides all.
    ///
    /// Fails with [`Error::Usage`] if a name is not there, comes twice, or the order does not fit, or if nothing tells how
    /// square weights lie, and with [`Error::Data`] if the file cannot be read, if tensors are not those of such a stack for these
    /// `data`, or hold numbers that are not finite.
    pub fn read(path: &Path, named: &[String], said: Option<Orientation>, data: StackData<'_>) -> Result<Self> {
        let shown = path.display().to_string();
        let mut file = WeightFile::open(path)?;
        let found = named.iter().map(|name| find_weight(&file, name, &shown)).collect::<Result<Vec<Found>>>()?;
        for (place, layer) in found.iter().enumerate() {
            if found[..place].iter().any(|before| before.weight == layer.weight) {
                return Err(Error::Usage(format!("--dense names {} twice; name each layer once", layer.weight)));
            }
        }
        let pixels = data.image.iter().product();
        let shapes: Vec<[usize; 2]> = found.iter().map(|layer| layer.shape).collect();
        let widths = chain(&shapes, pixels).map_err(|broken| broken.refusal(&found, &shown, pixels, data))?;
        let classes = widths.last().copied().unwrap_or(pixels);
        if classes != data.classes {
            let advice = match order_that_fits(&shapes, pixels, data.classes) {
                Some(order) => in_order(&found, &order),
                None => "name all layers with --dense, or other data with --data".into(),
            };
            return Err(Error::Data(format!(
                "the last layer, {}, has {classes} units, and {} has {} classes; {advice}",
                named.last().map_or("", String::as_str),
                data.name,
                data.classes
            )));
        }
        let mut notices = Vec::new();
        let axes = orientations(&found, &widths, pixels, said, &mut notices)?;
        let inputs = [&[pixels][..], &widths].concat();
        let sizes = inputs.windows(2).map(|pair| [pair[0], pair[1]]);
        let biases = biases(&file, &found, &widths, &shown)?;
        let layers: Vec<StackLayer> = found
            .iter()
            .zip(&biases)
            .zip(axes.into_iter().zip(sizes))
            .map(|((found, bias), (axes, sizes))| StackLayer {
                weight: found.weight.clone(),
                bias: bias.clone(),
                axes,
                sizes,
            })
            .collect();
        let [image_height, image_width, channels] = data.image;
        let hidden = widths[..widths.len().saturating_sub(1)].to_vec();
        let bias = biases.iter().all(Option::is_some);
        let architecture =
            Architecture { channels, bias, ..Architecture::dnn(image_height, image_width, hidden, classes) };
        let layout = ParameterLayout::new(&architecture);
        let mut parameters = vec![0.0; layout.parameters()];
        for (index, layer) in layers.iter().enumerate() {
            let weights = read(&mut file, &layer.weight, &shown, &mut notices)?;
            parameters[layout.dense_weight(index).range()].copy_from_slice(&layer.ours(&weights.values));
            if let Some(bias) = &layer.bias {
                let bias = read(&mut file, bias, &shown, &mut notices)?;
                parameters[layout.dense_bias(index).range()].copy_from_slice(&bias.values);
            }
        }
        let used: Vec<String> =
            layers.iter().flat_map(|layer| [Some(layer.weight.clone()), layer.bias.clone()]).flatten().collect();
        let state = file.state(&used, "weights")?;
        let unused: Vec<String> =
            state.iter().filter_map(|array| array.name.clone()).filter(|name| !used.contains(name)).collect();
        if !unused.is_empty() {
            notices.push(format!("not of the stack, and left as they are: {}", listed(SHOWN, &unused)));
        }
        Ok(Self { architecture, parameters, layers, state, notices })
    }

    /// The tensor of our layout that a tensor of the file is.
    pub fn tensor(&self, name: &str) -> Option<Tensor> {
        let layout = ParameterLayout::new(&self.architecture);
        self.layers.iter().enumerate().find_map(|(index, layer)| {
            let bias = layer.bias.as_deref() == Some(name);
            let tensor = if bias { layout.dense_bias(index) } else { layout.dense_weight(index) };
            (bias || layer.weight == name).then(|| tensor.clone())
        })
    }

    /// The layer whose weights have this name in the file.
    pub fn layer(&self, weight: &str) -> Option<&StackLayer> {
        self.layers.iter().find(|layer| layer.weight == weight)
    }

    /// Every tensor of the file with the numbers of these parameters, as 32-bit floats in the file's own shapes; what is not of
    /// the stack as it was.
    pub fn with_parameters(&self, parameters: &[f32]) -> Vec<RawArray> {
        let solved = |array: &RawArray| -> Option<RawArray> {
            let name = array.name.as_deref()?;
            let own = &parameters[self.tensor(name)?.range()];
            Some(match self.layer(name) {
                Some(layer) => RawArray::of_weights(name, array.shape.clone(), &layer.theirs(own)),
                None => RawArray::of_weights(name, array.shape.clone(), own),
            })
        };
        self.state.iter().map(|array| solved(array).unwrap_or_else(|| array.clone())).collect()
    }
}

/// Reads numbers that must be finite.
fn read(file: &mut WeightFile<'_>, name: &str, shown: &str, notices: &mut Vec<String>) -> Result<ForeignArray> {
    let mut array = file.read(Some(name), "--dense")?;
    if let Some(place) = array.values.iter().position(|value| !value.is_finite()) {
        return Err(Error::Data(format!(
            "{shown}, {name}: place {place} (counted from 0 in C order) holds {}; save weights that are finite",
            array.values[place]
        )));
    }
    let said = std::mem::take(&mut array.notices);
    notices.extend(said.into_iter().filter(|notice| !notices.contains(notice)).collect::<Vec<_>>());
    Ok(array)
}

/// Where a chain of sizes breaks: a layer, and how many numbers arrive there.
struct Broken {
    layer: usize,
    arriving: usize,
}

impl Broken {
    fn refusal(&self, found: &[Found], shown: &str, pixels: usize, data: StackData<'_>) -> Error {
        let Found { name, shape, .. } = &found[self.layer];
        let shapes: Vec<[usize; 2]> = found.iter().map(|layer| layer.shape).collect();
        let order = order_that_fits(&shapes, pixels, data.classes).map(|order| in_order(found, &order));
        let [height, width, channels] = data.image;
        Error::Data(match (self.layer.checked_sub(1), order) {
            (_, Some(order)) => format!(
                "{shown}: {name} has weights of {shape:?}, neither axis of which is the {} that arrive there; {order}",
                self.arriving
            ),
            (None, None) => format!(
                "{shown}: the first layer, {name}, has weights of {shape:?}, and images of {} have {pixels} numbers ({height} x \
                 {width} x {channels}); bring them to the size that the network reads with --side, or name other data",
                data.name
            ),
            (Some(before), None) => format!(
                "{shown}: {name} has weights of {shape:?}, neither axis of which is the {} units of {} before it; name every layer \
                 from the image to the classes, in that order",
                self.arriving, found[before].name
            ),
        })
    }
}

/// The units of each layer, if each reads as many numbers as the one before gives.
fn chain(shapes: &[[usize; 2]], pixels: usize) -> std::result::Result<Vec<usize>, Broken> {
    let mut arriving = pixels;
    let mut widths = Vec::with_capacity(shapes.len());
    for (layer, &[first, second]) in shapes.iter().enumerate() {
        arriving = match (first == arriving, second == arriving) {
            (true, _) => second,
            (_, true) => first,
            (false, false) => return Err(Broken { layer, arriving }),
        };
        widths.push(arriving);
    }
    Ok(widths)
}

/// Another order of the layers in which they lead from the pixels to the classes.
fn order_that_fits(shapes: &[[usize; 2]], pixels: usize, classes: usize) -> Option<Vec<usize>> {
    fn next(shapes: &[[usize; 2]], classes: usize, arriving: usize, order: &mut Vec<usize>) -> bool {
        if order.len() == shapes.len() {
            return arriving == classes;
        }
        (0..shapes.len()).any(|layer| {
            let Ok(widths) = chain(&shapes[layer..=layer], arriving) else { return false };
            if order.contains(&layer) {
                return false;
            }
            order.push(layer);
            let fits = next(shapes, classes, widths[0], order);
            if !fits {
                order.pop();
            }
            fits
        })
    }
    let mut order = Vec::new();
    let fits = shapes.len() <= MOST_ORDERED && next(shapes, classes, pixels, &mut order);
    fits.then_some(order)
}

/// The advice to name the layers in another order.
fn in_order(found: &[Found], order: &[usize]) -> String {
    let names: Vec<&str> = order.iter().map(|&layer| found[layer].name.as_str()).collect();
    format!("the layers fit in the order --dense {}", names.join(","))
}

/// How the weights of each layer lie.
fn orientations(
    found: &[Found],
    widths: &[usize],
    pixels: usize,
    said: Option<Orientation>,
    notices: &mut Vec<String>,
) -> Result<Vec<Orientation>> {
    let arriving = [&[pixels][..], widths].concat();
    let known: Vec<Option<Orientation>> = found
        .iter()
        .zip(&arriving)
        .map(|(layer, &inputs)| match layer.shape {
            [first, second] if first == second => None,
            [first, _] if first == inputs => Some(Orientation::InOut),
            _ => Some(Orientation::OutIn),
        })
        .collect();
    if let Some(said) = said
        && let Some(place) = known.iter().position(|known| known.is_some_and(|known| known != said))
    {
        return Err(Error::Usage(format!(
            "--dense-axes says {}, and {} of {:?} reads {} numbers, so it is {}; leave --dense-axes out",
            said,
            found[place].weight,
            found[place].shape,
            arriving[place],
            if said == Orientation::InOut { Orientation::OutIn } else { Orientation::InOut }
        )));
    }
    let mut of_others: Vec<Orientation> = known.iter().flatten().copied().collect();
    of_others.dedup();
    let square = |layer: &Found| -> Result<(Orientation, String)> {
        match (said, &of_others[..]) {
            (Some(said), _) => Ok((said, String::new())),
            (None, [one]) => Ok((*one, "as the other layers".into())),
            (None, _) => match layer.ending() {
                Some((axes, ending)) => Ok((axes, format!("since its name ends in {ending}"))),
                None => Err(Error::Usage(format!(
                    "{} is square, {:?}, and nothing tells which axis counts its inputs; say it with --dense-axes in,out or \
                     --dense-axes out,in",
                    layer.weight, layer.shape
                ))),
            },
        }
    };
    let mut all = Vec::with_capacity(found.len());
    for (layer, known) in found.iter().zip(known) {
        all.push(match known {
            Some(axes) => axes,
            None => {
                let (axes, why) = square(layer)?;
                if !why.is_empty() {
                    notices.push(format!(
                        "{} is square and read as {}, {why}; --dense-axes says otherwise",
                        layer.weight, axes
                    ));
                }
                axes
            }
        });
    }
    Ok(all)
}

/// The names of the biases: of all layers or of none.
fn biases(file: &WeightFile<'_>, found: &[Found], widths: &[usize], shown: &str) -> Result<Vec<Option<String>>> {
    let all: Vec<Option<(String, Vec<usize>)>> = found.iter().map(|layer| find_bias(file, layer, found)).collect();
    let with = all.iter().position(Option::is_some);
    if let Some((with, without)) = with.zip(all.iter().position(Option::is_none)) {
        return Err(Error::Data(format!(
            "{shown}: {} has biases ({}), and none are found of {} (looked for {}); all layers have biases or none, so save zeros \
             for those that have none",
            found[with].name,
            all[with].as_ref().map_or("", |(name, _)| name),
            found[without].name,
            listed(SHOWN, &found[without].biases)
        )));
    }
    let mut names = Vec::with_capacity(all.len());
    for (bias, &units) in all.into_iter().zip(widths) {
        if let Some((name, shape)) = bias.as_ref().filter(|(_, shape)| shape.iter().product::<usize>() != units) {
            return Err(Error::Data(format!(
                "{shown}: {name} has the shape {shape:?}, and its layer has {units} units; a bias is one number for each unit"
            )));
        }
        names.push(bias.map(|(name, _)| name));
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
