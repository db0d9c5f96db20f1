//! `holdfast stability`: every kind of file gives the same table, and the table is NumPy's.

use crate::adapter;
use crate::arrays::{self, SHAPE, bytes, every_npy, npz, plain, tensor, values, write};
use crate::{column, holdfast};
use ndarray::{ArrayD, IxDyn};
use ndarray_npy::NpzReader;
use std::fs;
use std::fs::File;
use std::path::Path;
use tempfile::tempdir;
use zip::CompressionMethod;

/// What the axes of [`plain`] are.
const AXES: &str = "--axes epoch,replica,weight";

/// Counts a file and returns the table and what was said.
fn table(folder: &Path, line: &str) -> (String, String) {
    let ended =
        holdfast(folder, &format!("stability --device cpu --out out --tolerance 0,0.6 {line}"), &[]).succeeded();
    let table = fs::read_to_string(folder.join("out/stability.csv")).unwrap();
    fs::remove_dir_all(folder.join("out")).unwrap();
    (table, ended.stderr)
}

#[test]
fn every_type_and_layout_gives_the_same_table() {
    let folder = tempdir().unwrap();
    write(folder.path(), "plain.npy", &plain());
    let (expected, said) = table(folder.path(), &format!("plain.npy {AXES}"));
    assert!(said.contains("4 epochs x 2 replicas x 3 weights"), "{said}");
    // Half of the epochs have doubled weights: 2 of 4 epochs at tolerance 0, and at 0.6, since doubling is a share of 1.
    assert!(
        expected.starts_with(
            "replica,layer,weight,ky,kx,in,out,reference_weight,tolerance,stability\n0,,0,,,,,0.5,0.0,2\n"
        )
    );
    for (name, bytes) in every_npy() {
        write(folder.path(), "other", &bytes);
        let (found, said) = table(folder.path(), &format!("other {AXES}"));
        assert_eq!(found, expected, "{name}");
        assert_eq!(said.contains("rounded to 32 bits"), name.starts_with("f64"), "{name}: {said}");
    }
    let halves = |bits: fn(f32) -> [u8; 2]| values().into_iter().flat_map(bits).collect::<Vec<u8>>();
    for (dtype, data) in [
        ("F32", bytes(&values())),
        ("F64", values().iter().flat_map(|&value| f64::from(value).to_le_bytes()).collect()),
        ("F16", halves(|value| half::f16::from_f32(value).to_le_bytes())),
        ("BF16", halves(|value| half::bf16::from_f32(value).to_le_bytes())),
    ] {
        write(folder.path(), "other", &tensor(dtype, &data));
        assert_eq!(table(folder.path(), &format!("other {AXES}")).0, expected, "safetensors {dtype}");
    }
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        write(folder.path(), "one.npz", &npz(&[("history.npy", &plain())], method));
        assert_eq!(table(folder.path(), &format!("one.npz {AXES}")).0, expected, "one array needs no name");
        let other = arrays::npy(&arrays::header("<i8", false, &[1]), &[0; 8]);
        write(folder.path(), "two.npz", &npz(&[("step.npy", &other), ("w.npy", &plain())], method));
        assert_eq!(table(folder.path(), &format!("two.npz --history-key w {AXES}")).0, expected, "{method}");
    }
}

#[test]
fn axes_are_read_as_asked_and_without_names_the_last_two_are_in_and_out() {
    let folder = tempdir().unwrap();
    write(folder.path(), "a.npy", &plain());
    let (found, said) = table(folder.path(), "a.npy --no-replica-axis");
    assert!(said.contains("4 epochs x 1 replica x 6 weights"), "{said}");
    assert!(found.contains("\n0,,4,,,1,1,1.5,0.6,2\n"), "{found}");
    let flat = arrays::npy(&arrays::header("<f4", false, &[8, 3]), &bytes(&values()));
    write(folder.path(), "flat.npy", &flat);
    assert!(table(folder.path(), "flat.npy").1.contains("8 epochs x 1 replica x 3 weights"));
}

#[test]
fn one_epoch_gives_a_stability_of_one_and_a_notice() {
    let folder = tempdir().unwrap();
    write(folder.path(), "a.npy", &arrays::npy(&arrays::header("<f4", false, &[1, 24]), &bytes(&values())));
    let (found, said) = table(folder.path(), "a.npy");
    assert!(said.contains("one epoch"), "{said}");
    assert_eq!(found.lines().skip(1).filter(|line| line.ends_with(",1")).count(), 48, "{found}");
}

