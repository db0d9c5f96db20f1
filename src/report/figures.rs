//! Figure 4: what pruning costs in accuracy and in time, as SVG and PNG.
//!
//! Four fields: (a) test accuracy, (b) time per operating point, (c) difference to one-shot pruning, and the legend in a
//! field of its own, where it can cover no data.

use super::look::Look;
use super::picture::{
    Area, CAPTION_SIZE, FONT, GRID, LABEL_SIZE, captioned, drawn, errors, failed, line, markers, mesh, note, tick,
    words,
};
use crate::error::Result;
use crate::pruning::{Method, Repair};
use crate::study::accuracy::{self, Curve, CurvePoint};
use crate::study::ledger::LedgerRow;
use crate::study::numbers::significant;
use crate::study::results::Results;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

/// Width and height in pixels.
const SIZE: (u32, u32) = (1480, 1180);
const TITLE_HEIGHT: u32 = 64;

/// Real points of magnitude stability further apart than this, in per cent of sparsity, are not joined by a line.
const WIDEST_GAP: f64 = 5.0;

/// Every curve shows its spread about once in so many per cent of sparsity: bars at every point would hide the curves.
const BAR_SPACING: f64 = 10.0;

/// Panel (c) shows intervals up to so many percentage points beyond the means; wider ones run off the panel.
const WIDEST_INTERVAL: f64 = 25.0;

const REFERENCE: RGBColor = RGBColor(90, 90, 90);

/// Figure 4 of one cell, ready to be drawn.
struct Figure<'a> {
    cell: &'a Results,
    curves: Vec<(Curve, Look)>,
}

/// Figure 4 as the text of an SVG file.
///
/// # Errors
/// [`crate::error::Error::Job`] if the drawing fails.
pub fn svg(cell: &Results) -> Result<String> {
    drawn(SIZE, |root| Figure::new(cell).draw(root))
}

impl<'a> Figure<'a> {
    fn new(cell: &'a Results) -> Self {
        let mut curves: Vec<(Curve, Look)> = Vec::new();
        let surgeons = accuracy::repaired_curves(&cell.sweep, cell.headline_window)
            .into_iter()
            .filter(|curve| matches!(curve.method, Method::Surgeon | Method::HoldSurgeon));
        for curve in accuracy::curves(&cell.sweep, cell.headline_window).into_iter().chain(surgeons) {
            let taken: Vec<Look> = curves.iter().map(|(_, look)| *look).collect();
            let look = Look::new(curve.method, &curve.rule, curve.tolerance, &taken);
            curves.push((curve, look));
        }
        Self { cell, curves }
    }

    /// The curves with their places in the legend, in the order in which they are drawn: those with dashes stand behind.
    fn behind_first(&self) -> impl Iterator<Item = (usize, &(Curve, Look))> {
        let dashed =
            |dashed| self.curves.iter().enumerate().filter(move |(_, (_, look))| look.dash.is_some() == dashed);
        dashed(true).chain(dashed(false))
    }

    fn draw(&self, root: &Area<'_>) -> Result<()> {
        let (title, panels) = root.split_vertically(TITLE_HEIGHT);
        let style = words(CAPTION_SIZE + 3, HPos::Center);
        title
            .draw(&Text::new(self.cell.title(), (SIZE.0 as i32 / 2, TITLE_HEIGHT as i32 / 2), style))
            .map_err(failed)?;
        let panels = panels.split_evenly((2, 2));
        self.accuracy(&panels[0])?;
        self.time(&panels[1])?;
        self.difference(&panels[2])?;
        self.legend(&panels[3])
    }

