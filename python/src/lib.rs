//! The functions that Python calls: arrays in, arrays out, on the library's CPU engine. What users see is `holdfast/_native.pyi`.

mod arrays;
mod axes;
mod command;
mod errors;
mod history;
mod masks;
mod surgeon;
mod work;

use pyo3::prelude::*;

#[pymodule(name = "_native")]
mod native {
    #[pymodule_export]
    use super::command::{main, options_of, run};
    #[pymodule_export]
    use super::history::{envelope, frozen, hold, ranks, settle, stability};
    #[pymodule_export]
    use super::masks::masks;
    #[pymodule_export]
    use super::surgeon::{merge, path, refit};
}
