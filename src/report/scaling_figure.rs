//! How time grows with a size, as SVG and PNG: a panel for each size that was changed, both axes logarithmic, the exponents
//! above each panel.

use super::picture::{Area, FONT, GRID, LABEL_SIZE, captioned, drawn, failed, label, note};
use super::scaling::{ScalingLine, ScalingPanel};
use crate::error::Result;
use crate::numbers::significant;
use plotters::prelude::*;

/// Width and height of a panel in pixels.
const PANEL: (u32, u32) = (560, 520);
/// Panels side by side.
const COLUMNS: usize = 3;
/// Height of the line with the title.
const TITLE_HEIGHT: u32 = 56;
/// Pixels left of the y axis.
const LABEL_WIDTH: u32 = 96;
/// Pixels from one line of text to the next.
const LINE_HEIGHT: i32 = 27;
/// Radius of a marker in pixels.
const MARKER: i32 = 6;
/// Length in pixels of the dashes of what grows with the work alone.
const DASH: i32 = 7;
/// Sizes further apart than this by a factor have ticks at powers of ten.
const DECADES: f64 = 50.0;

/// The figure as the text of an SVG file.
///
/// # Errors
/// [`crate::error::Error::Job`] if the drawing fails.
pub fn svg(title: &str, panels: &[ScalingPanel]) -> Result<String> {
    drawn(size(panels), |root| draw(title, panels, root))
}

/// Rows of panels; the legend takes the place of one more.
fn rows(panels: &[ScalingPanel]) -> usize {
    (panels.len() + 1).div_ceil(COLUMNS)
}

fn size(panels: &[ScalingPanel]) -> (u32, u32) {
    (PANEL.0 * COLUMNS as u32, TITLE_HEIGHT + PANEL.1 * rows(panels) as u32)
}

fn draw(title: &str, panels: &[ScalingPanel], root: &Area<'_>) -> Result<()> {
    let (head, body) = root.split_vertically(TITLE_HEIGHT);
    let style = (FONT, LABEL_SIZE + 6).into_font().color(&BLACK);
    head.draw(&Text::new(title, (LABEL_WIDTH as i32, 16), style)).map_err(failed)?;
    let areas = body.split_evenly((rows(panels), COLUMNS));
    for (panel, area) in panels.iter().zip(&areas) {
        draw_panel(panel, area)?;
    }
    legend(&areas[panels.len()])?;
    Ok(())
}

fn draw_panel(panel: &ScalingPanel, area: &Area<'_>) -> Result<()> {
    let below = captioned(area, panel.size_title, LABEL_WIDTH as i32)?;
    let points = || panel.lines.iter().flat_map(|line| &line.points);
    if points().next().is_none() {
        return note(&below, "nothing was measured");
    }
    let (head, body) = below.split_vertically(LINE_HEIGHT * panel.lines.len() as i32);
    for (index, line) in panel.lines.iter().enumerate() {
        let y = LINE_HEIGHT * index as i32;
        head.draw(&marker((LABEL_WIDTH as i32 + MARKER, y + LABEL_SIZE as i32 / 2), &line.name)).map_err(failed)?;
        head.draw(&Text::new(exponents(line), (LABEL_WIDTH as i32 + 22, y), label())).map_err(failed)?;
    }
    let sizes = bounds(points().map(|point| point.size), 1.25);
    let times = bounds(points().map(|point| 1e3 * point.time), 1.6);
    // Two whole decades give enough ticks; less is better told in powers of two.
    let base = if sizes.1 / sizes.0 >= DECADES { 10.0 } else { 2.0 };
    let mut chart = ChartBuilder::on(&body)
        .margin(8)
        .margin_right(30)
        .x_label_area_size(62)
        .y_label_area_size(LABEL_WIDTH - 8)
        .build_cartesian_2d((sizes.0..sizes.1).log_scale().base(base), (times.0..times.1).log_scale())
        .map_err(failed)?;
    chart
        .configure_mesh()
        .x_labels(6)
        .y_labels(7)
        .x_label_formatter(&|value| tick(*value))
        .y_label_formatter(&|value| tick(*value))
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .label_style((FONT, LABEL_SIZE))
        .x_desc(panel.size_title)
        .y_desc(panel.time_title)
        .draw()
        .map_err(failed)?;
    for line in &panel.lines {
        let (colour, _) = look(&line.name);
        let work = with_the_work(line).into_iter().filter(|point| (times.0..times.1).contains(&point.1));
        chart.draw_series(DashedLineSeries::new(work, DASH, DASH, colour.stroke_width(2))).map_err(failed)?;
        let fitted = line.points.iter().map(|point| (point.size, 1e3 * line.all.time_at(point.size)));
        chart.draw_series(LineSeries::new(fitted, colour.stroke_width(2))).map_err(failed)?;
        let markers = line
            .points
            .iter()
            .map(|point| EmptyElement::at((point.size, 1e3 * point.time)) + marker((0, 0), &line.name));
        chart.draw_series(markers).map_err(failed)?;
    }
    Ok(())
}

