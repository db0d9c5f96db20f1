//! From scores to masks, of one array or of several in a list or a dictionary.

use crate::arrays::{Floats, Level, Numbers, OneOrMore, array, booleans, doubles, floats, made, type_name};
use crate::errors::{of_class, usage};
use crate::work::run;
use holdfast::pruning::Scope;
use holdfast::pruning::allocation::{Amount, First, TensorScores, allocate_each};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// How several arrays were given.
enum Structure {
    One,
    List,
    Named(Vec<Py<PyAny>>),
}

/// Arrays with their names in messages.
struct Several<'py> {
    structure: Structure,
    arrays: Vec<(String, Bound<'py, PyAny>)>,
}

impl<'py> Several<'py> {
    fn read(name: &str, value: &Bound<'py, PyAny>) -> PyResult<Self> {
        let py = value.py();
        if let Ok(named) = value.cast::<PyDict>() {
            let arrays = named.iter().map(|(key, array)| (format!("{name}[{key:?}]"), array)).collect();
            let keys = named.keys().iter().map(Bound::unbind).collect();
            return Self { structure: Structure::Named(keys), arrays }.filled(py, name);
        }
        let is_sequence = value.is_instance_of::<PyList>() || value.is_instance_of::<pyo3::types::PyTuple>();
        let items: Vec<Bound<'py, PyAny>> =
            if is_sequence { value.try_iter()?.collect::<PyResult<_>>()? } else { Vec::new() };
        // A list of numbers is one array.
        let is_one =
            !is_sequence || items.first().is_some_and(|first| first.extract::<f64>().is_ok() && is_scalar(first));
        if is_one {
            return Ok(Self { structure: Structure::One, arrays: vec![(name.into(), value.clone())] });
        }
        let arrays = (0..).zip(items).map(|(place, array): (usize, _)| (format!("{name}[{place}]"), array)).collect();
        Self { structure: Structure::List, arrays }.filled(py, name)
    }

    fn filled(self, py: Python<'_>, name: &str) -> PyResult<Self> {
        if self.arrays.is_empty() {
            return Err(usage(py, &format!("{name} is empty; give at least one array")));
        }
        Ok(self)
    }

    /// Results of the arrays, in the structure in which they were given.
    fn arranged(&self, py: Python<'py>, results: Vec<Bound<'py, PyAny>>) -> PyResult<Py<PyAny>> {
        match &self.structure {
            Structure::One => Ok(results.into_iter().next().map_or_else(|| py.None(), Bound::unbind)),
            Structure::List => Ok(PyList::new(py, results)?.into_any().unbind()),
            Structure::Named(keys) => {
                let named = PyDict::new(py);
                for (key, result) in keys.iter().zip(results) {
                    named.set_item(key, result)?;
                }
                Ok(named.into_any().unbind())
            }
        }
    }
}

fn is_scalar(value: &Bound<'_, PyAny>) -> bool {
    value.getattr("ndim").and_then(|axes| axes.extract::<usize>()).map_or(true, |axes| axes == 0)
}

