//! The surgeon on one layer, whose arrays are `[row, input]`, `[input, unit]` and `[row, unit]`; its work owns them, so that
//! Ctrl-C need not wait for a large inverse.

use crate::arrays::{Floats, Level, booleans, floats, made};
use crate::errors::usage;
use crate::work::run_owned;
use holdfast::engine::{ActiveRows, Engine, PathStep, Rows, SurgeonLayer};
use holdfast::error::{Error, Result};
use holdfast::network::{Architecture, DenseLayer, Layer, ParameterLayout};
use holdfast::pruning::surgeon::{LayerPaths, holding_ratios, shares_gram};
use numpy::{PyArray1, PyArrayDyn};
use pyo3::prelude::*;

/// What stands in a path behind its last step.
const NONE: u32 = u32::MAX;

/// A layer as Python describes it.
struct OwnLayer {
    inputs: usize,
    units: usize,
    rows: Vec<f32>,
    weights: Vec<f32>,
    bias: Option<Vec<f32>>,
    pre_activations: Option<Vec<f32>>,
    active: Option<Vec<bool>>,
    kept: Option<Vec<bool>>,
    relu: bool,
    inactive_weight: f32,
    ridge: f32,
}

/// Settings of a layer that are no arrays.
#[derive(FromPyObject)]
pub(crate) struct Settings {
    #[pyo3(item)]
    relu: bool,
    #[pyo3(item)]
    inactive_weight: f32,
    #[pyo3(item)]
    ridge: f32,
}

/// Arrays of a layer.
#[derive(FromPyObject)]
pub(crate) struct Arrays<'py> {
    #[pyo3(item)]
    inputs: Bound<'py, PyAny>,
    #[pyo3(item)]
    weights: Bound<'py, PyAny>,
    #[pyo3(item)]
    bias: Option<Bound<'py, PyAny>>,
    #[pyo3(item)]
    pre_activations: Option<Bound<'py, PyAny>>,
    #[pyo3(item)]
    active: Option<Bound<'py, PyAny>>,
}

impl OwnLayer {
    /// Reads the arrays of a layer.
    ///
    /// Raises `UsageError` where their shapes do not fit together.
    fn read(py: Python<'_>, arrays: &Arrays<'_>, settings: &Settings) -> PyResult<Self> {
        let rows = floats("inputs", &arrays.inputs, Level::Above)?;
        let weights = floats("weights", &arrays.weights, Level::Above)?;
        let (&[count, inputs], &[own, units]) = (rows.shape(), weights.shape()) else {
            return Err(usage(
                py,
                &format!(
                    "inputs of the sizes {:?} and weights of {:?} are no layer; give [row, input] and [input, unit]",
                    rows.shape(),
                    weights.shape()
                ),
            ));
        };
        if own != inputs {
            return Err(usage(
                py,
                &format!(
                    "inputs of the sizes [{count}, {inputs}] do not fit weights of [{own}, {units}]: a row has {inputs} inputs, \
                     and a unit {own} weights; weights are [input, unit], so transpose those of PyTorch"
                ),
            ));
        }
        if inputs == 0 || units == 0 {
            return Err(usage(
                py,
                &format!(
                    "weights of the sizes [{inputs}, {units}] are no layer; it has at least one input and one unit"
                ),
            ));
        }
        let fits = |name: &str, found: &[usize], wanted: &[usize]| {
            if found == wanted {
                return Ok(());
            }
            Err(usage(
                py,
                &format!(
                    "{name} has the sizes {found:?}; {count} rows of {inputs} inputs and {units} units need {wanted:?}"
                ),
            ))
        };
        let read = |name: &str, array: &Option<Bound<'_, PyAny>>, wanted: &[usize]| -> PyResult<Option<Vec<f32>>> {
            let Some(array) = array else { return Ok(None) };
            let numbers = floats(name, array, Level::Above)?;
            fits(name, numbers.shape(), wanted)?;
            Ok(Some(numbers.values().to_vec()))
        };
        let active = match &arrays.active {
            None => None,
            Some(array) => {
                let (shape, values) = booleans("active", array)?;
                fits("active", &shape, &[count, units])?;
                Some(values)
            }
        };
        Ok(Self {
            inputs,
            units,
            bias: read("bias", &arrays.bias, &[units])?,
            pre_activations: read("pre_activations", &arrays.pre_activations, &[count, units])?,
            rows: rows.values().to_vec(),
            weights: weights.values().to_vec(),
            active,
            kept: None,
            relu: settings.relu,
            inactive_weight: settings.inactive_weight,
            ridge: settings.ridge,
        })
    }

    /// Hands the layer over as the engine sees it. Pre-activations that were not given are those of all its weights.
    fn with<T>(&self, work: impl FnOnce(&mut Engine, &SurgeonLayer<'_>) -> Result<T>) -> Result<T> {
        let mut engine = Engine::cpu(None)?;
        let computed;
        let pre_activations = match &self.pre_activations {
            Some(given) => given,
            None => {
                computed = self.forward(&engine)?;
                &computed
            }
        };
        let all = vec![true; self.weights.len()];
        let layer = SurgeonLayer {
            rows: Rows::Features { values: &self.rows, inputs: self.inputs },
            units: self.units,
            pre_activations,
            active_rows: match &self.active {
                _ if !self.relu => ActiveRows::Always,
                Some(active) => ActiveRows::Given(active),
                None => ActiveRows::Positive,
            },
            inactive_weight: self.inactive_weight,
            ridge: self.ridge,
            weights: &self.weights,
            bias: self.bias.as_deref(),
            kept: self.kept.as_deref().unwrap_or(&all),
            shares_gram: shares_gram(self.inputs, self.units),
        };
        work(&mut engine, &layer)
    }

    /// What its units give of its rows, before a ReLU.
    fn forward(&self, engine: &Engine) -> Result<Vec<f32>> {
        let layer = Layer::Dense(DenseLayer { inputs: self.inputs, outputs: self.units, relu: self.relu });
        let none = vec![0.0; self.units];
        let bias = self.bias.as_deref().unwrap_or(&none);
        Ok(engine.forward_layer(&layer, &self.weights, bias, &self.rows, None)?.pre_activations)
    }
}

