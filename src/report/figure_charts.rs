//! What each panel of Figure 4 shows, and the sentence that it says.

use super::chart::{Axis, Chart, Marked, Place, Series, Upright};
use super::leading::{self, Leading};
use super::look::Look;
use super::picture;
use super::verdict::ORDERED_BY;
use crate::numbers::{counted, known_to};
use crate::pruning::{Method, Repair};
use crate::results::accuracy::{self, Curve, CurvePoint, at_size, at_sparsity};
use crate::results::comparison::Results;

/// Real points of magnitude stability further apart than this, in per cent of sparsity, are not joined by a line.
const WIDEST_GAP: f64 = 5.0;
/// The same by how many times smaller the network is.
const WIDEST_SIZE_GAP: f64 = 1.0;
/// Where the axis of sparsity begins if all curves coincide before, and where it ends: at 100 % nothing is left of a layer.
const FROM: f64 = 40.0;
const TO: f64 = 95.0;
/// Curves within so many per cent of the network unpruned are said to coincide with it.
const COINCIDE: f64 = 2.0;
/// Intervals of differences wider than so many percentage points are not drawn: they would hide the rest. Nor are those of fewer
/// networks than that: their widths jump from point to point.
const WIDEST_INTERVAL: f64 = 25.0;
const FEWEST_NETWORKS: usize = 3;
/// The size that the message of the whole network is about, where the run has it.
const TOLD_SIZE: f64 = 6.0;
fn about(cell: &Results) -> String {
    let workload = &cell.ledger.workload;
    format!(
        "{} · {} · {} · {}",
        workload.data_set,
        workload.model,
        counted(f64::from(workload.replicates), "network"),
        counted(f64::from(workload.epochs), "epoch")
    )
}

/// An axis whose ticks have the same step.
pub(super) fn linear(title: &str, low: f64, high: f64, step: f64) -> Axis {
    let first = (low / step).ceil() as i32;
    let ticks = (first..)
        .map(|tick| f64::from(tick) * step)
        .take_while(|tick| *tick <= high + 1e-9)
        .map(|tick| (tick, picture::tick(tick)))
        .collect();
    Axis { title: title.into(), low, high, ticks, ..Axis::default() }
}

/// The axis of accuracies, in per cent, that holds all `values`.
fn accuracy_axis(cell: &Results, values: impl Iterator<Item = f64>) -> Axis {
    let least = values.fold(100.0, f64::min);
    let low = if least < 40.0 { 0.0 } else { 10.0 * ((least - 3.0) / 10.0).floor() };
    let step = if low >= 80.0 { 5.0 } else { 10.0 };
    linear(&format!("{} accuracy (%)", cell.judged_by()), low, 100.0, step)
}

/// The level of the networks unpruned, and that of guessing where the axis has it.
fn levels(cell: &Results, low: f64) -> Vec<(f64, String)> {
    let dense = accuracy::dense(&cell.sweep).pop().map(|(_, summary)| 100.0 * summary.mean);
    let trained = dense.map(|level| (level, format!("trained, unpruned {level:.1} %")));
    let chance = 100.0 * cell.chance;
    let chance = (chance > low).then(|| (chance, format!("chance {chance:.1} %")));
    trained.into_iter().chain(chance).collect()
}

fn spread(point: &CurvePoint) -> Option<[f64; 2]> {
    let (mean, sd) = (100.0 * point.accuracy.mean, 100.0 * point.accuracy.sd?);
    Some([(mean - sd).max(0.0), (mean + sd).min(100.0)])
}

/// What the bands of these curves mean, if there are some.
fn spread_note(series: &[Series]) -> &'static str {
    match series.iter().flat_map(|one| &one.points).any(|place| place.y_range.is_some()) {
        true => "Mean over networks; band: ± one standard deviation.",
        false => "One network.",
    }
}

fn look(curve: &Curve) -> Look {
    Look::new(curve.method, curve.repair)
}

fn gap(method: Method) -> f64 {
    if method == Method::Stability { WIDEST_GAP } else { f64::INFINITY }
}

