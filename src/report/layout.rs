//! Text for a terminal: lines, columns, tables.

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
        format!("{}\n{}{notes}", self.title, aligned(&self.rows))
    }
}

/// Rows of equally many entries, the first column to the left, all others to the right.
pub(super) fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    let line = |row: &Vec<String>| {
        let mut text = format!("  {:width$}", row[0], width = widths[0]);
        for (entry, width) in row.iter().zip(&widths).skip(1) {
            text += &format!("  {entry:>width$}");
        }
        text + "\n"
    };
    rows.iter().map(line).collect()
}

/// A sentence in lines of at most [`WIDTH`] characters, as far as its words allow.
pub(super) fn wrapped(sentence: &str) -> String {
    let mut lines = vec![String::new()];
    for word in sentence.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines.join("\n") + "\n"
}

/// Lines below the names of their columns, if they have some.
pub(super) fn headed(head: &[String], lines: &[Line]) -> String {
    let row = |label: &String, columns: &[String]| [std::slice::from_ref(label), columns].concat();
    let head = (!head.is_empty()).then(|| row(&String::new(), head));
    let rows: Vec<_> = head.into_iter().chain(lines.iter().map(|line| row(&line.label, &line.columns))).collect();
    aligned(&rows)
}
