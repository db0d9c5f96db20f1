//! Every number of the statistics against R: `tests/fixtures/statistics`, or the folder named by `HOLDFAST_STATISTICS`,
//! which holds the same four files, or folders of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use holdfast::statistics::anova::Anova;
use holdfast::statistics::design::{Design, Group};
use holdfast::statistics::glm::QuasiPoisson;
use holdfast::statistics::growth::Growth;
use holdfast::statistics::regression::LogarithmicRegression;
use holdfast::statistics::tukey::honest_significant_differences;
use holdfast::statistics::{mean, standard_deviation, studentized_range};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Model, data set and replicate.
type Replicate = (String, String, String);

/// One folder of R's answers.
struct Fixture {
    name: String,
    expected: Value,
    /// Stability of every weight, by replicate.
    observations: BTreeMap<Replicate, Vec<f64>>,
    /// Epoch and N_t, by replicate.
    stable_weights: BTreeMap<Replicate, Vec<(f64, f64)>>,
    regressions: Vec<BTreeMap<String, String>>,
}

fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_path(path).unwrap().deserialize().map(|row| row.unwrap()).collect()
}

fn grouped<T>(path: &Path, value: impl Fn(&BTreeMap<String, String>) -> T) -> BTreeMap<Replicate, Vec<T>> {
    let mut groups: BTreeMap<Replicate, Vec<T>> = BTreeMap::new();
    for row in rows(path) {
        let replicate = (row["model"].clone(), row["data_set"].clone(), row["replicate"].clone());
        groups.entry(replicate).or_default().push(value(&row));
    }
    groups
}

fn number(row: &BTreeMap<String, String>, column: &str) -> f64 {
    row[column].parse().unwrap()
}

impl Fixture {
    fn read(folder: &Path) -> Self {
        Self {
            name: folder.display().to_string(),
            expected: serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap(),
            observations: grouped(&folder.join("observations.csv"), |row| number(row, "stability")),
            stable_weights: grouped(&folder.join("stable_nodes.csv"), |row| {
                (number(row, "epoch"), number(row, "stable_nodes"))
            }),
            regressions: rows(&folder.join("expected_regressions.csv")),
        }
    }

    fn all() -> Vec<Self> {
        let named = std::env::var_os("HOLDFAST_STATISTICS").map(PathBuf::from);
        let folder = named.unwrap_or_else(|| "tests/fixtures/statistics".into());
        if folder.join("expected.json").exists() {
            return vec![Self::read(&folder)];
        }
        let inner = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let found: Vec<Self> = inner.filter(|path| path.is_dir()).map(|path| Self::read(&path)).collect();
        assert!(!found.is_empty(), "no fixtures in {}", folder.display());
        found
    }