/// Accuracy by sparsity of one layer.
pub(super) fn accuracy_chart(cell: &Results, layer: &[Leading]) -> Option<Chart> {
    let place = |point: &CurvePoint| Place {
        x: 100.0 * point.sparsity.mean,
        y: 100.0 * point.accuracy.mean,
        y_range: spread(point),
        ..Place::default()
    };
    let dense = accuracy::dense(&cell.sweep).pop().map(|(_, summary)| 100.0 * summary.mean);
    let coincide = |one: &Leading| {
        let before = one.curve.points.iter().map(place).filter(|place| place.x <= FROM);
        // What retrains has other networks, and a level of its own from the beginning on.
        one.retrains() || before.into_iter().all(|place| dense.is_some_and(|dense| (place.y - dense).abs() <= COINCIDE))
    };
    let broken = layer.iter().all(coincide);
    let from = if broken { FROM } else { 0.0 };
    let series: Vec<Series> = layer
        .iter()
        .map(|one| Series {
            name: one.short.into(),
            look: look(&one.curve),
            points: one
                .curve
                .points
                .iter()
                .map(place)
                .filter(|place| (from - 1e-9..=TO + 1e-9).contains(&place.x))
                .collect(),
            widest_gap: gap(one.curve.method),
            marked: if one.curve.method == Method::Stability || one.retrains() { Marked::All } else { Marked::Some },
        })
        .filter(|one| !one.points.is_empty())
        .collect();
    if series.is_empty() {
        return None;
    }
    let y = accuracy_axis(cell, series.iter().flat_map(|one| &one.points).map(|place| place.y));
    let title = match broken {
        true => format!("Weights removed of the layer (%), from {FROM:.0} on"),
        false => "Weights removed of the layer (%)".into(),
    };
    let note = format!("{} Magnitude stability has its marked points alone.", spread_note(&series));
    Some(Chart {
        message: layer_message(layer),
        about: about(cell),
        levels: levels(cell, y.low),
        x: Axis { broken, ..linear(&title, from, TO, 10.0) },
        y,
        series,
        note,
        ..Chart::default()
    })
}

/// Accuracy of the method that leads, of the plainest one, and of retraining.
fn layer_message(layer: &[Leading]) -> String {
    let at = |one: &Leading| Some(at_sparsity(&one.curve, ORDERED_BY)?.accuracy.mean);
    let best = layer
        .iter()
        .filter(|one| !one.retrains())
        .filter_map(|one| Some((one, at(one)?)))
        .max_by(|one, other| one.1.total_cmp(&other.1));
    let Some((best, accuracy)) = best else { return "Accuracy by the share of a layer's weights that go".into() };
    let mut message = format!(
        "With {:.0} % of the layer removed {} keeps {:.1} %",
        100.0 * ORDERED_BY,
        best.with_article(),
        100.0 * accuracy
    );
    let others: Vec<String> = layer
        .iter()
        .filter(|one| (one.short == "one-shot" || one.retrains()) && one.short != best.short)
        .filter_map(|one| {
            Some(format!(
                "{} {:.1} %",
                if one.retrains() { "retraining" } else { "one-shot pruning" },
                100.0 * at(one)?
            ))
        })
        .collect();
    if !others.is_empty() {
        message += &format!(", {}", others.join(", "));
    }
    message
}

