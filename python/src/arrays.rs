//! Arrays of Python: read where they lie if they are `float32` in C order, and copied, which is said, if they are not.

use crate::errors::usage;
use numpy::prelude::*;
use numpy::{Element, IxDyn, PyArray1, PyArrayDescr, PyArrayDyn, PyReadonlyArrayDyn};
use pyo3::exceptions::{PyTypeError, PyUserWarning};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ffi::CString;

/// Numbers of an array in C order.
pub(crate) struct Numbers<'py, T: Element> {
    array: PyReadonlyArrayDyn<'py, T>,
}

/// Numbers of an array in single precision.
pub(crate) type Floats<'py> = Numbers<'py, f32>;

impl<T: Element> Numbers<'_, T> {
    /// Sizes of the axes.
    pub(crate) fn shape(&self) -> &[usize] {
        self.array.shape()
    }

    /// The numbers, where they lie.
    pub(crate) fn values(&self) -> &[T] {
        // Arrays are taken, or made, in C order.
        self.array.as_slice().unwrap_or_default()
    }
}

/// Where a warning points to: the caller of the function, or the caller of the Python function above it.
#[derive(Clone, Copy)]
pub(crate) enum Level {
    Caller = 1,
    Above = 2,
}

/// Reads an array of numbers as single precision; `name` is its name in messages.
///
/// Raises `UsageError` if it is no array of numbers. Warns with `CopyWarning` if it must be copied.
pub(crate) fn floats<'py>(name: &str, value: &Bound<'py, PyAny>, level: Level) -> PyResult<Floats<'py>> {
    numbers(name, value, level)
}

/// Reads an array of numbers as double precision.
///
/// Raises and warns as [`floats`] does.
pub(crate) fn doubles<'py>(name: &str, value: &Bound<'py, PyAny>, level: Level) -> PyResult<Numbers<'py, f64>> {
    numbers(name, value, level)
}

/// `value` as an array of NumPy, if it is not one.
///
/// Raises `UsageError` if NumPy makes none of it, and for masked arrays.
pub(crate) fn array<'py>(name: &str, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    let numpy = py.import("numpy")?;
    if value.hasattr("mask")? && value.is_instance(&numpy.getattr("ma")?.getattr("MaskedArray")?)? {
        return Err(usage(py, &format!("{name} is a masked array, whose gaps would be lost; fill them first")));
    }
    numpy
        .call_method1("asarray", (value,))
        .map_err(|error| usage(py, &format!("{name} is no array of numbers: {}; give a NumPy array", error.value(py))))
}

/// The name of an array's number type, such as `float64`.
pub(crate) fn type_name(array: &Bound<'_, PyAny>) -> PyResult<String> {
    array.getattr("dtype")?.getattr("name")?.extract()
}

fn numbers<'py, T: Element>(name: &str, value: &Bound<'py, PyAny>, level: Level) -> PyResult<Numbers<'py, T>> {
    let py = value.py();
    let given = array(name, value)?;
    if let Some(array) = in_place(&given)? {
        return Ok(Numbers { array });
    }
    let dtype = given.getattr("dtype")?;
    let found = type_name(&given)?;
    let kind: String = dtype.getattr("kind")?.extract()?;
    let is_number =
        matches!(kind.as_str(), "f" | "i" | "u") || found.starts_with("bfloat") || found.starts_with("float");
    if !is_number {
        return Err(usage(py, &format!("{name} holds {found}, where numbers are needed; give float32")));
    }
    let wanted = T::get_dtype(py);
    let numpy = py.import("numpy")?;
    let quiet = PyDict::new(py);
    quiet.set_item("over", "ignore")?;
    quiet.set_item("under", "ignore")?;
    let silence = numpy.call_method("errstate", (), Some(&quiet))?;
    silence.call_method0("__enter__")?;
    let order = PyDict::new(py);
    order.set_item("dtype", &wanted)?;
    order.set_item("order", "C")?;
    order.set_item("copy", true)?;
    let copy = numpy.call_method("array", (&given,), Some(&order));
    silence.call_method1("__exit__", (py.None(), py.None(), py.None()))?;
    let copy = copy?;
    let changed = changed(&numpy, &given, &copy)?;
    // Nothing is lost in a wider copy, nor to an object that has no type of its own, such as a list.
    let is_told = is_single(&wanted)? && value.hasattr("dtype")?;
    if is_told || changed > 0 {
        let what = what_is_done(&given, &found, &type_name(&copy)?, changed)?;
        warn(py, &format!("{name} {what}"), level)?;
    }
    match in_place(&copy)? {
        Some(array) => Ok(Numbers { array }),
        None => Err(usage(py, &format!("{name} cannot be read; give a NumPy array of float32"))),
    }
}