    fn texts(&self, path: &str) -> Vec<String> {
        let values = self.expected.pointer(path).unwrap_or_else(|| panic!("{}: no {path}", self.name));
        values.as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_string()).collect()
    }

    /// Compares a number, or numbers in order, with what R gave; `None` is what R calls NA or NaN.
    fn check(&self, path: &str, found: impl IntoIterator<Item = Option<f64>>, absolute: f64) {
        let found: Vec<Option<f64>> = found.into_iter().collect();
        let expected = self.expected.pointer(path).unwrap_or_else(|| panic!("{}: no {path}", self.name));
        let expected: Vec<Option<f64>> = match expected {
            Value::Array(values) => values.iter().map(Value::as_f64).collect(),
            value => vec![value.as_f64()],
        };
        assert_eq!(found.len(), expected.len(), "{}: {path}", self.name);
        for (place, (found, expected)) in found.into_iter().zip(expected).enumerate() {
            assert_near(&format!("{}: {path}[{place}]", self.name), found, expected, absolute);
        }
    }

    fn check_one(&self, path: &str, found: impl Into<Option<f64>>) {
        self.check(path, [found.into()], 0.0);
    }

    fn design(&self) -> Design {
        design(self.observations.iter().map(|(replicate, values)| (replicate, values.clone())))
    }

    fn check_anova(&self, path: &str, anova: &Anova) {
        let terms: Vec<String> =
            anova.terms.iter().map(|term| term.factor.clone()).chain(["Residuals".to_string()]).collect();
        assert_eq!(self.texts(&format!("{path}/terms")), terms);
        let column = |name: &str, terms: Vec<Option<f64>>, residual| {
            self.check(&format!("{path}/{name}"), terms.into_iter().chain([residual]), 0.0);
        };
        let freedom = |count: usize| Some(count as f64);
        let terms = &anova.terms;
        let degrees = terms.iter().map(|term| freedom(term.degrees_of_freedom)).collect();
        column("df", degrees, freedom(anova.residual_degrees_of_freedom));
        let sums = terms.iter().map(|term| Some(term.sum_of_squares)).collect();
        column("sum_of_squares", sums, Some(anova.residual_sum_of_squares));
        let squares = terms.iter().map(|term| Some(term.mean_square)).collect();
        column("mean_square", squares, anova.residual_mean_square);
        column("f", terms.iter().map(|term| term.f).collect(), None);
        column("p", terms.iter().map(|term| term.p).collect(), None);
    }

    fn check_tukey(&self, path: &str, anova: &Anova) {
        for (index, term) in anova.terms.iter().enumerate() {
            let path = format!("{path}/{}", term.factor);
            let comparisons = honest_significant_differences(anova, index);
            let pairs: Vec<String> = comparisons.iter().map(|comparison| comparison.pair()).collect();
            assert_eq!(self.texts(&format!("{path}/pairs")), pairs);
            self.check(&format!("{path}/difference"), comparisons.iter().map(|one| Some(one.difference)), 0.0);
            self.check(&format!("{path}/lower"), comparisons.iter().map(|one| one.lower), 0.0);
            self.check(&format!("{path}/upper"), comparisons.iter().map(|one| one.upper), 0.0);
            // R's own probabilities are good to about this.
            self.check(&format!("{path}/p_adjusted"), comparisons.iter().map(|one| one.p), 1e-9);
        }
    }
}

/// Within 1e-6 of what is expected, or `absolute`.
fn assert_near(what: &str, found: Option<f64>, expected: Option<f64>, absolute: f64) {
    match (found, expected) {
        (None, None) => {}
        (Some(found), Some(expected)) => {
            let near = (found - expected).abs() <= (1e-6 * expected.abs()).max(absolute).max(f64::MIN_POSITIVE);
            assert!(near, "{what}: {found:e} instead of {expected:e}");
        }
        _ => panic!("{what}: {found:?} instead of {expected:?}"),
    }
}

fn design<'a>(replicates: impl Iterator<Item = (&'a Replicate, Vec<f64>)>) -> Design {
    let group = |(replicate, values): (&'a Replicate, Vec<f64>)| Group {
        levels: vec![replicate.1.as_str(), replicate.0.as_str()],
        values,
    };
    Design::new(&["data_set", "model"], &replicates.map(group).collect::<Vec<_>>()).unwrap()
}

#[test]
fn means_and_standard_deviations_of_cells_are_those_of_r() {
    for fixture in Fixture::all() {
        let mut cells: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
        for ((model, data_set, _), values) in &fixture.observations {
            cells.entry((data_set, model)).or_default().extend(values);
        }
        assert_eq!(fixture.texts("/cells/data_set"), cells.keys().map(|cell| cell.0).collect::<Vec<_>>());
        assert_eq!(fixture.texts("/cells/model"), cells.keys().map(|cell| cell.1).collect::<Vec<_>>());
        fixture.check("/cells/mean", cells.values().map(|values| Some(mean(values))), 0.0);
        fixture.check("/cells/sd", cells.values().map(|values| standard_deviation(values)), 0.0);
    }
}

