//! What a comparison says, in twenty lines of each network at most: how every leading method fares, what is best at each sparsity
//! and by how much, what retraining would give, what it costs, and what to do next. What differs by chance alone is called equal.

use super::chosen::Chosen;
use super::digits::{percent, points_of, short};
use super::layout::{NOTHING, by_points, spread_out, wrapped};
use super::leading::{self, Leading, UNMARKED};
use crate::network::Architecture;
use crate::numbers::{counted, ranged, significant};
use crate::pruning::{Method, SweepRow};
use crate::results::accuracy::{self, CurvePoint, at_sparsity};
use crate::results::comparison::Results;
use crate::results::differences::{Difference, Told};
use crate::results::summary::Summary;
use crate::results::workload::Workload;
use serde::Serialize;

/// Those where it is told what is best; before them most methods are alike.
const COMPARED: [f64; 3] = [0.8, 0.9, 0.95];
/// The one that methods are ordered by.
pub(super) const ORDERED_BY: f64 = 0.9;
/// So many methods that are equal to the best one are named; of more, the number.
const NAMED: usize = 2;

/// The verdict on one network and data set.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Data set, network, how many of them, epochs.
    pub title: String,
    /// What the table of accuracies is of.
    pub(super) subject: String,
    /// The names of its columns, then a line for each method, ordered by accuracy at 90 %: its name, accuracies of one layer, the
    /// time of a point, and accuracies of the whole network if that was pruned.
    pub(super) accuracies: Vec<Vec<String>>,
    /// What is best without retraining: sparsity, methods, gain over one-shot magnitude, gain over retraining.
    pub(super) best: Vec<Vec<String>>,
    /// What it costs, and where the whole network is as good as the trained one.
    pub(super) sentences: Vec<String>,
    /// What was chosen by training images alone, and the command that makes it, its run left open as `RUN`.
    pub chosen: Option<Chosen>,
}

impl Verdict {
    /// The verdict on a cell.
    pub fn of(cell: &Results) -> Self {
        let mut layer = leading::of_layer(cell);
        let whole = leading::of_sizes(cell);
        let at = |one: &Leading| at_sparsity(&one.curve, ORDERED_BY).map_or(-1.0, |point| point.accuracy.mean);
        layer.sort_by(|one, other| at(other).total_cmp(&at(one)));
        let images = cell.ledger.workload.test_images;
        let of_whole = if whole.is_empty() { "" } else { "; the whole network by times smaller" };
        Self {
            title: title(&cell.ledger.workload),
            subject: format!(
                "{} accuracy in %: one layer by the share removed, with the time per point{of_whole}",
                cell.judged_by()
            ),
            accuracies: leading::table(&layer, &whole, images),
            best: best(&layer, images),
            sentences: whole_sentence(cell, &whole).into_iter().chain(cost_sentence(cell, &layer)).collect(),
            chosen: Chosen::of(&whole, images),
        }
    }

    /// The verdict for a terminal. `about` is what else its title says; `place` is the run's folder, for the command that makes the
    /// chosen network.
    pub fn text(&self, about: &str, place: &str) -> String {
        let mut text = wrapped(&format!("{} · {about}", self.title)) + &wrapped(&self.subject);
        text += &by_points(self.accuracies.clone());
        if !self.best.is_empty() {
            let mut rows = vec![best_head().map(String::from).to_vec()];
            rows.extend(self.best.iter().cloned());
            text += &spread_out(rows);
        }
        self.sentences.iter().for_each(|sentence| text += &wrapped(sentence));
        if let Some((sentence, command)) = self.advice(place) {
            text += &format!("{}  {command}\n", wrapped(&sentence));
        }
        text
    }

    /// What to do next, and the command for it.
    pub(super) fn advice(&self, place: &str) -> Option<(String, String)> {
        Some(self.chosen.as_ref()?.advice(place))
    }
}

/// Heads of the table of what is best.
pub(super) fn best_head() -> [&'static str; 4] {
    ["Best without retraining", "", "over one-shot (95 %)", "over retraining"]
}

/// `mnist · dnn 784-30x6-10 · 5 networks · 30 epochs`
fn title(workload: &Workload) -> String {
    let Workload { data_set, model, architecture, replicates, epochs, .. } = workload;
    let networks = counted(f64::from(*replicates), "network");
    format!("{data_set} · {model} {} · {networks} · {}", shape(architecture), counted(f64::from(*epochs), "epoch"))
}

