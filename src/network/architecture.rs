//! The list of layers of a network.

use super::sizes::{ConvLayer, Convolution, DenseLayer};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The most convolutions, and the most dense layers.
const MOST_LAYERS: usize = 1 << 16;

/// A feed-forward network: image -> convolutions, if there are any -> flatten -> hidden dense layers with ReLU -> a dense
/// layer of `classes` units with softmax.
///
/// The paper's fully connected network (DNN) has no convolutions and six hidden layers of 30 units; its convolutional
/// network (CNN) has [`Self::paper_convolutions`] before the same dense layers (paper, section 4.2).
///
/// ```
/// use holdfast::network::{Architecture, ParameterLayout};
///
/// // The paper's DNN on MNIST.
/// let architecture = Architecture::dnn(28, 28, [30; 6], 10);
/// architecture.validate()?;
/// let layout = ParameterLayout::new(&architecture);
/// assert_eq!((layout.parameters(), architecture.weight_count()), (28_510, 900));
/// # Ok::<(), holdfast::error::Error>(())
/// ```
///
/// Written by serde it is a list of hidden layers; read, it may also be a `width` and a `depth`, as earlier versions wrote
/// it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Architecture {
    /// Rows of an image, in pixels.
    pub image_height: usize,
    /// Columns of an image, in pixels.
    pub image_width: usize,
    /// Numbers of a pixel: 1 for gray, 3 for red, green and blue. Not written where it is 1.
    #[serde(skip_serializing_if = "is_gray")]
    pub channels: usize,
    /// Convolutions from the image on; none for a fully connected network.
    pub convolutions: Vec<Convolution>,
    /// Units of each hidden dense layer, two layers or more; the last of them is the focus layer.
    pub hidden: Vec<usize>,
    /// Whether units and filters have biases. Without them their places in the flat parameters stay exactly 0, and no file
    /// and no count has them.
    pub bias: bool,
    /// Units of the output layer, one for each class.
    pub classes: usize,
}

/// Whether these are the channels of gray images.
fn is_gray(channels: &usize) -> bool {
    *channels == 1
}

/// An [`Architecture`] as files have it, those of earlier versions too.
#[derive(Deserialize)]
struct Written {
    image_height: usize,
    image_width: usize,
    channels: Option<usize>,
    convolutions: Vec<Convolution>,
    hidden: Option<Vec<usize>>,
    width: Option<usize>,
    depth: Option<usize>,
    bias: Option<bool>,
    classes: usize,
}

impl TryFrom<Written> for Architecture {
    type Error = String;

    fn try_from(written: Written) -> std::result::Result<Self, String> {
        let Written { image_height, image_width, channels, convolutions, hidden, width, depth, bias, classes } =
            written;
        let hidden = match (hidden, width, depth) {
            (Some(hidden), None, None) => hidden,
            (None, Some(width), Some(depth)) if depth <= MOST_LAYERS => vec![width; depth],
            _ => return Err("a network needs either `hidden`, or `width` and `depth`".into()),
        };
        let (channels, bias) = (channels.unwrap_or(1), bias.unwrap_or(true));
        Ok(Self { image_height, image_width, channels, convolutions, hidden, bias, classes })
    }
}

impl Architecture {
    /// A fully connected network of gray images, with biases: `hidden` has the units of each hidden layer.
    pub fn dnn(image_height: usize, image_width: usize, hidden: impl Into<Vec<usize>>, classes: usize) -> Self {
        let (channels, convolutions, hidden) = (1, Vec::new(), hidden.into());
        Self { image_height, image_width, channels, convolutions, hidden, bias: true, classes }
    }

    /// The convolutions of the paper's CNN: four, of which the first three pool.
    pub fn paper_convolutions(filters: usize) -> Vec<Convolution> {
        [true, true, true, false].map(|pool| Convolution { filters, pool }).to_vec()
    }

