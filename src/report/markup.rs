//! Tables as Markdown and as LaTeX, for documents of others.

use super::layout::Grid;

/// What tables are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Markup {
    /// Markdown, with the tables of GitHub.
    Md,
    /// LaTeX, with the lines of the package booktabs.
    Tex,
}

impl Markup {
    /// A heading and the tables below it.
    pub(super) fn document(self, parts: &[(String, Vec<Grid>)]) -> String {
        let part = |(heading, grids): &(String, Vec<Grid>)| {
            let tables: Vec<String> = grids.iter().map(|grid| self.table(grid)).collect();
            let heading = match self {
                Self::Md => format!("## {heading}\n\n"),
                Self::Tex => format!("% {heading}\n"),
            };
            heading + &tables.join("\n")
        };
        parts.iter().map(part).collect::<Vec<_>>().join("\n")
    }

    fn table(self, grid: &Grid) -> String {
        match self {
            Self::Md => markdown(grid),
            Self::Tex => latex(grid),
        }
    }
}

fn markdown(grid: &Grid) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let row = |row: &Vec<String>| line(row.iter().map(|cell| cell.replace('|', "\\|")).collect());
    let columns = grid.rows.first().map_or(0, Vec::len);
    let sides = (0..columns).map(|column| if column < grid.words { "---".into() } else { "---:".into() });
    let mut text = format!("### {}\n\n", grid.title);
    for (index, cells) in grid.rows.iter().enumerate() {
        text += &row(cells);
        if index == 0 {
            text += &line(sides.clone().collect());
        }
    }
    grid.notes.iter().for_each(|note| text += &format!("\n{note}\n"));
    text
}

fn latex(grid: &Grid) -> String {
    let columns = grid.rows.first().map_or(0, Vec::len);
    let sides: String = (0..columns).map(|column| if column < grid.words { 'l' } else { 'r' }).collect();
    let row = |row: &Vec<String>| {
        format!("    {} \\\\\n", row.iter().map(|cell| escaped(cell)).collect::<Vec<_>>().join(" & "))
    };
    let mut text = format!(
        "\\begin{{table}}\n  \\caption{{{}}}\n  \\begin{{tabular}}{{{sides}}}\n    \\toprule\n",
        escaped(&grid.title)
    );
    for (index, cells) in grid.rows.iter().enumerate() {
        text += &row(cells);
        if index == 0 {
            text += "    \\midrule\n";
        }
    }
    text += "    \\bottomrule\n  \\end{tabular}\n";
    grid.notes.iter().for_each(|note| text += &format!("  \\par\\smallskip {}\n", escaped(note)));
    text + "\\end{table}\n"
}

/// Text that LaTeX prints as it is.
fn escaped(text: &str) -> String {
    let letter = |letter: char| match letter {
        '&' | '%' | '$' | '#' | '_' | '{' | '}' => format!("\\{letter}"),
        '\\' => "\\textbackslash{}".into(),
        '~' => "\\textasciitilde{}".into(),
        '^' => "\\textasciicircum{}".into(),
        '<' => "$<$".into(),
        '>' => "$>$".into(),
        '±' => "$\\pm$".into(),
        '×' => "$\\times$".into(),
        '−' => "$-$".into(),
        '·' => "$\\cdot$".into(),
        'ε' => "$\\varepsilon$".into(),
        'τ' => "$\\tau$".into(),
        '–' => "--".into(),
        '’' => "'".into(),
        other => other.to_string(),
    };
    text.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Vec<(String, Vec<Grid>)> {
        let row = |cells: [&str; 2]| cells.map(String::from).to_vec();
        let rows = vec![row(["method", "90 %"]), row(["a|b_c", "96.4 ± 0.8"]), row(["d", "–"])];
        vec![(
            "mnist · dnn".into(),
            vec![Grid { title: "50 % & more".into(), words: 1, rows, notes: vec!["ε=0.03".into()] }],
        )]
    }

    #[test]
    fn markdown_has_a_line_for_each_row_and_numbers_to_the_right() {
        assert_eq!(
            Markup::Md.document(&parts()),
            "## mnist · dnn\n\n### 50 % & more\n\n| method | 90 % |\n| --- | ---: |\n| a\\|b_c | 96.4 ± 0.8 |\n| d | – |\n\nε=0.03\n"
        );
    }

    #[test]
    fn latex_prints_every_sign_as_it_is() {
        assert_eq!(
            Markup::Tex.document(&parts()),
            "% mnist · dnn\n\\begin{table}\n  \\caption{50 \\% \\& more}\n  \\begin{tabular}{lr}\n    \\toprule\n    method & 90 \\% \\\\\n    \
             \\midrule\n    a|b\\_c & 96.4 $\\pm$ 0.8 \\\\\n    d & -- \\\\\n    \\bottomrule\n  \\end{tabular}\n  \\par\\smallskip \
             $\\varepsilon$=0.03\n\\end{table}\n"
        );
    }
}
