//! How much units matter to the logits: batches of images forward, and back once for each class. Nothing is read back
//! before the end.

use super::layer::{LayerBinder, argmax_words, place};
use crate::error::Result;
use crate::gpu::{Buffer, Gpu, Recorder, read_back};
use crate::kernels::dense::Input;
use crate::kernels::surgeon::{Importance, ImportanceArguments, ImportanceShape};
use crate::kernels::{Bound, StepRecord};
use crate::network::{Architecture, Layer, ParameterLayout};

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
    let network = OnDevice::new(gpu, architecture, capacity, &steps, &parameters)?;
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
    fn new(
        gpu: &Gpu,
        architecture: &Architecture,
        capacity: usize,
        steps: &Buffer<StepRecord>,
        parameters: &Buffer<f32>,
    ) -> Result<Self> {
        let (layers, layout) = (Layer::all(architecture), ParameterLayout::new(architecture));
        let classes = architecture.classes;
        let array = |len: usize| Buffer::<f32>::new(gpu, "importance", capacity * len);
        let given = |layers: &[Layer]| layers.iter().map(|layer| array(layer.output_len())).collect::<Result<Vec<_>>>();
        let images = array(architecture.image_len())?;
        let (outputs, mut gradients) = (given(&layers)?, given(&layers)?);
        let mut sums = Vec::new();
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        for (index, layer) in layers.iter().enumerate() {
            let argmax = argmax_words(layer, capacity).map(|words| Buffer::new(gpu, "argmax", words)).transpose()?;
            let before = index.checked_sub(1);
            let input = before.map_or(&images, |before| &outputs[before]);
            let bound = LayerBinder {
                gpu,
                workgroup_size: gpu.usual_workgroup_size(),
                replicas: 1,
                capacity,
                steps,
                parameters,
                layer: *layer,
                place: place(&layout, index),
                input: Input::Features(input),
                argmax: argmax.as_ref(),
            };
            forward.push(bound.forward(&outputs[index])?);
            // Nobody asks for derivatives by the image.
            if let Some(before) = before {
                backward.push(bound.backward_input(&gradients[index], input, &gradients[before])?);
            }
            let shape = derivatives(layer, capacity);
            sums.push(Buffer::new(gpu, "sums", shape.sums())?);
            let arguments = ImportanceArguments { shape, steps, gradient: &gradients[index], sums: &sums[index] };
            backward.push(Importance::new(gpu, gpu.usual_workgroup_size())?.bind(gpu, &arguments)?);
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

/// Sizes of the derivatives by what a layer gives. What pooling passes on went to one position each, so squares of what
/// is pooled are those of all positions.
fn derivatives(layer: &Layer, capacity: usize) -> ImportanceShape {
    let [runs, length] = match layer {
        Layer::Dense(_) => [1, 1],
        Layer::Convolution(layer) => [layer.output_height(), layer.output_width()],
    };
    ImportanceShape { capacity, runs, length, units: layer.units() }
}
