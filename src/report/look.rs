//! How the curves of a figure look.
//!
//! Colours are those of Okabe & Ito, told apart by the colour-blind; curves of one method share the colour and differ in
//! their markers. A secondary curve, the other rule of a method, is thin and dashed and its markers are hollow.

use crate::pruning::Method;
use plotters::element::{PathElement, Polygon};
use plotters::style::{Color, RGBColor, ShapeStyle, WHITE};

/// Half the height of a marker, in pixels.
const MARKER_SIZE: f64 = 6.0;

/// Outlines of markers in units of their size, y downwards.
const MARKERS: [&[(f64, f64)]; 9] = [
    &[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)],
    &[(0.0, 1.2), (1.1, -0.8), (-1.1, -0.8)],
    &[(1.2, 0.0), (-0.8, 1.1), (-0.8, -1.1)],
    &[(1.0, 0.0), (0.7, 0.7), (0.0, 1.0), (-0.7, 0.7), (-1.0, 0.0), (-0.7, -0.7), (0.0, -1.0), (0.7, -0.7)],
    &[(0.9, 0.9), (-0.9, 0.9), (-0.9, -0.9), (0.9, -0.9)],
    &[(0.0, -1.3), (1.0, 0.0), (0.0, 1.3), (-1.0, 0.0)],
    &[
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
    ],
    &[
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
    ],
    &[(-1.2, 0.0), (0.8, 1.1), (0.8, -1.1)],
];

/// A place in pixels, y downwards.
type Pixel = (i32, i32);

/// How a curve is drawn.
#[derive(Clone, Copy)]
pub(super) struct Look {
    /// Colour of line, bars and markers.
    pub(super) colour: RGBColor,
    /// Whether it is the other rule of a method whose first rule is shown too.
    pub(super) secondary: bool,
    outline: &'static [(f64, f64)],
}

impl Look {
    /// The look of the `variant`-th curve of a method. The other rule keeps the marker of the first.
    pub(super) fn new(method: Method, variant: usize, secondary: bool) -> Self {
        let (colour, marker) = match method {
            Method::Ms => (RGBColor(0, 114, 178), 0),
            Method::Hold => (RGBColor(213, 94, 0), 3),
            Method::Settle => (RGBColor(0, 158, 115), 4),
            Method::Dense | Method::Magnitude => (RGBColor(0, 0, 0), 5),
            Method::MagnitudeFrozenFirst => (RGBColor(204, 121, 167), 8),
            Method::Random => (RGBColor(86, 180, 233), 7),
            Method::EdSequential | Method::EdBatched => (RGBColor(230, 159, 0), 6),
        };
        let variant = if secondary { 0 } else { variant };
        Self { colour, secondary, outline: MARKERS[(marker + variant) % MARKERS.len()] }
    }

    /// Width of lines and bars.
    pub(super) fn stroke(self) -> ShapeStyle {
        self.colour.stroke_width(if self.secondary { 1 } else { 2 })
    }

    /// The marker in pixels around its place: its area, and its outline.
    pub(super) fn marker(self) -> (Polygon<Pixel>, PathElement<Pixel>) {
        let scaled = |&(x, y): &(f64, f64)| ((x * MARKER_SIZE).round() as i32, (y * MARKER_SIZE).round() as i32);
        let outline: Vec<_> = self.outline.iter().map(scaled).collect();
        let closed: Vec<_> = outline.iter().copied().chain(outline.first().copied()).collect();
        let area = if self.secondary { WHITE } else { self.colour };
        (Polygon::new(outline, area.filled()), PathElement::new(closed, self.colour.stroke_width(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_of_one_figure_differ_in_colour_and_in_marker() {
        let methods = [
            Method::Ms,
            Method::Settle,
            Method::Hold,
            Method::Magnitude,
            Method::MagnitudeFrozenFirst,
            Method::Random,
            Method::EdSequential,
        ];
        for (index, &method) in methods.iter().enumerate() {
            for &other in &methods[..index] {
                let (a, b) = (Look::new(method, 0, false), Look::new(other, 0, false));
                assert_ne!(a.colour, b.colour, "{method} and {other}");
                assert_ne!(a.outline, b.outline, "{method} and {other}");
            }
        }
    }

    #[test]
    fn tolerances_of_ms_differ_in_their_markers() {
        let outlines = [0, 1, 2].map(|variant| Look::new(Method::Ms, variant, false).outline);
        assert!(outlines[0] != outlines[1] && outlines[1] != outlines[2] && outlines[0] != outlines[2]);
    }
}
