//! How much units matter to the logits: batches of images forward, and back once for each class. Nothing is read back
//! before the end.

use crate::error::Result;
use crate::gpu::{Buffer, Gpu, Recorder, read_back};
use crate::kernels::surgeon::{Importance, ImportanceArguments, ImportanceShape};
use crate::kernels::{Bound, ParameterOffsets, StepRecord, conv2d, dense, max_pool2d};
use crate::network::{Architecture, ConvLayer, DenseLayer, Layer, ParameterLayout};

/// The most images of a batch: enough to fill a device with a narrow layer.
const BATCH: usize = 256;

/// See [`crate::engine::Engine::importance`].
pub(super) fn importance(
    gpu: &Gpu,
    architecture: &Architecture,
    parameters: &[f32],
    images: &[f32],
) -> Result<Vec<Vec<f64>>> {
    let length = architecture.image_len();
    let widest = Layer::all(architecture).iter().map(|layer| layer.input_len().max(layer.output_len())).max();
    let fit = (gpu.limits().array_bytes() / 4) as usize / widest.unwrap_or(length).max(1);
    let count = images.len() / length;
    let capacity = count.min(BATCH).min(fit).max(1);
    let batches: Vec<&[f32]> = images.chunks(capacity * length).collect();
    let records: Vec<StepRecord> =
        batches.iter().map(|batch| StepRecord::new(0, 0, batch.len() / length, 0, 0.0)).collect();
    let steps = Buffer::from_slice(gpu, "steps", &records)?;
    let parameters = Buffer::from_slice(gpu, "parameters", parameters)?;
    let network = OnDevice::new(Binder { gpu, capacity, steps: &steps, parameters: &parameters }, architecture)?;
    for (step, batch) in (0..).zip(batches) {
        network.images.write(gpu, 0, batch)?;
        network.add(gpu, step, batch.len() / length)?;
    }
    // Of all samples and runs in their order, in double precision.
    let total = |(sums, layer): (&Buffer<f32>, &Layer)| -> Result<Vec<f64>> {
        let mut total = vec![0.0; layer.units()];
        for row in read_back(gpu, sums)?.chunks_exact(layer.units()) {
            total.iter_mut().zip(row).for_each(|(sum, &one)| *sum += f64::from(one));
        }
        Ok(total.into_iter().map(|sum| sum / count as f64).collect())
    };
    network.sums.iter().zip(&Layer::all(architecture)).map(total).collect()
}

/// What all launches are bound to.
#[derive(Clone, Copy)]
struct Binder<'a> {
    gpu: &'a Gpu,
    capacity: usize,
    steps: &'a Buffer<StepRecord>,
    parameters: &'a Buffer<f32>,
}

/// A layer with the arrays around it, each with room for a batch.
struct Around<'a> {
    place: ParameterOffsets,
    input: &'a Buffer<f32>,
    output: &'a Buffer<f32>,
    /// Where its pooling found what it gives.
    argmax: Option<&'a Buffer<u32>>,
    /// Derivatives of a logit by what comes in, and by what goes out, where ReLUs let them pass.
    gradients: [&'a Buffer<f32>; 2],
}

/// A network with a batch of images.
struct OnDevice {
    classes: usize,
    images: Buffer<f32>,
    /// A one for each sample, `classes` apart: read from another place on, they are the derivatives of another logit.
    ones: Buffer<f32>,
    /// Derivatives of a logit by all logits `[sample, class]`.
    of_logits: Buffer<f32>,
    /// Of each layer, see [`ImportanceArguments::sums`].
    sums: Vec<Buffer<f32>>,
    forward: Vec<Bound>,
    /// From the logits to the first layer.
    backward: Vec<Bound>,
}

impl OnDevice {
    fn new(binder: Binder<'_>, architecture: &Architecture) -> Result<Self> {
        let Binder { gpu, capacity, .. } = binder;
        let (layers, layout) = (Layer::all(architecture), ParameterLayout::new(architecture));
        let classes = architecture.classes;
        let array = |len: usize| Buffer::<f32>::new(gpu, "importance", capacity * len);
        let given = |layers: &[Layer]| layers.iter().map(|layer| array(layer.output_len())).collect::<Result<Vec<_>>>();
        let images = array(architecture.image_len())?;
        let (outputs, mut gradients) = (given(&layers)?, given(&layers)?);
        let mut sums = Vec::new();
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        for (index, layer) in layers.iter().enumerate() {
            let [weights, bias] = Layer::tensors(&layout, index).map(|tensor| tensor.offset);
            let argmax = match layer {
                Layer::Convolution(layer) if layer.pool => {
                    Some(Buffer::new(gpu, "argmax", max_pool2d::argmax_len(binder.pool(layer)))?)
                }
                _ => None,
            };
            let before = index.checked_sub(1);
            let around = Around {
                place: ParameterOffsets { parameters: layout.parameters(), weights, bias },
                input: before.map_or(&images, |before| &outputs[before]),
                output: &outputs[index],
                argmax: argmax.as_ref(),
                // Nobody asks for derivatives by the image.
                gradients: [&gradients[before.unwrap_or(0)], &gradients[index]],
            };
            forward.push(binder.forward(layer, &around)?);
            if before.is_some() {
                backward.push(binder.backward(layer, &around)?);
            }
            let shape = binder.derivatives(layer);
            sums.push(Buffer::new(gpu, "sums", shape.sums())?);
            backward.push(binder.squares(shape, &gradients[index], &sums[index])?);
        }
        backward.reverse();
        let mut ones = vec![0.0; capacity * classes + classes - 1];
        ones.iter_mut().skip(classes - 1).step_by(classes).for_each(|one| *one = 1.0);
        let of_logits = gradients.remove(layers.len() - 1);
        Ok(Self { classes, images, ones: Buffer::from_slice(gpu, "ones", &ones)?, of_logits, sums, forward, backward })
    }

