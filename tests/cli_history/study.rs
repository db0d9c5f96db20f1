//! `holdfast study` from anyone's CSV files: its tables are R's.

use crate::{column, holdfast};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::tempdir;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/statistics").join(name)
}

fn study(folder: &Path, more: &str) -> crate::Ended {
    let line = format!("study --from-observations o.csv --from-stable-nodes s.csv --out out {more}");
    holdfast(folder, &line, &[])
}

/// A model's replicates on data sets a and b, with `stability` and N_t = `weight_count` at epochs 1 to 4.
fn small(folder: &Path, models: &[&str], stability: [u32; 2], weight_count: [u32; 4]) {
    let mut observations = "model,data_set,replicate,stability\n".to_string();
    let mut stable_weights = "model,data_set,replicate,epoch,stable_nodes\n".to_string();
    for model in models {
        for data_set in ["a", "b"] {
            for replicate in 1..=2 {
                for stability in stability {
                    observations += &format!("{model},{data_set},{replicate},{stability}\n");
                }
                for (epoch, number) in (1..).zip(weight_count) {
                    stable_weights += &format!("{model},{data_set},{replicate},{epoch},{}\n", number * replicate);
                }
            }
        }
    }
    fs::write(folder.join("o.csv"), observations).unwrap();
    fs::write(folder.join("s.csv"), stable_weights).unwrap();
}

/// Compares a column of a file, in the lines of the analysis `choose`, with numbers of R.
fn check(folder: &Path, file: &str, choose: &str, name: &str, expected: &Value) {
    let path = folder.join("out").join(file);
    let (firsts, values) = (column(&path, "analysis"), column(&path, name));
    let found: Vec<&String> =
        values.iter().zip(firsts).filter(|(_, first)| *first == choose).map(|pair| pair.0).collect();
    let expected = expected.as_array().unwrap();
    assert!(found.len() >= expected.len() && !expected.is_empty(), "{file} {name}");
    for (found, expected) in found.iter().zip(expected) {
        let (Ok(found), Some(expected)) = (found.parse::<f64>(), expected.as_f64()) else {
            assert!(found.is_empty() && expected.is_null(), "{file} {name}: {found} instead of {expected}");
            continue;
        };
        let near = (found - expected).abs() <= 1e-6 * expected.abs() + 1e-60;
        assert!(near, "{file} {name}: {found} instead of {expected}");
    }
}

#[test]
fn the_files_hold_the_numbers_of_r_and_are_the_same_again() {
    for name in ["balanced", "unbalanced"] {
        let folder = tempdir().unwrap();
        let path = folder.path();
        fs::copy(fixture(name).join("observations.csv"), path.join("o.csv")).unwrap();
        fs::copy(fixture(name).join("stable_nodes.csv"), path.join("s.csv")).unwrap();
        let ended = study(path, "--full").succeeded();
        assert!(
            ended.stdout.contains("The analyses of weights count")
                && ended.stdout.lines().all(|line| line.chars().count() <= 120)
        );
        let expected: Value = serde_json::from_slice(&fs::read(fixture(name).join("expected.json")).unwrap()).unwrap();
        let model = &expected["quasi_poisson"];
        check(path, "table2.csv", "quasi-poisson", "f", &model["anova_f"]);
        check(path, "table2.csv", "quasi-poisson", "sum_of_squares", &model["anova_deviance"]);
        check(path, "table2.csv", "weights", "sum_of_squares", &expected["anova_stability"]["sum_of_squares"]);
        check(path, "table2.csv", "weights", "p", &expected["anova_stability"]["p"]);
        check(path, "table3.csv", "weights", "lower", &expected["tukey_stability"]["data_set"]["lower"]);
        check(path, "table4.csv", "all-epochs", "f", &expected["anova_slope"]["f"]);
        check(path, "table5.csv", "all-epochs", "upper", &expected["tukey_slope"]["data_set"]["upper"]);
        let text = |file: &str| fs::read_to_string(path.join("out").join(file)).unwrap();
        let own = column(&path.join("out/slopes.csv"), "slope");
        let of_r = column(&fixture(name).join("expected_regressions.csv"), "slope");
        let number = |text: &String| text.parse::<f64>().unwrap();
        let sum = |values: &[String]| values.iter().map(number).sum::<f64>();
        assert!(own.len() == of_r.len() && (sum(&own) - sum(&of_r)).abs() < 1e-9);
        let names = ["table1", "table2", "table3", "table4", "table5", "coefficients", "growth", "slopes"];
        let before = names.map(|name| text(&format!("{name}.csv")));
        assert!(before[0].contains("\nCNN,CT,") && before[0].contains(",130.3,26.76\n"));
        assert!(path.join("out/figures/figure3.svg").is_file() && path.join("out/figures/figure3.png").is_file());
        let again = study(path, "--json").succeeded().json();
        assert_eq!(names.map(|name| text(&format!("{name}.csv"))), before);
        assert_eq!(again["table1"].as_array().unwrap().len(), 14);
        assert!(again["growth"][0]["k_identified"].is_boolean());
    }
}