/// Order, scores and costs of a path.
type PathArrays<'py> = (Bound<'py, PyArrayDyn<u32>>, FloatArray<'py>, FloatArray<'py>);
type FloatArray<'py> = Bound<'py, PyArrayDyn<f32>>;

/// The elimination path of each unit, see `holdfast.surgeon.path`.
#[pyfunction]
pub(crate) fn path<'py>(
    py: Python<'py>,
    arrays: Arrays<'py>,
    settings: Settings,
    holding: Option<Bound<'py, PyAny>>,
    ratios: Option<Bound<'py, PyAny>>,
    kept: Option<Bound<'py, PyAny>>,
    progress: Option<Py<PyAny>>,
) -> PyResult<PathArrays<'py>> {
    let mut layer = OwnLayer::read(py, &arrays, &settings)?;
    let (inputs, units) = (layer.inputs, layer.units);
    let fits = |name: &str, shape: &[usize]| {
        if shape == [inputs, units] {
            return Ok(());
        }
        Err(usage(
            py,
            &format!("{name} has the sizes {shape:?}, and weights have [{inputs}, {units}]; they must be the same"),
        ))
    };
    if let Some(kept) = kept {
        let (shape, values) = booleans("kept", &kept)?;
        fits("kept", &shape)?;
        layer.kept = Some(values);
    }
    let mut given = None;
    for (name, array) in [("holding", &holding), ("ratios", &ratios)] {
        let Some(array) = array else { continue };
        let numbers = floats(name, array, Level::Above)?;
        fits(name, numbers.shape())?;
        let wrong = |value: &f32| !(*value >= 0.0 && (name == "holding" && value.is_finite() || *value <= 1.0));
        if let Some(place) = numbers.values().iter().position(wrong) {
            let wanted = if name == "holding" { "a holding magnitude is 0 or more" } else { "a ratio is from 0 to 1" };
            return Err(usage(
                py,
                &format!("{name} has {} at [{}, {}]; {wanted}", numbers.values()[place], place / units, place % units),
            ));
        }
        given = Some(match name {
            "holding" => holding_ratios(numbers.values(), &layer.weights),
            _ => numbers.values().to_vec(),
        });
    }
    let paths = run_owned(py, progress, move |job| {
        layer.with(|engine, layer| job.watched(|watch| engine.paths(layer, None, given.as_deref(), watch)))
    })?;
    let mut order = vec![NONE; inputs * units];
    let [mut score, mut cost] = [(); 2].map(|()| vec![f32::INFINITY; inputs * units]);
    for (unit, steps) in paths.iter().enumerate() {
        for (step, found) in steps.iter().enumerate() {
            let place = step * units + unit;
            (order[place], score[place], cost[place]) = (found.column, found.score, found.cost);
        }
    }
    let shape = [inputs, units];
    Ok((made(py, &shape, order)?, made(py, &shape, score)?, made(py, &shape, cost)?))
}