    /// Adds what the images of step `step`, which lie there, have to say about all units.
    fn add(&self, gpu: &Gpu, step: u32, samples: usize) -> Result<()> {
        let mut recorder = Recorder::new(gpu, "importance");
        self.forward.iter().try_for_each(|launch| launch.record(&mut recorder, step, samples))?;
        let mut submission = recorder.submit()?;
        for class in 0..self.classes {
            let mut recorder = Recorder::new(gpu, "importance");
            let first = self.classes - 1 - class;
            recorder.copy(&self.ones, first, &self.of_logits, 0, self.of_logits.len())?;
            self.backward.iter().try_for_each(|launch| launch.record(&mut recorder, step, samples))?;
            submission = recorder.submit()?;
        }
        // No queue grows with the number of images.
        submission.wait()
    }
}

impl Binder<'_> {
    fn dense(&self, layer: &DenseLayer) -> dense::Shape {
        dense::Shape { replicas: 1, capacity: self.capacity, inputs: layer.inputs, outputs: layer.outputs }
    }

    fn convolution(&self, layer: &ConvLayer) -> conv2d::Shape {
        let ConvLayer { height, width, inputs, outputs, .. } = *layer;
        conv2d::Shape { replicas: 1, capacity: self.capacity, height, width, inputs, outputs }
    }

    fn pool(&self, layer: &ConvLayer) -> max_pool2d::Shape {
        let ConvLayer { height, width, outputs: channels, .. } = *layer;
        max_pool2d::Shape { replicas: 1, capacity: self.capacity, height, width, channels }
    }

    fn forward(&self, layer: &Layer, around: &Around<'_>) -> Result<Bound> {
        let Self { gpu, steps, parameters, .. } = *self;
        let Around { place, input, output, argmax, .. } = *around;
        let size = gpu.usual_workgroup_size();
        match layer {
            Layer::Dense(layer) => {
                let (shape, relu, input) = (self.dense(layer), layer.relu, dense::Input::Features(input));
                let arguments = dense::ForwardArguments { shape, place, relu, steps, input, parameters, output };
                dense::Forward::new(size).bind(gpu, &arguments)
            }
            Layer::Convolution(layer) => {
                let (shape, input) = (self.convolution(layer), conv2d::Input::Features(input));
                let arguments = conv2d::ForwardArguments { shape, place, steps, input, parameters, output, argmax };
                conv2d::Forward::new(size).bind(gpu, &arguments)
            }
        }
    }

    fn backward(&self, layer: &Layer, around: &Around<'_>) -> Result<Bound> {
        let Self { gpu, steps, parameters, .. } = *self;
        let Around { place, input, argmax, gradients: [input_gradient, output_gradient], .. } = *around;
        let size = gpu.usual_workgroup_size();
        match layer {
            Layer::Dense(layer) => {
                let shape = self.dense(layer);
                let arguments = dense::BackwardInputArguments {
                    shape,
                    place,
                    steps,
                    output_gradient,
                    parameters,
                    input,
                    input_gradient,
                };
                dense::BackwardInput::new(size).bind(gpu, &arguments)
            }
            Layer::Convolution(layer) => {
                let shape = self.convolution(layer);
                let arguments = conv2d::BackwardInputArguments {
                    shape,
                    place,
                    steps,
                    output_gradient,
                    argmax,
                    parameters,
                    input,
                    input_gradient,
                };
                conv2d::BackwardInput::new(size).bind(gpu, &arguments)
            }
        }
    }

    /// Sizes of the derivatives by what a layer gives. What pooling passes on went to one position each, so squares of what
    /// is pooled are those of all positions.
    fn derivatives(&self, layer: &Layer) -> ImportanceShape {
        let [runs, length] = match layer {
            Layer::Dense(_) => [1, 1],
            Layer::Convolution(layer) => [layer.output_height(), layer.output_width()],
        };
        ImportanceShape { capacity: self.capacity, runs, length, units: layer.units() }
    }

    fn squares(&self, shape: ImportanceShape, gradient: &Buffer<f32>, sums: &Buffer<f32>) -> Result<Bound> {
        let Self { gpu, steps, .. } = *self;
        let arguments = ImportanceArguments { shape, steps, gradient, sums };
        Importance::new(gpu, gpu.usual_workgroup_size())?.bind(gpu, &arguments)
    }
}
