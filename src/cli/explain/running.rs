//! `holdfast explain --run`: a text of the primer, or the reader's own, and what it writes.

use super::ladder::any_adapter;
use crate::cli::options::{DeviceOptions, OutputOptions};
use crate::cli::output;
use crate::cli::puzzle::read_text;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::lessons::PRIMER;
use crate::lessons::running::run as run_text;
use serde_json::{Map, json};
use std::path::Path;

/// Numbers of an array that are printed.
const SHOWN: usize = 256;
/// Numbers of a line.
const PER_LINE: usize = 16;

/// Runs the text of a file, or of the primer by its name.
pub(super) fn run(name: &str, device: &DeviceOptions, say: &OutputOptions) -> Result<()> {
    let own = PRIMER.iter().find(|text| text.name.trim_start_matches("lessons/primer/") == name);
    let text = match own {
        Some(text) if !Path::new(name).exists() => text.wgsl.to_string(),
        _ => read_text(Path::new(name))?,
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