/// `784-30x6-10`, `28x28-conv 8x4-30x6-10`
fn shape(architecture: &Architecture) -> String {
    let units = |units: &[usize]| -> Vec<String> {
        let run = |run: &[usize]| if run.len() == 1 { run[0].to_string() } else { format!("{}x{}", run[0], run.len()) };
        units.chunk_by(|one, other| one == other).map(run).collect()
    };
    let Architecture { image_height, image_width, convolutions, hidden, classes, .. } = architecture;
    let filters: Vec<usize> = convolutions.iter().map(|convolution| convolution.filters).collect();
    let mut parts = match filters.is_empty() {
        true => vec![architecture.image_len().to_string()],
        false => vec![format!("{image_height}x{image_width}"), format!("conv {}", units(&filters).join("-"))],
    };
    parts.extend(units(hidden));
    parts.push(classes.to_string());
    parts.join("-")
}

fn is_one_shot(one: &Leading) -> bool {
    one.short == "one-shot"
}

/// For each sparsity the best that does not retrain, what is equal to it, and what it gains.
fn best(layer: &[Leading], images: usize) -> Vec<Vec<String>> {
    let near = |one: &Leading, sparsity: f64| {
        at_sparsity(&one.curve, sparsity).filter(|point| (point.sparsity.mean - sparsity).abs() <= UNMARKED).cloned()
    };
    let line = |sparsity: f64| {
        let mut points: Vec<(&Leading, CurvePoint)> = layer
            .iter()
            .filter_map(|one| Some((one, near(one, sparsity)?)))
            .filter(|(one, _)| !one.retrains())
            .collect();
        points.sort_by(|one, other| other.1.accuracy.mean.total_cmp(&one.1.accuracy.mean));
        let (first, top) = points.first()?;
        let told = |other: &CurvePoint| Difference::in_pairs(top, other, images).map(|difference| difference.told());
        let alike = |wanted: Told| -> Vec<&str> {
            points[1..].iter().filter(|(_, point)| told(point) == Some(wanted)).map(|(one, _)| one.short).collect()
        };
        let (equal, unknown) = (alike(Told::Equal), alike(Told::Unknown));
        let mut names = first.short.to_string();
        match equal.len() {
            some if some <= NAMED => equal.iter().for_each(|other| names += &format!(" = {other}")),
            more => names += &format!(" = {more} others"),
        }
        match unknown.as_slice() {
            [] => {}
            [other] if equal.len() < NAMED => names += &format!(" (not told from {other})"),
            some => names += &format!(" (not told from {})", counted(some.len() as f64, "other")),
        }
        let one_shot = points.iter().find(|(one, _)| is_one_shot(one) && first.short != one.short);
        let over_one_shot = one_shot.and_then(|(_, point)| Difference::in_pairs(top, point, images));
        let decay = layer.iter().find(|one| one.retrains()).and_then(|one| near(one, sparsity));
        let over_decay = decay.map(|point| Difference::between(&top.accuracy, &point.accuracy, images));
        let gain =
            |difference: Option<Difference>| difference.map_or(NOTHING.into(), |difference| points_of(&difference));
        Some(vec![format!("{:.0} %", 100.0 * sparsity), names, gain(over_one_shot), gain(over_decay)])
    };
    COMPARED.into_iter().filter_map(line).collect()
}

/// Accuracy of each replica before pruning, by `rule`: of the last weights or of the mean ones.
fn uncut(cell: &Results, rule: &str) -> Option<CurvePoint> {
    let epochs = cell.ledger.workload.epochs;
    let layers = &cell.sweep.first()?.layers;
    let is_own = |row: &&SweepRow| {
        (row.method, row.epochs, row.rule.as_str()) == (Method::Dense, epochs, rule) && row.layers == *layers
    };
    let mut rows: Vec<&SweepRow> = cell.sweep.iter().filter(is_own).collect();
    rows.sort_by_key(|row| row.replica);
    let accuracies: Vec<f64> = rows.iter().map(|row| row.accuracy).collect();
    Some(CurvePoint {
        sparsity: Summary::of(&vec![0.0; accuracies.len()])?,
        accuracy: Summary::of(&accuracies)?,
        accuracies,
        over_one_shot: None,
        over_frozen_first: None,
        smaller: 1.0,
        theoretical_speedup: 1.0,
        agreement: None,
    })
}

