//! How time grows with replicas, width, side, weights and epochs, beside how the work grows: text, and the numbers behind it.

use crate::numbers::significant;
use crate::statistics::scaling::{Scaling, ScalingPoint};
use serde_json::{Value, json};

/// Lines over one size that was changed.
#[derive(Clone, Debug)]
pub struct ScalingPanel {
    /// Name of the size in tables: `replicas`, `width`, `side`, `weight_count`, `epochs`.
    pub axis: &'static str,
    /// Title of the x axis, with its unit.
    pub size_title: &'static str,
    /// Title of the y axis, with its unit; times are shown in milliseconds.
    pub time_title: &'static str,
    /// What was measured at each size.
    pub lines: Vec<ScalingLine>,
}

/// One quantity at several sizes.
#[derive(Clone, Debug)]
pub struct ScalingLine {
    /// What was timed: `dnn step`, `sort`.
    pub name: String,
    /// Median seconds, and what was done, at each size in ascending order.
    pub points: Vec<ScalingPoint>,
    /// Standard deviation of the seconds at each size.
    pub deviations: Vec<f64>,
    /// Exponents over all sizes.
    pub all: Scaling,
    /// Exponents over the larger half of the sizes.
    pub large: Scaling,
}

impl ScalingLine {
    /// Fits the exponents; `None` if there are not two different sizes.
    pub fn new(name: String, points: Vec<ScalingPoint>, deviations: Vec<f64>) -> Option<Self> {
        let (all, large) = (Scaling::fit(&points)?, Scaling::fit_large(&points)?);
        Some(Self { name, points, deviations, all, large })
    }

    /// Whether time grows faster than its work, over all sizes or over the larger half.
    pub fn grows_faster(&self) -> bool {
        self.all.grows_faster() || self.large.grows_faster()
    }

    /// Largest over smallest time per size, less one, among the sizes from `first` to `last`; `None` if there are none.
    pub fn spread_per_size(&self, first: f64, last: f64) -> Option<f64> {
        let within = self.points.iter().filter(|point| (first..=last).contains(&point.size));
        let each: Vec<f64> = within.map(|point| point.time / point.size).collect();
        let largest = each.iter().copied().reduce(f64::max)?;
        let smallest = each.iter().copied().reduce(f64::min)?;
        Some(largest / smallest - 1.0)
    }
}

/// The verdict on a line, in a word or two.
fn verdict(line: &ScalingLine) -> &'static str {
    if line.grows_faster() { "FASTER than its work" } else { "no faster than its work" }
}

/// All lines as a table for people, the times of each below it.
pub fn table(panels: &[ScalingPanel]) -> String {
    let mut text = String::from(
        "\x20                             exponent of time       of the larger half\n\
         over      what was timed     and of its work        and of its work     time grows\n",
    );
    for panel in panels {
        for line in &panel.lines {
            let exponents = |fit: &Scaling| {
                let error = fit.time.slope_standard_error.map(|error| format!(" ± {error:.2}")).unwrap_or_default();
                format!("{:5.2}{error:<7} {:5.2}", fit.time.slope, fit.work_exponent)
            };
            text += &format!(
                "{:<9} {:<17} {}     {}   {}\n",
                panel.axis,
                line.name,
                exponents(&line.all),
                exponents(&line.large),
                verdict(line)
            );
        }
    }
    for panel in panels {
        for line in &panel.lines {
            let points: Vec<String> = line
                .points
                .iter()
                .map(|point| format!("{}: {}", significant(point.size), significant(1e3 * point.time)))
                .collect();
            text += &format!("{} over {} (ms): {}\n", line.name, panel.axis, points.join(" · "));
        }
    }
    text
}

/// All lines as JSON.
pub fn as_json(panels: &[ScalingPanel]) -> Value {
    let exponents = |fit: &Scaling| {
        json!({
            "time_exponent": fit.time.slope,
            "time_exponent_standard_error": fit.time.slope_standard_error,
            "work_exponent": fit.work_exponent,
            "excess": fit.excess.slope,
            "excess_standard_error": fit.excess.slope_standard_error,
        })
    };
    let line = |panel: &ScalingPanel, line: &ScalingLine| {
        let points = line.points.iter().zip(&line.deviations);
        let points: Vec<Value> = points
            .map(|(point, sd)| json!({ "size": point.size, "seconds": point.time, "sd": sd, "work": point.work }))
            .collect();
        json!({
            "over": panel.axis,
            "timed": line.name,
            "points": points,
            "all_sizes": exponents(&line.all),
            "larger_half": exponents(&line.large),
            "grows_faster_than_its_work": line.grows_faster(),
        })
    };
    panels.iter().flat_map(|panel| panel.lines.iter().map(move |one| line(panel, one))).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::report) fn panels() -> Vec<ScalingPanel> {
        let line = |name: &str, exponent: f64| {
            let sizes = [1.0, 2.0, 5.0, 10.0, 50.0, 100.0];
            let points: Vec<ScalingPoint> =
                sizes.map(|size| ScalingPoint { size, time: 1e-4 * f64::powf(size, exponent), work: size }).to_vec();
            ScalingLine::new(name.into(), points, vec![1e-6; 6]).unwrap()
        };
        let panel =
            |axis, lines| ScalingPanel { axis, size_title: "Replicas", time_title: "Time of a step (ms)", lines };
        vec![
            panel("replicas", vec![line("dnn step", 1.0)]),
            panel("weights", vec![line("sort", 1.3), line("count", 0.9)]),
        ]
    }

    #[test]
    fn the_table_flags_only_what_grows_faster_than_its_work() {
        let text = table(&panels());
        let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap().to_string();
        assert!(line("sort").contains("1.30") && line("sort").contains("FASTER"), "{text}");
        for name in ["dnn step", "count"] {
            assert!(line(name).contains("no faster"), "{text}");
        }
        assert!(text.contains("sort over weights (ms): 1: 0.100"), "{text}");
    }

    #[test]
    fn the_spread_is_of_the_sizes_between() {
        let panels = panels();
        let spread = |line: &ScalingLine, first, last| line.spread_per_size(first, last);
        assert!(spread(&panels[0].lines[0], 2.0, 50.0).unwrap() < 1e-12);
        assert!((spread(&panels[1].lines[0], 1.0, 100.0).unwrap() - (100f64.powf(0.3) - 1.0)).abs() < 1e-9);
        assert_eq!(spread(&panels[0].lines[0], 200.0, 300.0), None);
    }
}