/// Accuracy by how many times smaller the whole network is.
pub(super) fn size_chart(cell: &Results, whole: &[Leading]) -> Option<Chart> {
    let place = |point: &CurvePoint| Place {
        x: point.smaller,
        y: 100.0 * point.accuracy.mean,
        y_range: spread(point),
        ..Place::default()
    };
    let series: Vec<Series> = whole
        .iter()
        .map(|one| Series {
            name: one.short.into(),
            look: look(&one.curve),
            points: one.curve.points.iter().map(place).collect(),
            widest_gap: if one.curve.method == Method::Stability { WIDEST_SIZE_GAP } else { f64::INFINITY },
            marked: Marked::All,
        })
        .filter(|one| !one.points.is_empty())
        .collect();
    let sizes = || series.iter().flat_map(|one| &one.points).map(|place| place.x);
    let (low, high) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
    if low >= high {
        return None;
    }
    let y = accuracy_axis(cell, series.iter().flat_map(|one| &one.points).map(|place| place.y));
    let marks = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0];
    let ticks = marks.into_iter().filter(|mark| (low - 0.01..=high + 0.01).contains(mark));
    let told = whole.iter().filter_map(|one| Some((one, at_size(&one.curve, TOLD_SIZE)?.accuracy.mean)));
    let told: Vec<String> = told
        .filter(|(one, _)| one.curve.method == Method::HoldSurgeon || one.retrains() || one.short == "one-shot")
        .map(|(one, accuracy)| format!("{} {:.1} %", one.short, 100.0 * accuracy))
        .collect();
    let message = match told.as_slice() {
        [] => "Accuracy by how many times smaller the whole network is".into(),
        some => format!("The whole network {TOLD_SIZE:.0} times smaller: {}", some.join(", ")),
    };
    let note = spread_note(&series).into();
    Some(Chart {
        message,
        about: about(cell),
        levels: levels(cell, y.low),
        x: Axis {
            title: "How many times smaller the whole network is (logarithmic)".into(),
            low,
            high,
            logarithmic: true,
            ticks: ticks.map(|mark| (mark, format!("{mark:.0}x"))).collect(),
            ..Axis::default()
        },
        y,
        series,
        note,
        ..Chart::default()
    })
}

/// Accuracy at one sparsity by what one more point costs.
pub(super) fn time_chart(cell: &Results, layer: &[Leading]) -> Option<Chart> {
    let series: Vec<Series> = layer
        .iter()
        .filter_map(|one| {
            let point = at_sparsity(&one.curve, ORDERED_BY)?;
            let (x, x_range) = one.milliseconds()?;
            let place = Place { x, y: 100.0 * point.accuracy.mean, x_range, y_range: spread(point) };
            let (name, look) = (one.short.into(), look(&one.curve));
            Some(Series { name, look, points: vec![place], widest_gap: 0.0, marked: Marked::All })
        })
        .collect();
    if series.is_empty() {
        return None;
    }
    // What retrains may have no network at that sparsity, but its time is what the message is about.
    let upright = |one: &Leading| {
        let (x, x_range) = one.milliseconds()?;
        let name = format!("{} (not at {:.0} %)", one.short, 100.0 * ORDERED_BY);
        Some(Upright { name, look: look(&one.curve), x, x_range })
    };
    let is_without = |one: &&Leading| one.retrains() && at_sparsity(&one.curve, ORDERED_BY).is_none();
    let uprights: Vec<Upright> = layer.iter().filter(is_without).filter_map(upright).collect();
    let times =
        || series.iter().flat_map(|one| &one.points).map(|place| place.x).chain(uprights.iter().map(|one| one.x));
    let decade = |value: f64| 10f64.powf(value.log10().floor());
    let (low, high) =
        (decade(0.8 * times().fold(f64::INFINITY, f64::min)), 10.0 * decade(1.2 * times().fold(0.0, f64::max)));
    let y = accuracy_axis(cell, series.iter().flat_map(|one| &one.points).map(|place| place.y));
    let decades = (high / low).log10().round() as i32;
    let label = |ms: f64| {
        if ms >= 1000.0 { format!("{} s", picture::tick(ms / 1000.0)) } else { format!("{} ms", picture::tick(ms)) }
    };
    let ticks = (0..=decades).map(|step| low * 10f64.powi(step)).map(|ms| (ms, label(ms)));
    let best = layer
        .iter()
        .filter(|one| !one.retrains())
        .filter_map(|one| Some((one, at_sparsity(&one.curve, ORDERED_BY)?.accuracy.mean, one.milliseconds()?)));
    let best = best.max_by(|one, other| one.1.total_cmp(&other.1));
    let decay = layer.iter().find(|one| one.retrains()).and_then(|one| one.milliseconds());
    let known = |(ms, range): (f64, Option<[f64; 2]>)| known_to(ms, range.map(|[low, high]| (high - low) / 2.0));
    let message = match (best, decay) {
        (Some((one, _, ms)), Some(decay)) => {
            format!(
                "One more pruned network: {} ms by {}, {} ms by retraining",
                known(ms),
                one.with_article(),
                known(decay)
            )
        }
        _ => "Accuracy by what one more pruned network costs".into(),
    };
    Some(Chart {
        message,
        about: format!("{} · {:.0} % of the layer removed", about(cell), 100.0 * ORDERED_BY),
        levels: levels(cell, y.low),
        x: Axis {
            title: "Time of one more pruned network (logarithmic)".into(),
            low,
            high,
            logarithmic: true,
            ticks: ticks.collect(),
            ..Axis::default()
        },
        y,
        series,
        uprights,
        names_beside: true,
        note: "Bars: ± one standard deviation of accuracy over networks; where the median time lies with 95 %.".into(),
    })
}

