//! Figure 3: the mean number of stable weights of each model on each data set, and the growth curve through it: a panel for each,
//! all with the same axes.

use super::chart::{Chart, Format, Marked, Place, Series};
use super::figure_charts::linear;
use super::figures::together;
use super::layout::NOTHING;
use super::look::Look;
use super::pen::Sheet;
use crate::numbers::{counted, significant};
use crate::pruning::{Method, Repair};
use crate::results::tables::CellGrowth;

/// Points of a fitted curve.
const CURVE_POINTS: usize = 200;

/// Figure 3 as the text of an SVG file.
pub fn svg(cells: &[CellGrowth], sheet: Sheet) -> String {
    let charts = charts(cells);
    together(&charts.iter().collect::<Vec<_>>(), "Growth of the number of stable weights", sheet)
}

/// What each panel says, and its drawing for a page.
pub(super) fn panels(cells: &[CellGrowth]) -> Vec<(String, String)> {
    let panel = |chart: Chart| (format!("{}: {}", chart.message, chart.about), chart.svg(Format::PAGE, Sheet::Light));
    charts(cells).into_iter().map(panel).collect()
}

fn charts(cells: &[CellGrowth]) -> Vec<Chart> {
    let points = || cells.iter().flat_map(|cell| &cell.means);
    let last = points().map(|point| point.0).fold(1.0, f64::max);
    let most = 1.05 * points().map(|point| point.1).fold(1.0, f64::max);
    cells.iter().map(|cell| chart(cell, last, most)).collect()
}

/// A step of ticks that leaves ten at most.
fn step(most: f64) -> f64 {
    let decade = 10f64.powf(most.log10().floor());
    [0.1, 0.2, 0.5, 1.0, 2.0].map(|part| part * decade).into_iter().find(|step| most / step <= 8.0).unwrap_or(most)
}

fn chart(cell: &CellGrowth, last: f64, most: f64) -> Chart {
    let axis = |title: &str, high: f64| linear(title, 0.0, high, step(high));
    let curve = (0..=CURVE_POINTS).map(|step| last * step as f64 / CURVE_POINTS as f64);
    // Between the last two epochs a curve without a limit may leave the panel.
    let curve = curve.map(|epoch| (epoch, cell.growth.at(epoch))).take_while(|point| point.1 <= most);
    let series = |name: &str, look: Look, points: Vec<(f64, f64)>| Series {
        name: name.into(),
        look,
        points: points.into_iter().map(|(x, y)| Place { x, y, ..Place::default() }).collect(),
        widest_gap: f64::INFINITY,
        marked: Marked::None,
    };
    Chart {
        message: format!("{} on {}, {}", cell.model, cell.data_set, counted(cell.replicates as f64, "replicate")),
        about: parameters(cell),
        x: axis("Epoch", last),
        y: axis("Stable weights", most),
        series: vec![
            series("fitted", Look::new(Method::Hold, Repair::Cut), curve.collect()),
            series("observed", Look::new(Method::Dense, Repair::Cut), cell.means.clone()),
        ],
        note: "Mean of the replicates, and N = K / (1 + (K − N0) / N0 · exp(−r t)) through it.".into(),
        ..Chart::default()
    }
}

/// What the fit found.
fn parameters(cell: &CellGrowth) -> String {
    let growth = &cell.growth;
    let limit = if growth.limit_is_identified { significant(growth.limit) } else { "not identified".into() };
    let small = |value: f64| if value > 0.0 && value < 1e-3 { format!("{value:.1e}") } else { significant(value) };
    let rate = if growth.rate > 0.0 { small(growth.rate) } else { NOTHING.into() };
    format!(
        "K {limit} · N0 {} · r {rate} per epoch · RSS {}",
        small(growth.start),
        small(growth.residual_sum_of_squares)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::growth::Growth;

    fn cell(model: &str, data_set: &str, limit: f64) -> CellGrowth {
        let number = |t: f64| limit / (1.0 + (limit - 4.0) / 4.0 * (-0.08 * t).exp());
        let means: Vec<_> = (1..=150).map(|epoch| (f64::from(epoch), number(f64::from(epoch)))).collect();
        let growth = Growth::fit(&means).unwrap();
        CellGrowth { model: model.into(), data_set: data_set.into(), replicates: 50, means, growth }
    }

    #[test]
    fn every_cell_has_a_panel_with_titled_axes_and_its_parameters() {
        let cells = [cell("cnn", "ct", 800.0), cell("cnn", "pr", 500.0), cell("dnn", "ct", 1e7)];
        let svg = svg(&cells, Sheet::Light);
        assert!(svg.contains("width=\"1540\" height=\"1060\""), "{}", &svg[..200]);
        let count = |text: &str| svg.matches(&format!(">{text}")).count();
        assert_eq!((count("Epoch<"), count("Stable weights<")), (3, 3));
        for text in ["cnn on ct, 50 replicates<", "K 800 · N0 4", "K 500 · N0 4", "K not identified · N0 4"] {
            assert_eq!(count(text), 1, "{text}");
        }
    }

    #[test]
    fn without_cells_there_is_an_empty_figure() {
        assert!(svg(&[], Sheet::Dark).contains("</svg>"));
    }
}
