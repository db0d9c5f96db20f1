//! Counts and envelopes against answers that NumPy gave (`tests/fixtures/README.md`).

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../support/adapter.rs"]
mod adapter;

use holdfast::cpu::stability::HistoryShape;
use holdfast::engine::{self, Choice, Engine};
use holdfast::gpu::DeviceChoice;
use holdfast::stability::{Against, History, Reading, Stability, ToleranceKind, Tracking, WindowedEnvelope};
use ndarray::{ArrayD, IxDyn};
use ndarray_npy::{NpzReader, ReadableElement};
use std::fs::File;
use std::path::PathBuf;

/// The CPU engine, and the shaders.
fn engines() -> Vec<Engine> {
    let (shaders, _) = engine::open(&Choice::Adapter(DeviceChoice::Index(adapter::index())), None, false).unwrap();
    vec![Engine::cpu(Some(2)).unwrap(), shaders]
}

const fn reading(tracking: Tracking, tolerance_kind: ToleranceKind, against: Against) -> Reading {
    Reading { tracking, tolerance_kind, against }
}

/// Every reading that NumPy counted, by its name in the files.
const READINGS: [(Reading, &str); 6] = [
    (reading(Tracking::Position, ToleranceKind::Relative, Against::Last), "position_relative"),
    (reading(Tracking::Position, ToleranceKind::Absolute, Against::Last), "position_absolute"),
    (reading(Tracking::Position, ToleranceKind::Relative, Against::Previous), "previous_relative"),
    (reading(Tracking::Position, ToleranceKind::Absolute, Against::Previous), "previous_absolute"),
    (reading(Tracking::Rank, ToleranceKind::Relative, Against::Last), "rank_relative"),
    (reading(Tracking::Rank, ToleranceKind::Absolute, Against::Last), "rank_absolute"),
];

/// Calls `check` with every recorded history, by every engine.
fn with_fixtures(check: impl Fn(&str, &mut Engine, &History, &mut NpzReader<File>)) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stability");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 3, "the recorded histories are missing");
    for mut engine in engines() {
        for file in &files {
            let mut archive = NpzReader::new(File::open(file).unwrap()).unwrap();
            let weights = array::<f32>(&mut archive, "history");
            let [epochs, replicas, weight_count] = *weights.shape() else { panic!("a history has three axes") };
            let shape = HistoryShape { epochs, replicas, weight_count };
            let history = History::new(shape, weights.into_iter().collect()).unwrap();
            let name = format!("{} on {}", file.display(), engine.description().name);
            check(&name, &mut engine, &history, &mut archive);
        }
    }
}

fn array<T: ReadableElement>(archive: &mut NpzReader<File>, name: &str) -> ArrayD<T> {
    archive.by_name::<ndarray::OwnedRepr<T>, IxDyn>(name).unwrap()
}

fn values<T: ReadableElement>(archive: &mut NpzReader<File>, name: &str) -> Vec<T> {
    array(archive, name).into_iter().collect()
}

#[test]
fn ranks_equal_numpys_order() {
    with_fixtures(|name, engine, history, archive| {
        let weight_count = history.shape().weight_count;
        let order: Vec<u32> = values(archive, "order");
        let rank = engine.rank(history.shape(), history.weights()).unwrap();
        for (segment, (order, rank)) in order.chunks(weight_count).zip(rank.chunks(weight_count)).enumerate() {
            for (place, &weight_index) in order.iter().enumerate() {
                assert_eq!(
                    rank[weight_index as usize] as usize, place,
                    "{name}: segment {segment}, weight {weight_index}"
                );
            }
        }
    });
}

#[test]
fn magnitude_stability_and_stable_weights_equal_numpys() {
    with_fixtures(|name, engine, history, archive| {
        let tolerances: Vec<f64> = values(archive, "tolerances");
        for (reading, name_in_file) in READINGS {
            let found = Stability::count(engine, history, &tolerances, reading).unwrap();
            let expected: Vec<u32> = values(archive, name_in_file);
            let borderline: Vec<bool> = values(archive, &format!("{name_in_file}_borderline"));
            assert_eq!(found.counts.stability.len(), expected.len(), "{name}: {name_in_file}");
            for (index, (found, expected)) in found.counts.stability.iter().zip(&expected).enumerate() {
                assert!(found == expected || borderline[index], "{name}: {name_in_file} {index}: {found}, {expected}");
            }
            // The stable places of a sorted order were not recorded.
            if reading.tracking == Tracking::Position {
                let stable: Vec<u32> = values(archive, &format!("{name_in_file}_stable_nodes"));
                assert_eq!(found.counts.stable_weights.len(), stable.len());
                if !borderline.contains(&true) {
                    assert_eq!(found.counts.stable_weights, stable, "{name}: {name_in_file}");
                }
            }
        }
    });
}

#[test]
fn envelopes_and_settling_tolerances_equal_numpys() {
    with_fixtures(|name, engine, history, archive| {
        let windows: Vec<u32> = values(archive, "windows");
        let found = WindowedEnvelope::new(engine, history, &windows).unwrap();
        assert_eq!(found.extremes.minimum, values::<f32>(archive, "window_minimum"), "{name}");
        assert_eq!(found.extremes.maximum, values::<f32>(archive, "window_maximum"), "{name}");
        let smallest: Vec<f32> = values(archive, "window_smallest_magnitude");
        assert_eq!(found.extremes.smallest_magnitude, smallest, "{name}");
        let expected: Vec<f64> = values(archive, "settling_tolerance");
        let replicas = history.shape().replicas;
        let settling: Vec<f64> = (0..windows.len())
            .flat_map(|window| (0..replicas).map(move |replica| (window, replica)))
            .flat_map(|(window, replica)| found.settling_tolerances(window, replica))
            .collect();
        assert_eq!(settling.len(), expected.len(), "{name}");
        for (index, (found, expected)) in settling.iter().zip(&expected).enumerate() {
            let close = (found - expected).abs() <= 1e-12 * expected.abs();
            assert!(found == expected || close, "{name}: settling tolerance {index}: {found}, {expected}");
        }
    });
}

#[test]
fn stability_is_the_longest_window_that_lies_within_the_tolerance() {
    with_fixtures(|name, engine, history, _| {
        let shape = history.shape();
        let every: Vec<u32> = (1..=shape.epochs as u32).collect();
        let envelope = WindowedEnvelope::new(engine, history, &every).unwrap();
        let tolerance = 0.03;
        let counted = Stability::count(engine, history, &[tolerance], Reading::default()).unwrap();
        for replica in 0..shape.replicas {
            for (weight_index, &stability) in counted.of_replica(0, history, replica).iter().enumerate() {
                let settling = |window: u32| envelope.settling_tolerance(window as usize - 1, replica, weight_index);
                let borderline = every.iter().any(|&window| (settling(window) - tolerance).abs() < 1e-12);
                let longest = every.iter().rev().find(|&&window| settling(window) <= tolerance);
                assert!(borderline || longest == Some(&stability), "{name}: replica {replica}, weight {weight_index}");
            }
        }
    });
}
