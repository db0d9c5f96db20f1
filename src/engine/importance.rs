//! How much units matter to the logits, on the host.

use super::surgeon::BLOCK;
use crate::cpu::fast::layers::{Importance, PaddedParameters};
use crate::network::{Architecture, Layer, ParameterLayout};
use rayon::prelude::*;

/// See [`super::Engine::importance`]; on the threads of the pool that it is called from.
pub(super) fn on_host(architecture: &Architecture, parameters: &[f32], images: &[f32]) -> Vec<Vec<f64>> {
    let (length, layout) = (architecture.image_len(), ParameterLayout::new(architecture));
    let padded = |(index, layer): (usize, Layer)| {
        let [weights, bias] = Layer::tensors(&layout, index).map(|tensor| &parameters[tensor.range()]);
        PaddedParameters::new(layer, weights, bias)
    };
    let importance = Importance::new(Layer::all(architecture).into_iter().enumerate().map(padded).collect());
    let parts: Vec<_> = images.par_chunks(BLOCK * length).map(|images| importance.of(images)).collect();
    let count = (images.len() / length) as f64;
    // Blocks are added in their order, whatever the number of threads.
    let mut sums: Vec<Vec<f64>> = Layer::all(architecture).iter().map(|layer| vec![0.0; layer.units()]).collect();
    for part in parts {
        for (sums, part) in sums.iter_mut().zip(part) {
            sums.iter_mut().zip(part).for_each(|(sum, one)| *sum += f64::from(one) / count);
        }
    }
    sums
}
