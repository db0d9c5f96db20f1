//! How time grows with a size: a panel for each size that was changed, both axes logarithmic, an exponent at the end of each line.

use super::chart::{Axis, Chart, Marked, Place, Series};
use super::figures::together;
use super::look::Look;
use super::pen::Sheet;
use super::picture::tick;
use super::scaling::{ScalingLine, ScalingPanel};
use crate::statistics::scaling::{Scaling, ScalingPoint};

/// An axis that ends further apart than this by a factor has ticks at powers of ten alone.
const DECADES: f64 = 300.0;

/// The figure as the text of an SVG file. What was not measured at two sizes has no panel.
pub fn svg(title: &str, panels: &[ScalingPanel], sheet: Sheet) -> String {
    let charts: Vec<Chart> =
        panels.iter().filter(|panel| !panel.lines.is_empty()).map(|panel| chart(title, panel)).collect();
    together(&charts.iter().collect::<Vec<_>>(), "How time grows with a size, and how the work does", sheet)
}

fn chart(title: &str, panel: &ScalingPanel) -> Chart {
    let points = || panel.lines.iter().flat_map(|line| &line.points);
    let y = axis(panel.time_title, points().map(|point| 1e3 * point.time), 1.6);
    let name = |line: &ScalingLine| match line.all.grows_faster() {
        true => line.name.clone(),
        false => format!("{} (larger half)", line.name),
    };
    let faster: Vec<String> = panel.lines.iter().filter(|line| line.grows_faster()).map(name).collect();
    let verdict = match faster.as_slice() {
        [] => "time grows no faster than its work".into(),
        some => format!("the time of {} grows FASTER than its work", some.join(" and ")),
    };
    Chart {
        message: format!("{}: {verdict}", panel.size_title),
        about: title.into(),
        x: axis(panel.size_title, points().map(|point| point.size), 1.25),
        series: panel.lines.iter().flat_map(|line| series(line, [y.low, y.high])).collect(),
        y,
        note: "Logarithmic axes. Markers: medians of repetitions; solid: fitted power law; dashed: as the work grows."
            .into(),
        ..Chart::default()
    }
}

/// A logarithmic axis that leaves a factor free on both sides of its values.
fn axis(title: &str, values: impl Iterator<Item = f64> + Clone, free: f64) -> Axis {
    let (low, high) = (values.clone().fold(f64::INFINITY, f64::min) / free, values.fold(0.0, f64::max) * free);
    let within_decade: &[f64] = if high / low > DECADES { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let decades = low.log10().floor() as i32..=high.log10() as i32;
    let marks = decades.flat_map(|decade| within_decade.iter().map(move |mark| mark * 10f64.powi(decade)));
    let ticks = marks.filter(|mark| (low..=high).contains(mark)).map(|mark| (mark, tick(mark))).collect();
    Axis { title: title.into(), low, high, logarithmic: true, ticks, ..Axis::default() }
}

/// What was measured, the power law through it, and what the time would be if it grew as the work does, through the middle of what
/// was measured; lines as far as the axis goes.
fn series(line: &ScalingLine, [least, most]: [f64; 2]) -> [Series; 3] {
    let ratios: f64 = line.points.iter().map(|point| (point.time / point.work).ln()).sum();
    let seconds_per_work = (ratios / line.points.len() as f64).exp();
    let series = |name: String, look: Look, marked: Marked, seconds: &dyn Fn(&ScalingPoint) -> f64| {
        let places =
            line.points.iter().map(|point| Place { x: point.size, y: 1e3 * seconds(point), ..Place::default() });
        let points = places.filter(|place| (least..=most).contains(&place.y)).collect();
        Series { name, look, points, widest_gap: if marked == Marked::All { 0.0 } else { f64::INFINITY }, marked }
    };
    let (look, Scaling { time, work_exponent, .. }) = (Look::timed(&line.name), line.all);
    let dashed = Look { dash: "7 5", ..look };
    [
        series(format!("{}: time x^{:.2}", line.name, time.slope), look, Marked::All, &|point| point.time),
        series(String::new(), look, Marked::None, &|point| line.all.time_at(point.size)),
        series(format!("{}: work x^{work_exponent:.2}", line.name), dashed, Marked::None, &|point| {
            seconds_per_work * point.work
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::scaling::tests::panels;
    use super::*;

    #[test]
    fn every_panel_has_titled_axes_its_exponents_and_a_message() {
        let svg = svg("CPU engine", &panels(), Sheet::Light);
        assert!(svg.contains("width=\"1540\" height=\"520\""), "{}", &svg[..200]);
        let count = |text: &str| svg.matches(&format!(">{text}<")).count();
        assert_eq!((count("Replicas"), count("Time of a step (ms)"), count("CPU engine")), (2, 2, 2));
        for text in [
            "Replicas: time grows no faster than its work",
            "Replicas: the time of sort grows FASTER than its work",
            "dnn step: time x^1.00",
            "dnn step: work x^1.00",
            "sort: time x^1.30",
            "count: time x^0.90",
        ] {
            assert_eq!(count(text), 1, "{text}");
        }
    }

    #[test]
    fn a_long_axis_has_powers_of_ten_and_a_short_one_more() {
        let marks = |values: [f64; 2]| -> Vec<String> {
            axis("", values.into_iter(), 1.25).ticks.into_iter().map(|(_, words)| words).collect()
        };
        assert_eq!(marks([100.0, 1e6]), ["100", "1,000", "10,000", "100,000", "1,000,000"]);
        assert_eq!(marks([28.0, 224.0]), ["50", "100", "200"]);
        assert_eq!(marks([0.011, 0.4]), ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5"]);
    }

    #[test]
    fn what_was_not_measured_has_no_panel() {
        let mut panels = panels();
        panels[0].lines.clear();
        assert!(!svg("", &panels, Sheet::Dark).contains("dnn step"));
    }
}
