//! A network layer by layer, in blocks of registers: calibration images on their way, and how much units matter to the logits.
//! Definition: [`crate::cpu::layers`].

use super::conv2d::{Convolution, Grid, convolve, flip};
use super::dense::{Epilogue, Product, multiply};
use super::max_pool2d::CHANNELS;
use super::{AlignedBuffer, dispatch, padded};
use crate::cpu::layers::LayerOutput;
use crate::cpu::training_step::pool_shape;
use crate::cpu::{max_pool2d, relu};
use crate::network::{ConvLayer, DenseLayer, Layer};
use pulp::{Simd, WithSimd};

/// The most rows of gradients, one for each image and class, that go back through a network together.
const GRADIENT_ROWS: usize = 320;

/// A layer with its parameters in padded rows.
pub struct PaddedParameters {
    layer: Layer,
    /// `[input, column]`
    weights: AlignedBuffer,
    bias: AlignedBuffer,
    /// Units, padded.
    columns: usize,
}

/// What the gradient of a layer's inputs is made with: transposed weights, of a convolution flipped ones.
struct Backward {
    weights: AlignedBuffer,
    /// Inputs, of a convolution channels that come in, padded.
    columns: usize,
}

impl PaddedParameters {
    /// From weights `[input, unit]` and biases `[unit]`; none are 0.
    pub fn new(layer: Layer, weights: &[f32], bias: &[f32]) -> Self {
        let units = layer.units();
        let columns = match layer {
            Layer::Convolution(_) => units.next_multiple_of(CHANNELS),
            Layer::Dense(_) => padded(units),
        };
        let mut rows = AlignedBuffer::zeros(layer.inputs() * columns);
        for (row, weights) in rows.chunks_exact_mut(columns).zip(weights.chunks_exact(units)) {
            row[..units].copy_from_slice(weights);
        }
        let mut biases = AlignedBuffer::zeros(columns);
        biases[..bias.len()].copy_from_slice(bias);
        Self { layer, weights: rows, bias: biases, columns }
    }

    fn backward(&self) -> Backward {
        let units = self.layer.units();
        match self.layer {
            Layer::Convolution(layer) => {
                let columns = layer.inputs.next_multiple_of(CHANNELS);
                // The flipped weights have a row for each padded unit; the columns of padded inputs stay 0.
                let mut tight = vec![0.0; 9 * layer.inputs * self.columns];
                flip(layer.inputs, self.columns, &self.weights[..tight.len()], &mut tight);
                let mut weights = AlignedBuffer::zeros(9 * self.columns * columns);
                let rows = weights.chunks_exact_mut(columns).zip(tight.chunks_exact(layer.inputs));
                rows.for_each(|(row, tight)| row[..layer.inputs].copy_from_slice(tight));
                Backward { weights, columns }
            }
            Layer::Dense(layer) => {
                let columns = padded(layer.inputs);
                let mut weights = AlignedBuffer::zeros(units * columns);
                for (i, row) in self.weights.chunks_exact(self.columns).take(layer.inputs).enumerate() {
                    (0..units).for_each(|k| weights[k * columns + i] = row[k]);
                }
                Backward { weights, columns }
            }
        }
    }

    /// What the next layer reads of some samples, into `output` `[sample, value]`.
    pub fn values(&self, input: &[f32], output: &mut [f32]) {
        let Layer::Dense(layer) = self.layer else {
            output.copy_from_slice(&self.forward(input).values);
            return;
        };
        let samples = input.len() / layer.inputs;
        let mut rows = AlignedBuffer::zeros(samples * self.columns);
        let epilogue = if layer.relu { Epilogue::Relu } else { Epilogue::Identity };
        let right = &self.weights[..layer.inputs * self.columns];
        let bias = Some(&self.bias[..self.columns]);
        let (inner, columns) = (layer.inputs, self.columns);
        let product = Product { inner, columns, left: input, left_stride: inner, right, bias, epilogue };
        run_product(samples, product, &mut rows);
        for (output, row) in output.chunks_exact_mut(layer.outputs).zip(rows.chunks_exact(self.columns)) {
            output.copy_from_slice(&row[..layer.outputs]);
        }
    }