/// Weights and biases solved anew for cuts `[cut, input, unit]`, see `holdfast.surgeon.refit`.
#[pyfunction]
pub(crate) fn refit<'py>(
    py: Python<'py>,
    arrays: Arrays<'py>,
    settings: Settings,
    kept: Bound<'py, PyAny>,
    progress: Option<Py<PyAny>>,
) -> PyResult<(FloatArray<'py>, Option<FloatArray<'py>>)> {
    let layer = OwnLayer::read(py, &arrays, &settings)?;
    let (inputs, units, has_bias) = (layer.inputs, layer.units, layer.bias.is_some());
    let (shape, kept) = booleans("kept", &kept)?;
    let leading = match shape[..] {
        [cuts, own, of] if [own, of] == [inputs, units] => vec![cuts],
        [own, of] if [own, of] == [inputs, units] => Vec::new(),
        _ => {
            return Err(usage(
                py,
                &format!(
                    "kept has the sizes {shape:?}, and weights have [{inputs}, {units}]; give these, or several cuts \
                     [cut, {inputs}, {units}]"
                ),
            ));
        }
    };
    let refits = run_owned(py, progress, move |job| {
        let cuts: Vec<&[bool]> = kept.chunks_exact((inputs * units).max(1)).collect();
        layer.with(|engine, layer| job.watched(|watch| engine.refit(layer, None, &cuts, watch)))
    })?;
    let weights = refits.iter().flat_map(|refit| &refit.weights).copied().collect();
    let bias = refits.iter().flat_map(|refit| &refit.bias).copied().collect();
    let weights = made(py, &[&leading[..], &[inputs, units]].concat(), weights)?;
    let bias = has_bias.then(|| made(py, &[&leading[..], &[units]].concat(), bias)).transpose()?;
    Ok((weights, bias))
}

/// Layer, unit, input, score and cost of each weight in the order in which they go, and how many go only all together.
type Merged<'py> = (Triple<Bound<'py, PyArray1<u32>>>, (Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>), usize);
type Triple<T> = (T, T, T);

/// One order for the paths of several layers, see `holdfast.surgeon.merge`.
#[pyfunction]
pub(crate) fn merge<'py>(
    py: Python<'py>,
    paths: Vec<[Bound<'py, PyAny>; 3]>,
    importance: Vec<Bound<'py, PyAny>>,
) -> PyResult<Merged<'py>> {
    let mut layers = Vec::with_capacity(paths.len());
    for ([order, score, cost], importance) in paths.iter().zip(&importance) {
        let order = order.extract::<numpy::PyReadonlyArray2<'_, u32>>()?;
        let (score, cost) = (floats("score", score, Level::Above)?, floats("cost", cost, Level::Above)?);
        let importance = crate::arrays::doubles("importance", importance, Level::Above)?;
        let order = order.as_array();
        let (steps, units) = order.dim();
        if importance.shape() != [units] {
            return Err(usage(
                py,
                &format!(
                    "importance has the sizes {:?}, and the layer has {units} units; give [{units}]",
                    importance.shape()
                ),
            ));
        }
        let step = |unit: usize, step: usize| {
            let place = step * units + unit;
            PathStep { column: order[[step, unit]], score: score.values()[place], cost: cost.values()[place] }
        };
        let unit = |unit: usize| (0..steps).map(|at| step(unit, at)).take_while(|step| step.column != NONE).collect();
        layers.push(LayerPaths { units: (0..units).map(unit).collect(), importance: importance.values().to_vec() });
    }
    let (removals, last) = run_owned(py, None, move |_| {
        let order = holdfast::pruning::surgeon::merge(&layers);
        let all = order.cut(0).to_vec();
        if all.len() > u32::MAX as usize {
            return Err(Error::Shape(format!("{} weights are more than can be numbered: 4,294,967,295", all.len())));
        }
        let last = layers.iter().filter(|layer| layer.units.iter().any(|unit| !unit.is_empty())).count();
        Ok((all, last))
    })?;
    let words = |of: fn(&holdfast::pruning::surgeon::Removal) -> usize| {
        PyArray1::from_iter(py, removals.iter().map(|removal| of(removal) as u32))
    };
    let numbers =
        |of: fn(&holdfast::pruning::surgeon::Removal) -> f64| PyArray1::from_iter(py, removals.iter().map(of));
    Ok((
        (words(|removal| removal.layer), words(|removal| removal.unit), words(|removal| removal.input)),
        (numbers(|removal| removal.score), numbers(|removal| removal.cost)),
        last,
    ))
}