    /// `dnn` or `cnn`, the model's name in files and tables.
    pub fn model(&self) -> &'static str {
        if self.convolutions.is_empty() { "dnn" } else { "cnn" }
    }

    /// Units of each hidden layer where all have as many; nothing where they differ.
    pub fn common_width(&self) -> Option<usize> {
        let (&first, others) = self.hidden.split_first()?;
        others.iter().all(|&units| units == first).then_some(first)
    }

    /// The hidden layers in words: `6 layers of 30`, or `layers of 40 and 20`.
    pub fn hidden_in_words(&self) -> String {
        match (self.common_width(), self.hidden.split_last()) {
            (Some(width), _) => format!("{} layers of {width}", self.hidden.len()),
            (None, Some((last, others))) => {
                let others: Vec<String> = others.iter().map(usize::to_string).collect();
                format!("layers of {} and {last}", others.join(", "))
            }
            (None, None) => "no layers".into(),
        }
    }

    /// Checks the sizes: two hidden layers or more (the focus layer needs one before it), a unit or more in each, 2 to 256
    /// classes, at least one pixel, enough of them that each pooling has two rows and two columns, and no more layers,
    /// parameters and values of a layer than kernels can number.
    ///
    /// Fails with [`Error::Data`] where the images are to blame, else with [`Error::Usage`].
    pub fn validate(&self) -> Result<()> {
        if self.hidden.len() < 2 {
            return Err(Error::Usage(format!(
                "depth {} leaves no hidden layer before the focus layer; use --depth 2 or more, or two layers or more in \
                 --hidden",
                self.hidden.len()
            )));
        }
        if self.hidden.contains(&0) {
            return Err(Error::Usage(
                "a layer of width 0 has no weights; use --width 1 or more, or numbers above 0 in --hidden".into(),
            ));
        }
        if !(2..=256).contains(&self.classes) {
            let classes = self.classes;
            return Err(Error::Data(format!("{classes} classes found; a classifier needs 2 to 256, check the labels")));
        }
        if self.image_height == 0 || self.image_width == 0 {
            return Err(Error::Data("the images have no pixels".into()));
        }
        if ![1, 3].contains(&self.channels) {
            return Err(Error::Data(format!(
                "images of {} channels; networks read 1 (gray) or 3 (red, green and blue)",
                self.channels
            )));
        }
        if self.convolutions.iter().any(|convolution| convolution.filters == 0) {
            return Err(Error::Usage("a convolution of 0 filters gives nothing out; use --filters 1 or more".into()));
        }
        if self.conv_layers().iter().any(|layer| layer.pool && layer.height.min(layer.width) < 2) {
            let poolings = self.convolutions.iter().filter(|convolution| convolution.pool).count();
            return Err(Error::Data(format!(
                "images of {} x {} pixels are too small for {poolings} poolings, which need {least} x {least} or more; \
                 use --side {least} or more, or --model dnn",
                self.image_height,
                self.image_width,
                least = 2.0f64.powf(poolings as f64),
            )));
        }
        Self::check_layers(self.hidden.len())?;
        Self::check_layers(self.convolutions.len())?;
        let [_, largest] = self.counted();
        if largest > f64::from(u32::MAX) {
            return Err(Error::Usage(format!(
                "images of {} x {} pixels and {} make an array of {largest} numbers; kernels number at most {}, so use a \
                 smaller --width, --depth, --hidden, --filters or --side",
                self.image_height,
                self.image_width,
                self.hidden_in_words(),
                u32::MAX
            )));
        }
        Ok(())
    }

    /// Refuses more hidden dense layers, or more convolutions, than a network can have: before a list of so many is made.
    ///
    /// Fails with [`Error::Usage`].
    pub fn check_layers(layers: usize) -> Result<()> {
        if layers > MOST_LAYERS {
            return Err(Error::Usage(format!(
                "{layers} layers are more than the {MOST_LAYERS} dense ones, and as many convolutions, that a network can \
                 have; use a smaller --depth"
            )));
        }
        Ok(())
    }

    /// Parameters of one replica, and numbers of its largest array: these, one image, or what a convolution produces for one
    /// image before it is pooled. Counted in floating point, which no size overflows.
    pub fn counted(&self) -> [f64; 2] {
        let pixels = self.image_height as f64 * self.image_width as f64;
        let (mut parameters, mut features) = (0.0, pixels * self.channels as f64);
        let mut largest = features;
        for ConvLayer { height, width, inputs, outputs, pool } in self.conv_layers() {
            parameters += (9.0 * inputs as f64 + 1.0) * outputs as f64;
            features = height as f64 * width as f64 * outputs as f64;
            largest = features.max(largest);
            features /= if pool { 4.0 } else { 1.0 };
        }
        for &units in self.hidden.iter().chain([&self.classes]) {
            parameters += (features + 1.0) * units as f64;
            features = units as f64;
        }
        [parameters, largest.max(parameters)]
    }

    /// Numbers of one image: rows x columns x channels.
    pub fn image_len(&self) -> usize {
        self.image_height * self.image_width * self.channels
    }

    /// All convolutions with their sizes; the first reads pixels.
    pub fn conv_layers(&self) -> Vec<ConvLayer> {
        let (mut height, mut width, mut inputs) = (self.image_height, self.image_width, self.channels);
        let with_sizes = |convolution: &Convolution| {
            let Convolution { filters: outputs, pool } = *convolution;
            let layer = ConvLayer { height, width, inputs, outputs, pool };
            (height, width, inputs) = (layer.output_height(), layer.output_width(), outputs);
            layer
        };
        self.convolutions.iter().map(with_sizes).collect()
    }

    /// What the first dense layer reads of one sample: an image, or what the last convolution produces, `[y, x, channel]`.
    pub fn features(&self) -> usize {
        self.conv_layers().last().map_or(self.image_len(), ConvLayer::output_len)
    }

    /// All dense layers up to the logits; the first reads [`Self::features`].
    pub fn dense_layers(&self) -> Vec<DenseLayer> {
        let mut inputs = self.features();
        let mut layer = |outputs: usize, relu: bool| {
            let layer = DenseLayer { inputs, outputs, relu };
            inputs = outputs;
            layer
        };
        let mut layers: Vec<DenseLayer> = self.hidden.iter().map(|&units| layer(units, true)).collect();
        layers.push(layer(self.classes, false));
        layers
    }

    /// Position of the focus layer (the last hidden one) in [`Self::dense_layers`].
    pub fn focus_layer(&self) -> usize {
        self.hidden.len().saturating_sub(1)
    }

    /// Sizes of the focus layer's weights, `[in, out]`: units of the hidden layer before it, and its own.
    pub fn focus_shape(&self) -> [usize; 2] {
        match *self.hidden {
            [.., inputs, outputs] => [inputs, outputs],
            [outputs] => [self.features(), outputs],
            [] => [0, 0],
        }
    }

    /// Number of weights of the focus layer, without biases.
    pub fn weight_count(&self) -> usize {
        let [inputs, outputs] = self.focus_shape();
        inputs * outputs
    }

    /// Floating-point operations of one training step of `samples` samples: two for each multiply-add of the forward
    /// pass, the weight gradients and the input gradients (the first layer has none); Adam is not counted.
    pub fn step_flops(&self, samples: usize) -> f64 {
        let multiply_adds: usize =
            self.multiply_adds().enumerate().map(|(index, forward)| forward * if index == 0 { 2 } else { 3 }).sum();
        2.0 * (multiply_adds * samples) as f64
    }

    /// Multiply-adds of classifying one image.
    pub fn forward_multiply_adds(&self) -> usize {
        self.multiply_adds().sum()
    }

    /// Multiply-adds of the forward pass of one sample, layer by layer.
    fn multiply_adds(&self) -> impl Iterator<Item = usize> {
        let convolutions = self.conv_layers().into_iter().map(|layer| layer.multiply_adds());
        convolutions.chain(self.dense_layers().into_iter().map(|layer| layer.inputs * layer.outputs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paper() -> Architecture {
        Architecture::dnn(28, 28, [30; 6], 10)
    }

    fn cnn(side: usize, filters: usize) -> Architecture {
        let convolutions = Architecture::paper_convolutions(filters);
        Architecture { image_height: side, image_width: side, convolutions, ..paper() }
    }

    #[test]
    fn the_papers_network_has_seven_dense_layers_and_900_weights() {
        let layers = paper().dense_layers();
        assert_eq!(layers.len(), 7);
        assert_eq!((layers[0].inputs, layers[0].outputs), (784, 30));
        assert_eq!((layers[6].inputs, layers[6].outputs, layers[6].relu), (30, 10, false));
        assert_eq!((paper().focus_layer(), paper().weight_count()), (5, 900));
    }

    #[test]
    fn a_step_of_32_samples_costs_3_93_million_operations() {
        assert!((paper().step_flops(32) / 3.93e6 - 1.0).abs() < 2e-3, "{}", paper().step_flops(32));
    }

    #[test]
    fn the_papers_convolutions_halve_the_side_three_times_and_drop_odd_edges() {
        let sizes = |side| cnn(side, 8).conv_layers().iter().map(ConvLayer::output_height).collect::<Vec<_>>();
        assert_eq!(sizes(28), [14, 7, 3, 3]);
        assert_eq!(sizes(100), [50, 25, 12, 12]);
        assert_eq!(sizes(11), [5, 2, 1, 1]);
        assert_eq!(cnn(28, 8).dense_layers()[0].inputs, 72);
        assert_eq!(cnn(28, 8).model(), "cnn");
    }

    #[test]
    fn a_convolutional_step_of_32_samples_costs_37_or_480_million_operations() {
        assert!((cnn(28, 8).step_flops(32) / 36.65e6 - 1.0).abs() < 1e-3, "{}", cnn(28, 8).step_flops(32));
        assert!((cnn(28, 32).step_flops(32) / 480e6 - 1.0).abs() < 0.02, "{}", cnn(28, 32).step_flops(32));
    }

    #[test]
    fn images_too_small_to_pool_are_refused_with_the_least_side() {
        let message = cnn(7, 8).validate().unwrap_err().to_string();
        assert!(message.contains("7 x 7") && message.contains("8 x 8"), "{message}");
        assert!(cnn(8, 1).validate().is_ok());
        assert!(cnn(28, 0).validate().is_err());
    }

    #[test]
    fn impossible_sizes_are_refused() {
        assert!(Architecture { hidden: vec![30], ..paper() }.validate().is_err());
        assert!(Architecture { hidden: vec![30, 0, 30], ..paper() }.validate().is_err());
        assert!(Architecture { classes: 257, ..paper() }.validate().is_err());
        assert!(Architecture { classes: 1, ..paper() }.validate().is_err());
        assert!(paper().validate().is_ok());
        let many = vec![Convolution { filters: 1, pool: true }; 100];
        assert!(Architecture { convolutions: many, ..paper() }.validate().is_err());
    }

    #[test]
    fn sizes_that_cannot_be_counted_are_refused_and_not_overflowed() {
        for size in [usize::MAX, usize::MAX / 2, 1 << 33] {
            for architecture in [
                Architecture { image_height: size, ..paper() },
                Architecture { image_height: size, image_width: size, ..cnn(8, 8) },
                Architecture { hidden: vec![size; 6], ..paper() },
                Architecture { hidden: vec![30, size], ..paper() },
                Architecture { hidden: vec![30; MOST_LAYERS + 1], ..paper() },
                Architecture { convolutions: Architecture::paper_convolutions(size), ..paper() },
            ] {
                assert_eq!(architecture.validate().unwrap_err().exit_code(), 2, "{size}");
            }
        }
        assert!(Architecture { hidden: vec![30_000; 6], ..paper() }.validate().is_err(), "4.5e9 parameters");
        assert!(Architecture { hidden: vec![28_000; 6], ..paper() }.validate().is_ok());
    }

    #[test]
    fn hidden_layers_may_differ_and_the_last_two_make_the_focus_layer() {
        let funnel = Architecture::dnn(28, 28, [40, 20], 10);
        let layers = funnel.dense_layers();
        let sizes: Vec<_> = layers.iter().map(|layer| (layer.inputs, layer.outputs, layer.relu)).collect();
        assert_eq!(sizes, [(784, 40, true), (40, 20, true), (20, 10, false)]);
        assert_eq!((funnel.focus_layer(), funnel.focus_shape(), funnel.weight_count()), (1, [40, 20], 800));
        assert_eq!((funnel.common_width(), paper().common_width()), (None, Some(30)));
        assert_eq!(funnel.hidden_in_words(), "layers of 40 and 20");
        assert_eq!(paper().hidden_in_words(), "6 layers of 30");
        assert_eq!(funnel.forward_multiply_adds(), 784 * 40 + 40 * 20 + 20 * 10);
    }

    #[test]
    fn a_width_and_a_depth_are_read_as_earlier_versions_wrote_them() {
        let sizes = r#""image_height": 28, "image_width": 28, "convolutions": [], "classes": 10"#;
        let read = |more: &str| serde_json::from_str::<Architecture>(&format!("{{{sizes}, {more}}}"));
        assert_eq!(read(r#""width": 30, "depth": 6"#).unwrap(), paper());
        let text = serde_json::to_string(&paper()).unwrap();
        assert_eq!(serde_json::from_str::<Architecture>(&text).unwrap(), paper());
        for refused in [r#""width": 30"#, r#""width": 30, "depth": 2, "hidden": [30]"#, r#""bias": true"#] {
            assert!(read(refused).unwrap_err().to_string().contains("`hidden`"), "{refused}");
        }
    }
}