/// What criteria gain over one-shot pruning of the same networks.
pub(super) fn gain_chart(cell: &Results) -> Option<Chart> {
    let settled = accuracy::curves(&cell.sweep, cell.headline_window);
    let criteria =
        settled.iter().filter(|curve| curve.rule == cell.headline_rule).filter_map(|curve| match curve.method {
            Method::Hold => Some(("holding magnitude", curve)),
            Method::Settle => Some(("settling tolerance", curve)),
            _ => None,
        });
    let layer = leading::of_layer(cell);
    let leading = layer
        .iter()
        .filter(|one| {
            !one.retrains()
                && one.curve.method != Method::Stability
                && (one.curve.method, one.curve.repair) != (Method::Magnitude, Repair::Cut)
        })
        .map(|one| (one.short, &one.curve));
    let place = |point: &CurvePoint| {
        let difference = point.over_one_shot?;
        let is_known = difference.count >= FEWEST_NETWORKS && !difference.is_of_too_few();
        let half = difference.half_width().filter(|_| is_known).map(|half| 100.0 * half);
        let y = 100.0 * difference.mean;
        let y_range = half.filter(|half| *half <= WIDEST_INTERVAL).map(|half| [y - half, y + half]);
        Some(Place { x: 100.0 * point.sparsity.mean, y, y_range, ..Place::default() })
    };
    let series = |(name, curve): (&str, &Curve)| Series {
        name: name.into(),
        look: look(curve),
        points: curve
            .points
            .iter()
            .filter_map(place)
            .filter(|place| (FROM - 1e-9..=TO + 1e-9).contains(&place.x))
            .collect(),
        widest_gap: f64::INFINITY,
        marked: Marked::Some,
    };
    let series: Vec<Series> = leading.chain(criteria).map(series).filter(|one| !one.points.is_empty()).collect();
    if series.is_empty() {
        return None;
    }
    let bands = series.iter().flat_map(|one| &one.points).any(|place| place.y_range.is_some());
    let ends = || series.iter().flat_map(|one| &one.points).flat_map(|place| place.y_range.unwrap_or([place.y; 2]));
    let (least, most) = (ends().fold(0.0, f64::min), ends().fold(1.0, f64::max));
    let step = [1.0, 2.0, 5.0, 10.0, 20.0].into_iter().find(|step| (most - least) / step <= 9.0).unwrap_or(25.0);
    let (low, high) = (step * (least / step).floor(), step * (most / step).ceil());
    Some(Chart {
        message: "Accuracy gained over one-shot pruning of the same networks, in percentage points".into(),
        about: about(cell),
        levels: vec![(0.0, String::new())],
        x: Axis {
            broken: true,
            ..linear(&format!("Weights removed of the layer (%), from {FROM:.0} on"), FROM, TO, 10.0)
        },
        y: linear("Points over one-shot pruning", low, high, step),
        series,
        note: match bands {
            true => "As many weights removed; mean of the pairs, band: 95 % interval (Student's t).".into(),
            false => "As many weights removed; mean of the pairs. Too few networks for intervals.".into(),
        },
        ..Chart::default()
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_axis_is_cut_only_where_all_curves_coincide() {
        let cell = sample::cell();
        let title = |cell: &Results| accuracy_chart(cell, &leading::of_layer(cell)).unwrap().x;
        assert_eq!((title(&cell).low, title(&cell).broken), (FROM, true));
        let mut falling = cell;
        for row in falling.sweep.iter_mut().filter(|row| row.method == Method::Magnitude && row.sparsity > 0.2) {
            row.accuracy *= 0.9;
        }
        assert_eq!((title(&falling).low, title(&falling).broken), (0.0, false));
    }
}