/// What the networks were before, and up to which size the surgeon's are no worse.
fn whole_sentence(cell: &Results, whole: &[Leading]) -> Option<String> {
    let images = cell.ledger.workload.test_images;
    let trained = uncut(cell, "")?;
    let averaged = accuracy::averaged(&cell.sweep)
        .map(|summary| format!(", averaged weights {}", percent(&summary, images)))
        .unwrap_or_default();
    let before = format!("Unpruned {}{averaged}", percent(&trained.accuracy, images));
    let chance = format!("chance {:.1}", 100.0 * cell.chance);
    let Some(surgeon) = whole.first().filter(|one| one.cost.is_some() && !one.retrains() && !is_one_shot(one)) else {
        return Some(format!("{before}; {chance}."));
    };
    let no_worse = |point: &&CurvePoint| {
        Difference::in_pairs(point, &trained, images)
            .is_some_and(|difference| difference.mean >= 0.0 || difference.told() == Told::Equal)
    };
    let largest = surgeon.curve.points.iter().filter(no_worse).map(|point| point.smaller).fold(0.0, f64::max);
    let found = match largest > 1.0 {
        true => format!("Up to {}x smaller the {} is no worse than unpruned", short(largest), surgeon.short),
        false => format!("At no size is the {} as good as unpruned", surgeon.short),
    };
    Some(format!("{before}, {chance}. {found}."))
}

/// How many times as long retraining takes, with its range: `290 (240 to 330)`. `None` where either was timed only once.
fn times(retrained: &Leading, other: &Leading) -> Option<String> {
    // Magnitude stability was timed beside each target.
    if let (Method::Stability, Some(row)) = (other.curve.method, &retrained.cost) {
        return row.ratio();
    }
    let ((slow, slow_range), (fast, fast_range)) = (retrained.milliseconds()?, other.milliseconds()?);
    let ([slow_low, slow_high], [fast_low, fast_high]) = (slow_range?, fast_range.filter(|fast| fast[0] > 0.0)?);
    Some(ranged([slow / fast, slow_low / fast_high, slow_high / fast_low], ""))
}

/// What one more point costs, and from how many on not retraining pays.
fn cost_sentence(cell: &Results, layer: &[Leading]) -> Option<String> {
    let decay = layer.iter().find(|one| one.retrains() && one.milliseconds().is_some());
    let cheap = layer.iter().find(|one| !one.retrains() && one.milliseconds().is_some());
    let (decay, cheap) = (decay?, cheap?);
    let stability = layer.iter().find(|one| one.curve.method == Method::Stability && one.short != cheap.short);
    let papers = match stability.and_then(|one| times(decay, one)) {
        Some(times) => format!(", {times} by stability (paper: over 10)"),
        None if cheap.curve.method == Method::Stability => " (paper: over 10)".into(),
        None => String::new(),
    };
    let mut cost = match times(decay, cheap) {
        Some(ratio) => format!("One point by retraining costs as much as {ratio} by {}{papers}.", cheap.with_article()),
        None => {
            let known = |one: &Leading| one.milliseconds().map_or(NOTHING.into(), |(middle, _)| significant(middle));
            format!(
                "One point takes {} ms by retraining, {} ms by {}.",
                known(decay),
                known(cheap),
                cheap.with_article()
            )
        }
    };
    if let Some(even) = cheap.cost.as_ref().and_then(|row| cell.ledger.break_even(row)) {
        let from = |points: f64| match points.ceil() {
            whole if whole <= 1.0 => "from the first on".to_string(),
            whole => format!("from {} points on", significant(whole)),
        };
        cost += &format!(
            " Training included, {} is cheaper {}; without it, {}.",
            cheap.with_article(),
            from(even.points),
            from(even.points_if_trained)
        );
    }
    Some(cost)
}

#[cfg(test)]
mod tests {
    use super::super::layout::WIDTH;
    use super::super::sample;
    use super::*;
    use crate::pruning::{Layers, Repair};

    /// The sample with a surgeon on the whole network, whose agreement at the sizes 2, 4 and 6 is `agreement`.
    fn cell(agreement: [f64; 3]) -> Results {
        let mut cell = sample::cell();
        for replica in 0..5 {
            for ((smaller, accuracy), agreement) in [(2.0, 0.968), (4.0, 0.966), (6.0, 0.93)].into_iter().zip(agreement)
            {
                cell.sweep.push(SweepRow {
                    method: Method::HoldSurgeon,
                    rule: "mean".into(),
                    layers: Layers::from("all"),
                    repair: Repair::Refit,
                    replica,
                    epochs: 100,
                    nonzero_weights: (28_320.0 / smaller) as u32,
                    smaller,
                    accuracy: accuracy + 0.0001 * f64::from(replica),
                    agreement: Some(agreement),
                    ..SweepRow::default()
                });
            }
        }
        cell
    }

