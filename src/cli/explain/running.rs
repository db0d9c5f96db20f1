//! `holdfast explain --run`: a text of the primer, or the reader's own, and what it writes.

use super::ladder::any_adapter;
use super::nearest_of;
use crate::cli::options::{DeviceOptions, OutputOptions};
use crate::cli::output;
use crate::cli::puzzle::read_text;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::lessons::PRIMER;
use crate::lessons::running::run as run_text;
use serde_json::{Map, json};
use std::path::Path;

/// Numbers of an array that are printed.
const SHOWN: usize = 256;
/// Numbers of a line.
const PER_LINE: usize = 16;

/// The names of the primer's texts, in its order.
pub(in crate::cli) fn names() -> impl Iterator<Item = &'static str> {
    PRIMER.iter().map(|text| text.name.trim_start_matches("lessons/primer/"))
}

/// Runs the text of a file, or of the primer by its name.
pub(super) fn run(name: &str, device: &DeviceOptions, say: &OutputOptions) -> Result<()> {
    let path = Path::new(name);
    let text = match names().zip(PRIMER).find(|(own, _)| *own == name) {
        Some((_, text)) if !path.exists() => text.wgsl.to_string(),
        // A word that is no path is meant as a name.
        None if !path.exists() && !name.contains(['.', '/', '\\']) && name != "-" => {
            let near = nearest_of(name, names().map(|own| (own, own)));
            let near = near.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
            return Err(Error::Usage(format!(
                "there is no file and no text \"{name}\"; {near}name a file, or one of the texts of docs/gpu.md: {}",
                names().collect::<Vec<_>>().join(", ")
            )));
        }
        _ => read_text(path)?,
    };
    let gpu = Gpu::open_for_readers(&any_adapter(device)?)?;
    let arrays = run_text(&gpu, name, &text)?;
    if say.json {
        let arrays: Map<_, _> = arrays.into_iter().map(|array| (array.name, json!(array.numbers))).collect();
        return output::json(&json!(arrays));
    }
    let mut printed = String::new();
    for array in arrays {
        printed += &format!("{}\n", array.name);
        for line in array.numbers[..array.numbers.len().min(SHOWN)].chunks(PER_LINE) {
            printed += &format!("  {}\n", line.join(" "));
        }
        if array.numbers.len() > SHOWN {
            printed += &format!("  .. {} numbers in all; --json prints them\n", array.numbers.len());
        }
    }
    output::result(&printed)
}
