//! The study's tables: what Riedel & Segev 2023 show in Tables 1 to 5 and Figure 3, from the stability of weights and the
//! numbers of stable weights.
//!
//! Beside the paper's analyses stand two that it does not have: the analysis of variance of replicate means, since the
//! weights of one network are no independent observations, and the slopes without the last epoch, in which every weight is
//! stable by definition.

mod published;
mod read;
mod rows;

pub use published::summary as published_summary;
pub use read::{Source, read_observations, read_stable_weights};
pub use rows::{PairRow, SummaryRow, TermRow, write};

use crate::error::Result;
use crate::statistics::anova::Anova;
use crate::statistics::design::{Design, Group};
use crate::statistics::glm::QuasiPoisson;
use crate::statistics::growth::Growth;
use crate::statistics::mean;
use crate::statistics::regression::LogarithmicRegression;
use crate::statistics::tukey::{Comparison, honest_significant_differences};
use std::collections::{BTreeMap, BTreeSet};

/// One trained network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Replicate {
    /// Name of the model, e.g. `cnn`.
    pub model: String,
    /// Name of the data set, e.g. `pr`.
    pub data_set: String,
    /// Which of the networks of this model and data set.
    pub replicate: String,
}

/// Magnitude stability of every weight, in epochs, of every replicate.
pub type Observations = BTreeMap<Replicate, Vec<f64>>;

/// Epochs and the number of stable weights in each, of every replicate.
pub type StableWeights = BTreeMap<Replicate, Vec<(u32, f64)>>;

/// An analysis of variance and the differences between the levels of each factor.
#[derive(Clone, Debug, PartialEq)]
pub struct Variance {
    /// The analysis.
    pub anova: Anova,
    /// Tukey's honest significant differences, by term.
    pub comparisons: Vec<Vec<Comparison>>,
}

impl Variance {
    fn new(design: &Design) -> Result<Self> {
        let anova = Anova::new(design)?;
        let comparisons = (0..anova.terms.len()).map(|term| honest_significant_differences(&anova, term)).collect();
        Ok(Self { anova, comparisons })
    }
}

/// The mean number of stable weights of a model on a data set, and the growth curve through it.
#[derive(Clone, Debug, PartialEq)]
pub struct CellGrowth {
    /// Name of the model.
    pub model: String,
    /// Name of the data set.
    pub data_set: String,
    /// How many replicates were averaged.
    pub replicates: usize,
    /// Epochs and the mean number of stable weights in each.
    pub means: Vec<(f64, f64)>,
    /// The fitted curve.
    pub growth: Growth,
}

/// How fast the number of stable weights of one replicate grows.
#[derive(Clone, Debug, PartialEq)]
pub struct Slope {
    /// Which network.
    pub replicate: Replicate,
    /// Regression of the logarithm on all epochs.
    pub all_epochs: LogarithmicRegression,
    /// The same without the last epoch.
    pub without_last: LogarithmicRegression,
}

