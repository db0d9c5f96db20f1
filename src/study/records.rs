//! The files that hold what was counted of each node.

use super::experiment::{Cell, CellFolder};
use crate::error::Result;
use crate::run_folder::{NamedArray, csv, npz};
use crate::stability::{History, Stability, WindowedEnvelope};
use serde::Serialize;

/// Above this many rows a table is written as arrays of the same names.
const MOST_CSV_ROWS: usize = 1_000_000;

/// One line of `stability.csv`.
#[derive(Serialize)]
struct StabilityRow {
    replica: usize,
    node: usize,
    row: usize,
    column: usize,
    reference_weight: f32,
    tolerance: f64,
    stability: u32,
}

/// Writes `stability.csv`, or `.npz` if that would be too long.
pub(super) fn write_stability(
    folder: &CellFolder<'_>,
    cell: &Cell,
    history: &History,
    stability: &Stability,
) -> Result<()> {
    let shape = history.shape();
    let width = cell.architecture.width;
    let counts = &stability.counts.stability;
    if counts.len() > MOST_CSV_ROWS {
        let values: Vec<f32> = counts.iter().map(|&count| count as f32).collect();
        let axes = [stability.tolerances.len(), shape.replicas, shape.nodes];
        return npz::write(
            &folder.file("stability.npz")?,
            &[NamedArray { name: "stability", shape: &axes, values: &values }],
        );
    }
    let rows = (0..shape.columns()).flat_map(|place| {
        let (replica, node) = (place / shape.nodes, place % shape.nodes);
        stability.tolerances.iter().enumerate().map(move |(index, &tolerance)| StabilityRow {
            replica,
            node,
            row: node / width,
            column: node % width,
            reference_weight: history.reference()[place],
            tolerance,
            stability: counts[index * shape.columns() + place],
        })
    });
    let columns = &["replica", "node", "row", "column", "reference_weight", "tolerance", "stability"];
    csv::write(&folder.file("stability.csv")?, columns, rows)
}

/// One line of `envelope.csv`.
#[derive(Serialize)]
struct EnvelopeRow {
    replica: usize,
    node: usize,
    row: usize,
    column: usize,
    reference_weight: f32,
    window: u32,
    minimum: f32,
    maximum: f32,
    smallest_magnitude: f32,
    settling_tolerance: f64,
    frozen: bool,
}

/// Writes `envelope.csv`, or `.npz` if that would be too long.
pub(super) fn write_envelope(
    folder: &CellFolder<'_>,
    cell: &Cell,
    history: &History,
    envelope: &WindowedEnvelope,
) -> Result<()> {
    let shape = history.shape();
    let width = cell.architecture.width;
    let extremes = &envelope.extremes;
    if extremes.minimum.len() > MOST_CSV_ROWS {
        let axes = [envelope.windows.len(), shape.replicas, shape.nodes];
        let array = |name, values| NamedArray { name, shape: &axes, values };
        let arrays = [
            array("minimum", &extremes.minimum),
            array("maximum", &extremes.maximum),
            array("smallest_magnitude", &extremes.smallest_magnitude),
        ];
        return npz::write(&folder.file("envelope.npz")?, &arrays);
    }
    let rows = (0..shape.columns()).flat_map(|place| {
        let (replica, node) = (place / shape.nodes, place % shape.nodes);
        envelope.windows.iter().enumerate().map(move |(index, &window)| {
            let own = index * shape.columns() + place;
            EnvelopeRow {
                replica,
                node,
                row: node / width,
                column: node % width,
                reference_weight: history.reference()[place],
                window,
                minimum: extremes.minimum[own],
                maximum: extremes.maximum[own],
                smallest_magnitude: extremes.smallest_magnitude[own],
                settling_tolerance: envelope.settling_tolerance(index, replica, node),
                frozen: envelope.frozen[place],
            }
        })
    });
    let columns = &[
        "replica",
        "node",
        "row",
        "column",
        "reference_weight",
        "window",
        "minimum",
        "maximum",
        "smallest_magnitude",
        "settling_tolerance",
        "frozen",
    ];
    csv::write(&folder.file("envelope.csv")?, columns, rows)
}