    /// Panel (a): accuracy against sparsity.
    fn accuracy(&self, area: &Area<'_>) -> Result<()> {
        let body = captioned(area, "(a) Accuracy after pruning (only decay retrains)", 94)?;
        let mut chart = builder(&body, 80).build_cartesian_2d(0.0..100.0, 0.0..100.0).map_err(failed)?;
        let judged = format!("{} accuracy (%)", self.cell.judged_by());
        mesh(&mut chart, "Zero weights in the focus layer (%)", &judged, 11)?;
        for (level, dash) in self.references() {
            let line = DashedLineSeries::new([(0.0, level), (100.0, level)], dash, dash, REFERENCE.stroke_width(2));
            chart.draw_series(line).map_err(failed)?;
        }
        let place = |point: &CurvePoint| (100.0 * point.sparsity.mean, 100.0 * point.accuracy.mean);
        let bar = |point: &CurvePoint| {
            let (x, y) = place(point);
            let sd = 100.0 * point.accuracy.sd?;
            Some([(x, (y - sd).max(0.0)), (x, (y + sd).min(100.0))])
        };
        for (index, (curve, look)) in self.behind_first() {
            let points: Vec<_> = curve.points.iter().map(place).collect();
            let barred = spaced(&points, phase(index, self.curves.len()));
            // Magnitude stability has only these points; of the others' dense grids a few markers are enough.
            let marked = |place: usize| curve.method == Method::Stability || barred.contains(&place);
            for segment in points.chunk_by(|a, b| curve.method != Method::Stability || b.0 - a.0 <= WIDEST_GAP) {
                line(&mut chart, segment, *look)?;
            }
            let bars = barred.iter().filter_map(|&place| bar(&curve.points[place]));
            errors(&mut chart, bars, *look)?;
            let marked: Vec<_> = (0..points.len()).filter(|&place| marked(place)).map(|place| points[place]).collect();
            markers(&mut chart, &marked, *look)?;
        }
        Ok(())
    }

    /// Accuracy in per cent and length of the dashes of the two reference lines: dense, chance.
    fn references(&self) -> impl Iterator<Item = (f64, i32)> {
        let dense = accuracy::dense(&self.cell.sweep).pop().map(|(_, summary)| (100.0 * summary.mean, 12));
        dense.into_iter().chain([(100.0 * self.cell.chance, 3)])
    }

    /// Panel (b): milliseconds per operating point and replica.
    fn time(&self, area: &Area<'_>) -> Result<()> {
        let rows: Vec<(&LedgerRow, f64)> = self
            .cell
            .ledger
            .rows
            .iter()
            // What panel (a) shows: one layer, cut, and the surgeons.
            .filter(|row| {
                let is_shown = row.repair == Repair::Cut || matches!(row.method, Method::Surgeon | Method::HoldSurgeon);
                is_shown && !accuracy::are_several(&row.layers)
            })
            .filter_map(|row| Some((row, row.marginal_ms.filter(|&marginal| marginal > 0.0)?)))
            .collect();
        let body = captioned(area, "(b) Time per operating point and replica", 94)?;
        if rows.is_empty() {
            return note(&body, "no times were measured");
        }
        // Whole decades, and a little more, so that rounding does not lose the outermost ticks.
        let exponents = rows.iter().map(|row| row.1.log10());
        let low = 0.99 * 10f64.powf(exponents.clone().fold(f64::INFINITY, f64::min).floor());
        let high = 1.01 * 10f64.powf(exponents.fold(f64::NEG_INFINITY, f64::max).floor() + 1.0);
        let mut chart = builder(&body, 250)
            .build_cartesian_2d((low..high).log_scale(), -0.6..rows.len() as f64 - 0.4)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .y_labels(0)
            .x_labels(6)
            .light_line_style(WHITE)
            .bold_line_style(GRID)
            .x_label_formatter(&|&value| tick(value))
            .x_desc("Milliseconds, logarithmic (mean ± sd of repetitions)")
            .label_style((FONT, LABEL_SIZE))
            .draw()
            .map_err(failed)?;
        let middle = (low * high).sqrt();
        for (index, &(row, marginal)) in rows.iter().enumerate() {
            let look = Look::new(row.method, &row.rule, None, &[]);
            let y = (rows.len() - 1 - index) as f64;
            let sd = row.marginal_ms_sd.unwrap_or(0.0);
            let bar = [((marginal - sd).max(low), y), ((marginal + sd).min(high), y)];
            chart.draw_series([PathElement::new(bar, look.colour.stroke_width(3))]).map_err(failed)?;
            markers(&mut chart, &[(marginal, y)], look)?;
            // The value stands on the side where there is room.
            let (side, shift) = if marginal > middle { (HPos::Right, -14) } else { (HPos::Left, 14) };
            let value = words(LABEL_SIZE, side);
            let value = EmptyElement::at((marginal.max(low), y)) + Text::new(significant(marginal), (shift, 0), value);
            chart.draw_series([value]).map_err(failed)?;
            let name = words(LABEL_SIZE, HPos::Right);
            let label = format!("{} {}", row.method, row.rule);
            let edge = chart.backend_coord(&(low, y));
            let corner = body.get_base_pixel();
            let place = (edge.0 - corner.0 - 10, edge.1 - corner.1);
            body.draw(&Text::new(label.trim_end().to_string(), place, name)).map_err(failed)?;
        }
        Ok(())
    }