    /// What the layer makes of some samples; see [`crate::cpu::layers::forward`].
    pub fn forward(&self, input: &[f32]) -> LayerOutput<f32> {
        let samples = input.len() / self.layer.input_len();
        let units = self.layer.units();
        let mut pre_activations = Vec::with_capacity(samples * self.layer.rows() * units);
        match self.layer {
            Layer::Dense(layer) => {
                let mut rows = AlignedBuffer::zeros(samples * self.columns);
                let (right, bias) = (&*self.weights, Some(&self.bias[..self.columns]));
                let right = &right[..layer.inputs * self.columns];
                let (inner, columns, epilogue) = (layer.inputs, self.columns, Epilogue::Identity);
                let product = Product { inner, columns, left: input, left_stride: inner, right, bias, epilogue };
                run_product(samples, product, &mut rows);
                rows.chunks_exact(self.columns).take(samples).for_each(|row| pre_activations.extend(&row[..units]));
                let values = match layer.relu {
                    true => pre_activations.iter().map(|&z| relu(z)).collect(),
                    false => pre_activations.clone(),
                };
                LayerOutput { pre_activations, values, argmax: Vec::new() }
            }
            Layer::Convolution(layer) => {
                let grid = Grid { height: layer.height, width: layer.width, channels: layer.inputs };
                let mut padded = AlignedBuffer::zeros(grid.len());
                let mut rows = AlignedBuffer::zeros(layer.height * layer.width * self.columns);
                let (row, pixels) = (layer.width * layer.inputs, layer.height * layer.width);
                for image in input.chunks_exact(layer.input_len()) {
                    for (y, pixels) in image.chunks_exact(row).enumerate() {
                        padded[grid.place(y, 0)..][..row].copy_from_slice(pixels);
                    }
                    let convolution = Convolution {
                        input: &padded[..grid.len()],
                        grid,
                        weights: &self.weights[..9 * layer.inputs * self.columns],
                        outputs: self.columns,
                        bias: Some(&self.bias[..self.columns]),
                    };
                    run_convolution(convolution, &mut rows);
                    rows.chunks_exact(self.columns).take(pixels).for_each(|row| pre_activations.extend(&row[..units]));
                }
                let mut values: Vec<f32> = pre_activations.iter().map(|&z| relu(z)).collect();
                let mut argmax = Vec::new();
                if layer.pool {
                    let mut pooled = vec![0.0; samples * layer.output_len()];
                    argmax = vec![0; pooled.len()];
                    max_pool2d::forward(pool_shape(&layer, samples), &values, &mut pooled, &mut argmax);
                    values = pooled;
                }
                LayerOutput { pre_activations, values, argmax }
            }
        }
    }
}

/// All columns of some samples.
fn run_product(samples: usize, product: Product<'_>, output: &mut [f32]) {
    struct Multiply<'a>(usize, Product<'a>, &'a mut [f32]);
    impl WithSimd for Multiply<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            multiply(simd, self.0, self.1, self.2);
        }
    }
    pulp::Arch::new().dispatch(Multiply(samples, product, output));
}

/// All pixels of a sample.
fn run_convolution(convolution: Convolution<'_>, output: &mut [f32]) {
    struct Convolve<'a>(Convolution<'a>, &'a mut [f32]);
    impl WithSimd for Convolve<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Grid { height, width, .. } = self.0.grid;
            convolve(simd, self.0, 0..height, width, self.1);
        }
    }
    let is_partial = !convolution.outputs.is_multiple_of(super::LANES);
    dispatch(is_partial, Convolve(convolution, output));
}