#[test]
fn the_quasi_poisson_model_is_that_of_r() {
    for fixture in Fixture::all() {
        let model = QuasiPoisson::new(&fixture.design()).unwrap();
        let coefficients = &model.coefficients;
        let names: Vec<String> = coefficients.iter().map(|coefficient| coefficient.name.clone()).collect();
        assert_eq!(fixture.texts("/quasi_poisson/terms"), names);
        fixture.check("/quasi_poisson/coefficients", coefficients.iter().map(|one| Some(one.estimate)), 0.0);
        fixture.check("/quasi_poisson/standard_errors", coefficients.iter().map(|one| one.standard_error), 0.0);
        fixture.check("/quasi_poisson/t_values", coefficients.iter().map(|one| one.t), 0.0);
        fixture.check("/quasi_poisson/p_values", coefficients.iter().map(|one| one.p), 0.0);
        fixture.check_one("/quasi_poisson/dispersion", model.dispersion);
        fixture.check_one("/quasi_poisson/null_deviance", model.null_deviance);
        fixture.check_one("/quasi_poisson/residual_deviance", model.residual_deviance);
        fixture.check_one("/quasi_poisson/residual_df", model.residual_degrees_of_freedom as f64);
        let terms = &model.terms;
        fixture.check("/quasi_poisson/anova_df", terms.iter().map(|term| Some(term.degrees_of_freedom as f64)), 0.0);
        fixture.check("/quasi_poisson/anova_deviance", terms.iter().map(|term| Some(term.deviance)), 0.0);
        fixture.check("/quasi_poisson/anova_f", terms.iter().map(|term| term.f), 0.0);
        fixture.check("/quasi_poisson/anova_p", terms.iter().map(|term| term.p), 0.0);
    }
}

#[test]
fn variance_and_honest_differences_of_the_stability_are_those_of_r() {
    for fixture in Fixture::all() {
        let anova = Anova::new(&fixture.design()).unwrap();
        fixture.check_anova("/anova_stability", &anova);
        fixture.check_tukey("/tukey_stability", &anova);
    }
}

#[test]
fn regressions_of_every_replicate_are_those_of_r() {
    for fixture in Fixture::all() {
        let has_line = |points: &&Vec<_>| LogarithmicRegression::fit(points).line.is_some();
        assert_eq!(
            fixture.regressions.len(),
            fixture.stable_weights.values().filter(has_line).count(),
            "{}",
            fixture.name
        );
        for row in &fixture.regressions {
            let replicate = (row["model"].clone(), row["data_set"].clone(), row["replicate"].clone());
            let found = LogarithmicRegression::fit(&fixture.stable_weights[&replicate]).line;
            let check = |column: &str, found: Option<f64>| {
                let expected = row[column].parse().ok().filter(|number: &f64| number.is_finite());
                assert_near(&format!("{}: {column} of {replicate:?}", fixture.name), found, expected, 0.0);
            };
            check("slope", found.map(|line| line.slope));
            check("intercept", found.map(|line| line.intercept));
            check("slope_se", found.and_then(|line| line.slope_standard_error));
            check("r_squared", found.and_then(|line| line.r_squared));
        }
    }
}

#[test]
fn variance_and_honest_differences_of_the_slopes_are_those_of_r() {
    for fixture in Fixture::all() {
        let slope = |points: &Vec<_>| LogarithmicRegression::fit(points).line.map(|line| line.slope);
        let slopes = fixture.stable_weights.iter();
        let slopes = slopes.map(|(replicate, points)| (replicate, slope(points).into_iter().collect()));
        let anova = Anova::new(&design(slopes)).unwrap();
        fixture.check_anova("/anova_slope", &anova);
        fixture.check_tukey("/tukey_slope", &anova);
    }
}