/// What the units of a layer give before a ReLU `[row, unit]`, see `holdfast.surgeon.pre_activations`.
#[pyfunction]
pub(crate) fn pre_activations<'py>(
    py: Python<'py>,
    arrays: Arrays<'py>,
    settings: Settings,
) -> PyResult<FloatArray<'py>> {
    let layer = OwnLayer::read(py, &arrays, &settings)?;
    let units = layer.units;
    let values = run_owned(py, None, move |_| layer.forward(&Engine::cpu(None)?))?;
    made(py, &[values.len() / units.max(1), units], values)
}

/// How much the units of each layer of a stack matter to its outputs, see `holdfast.surgeon.importance`.
#[pyfunction]
pub(crate) fn importance<'py>(
    py: Python<'py>,
    inputs: Bound<'py, PyAny>,
    weights: Vec<Bound<'py, PyAny>>,
    biases: Vec<Option<Bound<'py, PyAny>>>,
) -> PyResult<Vec<Bound<'py, PyArray1<f64>>>> {
    let rows = floats("inputs", &inputs, Level::Above)?;
    let features = match *rows.shape() {
        [count, features] if count > 0 && features > 0 => features,
        _ => {
            let found = rows.shape();
            return Err(usage(
                py,
                &format!("inputs have the sizes {found:?}; give [row, input], at least one of each"),
            ));
        }
    };
    let read = |(place, array): (usize, &Bound<'py, PyAny>)| floats(&format!("weights[{place}]"), array, Level::Above);
    let weights: Vec<Floats<'_>> = (0..weights.len()).zip(&weights).map(read).collect::<PyResult<_>>()?;
    let mut widths = vec![features];
    for (place, layer) in weights.iter().enumerate() {
        let before = widths[place];
        match *layer.shape() {
            [own, units] if own == before && units > 0 => widths.push(units),
            _ => {
                return Err(usage(
                    py,
                    &format!(
                        "weights[{place}] has the sizes {:?}, and {before} numbers arrive there; give [{before}, unit]",
                        layer.shape()
                    ),
                ));
            }
        }
    }
    let [_, hidden @ .., outputs] = &widths[..] else {
        return Err(usage(py, "weights are of no layer; give those of each layer, from the inputs to the outputs"));
    };
    let architecture = Architecture::dnn(1, features, hidden, *outputs);
    let layout = ParameterLayout::new(&architecture);
    let mut parameters = vec![0.0; layout.parameters()];
    for (place, layer) in weights.iter().enumerate() {
        parameters[layout.dense_weight(place).range()].copy_from_slice(layer.values());
        let Some(Some(bias)) = biases.get(place) else { continue };
        let bias = floats(&format!("biases[{place}]"), bias, Level::Above)?;
        let units = widths[place + 1];
        if bias.shape() != [units] {
            return Err(usage(py, &format!("biases[{place}] has the sizes {:?}; give [{units}]", bias.shape())));
        }
        parameters[layout.dense_bias(place).range()].copy_from_slice(bias.values());
    }
    let rows = rows.values().to_vec();
    let found = run_owned(py, None, move |_| Engine::cpu(None)?.importance(&architecture, &parameters, &rows))?;
    Ok(found.into_iter().map(|layer| PyArray1::from_vec(py, layer)).collect())
}