/// Everything that the study shows of its numbers. What could not be analysed is `None`, and [`Self::notes`] say why.
#[derive(Clone, Debug, PartialEq)]
pub struct Tables {
    /// Table 1: mean and spread of the stability.
    pub summaries: Vec<SummaryRow>,
    /// Table 2: the model of the paper.
    pub quasi_poisson: Option<QuasiPoisson>,
    /// Tables 2 and 3: weights as observations.
    pub weight_count: Option<Variance>,
    /// Tables 2 and 3: replicate means as observations.
    pub replicate_means: Option<Variance>,
    /// Tables 4 and 5: slopes over all epochs.
    pub slopes: Option<Variance>,
    /// Tables 4 and 5: slopes without the last epoch.
    pub slopes_without_last: Option<Variance>,
    /// The slope of each replicate.
    pub replicate_slopes: Vec<Slope>,
    /// Figure 3.
    pub growth: Vec<CellGrowth>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// Makes the tables.
pub fn tables(observations: &Observations, stable_weights: &StableWeights) -> Tables {
    let mut notes = differences(observations, stable_weights);
    let weight_count = observations.iter().map(|(replicate, values)| (replicate, values.clone()));
    let design = noted(design(weight_count.collect()), "stability", &mut notes).flatten();
    let means = observations.iter().filter(|(_, values)| !values.is_empty());
    let means = means.map(|(replicate, values)| (replicate, vec![mean(values)])).collect();
    let replicate_slopes: Vec<Slope> = stable_weights.iter().map(slope).collect();
    let mut slopes_of = |what: &str, regression: fn(&Slope) -> &LogarithmicRegression| {
        let groups: Vec<_> = replicate_slopes
            .iter()
            .filter_map(|slope| Some((&slope.replicate, vec![regression(slope).line?.slope])))
            .collect();
        let missing = replicate_slopes.len() - groups.len();
        if missing > 0 {
            notes.push(format!("{what}: {missing} of {} replicates have none", replicate_slopes.len()));
        }
        variance(groups, what, &mut notes)
    };
    let slopes = slopes_of("slopes", |slope| &slope.all_epochs);
    let slopes_without_last = slopes_of("slopes without the last epoch", |slope| &slope.without_last);
    let left_out: usize = replicate_slopes.iter().map(|slope| slope.all_epochs.left_out).sum();
    if left_out > 0 {
        notes.push(format!(
            "no weight was stable in {left_out} epochs of the replicates together; 0 has no logarithm, so the slopes leave \
             them out"
        ));
    }
    Tables {
        summaries: rows::summaries(observations),
        quasi_poisson: design
            .as_ref()
            .and_then(|design| noted(QuasiPoisson::new(design), "quasi-Poisson model", &mut notes)),
        weight_count: design
            .as_ref()
            .and_then(|design| noted(Variance::new(design), "variance of weights", &mut notes)),
        replicate_means: variance(means, "variance of replicate means", &mut notes),
        slopes,
        slopes_without_last,
        growth: growth(stable_weights),
        replicate_slopes,
        notes,
    }
}

/// What cannot be analysed is said and left out: the other tables are still worth having.
fn noted<T>(analysed: Result<T>, what: &str, notes: &mut Vec<String>) -> Option<T> {
    analysed.map_err(|error| notes.push(format!("{what}: {error}"))).ok()
}

fn variance(groups: Vec<(&Replicate, Vec<f64>)>, what: &str, notes: &mut Vec<String>) -> Option<Variance> {
    let analysed = design(groups).and_then(|design| design.as_ref().map(Variance::new).transpose());
    noted(analysed, what, notes).flatten()
}

/// The factors that vary, the data set first as in the paper; `None` if none does. One that does not vary has no effect
/// to be found, which [`differences`] has said.
fn design<'a>(groups: Vec<(&'a Replicate, Vec<f64>)>) -> Result<Option<Design>> {
    type Factor = (&'static str, fn(&Replicate) -> &str);
    const FACTORS: [Factor; 2] = [("data_set", |one| &one.data_set), ("model", |one| &one.model)];
    let varies = |(_, level): &&Factor| groups.iter().any(|(one, _)| level(one) != level(groups[0].0));
    let factors: Vec<&Factor> = FACTORS.iter().filter(varies).collect();
    if factors.is_empty() && !groups.is_empty() {
        return Ok(None);
    }
    let names: Vec<&str> = factors.iter().map(|(name, _)| *name).collect();
    let group = |(replicate, values): (&'a Replicate, Vec<f64>)| Group {
        levels: factors.iter().map(|(_, level)| level(replicate)).collect(),
        values,
    };
    Design::new(&names, &groups.into_iter().map(group).collect::<Vec<_>>()).map(Some)
}

/// Says which replicates are in one of the two and not in the other, and which factors do not vary.
fn differences(observations: &Observations, stable_weights: &StableWeights) -> Vec<String> {
    let mut notes = Vec::new();
    let missing = |from: Vec<&Replicate>, text: &str| {
        let first = from.first()?;
        let name = format!("{} on {}, replicate {}", first.model, first.data_set, first.replicate);
        let have = if from.len() == 1 { "replicate has" } else { "replicates have" };
        Some(format!("{} {have} {text}; the first is {name}", from.len()))
    };
    let only_stability = observations.keys().filter(|one| !stable_weights.contains_key(*one)).collect();
    notes.extend(missing(only_stability, "a stability and no numbers of stable weights"));
    let only_numbers = stable_weights.keys().filter(|one| !observations.contains_key(*one)).collect();
    notes.extend(missing(only_numbers, "numbers of stable weights and no stability"));
    let levels = |level: fn(&Replicate) -> &String| observations.keys().map(level).collect::<BTreeSet<_>>();
    for (name, levels) in [("data set", levels(|one| &one.data_set)), ("model", levels(|one| &one.model))] {
        if levels.len() == 1 {
            notes.push(format!("there is one {name}, so it has no effect"));
        }
    }
    notes.extend(published::notes(observations.keys().map(|one| one.data_set.as_str())));
    notes
}

fn slope((replicate, points): (&Replicate, &Vec<(u32, f64)>)) -> Slope {
    let last = points.iter().map(|point| point.0).max();
    let regression = |with_last: bool| {
        let kept = points.iter().filter(|point| with_last || Some(point.0) != last);
        LogarithmicRegression::fit(&kept.map(|&(epoch, number)| (f64::from(epoch), number)).collect::<Vec<_>>())
    };
    Slope { replicate: replicate.clone(), all_epochs: regression(true), without_last: regression(false) }
}

/// Figure 3: the curve through the mean of each cell's replicates, by model and data set.
fn growth(stable_weights: &StableWeights) -> Vec<CellGrowth> {
    let cells: BTreeSet<(&str, &str)> =
        stable_weights.keys().map(|one| (one.model.as_str(), one.data_set.as_str())).collect();
    let cell = |(model, data_set): (&str, &str)| {
        let inside = |one: &&Replicate| one.model == model && one.data_set == data_set;
        let mut epochs: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for &(epoch, number) in stable_weights.iter().filter(|(one, _)| inside(one)).flat_map(|(_, points)| points) {
            epochs.entry(epoch).or_default().push(number);
        }
        let means: Vec<_> = epochs.iter().map(|(&epoch, numbers)| (f64::from(epoch), mean(numbers))).collect();
        let growth = Growth::fit(&means)?;
        let replicates = stable_weights.keys().filter(inside).count();
        Some(CellGrowth { model: model.into(), data_set: data_set.into(), replicates, means, growth })
    };
    cells.into_iter().filter_map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicate(model: &str, data_set: &str, replicate: u32) -> Replicate {
        Replicate { model: model.into(), data_set: data_set.into(), replicate: replicate.to_string() }
    }

    /// Stability of three weights, and N_t = e^(rate t) for nine epochs and 900 in the tenth.
    fn one(stability: f64, rate: f64) -> (Vec<f64>, Vec<(u32, f64)>) {
        let early = (1..10).map(|epoch| (epoch, (rate * f64::from(epoch)).exp()));
        (vec![stability - 1.0, stability, stability + 3.0], early.chain([(10, 900.0)]).collect())
    }

    fn study(cells: &[(&str, &str)]) -> (Observations, StableWeights) {
        let (mut observations, mut stable_weights) = (Observations::new(), StableWeights::new());
        for (place, (model, data_set)) in cells.iter().enumerate() {
            for number in 0..3 {
                let (stability, numbers) = one(10.0 + place as f64 + f64::from(number), 0.1 * f64::from(number + 1));
                observations.insert(replicate(model, data_set, number), stability);
                stable_weights.insert(replicate(model, data_set, number), numbers);
            }
        }
        (observations, stable_weights)
    }

    #[test]
    fn one_cell_has_a_summary_and_a_curve_and_no_effects() {
        let (observations, stable_weights) = study(&[("dnn", "pr")]);
        let made = tables(&observations, &stable_weights);
        assert_eq!((made.summaries.len(), made.growth.len(), made.replicate_slopes.len()), (3, 1, 3));
        assert!(made.table2().is_empty() && made.table5().is_empty());
        assert_eq!(made.notes.len(), 2, "{:?}", made.notes);
    }

    #[test]
    fn the_last_epoch_is_left_out_where_that_is_said() {
        let (observations, stable_weights) = study(&[("cnn", "pr"), ("dnn", "pr")]);
        let made = tables(&observations, &stable_weights);
        for (place, slope) in made.replicate_slopes.iter().enumerate() {
            let (all, without) = (slope.all_epochs.line.unwrap(), slope.without_last.line.unwrap());
            assert!((without.slope - 0.1 * (place % 3 + 1) as f64).abs() < 1e-12 && all.slope > without.slope + 0.1);
        }
    }

    #[test]
    fn replicate_means_count_each_network_once() {
        let (observations, stable_weights) = study(&[("cnn", "ct"), ("cnn", "pr"), ("dnn", "ct"), ("dnn", "pr")]);
        let made = tables(&observations, &stable_weights);
        let freedom = |variance: &Option<Variance>| variance.as_ref().unwrap().anova.residual_degrees_of_freedom;
        assert_eq!((freedom(&made.weight_count), freedom(&made.replicate_means)), (36 - 3, 12 - 3));
        // With as many weights in every network both find the same differences.
        let differences = |analysis: &str| -> Vec<f64> {
            let rows = made.table3().into_iter().filter(|row| row.analysis == analysis);
            rows.map(|row| row.difference).collect()
        };
        let pairs: Vec<_> = differences("weights").into_iter().zip(differences("replicate-means")).collect();
        assert!(
            pairs.len() == 2 && pairs.iter().all(|(weight_count, means)| (weight_count - means).abs() < 1e-12),
            "{pairs:?}"
        );
    }

    #[test]
    fn replicates_that_are_in_one_file_only_are_named() {
        let (mut observations, stable_weights) = study(&[("cnn", "ct"), ("dnn", "pr")]);
        observations.remove(&replicate("dnn", "pr", 2));
        let notes = tables(&observations, &stable_weights).notes;
        let text = "1 replicate has numbers of stable weights and no stability; the first is dnn on pr, replicate 2";
        assert!(notes.iter().any(|note| note == text), "{notes:?}");
    }
}
