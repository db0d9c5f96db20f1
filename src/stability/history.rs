//! The weights of a selection after each epoch: one array, read through views.

use crate::engine::{HistoryShape, Watch};
use crate::error::{Error, Result};
use crate::network::{Part, Selection};
use crate::run_folder::arrays::{self, NamedArray, Values};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Weights `[epoch, replica, weight_index]` of some tensors, written once and shared: a clone copies no weight. The last epoch
/// is the reference.
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
    weights: Arc<Vec<f32>>,
    /// Whose weights they are; empty if nobody said.
    parts: Arc<[Part]>,
}

impl History {
    /// Checks that the array has the shape, that no axis is empty, and that every weight is finite.
    ///
    /// Fails with [`Error::Data`].
    pub fn new(shape: HistoryShape, weights: Vec<f32>) -> Result<Self> {
        check_array(shape, &weights, &Watch { stop: &AtomicBool::new(false), progress: &|_| {} })?;
        Ok(Self::recorded(shape, weights))
    }

    /// The history of as many weights as the shape says, which need not be finite: some of its replicas may have diverged.
    pub(crate) fn recorded(shape: HistoryShape, weights: Vec<f32>) -> Self {
        Self { shape, weights: Arc::new(weights), parts: Arc::default() }
    }

    /// The same, known to be of the weights of a selection.
    pub(crate) fn of_selection(self, selection: &Selection) -> Self {
        assert_eq!(selection.weights(), self.shape.weight_count, "weights of the selection");
        Self { parts: selection.parts().into(), ..self }
    }

    /// The tensors whose weights these are, one after the other; none if that is not known.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The history of the weights of `selection` alone: a copy, unless these are all.
    ///
    /// Fails with [`Error::Data`] if one of its tensors was not recorded.
    ///
    /// ```
    /// use holdfast::engine::HistoryShape;
    /// use holdfast::stability::History;
    /// # use holdfast::network::{Architecture, Selection};
    /// # let architecture = Architecture::dnn(1, 1, [1; 2], 2);
    ///
    /// let shape = HistoryShape { epochs: 1, replicas: 1, weight_count: 4 };
    /// let history = History::new(shape, vec![0.5, 0.1, 0.5, 0.2])?;
    /// // Nobody said whose weights these are.
    /// assert!(history.selected(&Selection::focus(&architecture)).is_err());
    /// # Ok::<(), holdfast::error::Error>(())
    /// ```
    pub fn selected(&self, selection: &Selection) -> Result<Self> {
        if *self.parts == *selection.parts() {
            return Ok(self.clone());
        }
        let mut places = Vec::new();
        for part in selection.parts() {
            let Some(own) = self.parts.iter().find(|own| (&own.name, &own.range) == (&part.name, &part.range)) else {
                let names: Vec<&str> = self.parts.iter().map(|part| part.name.as_str()).collect();
                return Err(Error::Data(format!(
                    "the history has no {}; it was recorded of {}",
                    part.name,
                    if names.is_empty() { "weights without names".into() } else { names.join(", ") }
                )));
            };
            places.push(own.start..own.start + own.weights());
        }
        let rows = self.weights.chunks_exact(self.shape.weight_count.max(1));
        let weights = rows.flat_map(|row| places.iter().flat_map(move |place| &row[place.clone()])).copied().collect();
        let shape = HistoryShape { weight_count: selection.weights(), ..self.shape };
        Ok(Self::recorded(shape, weights).of_selection(selection))
    }

    /// Fails with [`Error::Data`] if a weight is not finite in this epoch or a later one, counted from 0.
    pub(crate) fn check_finite(&self, epoch: usize) -> Result<()> {
        check_finite(self.shape, &self.weights, epoch)
    }