/// A network whose logits can be asked how much its units matter.
pub struct Importance {
    layers: Vec<(PaddedParameters, Backward)>,
}

impl Importance {
    /// From the layers of a network, from the image to the logits.
    pub fn new(layers: Vec<PaddedParameters>) -> Self {
        let with_backward = |layer: PaddedParameters| {
            let backward = layer.backward();
            (layer, backward)
        };
        Self { layers: layers.into_iter().map(with_backward).collect() }
    }

    /// For each layer and unit the sum over some samples, classes and positions of the squared derivative of the logit; see
    /// [`crate::cpu::layers::importance`].
    pub fn of(&self, input: &[f32]) -> Vec<Vec<f32>> {
        let mut sums: Vec<Vec<f32>> = self.layers.iter().map(|(layer, _)| vec![0.0; layer.layer.units()]).collect();
        let classes = sums.last().map_or(0, Vec::len);
        let length = self.layers.first().map_or(1, |(layer, _)| layer.layer.input_len());
        input.chunks((GRADIENT_ROWS / classes.max(1)).max(1) * length).for_each(|input| self.add(input, &mut sums));
        sums
    }

    fn add(&self, input: &[f32], sums: &mut [Vec<f32>]) {
        let mut inputs = vec![input.to_vec()];
        let mut argmax = Vec::new();
        for (layer, _) in &self.layers {
            let output = layer.forward(&inputs[inputs.len() - 1]);
            inputs.push(output.values);
            argmax.push(output.argmax);
        }
        let classes = sums.last().map_or(0, Vec::len);
        let rows = inputs[self.layers.len()].len();
        // `[sample, class, value]`: of the logits the identity for each sample.
        let mut gradient: Vec<f32> = (0..rows * classes)
            .map(|place| if place % classes == place / classes % classes { 1.0 } else { 0.0 })
            .collect();
        for (index, (layer, backward)) in self.layers.iter().enumerate().rev() {
            // What pooling passes on goes to one position each: squares of pooled gradients are those of all.
            for row in gradient.chunks_exact(layer.layer.units()) {
                sums[index].iter_mut().zip(row).for_each(|(sum, &g)| *sum += g * g);
            }
            if index > 0 {
                let length = layer.layer.input_len();
                let mut before = match layer.layer {
                    Layer::Dense(dense) => back_through_dense(dense, backward, &gradient),
                    Layer::Convolution(conv) => {
                        back_through_convolution(conv, layer.columns, backward, &gradient, classes, &argmax[index])
                    }
                };
                let rows = before.chunks_exact_mut(length).enumerate();
                for (row, gradient) in rows {
                    let own = &inputs[index][row / classes * length..][..length];
                    for (gradient, &x) in gradient.iter_mut().zip(own) {
                        *gradient = if x <= 0.0 { 0.0 } else { *gradient };
                    }
                }
                gradient = before;
            }
        }
    }
}

/// The gradient of what a dense layer reads `[row, input]`.
fn back_through_dense(layer: DenseLayer, backward: &Backward, gradient: &[f32]) -> Vec<f32> {
    let Backward { weights, columns } = backward;
    let rows = gradient.len() / layer.outputs;
    let mut output = AlignedBuffer::zeros(rows * columns);
    let right = &weights[..layer.outputs * columns];
    let (inner, columns, epilogue) = (layer.outputs, *columns, Epilogue::Identity);
    let product = Product { inner, columns, left: gradient, left_stride: inner, right, bias: None, epilogue };
    run_product(rows, product, &mut output);
    output.chunks_exact(columns).take(rows).flat_map(|row| &row[..layer.inputs]).copied().collect()
}

