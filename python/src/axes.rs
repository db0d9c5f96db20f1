//! What the axes of a history are: asked only where it matters.

use crate::arrays::array;
use crate::errors::{exception, usage};
use holdfast::stability::import::Axes;
use pyo3::prelude::*;

/// Names of axes as Python gives them: `"epoch,out,in"`, or a list of names.
#[derive(FromPyObject)]
pub(crate) enum Names {
    Text(String),
    List(Vec<String>),
}

/// A history with its epochs first, and where its axes were.
pub(crate) struct Arranged<'py> {
    pub(crate) array: Bound<'py, PyAny>,
    /// Places of the axes in the array that was given; none if they lie as they were.
    pub(crate) order: Option<Vec<usize>>,
    /// Axes that tell weights apart of which each is for itself: epochs, and replicas if there are any.
    pub(crate) leading: usize,
}

/// Whether it matters which axes are replicas.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Replicas {
    /// No: each weight is for itself.
    Alike,
    /// Yes: the weights of each are compared with each other.
    Apart,
}

/// Brings epochs to the front, and replicas behind them where they matter.
///
/// Raises `UsageError` if names do not fit, or if there are none and two readings differ.
pub(crate) fn arrange<'py>(
    name: &str,
    value: &Bound<'py, PyAny>,
    axes: Option<Names>,
    replicas: Replicas,
) -> PyResult<Arranged<'py>> {
    let py = value.py();
    let array = array(name, value)?;
    let shape: Vec<usize> = array.getattr("shape")?.extract()?;
    if shape.is_empty() {
        return Err(usage(py, &format!("{name} is a single number; a history is [epoch, ...]")));
    }
    let as_it_is = |leading: usize| Arranged { array: given(value, &array), order: None, leading };
    let Some(axes) = axes else {
        return match replicas {
            Replicas::Alike => Ok(as_it_is(1)),
            Replicas::Apart if shape.len() < 3 => Ok(as_it_is(1)),
            Replicas::Apart if shape[1] == 1 => Ok(as_it_is(2)),
            Replicas::Apart => Err(two_readings(py, name, &shape)),
        };
    };
    let text = match axes {
        Names::Text(text) => text,
        Names::List(names) => names.join(","),
    };
    let names = match Axes::parse(&text).map_err(|error| exception(py, &error))? {
        Axes::Named(names) => names,
        Axes::Own => return Ok(as_it_is(shape.len().min(3) - 1)),
        _ => return Ok(as_it_is(1)),
    };
    if names.len() != shape.len() {
        return Err(usage(
            py,
            &format!(
                "axes {text} are {} names, but {name} has {} axes, of the sizes {shape:?}; give each axis a name",
                names.len(),
                shape.len()
            ),
        ));
    }
    // `parse` has seen the epoch; without it the first axis would count.
    let epoch = names.iter().position(|name| name == "epoch").unwrap_or(0);
    let replica = names.iter().position(|name| name == "replica").filter(|_| replicas == Replicas::Apart);
    let others = (0..names.len()).filter(|&place| place != epoch && Some(place) != replica);
    let order: Vec<usize> = [epoch].into_iter().chain(replica).chain(others).collect();
    let leading = 1 + usize::from(replica.is_some());
    if order.is_sorted() {
        return Ok(as_it_is(leading));
    }
    let array = array.call_method1("transpose", (order.clone(),))?;
    Ok(Arranged { array, order: Some(order), leading })
}

/// What was given: a list keeps being one, so that nobody is told of a copy that they did not ask for.
fn given<'py>(value: &Bound<'py, PyAny>, array: &Bound<'py, PyAny>) -> Bound<'py, PyAny> {
    if value.hasattr("dtype").unwrap_or(false) { array.clone() } else { value.clone() }
}

/// The refusal of a history that can be read in two ways.
fn two_readings(py: Python<'_>, name: &str, shape: &[usize]) -> PyErr {
    let names = ["out", "in", "k", "l", "m"];
    let of = |count: usize| {
        let own = (0..count).map(|place| names.get(place).map_or_else(|| format!("a{place}"), |name| (*name).into()));
        if count == 1 { "weight".into() } else { own.collect::<Vec<String>>().join(",") }
    };
    let sizes = |sizes: &[usize]| sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
    usage(
        py,
        &format!(
            "{name} of the sizes {shape:?} can be read in two ways: axes=\"epoch,{}\" is {} epochs of one network's {} weights, \
             and axes=\"epoch,replica,{}\" is {} epochs x {} networks of {} weights each; say which",
            of(shape.len() - 1),
            shape[0],
            sizes(&shape[1..]),
            of(shape.len() - 2),
            shape[0],
            shape[1],
            sizes(&shape[2..]),
        ),
    )
}
