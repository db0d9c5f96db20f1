//! Where the names of a panel stand: those of levels and of curves, none over another nor over what is drawn.

use super::{Drawing, Format, Marked, Series, Upright};
use crate::report::look::{QUIET, Tone};
use crate::report::pen::{apart, width_of};

/// The box that names and markers take: left, top, right, bottom.
type Taken = [f64; 4];

fn overlap(one: &Taken, other: &Taken) -> bool {
    one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3]
}

fn meets(one: &Taken, others: &[Taken]) -> bool {
    others.iter().any(|other| overlap(one, other))
}

fn hits(one: &Taken, others: &[Taken]) -> usize {
    others.iter().filter(|other| overlap(one, other)).count()
}

/// A name beside its point: where its box is, and the line that leads to it if it is not at the point's height.
struct Beside<'a> {
    name: &'a str,
    tone: Tone,
    own: Taken,
    leader: Option<[(f64, f64); 2]>,
}

impl Drawing<'_> {
    /// What levels, curves, points and uprights cover, and the dots that lead on to names; not the bands.
    fn drawn(&self) -> Vec<Taken> {
        // Markers reach beyond their size by their corners.
        let (chart, marker, [left, top, right, bottom]) = (self.chart, 1.3 * self.format.marker, self.field);
        let level = |(value, _): &(f64, String)| [left, self.y(*value) - 1.0, right, self.y(*value) + 1.0];
        let upright = |one: &Upright| [self.x(one.x) - 2.0, top, self.x(one.x) + 2.0, bottom];
        let mut all: Vec<Taken> = chart.levels.iter().map(level).chain(chart.uprights.iter().map(upright)).collect();
        for one in &chart.series {
            for part in one.points.chunk_by(|a, b| b.x - a.x <= one.widest_gap) {
                let places: Vec<(f64, f64)> = part.iter().map(|point| (self.x(point.x), self.y(point.y))).collect();
                all.extend(places.iter().map(|(x, y)| [x - marker, y - marker, x + marker, y + marker]));
                all.extend(places.windows(2).flat_map(|pair| pieces(pair[0], pair[1], marker)));
                let ranges = |point: &super::Place| {
                    let (x, y) = (self.x(point.x), self.y(point.y));
                    let beside = |[low, high]: [f64; 2]| {
                        [self.x(low.max(chart.x.low)), y - 2.0, self.x(high.min(chart.x.high)), y + 2.0]
                    };
                    let above = |[low, high]: [f64; 2]| [x - 2.0, self.y(high), x + 2.0, self.y(low)];
                    [point.x_range.map(beside), point.y_range.map(above)].into_iter().flatten()
                };
                if part.len() == 1 {
                    all.extend(part.iter().flat_map(ranges));
                }
            }
            let last = one.points.last().filter(|_| !chart.names_beside);
            all.extend(last.map(|last| [self.x(last.x), self.y(last.y) - 1.0, right, self.y(last.y) + 1.0]));
        }
        all
    }

    /// What bands cover, from point to point in pieces.
    fn bands(&self) -> Vec<Taken> {
        let spread = |one: &Series| -> Vec<Taken> {
            let known: Vec<(f64, [f64; 2])> =
                one.points.iter().filter_map(|point| Some((point.x, point.y_range?))).collect();
            let joined = known.windows(2).filter(|pair| pair[1].0 - pair[0].0 <= one.widest_gap);
            joined.flat_map(|pair| self.band_pieces(pair[0], pair[1])).collect()
        };
        let [_, top, _, bottom] = self.field;
        let upright = |one: &Upright| one.x_range.map(|[low, high]| [self.x(low), top, self.x(high), bottom]);
        self.chart.series.iter().flat_map(spread).chain(self.chart.uprights.iter().filter_map(upright)).collect()
    }

    fn band_pieces(&self, from: (f64, [f64; 2]), to: (f64, [f64; 2])) -> impl Iterator<Item = Taken> {
        let edge = |side: usize| {
            let [start, end] = [from, to].map(|(x, range)| (self.x(x), self.y(range[side])));
            // Both edges in as many pieces.
            pieces(start, (end.0, start.1), self.format.marker).map(move |piece| {
                let along = |x: f64| start.1 + (end.1 - start.1) * (x - start.0) / (end.0 - start.0).max(1e-9);
                [piece[0], piece[2]].map(|x| (x, along(x)))
            })
        };
        edge(1)
            .zip(edge(0))
            .map(|(above, below)| [above[0].0, above[0].1.min(above[1].1), above[1].0, below[0].1.max(below[1].1)])
    }

    /// The levels' names with the places where they begin: as far left as there is room, just above the
    /// level, just below, or further away; outside the bands if that can be.
    fn places_of_levels(&self) -> Vec<(&str, (f64, f64), Taken)> {
        let text = self.format.text;
        let ([left, top, right, bottom], size) = (self.field, 0.87 * text);
        let (mut taken, bands) = (self.drawn(), self.bands());
        let mut found = Vec::new();
        for (value, words) in self.chart.levels.iter().filter(|(_, words)| !words.is_empty()) {
            let (y, width) = (self.y(*value), width_of(words, size));
            let steps = ((right - left - width) / (0.5 * text)).max(1.0) as u32;
            let heights = [-0.4 * text, 0.4 * text + 0.75 * size, -0.9 * text, 0.9 * text + 0.75 * size, -1.5 * text];
            let places = (0..steps).flat_map(|step| {
                let x = left + 0.4 * text + 0.5 * text * f64::from(step);
                heights.map(|height| (x, y + height))
            });
            let boxed = |(x, y): (f64, f64)| [x, y - 0.75 * size, x + width, y + 0.25 * size];
            let is_inside = |place: &(f64, f64)| boxed(*place)[1] >= top - text && boxed(*place)[3] <= bottom;
            // On a band words can be read, on a line they cannot.
            let met = |place: &(f64, f64)| (hits(&boxed(*place), &taken), meets(&boxed(*place), &bands));
            let place = places.filter(is_inside).min_by_key(met).unwrap_or((left + 0.4 * text, y - 0.4 * text));
            taken.push(boxed(place));
            found.push((words.as_str(), place, boxed(place)));
        }
        found
    }

    pub(super) fn names_of_levels(&mut self) {
        let found = self.places_of_levels().into_iter().map(|(words, place, _)| (words.to_string(), place));
        for (words, place) in found.collect::<Vec<_>>() {
            self.pen.words_over_lines(place, &words, 0.87 * self.format.text, QUIET);
        }
    }

    /// Names at the right, each at the height where its curve ends, pushed apart where they would touch.
    pub(super) fn names_at_the_end(&mut self) {
        let Format { text, .. } = self.format;
        let [_, top, right, bottom] = self.field;
        let mut ends: Vec<(&Series, (f64, f64))> = self
            .chart
            .series
            .iter()
            .filter(|one| !one.name.is_empty())
            .filter_map(|one| one.points.last().map(|last| (one, (self.x(last.x), self.y(last.y)))))
            .collect();
        ends.sort_by(|a, b| a.1.1.total_cmp(&b.1.1));
        let heights: Vec<f64> = ends.iter().map(|end| end.1.1).collect();
        let heights = apart(&heights, 1.2 * text, [top, bottom]);
        for ((one, (x, y)), height) in ends.into_iter().zip(heights) {
            // Dots lead on to the name where a curve ends before the axis does.
            self.pen.line(
                &[(x, y), (right.max(x) + 0.3 * text, y), (right + 1.1 * text, height)],
                one.look.tone,
                1.0,
                "1 3",
            );
            let place = (right + 1.9 * text, height);
            if one.marked != Marked::None {
                self.marker((right + 1.3 * text, height), one.look);
            }
            self.pen.words((place.0 + 0.2 * text, height + 0.35 * text), &one.name, text, one.look.tone, "start", "");
        }
    }

    /// Names beside points and uprights, where they cover neither each other nor what is drawn, and no leading line crosses them.
    fn places_beside(&self) -> Vec<Beside<'_>> {
        let Format { text, marker, .. } = self.format;
        let [left, top, right, bottom] = self.field;
        let (chart, gap) = (self.chart, marker + 0.5 * text);
        let mut taken = self.drawn();
        let mut names: Vec<Taken> = self.places_of_levels().into_iter().map(|(.., own)| own).collect();
        // The place, and where else a name may stand: above and below a point, everywhere along an upright.
        let of_point = |one: &Series| {
            let point = one.points.first()?;
            let shifts = (0..8).flat_map(|step| [-0.7, 0.7].map(|part| part * text * f64::from(step)));
            Some(((self.x(point.x), self.y(point.y)), shifts.collect::<Vec<f64>>()))
        };
        let of_upright = |one: &Upright| {
            let steps = ((bottom - top) / text - 2.0).max(1.0) as u32;
            ((self.x(one.x), top + text), (0..steps).map(|step| text * f64::from(step)).collect())
        };
        let points =
            chart.series.iter().filter_map(|one| Some((one.name.as_str(), one.look.tone, of_point(one)?, true)));
        let uprights = chart.uprights.iter().map(|one| (one.name.as_str(), one.look.tone, of_upright(one), false));
        let mut found = Vec::new();
        for (name, tone, ((x, y), shifts), is_point) in points.chain(uprights) {
            let width = width_of(name, text);
            let boxed = |dx: f64, dy: f64| [x + dx, y + dy - 0.6 * text, x + dx + width, y + dy + 0.6 * text];
            let leader = |one: &Taken| {
                let middle = (one[1] + one[3]) / 2.0;
                let near = if one[0] > x { one[0] } else { one[2] };
                let is_away = (middle - y).abs() > 0.5 * text || (near - x).abs() > 1.5 * gap;
                (is_point && is_away).then_some([(x, y), (near, middle)])
            };
            let is_inside = |one: &Taken| one[0] >= left && one[2] <= right + text && one[1] >= top && one[3] <= bottom;
            let is_crossed = |one: &Taken| {
                leader(one).is_some_and(|[from, to]| pieces(from, to, marker).any(|piece| meets(&piece, &names)))
            };
            // Near the point, else further to the side.
            let places = [0.0, 2.0, 4.0, 7.0].into_iter().flat_map(|away| {
                let [right, left] = [gap + away * text, -gap - width - away * text];
                shifts.iter().flat_map(move |&dy| [right, left].map(|dx| boxed(dx, dy)))
            });
            let inside = places.filter(is_inside).collect::<Vec<_>>();
            let met = |one: &&Taken| hits(one, &taken) + hits(one, &names) + usize::from(is_crossed(one));
            let own = inside.iter().min_by_key(met).copied().unwrap_or(boxed(gap, 0.0));
            let leader = leader(&own);
            taken.extend(leader.into_iter().flat_map(|[from, to]| pieces(from, to, marker)));
            names.push(own);
            found.push(Beside { name, tone, own, leader });
        }
        found
    }

    pub(super) fn names_beside(&mut self) {
        let text = self.format.text;
        let places = self.places_beside().into_iter();
        let found: Vec<_> =
            places.map(|Beside { name, tone, own, leader }| (name.to_string(), tone, own, leader)).collect();
        for (.., tone, _, leader) in &found {
            if let Some(places) = leader {
                self.pen.line(places, *tone, 1.0, "");
            }
        }
        for (name, tone, own, _) in found {
            let middle = (own[1] + own[3]) / 2.0;
            self.pen.words_over_lines((own[0], middle + 0.35 * text), &name, text, tone);
        }
    }
}

