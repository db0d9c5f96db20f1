//! `compact`: networks made really smaller, lossless and by the surgeon.

use crate::program::{Table, device, fresh_folder, holdfast, text};
use crate::run_folder::smoke;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Makes a network compact into a fresh folder, and reads what was said.
fn compact(source: &Path, options: &str, name: &str) -> (Value, PathBuf) {
    let out = fresh_folder(name);
    let line = format!("compact --device cpu --quiet --json{}{options}", if options.is_empty() { "" } else { " " });
    (holdfast(&line, &[text(source), "--out", text(&out)]).succeeded().json(), out)
}

/// A number of all layers together, before and after.
fn all(json: &Value, what: &str) -> [u64; 2] {
    let all = json["layers"].as_array().unwrap().last().unwrap().clone();
    ["before", "after"].map(|when| all[format!("{what}_{when}")].as_u64().unwrap())
}

fn accuracies(json: &Value) -> [f64; 2] {
    [0, 1].map(|place| json["accuracy"][place].as_f64().unwrap())
}

/// What `evaluate` says of the first network at a path.
fn evaluated(path: &Path, data: &str) -> f64 {
    let line = format!("evaluate --device cpu --quiet --json --data {data}");
    holdfast(&line, &[text(path)]).succeeded().json()["networks"][0]["accuracy"].as_f64().unwrap()
}

/// A small convolutional run of images of 12 x 12.
fn convolutional() -> &'static PathBuf {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| {
        let folder = fresh_folder("compact-cnn");
        let line = "train --preset smoke --model cnn --filters 4 --hidden 10,8 --data pr --side 12 --replicates 1 --epochs 2 \
                    --device cpu --quiet --out";
        holdfast(line, &[text(&folder)]).succeeded();
        folder
    })
}

#[test]
fn seven_per_cent_of_an_mnist_network_go_without_a_changed_training_prediction() {
    let (json, out) = compact(&smoke().1, "", "compact-lossless");
    let [before, after] = all(&json, "weights");
    assert_eq!(before, 28_320);
    assert!(after as f64 <= 0.93 * before as f64, "{after} of {before}");
    let [same, images] = [0, 1].map(|place| json["training_images_classified_as_before"][place].as_u64().unwrap());
    assert_eq!(same, images);
    // Only test images that light an input which no training image lights may be classified otherwise.
    let lighting = json["test_images_that_light_dark_inputs"].as_f64().unwrap();
    let [dense, compacted] = accuracies(&json);
    assert!((dense - compacted).abs() <= lighting / 10_000.0 + 1e-9, "{dense} {compacted} {lighting}");
    assert!(json["notices"][0].as_str().unwrap().contains("--replica"));
    assert_eq!(evaluated(&out, "mnist"), compacted);
    assert_eq!(evaluated(&out.join("weights.safetensors"), "mnist"), compacted);
    let table = Table::read(&out.join("compact.csv"));
    assert_eq!(table.column("layer").len(), 8);
    assert_eq!(table.only(&[("layer", "all")]).counts("weights_after"), [after as usize]);
    let manifest = crate::support::manifest(&out);
    assert!(manifest["finished"].is_string() && manifest["command"] == "compact");
    // Once more nothing is left to take.
    let (again, _) = compact(&out, "--data mnist", "compact-again");
    assert_eq!(all(&again, "weights"), [after, after]);
}

#[test]
fn a_pruned_network_becomes_really_smaller_and_stays_the_same() {
    let pruned = fresh_folder("compact-pruned");
    let line = "prune --criterion surgeon --layers all --smaller 12 --device cpu --quiet";
    holdfast(line, &[text(&smoke().1), "--out", text(&pruned)]).succeeded();
    let (json, out) = compact(&pruned, "--data mnist --replica 1", "compact-of-pruned");
    let [before, after] = all(&json, "weights");
    assert!(before == 28_320 && after < before / 2, "{after} of {before}");
    let findings = &json["removed"];
    assert!(findings["unread_inputs"].as_u64().unwrap() > 100, "{findings}");
    let [dense, compacted] = accuracies(&json);
    assert!((dense - compacted).abs() < 2e-4, "{dense} {compacted}");
    assert_eq!(evaluated(&out, "mnist"), compacted);
    let [large, small] = [0, 1].map(|place| json["file_bytes"][place].as_u64().unwrap());
    assert_eq!(small, std::fs::metadata(out.join("weights.safetensors")).unwrap().len());
    assert!(small < large);
}