    /// Panel (c): what a criterion gains over one-shot pruning of the same nets.
    fn difference(&self, area: &Area<'_>) -> Result<()> {
        let shown = |method| matches!(method, Method::Hold | Method::Settle | Method::MagnitudeFrozenFirst);
        let curves: Vec<(Vec<Difference>, Look)> = self
            .behind_first()
            .filter(|(_, (curve, _))| shown(curve.method))
            .map(|(_, (curve, look))| (curve.points.iter().filter_map(Difference::of).collect(), *look))
            .filter(|(points, _): &(Vec<_>, _)| !points.is_empty())
            .collect();
        let body = captioned(area, "(c) Accuracy gained over one-shot pruning of the same nets", 94)?;
        if curves.is_empty() {
            return note(&body, "one-shot pruning was not measured on the same nets");
        }
        let extreme = |sign: f64| {
            let ends = curves.iter().flat_map(|(points, _)| points).map(|point| {
                let half = point.half_width.unwrap_or(0.0).min(WIDEST_INTERVAL);
                sign * point.mean + half
            });
            sign * ends.fold(1.0, f64::max)
        };
        let (low, high) = (extreme(-1.0), extreme(1.0));
        let margin = 0.05 * (high - low);
        let (low, high) = (low - margin, high + margin);
        let mut chart = builder(&body, 80).build_cartesian_2d(0.0..100.0, low..high).map_err(failed)?;
        mesh(&mut chart, "Zero weights in the focus layer (%)", "Difference (percentage points)", 9)?;
        chart.draw_series(LineSeries::new([(0.0, 0.0), (100.0, 0.0)], REFERENCE.stroke_width(2))).map_err(failed)?;
        for (index, (points, look)) in curves.iter().enumerate() {
            let places: Vec<_> = points.iter().map(|point| (point.sparsity, point.mean)).collect();
            let barred = spaced(&places, phase(index, curves.len()));
            line(&mut chart, &places, *look)?;
            let bars = barred.iter().filter_map(|&place| {
                let Difference { sparsity, mean, half_width } = points[place];
                let half = half_width?;
                Some([(sparsity, (mean - half).max(low)), (sparsity, (mean + half).min(high))])
            });
            errors(&mut chart, bars, *look)?;
            let marked: Vec<_> = barred.iter().map(|&place| places[place]).collect();
            markers(&mut chart, &marked, *look)?;
        }
        Ok(())
    }

    /// What the lines and markers mean: two columns where one is too short.
    fn legend(&self, area: &Area<'_>) -> Result<()> {
        let (first_column, column_width, top, line_height) = (44, 330, 40, 33);
        let dense = accuracy::dense(&self.cell.sweep).pop().map(|(epochs, _)| format!("dense, {epochs} epochs"));
        let references = dense.into_iter().chain([format!("chance, {:.1} %", 100.0 * self.cell.chance)]);
        let references: Vec<(String, i32)> = references.zip(self.references().map(|(_, dash)| dash)).collect();
        let entries = self.curves.len() + references.len();
        let lines = if entries <= 12 { entries } else { entries.div_ceil(2) };
        let place = |entry: usize| {
            (first_column + column_width * (entry / lines) as i32, top + line_height * (entry % lines) as i32)
        };
        let text = |size| words(size, HPos::Left);
        for (entry, (curve, look)) in self.curves.iter().enumerate() {
            let (x, y) = place(entry);
            let ends = [(x, y), (x + 50, y)];
            match look.dash {
                Some((dash, gap)) => area.draw(&DashedPathElement::new(ends, dash, gap, look.stroke())),
                None => area.draw(&PathElement::new(ends, look.stroke())),
            }
            .map_err(failed)?;
            let (inside, outline) = look.marker();
            area.draw(&(EmptyElement::at((x + 25, y)) + inside + outline)).map_err(failed)?;
            area.draw(&Text::new(curve.label.clone(), (x + 66, y), text(LABEL_SIZE))).map_err(failed)?;
        }
        for (entry, (name, dash)) in references.into_iter().enumerate() {
            let (x, y) = place(self.curves.len() + entry);
            for start in (0..50).step_by(2 * dash as usize) {
                let dash = [(x + start, y), (x + (start + dash).min(50), y)];
                area.draw(&PathElement::new(dash, REFERENCE.stroke_width(2))).map_err(failed)?;
            }
            area.draw(&Text::new(name, (x + 66, y), text(LABEL_SIZE))).map_err(failed)?;
        }
        let notes = [
            "(a) mean ± sd over replicas, staggered. stability: its real points,",
            "joined only where they lie within 5 % sparsity.",
            "(c) paired mean with 95 % interval (Student's t),",
            "without one where there are too few replicas for it.",
            "Exponential decay trains other nets: it has no pairs.",
        ];
        for (index, line) in (0..).zip(notes) {
            let place = (first_column, top + line_height * lines as i32 + 16 + 28 * index);
            area.draw(&Text::new(line, place, text(LABEL_SIZE - 2))).map_err(failed)?;
        }
        Ok(())
    }
}