#[test]
fn all_readings_equal_numpys_on_both_engines() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stability/e20_r3_n37.npz");
    let mut archive = NpzReader::new(File::open(&file).unwrap()).unwrap();
    let tolerances: ArrayD<f64> = archive.by_name::<_, IxDyn>("tolerances").unwrap();
    let tolerances: Vec<String> = tolerances.iter().map(f64::to_string).collect();
    let folder = tempdir().unwrap();
    for tracking in ["position", "rank"] {
        for kind in ["relative", "absolute"] {
            for against in ["last", "previous"] {
                let name = match (tracking, against) {
                    ("rank", "previous") => continue,
                    (_, "previous") => format!("previous_{kind}"),
                    _ => format!("{tracking}_{kind}"),
                };
                let expected: ArrayD<u32> = archive.by_name::<_, IxDyn>(&name).unwrap();
                let borderline: ArrayD<bool> = archive.by_name::<_, IxDyn>(&format!("{name}_borderline")).unwrap();
                let mut tables = Vec::new();
                for device in ["cpu", &adapter::index().to_string()] {
                    let out = format!("{name}-{device}");
                    let line = format!(
                        "stability {} --history-key history {AXES} --device {device} --out {out} --tolerance {} --tracking \
                         {tracking} --tolerance-kind {kind} --against {against}",
                        file.display(),
                        tolerances.join(",")
                    );
                    holdfast(folder.path(), &line, &[]).succeeded();
                    let path = folder.path().join(out).join("stability.csv");
                    // Rows are replica, weight, tolerance; the fixture is tolerance, replica, weight.
                    for (row, found) in column(&path, "stability").iter().enumerate() {
                        let place = [row % 3, row / 3 / 37, row / 3 % 37];
                        let same = *found == expected[&place[..]].to_string();
                        assert!(same || borderline[&place[..]], "{name} on {device}: {place:?} is {found}");
                    }
                    tables.push(fs::read_to_string(path).unwrap());
                }
                assert_eq!(tables[0], tables[1], "{name}");
            }
        }
    }
}

#[test]
fn json_holds_the_summary() {
    let folder = tempdir().unwrap();
    write(folder.path(), "a.npy", &plain());
    let line =
        "stability a.npy --axes epoch,replica,weight --device cpu --out out --tolerance 0 --window 2 --json --quiet";
    let ended = holdfast(folder.path(), line, &[]).succeeded();
    let found = ended.json();
    assert_eq!((&found["epochs"], &found["replicas"], &found["weights"]), (&4.into(), &2.into(), &3.into()));
    assert_eq!(found["tolerances"][0]["mean"], 2.0);
    assert_eq!(found["tolerances"][0]["sd"], 0.0);
    assert_eq!(found["tolerances"][0]["stable_weights"], serde_json::json!([0.0, 0.0, 3.0, 3.0]));
    assert_eq!(found["tolerances"][0]["most_distinct_thresholds"], 2);
    assert_eq!(found["frozen_weights"], 0);
    assert_eq!(column(&folder.path().join("out/envelope.csv"), "settling_tolerance"), ["0.0"; 6]);
}

#[test]
fn above_a_million_rows_arrays_take_the_place_of_the_table() {
    let folder = tempdir().unwrap();
    let weight_count = 600 * 600;
    let weights: Vec<f32> = (0..2 * weight_count).map(|index| (index % weight_count) as f32).collect();
    let header = arrays::header("<f4", false, &[2, 1, 600, 600]);
    write(folder.path(), "a.npy", &arrays::npy(&header, &bytes(&weights)));
    let line = "stability a.npy --device cpu --out out --tolerance 0.01,0.03,0.05 --window 1,2";
    holdfast(folder.path(), line, &[]).succeeded().says(&["above a million rows"]);
    assert!(folder.path().join("out/envelope.csv").is_file() && !folder.path().join("out/stability.csv").exists());
    let mut archive = NpzReader::new(File::open(folder.path().join("out/stability.npz")).unwrap()).unwrap();
    let stability: ArrayD<u32> = archive.by_name::<_, IxDyn>("stability").unwrap();
    assert_eq!(stability.shape(), [3, 1, weight_count]);
    assert!(stability.iter().all(|&epochs| epochs == 2));
    let tolerance: ArrayD<f64> = archive.by_name::<_, IxDyn>("tolerance").unwrap();
    assert_eq!(tolerance.as_slice().unwrap(), [0.01, 0.03, 0.05]);
    let row: ArrayD<u32> = archive.by_name::<_, IxDyn>("in").unwrap();
    assert_eq!((row[[599]], row[[600]]), (0, 1));
}

#[test]
fn the_same_file_goes_into_the_same_folder_and_other_settings_into_another() {
    let folder = tempdir().unwrap();
    write(folder.path(), "a.npy", &plain());
    let folders = || fs::read_dir(folder.path().join("runs")).unwrap().count();
    for (line, expected) in [("", 1), ("", 1), ("--tracking rank", 2), ("--tolerance 0.5", 3)] {
        holdfast(folder.path(), &format!("stability a.npy {AXES} --device cpu --quiet {line}"), &[]).succeeded();
        assert_eq!(folders(), expected, "{line}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_path_that_is_not_utf_8_is_read() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.npy");
    fs::write(folder.path().join(name), plain()).unwrap();
    let ended =
        holdfast(folder.path(), "stability --axes epoch,replica,weight --device cpu --out out", &[name]).succeeded();
    assert!(ended.stdout.contains(&format!("{} epochs", SHAPE[0])));
}