    /// Replicas side by side, up to the first that ends: without a copy where they are all of one history in their order.
    pub(crate) fn of(replicas: &[ReplicaHistory]) -> Self {
        let is_place = |(place, one): (usize, &ReplicaHistory)| {
            one.replica == place && Arc::ptr_eq(&one.history.weights, &replicas[0].history.weights)
        };
        let shape = ReplicaHistory::shape(replicas);
        match replicas.first() {
            Some(first) if first.history.shape == shape && replicas.iter().enumerate().all(is_place) => {
                first.history.clone()
            }
            Some(first) => {
                let weights = ReplicaHistory::rows_of(replicas).flatten().copied().collect();
                Self { parts: Arc::clone(&first.history.parts), ..Self::recorded(shape, weights) }
            }
            None => Self::recorded(shape, Vec::new()),
        }
    }

    /// One replica, up to so many epochs.
    pub(crate) fn replica(&self, replica: usize, epochs: usize) -> ReplicaHistory {
        ReplicaHistory { history: self.clone(), replica, epochs: epochs.min(self.shape.epochs) }
    }

    /// The weights themselves, without a copy if nobody else has this history.
    pub(crate) fn into_weights(self) -> Vec<f32> {
        Arc::unwrap_or_clone(self.weights)
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

/// The first epochs of one replica of a history, `[epoch, weight_index]`: a view.
#[derive(Clone, Debug)]
pub struct ReplicaHistory {
    history: History,
    replica: usize,
    epochs: usize,
}

impl ReplicaHistory {
    /// The weights of each epoch.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        (0..self.epochs).map(|epoch| self.row(epoch))
    }

    fn row(&self, epoch: usize) -> &[f32] {
        let shape = self.history.shape;
        &self.history.weights[epoch * shape.columns() + self.replica * shape.weight_count..][..shape.weight_count]
    }

    /// Sizes of these replicas side by side.
    fn shape(replicas: &[Self]) -> HistoryShape {
        HistoryShape {
            epochs: replicas.iter().map(|one| one.epochs).min().unwrap_or(0),
            replicas: replicas.len(),
            weight_count: replicas.first().map_or(0, |one| one.history.shape.weight_count),
        }
    }

    /// The weights of each epoch of each replica.
    fn rows_of(replicas: &[Self]) -> impl Iterator<Item = &[f32]> {
        (0..Self::shape(replicas).epochs).flat_map(|epoch| replicas.iter().map(move |one| one.row(epoch)))
    }

    /// Writes replicas to a `.npz` file, up to the first that ends: an array `[epoch, replica, ...]` for each of `tensors`, given by
    /// name and shape in the order in which their weights are recorded.
    ///
    /// Fails with [`Error::Io`] if it cannot be written.
    pub fn write(path: &Path, replicas: &[Self], tensors: &[(&str, &[usize])]) -> Result<()> {
        let HistoryShape { epochs, replicas: count, .. } = Self::shape(replicas);
        let shapes: Vec<Vec<usize>> = tensors.iter().map(|(_, shape)| [&[epochs, count], *shape].concat()).collect();
        let mut start = 0;
        let mut arrays = Vec::with_capacity(tensors.len());
        for ((name, own), shape) in tensors.iter().zip(&shapes) {
            let range = start..start + own.iter().product::<usize>();
            start = range.end;
            let values = Values::Parts(Self::rows_of(replicas).map(|row| &row[range.clone()]).collect());
            arrays.push(NamedArray { name, shape, values });
        }
        arrays::write(path, &arrays)
    }
}

/// What is said of a weight that is not finite.
/// Weights that are looked at before anybody asks whether to stop.
const LOOKED_AT: usize = 1 << 20;

/// Fails with [`Error::Data`] unless an array `[epoch, replica, weight_index]` is a history: not empty, as long as `shape` says,
/// and finite; and with [`Error::Interrupted`] where a stop was asked for.
pub fn check_array(shape: HistoryShape, weights: &[f32], watch: &Watch<'_>) -> Result<()> {
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
    for part in weights.chunks(LOOKED_AT) {
        watch.check()?;
        if !part.iter().fold(true, |all, weight| all & weight.is_finite()) {
            return check_finite(shape, weights, 0);
        }
    }
    Ok(())
}

/// Fails with [`Error::Data`] if a weight from an epoch on is not finite.
fn check_finite(shape: HistoryShape, weights: &[f32], epoch: usize) -> Result<()> {
    let first = epoch * shape.columns();
    let Some(place) = weights[first..].iter().position(|weight| !weight.is_finite()) else { return Ok(()) };
    let (index, columns) = (first + place, shape.columns());
    let (replica, weight_index) = (index % columns / shape.weight_count, index % shape.weight_count);
    Err(Error::Data(not_finite(weights[index], index / columns, replica, weight_index)))
}

pub(super) fn not_finite(weight: f32, epoch: usize, replica: usize, weight_index: usize) -> String {
    format!(
        "the history holds {weight} at epoch {epoch}, replica {replica}, weight {weight_index} (counted from 0); a weight that is \
         not finite has no magnitude to follow, leave that replica out or record again"
    )
}

impl PartialEq for ReplicaHistory {
    fn eq(&self, other: &Self) -> bool {
        self.rows().eq(other.rows())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Architecture;

    #[test]
    fn an_empty_history_is_refused_and_a_weight_that_is_not_finite_is_named_by_its_place() {
        let shape = HistoryShape { epochs: 2, replicas: 3, weight_count: 4 };
        let mut weights = vec![0.5; 24];
        weights[12 + 4 + 2] = f32::NAN;
        let message = History::new(shape, weights.clone()).unwrap_err().to_string();
        assert!(message.contains("NaN at epoch 1, replica 1, weight 2"), "{message}");
        let recorded = History::recorded(shape, weights);
        assert_eq!(recorded.check_finite(1).unwrap_err().to_string(), message);
        assert!(recorded.check_finite(2).is_ok());
        assert!(History::new(HistoryShape { epochs: 0, ..shape }, Vec::new()).is_err());
    }

    #[test]
    fn a_history_of_all_layers_gives_that_of_one() {
        let architecture = Architecture::dnn(1, 1, [1; 2], 2);
        // Weights of dense0, dense1 and dense2: one, one and two.
        let all = Selection::all(&architecture);
        let shape = HistoryShape { epochs: 2, replicas: 2, weight_count: 4 };
        let weights: Vec<f32> = (0..16).map(|weight| weight as f32).collect();
        let history = History::new(shape, weights).unwrap().of_selection(&all);
        let focus = Selection::focus(&architecture);
        let of_focus = history.selected(&focus).unwrap();
        assert_eq!(of_focus.weights(), [1.0, 5.0, 9.0, 13.0]);
        assert_eq!((of_focus.shape().weight_count, of_focus.parts()), (1, focus.parts()));
        let two = history.selected(&Selection::named(&architecture, "dense0,dense2").unwrap()).unwrap();
        assert_eq!(two.weights()[..6], [0.0, 2.0, 3.0, 4.0, 6.0, 7.0]);
        assert!(Arc::ptr_eq(&history.selected(&all).unwrap().weights, &history.weights));
        let error = of_focus.selected(&all).unwrap_err().to_string();
        assert!(error.contains("no dense0.weight") && error.contains("of dense1.weight"), "{error}");
        let turned = History::of(&[history.replica(1, 2), history.replica(0, 2)]);
        assert_eq!((turned.parts(), turned.weights()[0]), (all.parts(), 4.0));
    }

    #[test]
    fn replicas_are_views_and_stand_side_by_side_again() {
        let weights: Vec<f32> = (0..12).map(|weight| weight as f32).collect();
        let history = History::new(HistoryShape { epochs: 3, replicas: 2, weight_count: 2 }, weights).unwrap();
        let [first, second] = [0, 1].map(|replica| history.replica(replica, 3));
        assert_eq!(second.rows().collect::<Vec<_>>(), [[2.0, 3.0], [6.0, 7.0], [10.0, 11.0]]);
        assert_eq!(history.replica(0, 2).rows().len(), 2);
        let whole = History::of(&[first.clone(), second.clone()]);
        assert!(Arc::ptr_eq(&whole.weights, &history.weights));
        let turned = History::of(&[second.clone(), first]);
        assert_eq!(turned.weights()[..4], [2.0, 3.0, 0.0, 1.0]);
        assert_eq!(turned.replica(0, 3), second);
        assert!(History::of(&[]).weights().is_empty());
    }
}