/// A point of panel (c), in per cent and percentage points.
#[derive(Clone, Copy)]
struct Difference {
    sparsity: f64,
    mean: f64,
    /// None of a single replica, and where there are too few.
    half_width: Option<f64>,
}

impl Difference {
    fn of(point: &CurvePoint) -> Option<Self> {
        let difference = point.over_one_shot?;
        Some(Self {
            sparsity: 100.0 * point.sparsity.mean,
            mean: 100.0 * difference.mean,
            half_width: difference.half_width().filter(|_| !difference.is_of_too_few()).map(|half| 100.0 * half),
        })
    }
}

/// A chart with room for labels; those of the y axis take `label_width` pixels.
fn builder<'a, 's>(area: &'a Area<'s>, label_width: u32) -> ChartBuilder<'a, 'a, SVGBackend<'s>> {
    let mut builder = ChartBuilder::on(area);
    builder.margin(14).margin_right(34).x_label_area_size(66).y_label_area_size(label_width);
    builder
}

/// Where the bars of a curve are shifted to, in per cent of sparsity, so that those of other curves stand beside them.
fn phase(curve: usize, curves: usize) -> f64 {
    BAR_SPACING * (curve as f64 + 0.5) / curves as f64
}

/// Indices of the points nearest to `phase`, `phase` + spacing, and so on.
fn spaced(points: &[(f64, f64)], phase: f64) -> Vec<usize> {
    let mut chosen: Vec<usize> = (0..)
        .map(|step| phase + BAR_SPACING * f64::from(step))
        .take_while(|&target| target <= 100.0)
        .filter_map(|target| {
            let distance = |place: &usize| (points[*place].0 - target).abs();
            (0..points.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)))
        })
        .collect();
    chosen.dedup();
    chosen
}

#[cfg(test)]
mod tests {
    use super::super::{sample, write_figure};
    use super::*;
    use crate::error::Error;
    use crate::pruning::SweepRow;

    fn numbers(svg: &str) -> usize {
        svg.matches("<polygon").count()
    }

