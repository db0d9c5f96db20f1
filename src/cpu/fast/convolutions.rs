//! All convolutions of a network, forward and backward, one sample after the other: what a sample needs stays in the cache.

use super::AlignedBuffer;
use super::conv2d::{Convolution, Grid, add_bias_gradient, add_weight_gradient, convolve, flip, relu, where_positive};
use super::dense::update_from_two;
use super::max_pool2d::{relu_and_pool, spread_row};
use super::network::{PaddedConvolution, PaddedReplica};
use pulp::{Simd, WithSimd};

/// Arrays that a step writes and the next step overwrites.
#[derive(Clone, Debug)]
pub struct ConvWorkspace {
    /// What each convolution reads, a grid for each sample.
    inputs: Vec<AlignedBuffer>,
    /// Where each pooling found its values, for each sample.
    argmax: Vec<AlignedBuffer>,
    /// Two rows before they are pooled.
    rows: AlignedBuffer,
    /// What a convolution produces after it is pooled, without border; of one sample.
    output: AlignedBuffer,
    /// The gradient of what each convolution produces before it is pooled, in a grid; of one sample.
    gradients: Vec<AlignedBuffer>,
    /// The gradient of what a convolution produces after it is pooled, without border; of one sample.
    pooled_gradient: AlignedBuffer,
    /// Weights as the input's gradient needs them.
    flipped: Vec<AlignedBuffer>,
    /// Gradients of weights and biases.
    weight_sums: Vec<AlignedBuffer>,
    bias_sums: Vec<AlignedBuffer>,
}

impl ConvWorkspace {
    /// Room for batches of up to `samples` images.
    pub fn new(convolutions: &[PaddedConvolution], samples: usize) -> Self {
        let each = |size: &dyn Fn(&PaddedConvolution) -> usize| {
            convolutions.iter().map(|convolution| AlignedBuffer::zeros(size(convolution))).collect::<Vec<_>>()
        };
        let largest = |size: &dyn Fn(&PaddedConvolution) -> usize| convolutions.iter().map(size).max().unwrap_or(0);
        Self {
            inputs: each(&|convolution| samples * convolution.input.len()),
            argmax: each(&|convolution| if convolution.layer.pool { samples * convolution.output_len() } else { 0 }),
            rows: AlignedBuffer::zeros(largest(&|convolution| 2 * convolution.layer.width * convolution.columns)),
            output: AlignedBuffer::zeros(largest(&PaddedConvolution::output_len)),
            gradients: each(&|convolution| Grid { channels: convolution.columns, ..convolution.input }.len()),
            pooled_gradient: AlignedBuffer::zeros(largest(&PaddedConvolution::output_len)),
            flipped: each(&|convolution| convolution.weights.len()),
            weight_sums: each(&|convolution| convolution.weights.len()),
            bias_sums: each(&|convolution| convolution.columns),
        }
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        let Self { inputs, argmax, rows, output, gradients, pooled_gradient, flipped, weight_sums, bias_sums } = self;
        let several = [inputs, argmax, gradients, flipped, weight_sums, bias_sums].into_iter().flatten();
        several.chain([rows, output, pooled_gradient]).map(AlignedBuffer::bytes).sum()
    }

    /// Computes all convolutions of one image, kept as sample `place`, and writes `features` `[y, x, channel]`.
    #[inline(always)]
    pub fn forward<S: Simd>(
        &mut self,
        simd: S,
        convolutions: &[PaddedConvolution],
        parameters: &[f32],
        place: usize,
        image: &[u8],
        scale: f32,
        features: &mut [f32],
    ) {
        let first = convolutions[0].input;
        let grid = &mut self.inputs[0][place * first.len()..][..first.len()];
        let row = first.width * first.channels;
        for (y, pixels) in image.chunks_exact(row).enumerate() {
            let start = first.place(y, 0);
            for (x, &pixel) in grid[start..start + row].iter_mut().zip(pixels) {
                *x = f32::from(pixel) * scale;
            }
        }
        for (index, convolution) in convolutions.iter().enumerate() {
            let PaddedConvolution { layer, input, columns, .. } = convolution;
            let work = Convolution {
                input: &self.inputs[index][place * input.len()..][..input.len()],
                grid: *input,
                weights: &parameters[convolution.weights.clone()],
                outputs: *columns,
                bias: Some(&parameters[convolution.bias.clone()]),
            };
            let (height, width) = (layer.output_height(), layer.output_width());
            let row = width * columns;
            let output = &mut self.output[..height * row];
            if layer.pool {
                let argmax = &mut self.argmax[index][place * height * row..][..height * row];
                let rows = &mut self.rows[..4 * row];
                for (y, (output, argmax)) in output.chunks_exact_mut(row).zip(argmax.chunks_exact_mut(row)).enumerate()
                {
                    convolve(simd, work, 2 * y..2 * y + 2, 2 * width, rows);
                    relu_and_pool(simd, rows, *columns, output, argmax);
                }
            } else {
                convolve(simd, work, 0..height, width, output);
                relu(output);
            }
            match convolutions.get(index + 1) {
                Some(next) => {
                    let next_grid = &mut self.inputs[index + 1][place * next.input.len()..][..next.input.len()];
                    for (y, output) in output.chunks_exact(row).enumerate() {
                        next_grid[next.input.place(y, 0)..][..row].copy_from_slice(output);
                    }
                }
                None => {
                    let pixels = features.chunks_exact_mut(layer.outputs).zip(output.chunks_exact(*columns));
                    for (features, output) in pixels {
                        features.copy_from_slice(&output[..layer.outputs]);
                    }
                }
            }
        }
    }

