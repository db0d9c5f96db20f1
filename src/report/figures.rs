//! Figure 4 and its panels, each of one message: accuracy by sparsity of a layer, by size of the whole network, by the time of a
//! point, and what is gained over one-shot pruning.

use super::chart::{Chart, Format};
use super::figure_charts::{accuracy_chart, gain_chart, size_chart, time_chart};
use super::pen::Sheet;
use super::{leading, picture};
use crate::error::Result;
use crate::results::comparison::Results;
use std::path::PathBuf;

/// Pixels between the panels of the whole figure.
const GUTTER: f64 = 20.0;

/// A panel with the name of its files.
#[derive(Clone, Debug)]
pub struct Panel {
    /// `accuracy`, `size`, `time` or `gain`.
    pub name: &'static str,
    chart: Chart,
}

impl Panel {
    /// The panel as the text of an SVG file.
    pub fn svg(&self, format: Format, sheet: Sheet) -> String {
        self.chart.svg(format, sheet)
    }

    /// What it says, in a sentence.
    pub fn message(&self) -> &str {
        &self.chart.message
    }

    /// What its bands and bars mean.
    pub fn note(&self) -> &str {
        &self.chart.note
    }
}

/// The panels of a cell, as far as there is something to show.
pub fn panels(cell: &Results) -> Vec<Panel> {
    let layer = leading::of_layer(cell);
    let whole = leading::of_sizes(cell);
    let panel = |name, chart: Option<Chart>| chart.map(|chart| Panel { name, chart });
    [
        panel("accuracy", accuracy_chart(cell, &layer)),
        panel("size", size_chart(cell, &whole)),
        panel("time", time_chart(cell, &layer)),
        panel("gain", gain_chart(cell)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// All panels together as the text of an SVG file.
pub fn svg(panels: &[Panel], sheet: Sheet) -> String {
    let charts: Vec<&Chart> = panels.iter().map(|panel| &panel.chart).collect();
    together(&charts, "Accuracy and time of pruning", sheet)
}

/// Charts two side by side.
pub(super) fn together(charts: &[&Chart], about: &str, sheet: Sheet) -> String {
    let (width, height) = Format::PANEL.size();
    let columns = charts.len().clamp(1, 2);
    let rows = charts.len().div_ceil(columns).max(1);
    let along = |size: f64, count: usize| size * count as f64 + GUTTER * (count - 1) as f64;
    let (all, high) = (along(width, columns), along(height, rows));
    let mut text = String::new();
    for (place, chart) in charts.iter().enumerate() {
        let (x, y) = ((width + GUTTER) * (place % columns) as f64, (height + GUTTER) * (place / columns) as f64);
        let inner = chart.inner(Format::PANEL, sheet);
        text += &format!("<svg x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\">{inner}</svg>");
    }
    picture::sheet((all, high), sheet, about, &text)
}

/// Writes a cell's panels, and all of them together as `figure4`; `path` gives the place of a file in the folder of figures.
///
/// # Errors
/// [`crate::error::Error::Io`] if a file cannot be written, [`crate::error::Error::Job`] if a drawing fails.
pub fn write(cell: &Results, path: &dyn Fn(&str) -> Result<PathBuf>) -> Result<()> {
    for panel in panels(cell) {
        let [light, dark] = [Sheet::Light, Sheet::Dark].map(|sheet| panel.svg(Format::PANEL, sheet));
        write_drawing(panel.name, [&light, &dark], path)?;
    }
    write_whole(cell, "figure4", path)
}

/// Writes all panels of a cell together under a name.
///
/// # Errors
/// As [`fn@write`].
pub fn write_whole(cell: &Results, name: &str, path: &dyn Fn(&str) -> Result<PathBuf>) -> Result<()> {
    let panels = panels(cell);
    let [light, dark] = [Sheet::Light, Sheet::Dark].map(|sheet| svg(&panels, sheet));
    write_drawing(name, [&light, &dark], path)
}

/// Writes a drawing as `NAME.svg`, which follows its reader's choice of light and dark, `NAME.png` and `NAME-dark.png`.
///
/// # Errors
/// As [`fn@write`].
pub fn write_drawing(name: &str, [light, dark]: [&str; 2], path: &dyn Fn(&str) -> Result<PathBuf>) -> Result<()> {
    picture::write_svg(light, &path(&format!("{name}.svg"))?)?;
    picture::write_png(light, &path(&format!("{name}.png"))?)?;
    picture::write_png(dark, &path(&format!("{name}-dark.png"))?)
}

/// Writes each panel of a cell as a slide, `NAME-slide` with `suffix` behind the panel's name.
///
/// # Errors
/// As [`fn@write`].
pub fn write_slides(cell: &Results, suffix: &str, path: &dyn Fn(&str) -> Result<PathBuf>) -> Result<()> {
    for panel in panels(cell) {
        let [light, dark] = [Sheet::Light, Sheet::Dark].map(|sheet| panel.svg(Format::SLIDE, sheet));
        write_drawing(&format!("{}{suffix}-slide", panel.name), [&light, &dark], path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn named(cell: &Results, name: &str) -> Panel {
        panels(cell).into_iter().find(|panel| panel.name == name).unwrap()
    }

    #[test]
    fn every_file_is_written_and_the_pictures_are_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| Ok(folder.path().join(name));
        write(&sample::cell(), &path).unwrap();
        write_slides(&sample::cell(), "", &path).unwrap();
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        // Three panels and all together, light, dark and as SVG; three slides.
        assert_eq!(names.len(), 3 * 4 + 3 * 3, "{names:?}");
        for (name, size, ground) in [
            ("accuracy.png", (760, 520), 255),
            ("accuracy-dark.png", (760, 520), 22),
            ("figure4.png", (1540, 1060), 255),
            ("time-slide.png", (1280, 720), 255),
        ] {
            let picture = image::open(folder.path().join(name)).unwrap().into_rgb8();
            assert_eq!((picture.dimensions(), picture.get_pixel(1, 1).0[0]), (size, ground), "{name}");
            let inked = picture.pixels().filter(|pixel| pixel.0[0].abs_diff(ground) > 100).count();
            assert!(inked > 1000, "nothing is drawn in {name}: {inked}");
        }
    }

    #[test]
    fn a_panel_says_what_it_shows_with_units_and_names_each_curve_once() {
        let cell = sample::cell();
        let svg = named(&cell, "accuracy").svg(Format::PANEL, Sheet::Light);
        for text in
            ["With 90 % of the layer removed", "Test accuracy (%)", "Weights removed of the layer (%)", "chance 11.4 %"]
        {
            assert_eq!(svg.matches(text).count(), 1 + usize::from(text.starts_with("With 90")), "{text}");
        }
        for name in ["one-shot", "stability", "retrained"] {
            assert_eq!(svg.matches(&format!(">{name}</text>")).count(), 1, "{name}");
        }
        let time = named(&cell, "time");
        assert!(time.message().contains("260 ms by retraining"), "{}", time.message());
        assert!(time.svg(Format::PANEL, Sheet::Light).contains("100 ms"));
    }

    #[test]
    fn one_network_has_no_bands_and_nothing_has_no_panels() {
        let mut cell = sample::cell();
        cell.sweep.retain(|row| row.replica == 0);
        assert!(!named(&cell, "accuracy").svg(Format::PANEL, Sheet::Light).contains("fill-opacity"));
        cell.sweep.clear();
        cell.ledger.rows.clear();
        assert!(panels(&cell).is_empty());
        assert!(svg(&[], Sheet::Light).contains("</svg>"));
    }
}