    #[test]
    fn both_files_are_written_and_the_png_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let cell = sample::cell();
        write_figure(&svg(&cell).unwrap(), |ending| Ok(folder.path().join(format!("figure4.{ending}")))).unwrap();
        let png = folder.path().join("figure4.png");
        let picture = image::open(&png).unwrap().into_rgb8();
        assert_eq!(picture.dimensions(), SIZE);
        let pixels = picture.into_raw();
        let black = pixels.chunks_exact(3).filter(|pixel| pixel.iter().all(|&part| part < 64)).count();
        assert!(pixels[..3] == [255; 3] && black > 1000, "nothing is drawn: {black} dark pixels");
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "something else was left behind: {names:?}");
    }

    #[test]
    fn the_rows_of_the_times_have_names_of_their_own() {
        let cell = sample::cell();
        let times = svg(&Results { sweep: Vec::new(), ..cell.clone() }).unwrap();
        for row in &cell.ledger.rows {
            let name = format!("{} {}", row.method, row.rule);
            assert_eq!(times.lines().filter(|line| line.trim() == name.trim()).count(), 1, "{name}");
        }
    }

    #[test]
    fn a_rule_looks_the_same_without_the_others() {
        // Markers of hold are circles, filled by one rule and hollow by the other.
        let hollow = |shown: &dyn Fn(&SweepRow) -> bool| {
            let mut cell = sample::cell();
            cell.ledger.rows.clear();
            cell.sweep.retain(|row| row.method == Method::Hold && shown(row));
            let svg = svg(&cell).unwrap();
            svg.split("<polygon").skip(1).filter(|polygon| polygon.contains("fill=\"#FFFFFF\"")).count()
        };
        let [first, kept] = ["frozen-first", "frozen-kept"].map(|rule| hollow(&|row| row.rule == rule));
        assert!(first == 0 && kept > 0, "{first} {kept}");
        assert!(hollow(&|_| true) >= kept);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        for [svg, png] in [[&missing, folder.path()], [folder.path(), &missing]] {
            let place = |ending: &str| Ok(if ending == "svg" { svg } else { png }.join(format!("a.{ending}")));
            assert!(matches!(
                write_figure("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"2\" height=\"2\"/>", place),
                Err(Error::Io { .. })
            ));
        }
    }

    #[test]
    fn axes_have_titles_with_units_and_the_title_says_what_is_shown() {
        let svg = svg(&sample::cell()).unwrap();
        for text in [
            "mnist · dnn · 5 replicas · 100 epochs (exponential decay: 3)",
            "Test accuracy (%)",
            "Milliseconds",
            "Difference (percentage points)",
            "hold s=50",
            "stability ε=0.01",
            "decay density",
            "chance, 11.4 %",
        ] {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn a_wide_gap_in_the_points_of_ms_is_not_bridged() {
        let mut cell = sample::cell();
        cell.sweep.retain(|row| row.method == Method::Stability && row.tolerance == Some(0.05));
        let lines = |cell: &Results| svg(cell).unwrap().matches("<polyline").count();
        let narrow = {
            let mut cell = cell.clone();
            for row in &mut cell.sweep {
                row.sparsity *= 0.1;
            }
            lines(&cell)
        };
        assert!(lines(&cell) > narrow, "{} and {narrow}", lines(&cell));
    }

    #[test]
    fn a_figure_of_one_replica_has_no_intervals_and_one_of_nothing_says_so() {
        let mut cell = sample::cell();
        cell.sweep.retain(|row| row.replica == 0);
        assert!(svg(&cell).is_ok());
        cell.sweep.clear();
        cell.ledger.rows.clear();
        let empty = svg(&cell).unwrap();
        assert!(empty.contains("no times were measured"));
        assert!(empty.contains("one-shot pruning was not measured"));
        assert_eq!(numbers(&empty), 0);
    }

    #[test]
    fn every_rule_of_decay_gets_a_curve_and_the_legend_stays_inside() {
        let mut cell = sample::cell();
        for rule in ["exd", "soft", "cubic"] {
            let more: Vec<_> = cell
                .sweep
                .iter()
                .filter(|row| row.rule == "density")
                .map(|row| SweepRow { rule: rule.into(), accuracy: 0.9 * row.accuracy, ..row.clone() })
                .collect();
            cell.sweep.extend(more);
        }
        let svg = svg(&cell).unwrap();
        for rule in ["decay density", "decay exd", "decay soft", "decay cubic"] {
            assert!(svg.contains(rule), "{rule}");
        }
        let heights = svg.split("<text ").skip(1).filter_map(|text| text.split(" y=\"").nth(1)?.split('"').next());
        let heights: Vec<u32> = heights.map(|height| height.parse().unwrap()).collect();
        assert!(heights.len() > 40 && heights.iter().all(|&height| height < SIZE.1 - 10), "{heights:?}");
    }

    #[test]
    fn bars_of_a_dense_curve_stand_ten_per_cent_apart() {
        let points: Vec<_> = (0..=100).map(|x| (f64::from(x), 0.0)).collect();
        assert_eq!(spaced(&points, 3.0), [3, 13, 23, 33, 43, 53, 63, 73, 83, 93]);
        assert_eq!(spaced(&points[..1], 3.0), [0]);
        assert_eq!(spaced(&[], 3.0), [0usize; 0]);
    }
}