/// The boxes around a line from one place to another, piece by piece: the box around all of a slanting line is mostly empty.
fn pieces(from: (f64, f64), to: (f64, f64), length: f64) -> impl Iterator<Item = Taken> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let count = (dx.hypot(dy) / length).ceil().max(1.0);
    (0..count as u32).map(move |piece| {
        let [start, end] = [piece, piece + 1].map(|piece| f64::from(piece) / count);
        let (low, high) = (from.1 + dy * start, from.1 + dy * end);
        [from.0 + dx * start, low.min(high) - 1.0, from.0 + dx * end, low.max(high) + 1.0]
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::chart;
    use super::super::{Chart, Place};
    use super::*;
    use crate::pruning::SweepRow;
    use crate::report::figure_charts::{accuracy_chart, gain_chart, time_chart};
    use crate::report::pen::{Pen, Sheet};
    use crate::report::{leading, sample};

    fn drawing(chart: &Chart) -> Drawing<'_> {
        Drawing { chart, format: Format::PAGE, field: [50.0, 10.0, 330.0, 300.0], pen: Pen::new(Sheet::Light) }
    }

    #[test]
    fn the_name_of_a_level_goes_where_no_curve_lies() {
        let mut chart = chart();
        chart.levels = vec![(50.0, "chance 11.3 %".into())];
        chart.series.truncate(1);
        // Nothing near, then a bar at the left above and below, then a curve that falls onto the level.
        for heights in [[90.0, 90.0, 90.0, 90.0], [51.0, 90.0, 90.0, 90.0], [90.0, 80.0, 50.5, 50.5], [50.0; 4]] {
            for (place, height) in chart.series[0].points.iter_mut().zip(heights) {
                *place = Place { y: height, y_range: Some([height - 8.0, height + 8.0]), ..*place };
            }
            let drawing = drawing(&chart);
            let (_, place, own) = drawing.places_of_levels()[0];
            let covered = drawing.drawn().into_iter().filter(|one| overlap(one, &own)).count();
            assert_eq!(covered, 0, "{heights:?}");
            assert!(heights[0] != 90.0 || place.0 == 50.0 + 0.4 * 13.0, "{heights:?}: no reason to go to the right");
        }
    }

    #[test]
    fn no_name_is_struck_through_by_a_line_nor_covers_another() {
        for (replicas, retrained) in [(1, true), (2, false), (2, true), (5, true), (5, false)] {
            let mut cell = sample::cell();
            let is_shown = |row: &SweepRow| retrained || !row.method.retrains() || row.sparsity < 0.8;
            cell.sweep.retain(|row| row.replica < replicas && is_shown(row));
            let layer = leading::of_layer(&cell);
            let charts = [accuracy_chart(&cell, &layer), time_chart(&cell, &layer), gain_chart(&cell)];
            for (chart, format) in charts
                .iter()
                .flatten()
                .flat_map(|chart| [Format::PANEL, Format::PAGE, Format::SLIDE].map(|format| (chart, format)))
            {
                let drawing = chart.drawing(format, Sheet::Light);
                let lines = drawing.drawn();
                let mut names: Vec<Taken> = drawing.places_of_levels().into_iter().map(|(.., own)| own).collect();
                if chart.names_beside {
                    let beside = drawing.places_beside();
                    names.extend(beside.iter().map(|one| one.own));
                    let leaders = beside.iter().filter_map(|one| one.leader);
                    for [from, to] in leaders {
                        let crossed = pieces(from, to, 5.0).filter(|piece| meets(piece, &names)).count();
                        // The one that it leads to.
                        assert!(crossed <= 1, "{}: {replicas}", chart.message);
                    }
                }
                for (index, name) in names.iter().enumerate() {
                    assert!(!meets(name, &lines), "{}: {replicas} {format:?}", chart.message);
                    assert!(!meets(name, &names[..index]), "{}: {replicas} {format:?}", chart.message);
                }
            }
        }
    }

    #[test]
    fn the_name_of_a_level_stands_outside_a_band_if_that_can_be() {
        let mut chart = chart();
        chart.series.truncate(1);
        chart.levels = vec![(50.0, "chance".into())];
        for (place, height) in chart.series[0].points.iter_mut().zip([44.0, 44.0, 80.0, 80.0]) {
            *place = Place { y: height, y_range: Some([height - 14.0, height + 14.0]), ..*place };
        }
        let drawing = drawing(&chart);
        let (.., own) = drawing.places_of_levels()[0];
        assert!(!meets(&own, &drawing.bands()) && own[0] > 60.0, "{own:?}");
    }

    #[test]
    fn pieces_of_a_line_follow_it() {
        let found: Vec<Taken> = pieces((0.0, 0.0), (30.0, 40.0), 10.0).collect();
        assert_eq!(found.len(), 5);
        assert!(found.iter().all(|one| one[2] - one[0] <= 6.1 && one[3] - one[1] <= 10.1), "{found:?}");
        assert_eq!((found[0][0], found[4][2], found[4][3]), (0.0, 30.0, 41.0));
    }
}
