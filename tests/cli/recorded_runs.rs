//! What was trained and counted stays the same from version to version, digit for digit.
//!
//! `tests/fixtures/recorded/VARIANT.json` has, for a variant of the CPU engine, hashes of weights and of columns of the tables that
//! the smoke presets write. An instruction set rounds sums in its own order: where no file is recorded for the one at hand, the
//! accuracies are compared with a recorded one's within what rounding may move.

use crate::program::{Table, manifest};
use crate::run_folder::{of_focus, smoke};
use crate::study::smoke_study;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::Path;

/// The answers of the variant at hand, or nothing where none were recorded.
fn recorded(folder: &Path) -> Option<Value> {
    let variant = manifest(folder)["device"]["variant"].as_str().unwrap().to_string();
    let file = format!("{}/tests/fixtures/recorded/{variant}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(file).ok().map(|text| serde_json::from_str(&text).unwrap())
}

/// Hash of a column: its entries as they stand in the file, a line each.
fn hash(folder: &Path, column: &str) -> String {
    let (file, name) = column.rsplit_once(' ').unwrap();
    let table = Table::read(&folder.join(file));
    let table = if file.ends_with("sweep.csv") { of_focus(&table) } else { table };
    Sha256::digest(table.column(name).join("\n")).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn assert_columns(folder: &Path, answers: &Value) {
    let columns = answers["columns"].as_object().unwrap();
    assert!(!columns.is_empty());
    let differ: Vec<&String> = columns
        .iter()
        .filter(|(column, expected)| hash(folder, column) != **expected)
        .map(|(column, _)| column)
        .collect();
    assert!(differ.is_empty(), "these columns have changed: {differ:?}");
}

#[test]
fn the_smoke_comparison_is_the_recorded_one_digit_for_digit() {
    let folder = &smoke().1;
    let sweep = of_focus(&Table::read(&folder.join("sweep.csv")));
    assert_eq!(sweep.rows.len(), 1032);
    // Rounding moves a few of 10,000 test images, not hundreds.
    let dense = sweep.only(&[("method", "dense")]).numbers("accuracy");
    assert!(dense.iter().zip([0.8802, 0.8782]).all(|(found, expected)| (found - expected).abs() < 0.02), "{dense:?}");
    let Some(answers) = recorded(folder) else { return };
    let hashes = &manifest(folder)["weight_hashes"];
    for (what, expected) in answers["compare"]["weight_hashes"].as_object().unwrap() {
        assert_eq!(hashes[what], *expected, "{what}");
    }
    assert_columns(folder, &answers["compare"]);
}

#[test]
fn the_smoke_study_is_the_recorded_one_digit_for_digit() {
    let folder = &smoke_study().1;
    assert_eq!(Table::read(&folder.join("table1.csv")).rows.len(), 8);
    let Some(answers) = recorded(folder) else { return };
    assert_columns(folder, &answers["study"]);
}
