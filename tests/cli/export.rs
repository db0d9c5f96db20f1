//! Networks in files for other programs.

use crate::program::{fresh_folder, holdfast, text};
use holdfast::run_folder::onnx_messages::Model;
use safetensors::SafeTensors;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

const SIZES: &str = "--preset smoke --data ct --side 12 --replicates 2 --epochs 3 --hidden 12,9 --device cpu";
/// Weights and biases of such a network, and its multiply-adds.
const WEIGHTS: u64 = 144 * 12 + 12 * 9 + 9 * 10;
const BIASES: u64 = 12 + 9 + 10;

/// A trained run, the same for all tests.
fn trained() -> &'static Path {
    static RUN: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = fresh_folder("export-run");
        holdfast(&format!("train {SIZES} --quiet --out"), &[text(&folder)]).succeeded();
        folder
    });
    &RUN
}

fn export(source: &Path, options: &str, out: &Path) -> Value {
    let options: Vec<&str> = options.split_whitespace().collect();
    let arguments =
        [&[text(source)], &options[..], &["--device", "cpu", "--quiet", "--json", "--out", text(out)]].concat();
    holdfast("export", &arguments).succeeded().json()
}

#[test]
fn the_table_says_what_the_file_takes_and_how_well_and_fast_its_network_classifies() {
    let folder = fresh_folder("export-table");
    let out = folder.join("network.onnx");
    let json = export(trained(), "--replica 1 --format onnx", &out);
    assert_eq!((&json["opset"], &json["replica"]), (&17.into(), &1.into()));
    assert_eq!(
        (&json["weights"], &json["biases"], &json["multiply_adds"]),
        (&WEIGHTS.into(), &BIASES.into(), &WEIGHTS.into())
    );
    assert_eq!(json["weight_bytes"], 4 * (WEIGHTS + BIASES));
    let bytes = fs::metadata(&out).unwrap().len();
    assert_eq!(json["bytes"], bytes);
    assert_eq!(json["overhead_bytes"], bytes - 4 * (WEIGHTS + BIASES));
    assert!(json["overhead_bytes"].as_u64().unwrap() < 1500, "{json}");
    assert!(json["seconds"].as_f64().unwrap() > 0.0 && json["test_images"] == 500, "{json}");
    let evaluated = holdfast("evaluate --replica 1 --device cpu --quiet --json", &[text(trained())]).succeeded().json();
    assert_eq!(json["accuracy"], evaluated["networks"][0]["accuracy"]);
    let model = Model::read(&out).unwrap();
    let entry = |key: &str| model.metadata_props.iter().find(|entry| entry.key == key).unwrap().value.clone();
    assert_eq!(entry("holdfast.accuracy").parse::<f64>().unwrap(), json["accuracy"].as_f64().unwrap());
    // The same command once more: the same bytes, over the file of the first.
    let first = fs::read(&out).unwrap();
    holdfast("export --replica 1 --format onnx --device cpu", &[text(trained()), "--out", text(&out)])
        .succeeded()
        .prints(&["operator set 17", "of overhead", "multiply-adds", "500 test images", "network.onnx"]);
    assert_eq!(fs::read(&out).unwrap(), first);
}

#[test]
fn an_exported_safetensors_file_is_the_network_that_was_exported() {
    let folder = fresh_folder("export-safetensors");
    let out = folder.join("network.safetensors");
    let json = export(trained(), "--base mean --format safetensors", &out);
    let evaluate = |source: &Path, more: &[&str]| {
        let json =
            holdfast("evaluate --device cpu --quiet --json", &[&[text(source)], more].concat()).succeeded().json();
        json["networks"][0]["correct"].clone()
    };
    let of_file = evaluate(&out, &["--data", "ct", "--side", "12"]);
    assert_eq!(of_file, evaluate(trained(), &["--base", "mean"]));
    let bytes = fs::read(&out).unwrap();
    assert_eq!(SafeTensors::deserialize(&bytes).unwrap().tensor("dense0.weight").unwrap().shape(), [144, 12]);
    // A file of ours is exported again, as ONNX.
    let onnx = folder.join("network.onnx");
    let again = export(&out, "--format onnx --softmax", &onnx);
    assert_eq!((&again["weights"], again.get("accuracy")), (&json["weights"], None), "no data are named");
    assert_eq!(Model::read(&onnx).unwrap().graph.unwrap().output[0].name, "probabilities");
}

