//! The same command gives the same bits: again, on other threads, and for a replica alone as among others.

use crate::digits;
use crate::program::{Table, device, history, holdfast, manifest, text, weights};
use crate::run_folder::of_focus;
use crate::run_folder::smoke;
use std::fs;
use std::path::Path;

/// Files without times in them.
const WITHOUT_TIMES: [&str; 7] =
    ["config.toml", "metrics.csv", "history.npz", "weights.safetensors", "stability.csv", "envelope.csv", "sweep.csv"];

pub fn assert_same_run(a: &Path, b: &Path) {
    for name in WITHOUT_TIMES {
        assert!(fs::read(a.join(name)).unwrap() == fs::read(b.join(name)).unwrap(), "{name} differs");
    }
    let (a, b) = (manifest(a), manifest(b));
    for key in ["configuration_hash", "configuration", "weight_hashes", "data_checksums", "device"] {
        assert_eq!(a[key], b[key], "{key}");
    }
}

#[test]
fn the_same_command_gives_the_same_bits_on_any_number_of_threads() {
    let again = tempfile::tempdir().unwrap();
    holdfast("compare --preset smoke --device cpu --threads 1 --out", &[text(again.path())]).succeeded();
    assert_same_run(&smoke().1, again.path());
}

#[test]
fn another_seed_gives_other_bits() {
    let runs = [1, 2].map(|seed| {
        let out = tempfile::tempdir().unwrap();
        let line = format!("train --preset smoke --epochs 1 --training-images 200 --device cpu --seed {seed} --out");
        holdfast(&line, &[text(out.path())]).succeeded();
        out
    });
    let [one, two] = [&runs[0], &runs[1]].map(|out| (history(out.path()), manifest(out.path())));
    assert!(one.0.iter().zip(&two.0).all(|(a, b)| a != b));
    assert_ne!(one.1["configuration_hash"], two.1["configuration_hash"]);
}

/// Trains one replica and five with a configuration, and compares the bits of the first.
fn assert_alone_as_among_five(configuration: &str, data: &str) {
    let runs = [1, 5].map(|replicates| {
        let out = tempfile::tempdir().unwrap();
        let line = format!("train {configuration} --replicates {replicates} --data {data} --out");
        holdfast(&line, &[text(out.path())]).succeeded();
        out
    });
    let [alone, among] = [runs[0].path(), runs[1].path()];
    let [history_alone, history_among] = [history(alone), history(among)];
    assert_eq!((history_alone.shape()[1], history_among.shape()[1]), (1, 5));
    let first = |run: &ndarray::Array3<f32>, replica| -> Vec<u32> {
        run.index_axis(ndarray::Axis(1), replica).iter().map(|weight| weight.to_bits()).collect()
    };
    assert_eq!(first(&history_alone, 0), first(&history_among, 0));
    assert_ne!(first(&history_among, 0), first(&history_among, 1), "replicas must differ");
    for tensor in ["dense0.weight", "dense0.bias", "dense1.weight", "dense2.weight", "dense2.bias"] {
        let [(shape, bytes), (_, all)] = [weights(alone, tensor), weights(among, tensor)];
        assert_eq!(shape[0], 1, "{tensor}");
        assert!(all.len() == 5 * bytes.len() && all[..bytes.len()] == bytes, "{tensor}");
    }
    let [metrics, all] = [alone, among].map(|run| Table::read(&run.join("metrics.csv")));
    assert_eq!(metrics.rows, all.only(&[("replica", "0")]).rows);
}

const TINY: &str = "--preset smoke --training-images 320 --epochs 3 --width 30 --depth 2";

#[test]
fn a_replica_alone_has_its_bits_among_five_on_the_cpu_engine() {
    let (_data, argument) = digits::folder();
    assert_alone_as_among_five(&format!("{TINY} --device cpu"), &argument);
}

#[test]
fn a_replica_alone_has_its_bits_among_five_in_the_shaders() {
    let (_data, argument) = digits::folder();
    assert_alone_as_among_five(&format!("{TINY} --device {}", device()), &argument);
}

#[test]
fn both_engines_tell_the_same_story() {
    let (_data, argument) = digits::folder();
    let runs = ["cpu", &device()].map(|device| {
        let out = tempfile::tempdir().unwrap();
        let line = format!(
            "compare --preset smoke --training-images 320 --epochs 6 --ed-epochs 1 --ed-targets 0,50% --batch 8 --depth 2 \
             --device {device} --out"
        );
        holdfast(&line, &[text(out.path()), "--data", &argument]).succeeded();
        out
    });
    let tables = |name: &str| [&runs[0], &runs[1]].map(|run| Table::read(&run.path().join(name)));
    for name in ["metrics.csv", "sweep.csv", "ledger.csv", "stability.csv", "envelope.csv", "inference.csv"] {
        let [cpu, gpu] = tables(name);
        assert_eq!(cpu.columns, gpu.columns, "{name}");
    }
    for name in ["metrics.csv", "ledger.csv", "stability.csv", "envelope.csv", "inference.csv"] {
        let [cpu, gpu] = tables(name);
        assert_eq!(cpu.rows.len(), gpu.rows.len(), "{name}");
    }
    let dense = |table: Table| -> f64 {
        let accuracies = of_focus(&table).only(&[("method", "dense"), ("epochs", "6")]).numbers("accuracy");
        assert_eq!(accuracies.len(), 2);
        accuracies.iter().sum::<f64>() / 2.0
    };
    let [cpu, gpu] = tables("sweep.csv").map(dense);
    assert!(cpu > 0.8 && gpu > 0.8, "nothing was learned: {cpu} {gpu}");
    assert!((cpu - gpu).abs() < 0.05, "{cpu} on the processor, {gpu} in the shaders");
    // Both start from the same integers: after one epoch, rounding has not yet driven the weights far apart.
    let [cpu, gpu] = [history(runs[0].path()), history(runs[1].path())];
    let first = |run: &ndarray::Array3<f32>| run.index_axis(ndarray::Axis(0), 0).to_owned();
    let furthest = (first(&cpu) - first(&gpu)).iter().fold(0.0f32, |most, difference| most.max(difference.abs()));
    assert!(furthest < 1e-3, "{furthest}");
}
