//! What all figures draw with, and figures as files: the SVG as it is, and the PNG that is drawn of it with the font that comes
//! with the program.

use super::look::{PAPER, dark_style};
use super::pen::Sheet;
use crate::error::{Error, Result};
use crate::numbers::significant;
use crate::run_folder;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{Options, Tree};
use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// The built-in font, under the name that figures ask for.
static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
    let name = fonts.faces().find_map(|face| face.families.first().map(|(name, _)| name.clone()));
    fonts.set_sans_serif_family(name.unwrap_or_default());
    Arc::new(fonts)
});

/// A figure that could not be drawn.
pub(super) fn failed(error: impl Display) -> Error {
    Error::Job(format!("a figure could not be drawn: {error}; the CSV files hold the same numbers"))
}

/// A figure made of parts, as the text of an SVG file.
pub(super) fn sheet((width, height): (f64, f64), sheet: Sheet, about: &str, parts: &str) -> String {
    let (style, ground) = match sheet {
        Sheet::Light => (format!("<style>{}</style>", dark_style()), PAPER.light),
        Sheet::Dark => (String::new(), PAPER.dark),
    };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" role=\"img\" aria-label=\"{about}\">{style}<rect width=\"{width}\" height=\"{height}\" \
         class=\"f-paper\" fill=\"{ground}\"/>{parts}</svg>\n"
    )
}

/// A tick's number without needless zeros.
pub(super) fn tick(value: f64) -> String {
    if value.abs() >= 1000.0 {
        return significant(value.round());
    }
    let text = format!("{value:.5}");
    text.trim_end_matches('0').trim_end_matches('.').replace('-', "−")
}

/// Writes a figure as it is.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written.
pub(super) fn write_svg(svg: &str, path: &Path) -> Result<()> {
    run_folder::write(path, |file| file.write_all(svg.as_bytes()))
}

/// Draws a figure, and writes the picture as a PNG file.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written, [`Error::Job`] if the drawing fails.
pub(super) fn write_png(svg: &str, path: &Path) -> Result<()> {
    let options = Options { fontdb: Arc::clone(&FONTS), ..Options::default() };
    let tree = Tree::from_str(&emboldened(svg), &options).map_err(failed)?;
    let size = tree.size().to_int_size();
    let mut picture = Pixmap::new(size.width(), size.height()).ok_or_else(|| failed("it has no area"))?;
    resvg::render(&tree, Transform::identity(), &mut picture.as_mut());
    let png = picture.encode_png().map_err(failed)?;
    run_folder::write(path, |file| file.write_all(&png))
}

/// Bold words get an outline of their own colour: the built-in font has no bold letters.
fn emboldened(svg: &str) -> String {
    let mut parts = svg.split(" font-weight=\"bold\"");
    let mut text = String::from(parts.next().unwrap_or_default());
    for part in parts {
        let colour = text.rsplit("fill=\"").next().and_then(|rest| rest.split('"').next()).unwrap_or_default();
        text += &format!(" stroke=\"{colour}\" stroke-width=\"0.045em\"{part}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns of an SVG text's picture that have ink.
    fn inked(text: &str, more: &str) -> Vec<bool> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"300\" height=\"40\"><rect width=\"300\" height=\"40\" \
             fill=\"#FFFFFF\"/><text x=\"10\" y=\"30\" font-family=\"sans-serif\" font-size=\"22\" fill=\"#000000\"{more}>{text}</text></svg>"
        );
        write_png(&svg, &path).unwrap();
        let picture = image::open(&path).unwrap().into_luma8();
        (0..picture.width()).map(|x| (0..picture.height()).any(|y| picture.get_pixel(x, y).0[0] < 200)).collect()
    }

    #[test]
    fn ticks_have_no_needless_zeros() {
        assert_eq!([0.1, 25.0, -2.5, 10_000.0, 0.0].map(tick), ["0.1", "25", "−2.5", "10,000", "0"]);
    }

    #[test]
    fn words_of_a_picture_are_apart() {
        let widest_gap = |text: &str| {
            let columns = inked(text, "");
            let first = columns.iter().position(|&ink| ink).unwrap();
            let last = columns.iter().rposition(|&ink| ink).unwrap();
            columns[first..last].split(|&ink| ink).map(<[bool]>::len).max().unwrap()
        };
        assert!(widest_gap("only ED") >= widest_gap("onlyED") + 4);
    }

    #[test]
    fn bold_words_are_heavier_in_a_picture_too() {
        let columns = |more: &str| inked("llllllll", more).into_iter().filter(|&ink| ink).count();
        assert!(columns(" font-weight=\"bold\"") > columns(""));
    }
}
