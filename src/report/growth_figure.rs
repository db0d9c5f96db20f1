//! Figure 3: the mean number of stable weights of each model on each data set, and the growth curve through it, as SVG and
//! PNG. A row of panels for each model, a column for each data set, all with the same axes.

use super::layout::NOTHING;
use super::picture::{Area, captioned, drawn, failed, label, mesh, note};
use crate::error::Result;
use crate::study::numbers::significant;
use crate::study::tables::CellGrowth;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use std::collections::BTreeSet;

/// Width and height of a panel in pixels.
const PANEL: (u32, u32) = (470, 470);
/// Height of the line that says what is drawn how.
const LEGEND_HEIGHT: u32 = 52;
/// Pixels left of the y axis.
const LABEL_WIDTH: i32 = 84;
/// Pixels from one line of text to the next.
const LINE_HEIGHT: i32 = 27;
const OBSERVED: RGBColor = RGBColor(0, 0, 0);
const FITTED: RGBColor = RGBColor(213, 94, 0);
/// Length in pixels of the dashes of a fitted curve, and of the gaps.
const DASH: i32 = 6;
/// Points of a fitted curve.
const CURVE_POINTS: usize = 200;

/// Figure 3 as the text of an SVG file.
///
/// # Errors
/// [`crate::error::Error::Job`] if the drawing fails.
pub fn svg(cells: &[CellGrowth]) -> Result<String> {
    drawn(size(cells), |root| draw(cells, root))
}

/// Names of the models and of the data sets.
fn grid(cells: &[CellGrowth]) -> (Vec<&str>, Vec<&str>) {
    let names = |name: fn(&CellGrowth) -> &str| cells.iter().map(name).collect::<BTreeSet<_>>().into_iter().collect();
    (names(|cell| &cell.model), names(|cell| &cell.data_set))
}

fn size(cells: &[CellGrowth]) -> (u32, u32) {
    let (models, data_sets) = grid(cells);
    // The legend needs the width of two panels.
    (PANEL.0 * (data_sets.len() as u32).max(2), LEGEND_HEIGHT + PANEL.1 * (models.len() as u32).max(1))
}

fn draw(cells: &[CellGrowth], root: &Area<'_>) -> Result<()> {
    let (models, data_sets) = grid(cells);
    let (head, body) = root.split_vertically(LEGEND_HEIGHT);
    legend(&head)?;
    let panels = body.split_evenly((models.len().max(1), data_sets.len().max(2)));
    let points = || cells.iter().flat_map(|cell| &cell.means);
    let last = points().map(|point| point.0).fold(1.0, f64::max);
    let most = points().map(|point| point.1).fold(1.0, f64::max);
    for (row, model) in models.iter().enumerate() {
        for (column, data_set) in data_sets.iter().enumerate() {
            let area = &panels[row * data_sets.len().max(2) + column];
            match cells.iter().find(|cell| cell.model == *model && cell.data_set == *data_set) {
                Some(cell) => panel(cell, area, last, 1.05 * most)?,
                None => note(area, &format!("{model} · {data_set}: no replicates"))?,
            }
        }
    }
    Ok(())
}

fn legend(area: &Area<'_>) -> Result<()> {
    let middle = LEGEND_HEIGHT as i32 / 2 + 4;
    let ends = |left: i32| [(left, middle), (left + 44, middle)];
    let (observed, fitted) = (LABEL_WIDTH, LABEL_WIDTH + 410);
    area.draw(&PathElement::new(ends(observed), OBSERVED.stroke_width(4))).map_err(failed)?;
    area.draw(&DashedPathElement::new(ends(fitted), DASH, DASH, FITTED.stroke_width(2))).map_err(failed)?;
    let texts =
        [(observed, "observed, mean of the replicates"), (fitted, "fit: N = K / (1 + (K − N0) / N0 · exp(−r t))")];
    for (left, text) in texts {
        area.draw(&Text::new(text, (left + 56, middle - 10), label())).map_err(failed)?;
    }
    Ok(())
}

fn panel(cell: &CellGrowth, area: &Area<'_>, last: f64, most: f64) -> Result<()> {
    let plural = if cell.replicates == 1 { "" } else { "s" };
    let caption = format!("{} · {} · {} replicate{plural}", cell.model, cell.data_set, cell.replicates);
    let below = captioned(area, &caption, LABEL_WIDTH)?;
    let (head, body) = below.split_vertically(LINE_HEIGHT * parameters(cell).len() as i32);
    for (line, text) in (0..).zip(parameters(cell)) {
        head.draw(&Text::new(text, (LABEL_WIDTH, LINE_HEIGHT * line), label())).map_err(failed)?;
    }
    let mut chart = ChartBuilder::on(&body)
        .margin(8)
        .margin_right(26)
        .x_label_area_size(58)
        .y_label_area_size(LABEL_WIDTH as u32 - 8)
        .build_cartesian_2d(0.0..last, 0.0..most)
        .map_err(failed)?;
    mesh(&mut chart, "Epoch", "Stable weights", 6)?;
    let observed = LineSeries::new(cell.means.iter().copied(), OBSERVED.stroke_width(4));
    chart.draw_series(observed).map_err(failed)?;
    let curve = (0..=CURVE_POINTS).map(|step| last * step as f64 / CURVE_POINTS as f64);
    // Between the last two epochs a curve without a limit may leave the panel.
    let curve = curve.map(|epoch| (epoch, cell.growth.at(epoch))).take_while(|point| point.1 <= most);
    chart.draw_series(DashedLineSeries::new(curve, DASH, DASH, FITTED.stroke_width(2))).map_err(failed)?;
    Ok(())
}

/// What the fit found, in the lines of the figure.
fn parameters(cell: &CellGrowth) -> [String; 2] {
    let growth = &cell.growth;
    let limit = if growth.limit_is_identified { significant(growth.limit) } else { "not identified".into() };
    let small = |value: f64| if value > 0.0 && value < 1e-3 { format!("{value:.1e}") } else { significant(value) };
    let rate = if growth.rate > 0.0 { small(growth.rate) } else { NOTHING.into() };
    [
        format!("K {limit} · N0 {}", small(growth.start)),
        format!("r {rate} per epoch · RSS {}", small(growth.residual_sum_of_squares)),
    ]
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
        let svg = svg(&cells).unwrap();
        assert!(
            svg.contains(&format!("width=\"{}\" height=\"{}\"", 2 * PANEL.0, LEGEND_HEIGHT + 2 * PANEL.1)),
            "{svg}"
        );
        let count = |text: &str| svg.lines().filter(|line| line.trim().starts_with(text)).count();
        assert_eq!((count("Epoch"), count("Stable weights")), (3, 3));
        for text in [
            "cnn · ct · 50 replicates",
            "K 800 · N0 4",
            "K 500 · N0 4",
            "K not identified · N0 4",
            "dnn · pr: no replicates",
        ] {
            assert_eq!(count(text), 1, "{text}");
        }
    }

    #[test]
    fn without_cells_there_is_an_empty_figure() {
        assert!(svg(&[]).is_ok());
    }
}
