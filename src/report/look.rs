//! How the curves of a figure look: a look belongs to a method, its rule and, for magnitude stability, its tolerance, never
//! to what else a figure shows.
//!
//! Colours are those of Okabe & Ito, told apart by the colour-blind; curves of one method share the colour. Without colours
//! curves differ in their markers and dashes.

use crate::pruning::Method;
use crate::pruning::operating_points::{CHOSEN_IN_TRAINING, FROZEN_KEPT};
use plotters::element::{PathElement, Polygon};
use plotters::style::{Color, RGBColor, ShapeStyle, WHITE};

/// Half the height of a marker, in pixels.
const MARKER_SIZE: f64 = 6.0;

/// An outline in units of the marker's size, y downwards.
type Outline = &'static [(f64, f64)];

const UP: Outline = &[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)];
const DOWN: Outline = &[(0.0, 1.2), (1.1, -0.8), (-1.1, -0.8)];
const RIGHT: Outline = &[(1.2, 0.0), (-0.8, 1.1), (-0.8, -1.1)];
const LEFT: Outline = &[(-1.2, 0.0), (0.8, 1.1), (0.8, -1.1)];
const CIRCLE: Outline =
    &[(1.0, 0.0), (0.7, 0.7), (0.0, 1.0), (-0.7, 0.7), (-1.0, 0.0), (-0.7, -0.7), (0.0, -1.0), (0.7, -0.7)];
const DOT: Outline =
    &[(0.6, 0.0), (0.4, 0.4), (0.0, 0.6), (-0.4, 0.4), (-0.6, 0.0), (-0.4, -0.4), (0.0, -0.6), (0.4, -0.4)];
const SQUARE: Outline = &[(0.9, 0.9), (-0.9, 0.9), (-0.9, -0.9), (0.9, -0.9)];
const SMALL_SQUARE: Outline = &[(0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5), (0.5, -0.5)];
const DIAMOND: Outline = &[(0.0, -1.3), (1.0, 0.0), (0.0, 1.3), (-1.0, 0.0)];
const LYING: Outline = &[(1.3, 0.4), (-1.3, 0.4), (-1.3, -0.4), (1.3, -0.4)];
const STANDING: Outline = &[(0.4, 1.3), (-0.4, 1.3), (-0.4, -1.3), (0.4, -1.3)];
const PLUS: Outline = &[
    (-0.35, -1.2),
    (0.35, -1.2),
    (0.35, -0.35),
    (1.2, -0.35),
    (1.2, 0.35),
    (0.35, 0.35),
    (0.35, 1.2),
    (-0.35, 1.2),
    (-0.35, 0.35),
    (-1.2, 0.35),
    (-1.2, -0.35),
    (-0.35, -0.35),
];
const CROSS: Outline = &[
    (-1.0, -0.6),
    (-0.6, -1.0),
    (0.0, -0.4),
    (0.6, -1.0),
    (1.0, -0.6),
    (0.4, 0.0),
    (1.0, 0.6),
    (0.6, 1.0),
    (0.0, 0.4),
    (-0.6, 1.0),
    (-1.0, 0.6),
    (-0.4, 0.0),
];

/// Pixels of a dash and of the gap after it.
pub(super) type Dash = (i32, i32);

const SOLID: Option<Dash> = None;
const LONG: Option<Dash> = Some((11, 5));
const SHORT: Option<Dash> = Some((5, 5));
const DOTTED: Option<Dash> = Some((2, 4));

/// Hollow markers of tolerances that are none of the usual ones: lines between few points show no dashes.
const OTHER_OUTLINES: [Outline; 5] = [UP, DOWN, RIGHT, LEFT, DIAMOND];
const OTHER_DASHES: [Option<Dash>; 3] = [SHORT, DOTTED, LONG];

/// A place in pixels, y downwards.
type Pixel = (i32, i32);

/// How a curve is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Look {
    /// Colour of line, bars and markers.
    pub(super) colour: RGBColor,
    /// Dashes of the line; none if it is solid.
    pub(super) dash: Option<Dash>,
    outline: Outline,
    filled: bool,
}