/// The array itself, if its numbers can be read where they lie.
fn in_place<'py, T: Element>(array: &Bound<'py, PyAny>) -> PyResult<Option<PyReadonlyArrayDyn<'py, T>>> {
    let Ok(array) = array.cast::<PyArrayDyn<T>>() else { return Ok(None) };
    let is_aligned: bool = array.getattr("flags")?.getattr("aligned")?.extract()?;
    Ok((array.is_c_contiguous() && is_aligned).then(|| array.readonly()))
}

/// Whether a number type is that of single precision.
fn is_single(dtype: &Bound<'_, PyArrayDescr>) -> PyResult<bool> {
    Ok(dtype.getattr("itemsize")?.extract::<usize>()? == size_of::<f32>())
}

/// How many numbers a copy has changed.
fn changed(numpy: &Bound<'_, PyModule>, given: &Bound<'_, PyAny>, copy: &Bound<'_, PyAny>) -> PyResult<usize> {
    let differs = copy.call_method1("__ne__", (given,))?;
    // Of what is not a number nothing is lost.
    let is_number = given.call_method1("__eq__", (given,))?;
    numpy.call_method1("count_nonzero", (numpy.call_method1("logical_and", (differs, is_number))?,))?.extract()
}

/// Says what a copy is made for.
fn what_is_done(given: &Bound<'_, PyAny>, from: &str, to: &str, changed: usize) -> PyResult<String> {
    let size: usize = given.getattr("size")?.extract()?;
    if from == to {
        let is_native: bool = given.getattr("dtype")?.getattr("isnative")?.extract()?;
        let why = if is_native { "it is not in C order" } else { "its bytes are in the other order" };
        return Ok(format!("is copied: {why}"));
    }
    let bytes: usize = given.getattr("dtype")?.getattr("itemsize")?.extract()?;
    let widened = to == "float64" && bytes < 8 || bytes < 4;
    let direction = if widened { "widened" } else { "narrowed" };
    let kept = match changed {
        0 => "every number stays the same".into(),
        _ => format!("{changed} of {size} numbers are rounded"),
    };
    Ok(format!("is {direction} from {from} to {to}, in a copy: {kept}"))
}

fn warn(py: Python<'_>, message: &str, level: Level) -> PyResult<()> {
    let category = py.import("holdfast._errors")?.getattr("CopyWarning")?;
    let message = CString::new(message).map_err(|error| PyUserWarning::new_err(error.to_string()))?;
    PyErr::warn(py, &category, &message, level as i32)
}

/// Reads an array of truth values; numbers that are all 0 or 1 are some too, as masks of PyTorch are.
///
/// Raises `UsageError` if it is none.
pub(crate) fn booleans(name: &str, value: &Bound<'_, PyAny>) -> PyResult<(Vec<usize>, Vec<bool>)> {
    let py = value.py();
    let given = array(name, value)?;
    let numpy = py.import("numpy")?;
    let is_set = given.call_method1("__ne__", (0,))?;
    if type_name(&given)? != "bool" {
        let is_one = given.call_method1("__eq__", (1,))?;
        let differs: usize =
            numpy.call_method1("count_nonzero", (numpy.call_method1("not_equal", (&is_set, is_one))?,))?.extract()?;
        if differs > 0 {
            return Err(usage(py, &format!("{name} holds other values than true and false; give an array of bool")));
        }
    }
    let bytes = numpy.call_method1("ascontiguousarray", (&is_set, "uint8"))?;
    let shape: Vec<usize> = is_set.getattr("shape")?.extract()?;
    let bytes = bytes.cast::<PyArrayDyn<u8>>()?.readonly();
    Ok((shape, bytes.as_slice()?.iter().map(|&byte| byte != 0).collect()))
}

/// A list or a single number of Python.
pub(crate) enum OneOrMore {
    One(f64),
    More(Vec<f64>),
}

impl<'py> FromPyObject<'_, 'py> for OneOrMore {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        // An array of one number would be a number too.
        let is_list = value.getattr("ndim").and_then(|axes| axes.extract::<usize>()).is_ok_and(|axes| axes > 0);
        if !is_list && let Ok(one) = value.extract() {
            return Ok(Self::One(one));
        }
        let refused = |_| PyTypeError::new_err("a number or a list of numbers is needed");
        let items = value.try_iter().map_err(refused)?;
        Ok(Self::More(items.map(|item| item?.extract::<f64>().map_err(refused)).collect::<PyResult<_>>()?))
    }
}

impl OneOrMore {
    /// All of them.
    pub(crate) fn all(&self) -> &[f64] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(all) => all,
        }
    }

    /// The shape of results of `shape`: with an axis more in front if there is a list.
    pub(crate) fn shape(&self, shape: &[usize]) -> Vec<usize> {
        match self {
            Self::One(_) => shape.to_vec(),
            Self::More(all) => [&[all.len()], shape].concat(),
        }
    }
}

/// An array of these numbers and this shape.
pub(crate) fn made<'py, T: Element>(
    py: Python<'py>,
    shape: &[usize],
    values: Vec<T>,
) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    PyArray1::from_vec(py, values).reshape(IxDyn(shape))
}