#[test]
fn what_cannot_be_analysed_is_said_and_the_rest_is_there() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small(path, &["dnn"], [3, 4], [1, 2, 3, 4]);
    let one_model = study(path, "--full").succeeded().stdout;
    assert!(one_model.contains("there is one model") && one_model.contains("b-a"), "{one_model}");
    assert!(!fs::read_to_string(path.join("out/table2.csv")).unwrap().contains("model,"), "no effect of one model");
    fs::remove_dir_all(path.join("out")).unwrap();

    small(path, &["cnn", "dnn"], [4, 4], [0, 0, 0, 0]);
    let constant = study(path, "--full").succeeded().stdout;
    assert!(constant.contains("slopes: 8 of 8 replicates have none"), "{constant}");
    assert!(constant.contains("not identified"), "{constant}");
    assert!(column(&path.join("out/table2.csv"), "f").iter().all(String::is_empty), "{constant}");
    fs::remove_dir_all(path.join("out")).unwrap();

    let confounded = "model,data_set,replicate,stability\nx,a,1,2\nx,a,1,3\ny,b,1,4\ny,b,1,6\n";
    fs::write(path.join("o.csv"), confounded).unwrap();
    let said = study(path, "").succeeded().stdout.replace('\n', " ");
    assert!(said.contains("cannot be told apart") && said.contains("observe more combinations"), "{said}");
    assert!(said.contains("replicates have numbers of stable weights and no stability"), "{said}");
}

#[test]
fn a_faulty_file_is_named_with_its_line_and_column() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small(path, &["cnn", "dnn"], [3, 4], [1, 2, 3, 4]);
    study(path, "--from-observations").refused(2, &["value"]);
    let good = fs::read_to_string(path.join("o.csv")).unwrap();
    fs::write(path.join("o.csv"), good.replacen("a,2,3", "a,2,three", 1)).unwrap();
    study(path, "").refused(5, &["o.csv, line 4: column stability holds \"three\"", "a number of 0 or more"]);
    fs::write(path.join("o.csv"), good.replacen("stability", "MS", 1)).unwrap();
    study(path, "").refused(5, &["o.csv has no column stability", "model, data_set, replicate, MS"]);
    fs::remove_file(path.join("o.csv")).unwrap();
    study(path, "").refused(5, &["cannot read o.csv", "check the path"]);
}

#[test]
fn what_is_taken_for_granted_in_a_table_is_said() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small(path, &["cnn", "dnn"], [3, 4], [1, 2, 3, 4]);
    study(path, "").succeeded();
    let table = |name: &str| fs::read_to_string(path.join("out").join(name)).unwrap();
    let expected = ["table1.csv", "slopes.csv"].map(table);
    for name in ["o.csv", "s.csv"] {
        let text = fs::read_to_string(path.join(name)).unwrap();
        fs::write(path.join(name), text.replace(',', ";").replace(";4\n", ";4,0\n")).unwrap();
    }
    fs::remove_dir_all(path.join("out")).unwrap();
    study(path, "").succeeded().says(&[
        "o.csv: its columns are separated by semicolons",
        "s.csv: its columns",
        "o.csv, line 3",
        "decimal commas",
    ]);
    assert_eq!(["table1.csv", "slopes.csv"].map(table), expected);
    fs::write(path.join("o.csv"), b"PK\x03\x04").unwrap();
    study(path, "").refused(5, &["o.csv", "ZIP", "CSV"]);
}
