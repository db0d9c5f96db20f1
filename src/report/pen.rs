//! What draws on a sheet: lines, words and markers as SVG elements, and where words have room.

use super::layout::whole_words;
use super::look::{Look, PAPER, Tone};
use std::fmt::Write;

/// The sheet that a drawing is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sheet {
    /// White; where it is shown as SVG it turns dark with its reader's page.
    Light,
    /// Dark.
    Dark,
}

/// Width of words, about: fonts differ.
pub(super) fn width_of(words: &str, size: f64) -> f64 {
    0.53 * size * words.chars().count() as f64
}

/// Words in lines that fit a width; no line begins with the unit of a number.
pub(super) fn wrapped(words: &str, width: f64, size: f64) -> Vec<String> {
    const TOGETHER: &str = "\u{a0}";
    let words =
        [" %", " ms"].iter().fold(words.to_string(), |words, unit| words.replace(unit, &unit.replace(' ', TOGETHER)));
    // A blank is a little narrower than a letter.
    let letters = (width - 0.5 * size) / width_of("x", size) + 1.0;
    textwrap::wrap(&words, whole_words(letters as usize)).iter().map(|line| line.replace(TOGETHER, " ")).collect()
}

/// Text that cannot become markup.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A length to a tenth of a pixel.
pub(super) fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(String::from).unwrap_or(text)
}

pub(super) fn path(points: &[(f64, f64)]) -> String {
    points.iter().map(|(x, y)| format!("{},{}", px(*x), px(*y))).collect::<Vec<_>>().join(" ")
}

/// A drawing on a sheet, element by element.
pub(super) struct Pen {
    sheet: Sheet,
    /// What is drawn so far.
    pub(super) text: String,
}

impl Pen {
    /// Nothing drawn yet.
    pub(super) fn new(sheet: Sheet) -> Self {
        Self { sheet, text: String::new() }
    }

    /// What fills with a tone.
    pub(super) fn fill(&self, tone: Tone) -> String {
        let colour = if self.sheet == Sheet::Light { tone.light } else { tone.dark };
        format!("class=\"f-{}\" fill=\"{colour}\"", tone.name)
    }

    fn stroke(&self, tone: Tone, width: f64) -> String {
        let colour = if self.sheet == Sheet::Light { tone.light } else { tone.dark };
        format!("class=\"s-{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{}\"", tone.name, px(width))
    }

    /// Adds an element as it is.
    pub(super) fn push(&mut self, element: &str) {
        self.text.push_str(element);
    }

    /// A line, with dashes if there are some.
    pub(super) fn line(&mut self, points: &[(f64, f64)], tone: Tone, width: f64, dash: &str) {
        let dash = if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dash}\"") };
        let stroke = self.stroke(tone, width);
        self.push(&format!("<polyline points=\"{}\" {stroke}{dash}/>", path(points)));
    }

    /// Words that begin, stand or end (`anchor`) at their place; `more` are attributes.
    pub(super) fn words(&mut self, (x, y): (f64, f64), words: &str, size: f64, tone: Tone, anchor: &str, more: &str) {
        let fill = self.fill(tone);
        let (x, y, size) = (px(x), px(y), px(size));
        let _ = write!(
            self.text,
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" text-anchor=\"{anchor}\" {fill}{more}>{}</text>",
            escaped(words)
        );
    }

    /// Words that stay readable across lines: the sheet's colour is around them.
    pub(super) fn words_over_lines(&mut self, place: (f64, f64), words: &str, size: f64, tone: Tone) {
        let colour = if self.sheet == Sheet::Light { PAPER.light } else { PAPER.dark };
        let around =
            format!(" stroke=\"{colour}\" stroke-width=\"3\" stroke-linejoin=\"round\" paint-order=\"stroke\"");
        let fill = self.fill(tone).replacen("class=\"", "class=\"s-paper ", 1);
        let (x, y, size) = (px(place.0), px(place.1), px(size));
        let _ = write!(
            self.text,
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" text-anchor=\"start\" {fill}{around}>{}</text>",
            escaped(words)
        );
    }

    /// A marker of a look, so many pixels high on each side, with an outline.
    pub(super) fn marker(&mut self, (x, y): (f64, f64), look: Look, size: f64, width: f64) {
        let outline: Vec<(f64, f64)> = look.outline.iter().map(|(dx, dy)| (x + size * dx, y + size * dy)).collect();
        let (inside, class) = (if look.filled { look.tone } else { PAPER }, look.tone);
        let [fill, stroke] =
            [inside, class].map(|tone| if self.sheet == Sheet::Light { tone.light } else { tone.dark });
        self.push(&format!(
            "<polygon points=\"{}\" class=\"f-{} s-{}\" fill=\"{fill}\" stroke=\"{stroke}\" stroke-width=\"{}\"/>",
            path(&outline),
            inside.name,
            class.name,
            px(width)
        ));
    }
}