#[test]
fn growth_curves_fit_as_well_as_those_of_r() {
    for fixture in Fixture::all() {
        for (cell, expected) in fixture.expected["growth"].as_object().unwrap() {
            let (model, data_set) = cell.split_once('/').unwrap();
            let mut epochs: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
            for (replicate, points) in &fixture.stable_weights {
                if (replicate.0.as_str(), replicate.1.as_str()) == (model, data_set) {
                    for (epoch, count) in points {
                        epochs.entry(*epoch as u32).or_default().push(*count);
                    }
                }
            }
            let means: Vec<_> = epochs.iter().map(|(&epoch, counts)| (f64::from(epoch), mean(counts))).collect();
            let found = Growth::fit(&means).unwrap();
            let what = format!("{}: {cell}: {found:?} instead of {expected}", fixture.name);
            let own: f64 = means.iter().map(|(epoch, mean)| (found.at(*epoch) - mean).powi(2)).sum();
            assert_near(&what, Some(own), Some(found.residual_sum_of_squares), 1e-12);
            let rss = expected["rss"].as_f64().unwrap();
            assert!(found.residual_sum_of_squares <= rss * (1.0 + 1e-6), "{what}");
            // Where the fit is as good as R's and K is identified, the parameters are R's.
            if found.limit_is_identified && found.residual_sum_of_squares > rss * (1.0 - 1e-9) {
                for (name, value) in [("K", found.limit), ("N0", found.start), ("r", found.rate)] {
                    let expected = expected[name].as_f64().unwrap();
                    assert!((value - expected).abs() <= 1e-4 * expected, "{name} of {what}");
                }
            }
        }
    }
}

#[test]
fn the_studentized_range_is_that_of_r() {
    for fixture in Fixture::all() {
        let column = |name: &str| -> Vec<f64> {
            let values = fixture.expected["studentized_range"][name].as_array().unwrap();
            values.iter().map(|value| value.as_f64().unwrap()).collect()
        };
        let (q, groups, freedom) = (column("q"), column("groups"), column("df"));
        let groups = |place: usize| groups[place] as u32;
        let places = 0..q.len();
        let tails = places.clone().map(|place| studentized_range::upper_tail(q[place], groups(place), freedom[place]));
        fixture.check("/studentized_range/upper_tail", tails.map(Some), 1e-9);
        let quantiles = places.map(|place| studentized_range::quantile(0.95, groups(place), freedom[place]));
        fixture.check("/studentized_range/quantile_95", quantiles.map(Some), 0.0);
    }
}

#[test]
fn the_studentized_range_is_that_of_r_where_r_is_off_too() {
    for row in rows(Path::new("tests/fixtures/statistics/studentized_range.csv")) {
        let (q, groups, freedom) = (number(&row, "q"), number(&row, "groups") as u32, number(&row, "df"));
        let what = format!("range {q} of {groups} groups, {freedom} degrees of freedom");
        let tail = studentized_range::upper_tail(q, groups, freedom);
        assert_near(&what, Some(tail), Some(number(&row, "upper_tail")), 1e-9);
        let quantile = studentized_range::quantile(0.95, groups, freedom);
        let expected = number(&row, "quantile_95");
        assert!((quantile - expected).abs() <= 1e-9 * expected, "{what}: {quantile} instead of {expected}");
    }
}

#[test]
fn hundreds_of_thousands_of_observations_are_analysed() {
    let mut groups = Vec::new();
    for (index, data_set) in ["CT", "PR", "SC", "XR"].into_iter().enumerate() {
        for model in ["CNN", "DNN"] {
            let offset = 37 * index + model.len();
            let values = (0..45_000)
                .map(|weight_index| 1.0 + ((weight_index * 7919 + offset * 31) % (100 + offset)) as f64)
                .collect();
            groups.push(Group { levels: vec![data_set, model], values });
        }
    }
    let design = Design::new(&["data_set", "model"], &groups).unwrap();
    let model = QuasiPoisson::new(&design).unwrap();
    let anova = Anova::new(&design).unwrap();
    let comparisons = honest_significant_differences(&anova, 0);
    assert_eq!((model.residual_degrees_of_freedom, comparisons.len()), (359_995, 6));
}