#[test]
fn what_cannot_be_exported_gets_a_sentence_and_no_file_is_touched() {
    let folder = fresh_folder("export-refusals");
    let refused = |options: &str, out: &str, code: i32, words: &[&str]| {
        let out = folder.join(out);
        let options: Vec<&str> = options.split_whitespace().collect();
        holdfast("export", &[&[text(trained())], &options[..], &["--out", text(&out)]].concat()).refused(code, words);
    };
    refused("--format tflite", "a.onnx", 2, &["tflite", "onnx", "safetensors"]);
    refused("--format onnx --replica 0,1", "a.onnx", 2, &["names 2 replicas", "once for each"]);
    refused("--format onnx --replica 0 --replica 1", "a.onnx", 2, &["names 2 replicas"]);
    refused("--format onnx --replica 2", "a.onnx", 2, &["--replica 2", "has 2 of them"]);
    refused("--format safetensors --softmax", "a.safetensors", 2, &["--softmax", "--format onnx"]);
    refused("--format onnx --image 28", "a.onnx", 2, &["rows and columns"]);
    refused("--format onnx --image 28,28", "a.onnx", 2, &["[28, 28, 1]", "[12, 12, 1]"]);
    refused("--format onnx", "a.safetensors", 2, &["does not end in .onnx"]);
    refused("--format onnx --data ct --side 10", "a.onnx", 5, &["[10, 10, 1]", "--side"]);
    refused("--format onnx --dense fc1 --channels-first", "a.onnx", 2, &["[y, x, channel]"]);
    holdfast("export --format onnx", &[text(trained())]).refused(2, &["--out"]);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    // Somebody's files, and those of a run.
    for (name, format) in [("mine.onnx", "onnx"), ("mine.safetensors", "safetensors")] {
        fs::write(folder.join(name), "my own").unwrap();
        refused(&format!("--format {format}"), name, 2, &[name, "is not a file that holdfast export wrote"]);
        assert_eq!(fs::read(folder.join(name)).unwrap(), b"my own");
    }
    let weights = trained().join("weights.safetensors");
    let before = fs::read(&weights).unwrap();
    holdfast("export --format safetensors", &[text(trained()), "--out", text(&weights)])
        .refused(2, &["weights.safetensors"]);
    assert_eq!(fs::read(&weights).unwrap(), before);
}

#[test]
fn a_damaged_network_is_refused_before_anything_is_written() {
    let folder = fresh_folder("export-damaged");
    let (good, bad, out) =
        (folder.join("good.safetensors"), folder.join("bad.safetensors"), folder.join("network.onnx"));
    export(trained(), "--format safetensors", &good);
    let bytes = fs::read(&good).unwrap();
    let refused = |content: &[u8], words: &[&str]| {
        fs::write(&bad, content).unwrap();
        holdfast("export --format onnx", &[text(&bad), "--out", text(&out)]).refused(5, words);
        assert!(!out.exists());
    };
    refused(&bytes[..bytes.len() / 2], &["bad.safetensors"]);
    // Other names and shapes of the same lengths.
    let changed = |from: &str, to: &str| {
        let place = bytes.windows(from.len()).rposition(|window| window == from.as_bytes()).unwrap();
        [&bytes[..place], to.as_bytes(), &bytes[place + from.len()..]].concat()
    };
    refused(&changed("\"dense1.weight\"", "\"dense9.weight\""), &["no array dense1.weight"]);
    refused(&changed("[144,12]", "[12,144]"), &["[12, 144]", "[144, 12]"]);
}
