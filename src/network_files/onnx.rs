//! A network as an ONNX model: images in as they are stored, logits out.

use super::stored_network::{InputScale, StoredNetwork};
use crate::error::{Error, Result};
use crate::network::{Layer, ParameterLayout};
use crate::run_folder::onnx_messages::{Attribute, Entry, FLOAT, Graph, Model, Node, Tensor, UINT8, ValueInfo};

/// Name of what goes in.
const IMAGES: &str = "images";
/// Names of what comes out.
const LOGITS: &str = "logits";
const PROBABILITIES: &str = "probabilities";

/// What the model is to be besides its network.
#[derive(Clone, Copy, Debug)]
pub struct OnnxSettings {
    /// Rows, columns and channels of the images that go in.
    pub image: [usize; 3],
    /// Whether probabilities come out instead of logits.
    pub softmax: bool,
    /// Share of test images that the network classifies correctly, where it is known.
    pub accuracy: Option<f64>,
}

/// Multiply-adds of a dense layer that take about as long as the gather of one number, in ONNX Runtime with AVX-512.
const GATHER: usize = 128;

/// The model: u8 images `[N, y, x]`, or `[N, y, x, channel]` in colour, any number of them; then the layers, and f32 `logits` or
/// `probabilities` `[N, class]`. From pixels to features is folded into the first layer. Pixels that the network does not read
/// are left out by a gather, or where that would take longer than it saves get weights of 0: the file has those that count, and
/// a runtime fills in the zeros when it loads the model.
///
/// Fails with [`Error::Usage`] if images of that size are not what the network reads, and with [`Error::Job`] if its layers
/// cannot be written as JSON.
pub fn model(network: &StoredNetwork, settings: OnnxSettings) -> Result<Model> {
    let StoredNetwork { architecture, parameters, pixels, input } = network;
    check_image(network, settings.image)?;
    let layout = ParameterLayout::new(architecture);
    let layers = Layer::all(architecture);
    let mut graph = Builder { value: IMAGES.into(), ..Builder::default() };
    let length: usize = settings.image.iter().product();
    let units = layers.first().map_or(0, Layer::units);
    let (gathered, filled) = match pixels.as_deref() {
        Some(pixels) if pixels.len() * GATHER < (length - pixels.len()) * units => (Some(pixels), None),
        pixels => (None, pixels),
    };
    graph.read_images(settings.image, gathered, !architecture.convolutions.is_empty(), *input);
    let mut before = None;
    for (index, layer) in layers.iter().enumerate() {
        let [weight, bias] = Layer::tensors(&layout, index);
        let mut weights = parameters[weight.range()].to_vec();
        let mut biases = architecture.bias.then(|| parameters[bias.range()].to_vec());
        if index == 0 {
            fold(*input, layer, &mut weights, &mut biases);
        }
        match layer {
            Layer::Convolution(convolution) => {
                graph.convolve(weight.layer(), layer, &weights, biases);
                if convolution.pool {
                    let attributes =
                        vec![Attribute::ints("kernel_shape", &[2, 2]), Attribute::ints("strides", &[2, 2])];
                    graph.push("MaxPool", &format!("{}.pool", weight.layer()), Vec::new(), attributes);
                }
            }
            Layer::Dense(dense) => {
                if let Some(Layer::Convolution(last)) = before {
                    graph.push("Flatten", "flatten", Vec::new(), vec![Attribute::int("axis", 1)]);
                    let pixels = last.output_height() * last.output_width();
                    weights = channels_first(&weights, pixels, last.outputs, dense.outputs);
                }
                let filled = filled.filter(|_| index == 0).map(|pixels| (pixels, length));
                graph.dense(weight.layer(), [dense.inputs, dense.outputs], &weights, biases, filled);
                if dense.relu {
                    graph.push("Relu", &format!("{}.relu", weight.layer()), Vec::new(), Vec::new());
                }
            }
        }
        before = Some(*layer);
    }
    if settings.softmax {
        graph.push("Softmax", "softmax", Vec::new(), vec![Attribute::int("axis", -1)]);
    }
    let output = if settings.softmax { PROBABILITIES } else { LOGITS };
    // The last operator produces what comes out.
    graph.nodes.iter_mut().rev().take(1).for_each(|node| node.output = vec![output.into()]);
    let sizes = match settings.image {
        [height, width, 1] => vec![height, width],
        sizes => sizes.to_vec(),
    };
    let graph = Graph {
        node: graph.nodes,
        name: architecture.model().into(),
        initializer: graph.constants,
        input: vec![ValueInfo::of_samples(IMAGES, UINT8, &sizes)],
        output: vec![ValueInfo::of_samples(output, FLOAT, &[architecture.classes])],
    };
    Ok(Model::new(graph, metadata(network, settings.accuracy)?))
}