/// The gradient of what a convolution reads `[row, y, x, channel]`; `argmax` `[sample, ...]` where it pools.
fn back_through_convolution(
    layer: ConvLayer,
    units: usize,
    backward: &Backward,
    gradient: &[f32],
    classes: usize,
    argmax: &[u8],
) -> Vec<f32> {
    let ConvLayer { height, width, inputs, outputs, .. } = layer;
    let Backward { weights, columns } = backward;
    let grid = Grid { height, width, channels: units };
    let length = layer.output_len();
    let row = layer.output_width() * outputs;
    let mut spread = AlignedBuffer::zeros(grid.len());
    let mut output = AlignedBuffer::zeros(height * width * columns);
    let mut before = Vec::with_capacity(gradient.len() / length * layer.input_len());
    for (place, gradient) in gradient.chunks_exact(length).enumerate() {
        let argmax = if layer.pool { &argmax[place / classes * length..][..length] } else { &[] };
        spread.fill(0.0);
        for (index, &g) in gradient.iter().enumerate() {
            let (y, x, unit) = (index / row, index % row / outputs, index % outputs);
            let (y, x) = match argmax.get(index) {
                Some(&code) => (2 * y + usize::from(code) / 2, 2 * x + usize::from(code) % 2),
                None => (y, x),
            };
            spread[grid.place(y, x) + unit] = g;
        }
        let convolution = Convolution {
            input: &spread[..grid.len()],
            grid,
            weights: &weights[..9 * units * columns],
            outputs: *columns,
            bias: None,
        };
        run_convolution(convolution, &mut output);
        before.extend(output.chunks_exact(*columns).take(height * width).flat_map(|row| &row[..inputs]));
    }
    before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::layers as twin;
    use crate::network::{Architecture, ParameterLayout};
    use crate::random::{Sequence, Stream};

    fn assert_near(found: &[f32], expected: &[f64], terms: f64) {
        assert_eq!(found.len(), expected.len());
        let scale = expected.iter().fold(1.0f64, |largest, value| largest.max(value.abs()));
        for (found, expected) in found.iter().zip(expected) {
            let error = (f64::from(*found) - expected).abs();
            assert!(error <= terms * f64::from(f32::EPSILON) * scale, "{found} for {expected}");
        }
    }

    #[test]
    fn layers_and_importance_are_those_of_the_twin() {
        let dnn = Architecture::dnn(9, 10, [17, 31, 5], 3);
        let cnn = Architecture { convolutions: Architecture::paper_convolutions(5), ..dnn.clone() };
        let colour = Architecture { channels: 3, convolutions: Architecture::paper_convolutions(16), ..dnn.clone() };
        for (case, architecture) in [dnn, cnn, colour].iter().enumerate() {
            let mut draws = Sequence::new(5, Stream::Check, case as u32, 1);
            let layout = ParameterLayout::new(architecture);
            let parameters: Vec<f32> = (0..layout.parameters()).map(|_| draws.between(-0.5, 0.5) as f32).collect();
            let images: Vec<f32> = (0..67 * architecture.image_len()).map(|_| draws.unit() as f32).collect();
            let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
            let mut input = images.clone();
            let mut layers = Vec::new();
            for (index, layer) in Layer::all(architecture).into_iter().enumerate() {
                let [weights, bias] = Layer::tensors(&layout, index).map(|tensor| &parameters[tensor.range()]);
                let padded = PaddedParameters::new(layer, weights, bias);
                let found = padded.forward(&input);
                let expected = twin::forward(&layer, &wide(weights), &wide(bias), &wide(&input));
                assert_near(&found.pre_activations, &expected.pre_activations, layer.inputs() as f64);
                assert_near(&found.values, &expected.values, layer.inputs() as f64);
                let mut values = vec![f32::NAN; found.values.len()];
                padded.values(&input, &mut values);
                assert_eq!(values, found.values, "layer {index}");
                input = found.values;
                layers.push(padded);
            }
            let found = Importance::new(layers).of(&images);
            let expected = twin::importance(architecture, &wide(&parameters), &wide(&images));
            for (found, expected) in found.iter().zip(&expected) {
                assert_near(found, expected, 2000.0);
            }
        }
    }
}
