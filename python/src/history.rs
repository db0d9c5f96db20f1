//! What a history says of each weight: how long it held still, how far it moved, its rank.

use crate::arrays::{Floats, Level, OneOrMore, floats, made};
use crate::axes::{Arranged, Names, Replicas, arrange};
use crate::work::{Job, run};
use holdfast::engine::{Engine, Envelope, HistoryShape, Watch};
use holdfast::error::Result;
use holdfast::stability::envelope::{FROZEN_WINDOW, headline_window, settling_tolerance, windows};
use holdfast::stability::{Reading, Stability, check_array};
use numpy::PyArrayDyn;
use pyo3::prelude::*;
use std::sync::Arc;

/// A history of which each weight is for itself: epochs first, all other axes are weights.
struct History<'py> {
    numbers: Floats<'py>,
}

impl<'py> History<'py> {
    fn read(value: &Bound<'py, PyAny>, axes: Option<Names>) -> PyResult<Self> {
        let Arranged { array, .. } = arrange("history", value, axes, Replicas::Alike)?;
        Ok(Self { numbers: floats("history", &array, Level::Caller)? })
    }

    /// Axes of the weights.
    fn weights(&self) -> &[usize] {
        &self.numbers.shape()[1..]
    }

    fn shape(&self) -> HistoryShape {
        HistoryShape { epochs: self.numbers.shape()[0], replicas: 1, weight_count: self.weights().iter().product() }
    }

    /// Extremes over the last epochs of a window, which is half of the epochs if none is given.
    fn envelope(&self, py: Python<'_>, window: Option<u32>) -> PyResult<Envelope> {
        let (shape, values) = (self.shape(), self.numbers.values());
        run(py, None, move |job| {
            let window = window.unwrap_or_else(|| headline_window(shape.epochs as u32));
            let windows = windows(Some(&[window]), shape.epochs as u32)?;
            job.watched(|watch| check_array(shape, values, watch))?;
            engine(job)?.envelope(shape, values, &windows)
        })
    }
}

/// The CPU engine, which ends what it does to a history when the job is to stop.
pub(crate) fn engine(job: &Job) -> Result<Engine> {
    let mut engine = Engine::cpu(None)?;
    engine.stop_by(Arc::clone(&job.stop));
    Ok(engine)
}

/// Magnitude stability: for how many last epochs each weight stayed within a share of its last magnitude.
///
/// `history` is `[epoch, ...]`, and the result, uint32, has the shape of one epoch; a list of tolerances gives it an axis in
/// front. Each weight is for itself, so that replicas need not be told from weights; `axes`, such as "in,out,epoch", says where
/// the epochs are if they are not first. `progress` is called with numbers of weights. Definition: Riedel & Segev (2023),
/// section 3.
///
/// Raises UsageError for an impossible tolerance, DataError if a weight is not finite or the history is empty.
#[pyfunction]
#[pyo3(signature = (history, tolerance=OneOrMore::One(0.03), *, axes=None, progress=None))]
#[pyo3(text_signature = "(history, tolerance=0.03, *, axes=None, progress=None)")]
pub(crate) fn stability<'py>(
    py: Python<'py>,
    history: &Bound<'py, PyAny>,
    tolerance: OneOrMore,
    axes: Option<Names>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyArrayDyn<u32>>> {
    let history = History::read(history, axes)?;
    let (shape, values) = (history.shape(), history.numbers.values());
    let tolerances = tolerance.all();
    let counts = run(py, progress, move |job| {
        let mut engine = engine(job)?;
        let count =
            |watch: &Watch<'_>| Stability::of_array(&mut engine, shape, values, tolerances, Reading::default(), watch);
        let stability = job.watched(count)?;
        job.advance(shape.columns() as u64);
        Ok(stability.counts.stability)
    })?;
    made(py, &tolerance.shape(history.weights()), counts)
}

/// Settling tolerance: the smallest share of its last magnitude that each weight stayed within over a window of last epochs.
///
/// `window` is half of the epochs if not given. The result, float64, has the shape of one epoch: 0 where nothing moved, infinity
/// where a weight moved and ended at 0. Raises as `stability` does, and UsageError for a window longer than the history.
#[pyfunction]
#[pyo3(signature = (history, window=None, *, axes=None))]
pub(crate) fn settle<'py>(
    py: Python<'py>,
    history: &Bound<'py, PyAny>,
    window: Option<u32>,
    axes: Option<Names>,
) -> PyResult<Bound<'py, PyArrayDyn<f64>>> {
    let history = History::read(history, axes)?;
    let Envelope { minimum, maximum, .. } = history.envelope(py, window)?;
    let values = history.numbers.values();
    let last = &values[values.len() - minimum.len()..];
    let extremes = minimum.iter().zip(&maximum);
    let tolerances =
        last.iter().zip(extremes).map(|(&last, (&minimum, &maximum))| settling_tolerance(last, minimum, maximum));
    made(py, history.weights(), tolerances.collect())
}

