//! `holdfast doctor` and `holdfast explain`.

use crate::adapter;
use crate::program::{command, device, end, holdfast, manifest, text};
use serde_json::Value;
use std::path::Path;

/// Runs the doctor on a device, with its certificates in a folder of their own.
fn examine(device: &str, data: &Path) -> Value {
    let mut command = command(&["doctor", "--json", "--quiet", "--device", device]);
    end(command.env("XDG_DATA_HOME", data)).succeeded().json()
}

#[test]
fn both_engines_pass_and_their_certificates_are_kept() {
    for device in ["cpu", &device()] {
        let data = tempfile::tempdir().unwrap();
        let json = examine(device, data.path());
        assert_eq!(json["passed"], true, "{json}");
        for kernel in json["kernels"].as_array().unwrap() {
            assert!(kernel["cases"].as_u64() > Some(0) && kernel["failed"] == 0, "{kernel}");
            assert!(kernel["share"].as_f64() <= Some(1.0), "{kernel}");
        }
        let file = json["certificate_file"].as_str().unwrap();
        assert!(Path::new(file).starts_with(data.path()), "{file}");
        let kept: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        assert_eq!(kept, json["certificate"]);
        assert_eq!(kept["hash"].as_str().map(str::len), Some(64));
    }
}

#[test]
fn a_device_that_answers_otherwise_is_refused_with_code_4_and_its_kernel_is_named() {
    let (data, tape) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let run = |more: [&str; 2]| {
        let mut command = command(&["doctor", "--json", "--quiet", "--device", &device()]);
        end(command.args(more).env("XDG_DATA_HOME", data.path()))
    };
    assert_eq!(run(["--tape", text(tape.path())]).succeeded().json()["passed"], true);
    let file = tape.path().join("answers.bin");
    let judged = run(["--answers", text(&file)]).succeeded().json();
    assert!(judged["passed"] == true && judged["certificate_file"].is_null(), "{judged}");
    // The first read-back is the words of Philox.
    let mut answers = std::fs::read(&file).unwrap();
    answers[5] ^= 1;
    std::fs::write(&file, &answers).unwrap();
    let ended = run(["--answers", text(&file)]);
    assert_eq!(ended.code, Some(4));
    for part in ["prelude.philox", "element 1", "--device cpu"] {
        assert!(ended.stderr.contains(part), "{part} is not in {}", ended.stderr);
    }
    std::fs::write(&file, &answers[..answers.len() - 4]).unwrap();
    run(["--answers", text(&file)]).refused(5, &["too few answers", "play it again"]);
    holdfast("doctor --device cpu --tape x", &[]).refused(2, &["--tape", "--device"]);
}

#[test]
fn manifests_of_later_runs_carry_the_certificate_of_their_device() {
    let (data, before, after) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let train = |out: &Path| {
        let line = "train --preset smoke --epochs 1 --training-images 200 --device cpu --quiet --out";
        let arguments: Vec<&str> = line.split(' ').chain([text(out)]).collect();
        end(command(&arguments).env("XDG_DATA_HOME", data.path())).succeeded();
        manifest(out)
    };
    assert!(train(before.path())["certificate"].is_null());
    let certificate = examine("cpu", data.path())["certificate"].clone();
    assert_eq!(train(after.path())["certificate"], certificate);
}

#[test]
fn a_certificate_that_cannot_be_kept_is_a_notice() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut command = command(&["doctor", "--device", "cpu"]);
    let ended = end(command.env("XDG_DATA_HOME", file.path())).succeeded();
    ended.says(&["notice: the certificate is not kept"]).prints(&["This device is right"]);
}

#[test]
fn a_device_that_is_not_there_is_refused() {
    holdfast("doctor --device no-such-card", &[]).refused(3, &["no-such-card", "--device cpu"]);
}

#[test]
fn explain_lists_kernels_and_shows_lesson_text_and_cost() {
    holdfast("explain", &[]).succeeded().prints(&["dense.forward", "stability.count", "conv2d: "]);
    let cost = format!("## Its cost on {}", holdfast::gpu::adapters()[adapter::index()].name);
    let parts = ["# adam: ", "## The formula", "fn main(", "fn flat_index(", &cost, " ms"];
    holdfast(&format!("explain adam.step --device {}", device()), &[]).succeeded().prints(&parts);
    let json = holdfast(&format!("explain adam --json --device {}", device()), &[]).succeeded().json();
    assert!(json["kernels"][0]["launch_ms"].as_f64() > Some(0.0), "{json}");
    holdfast("explain dense.back", &[]).refused(2, &["dense.back", "dense.backward_input"]);
    holdfast("explain convolution --device cpu", &[]).succeeded().prints(&["# conv2d: "]);
    holdfast("explain convolutoin", &[]).refused(2, &["convolutoin", "did you mean conv2d?"]);
}
