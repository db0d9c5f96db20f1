//! The functions that Python calls: arrays in, arrays out, on the library's CPU engine. What users see is `holdfast/_native.pyi`.

// It is tested from Python. A test program of it would have to be linked with Python, so that one is empty.
#![cfg(not(test))]

mod arrays;
mod axes;
mod command;
mod errors;
mod history;
mod masks;
mod surgeon;
mod work;

use numpy::PyArrayDyn;
use pyo3::prelude::*;

#[pymodule(name = "_native")]
mod native {
    use super::*;

    /// The crate `numpy` looks NumPy up at the first array and panics where Python raises an exception meanwhile, as Ctrl-C does.
    /// So it is looked up here: what `import` raises is an exception of the import.
    #[pymodule_init]
    fn look_up_numpy(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.py().import("numpy")?;
        module.py().get_type::<PyArrayDyn<f32>>();
        Ok(())
    }

    #[pymodule_export]
    use super::command::{main, options_of, run};
    #[pymodule_export]
    use super::history::{envelope, frozen, hold, ranks, settle, stability};
    #[pymodule_export]
    use super::masks::masks;
    #[pymodule_export]
    use super::surgeon::{importance, merge, path, pre_activations, refit};
}