/// Fails with [`Error::Usage`] if images of this size are not what the network reads.
fn check_image(network: &StoredNetwork, image: [usize; 3]) -> Result<()> {
    let architecture = &network.architecture;
    let own = [architecture.image_height, architecture.image_width, architecture.channels];
    let length: usize = image.iter().product();
    let fits = match &network.pixels {
        Some(pixels) => pixels.last().is_none_or(|&last| (last as usize) < length),
        None => image == own || architecture.convolutions.is_empty() && length == architecture.image_len(),
    };
    if fits && [1, 3].contains(&image[2]) {
        return Ok(());
    }
    let reads = match &network.pixels {
        Some(pixels) => format!("pixels up to place {}", pixels.last().copied().unwrap_or(0)),
        None => format!("{own:?}"),
    };
    Err(Error::Usage(format!(
        "images of {image:?} (rows, columns, channels), and the network reads {reads}; name the data that it was trained on, or the \
         size of its images with --image"
    )))
}

/// What is known of the network besides its weights.
fn metadata(network: &StoredNetwork, accuracy: Option<f64>) -> Result<Vec<Entry>> {
    let layers = serde_json::to_string(&network.architecture)
        .map_err(|error| Error::Job(format!("the network's sizes cannot be written as JSON: {error}")))?;
    let accuracy = accuracy.map(|accuracy| ("holdfast.accuracy", accuracy.to_string()));
    let entries = [("holdfast.architecture", layers)].into_iter().chain(accuracy);
    Ok(entries.map(|(key, value)| Entry { key: key.into(), value }).collect())
}

/// What the first layer does of what `input` makes of pixels, as weights and biases for the pixels themselves: `(p / divisor -
/// mean) / sd * w` summed is `p * w / (divisor sd)` summed, less `mean / sd` times the sum of the weights.
///
/// Around a convolution's image there lies the feature 0, which is the pixel `mean * divisor`: that is taken off before, see
/// [`Builder::read_images`].
fn fold(input: InputScale, layer: &Layer, weights: &mut [f32], biases: &mut Option<Vec<f32>>) {
    let InputScale { divisor, mean, sd } = input;
    if mean != 0.0 && matches!(layer, Layer::Dense(_)) {
        let biases = biases.get_or_insert_with(|| vec![0.0; layer.units()]);
        let mut sums = vec![0.0; layer.units()];
        for row in weights.chunks_exact(layer.units()) {
            sums.iter_mut().zip(row).for_each(|(sum, &weight)| *sum += f64::from(weight));
        }
        biases.iter_mut().zip(sums).for_each(|(bias, sum)| *bias = (f64::from(*bias) - mean / sd * sum) as f32);
    }
    weights.iter_mut().for_each(|weight| *weight = (f64::from(*weight) / (divisor * sd)) as f32);
}

/// Rows of weights of features `[pixel, channel]`, put in the order `[channel, pixel]`.
fn channels_first(weights: &[f32], pixels: usize, channels: usize, units: usize) -> Vec<f32> {
    let row = |place: usize| &weights[(place % pixels * channels + place / pixels) * units..][..units];
    (0..pixels * channels).flat_map(row).copied().collect()
}

/// Places of pixels in an image, as a constant.
fn places(pixels: &[u32]) -> Tensor {
    Tensor::of_integers("pixels.places", &pixels.iter().map(|&pixel| pixel.into()).collect::<Vec<i64>>())
}

/// A graph that grows by one operator after the other.
#[derive(Default)]
struct Builder {
    nodes: Vec<Node>,
    constants: Vec<Tensor>,
    /// What the last operator produces.
    value: String,
}

impl Builder {
    /// A constant of the model; returns its name.
    fn constant(&mut self, tensor: Tensor) -> String {
        let name = tensor.name.clone();
        self.constants.push(tensor);
        name
    }

    /// An operator; returns the name of what it produces.
    fn node(&mut self, op_type: &str, name: &str, input: Vec<String>, attribute: Vec<Attribute>) -> String {
        let produced = format!("{name}.output");
        let output = vec![produced.clone()];
        self.nodes.push(Node { input, output, name: name.into(), op_type: op_type.into(), attribute });
        produced
    }