impl Look {
    /// The look of a method's rule, at a tolerance of magnitude stability. Of tolerances that are none of the usual ones
    /// two may want one look: the one that comes later takes the next that is not in `taken`.
    pub(super) fn new(method: Method, rule: &str, tolerance: Option<f64>, taken: &[Self]) -> Self {
        let colour = match method {
            Method::Stability => RGBColor(0, 114, 178),
            Method::Hold => RGBColor(213, 94, 0),
            Method::HoldInput => RGBColor(240, 228, 66),
            Method::Settle => RGBColor(0, 158, 115),
            Method::Dense | Method::Magnitude => RGBColor(0, 0, 0),
            Method::MagnitudeFrozenFirst => RGBColor(204, 121, 167),
            Method::Random => RGBColor(86, 180, 233),
            Method::Wanda => RGBColor(127, 127, 127),
            Method::HoldSurgeon => RGBColor(148, 38, 138),
            Method::Surgeon => RGBColor(110, 110, 200),
            Method::DecaySequential | Method::DecayBatched => RGBColor(230, 159, 0),
        };
        let look = |(outline, filled, dash)| Self { colour, dash, outline, filled };
        look(match (method, rule) {
            (Method::Stability, _) => match tolerance {
                None | Some(0.01) => (UP, true, SOLID),
                Some(0.03) => (DOWN, true, SOLID),
                Some(0.05) => (RIGHT, true, SOLID),
                Some(other) => {
                    let first = (other.to_bits() % 1009) as usize;
                    let outline = |place: usize| OTHER_OUTLINES[(first + place) % OTHER_OUTLINES.len()];
                    let places = 0..OTHER_OUTLINES.len() * OTHER_DASHES.len();
                    let mut all =
                        places.map(|place| (outline(place), false, OTHER_DASHES[place / OTHER_OUTLINES.len()]));
                    all.find(|&other| !taken.contains(&look(other))).unwrap_or((outline(0), false, SHORT))
                }
            },
            (Method::Hold, FROZEN_KEPT) => (CIRCLE, false, SHORT),
            (Method::Hold, CHOSEN_IN_TRAINING) => (DOT, true, DOTTED),
            (Method::Hold, _) => (CIRCLE, true, SOLID),
            (Method::HoldInput, FROZEN_KEPT) => (CIRCLE, false, DOTTED),
            (Method::HoldInput, _) => (CIRCLE, true, LONG),
            (Method::Settle, FROZEN_KEPT) => (SQUARE, false, SHORT),
            (Method::Settle, CHOSEN_IN_TRAINING) => (SMALL_SQUARE, true, DOTTED),
            (Method::Settle, _) => (SQUARE, true, SOLID),
            (Method::Dense | Method::Magnitude, _) => (DIAMOND, true, SOLID),
            (Method::MagnitudeFrozenFirst, _) => (LEFT, true, LONG),
            (Method::Wanda, _) => (CROSS, true, SHORT),
            (Method::HoldSurgeon, "mean") => (LYING, false, LONG),
            (Method::HoldSurgeon, _) => (DIAMOND, true, LONG),
            (Method::Surgeon, "mean") => (STANDING, false, LONG),
            (Method::Surgeon, _) => (DIAMOND, false, SHORT),
            (Method::Random, _) => (CROSS, true, DOTTED),
            (Method::DecaySequential | Method::DecayBatched, "exd") => (PLUS, false, SHORT),
            (Method::DecaySequential | Method::DecayBatched, "soft") => (LYING, true, DOTTED),
            (Method::DecaySequential | Method::DecayBatched, "cubic") => (STANDING, true, LONG),
            (Method::DecaySequential | Method::DecayBatched, _) => (PLUS, true, SOLID),
        })
    }

    /// Width of lines and bars.
    pub(super) fn stroke(self) -> ShapeStyle {
        self.colour.stroke_width(if self.filled { 2 } else { 1 })
    }

    /// The marker in pixels around its place: its area, and its outline.
    pub(super) fn marker(self) -> (Polygon<Pixel>, PathElement<Pixel>) {
        let scaled = |&(x, y): &(f64, f64)| ((x * MARKER_SIZE).round() as i32, (y * MARKER_SIZE).round() as i32);
        let outline: Vec<_> = self.outline.iter().map(scaled).collect();
        let closed: Vec<_> = outline.iter().copied().chain(outline.first().copied()).collect();
        let area = if self.filled { self.colour } else { WHITE };
        (Polygon::new(outline, area.filled()), PathElement::new(closed, self.colour.stroke_width(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pruning::decay::Rule;
    use crate::pruning::operating_points::FROZEN_FIRST;

    #[test]
    fn curves_differ_without_their_colours_and_methods_in_their_colours_too() {
        let criteria = [Method::Hold, Method::Settle]
            .into_iter()
            .flat_map(|method| [FROZEN_FIRST, FROZEN_KEPT, CHOSEN_IN_TRAINING].map(|rule| (method, rule)));
        let controls = [Method::Magnitude, Method::MagnitudeFrozenFirst, Method::Random].map(|method| (method, ""));
        let decay = Rule::ALL.map(|rule| (Method::DecaySequential, rule.name()));
        let others =
            criteria.chain(controls).chain(decay).map(|(method, rule)| (method, Look::new(method, rule, None, &[])));
        let ms = [0.01, 0.03, 0.05, 0.02]
            .map(|tolerance| (Method::Stability, Look::new(Method::Stability, "", Some(tolerance), &[])));
        let all: Vec<_> = others.chain(ms).collect();
        for (index, (method, look)) in all.iter().enumerate() {
            for (other_method, other) in &all[..index] {
                let grey = |look: &Look| (look.outline, look.filled, look.dash);
                assert_ne!(grey(look), grey(other), "{method} and {other_method}");
                assert_eq!(look.colour == other.colour, method == other_method, "{method} and {other_method}");
            }
        }
    }

    #[test]
    fn fifteen_unusual_tolerances_find_fifteen_looks_and_five_find_five_markers() {
        let mut taken = Vec::new();
        for step in 0..15 {
            let look = Look::new(Method::Stability, "", Some(0.1 + 0.01 * f64::from(step)), &taken);
            assert!(!taken.contains(&look), "{step}");
            assert!(step >= 5 || taken.iter().all(|other| other.outline != look.outline), "{step}");
            taken.push(look);
        }
        Look::new(Method::Stability, "", Some(0.7), &taken);
    }
}