/// Holding magnitude: the smallest magnitude of each weight over a window of last epochs.
///
/// `window` is half of the epochs if not given. The result, float32, has the shape of one epoch. Raises as `settle` does.
#[pyfunction]
#[pyo3(signature = (history, window=None, *, axes=None))]
pub(crate) fn hold<'py>(
    py: Python<'py>,
    history: &Bound<'py, PyAny>,
    window: Option<u32>,
    axes: Option<Names>,
) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
    let history = History::read(history, axes)?;
    let envelope = history.envelope(py, window)?;
    made(py, history.weights(), envelope.smallest_magnitude)
}

/// Smallest value, largest value and smallest magnitude of each weight over a window of last epochs.
///
/// `window` is half of the epochs if not given. Three arrays of float32, of the shape of one epoch. Raises as `settle` does.
#[pyfunction]
#[pyo3(signature = (history, window=None, *, axes=None))]
pub(crate) fn envelope<'py>(
    py: Python<'py>,
    history: &Bound<'py, PyAny>,
    window: Option<u32>,
    axes: Option<Names>,
) -> PyResult<Extremes<'py>> {
    let history = History::read(history, axes)?;
    let Envelope { minimum, maximum, smallest_magnitude } = history.envelope(py, window)?;
    let arranged = |values| made(py, history.weights(), values);
    Ok((arranged(minimum)?, arranged(maximum)?, arranged(smallest_magnitude)?))
}

/// Minimum, maximum and smallest magnitude.
type Extremes<'py> = (Bound<'py, PyArrayDyn<f32>>, Bound<'py, PyArrayDyn<f32>>, Bound<'py, PyArrayDyn<f32>>);

/// Whether each weight stood still to the bit over a window of last epochs.
///
/// `window` is 20 epochs, or all if there are fewer, if not given. The command's settle and hold let these go first:
/// `masks(hold(history), 0.9, before=frozen(history))`. Raises as `settle` does.
#[pyfunction]
#[pyo3(signature = (history, window=None, *, axes=None))]
pub(crate) fn frozen<'py>(
    py: Python<'py>,
    history: &Bound<'py, PyAny>,
    window: Option<u32>,
    axes: Option<Names>,
) -> PyResult<Bound<'py, PyArrayDyn<bool>>> {
    let history = History::read(history, axes)?;
    let window = window.unwrap_or_else(|| FROZEN_WINDOW.min(history.shape().epochs as u32));
    let Envelope { minimum, maximum, .. } = history.envelope(py, Some(window))?;
    made(py, history.weights(), minimum.iter().zip(&maximum).map(|(minimum, maximum)| minimum == maximum).collect())
}

/// Rank of each weight among those of its epoch and network, by descending magnitude, ties by the lower index; from 0.
///
/// The result, uint32, has the shape of `history`. With three axes or more it matters whether the second one counts networks:
/// `axes` says so, such as "epoch,replica,weight" or "epoch,out,in". `progress` is called with numbers of weights.
///
/// Raises UsageError where the axes can be read in two ways, and as `stability` does.
#[pyfunction]
#[pyo3(signature = (history, axes=None, *, progress=None))]
pub(crate) fn ranks<'py>(
    py: Python<'py>,
    history: &Bound<'py, PyAny>,
    axes: Option<Names>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let Arranged { array, order, leading } = arrange("history", history, axes, Replicas::Apart)?;
    let numbers = floats("history", &array, Level::Caller)?;
    let sizes = numbers.shape();
    let shape = HistoryShape {
        epochs: sizes[0],
        replicas: sizes[1..leading].iter().product(),
        weight_count: sizes[leading..].iter().product(),
    };
    let values = numbers.values();
    let ranks = run(py, progress, move |job| {
        job.watched(|watch| check_array(shape, values, watch))?;
        let mut engine = engine(job)?;
        let mut ranks = Vec::with_capacity(values.len());
        // As many epochs at a time as take a moment.
        let group = (WEIGHTS_AT_ONCE / shape.columns()).max(1) * shape.columns();
        for part in values.chunks(group) {
            let found = engine.rank(HistoryShape { epochs: part.len() / shape.columns(), ..shape }, part)?;
            for found in found.chunks(WEIGHTS_AT_ONCE) {
                job.watched(|watch| watch.check())?;
                ranks.extend_from_slice(found);
            }
            job.advance(part.len() as u64);
        }
        Ok(ranks)
    })?;
    let ranks = made(py, sizes, ranks)?.into_any();
    let Some(order) = order else { return Ok(ranks) };
    let mut back = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, &axis)| back[axis] = place);
    ranks.call_method1("transpose", (back,))
}

/// Weights that are ranked before progress is told.
const WEIGHTS_AT_ONCE: usize = 1 << 22;
