//! How what a figure shows looks: colours of a light and a dark sheet, and for each method a colour, a dash and a marker of its
//! own, whatever else the figure shows. Without colours curves differ in their dashes and markers, and each has its name beside it.
//!
//! Every colour has a contrast of 4.5 and more to its sheet (WCAG 2.2), so that words may have it too.

use crate::pruning::{Method, Repair};

/// An outline in units of the marker's size, y downwards.
pub(super) type Outline = &'static [(f64, f64)];

const UP: Outline = &[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)];
const DOWN: Outline = &[(0.0, 1.2), (1.1, -0.8), (-1.1, -0.8)];
const CIRCLE: Outline =
    &[(1.0, 0.0), (0.7, 0.7), (0.0, 1.0), (-0.7, 0.7), (-1.0, 0.0), (-0.7, -0.7), (0.0, -1.0), (0.7, -0.7)];
const SQUARE: Outline = &[(0.9, 0.9), (-0.9, 0.9), (-0.9, -0.9), (0.9, -0.9)];
const DIAMOND: Outline = &[(0.0, -1.3), (1.0, 0.0), (0.0, 1.3), (-1.0, 0.0)];
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

/// Something's colour: of a light sheet, and of a dark one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tone {
    /// Name of its classes in an SVG.
    pub(super) name: &'static str,
    pub(super) light: &'static str,
    pub(super) dark: &'static str,
}

const fn tone(name: &'static str, light: &'static str, dark: &'static str) -> Tone {
    Tone { name, light, dark }
}

/// The sheet.
pub(super) const PAPER: Tone = tone("paper", "#ffffff", "#16181b");
/// Words.
pub(super) const INK: Tone = tone("ink", "#1a1a1a", "#ececec");
/// Words that explain, axes and lines to compare with.
pub(super) const QUIET: Tone = tone("quiet", "#595959", "#ababab");
/// The grid, which nothing is read from alone.
pub(super) const GRID: Tone = tone("grid", "#e3e3e3", "#34373c");
const PURPLE: Tone = tone("purple", "#8f2d86", "#e08ad8");
const VIOLET: Tone = tone("violet", "#4f4fb5", "#a5a8ff");
const GRAY: Tone = tone("gray", "#616161", "#b4b4b4");
const GREEN: Tone = tone("green", "#00755a", "#3ecfa2");
const BLUE: Tone = tone("blue", "#0069a6", "#5cb8ee");
const BROWN: Tone = tone("brown", "#a65a00", "#f2b04a");
const RED: Tone = tone("red", "#c23b00", "#ff8a5c");
const OLIVE: Tone = tone("olive", "#6b7a00", "#c3d047");

/// All tones, for the style that turns a sheet dark.
pub(super) const TONES: [Tone; 12] = [PAPER, INK, QUIET, GRID, PURPLE, VIOLET, GRAY, GREEN, BLUE, BROWN, RED, OLIVE];

/// How a curve is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Look {
    /// Colour of line, band, markers and name.
    pub(super) tone: Tone,
    /// Lengths of dashes and gaps; none if the line is solid.
    pub(super) dash: &'static str,
    /// The marker, filled or hollow.
    pub(super) outline: Outline,
    pub(super) filled: bool,
}

impl Look {
    /// The look of a method, cut or solved anew.
    pub(super) fn new(method: Method, repair: Repair) -> Self {
        let (tone, dash, outline, filled) = match (method, repair) {
            (Method::HoldSurgeon, _) => (PURPLE, "", DIAMOND, true),
            (Method::Surgeon, _) => (VIOLET, "7 4", DIAMOND, false),
            (Method::Magnitude, Repair::Refit) => (GRAY, "11 4", CIRCLE, false),
            (Method::Dense | Method::Magnitude, Repair::Cut) | (Method::Dense, Repair::Refit) => {
                (INK, "", CIRCLE, true)
            }
            (Method::MagnitudeFrozenFirst, _) => (GRAY, "2 3", SQUARE, false),
            (Method::Wanda, _) => (GREEN, "3 3", CROSS, true),
            (Method::Stability, _) => (BLUE, "", DOWN, true),
            (Method::Hold | Method::HoldInput, _) => (RED, "9 3 2 3", UP, true),
            (Method::Settle, _) => (OLIVE, "5 3", UP, false),
            (Method::Random, _) => (QUIET, "2 4", CROSS, false),
            (Method::DecaySequential | Method::DecayBatched, _) => (BROWN, "", SQUARE, true),
        };
        Self { tone, dash, outline, filled }
    }

    /// The look of what was timed at several sizes.
    pub(super) fn timed(name: &str) -> Self {
        let (tone, outline) = match name {
            "dnn step" => (BLUE, CIRCLE),
            "cnn step" => (RED, UP),
            "sort" => (GREEN, SQUARE),
            _ => (INK, DIAMOND),
        };
        Self { tone, dash: "", outline, filled: true }
    }
}

/// What turns a drawing dark where its reader wants it so.
pub(super) fn dark_style() -> String {
    let rule = |tone: &Tone| {
        let Tone { name, dark, .. } = tone;
        format!(".f-{name}{{fill:{dark}}}.s-{name}{{stroke:{dark}}}")
    };
    format!("@media (prefers-color-scheme:dark){{{}}}", TONES.iter().map(rule).collect::<String>())
}

/// The tones as variables of a page, for its own drawings, and its figures' colours where it is dark.
pub(super) fn page_style() -> String {
    let all = |colour: fn(&Tone) -> &'static str| {
        TONES.iter().map(|tone| format!("--{}: {};", tone.name, colour(tone))).collect::<String>()
    };
    let dark = all(|tone| tone.dark);
    format!(
        ":root {{ {} }} @media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }} {}",
        all(|tone| tone.light),
        dark_style()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance of `#rrggbb` (WCAG 2.2).
    fn luminance(colour: &str) -> f64 {
        let part = |at: usize| f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
        let linear =
            |at: usize| if part(at) <= 0.040_45 { part(at) / 12.92 } else { ((part(at) + 0.055) / 1.055).powf(2.4) };
        0.2126 * linear(1) + 0.7152 * linear(3) + 0.0722 * linear(5)
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let [one, other] = [one, other].map(luminance);
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn every_colour_stands_out_from_its_sheet() {
        assert!((contrast("#000000", "#ffffff") - 21.0).abs() < 1e-9);
        for tone in TONES.iter().filter(|tone| ![PAPER, GRID].contains(tone)) {
            let [light, dark] = [contrast(tone.light, PAPER.light), contrast(tone.dark, PAPER.dark)];
            assert!(light >= 4.5 && dark >= 4.5, "{}: {light} {dark}", tone.name);
        }
    }

    #[test]
    fn methods_differ_without_their_colours() {
        let cut = [
            Method::Magnitude,
            Method::MagnitudeFrozenFirst,
            Method::Wanda,
            Method::Stability,
            Method::Hold,
            Method::Settle,
            Method::Random,
            Method::DecaySequential,
        ];
        let refit = [Method::HoldSurgeon, Method::Surgeon, Method::Magnitude];
        let all: Vec<Look> = cut
            .map(|method| Look::new(method, Repair::Cut))
            .into_iter()
            .chain(refit.map(|method| Look::new(method, Repair::Refit)))
            .collect();
        for (index, look) in all.iter().enumerate() {
            for other in &all[..index] {
                let gray = |look: &Look| (look.dash, look.outline, look.filled);
                assert_ne!(gray(look), gray(other));
            }
        }
    }
}