    #[test]
    fn the_smallest_network_that_agrees_often_enough_is_chosen_with_its_command() {
        let verdict = Verdict::of(&cell([0.999, 0.992, 0.97]));
        let chosen = verdict.chosen.clone().unwrap();
        assert_eq!((chosen.smaller, chosen.base.as_str()), (4.0, "mean"));
        let (sentence, command) = verdict.advice("runs/one").unwrap();
        assert!(sentence.contains("4x smaller") && sentence.contains("99.2 %"), "{sentence}");
        assert_eq!(command, "holdfast prune runs/one --criterion hold-surgeon --base mean --smaller 4");
        let (sentence, command) = Verdict::of(&cell([0.98, 0.97, 0.95])).advice("runs/one").unwrap();
        assert!(sentence.contains("No size is chosen") && sentence.contains("98.0 %"), "{sentence}");
        assert_eq!(command, "holdfast compact runs/one");
        assert_eq!(Verdict::of(&sample::cell()).chosen, None, "what was not looked at chooses nothing");
    }

    #[test]
    fn rows_are_ordered_by_accuracy_at_90_per_cent_and_what_must_be_there_is() {
        let verdict = Verdict::of(&cell([0.999; 3]));
        let [head, lines @ ..] = verdict.accuracies.as_slice() else { panic!("there is no head") };
        assert_eq!([1, 3, 5, 6].map(|column| head[column].as_str()), ["50 %", "90 %", "per point", "2x"]);
        assert_eq!(lines[0][0], "exponential decay, retrained");
        assert!(lines.iter().any(|line| line[0].starts_with("magnitude stability")), "{lines:?}");
        let at_90: Vec<f64> = lines.iter().filter_map(|line| line[3].split(' ').next()?.parse().ok()).collect();
        assert!(at_90.len() > 1 && at_90.is_sorted_by(|a, b| a >= b), "{at_90:?}");
        // Of the whole network alone, and of one layer alone.
        let surgeon = lines.iter().find(|line| line[0] == "holding surgeon (whole: averaged weights)").unwrap();
        assert_eq!([1, 5, 6].map(|column| surgeon[column].as_str()), [NOTHING, NOTHING, "96.8"]);
        let one_layer = Verdict::of(&sample::cell()).accuracies;
        assert!(one_layer.iter().all(|line| line.len() == 6) && one_layer.len() == lines.len());
    }

    #[test]
    fn equal_is_called_equal_and_a_gain_has_its_interval() {
        let mut cell = cell([0.999; 3]);
        // Another name of the same networks: a surgeon that does what one-shot pruning does.
        let twins: Vec<SweepRow> = cell
            .sweep
            .iter()
            .filter(|row| row.method == Method::Magnitude)
            .map(|row| SweepRow { method: Method::Surgeon, rule: "last".into(), repair: Repair::Refit, ..row.clone() })
            .collect();
        cell.sweep.extend(twins);
        let verdict = Verdict::of(&cell);
        let line = |sparsity: &str| verdict.best.iter().find(|line| line[0] == sparsity).unwrap().clone();
        assert!(
            line("80 %")[1].contains("surgeon = one-shot") || line("80 %")[1].contains("one-shot = surgeon"),
            "{:?}",
            line("80 %")
        );
        assert!(line("80 %")[3].starts_with('−') && line("80 %")[3].contains(" to "), "{:?}", line("80 %"));
    }

    #[test]
    fn the_verdict_has_at_most_twenty_lines_and_none_is_wider_than_a_terminal() {
        let mut longest = cell([0.98, 0.97, 0.95]);
        sample::add_methods(&mut longest);
        for (cell, methods) in [(sample::cell(), 3), (cell([0.999; 3]), 4), (longest, 7)] {
            let verdict = Verdict::of(&cell);
            let text = verdict.text("Some CPU, CPU engine", "runs/one");
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(verdict.accuracies.len(), 1 + methods, "{text}");
            // With the empty line that stands between two networks.
            assert!((11..20).contains(&lines.len()), "{}: {text}", lines.len());
            assert!(lines.iter().all(|line| line.chars().count() <= WIDTH && !line.ends_with(' ')), "{text}");
            assert!(lines[0].starts_with("mnist · dnn 784-30x6-10 · 5 networks · 100 epochs · Some CPU"), "{text}");
        }
    }

    #[test]
    fn a_network_is_told_by_its_layers() {
        let network = Architecture::dnn(28, 28, [40, 20], 10);
        let convolutions = Architecture::paper_convolutions(8);
        assert_eq!(shape(&network), "784-40-20-10");
        assert_eq!(shape(&Architecture { convolutions, ..network }), "28x28-conv 8x4-40-20-10");
    }

    #[test]
    fn of_nothing_there_is_a_verdict_all_the_same() {
        let cell = Results { sweep: Vec::new(), ..sample::cell() };
        let text = Verdict::of(&cell).text("Some CPU", "runs/one");
        assert!(text.contains("one layer"), "{text}");
    }
}
