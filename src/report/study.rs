//! The study's tables as text for the terminal, and the same as JSON.

use super::layout::{Grid, NOTHING, wrapped};
use crate::data::Fit;
use crate::numbers::{percent, significant, thousands};
use crate::results::tables::{CellGrowth, PairRow, Tables, TermRow};
use crate::run::configuration::Configuration;
use crate::run::training_runs::{Outcome, RunRow};
use crate::stability::Against;
use crate::study::conclusion::{SensitivityRow, readings};
use crate::training::LearningRate;
use serde_json::{Value, json};

/// Probabilities below this are only said to be smaller.
const SMALLEST: f64 = 1e-300;

/// Tables 1 to 5 and the fits of Figure 3, as far as there is something in them.
pub(super) fn grids(tables: &Tables) -> Vec<Grid> {
    let mut grids = vec![Grid {
        title: "Table 1: magnitude stability in epochs, mean and standard deviation over weights".into(),
        words: 2,
        rows: summaries(tables),
        notes: Vec::new(),
    }];
    let explained = tables.table2();
    if !explained.is_empty() {
        let sums = explained.iter().any(|row| row.published_sum_of_squares.is_some()).then(|| PUBLISHED_SUMS.into());
        grids.push(Grid {
            title: "Table 2: what data set and model explain of the stability (in sequence)".into(),
            words: 2,
            rows: terms(&explained),
            notes: [Some(QUASI_POISSON.into()), independence(tables), sums].into_iter().flatten().collect(),
        });
        grids.push(Grid {
            title: "Table 3: honest significant differences of the stability, in epochs (Tukey, 95 % together)".into(),
            words: 2,
            rows: pairs(&tables.table3()),
            notes: Vec::new(),
        });
    }
    let explained = tables.table4();
    if !explained.is_empty() {
        grids.push(Grid {
            title: "Table 4: what data set and model explain of the slopes of ln N on the epoch (in sequence)".into(),
            words: 2,
            rows: terms(&explained),
            notes: vec![LAST_EPOCH.into()],
        });
        grids.push(Grid {
            title: "Table 5: honest significant differences of the slopes, per epoch (Tukey, 95 % together)".into(),
            words: 2,
            rows: pairs(&tables.table5()),
            notes: Vec::new(),
        });
    }
    let unidentified = tables.growth.iter().any(|cell| !cell.growth.limit_is_identified);
    grids.push(Grid {
        title: "Figure 3: mean number N of stable weights, fitted by N = K / (1 + (K - N0) / N0 · e^(-rt))".into(),
        words: 2,
        rows: growth(&tables.growth),
        notes: unidentified.then(|| UNIDENTIFIED.into()).into_iter().collect(),
    });
    grids
}

/// All tables, one below the other; every line ends with a line break.
pub fn text(tables: &Tables) -> String {
    let mut text = grids(tables).iter().map(Grid::text).collect::<Vec<_>>().join("\n");
    for note in &tables.notes {
        text += &wrapped(&format!("Note: {note}."));
    }
    text
}

/// What the paper leaves open, and how this study has it.
pub fn switches(configuration: &Configuration) -> String {
    let Configuration { batch, seed, replicates, epochs, pixel_scale, schedule, .. } = *configuration;
    let images = match configuration.side {
        Some(side) => format!("brought to {side} x {side}"),
        None => "of their own size".into(),
    };
    let replaced = match configuration.least_accuracy() {
        0.0 => "no replica replaced unless its loss is not finite".to_string(),
        least => format!("replicas below a training accuracy of {} replaced", percent(least)),
    };
    wrapped(&format!(
        "{replicates} replicates, {epochs} epochs. Tables at tolerance {}, {}, followed by {}, against the {}; pixels divided \
         by {pixel_scale}, images {images}, all of them trained on; batch {batch}, learning rate {}, seed {seed}; {replaced}, at most {} of a \
         cell.",
        configuration.tolerance.first().copied().unwrap_or_default(),
        configuration.tolerance_kind,
        configuration.tracking,
        compared_with(configuration.against),
        match schedule {
            LearningRate::Constant => "constant",
            LearningRate::Cosine => "falling along a cosine",
        },
        configuration.most_replacements(),
    ))
}

fn compared_with(against: Against) -> &'static str {
    match against {
        Against::Last => "last epoch",
        Against::Previous => "epoch after",
    }
}

/// How many runs did not learn, by cell; nothing if all did.
pub fn replacements(replaced: &[RunRow]) -> String {
    let mut cells: Vec<(&str, &str)> = replaced.iter().map(|row| (row.model.as_str(), row.data_set.as_str())).collect();
    cells.dedup();
    let line = |(model, data_set): (&str, &str)| {
        let own =
            || replaced.iter().filter(move |row| (row.model.as_str(), row.data_set.as_str()) == (model, data_set));
        let diverged = own().filter(|row| row.outcome == Outcome::NotFinite).count();
        let best = own().map(|row| row.training_accuracy).fold(0.0, f64::max);
        wrapped(&format!(
            "{model} on {data_set}: what did not learn stands in no table, but in replaced.csv: {}, with a training accuracy up to \
             {:.1} %; of them with a loss that was not finite: {diverged}.",
            own().count(),
            100.0 * best
        ))
    };
    cells.into_iter().map(line).collect()
}

