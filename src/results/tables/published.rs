//! What Riedel & Segev 2023 print in their Tables 1 to 5, in their digits.

use super::Variance;

/// Model, data set, mean and standard deviation of the stability: Table 1 and section 5.
const SUMMARIES: [(&str, &str, &str, &str); 14] = [
    ("CNN", "CT", "130.3", "26.76"),
    ("CNN", "PR", "118.9", "48.78"),
    ("CNN", "SC", "142.8", "17.79"),
    ("CNN", "XR", "142.9", "18.39"),
    ("DNN", "CT", "113.2", "41.42"),
    ("DNN", "PR", "24.8", "27.81"),
    ("DNN", "SC", "93.8", "44.44"),
    ("DNN", "XR", "80.6", "51.37"),
    ("CNN", "ALL", "133.7", "32.20"),
    ("DNN", "ALL", "78.1", "53.46"),
    ("ALL", "CT", "121.8", "35.90"),
    ("ALL", "PR", "71.8", "61.57"),
    ("ALL", "SC", "118.3", "41.76"),
    ("ALL", "XR", "111.8", "49.59"),
];

/// Degrees of freedom, sum of squares, F and p of a term.
pub(super) type PublishedTerm = [&'static str; 4];

/// Difference, lower and upper end, and p of a pair of levels.
pub(super) type PublishedPair = [&'static str; 4];

/// The terms of one table and the pairs of the next.
pub(super) struct Analysis {
    terms: [(&'static str, PublishedTerm); 3],
    pairs: [(&'static str, PublishedPair); 7],
}

/// Tables 2 and 3.
pub(super) const STABILITY: Analysis = Analysis {
    terms: [
        ("data_set", ["3", "15202416", "3908", "< 0.01"]),
        ("model", ["1", "762470774", "587949", "< 0.01"]),
        ("Residuals", ["359995", "466852693", "", ""]),
    ],
    pairs: [
        ("PR-CT", ["-49.9", "-50.4", "-49.5", "< 0.01"]),
        ("SC-CT", ["-3.5", "-3.9", "-3.0", "< 0.01"]),
        ("XR-CT", ["-10.0", "-10.5", "-9.5", "< 0.01"]),
        ("SC-PR", ["46.5", "46.0", "47.0", "< 0.01"]),
        ("XR-PR", ["39.9", "39.5", "40.4", "< 0.01"]),
        ("XR-SC", ["-6.5", "-7.0", "-6.1", "< 0.01"]),
        ("DNN-CNN", ["-55.6", "-55.9", "-55.4", "< 0.01"]),
    ],
};

/// Tables 4 and 5.
pub(super) const SLOPES: Analysis = Analysis {
    terms: [
        ("data_set", ["3", "< 0.01", "15.6", "< 0.01"]),
        ("model", ["1", "< 0.01", "110.7", "< 0.01"]),
        ("Residuals", ["395", "< 0.01", "", ""]),
    ],
    pairs: [
        ("PR-CT", ["-0.001", "-0.002", "0.001", "0.712"]),
        ("SC-CT", ["0.001", "-0.001", "0.003", "0.487"]),
        ("XR-CT", ["-0.003", "-0.005", "-0.002", "< 0.01"]),
        ("SC-PR", ["0.002", "< 0.001", "0.003", "0.064"]),
        ("XR-PR", ["-0.003", "-0.004", "-0.001", "< 0.01"]),
        ("XR-SC", ["-0.004", "-0.006", "-0.003", "< 0.01"]),
        ("DNN-CNN", ["0.005", "0.004", "0.006", "< 0.01"]),
    ],
};

impl Analysis {
    /// What is printed for a term, if `found` has the factors and levels of the paper: of others it says nothing.
    pub(super) fn term(&self, found: &Variance, name: &str) -> Option<PublishedTerm> {
        if !has_levels_of_the_paper(found) {
            return None;
        }
        self.terms.iter().find(|(known, _)| *known == name).map(|(_, values)| *values)
    }

    /// What is printed for a pair of levels.
    pub(super) fn pair(&self, first: &str, second: &str) -> Option<PublishedPair> {
        let name = format!("{}-{}", canonical(first), canonical(second));
        self.pairs.iter().find(|(known, _)| *known == name).map(|(_, values)| *values)
    }
}

/// Mean and standard deviation of the stability that the paper prints for a model on a data set or, with the name `all`,
/// for a margin; a synthetic data set stands for the one that it is named after.
pub fn summary(model: &str, data_set: &str) -> Option<(&'static str, &'static str)> {
    let (model, data_set) = (canonical(model), canonical(data_set));
    let found = SUMMARIES.iter().find(|row| (row.0, row.1) == (model.as_str(), data_set.as_str()));
    found.map(|row| (row.2, row.3))
}

/// The paper's name of a level: whatever the case, and of the data set that a synthetic one stands in for.
fn canonical(name: &str) -> String {
    let name = name.to_uppercase();
    name.strip_suffix("-SYNTHETIC").map(str::to_string).unwrap_or(name)
}

fn has_levels_of_the_paper(found: &Variance) -> bool {
    let levels: Vec<Vec<String>> =
        found.anova.means.iter().map(|means| means.iter().map(|mean| canonical(&mean.level)).collect()).collect();
    levels == [vec!["CT", "PR", "SC", "XR"], vec!["CNN", "DNN"]]
}

/// Says which data sets stand beside published values of others.
pub(super) fn notes<'a>(data_sets: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut synthetic: Vec<&str> = data_sets
        .filter(|name| name.to_uppercase().ends_with("-SYNTHETIC") && summary("all", name).is_some())
        .collect();
    synthetic.sort_unstable();
    synthetic.dedup();
    (!synthetic.is_empty()).then(|| {
        format!(
            "{} made here, not the paper's images; the published values beside are those of the paper's",
            match synthetic.as_slice() {
                [one] => format!("{one} is"),
                several => format!("{} are", several.join(" and ")),
            }
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_are_the_means_of_their_cells() {
        // Each margin has equally many observations of each cell, so a slip of the pen would show here.
        let number = |text: &str| text.parse::<f64>().unwrap();
        for (model, data_set, mean, _) in SUMMARIES.iter().filter(|row| row.0 == "ALL" || row.1 == "ALL") {
            let inside = |row: &&(&str, &str, &str, &str)| {
                row.0 != "ALL" && row.1 != "ALL" && (row.0 == *model || row.1 == *data_set)
            };
            let cells: Vec<f64> = SUMMARIES.iter().filter(inside).map(|row| number(row.2)).collect();
            let expected = cells.iter().sum::<f64>() / cells.len() as f64;
            assert!((number(mean) - expected).abs() < 0.1, "{model} {data_set}: {mean} {expected}");
        }
    }

    #[test]
    fn differences_are_those_of_the_margins() {
        for (pair, values) in STABILITY.pairs {
            let (first, second) = pair.split_once('-').unwrap();
            let margin = |level: &str| -> f64 {
                summary(level, "all").or_else(|| summary("all", level)).unwrap().0.parse().unwrap()
            };
            let difference: f64 = values[0].parse().unwrap();
            assert!((margin(first) - margin(second) - difference).abs() < 0.11, "{pair}");
        }
    }

    #[test]
    fn names_are_found_in_any_case_and_for_synthetic_stand_ins() {
        assert_eq!(summary("cnn", "sc-synthetic"), Some(("142.8", "17.79")));
        assert_eq!(summary("dnn", "mnist"), None);
        assert_eq!(SLOPES.pair("xr-synthetic", "sc"), Some(["-0.004", "-0.006", "-0.003", "< 0.01"]));
        assert!(notes(["xr-synthetic", "ct", "xr-synthetic"].into_iter()).unwrap().starts_with("xr-synthetic is made"));
        assert_eq!(notes(["ct", "tiles-synthetic"].into_iter()), None);
    }
}
