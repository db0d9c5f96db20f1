//! What making a network really smaller gave, as text.

use super::layout::aligned;
use crate::numbers::{ranged, significant, thousands};
use crate::pruning::compact::Findings;
use crate::study::classified::Classified;
use crate::study::compact::CompactRow;

/// Layers before and after, and all together.
pub fn layers(rows: &[CompactRow]) -> String {
    let head = ["", "inputs", "units", "weights", "multiply-adds", "bytes"].map(String::from);
    let change = |before: usize, after: usize| match before == after {
        true => thousands(before as i64),
        false => format!("{} => {}", thousands(before as i64), thousands(after as i64)),
    };
    let row = |row: &CompactRow| {
        [
            row.layer.clone(),
            row.inputs_before.zip(row.inputs_after).map_or_else(String::new, |(before, after)| change(before, after)),
            change(row.units_before, row.units_after),
            change(row.weights_before, row.weights_after),
            change(row.multiply_adds_before, row.multiply_adds_after),
            change(row.bytes_before, row.bytes_after),
        ]
    };
    aligned([head].into_iter().chain(rows.iter().map(row)), 1..)
}

/// What went without a loss.
pub fn findings(findings: &Findings) -> String {
    let counts = [
        (findings.dark_inputs.len(), "inputs that no training image lights"),
        (findings.unread_inputs, "inputs without weights"),
        (findings.unread_units, "units that nothing reads"),
        (findings.constant_units, "units that read nothing"),
    ];
    let some: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{what} {}", thousands(*count as i64)))
        .collect();
    if some.is_empty() { "nothing".into() } else { some.join(", ") }
}

/// What the network before and the one after, if they were measured, made of the test set, and the bytes of their files.
pub fn comparison(measured: Option<&[Classified]>, file_bytes: [u64; 2]) -> String {
    let mut text = String::new();
    if let Some([before, after]) = measured {
        let [old, new] = [before, after].map(|measured| measured.evaluation.accuracy());
        let faster = after.times_as_fast_as(before).unwrap_or_default();
        text += &format!("accuracy on the test set {old:.4} => {new:.4}\n");
        text += &format!(
            "time to classify its {} images {} => {} ms, {} times as fast\n",
            thousands(i64::from(before.evaluation.samples)),
            significant(1e3 * before.median()),
            significant(1e3 * after.median()),
            ranged([faster.median, faster.low, faster.high], "")
        );
    }
    let [before, after] = file_bytes;
    text += &format!("file {} => {} bytes\n", thousands(before as i64), thousands(after as i64));
    text
}
