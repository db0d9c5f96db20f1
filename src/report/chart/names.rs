//! Where the names of a panel stand: those of levels and of curves, none over another nor over what is drawn.

use super::{Drawing, Format, Marked, Series};
use crate::report::look::QUIET;
use crate::report::pen::{apart, width_of};

/// The box that names and markers take: left, top, right, bottom.
type Taken = [f64; 4];

fn overlap(one: &Taken, other: &Taken) -> bool {
    one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3]
}

impl Drawing<'_> {
    /// What levels, curves and points cover, and the dots that lead on to names; not the bands, on which words can be read.
    fn drawn(&self) -> Vec<Taken> {
        // Markers reach beyond their size by their corners.
        let (chart, marker, [left, _, right, _]) = (self.chart, 1.3 * self.format.marker, self.field);
        let level = |(value, _): &(f64, String)| [left, self.y(*value) - 1.0, right, self.y(*value) + 1.0];
        let mut all: Vec<Taken> = chart.levels.iter().map(level).collect();
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

    /// The levels' names with the places where they begin: as far left as there is room, just above the
    /// level, just below, or further above.
    fn places_of_levels(&self) -> Vec<(&str, (f64, f64), Taken)> {
        let text = self.format.text;
        let ([left, top, right, bottom], size) = (self.field, 0.87 * text);
        let mut taken = self.drawn();
        let mut found = Vec::new();
        for (value, words) in self.chart.levels.iter().filter(|(_, words)| !words.is_empty()) {
            let (y, width) = (self.y(*value), width_of(words, size));
            let steps = ((right - left - width) / (0.5 * text)).max(1.0) as u32;
            let sides = (0..steps).flat_map(|step| {
                let x = left + 0.4 * text + 0.5 * text * f64::from(step);
                [(x, y - 0.4 * text), (x, y + 0.4 * text + 0.75 * size), (x, y - 0.9 * text)]
            });
            let boxed = |(x, y): (f64, f64)| [x, y - 0.75 * size, x + width, y + 0.25 * size];
            let free = |place: &(f64, f64)| {
                let one = boxed(*place);
                one[1] >= top - text && one[3] <= bottom && !taken.iter().any(|other| overlap(&one, other))
            };
            let place = sides.clone().find(free).unwrap_or((left + 0.4 * text, y - 0.4 * text));
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

    /// Names beside points, where they cover neither each other nor what is drawn.
    pub(super) fn names_beside(&mut self) {
        let Format { text, marker, .. } = self.format;
        let [left, top, right, bottom] = self.field;
        let mut taken = self.drawn();
        taken.extend(self.places_of_levels().into_iter().map(|(.., taken)| taken));
        let points: Vec<(&Series, (f64, f64))> = self
            .chart
            .series
            .iter()
            .filter_map(|one| one.points.first().map(|point| (one, (self.x(point.x), self.y(point.y)))))
            .collect();
        for (one, (x, y)) in points {
            let (width, gap) = (width_of(&one.name, text), marker + 0.5 * text);
            let sides = (0..8).flat_map(|step| {
                let shift = f64::from(step) * 0.7 * text;
                [(gap, -shift), (gap, shift), (-gap - width, -shift), (-gap - width, shift)]
            });
            let boxed = |(dx, dy): (f64, f64)| [x + dx, y + dy - 0.6 * text, x + dx + width, y + dy + 0.6 * text];
            let free = |one: &Taken| {
                one[0] >= left
                    && one[2] <= right + text
                    && one[1] >= top
                    && one[3] <= bottom
                    && !taken.iter().any(|other| overlap(one, other))
            };
            let found = sides.map(boxed).find(free).unwrap_or(boxed((gap, 0.0)));
            taken.push(found);
            let middle = (found[1] + found[3]) / 2.0;
            if (middle - y).abs() > 0.5 * text {
                let near = if found[0] > x { found[0] } else { found[2] };
                self.pen.line(&[(x, y), (near, middle)], one.look.tone, 1.0, "");
            }
            self.pen.words_over_lines((found[0], middle + 0.35 * text), &one.name, text, one.look.tone);
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
    use crate::report::pen::{Pen, Sheet};

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
    fn pieces_of_a_line_follow_it() {
        let found: Vec<Taken> = pieces((0.0, 0.0), (30.0, 40.0), 10.0).collect();
        assert_eq!(found.len(), 5);
        assert!(found.iter().all(|one| one[2] - one[0] <= 6.1 && one[3] - one[1] <= 10.1), "{found:?}");
        assert_eq!((found[0][0], found[4][2], found[4][3]), (0.0, 30.0, 41.0));
    }
}
