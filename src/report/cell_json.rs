//! What the tables of a cell say, as JSON.

use super::tables;
use super::verdict::Verdict;
use crate::results::accuracy::{self, Curve, TABLE_SPARSITIES};
use crate::results::comparison::Results;
use crate::results::summary::Summary;
use serde_json::{Value, json};

/// A cell's report as [`super::tables::text`] gives it, as numbers: shares instead of per cent, nothing rounded.
pub fn of(cell: &Results) -> Value {
    let ledger = &cell.ledger;
    let rows: Vec<_> = ledger
        .rows
        .iter()
        .map(|row| json!({ "row": row, "break_even_with_decay_sequential": ledger.break_even(row) }))
        .collect();
    let dense: Vec<_> = accuracy::dense(&cell.sweep)
        .into_iter()
        .map(|(epochs, accuracy)| json!({ "epochs": epochs, "accuracy": accuracy }))
        .collect();
    let points = |curve: &Curve| -> Vec<Value> {
        let interval = |difference: Option<Summary>| difference.and_then(|difference| difference.half_width());
        accuracy::at_table_sparsities(curve)
            .into_iter()
            .zip(TABLE_SPARSITIES)
            .filter_map(|(point, sparsity)| Some((point?, sparsity)))
            .map(|(point, near)| {
                json!({
                    "near": near,
                    "point": point,
                    "over_one_shot_half_width": interval(point.over_one_shot),
                    "over_frozen_first_half_width": interval(point.over_frozen_first),
                })
            })
            .collect()
    };
    let curves: Vec<_> = accuracy::curves(&cell.sweep, cell.headline_window)
        .iter()
        .map(|curve| json!({ "method": curve.method, "label": curve.label, "points": points(curve) }))
        .collect();
    let named = |curve: &Curve, points: Vec<Value>| json!({ "method": curve.method, "rule": curve.rule, "repair": curve.repair, "label": curve.label, "points": points });
    let repaired: Vec<_> = accuracy::repaired_curves(&cell.sweep, cell.headline_window)
        .iter()
        .map(|curve| named(curve, points(curve)))
        .collect();
    let by_size: Vec<_> = accuracy::curves_by_size(&cell.sweep, cell.headline_window)
        .iter()
        .map(|(layers, curves)| {
            let all = |curve: &Curve| named(curve, curve.points.iter().map(|point| json!(point)).collect());
            json!({ "layers": layers, "curves": curves.iter().map(all).collect::<Vec<_>>() })
        })
        .collect();
    json!({
        "workload": ledger.workload,
        "ledger": rows,
        "arithmetic_ratio": ledger.workload.arithmetic_ratio(),
        "total_s": ledger.totals_s().map(|[stability, decay]| json!({ "stability": stability, "decay-sequential": decay })),
        "verdict": Verdict::of(cell),
        "sentences": tables::sentences(cell),
        "chance": cell.chance,
        "headline_window": cell.headline_window,
        "dense": dense,
        "accuracy": curves,
        "repaired": repaired,
        "by_size": by_size,
        "averaged": accuracy::averaged(&cell.sweep),
        "correlations": cell.correlations,
        "inference": cell.inference,
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn json_says_what_the_text_says() {
        let cell = sample::cell();
        let value = of(&cell);
        assert_eq!(value["inference"][5]["milliseconds"], 14.6);
        assert_eq!(value["ledger"].as_array().unwrap().len(), cell.ledger.rows.len());
        assert_eq!(value["ledger"][0]["row"]["method"], "stability");
        assert!(value["ledger"][0]["break_even_with_decay_sequential"]["points"].as_f64().unwrap() > 0.0);
        assert!((value["arithmetic_ratio"].as_f64().unwrap() - 945.2).abs() < 1e-9);
        let hold = value["accuracy"].as_array().unwrap().iter().find(|curve| curve["method"] == "hold").unwrap();
        assert_eq!(hold["points"].as_array().unwrap().len(), TABLE_SPARSITIES.len());
        assert_eq!(hold["points"][3]["near"], 0.8);
    }
}
