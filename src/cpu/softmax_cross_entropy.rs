//! The loss of a classifier: softmax, then cross-entropy.

use super::Real;

/// What one batch of logits says about the labels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchLoss<T> {
    /// Mean cross-entropy over the batch.
    pub mean: T,
    /// Samples whose largest logit (the first of equals) is at the label.
    pub correct: u32,
}

/// Mean loss and number of correct samples of `logits` `[sample, class]`, and the mean loss's gradient with respect to
/// them: `(softmax(logits) - one_hot(label)) / samples`.
///
/// `loss = ln(sum_c exp(z_c - max)) - (z_label - max)`; the maximum is subtracted so that no exponential overflows.
/// Twin of `shaders/softmax_cross_entropy/loss.wgsl`.
pub fn loss<T: Real>(classes: usize, logits: &[T], labels: &[u8], gradient: &mut [T]) -> BatchLoss<T> {
    let samples = T::of(labels.len() as f64);
    let mut total = T::zero();
    let mut correct = 0;
    for ((logits, &label), gradient) in logits.chunks_exact(classes).zip(labels).zip(gradient.chunks_exact_mut(classes))
    {
        let label = usize::from(label);
        let mut largest = 0;
        for class in 1..classes {
            if logits[class] > logits[largest] {
                largest = class;
            }
        }
        correct += u32::from(largest == label);
        let mut sum = T::zero();
        for (gradient, &logit) in gradient.iter_mut().zip(logits) {
            *gradient = (logit - logits[largest]).exp();
            sum += *gradient;
        }
        total += sum.ln() - (logits[label] - logits[largest]);
        for (class, gradient) in gradient.iter_mut().enumerate() {
            let target = if class == label { T::one() } else { T::zero() };
            *gradient = (*gradient / sum - target) / samples;
        }
    }
    BatchLoss { mean: total / samples, correct }
}
