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

/// A model's replicates on data sets a and b, with `stability` and N_t = `nodes` at epochs 1 to 4.
fn small(folder: &Path, models: &[&str], stability: [u32; 2], nodes: [u32; 4]) {
    let mut observations = "model,data_set,replicate,stability\n".to_string();
    let mut stable_nodes = "model,data_set,replicate,epoch,stable_nodes\n".to_string();
    for model in models {
        for data_set in ["a", "b"] {
            for replicate in 1..=2 {
                for stability in stability {
                    observations += &format!("{model},{data_set},{replicate},{stability}\n");
                }
                for (epoch, number) in (1..).zip(nodes) {
                    stable_nodes += &format!("{model},{data_set},{replicate},{epoch},{}\n", number * replicate);
                }
            }
        }
    }
    fs::write(folder.join("o.csv"), observations).unwrap();
    fs::write(folder.join("s.csv"), stable_nodes).unwrap();
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
        let ended = study(path, "").succeeded();
        assert!(
            ended.stdout.contains("The analyses of nodes count")
                && ended.stdout.lines().all(|line| line.chars().count() <= 120)
        );
        let expected: Value = serde_json::from_slice(&fs::read(fixture(name).join("expected.json")).unwrap()).unwrap();
        let model = &expected["quasi_poisson"];
        check(path, "table2.csv", "quasi-poisson", "f", &model["anova_f"]);
        check(path, "table2.csv", "quasi-poisson", "sum_of_squares", &model["anova_deviance"]);
        check(path, "table2.csv", "nodes", "sum_of_squares", &expected["anova_stability"]["sum_of_squares"]);
        check(path, "table2.csv", "nodes", "p", &expected["anova_stability"]["p"]);
        check(path, "table3.csv", "nodes", "lower", &expected["tukey_stability"]["data_set"]["lower"]);
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
    let one_model = study(path, "").succeeded().stdout;
    assert!(one_model.contains("there is one model") && one_model.contains("b-a"), "{one_model}");
    assert!(!fs::read_to_string(path.join("out/table2.csv")).unwrap().contains("model,"), "no effect of one model");
    fs::remove_dir_all(path.join("out")).unwrap();

    small(path, &["cnn", "dnn"], [4, 4], [0, 0, 0, 0]);
    let constant = study(path, "").succeeded().stdout;
    assert!(constant.contains("slopes: 8 of 8 replicates have none"), "{constant}");
    assert!(constant.contains("not identified"), "{constant}");
    assert!(column(&path.join("out/table2.csv"), "f").iter().all(String::is_empty), "{constant}");
    fs::remove_dir_all(path.join("out")).unwrap();

    let confounded = "model,data_set,replicate,stability\nx,a,1,2\nx,a,1,3\ny,b,1,4\ny,b,1,6\n";
    fs::write(path.join("o.csv"), confounded).unwrap();
    let said = study(path, "").succeeded().stdout.replace('\n', " ");
    assert!(said.contains("cannot be told apart") && said.contains("observe more combinations"), "{said}");
    assert!(said.contains("replicates have numbers of stable nodes and no stability"), "{said}");
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

/// Observations of two replicates as a program writes them, and their stable nodes.
fn written(folder: &Path, observations: &[u8]) -> crate::Ended {
    let _ = fs::remove_dir_all(folder.join("out"));
    small(folder, &["cnn", "dnn"], [3, 4], [1, 2, 3, 4]);
    fs::write(folder.join("o.csv"), observations).unwrap();
    study(folder, "")
}

#[test]
fn tables_are_read_as_spreadsheets_and_r_and_pandas_write_them() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small(path, &["cnn", "dnn"], [3, 4], [1, 2, 3, 4]);
    let plain = fs::read_to_string(path.join("o.csv")).unwrap();
    let expected = {
        written(path, plain.as_bytes()).succeeded();
        fs::read_to_string(path.join("out/table1.csv")).unwrap()
    };
    let (head, rows) = plain.split_once('\n').unwrap();
    let numbered = |between: &str| -> String {
        let rows = rows.lines().enumerate().map(|(index, row)| format!("\"{}\"{between}{row}\n", index + 1));
        rows.collect()
    };
    let utf16 = |mark: [u8; 2], bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        mark.into_iter().chain(plain.encode_utf16().flat_map(bytes)).collect()
    };
    for (text, words) in [
        (plain.replace(',', ";").into_bytes(), Some("semicolons")),
        (plain.replace(',', "\t").into_bytes(), Some("tabs")),
        (plain.replace(',', " ").into_bytes(), Some("spaces")),
        (plain.replace(',', ";").replace(";3\n", ";3,0\n").into_bytes(), Some("decimal commas")),
        (plain.replace(",3\n", ",\"3,0\"\n").into_bytes(), Some("decimal commas")),
        (format!("\u{feff}{}", plain.replace('\n', "\r\n")).into_bytes(), None),
        (plain.replace('\n', "\r").into_bytes(), None),
        (plain.replace('\n', "\n\n").into_bytes(), None),
        (plain.replace('\n', ",\n").into_bytes(), None),
        (format!("{head}\n{}", rows.replace('\n', ",\n")).into_bytes(), None),
        (format!("# made by hand\n{plain}# the end\n").into_bytes(), Some("2 lines")),
        (format!("Model,Data.Set,REPLICATE,Stability\n{rows}").into_bytes(), Some("Data.Set is read as data_set")),
        (format!("\"\",{head}\n{}", numbered(",")).into_bytes(), None),
        (format!("{head}\n{}", numbered(",")).into_bytes(), Some("one field more")),
        (utf16([0xff, 0xfe], u16::to_le_bytes), Some("UTF-16")),
        (utf16([0xfe, 0xff], u16::to_be_bytes), Some("UTF-16")),
    ] {
        let ended = written(path, &text).succeeded();
        let shown = String::from_utf8_lossy(&text[..60]).into_owned();
        assert_eq!(fs::read_to_string(path.join("out/table1.csv")).unwrap(), expected, "{shown}");
        match words {
            Some(words) => assert!(ended.stderr.contains(words), "{shown}: {words:?} is not in {}", ended.stderr),
            None => assert!(!ended.stderr.contains("notice"), "{shown}: {}", ended.stderr),
        }
    }
    let line_of_three = plain.lines().position(|line| line.ends_with(",3")).unwrap() + 1;
    let at = format!("line {line_of_three}: column stability");
    let latin = plain.replace("cnn", "caf\u{e9}").chars().map(|letter| letter as u8).collect();
    for (text, words) in [
        (plain.replace(",3\n", ",\"1,003\"\n").into_bytes(), &[at.as_str(), "1,003", "thousands"][..]),
        (plain.replace(",3\n", ",\"1.003,5\"\n").into_bytes(), &[&at, "1.003,5"]),
        (plain.replacen(",3\n", ",NA\n", 1).into_bytes(), &[&at, "\"NA\""]),
        (plain.replacen(",3\n", ",.\n", 1).into_bytes(), &[&at, "\".\""]),
        (plain.replacen(",3\n", ",1 003\n", 1).into_bytes(), &[&at, "1 003"]),
        (plain.replacen(",3\n", "\n", 1).into_bytes(), &["3 fields", "4"]),
        (plain.replace(',', ";").replace("stability", "ms").into_bytes(), &["stability", "semicolons"]),
        (format!("# {plain}").into_bytes(), &["no column model", "#"]),
        (format!("Model,MODEL,{head}\n").replace("model,", "").into_bytes(), &["several columns", "MODEL"]),
        (latin, &["line 2", "UTF-8"]),
        (plain.encode_utf16().flat_map(u16::to_le_bytes).collect(), &["UTF-16"]),
        (b"PK\x03\x04".to_vec(), &["ZIP", "CSV"]),
        (b"[{\"model\": 1}]".to_vec(), &["JSON"]),
        (Vec::new(), &["empty"]),
    ] {
        written(path, &text).refused(5, &[words, &["o.csv"]].concat());
    }
}