/// Colour and outline of the markers of what was timed: its own, whatever else the panel shows. The colours are of Okabe &
/// Ito, told apart by the colour-blind.
fn look(name: &str) -> (RGBColor, &'static [(i32, i32)]) {
    match name {
        "dnn step" => {
            (RGBColor(0, 114, 178), &[(2, 5), (5, 2), (5, -2), (2, -5), (-2, -5), (-5, -2), (-5, 2), (-2, 5)])
        }
        "cnn step" => (RGBColor(213, 94, 0), &[(0, -6), (6, 5), (-6, 5)]),
        "sort" => (RGBColor(0, 158, 115), &[(-5, -5), (5, -5), (5, 5), (-5, 5)]),
        _ => (RGBColor(0, 0, 0), &[(0, -7), (5, 0), (0, 7), (-5, 0)]),
    }
}

fn marker(place: (i32, i32), name: &str) -> Polygon<(i32, i32)> {
    let (colour, outline) = look(name);
    let outline = outline.iter().map(|(x, y)| (place.0 + x, place.1 + y));
    Polygon::new(outline.collect::<Vec<_>>(), colour.filled())
}

/// What the time would be, in milliseconds, if it grew as the work does: through the middle of what was measured.
fn with_the_work(line: &ScalingLine) -> Vec<(f64, f64)> {
    let ratios = line.points.iter().map(|point| (point.time / point.work).ln());
    let middle = (ratios.sum::<f64>() / line.points.len() as f64).exp();
    line.points.iter().map(|point| (point.size, 1e3 * middle * point.work)).collect()
}

fn exponents(line: &ScalingLine) -> String {
    let mark = if line.grows_faster() { " !" } else { "" };
    format!("{}: time x^{:.2} · work x^{:.2}{mark}", line.name, line.all.time.slope, line.all.work_exponent)
}

/// The least and the largest value, and a factor more on both sides.
fn bounds(values: impl Iterator<Item = f64> + Clone, factor: f64) -> (f64, f64) {
    (values.clone().fold(f64::INFINITY, f64::min) / factor, values.fold(0.0, f64::max) * factor)
}

/// A tick's number: thousands have commas, small ones no needless zeros.
fn tick(value: f64) -> String {
    if value >= 1.0 {
        significant((value * 10.0).round() / 10.0)
    } else {
        format!("{value:.6}").trim_end_matches('0').into()
    }
}

fn legend(area: &Area<'_>) -> Result<()> {
    let left = LABEL_WIDTH as i32;
    let lines = [
        "markers: measured, median of repetitions",
        "solid: fitted power law, least squares on logarithms",
        "dashed: what grows as the work does, multiply-adds",
        "of a step, comparisons of a sort, numbers of a count",
        "!: time grows faster than its work",
    ];
    for (index, text) in (0..).zip(lines) {
        let y = 60 + (LINE_HEIGHT + 8) * index;
        area.draw(&Text::new(text, (left, y), label())).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::scaling::tests::panels;
    use super::*;

    #[test]
    fn every_panel_has_titled_axes_and_its_exponents() {
        let svg = svg("CPU engine", &panels()).unwrap();
        assert!(svg.contains(&format!("width=\"{}\" height=\"{}\"", 3 * PANEL.0, TITLE_HEIGHT + PANEL.1)), "{svg}");
        let count = |text: &str| svg.lines().filter(|line| line.trim() == text).count();
        // Above the panel and below its axis.
        assert_eq!((count("Replicas"), count("Time of a step (ms)")), (4, 2));
        for text in [
            "CPU engine",
            "dnn step: time x^1.00 · work x^1.00",
            "sort: time x^1.30 · work x^1.00 !",
            "count: time x^0.90 · work x^1.00",
        ] {
            assert_eq!(count(text), 1, "{text}");
        }
    }

    #[test]
    fn ticks_are_short() {
        assert_eq!([0.001, 0.5, 1.0, 10.0, 10_000.0].map(tick), ["0.001", "0.5", "1", "10", "10,000"]);
    }
}