/// Mean stability by every reading of the recorded histories, and of networks that were trained otherwise: a line for each,
/// a column for each cell.
pub(super) fn sensitivity(rows: &[SensitivityRow]) -> Grid {
    let name = |row: &SensitivityRow| (row.model.clone(), row.data_set.clone());
    let mut cells: Vec<(String, String)> = rows.iter().map(name).collect();
    cells.sort_unstable();
    cells.dedup();
    let mut tolerances: Vec<f64> = rows.iter().map(|row| row.tolerance).collect();
    tolerances.sort_by(f64::total_cmp);
    tolerances.dedup();
    let mut trainings: Vec<String> = Vec::new();
    for row in rows {
        let training = training(row);
        if !trainings.contains(&training) {
            trainings.push(training);
        }
    }
    let head = ["trained", "followed", "tolerance", "against"].map(String::from).into_iter();
    let mut lines = vec![head.chain(cells.iter().map(|(model, data_set)| format!("{model} {data_set}"))).collect()];
    for wanted in &trainings {
        for &tolerance in &tolerances {
            for reading in readings() {
                let is_own = |row: &&SensitivityRow| {
                    row.tolerance == tolerance && row.reading() == reading && training(row) == *wanted
                };
                let own: Vec<&SensitivityRow> = rows.iter().filter(is_own).collect();
                let mean = |cell: &(String, String)| match own.iter().find(|row| name(row) == *cell) {
                    None => NOTHING.into(),
                    Some(row) => row.mean.map_or("none learnt".into(), |mean| format!("{mean:.1}")),
                };
                if own.is_empty() {
                    continue;
                }
                let first = [
                    wanted.clone(),
                    reading.tracking.to_string(),
                    format!("{tolerance} {}", reading.tolerance_kind),
                    compared_with(reading.against).into(),
                ];
                lines.push(first.into_iter().chain(cells.iter().map(mean)).collect());
            }
        }
    }
    if rows.iter().any(|row| row.published_mean.is_some()) {
        let published = |cell: &(String, String)| {
            let row = rows.iter().find(|row| name(row) == *cell && row.published_mean.is_some());
            row.and_then(|row| row.published_mean.clone()).unwrap_or(NOTHING.into())
        };
        let first = ["the paper", "", "0.03", ""].map(String::from);
        lines.push(first.into_iter().chain(cells.iter().map(published)).collect());
    }
    let mut counts: Vec<usize> = rows.iter().filter(|row| row.retrained).map(|row| row.replicates).collect();
    counts.sort_unstable();
    let note = match (counts.first(), counts.last()) {
        (Some(fewest), Some(most)) => {
            let networks = if fewest == most { most.to_string() } else { format!("{fewest} to {most}") };
            format!(
                "Where it says so, networks were trained anew by the same random draws, {networks} of a cell that learnt; all \
                 other lines read those of the tables. {NOTHING}: images have that size already."
            )
        }
        _ => "What changes training is told apart by training again: --sensitivity-replicates.".into(),
    };
    Grid {
        title: "Sensitivity: mean magnitude stability in epochs by every reading of the same networks, and of others trained \
                anew".into(),
        words: 4,
        rows: lines,
        notes: vec![note],
    }
}

/// How the networks of a line were trained, where that is not as those of the tables.
fn training(row: &SensitivityRow) -> String {
    match (row.retrained, row.fit, row.side) {
        (false, ..) => "as the tables".into(),
        (true, Fit::Pad, Some(side)) => format!("anew: padded to {side} x {side}"),
        (true, ..) => format!("anew: pixels / {}", row.pixel_scale),
    }
}

/// The same as text.
pub fn sensitivity_text(rows: &[SensitivityRow]) -> String {
    sensitivity(rows).text()
}

const QUASI_POISSON: &str = "quasi-poisson: log link, deviance instead of sums of squares, F by Pearson's dispersion";

const PUBLISHED_SUMS: &str = "The published sums of squares cannot follow from the published means: in a balanced design \
    those of Table 1 give about 144 million for the data set and 278 million for the model.";

const LAST_EPOCH: &str = "In the last epoch every weight is stable by definition, which lifts the end of each regression; \
    without-last-epoch leaves it out.";

const UNIDENTIFIED: &str = "K is not identified where the curve has not reached half of it, or where the 95 % interval of \
    1/K holds 0: no plateau was seen, and K is a guess.";

/// Why two analyses of the stability stand side by side, where both could be made.
fn independence(tables: &Tables) -> Option<String> {
    let count = |variance: &crate::results::tables::Variance| {
        let observations: usize = variance.anova.means.first()?.iter().map(|level| level.count).sum();
        Some(thousands(observations as i64))
    };
    let (weight_count, means) = (count(tables.weight_count.as_ref()?)?, count(tables.replicate_means.as_ref()?)?);
    Some(format!(
        "The analyses of weights count {weight_count} independent observations, which they are not: the weights of one network share \
         its initial weights, its data order and its training, so F is too large and p too small. The analysis of \
         replicate means counts each of the {means} networks once."
    ))
}

