//! Text for a terminal: lines, columns, tables.

use comfy_table::{CellAlignment, Row, Table, presets};
use std::ops::RangeBounds;
use textwrap::{Options, WordSeparator, WordSplitter};

/// Shown where there is nothing to show.
pub(super) const NOTHING: &str = "–";
/// Stands for an interval that says nothing; [`super::tables::TOO_FEW`] explains it.
pub(super) const UNKNOWN: &str = " ± ?";

/// Columns of a terminal that the text fits in.
pub(super) const WIDTH: usize = 120;

/// A line of a table: a label, and a text for each column.
pub(super) struct Line {
    /// What the line is about.
    pub(super) label: String,
    /// One entry for each column.
    pub(super) columns: Vec<String>,
}

/// A table: its title, its rows with the names of the columns first, and what a reader should know.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    pub(super) title: String,
    /// So many columns, the first ones, hold words.
    pub(super) words: usize,
    pub(super) rows: Vec<Vec<String>>,
    pub(super) notes: Vec<String>,
}

impl Grid {
    /// The table as text; every line ends with a line break.
    pub(super) fn text(&self) -> String {
        let notes: String = self.notes.iter().map(|note| wrapped(note)).collect();
        format!("{}\n{}{notes}", self.title, aligned(&self.rows, 1..))
    }
}

/// Rows of equally many entries as lines that end: two blanks before each column, `numbers` to the right, all others to the left.
pub(crate) fn aligned<R: Into<Row>>(rows: impl IntoIterator<Item = R>, numbers: impl RangeBounds<usize>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).add_rows(rows);
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((2, 0));
        column.set_cell_alignment(if numbers.contains(&place) { CellAlignment::Right } else { CellAlignment::Left });
    }
    table.trim_fmt() + "\n"
}

/// Lines of at most so many characters, as far as whole words allow.
pub(super) fn whole_words(characters: usize) -> Options<'static> {
    let options = Options::new(characters).break_words(false);
    options.word_splitter(WordSplitter::NoHyphenation).word_separator(WordSeparator::AsciiSpace)
}

/// A sentence in lines of at most [`WIDTH`] characters, as far as its words allow.
pub(super) fn wrapped(sentence: &str) -> String {
    textwrap::fill(sentence, whole_words(WIDTH)) + "\n"
}

/// Lines below the names of their columns, if they have some.
pub(super) fn headed(head: &[String], lines: &[Line]) -> String {
    let row = |label: &String, columns: &[String]| [std::slice::from_ref(label), columns].concat();
    let head = (!head.is_empty()).then(|| row(&String::new(), head));
    let rows: Vec<_> = head.into_iter().chain(lines.iter().map(|line| row(&line.label, &line.columns))).collect();
    aligned(rows, 1..)
}

/// Rows below their head, numbers with their points below each other.
pub(super) fn by_points(mut rows: Vec<Vec<String>>) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    for column in 1..columns {
        let behind = |text: &str| {
            text.chars().count() - text.find(['.', ' ']).map_or(text.chars().count(), |at| text[..at].chars().count())
        };
        let widest = rows[1..].iter().map(|row| behind(&row[column])).max().unwrap_or(0);
        for row in &mut rows[1..] {
            let missing = widest - behind(&row[column]);
            row[column].push_str(&" ".repeat(missing));
        }
    }
    aligned(rows, 1..)
}

/// Rows with all columns but the first to the left; the head's first words stand over the first two.
pub(super) fn spread_out(mut rows: Vec<Vec<String>>) -> String {
    let first = rows.iter().skip(1).map(|row| row[0].chars().count()).max().unwrap_or(0);
    let head = std::mem::take(&mut rows[0][0]);
    rows[0][1] = head.chars().skip(first).collect();
    let text = aligned(rows, ..1);
    let width = head.len() + 4;
    format!("{head:width$}{}", &text[width..])
}
