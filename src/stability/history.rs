//! The weights of one layer after each epoch.

use crate::engine::HistoryShape;
use crate::error::{Error, Result};

/// Weights `[epoch, replica, weight_index]` of the focus layer; the last epoch is the reference.
///
/// ```
/// use holdfast::engine::{Engine, HistoryShape};
/// use holdfast::stability::{History, Reading, Stability};
///
/// // Three epochs of one replica: the first weight stands still, the second moved before the last epoch.
/// let shape = HistoryShape { epochs: 3, replicas: 1, weight_count: 2 };
/// let history = History::new(shape, vec![0.5, 0.1, 0.5, 0.2, 0.5, 0.9])?;
/// let stability = Stability::count(&mut Engine::cpu(None)?, &history, &[0.03], Reading::default())?;
/// assert_eq!(stability.of_replica(0, &history, 0), [3, 1]);
/// # Ok::<(), holdfast::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    shape: HistoryShape,
    weights: Vec<f32>,
}

impl History {
    /// Checks that the array has the shape, that no axis is empty, and that every weight is finite.
    ///
    /// Fails with [`Error::Data`].
    pub fn new(shape: HistoryShape, weights: Vec<f32>) -> Result<Self> {
        if shape.is_empty() || weights.len() != shape.len() {
            return Err(Error::Data(format!(
                "a history of {} epochs x {} replicas x {} weights needs {} weights, none of the sizes 0; {} were found",
                shape.epochs,
                shape.replicas,
                shape.weight_count,
                shape.len(),
                weights.len()
            )));
        }
        if let Some(index) = weights.iter().position(|weight| !weight.is_finite()) {
            return Err(Error::Data(format!(
                "the history holds {} at epoch {}, replica {}, weight {} (counted from 0); a weight that is not finite has \
                 no magnitude to follow, leave that replica out or record again",
                weights[index],
                index / shape.columns(),
                index % shape.columns() / shape.weight_count,
                index % shape.weight_count
            )));
        }
        Ok(Self { shape, weights })
    }

    /// Sizes of the axes.
    pub fn shape(&self) -> HistoryShape {
        self.shape
    }

    /// All weights `[epoch, replica, weight_index]`.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The last epoch's weights `[replica, weight_index]`.
    pub fn reference(&self) -> &[f32] {
        &self.weights[self.weights.len() - self.shape.columns()..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_that_is_not_finite_is_named_by_its_place() {
        let shape = HistoryShape { epochs: 2, replicas: 3, weight_count: 4 };
        let mut weights = vec![0.5; 24];
        weights[12 + 4 + 2] = f32::NAN;
        let message = History::new(shape, weights).unwrap_err().to_string();
        assert!(message.contains("NaN at epoch 1, replica 1, weight 2"), "{message}");
    }

    #[test]
    fn an_empty_history_is_refused() {
        let shape = HistoryShape { epochs: 0, replicas: 3, weight_count: 4 };
        assert!(History::new(shape, Vec::new()).is_err());
    }
}