fn summaries(tables: &Tables) -> Vec<Vec<String>> {
    let head = ["model", "data set", "replicates", "weights", "mean", "sd", "paper's mean", "paper's sd"];
    let row = |row: &crate::results::tables::SummaryRow| {
        vec![
            row.model.clone(),
            row.data_set.clone(),
            row.replicates.to_string(),
            thousands(row.observations as i64),
            format!("{:.1}", row.mean),
            optional(row.sd, |sd| format!("{sd:.2}")),
            row.published_mean.unwrap_or(NOTHING).into(),
            row.published_sd.unwrap_or(NOTHING).into(),
        ]
    };
    with_head(&head, tables.summaries.iter().map(row))
}

fn terms(rows: &[TermRow]) -> Vec<Vec<String>> {
    let head = ["analysis", "term", "df", "sum of squares", "F", "p", "paper's sum", "paper's F", "paper's p"];
    let published = |text: Option<&'static str>| text.map_or(NOTHING.into(), separated);
    let row = |row: &TermRow| {
        vec![
            row.analysis.into(),
            row.term.clone(),
            thousands(row.degrees_of_freedom as i64),
            short(row.sum_of_squares),
            optional(row.f, short),
            optional(row.p, probability),
            published(row.published_sum_of_squares),
            published(row.published_f),
            published(row.published_p),
        ]
    };
    with_head(&head, rows.iter().map(row))
}

fn pairs(rows: &[PairRow]) -> Vec<Vec<String>> {
    let head = ["analysis", "pair", "difference", "lower", "upper", "p", "paper's", "lower", "upper", "p"];
    let published = |text: Option<&'static str>| text.unwrap_or(NOTHING).to_string();
    let row = |row: &PairRow| {
        vec![
            row.analysis.into(),
            row.pair.clone(),
            short(row.difference),
            optional(row.lower, short),
            optional(row.upper, short),
            optional(row.p, probability),
            published(row.published_difference),
            published(row.published_lower),
            published(row.published_upper),
            published(row.published_p),
        ]
    };
    with_head(&head, rows.iter().map(row))
}

fn growth(cells: &[CellGrowth]) -> Vec<Vec<String>> {
    let head = ["model", "data set", "replicates", "K", "N0", "r per epoch", "residual sum of squares"];
    let row = |cell: &CellGrowth| {
        vec![
            cell.model.clone(),
            cell.data_set.clone(),
            cell.replicates.to_string(),
            if cell.growth.limit_is_identified { significant(cell.growth.limit) } else { "not identified".into() },
            short(cell.growth.start),
            short(cell.growth.rate),
            short(cell.growth.residual_sum_of_squares),
        ]
    };
    with_head(&head, cells.iter().map(row))
}

fn with_head(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Vec<Vec<String>> {
    let head = head.iter().map(|name| name.to_string()).collect();
    [head].into_iter().chain(rows).collect()
}

fn optional(value: Option<f64>, show: impl Fn(f64) -> String) -> String {
    value.map_or(NOTHING.into(), show)
}

/// Three significant digits, in scientific notation where zeros would hide them.
fn short(value: f64) -> String {
    let plain = value == 0.0 || (1e-3..1e15).contains(&value.abs());
    if plain { significant(value) } else { format!("{value:.2e}") }
}

/// A probability to three decimals, or in scientific notation.
pub(super) fn probability(p: f64) -> String {
    match p {
        p if p < SMALLEST => format!("< {SMALLEST:.0e}"),
        p if p < 1e-3 => format!("{p:.1e}"),
        p => format!("{p:.3}"),
    }
}

/// A published number with commas between thousands, if it is a whole one.
fn separated(text: &str) -> String {
    text.parse::<i64>().map_or(text.into(), thousands)
}

/// The same as numbers, nothing rounded; a K without a limit is null.
pub fn json(tables: &Tables, configuration_hash: &str, folder: &str) -> Value {
    let coefficients = tables.quasi_poisson.iter().flat_map(|model| &model.coefficients);
    json!({
        "configuration_hash": configuration_hash,
        "folder": folder,
        "table1": tables.summaries,
        "table2": tables.table2(),
        "table3": tables.table3(),
        "table4": tables.table4(),
        "table5": tables.table5(),
        "coefficients": coefficients.collect::<Vec<_>>(),
        "growth": tables.growth_rows().collect::<Vec<_>>(),
        "notes": tables.notes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_probabilities_are_not_rounded_to_zero() {
        let cases = [(0.0, "< 1e-300"), (1e-12, "1.0e-12"), (0.0499, "0.050"), (1.0, "1.000")];
        for (p, text) in cases {
            assert_eq!(probability(p), text);
        }
    }

    #[test]
    fn tiny_and_huge_numbers_keep_their_digits() {
        let cases = [(1.236e-4, "1.24e-4"), (-2.5e-7, "-2.50e-7"), (0.0, "0"), (15_202_416.0, "15,202,416")];
        for (value, expected) in cases {
            assert_eq!(short(value), expected);
        }
    }
}