    /// An operator that reads what the last one produced, and constants.
    fn push(&mut self, op_type: &str, name: &str, constants: Vec<Tensor>, attribute: Vec<Attribute>) {
        let constants: Vec<String> = constants.into_iter().map(|tensor| self.constant(tensor)).collect();
        let input = [self.value.clone()].into_iter().chain(constants).collect();
        self.value = self.node(op_type, name, input, attribute);
    }

    /// From images to what the first layer reads: `[N, feature]`, or `[N, channel, y, x]` for a convolution.
    fn read_images(
        &mut self,
        [_, _, channels]: [usize; 3],
        pixels: Option<&[u32]>,
        convolved: bool,
        input: InputScale,
    ) {
        match (convolved, channels) {
            (false, _) => self.push("Flatten", "flatten_images", Vec::new(), vec![Attribute::int("axis", 1)]),
            (true, 1) => self.push("Unsqueeze", "channel", vec![Tensor::of_integers("channel.axes", &[1])], Vec::new()),
            (true, _) => self.push("Transpose", "channels", Vec::new(), vec![Attribute::ints("perm", &[0, 3, 1, 2])]),
        }
        if let Some(pixels) = pixels {
            self.push("Gather", "pixels", vec![places(pixels)], vec![Attribute::int("axis", 1)]);
        }
        self.push("Cast", "numbers", Vec::new(), vec![Attribute::int("to", FLOAT.into())]);
        if convolved && input.mean != 0.0 {
            let shift = Tensor::of_floats("shift.pixel", &[1], &[(input.mean * input.divisor) as f32]);
            self.push("Sub", "shift", vec![shift], Vec::new());
        }
    }

    /// A convolution of 3 x 3 from our weights `[ky, kx, in, out]`, and its ReLU.
    fn convolve(&mut self, name: &str, layer: &Layer, weights: &[f32], biases: Option<Vec<f32>>) {
        let (units, inputs) = (layer.units(), layer.inputs() / 9);
        let weight = |place: usize| {
            let (unit, channel, tap) = (place / (9 * inputs), place / 9 % inputs, place % 9);
            weights[(tap * inputs + channel) * units + unit]
        };
        let turned: Vec<f32> = (0..weights.len()).map(weight).collect();
        let weight = Tensor::of_floats(&format!("{name}.weight"), &[units, inputs, 3, 3], &turned);
        let bias = biases.map(|biases| Tensor::of_floats(&format!("{name}.bias"), &[units], &biases));
        let attributes = vec![Attribute::ints("kernel_shape", &[3, 3]), Attribute::ints("pads", &[1, 1, 1, 1])];
        self.push("Conv", name, [weight].into_iter().chain(bias).collect(), attributes);
        self.push("Relu", &format!("{name}.relu"), Vec::new(), Vec::new());
    }

    /// A dense layer. `filled` are the places of the weights' rows among so many, the others of which are 0.
    fn dense(
        &mut self,
        name: &str,
        shape: [usize; 2],
        weights: &[f32],
        biases: Option<Vec<f32>>,
        filled: Option<(&[u32], usize)>,
    ) {
        let weight = Tensor::of_floats(&format!("{name}.weight"), &shape, weights);
        let bias = biases.map(|biases| Tensor::of_floats(&format!("{name}.bias"), &shape[1..], &biases));
        let Some((rows, all)) = filled else {
            return self.push("Gemm", name, [weight].into_iter().chain(bias).collect(), Vec::new());
        };
        // These read no images, so that a runtime computes them once.
        let shape = self.constant(Tensor::of_integers("pixels.shape", &[all as i64, shape[1] as i64]));
        let zeros = self.node("ConstantOfShape", "pixels.zeros", vec![shape], Vec::new());
        let [rows, axes] = [places(rows), Tensor::of_integers("pixels.axes", &[1])].map(|tensor| self.constant(tensor));
        let rows = self.node("Unsqueeze", "pixels.rows", vec![rows, axes], Vec::new());
        let weight = self.constant(weight);
        let weight = self.node("ScatterND", "pixels.filled", vec![zeros, rows, weight], Vec::new());
        let bias = bias.map(|bias| self.constant(bias));
        let inputs = [self.value.clone(), weight].into_iter().chain(bias).collect();
        self.value = self.node("Gemm", name, inputs, Vec::new());
    }
}

#[cfg(test)]
mod tests;