#[test]
fn what_is_asked_for_is_reached() {
    let run = &smoke().1;
    let (smaller, out) = compact(run, "--smaller 4 --base mean", "compact-smaller");
    let [before, after] = all(&smaller, "weights");
    assert!(after * 4 <= before && after * 6 > before, "{after} of {before}");
    let [dense, compacted] = accuracies(&smaller);
    assert!(compacted > dense - 0.1, "{dense} {compacted}");
    assert_eq!(evaluated(&out, "mnist"), compacted);
    let (faster, _) = compact(run, "--faster 2.5", "compact-faster");
    let [before, after] = all(&faster, "multiply_adds");
    assert!(2 * before >= 5 * after, "{after} of {before}");
    let (units, _) = compact(run, "--units 50%", "compact-units");
    let [before, after] = all(&units, "units");
    assert!(before == 180 && after <= 90, "{after}");
    let (blocks, _) = compact(run, "--units 50% --multiple 8", "compact-blocks");
    let layers = blocks["layers"].as_array().unwrap();
    let units: Vec<u64> = layers.iter().map(|layer| layer["units_after"].as_u64().unwrap()).collect();
    assert!(units[..6].iter().all(|units| units % 8 == 0 || *units == 30), "{units:?}");
    assert!(units[7] <= 90, "{units:?}");
}

#[test]
fn convolutions_lose_filters_and_keep_their_pixels_and_their_pooling() {
    let (json, out) = compact(convolutional(), "--faster 2", "compact-filters");
    let [before, after] = all(&json, "multiply_adds");
    assert!(after * 2 <= before, "{after} of {before}");
    assert_eq!(json["inputs"], serde_json::json!([144, 144]));
    assert_eq!(evaluated(&out, "pr --side 12"), accuracies(&json)[1]);
    let (lossless, _) = compact(convolutional(), "", "compact-cnn-lossless");
    let [same, images] = [0, 1].map(|place| lossless["training_images_classified_as_before"][place].as_u64().unwrap());
    assert_eq!(same, images);
}

#[test]
fn both_engines_make_a_convolutional_network_as_small() {
    let [cpu, shaders] = ["cpu", &device()].map(|device| {
        let out = fresh_folder("compact-engines");
        let line = format!("compact --faster 2 --device {device} --quiet --json");
        holdfast(&line, &[text(convolutional()), "--out", text(&out)]).succeeded().json()
    });
    assert_eq!(all(&cpu, "multiply_adds"), all(&shaders, "multiply_adds"));
    let [one, other] = [&cpu, &shaders].map(|json| accuracies(json)[1]);
    assert!((one - other).abs() <= 0.005, "{one} on the processor, {other} in the shaders");
}

#[test]
fn the_same_command_gives_the_same_bits_for_any_number_of_threads() {
    let bytes = |threads: &str, name: &str| {
        let (_, out) = compact(&smoke().1, &format!("--smaller 3 --threads {threads}"), name);
        std::fs::read(out.join("weights.safetensors")).unwrap()
    };
    assert_eq!(bytes("1", "compact-one-thread"), bytes("3", "compact-three-threads"));
}

#[test]
fn impossible_wishes_get_a_sentence() {
    let run = text(&smoke().1);
    let refused = |options: &str, code: i32, words: &[&str]| {
        let out = fresh_folder("compact-refused");
        holdfast(&format!("compact --device cpu {options}"), &[run, "--out", text(&out)]).refused(code, words);
    };
    refused("--replica 0,1", 2, &["2 replicas", "name one"]);
    refused("--replica 2", 2, &["2 networks", "replica 2"]);
    refused("--smaller 0.5", 2, &["--smaller 0.5", "--smaller 4"]);
    refused("--faster nan", 2, &["--faster NaN"]);
    refused("--smaller 100000", 2, &["one unit in each layer"]);
    refused("--units 1%", 2, &["hidden units", "one unit in each layer"]);
    refused("--units 50", 2, &["50%"]);
    refused("--multiple 16", 2, &["--multiple", "--faster"]);
    refused("--multiple 0 --faster 2", 2, &["multiples of 0"]);
    refused("--multiple 30 --units 50%", 2, &["30 units in each layer"]);
    refused("--calibration-images 0 --smaller 2", 2, &["--calibration-images 0"]);
    refused("--ridge 0 --smaller 2", 2, &["--ridge 0"]);
    let out = fresh_folder("compact-refused");
    let nothing = fresh_folder("compact-nothing");
    holdfast("compact --device cpu", &[text(&nothing), "--out", text(&out)]).refused(5, &["weights.safetensors"]);
    let weights = smoke().1.join("weights.safetensors");
    let copy = nothing.join("copy.safetensors");
    std::fs::copy(&weights, &copy).unwrap();
    holdfast("compact --device cpu --smaller 2", &[text(&copy), "--out", text(&out)]).refused(5, &["copy.safetensors"]);
}