/// Scores of all arrays in one precision.
enum Scores<'py> {
    Single(Vec<Floats<'py>>),
    Double(Vec<Numbers<'py, f64>>),
}

impl<'py> Scores<'py> {
    /// In single precision if all have it, or less; a comparison of double precision is exact for all others.
    fn read(py: Python<'py>, several: &Several<'py>) -> PyResult<Self> {
        let mut is_single = true;
        let mut arrays = Vec::new();
        for (name, value) in &several.arrays {
            let array = array(name, value)?;
            is_single &= ["float32", "float16", "bfloat16"].contains(&type_name(&array)?.as_str());
            arrays.push((name, array));
        }
        let not_a_number = |name: &str, place: Option<usize>| match place {
            Some(place) => Err(of_class(
                py,
                "DataError",
                &format!("{name} holds NaN at place {place} of its numbers in order; a score must say what goes first"),
            )),
            None => Ok(()),
        };
        if is_single {
            let read = |(name, array): &(&String, Bound<'py, PyAny>)| {
                let scores = floats(name, array, Level::Caller)?;
                not_a_number(name, scores.values().iter().position(|score| score.is_nan())).map(|()| scores)
            };
            return Ok(Self::Single(arrays.iter().map(read).collect::<PyResult<_>>()?));
        }
        let read = |(name, array): &(&String, Bound<'py, PyAny>)| {
            let scores = doubles(name, array, Level::Caller)?;
            not_a_number(name, scores.values().iter().position(|score| score.is_nan())).map(|()| scores)
        };
        Ok(Self::Double(arrays.iter().map(read).collect::<PyResult<_>>()?))
    }

    fn shapes(&self) -> Vec<Vec<usize>> {
        match self {
            Self::Single(all) => all.iter().map(|scores| scores.shape().to_vec()).collect(),
            Self::Double(all) => all.iter().map(|scores| scores.shape().to_vec()).collect(),
        }
    }
}

/// Which weights stay where a share `sparsity` of them goes, the smallest scores first.
///
/// `scores` is an array, or a list or dictionary of arrays, and so are the masks, bool; a list of sparsities gives a list of
/// these, made together. `scope` is "global" (one threshold for all arrays), "layer" (the same share of each) or "lamp" (one
/// threshold on the square of a score beside those of its array; Lee et al. 2021). The number that goes is rounded, halves away
/// from zero; of equal scores those with a higher index go first; no array loses its last weight unless sparsity is 1.
/// `largest_first` lets the largest scores go first, those of lower index before equal ones: for settling tolerances. `before`,
/// bool of the same structure, are weights that go before all others, such as frozen ones. float64 is compared as such.
///
/// Raises UsageError for an impossible sparsity or scope and where shapes differ, DataError if a score is NaN.
#[pyfunction]
#[pyo3(signature = (scores, sparsity, scope="global", *, largest_first=false, before=None))]
pub(crate) fn masks<'py>(
    py: Python<'py>,
    scores: &Bound<'py, PyAny>,
    sparsity: OneOrMore,
    scope: &str,
    largest_first: bool,
    before: Option<&Bound<'py, PyAny>>,
) -> PyResult<Py<PyAny>> {
    let several = Several::read("scores", scores)?;
    let scope = named_scope(py, scope)?;
    let first = if largest_first { First::Largest } else { First::Smallest };
    let read = Scores::read(py, &several)?;
    let shapes = read.shapes();
    let before_others = before.map(|before| read_before(py, before, &several, &shapes)).transpose()?;
    let amounts: Vec<Amount> = sparsity.all().iter().map(|&share| Amount::Share(share)).collect();
    let going_first = |place: usize| before_others.as_ref().map(|all| all[place].as_slice());
    let chosen = match &read {
        Scores::Single(all) => {
            let tensors: Vec<_> =
                (0..).zip(all).map(|(place, own)| (own.values(), going_first(place))).map(tensor_scores).collect();
            run(py, None, |job| job.watched(|watch| allocate_each(scope, first, &tensors, &amounts, watch)))?
        }
        Scores::Double(all) => {
            let tensors: Vec<_> =
                (0..).zip(all).map(|(place, own)| (own.values(), going_first(place))).map(tensor_scores).collect();
            run(py, None, |job| job.watched(|watch| allocate_each(scope, first, &tensors, &amounts, watch)))?
        }
    };
    let arrays = |masks: Vec<Vec<bool>>| {
        let made = masks.into_iter().zip(&shapes).map(|(mask, shape)| Ok(made(py, shape, mask)?.into_any()));
        several.arranged(py, made.collect::<PyResult<_>>()?)
    };
    let mut results = chosen.into_iter().map(arrays).collect::<PyResult<Vec<_>>>()?;
    match sparsity {
        OneOrMore::One(_) => Ok(results.pop().unwrap_or_else(|| py.None())),
        OneOrMore::More(_) => Ok(PyList::new(py, results)?.into_any().unbind()),
    }
}

fn tensor_scores<'a, S>((scores, before_others): (&'a [S], Option<&'a [bool]>)) -> TensorScores<'a, S> {
    TensorScores { scores, before_others }
}

fn named_scope(py: Python<'_>, name: &str) -> PyResult<Scope> {
    let all = [Scope::Global, Scope::Layer, Scope::Lamp];
    all.into_iter()
        .find(|scope| scope.to_string() == name)
        .ok_or_else(|| usage(py, &format!("scope {name:?} is not known; use global, layer or lamp")))
}

/// Weights that go before all others, of arrays of these shapes.
fn read_before<'py>(
    py: Python<'py>,
    before: &Bound<'py, PyAny>,
    scores: &Several<'py>,
    shapes: &[Vec<usize>],
) -> PyResult<Vec<Vec<bool>>> {
    let several = Several::read("before", before)?;
    if several.arrays.len() != shapes.len() {
        return Err(usage(
            py,
            &format!("before are {} arrays, and scores are {}; give one for each", several.arrays.len(), shapes.len()),
        ));
    }
    let mut all = Vec::with_capacity(shapes.len());
    for (place, ((name, _), shape)) in scores.arrays.iter().zip(shapes).enumerate() {
        // Of dictionaries the keys decide, not their order.
        let own = name.replacen("scores", "before", 1);
        let found = match &several.structure {
            Structure::Named(_) => several.arrays.iter().find(|(other, _)| *other == own),
            _ => several.arrays.get(place),
        };
        let Some((_, value)) = found else {
            return Err(usage(py, &format!("before has nothing for {name}; give it the same keys")));
        };
        let (found, values) = booleans(&own, value)?;
        if found != *shape {
            return Err(usage(
                py,
                &format!("{own} has the sizes {found:?}, and {name} has {shape:?}; they must be the same"),
            ));
        }
        all.push(values);
    }
    Ok(all)
}