/// The corners of a line that are seen: what lies within a third of a pixel of the straight between others goes (Ramer 1972,
/// Douglas & Peucker 1973).
pub(super) fn simplified(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let [first, .., last] = points else { return points.to_vec() };
    let (dx, dy) = (last.0 - first.0, last.1 - first.1);
    let length = dx.hypot(dy).max(f64::MIN_POSITIVE);
    let away = |point: &(f64, f64)| ((point.0 - first.0) * dy - (point.1 - first.1) * dx).abs() / length;
    let distances = points.iter().enumerate().map(|(place, point)| (place, away(point)));
    let Some((place, _)) = distances.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, away)| *away > 0.3) else {
        return vec![*first, *last];
    };
    let mut found = simplified(&points[..=place]);
    found.pop();
    found.extend(simplified(&points[place..]));
    found
}

/// Ascending heights moved as little as needed until they are so far apart and within bounds.
pub(super) fn apart(heights: &[f64], least: f64, [top, bottom]: [f64; 2]) -> Vec<f64> {
    let mut moved = heights.to_vec();
    for _ in 0..60 {
        for place in 1..moved.len() {
            let missing = least - (moved[place] - moved[place - 1]);
            if missing > 0.0 {
                moved[place - 1] -= missing / 2.0;
                moved[place] += missing / 2.0;
            }
        }
        let shift = |ends: f64| ends.max(0.0);
        if let Some(first) = moved.first().copied() {
            let missing = shift(top - first);
            moved[0] += missing;
        }
        if let Some(last) = moved.last_mut() {
            *last -= shift(*last - bottom);
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_curves_that_end_together_are_apart_and_inside() {
        let moved = apart(&[10.0, 10.0, 11.0, 98.0, 99.0], 5.0, [8.0, 100.0]);
        assert!(moved.windows(2).all(|pair| pair[1] - pair[0] >= 4.9), "{moved:?}");
        assert!(moved[0] >= 7.9 && moved[4] <= 100.1, "{moved:?}");
        assert_eq!(apart(&[10.0, 50.0], 5.0, [0.0, 100.0]), [10.0, 50.0]);
    }

    #[test]
    fn a_line_keeps_its_corners_and_nothing_else() {
        let corner: Vec<(f64, f64)> =
            (0..=20).map(f64::from).map(|x| (x, if x < 10.0 { 0.0 } else { 2.0 * (x - 10.0) })).collect();
        assert_eq!(simplified(&corner), [(0.0, 0.0), (10.0, 0.0), (20.0, 20.0)]);
        assert_eq!(simplified(&corner[..2]), [(0.0, 0.0), (1.0, 0.0)]);
        assert!(simplified(&[]).is_empty());
    }

    #[test]
    fn a_message_too_long_for_a_line_takes_two() {
        let lines = wrapped(&"words ".repeat(30), 700.0, 19.0);
        assert!(lines.len() >= 2 && lines.iter().all(|line| width_of(line, 19.0) <= 720.0), "{lines:?}");
        assert_eq!(wrapped("by retraining 12.1 ms, 88 %", 95.0, 10.0), ["by retraining", "12.1 ms, 88 %"]);
    }
}
