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
    // Nothing ends in blanks.
    aligned(&rows).lines().map(|line| line.trim_end().to_string() + "\n").collect()
}

/// Rows with all columns to the left.
pub(super) fn spread_out(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().skip(1).map(|row| row[column].chars().count()).max().unwrap_or(0);
    // The head's first words stand over the sparsity and the methods.
    let [first, second] = [width(0), width(1).max(rows[0][0].chars().count().saturating_sub(width(0)))];
    let third = rows.iter().map(|row| row[2].chars().count()).max().unwrap_or(0);
    let head = &rows[0];
    let mut text = format!("{:width$}  {:third$}  {}\n", head[0], head[2], head[3], width = 2 + first + 2 + second);
    for row in &rows[1..] {
        text += format!("  {:>first$}  {:second$}  {:third$}  {}", row[0], row[1], row[2], row[3]).trim_end();
        text.push('\n');
    }
    text
}