    /// Makes ready for the backward passes of a step: before the update, since the input's gradient belongs to the weights
    /// of the forward pass.
    #[inline(always)]
    pub fn begin_backward(&mut self, convolutions: &[PaddedConvolution], parameters: &[f32]) {
        for (index, convolution) in convolutions.iter().enumerate() {
            self.weight_sums[index].fill(0.0);
            self.bias_sums[index].fill(0.0);
            let weights = &parameters[convolution.weights.clone()];
            flip(convolution.input.channels, convolution.columns, weights, &mut self.flipped[index]);
        }
    }

    /// Adds the share of the image that was kept as sample `place` to all gradients, given the gradient of its features.
    #[inline(always)]
    pub fn backward<S: Simd>(
        &mut self,
        simd: S,
        convolutions: &[PaddedConvolution],
        place: usize,
        features_gradient: &[f32],
    ) {
        let Some(last) = convolutions.last() else { return };
        let pixels = self.pooled_gradient.chunks_exact_mut(last.columns);
        for (padded, gradient) in pixels.zip(features_gradient.chunks_exact(last.layer.outputs)) {
            let (values, padding) = padded.split_at_mut(gradient.len());
            values.copy_from_slice(gradient);
            padding.fill(0.0);
        }
        for (index, convolution) in convolutions.iter().enumerate().rev() {
            let PaddedConvolution { layer, input, columns, .. } = convolution;
            let output_gradient = &self.pooled_gradient[..convolution.output_len()];
            add_bias_gradient(simd, output_gradient, &mut self.bias_sums[index][..*columns]);
            let grid = Grid { channels: *columns, ..*input };
            let gradient = &mut self.gradients[index];
            let row = layer.output_width() * columns;
            let argmax = &self.argmax[index];
            for (y, source) in output_gradient.chunks_exact(row).enumerate() {
                if layer.pool {
                    // What no pooling reads, an odd last row or column, stays 0.
                    let argmax = &argmax[place * convolution.output_len() + y * row..][..row];
                    let (upper, lower) = gradient.split_at_mut(grid.place(2 * y + 1, 0));
                    let upper = &mut upper[grid.place(2 * y, 0)..][..2 * row];
                    spread_row(simd, source, argmax, *columns, upper, &mut lower[..2 * row]);
                } else {
                    gradient[grid.place(y, 0)..][..row].copy_from_slice(source);
                }
            }
            let own_input = &self.inputs[index][place * input.len()..][..input.len()];
            let gradient = &gradient[..grid.len()];
            add_weight_gradient(simd, own_input, *input, gradient, *columns, &mut self.weight_sums[index]);
            if index > 0 {
                let work = Convolution {
                    input: gradient,
                    grid,
                    weights: &self.flipped[index][..convolution.weights.len()],
                    outputs: input.channels,
                    bias: None,
                };
                let target = &mut self.pooled_gradient[..input.height * input.width * input.channels];
                convolve(simd, work, 0..input.height, input.width, target);
                where_positive(*input, own_input, target);
            }
        }
    }
}

/// Adam with the gradients that the backward passes of both parts of a batch have summed, at the bias-corrected `rate`.
pub struct Update<'a> {
    /// All convolutions.
    pub convolutions: &'a [PaddedConvolution],
    /// Those of the parts.
    pub parts: [&'a ConvWorkspace; 2],
    /// What is trained.
    pub replica: &'a mut PaddedReplica,
    /// See [`crate::cpu::adam::corrected_rate`].
    pub rate: f32,
    /// Whether there are biases to be updated.
    pub bias: bool,
}

impl WithSimd for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { convolutions, parts, replica, rate, bias: has_biases } = self;
        for (index, PaddedConvolution { weights, bias, .. }) in convolutions.iter().enumerate() {
            let [first, second] = parts.map(|part| &part.weight_sums[index][..weights.len()]);
            update_from_two(simd, first, second, &mut replica.tensor(weights, rate));
            if has_biases {
                let [first, second] = parts.map(|part| &part.bias_sums[index][..bias.len()]);
                update_from_two(simd, first, second, &mut replica.tensor(bias, rate));
            }
        }
    }
}
