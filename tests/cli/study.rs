//! `holdfast study` with training, in one piece and in shards that `holdfast merge` joins.

use crate::digits;
#[cfg(unix)]
use crate::disturbance::disturb;
use crate::program::{Ended, Table, fresh_folder, history, holdfast, manifest, text, weights};
use crate::run_folder::of_focus;
#[cfg(unix)]
use holdfast::random::{Sequence, Stream};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
#[cfg(unix)]
use std::time::Duration;

const TABLES: [&str; 8] = [
    "table1.csv",
    "table2.csv",
    "table3.csv",
    "table4.csv",
    "table5.csv",
    "coefficients.csv",
    "growth.csv",
    "slopes.csv",
];

/// Files that hold times.
const TIMES: [&str; 4] = ["manifest.json", "report.html", "ledger.csv", "inference.csv"];

/// Both networks on a small set.
const SMALL: &str = "study --preset smoke --side 12 --device cpu --quiet";
/// Trains nothing but what the tables are made of.
const PLAIN: &str = " --sensitivity-replicates 0 --figure-4-replicates 0";
/// So few epochs that some replicas of the CNN do not learn the set.
const REPLACING: &str = " --replicates 4 --epochs 12 --min-accuracy 0.6 --sensitivity-replicates 2";

/// Runs a study on the small set.
fn small(more: &str, data: &str, out: &Path) -> Ended {
    holdfast(&format!("{SMALL}{more}"), &["--data", data, "--out", text(out)])
}

/// All files of a folder but those that hold times, by their names within it.
fn files(folder: &Path) -> BTreeSet<String> {
    fn walk(folder: &Path, below: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(below).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(folder, &path, found);
            } else {
                found.insert(text(path.strip_prefix(folder).unwrap()).to_string());
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(folder, folder, &mut found);
    // Figure 4 shows times too.
    let has_times = |name: &String| TIMES.contains(&name.rsplit('/').next().unwrap()) || name.contains("/figure4");
    found.retain(|name| {
        ![".lock", ".holdfast"].contains(&name.as_str()) && (!has_times(name) || name.contains("figure4/sweep"))
    });
    found
}

fn assert_same_study(a: &Path, b: &Path) {
    let names = files(a);
    assert_eq!(names, files(b));
    for name in TABLES.iter().copied().chain([
        "sensitivity.csv",
        "replaced.csv",
        "figures/figure3.svg",
        "cells/cnn-mnist/figure4/sweep.csv",
        "cells/cnn-mnist/retrained/padded-to-100/history.npz",
    ]) {
        assert!(names.contains(name), "{name} is missing");
    }
    for name in names {
        assert!(fs::read(a.join(&name)).unwrap() == fs::read(b.join(&name)).unwrap(), "{name} differs");
    }
    let (a, b) = (manifest(a), manifest(b));
    for key in ["configuration_hash", "configuration", "weight_hashes", "data_checksums", "replaced_replicas"] {
        assert_eq!(a[key], b[key], "{key}");
    }
}

/// One run of the smoke preset that several tests look at.
pub fn smoke_study() -> &'static (Ended, PathBuf) {
    static SMOKE: OnceLock<(Ended, PathBuf)> = OnceLock::new();
    SMOKE.get_or_init(|| {
        let folder = fresh_folder("smoke-study");
        (holdfast("study --preset smoke --device cpu --out", &[text(&folder)]).succeeded(), folder)
    })
}

#[test]
fn the_smoke_preset_gives_every_table_and_they_can_be_made_again_of_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let again = folder.path().join("again");
    let (ended, out) = smoke_study();
    for words in [
        "mean stability",
        "Best without retraining",
        "Mean stability: data set F",
        "holdfast compare --config",
        "--full prints",
    ] {
        let flat = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(words), "{words} is not in\n{}", ended.stdout);
    }
    assert!(ended.stdout.lines().count() <= 4 * 20, "four networks\n{}", ended.stdout);
    let observations = Table::read(&out.join("observations.csv"));
    assert_eq!(observations.rows.len(), 2 * 2 * 3 * 900);
    let stable_weights = Table::read(&out.join("stable_nodes.csv"));
    assert_eq!(stable_weights.rows.len(), 2 * 2 * 3 * 12);
    assert_eq!(stable_weights.only(&[("epoch", "12")]).counts("stable_nodes"), [900; 12], "all are stable at the end");
    let table2 = Table::read(&out.join("table2.csv")).only(&[("analysis", "weights")]);
    assert_eq!(table2.column("term"), ["data_set", "model", "Residuals"]);
    assert_eq!(table2.counts("degrees_of_freedom"), [1, 1, 12 * 900 - 3]);

    let from = |name: &str| out.join(name).to_str().unwrap().to_string();
    let line = "study --quiet --from-observations";
    let given = [&from("observations.csv"), "--from-stable-nodes", &from("stable_nodes.csv"), "--out", text(&again)];
    holdfast(line, &given).succeeded();
    for name in TABLES {
        assert_eq!(fs::read(out.join(name)).unwrap(), fs::read(again.join(name)).unwrap(), "{name} differs");
    }

    // Another command counts one cell's history by another reading; the first one is that of Table 1.
    let sensitivity = Table::read(&out.join("sensitivity.csv")).only(&[("model", "dnn"), ("data_set", "pr")]);
    let retrained = sensitivity.only(&[("retrained", "true"), ("tolerance", "0.03")]);
    assert_eq!(retrained.column("pixel_scale"), ["1.0", "255.0"]);
    assert_eq!((retrained.column("side"), retrained.column("fit")), (vec!["20", "100"], vec!["resize", "pad"]));
    assert_eq!(retrained.counts("replicates"), [1, 1]);
    let sensitivity = sensitivity.only(&[("retrained", "false")]);
    assert_eq!(sensitivity.rows.len(), 2 * 2 * 2 * 3);
    for tracking in ["position", "rank"] {
        let counted = holdfast(
            &format!("stability {} --tracking {tracking} --device cpu --json --out", from("cells/dnn-pr")),
            &[text(&folder.path().join(tracking))],
        );
        let counted = counted.succeeded().json();
        let own = sensitivity.only(&[("tracking", tracking), ("tolerance_kind", "relative"), ("against", "last")]);
        for tolerance in counted["tolerances"].as_array().unwrap() {
            let found = own.only(&[("tolerance", &tolerance["tolerance"].to_string())]).numbers("mean");
            assert_eq!(found, [tolerance["mean"].as_f64().unwrap()], "{tracking} {tolerance}");
        }
    }
    let table1 = Table::read(&out.join("table1.csv")).only(&[("model", "dnn"), ("data_set", "pr")]);
    let of_table1 =
        [("tracking", "position"), ("tolerance_kind", "relative"), ("against", "last"), ("tolerance", "0.03")];
    assert_eq!(table1.numbers("mean"), sensitivity.only(&of_table1).numbers("mean"));
    assert_eq!(
        (table1.column("published_mean"), history(&out.join("cells/dnn-pr")).shape()),
        (vec!["24.8"], &[12, 3, 900][..])
    );

    let finished = holdfast("study --preset smoke --device cpu --out", &[text(out)]).succeeded();
    assert!(finished.stdout == ended.stdout && finished.stderr.contains("--fresh"), "{}", finished.stderr);
    let tables = [
        "seed 1",
        "Table 1",
        "Table 5",
        "Figure 3",
        "Sensitivity",
        "xr-synthetic is made here",
        "Figure 4",
        "beat one-shot",
    ];
    holdfast("study --preset smoke --device cpu --quiet --full --out", &[text(out)]).succeeded().prints(&tables);
}

#[test]
fn three_shards_merged_are_a_study_in_one_piece_with_its_replacements() {
    let (data, argument) = digits::folder();
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    small(REPLACING, &argument, &whole).succeeded();
    let runs = Table::read(&whole.join("runs.csv"));
    let replaced = Table::read(&whole.join("replaced.csv"));
    assert!(
        !replaced.rows.is_empty() && replaced.rows.len() < runs.rows.len(),
        "choose another accuracy to be reached"
    );
    for (accuracy, outcome) in runs.numbers("training_accuracy").into_iter().zip(runs.column("outcome")) {
        assert_eq!(outcome == "kept", accuracy >= 0.6, "{accuracy} {outcome}");
    }
    for ((replica, attempt), id) in runs.counts("replica").iter().zip(runs.counts("attempt")).zip(runs.counts("id")) {
        assert_eq!(id, replica + 4 * attempt);
    }
    assert!(runs.counts("attempt").iter().filter(|attempt| **attempt > 0).count() <= 2 * 4);
    let kept = runs.only(&[("model", "dnn"), ("outcome", "kept")]).rows.len();
    assert_eq!(weights(&whole.join("cells/dnn-mnist"), "dense0.weight").0[0], kept);

    let shards: Vec<PathBuf> = (1..=3)
        .map(|index| {
            let out = folder.path().join(format!("shard{index}"));
            small(&format!("{REPLACING} --shard {index}/3"), &argument, &out).succeeded();
            out
        })
        .collect();
    let paths: Vec<&str> = [&shards[2], &shards[0], &shards[1]].into_iter().map(|path| text(path)).collect();
    let merged = folder.path().join("merged");
    holdfast("merge --quiet --out", &[&[text(&merged)], paths.as_slice()].concat())
        .succeeded()
        .prints(&["mean stability", "did not learn"]);
    assert_same_study(&whole, &merged);
    let [hidden, tables] = ["hidden", "tables"].map(|name| folder.path().join(name));
    fs::rename(data.path(), &hidden).unwrap();
    holdfast("merge --quiet --out", &[&[text(&tables)], paths.as_slice()].concat())
        .refused(5, &["Figure 4 needs the data", "--without-figure-4"]);
    holdfast("merge --quiet --without-figure-4 --out", &[&[text(&tables)], paths.as_slice()].concat()).succeeded();
    fs::rename(&hidden, data.path()).unwrap();
    assert!(tables.join("table5.csv").is_file() && !tables.join("figure4").exists());
    let retrained = format!("{}/cells/dnn-mnist/retrained/pixel-scale-1", paths[1]);
    fs::rename(&retrained, &hidden).unwrap();
    holdfast("merge --quiet --without-figure-4 --out", &[&[text(&tables)], paths.as_slice()].concat())
        .refused(5, &["1 of 2 networks", "pixel-scale-1"]);
    fs::rename(&hidden, &retrained).unwrap();

    refuses_wrong_shards(&argument, folder.path(), &paths);
}

/// What `merge` says to shards that are no whole; `paths` are those of shards 3, 1 and 2 of 3.
fn refuses_wrong_shards(data: &str, folder: &Path, paths: &[&str]) {
    let merge = |shards: &[&str]| holdfast("merge --quiet --out", &[&[text(&folder.join("no"))], shards].concat());
    merge(&paths[..2]).refused(2, &["missing: shard 2/3"]);
    merge(&[paths[0], paths[1], paths[2], paths[1]]).refused(2, &["are both shard 1/3"]);
    merge(&[text(&folder.join("nowhere"))]).refused(5, &["nowhere has no manifest.json"]);
    merge(&[text(&folder.join("whole"))]).refused(5, &["in one piece", "--shard"]);
    // Of shards that do not belong together nothing is read but the manifests.
    let with = |name: &str, key: &str, value: Value| {
        let mut manifest = manifest(Path::new(paths[2]));
        manifest[key] = value;
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("manifest.json"), manifest.to_string()).unwrap();
        folder.join(name)
    };
    let other = with("other", "shard", serde_json::json!({ "index": 1, "of": 2 }));
    merge(&[paths[0], text(&other)]).refused(2, &["one division"]);
    let seed = with("seed", "configuration_hash", "0123456789abcdef".into());
    merge(&[paths[0], paths[1], text(&seed)]).refused(2, &["is of the configuration"]);
    holdfast("merge --quiet --out", &[&[paths[0]], paths].concat()).refused(2, &["is shard 3/3 itself"]);
    let again = |more: &str, out: &Path| small(&format!("{REPLACING}{more}"), data, out);
    again(" --shard 2/3", Path::new(paths[1])).refused(2, &["belongs to shard 1/3", "this is shard 2/3"]);
    again("", Path::new(paths[1])).refused(2, &["belongs to shard 1/3", "in one piece"]);
    again(" --shard 5/5", &folder.join("empty")).refused(2, &["5/5", "4 shards or fewer"]);
    again(" --shard 4/3", &folder.join("empty")).refused(2, &["4/3"]);
    again(" --shard 1/3 --fresh --dry-run", Path::new(paths[1])).succeeded();

    let cell = Path::new(paths[2]).join("cells/dnn-mnist");
    let whole = fs::read(cell.join("history.npz")).unwrap();
    fs::write(cell.join("history.npz"), &whole[..whole.len() / 2]).unwrap();
    merge(paths).refused(5, &[text(&cell.join("history.npz")), "damaged"]);
    fs::remove_file(cell.join("history.npz")).unwrap();
    merge(paths).refused(5, &["history.npz"]);
    fs::remove_dir_all(&cell).unwrap();
    merge(paths).refused(5, &["1 of 2 models and data sets"]);
    let damaged = fs::read(Path::new(paths[0]).join("manifest.json")).unwrap();
    fs::write(Path::new(paths[0]).join("manifest.json"), &damaged[..damaged.len() / 2]).unwrap();
    merge(paths).refused(5, &["manifest.json is cut off"]);
    fs::write(Path::new(paths[0]).join("manifest.json"), damaged).unwrap();
    let mut unfinished = manifest(Path::new(paths[0]));
    unfinished["finished"] = Value::Null;
    fs::write(Path::new(paths[0]).join("manifest.json"), unfinished.to_string()).unwrap();
    merge(paths).refused(5, &["is not finished", "--shard 3/3"]);
}

#[test]
#[cfg(unix)]
fn a_study_killed_at_random_moments_ends_with_the_bits_of_an_undisturbed_one() {
    let (_data, argument) = digits::folder();
    let folder = tempfile::tempdir().unwrap();
    let [whole, killed] = ["whole", "killed"].map(|name| folder.path().join(name));
    let more = " --replicates 4 --epochs 60 --min-accuracy 0.6";
    small(more, &argument, &whole).succeeded();
    let line = format!("{SMALL}{more}");
    let arguments: Vec<&str> = line.split(' ').chain(["--data", &argument, "--out", text(&killed)]).collect();
    let mut moments = Sequence::new(5, Stream::Check, 0, 0);
    let mut kills = 0;
    for _ in 0..8 {
        let after = Duration::from_secs_f64(0.05 + 0.6 * moments.unit());
        kills += usize::from(disturb(&arguments, &killed, "-KILL", after));
    }
    assert!(kills > 0, "the study was never disturbed");
    crate::program::end(&mut crate::program::command(&arguments)).succeeded();
    assert_same_study(&whole, &killed);
}

#[test]
fn what_cannot_be_analysed_is_said_and_the_rest_is_there() {
    let (_data, argument) = digits::folder();
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("one");
    small(" --model dnn --replicates 1", &argument, &one).succeeded().prints(&["there is one model"]);
    assert_eq!(history(&one).shape(), [12, 1, 900], "one cell lies at the top");
    assert!(Table::read(&one.join("replaced.csv")).rows.is_empty());

    // Every weight is stable in the only epoch: the response is constant.
    small(&format!("{PLAIN} --epochs 1"), &argument, &folder.path().join("constant"))
        .succeeded()
        .prints(&["has reached a plateau"]);

    let none = folder.path().join("none");
    small(&format!("{PLAIN} --replicates 4 --min-accuracy 1 --epochs 1 --max-replacements 1"), &argument, &none)
        .refused(1, &["no replica", "--min-accuracy"]);
    assert_eq!(Table::read(&none.join("replaced.csv")).rows.len(), 2 * (4 + 1));
    let diverged = folder.path().join("diverged");
    small(&format!("{PLAIN} --pixel-scale 1e-38 --max-replacements 0"), &argument, &diverged)
        .refused(1, &["no replica"]);
    assert!(
        Table::read(&diverged.join("replaced.csv")).column("outcome").iter().all(|outcome| *outcome == "not-finite")
    );
    small(" --min-accuracy 2", &argument, &none).refused(2, &["--min-accuracy", "2%", "0.02"]);
    holdfast("study --seed 2 --from-observations o.csv --from-stable-nodes", &["s.csv"]).refused(2, &["--seed"]);
}

#[test]
fn figure_4_is_of_the_studys_networks() {
    let (_data, argument) = digits::folder();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    small(" --figure-4-replicates 2 --epochs 6 --training-images 320", &argument, &out)
        .succeeded()
        .prints(&["mean stability", "Best without retraining"]);
    let sweep = Table::read(&out.join("figure4/sweep.csv"));
    let methods: BTreeSet<&str> = sweep.column("method").into_iter().collect();
    for method in ["dense", "stability", "settle", "hold", "magnitude", "random", "decay-sequential"] {
        assert!(methods.contains(method), "{method} is not among {methods:?}");
    }
    // The same networks, trained by the command that Figure 4 is made of elsewhere, have the same points.
    let line = "compare --model both --epochs 6 --ed-epochs 2 --ed-targets 0,50% --replicates 2 --side 12 --tolerance 0.01,0.03,0.05 \
                --training-images 320 --device cpu --quiet";
    let compared = folder.path().join("compared");
    holdfast(line, &["--data", &argument, "--out", text(&compared)]).succeeded();
    let compared = Table::read(&compared.join("sweep.csv"));
    for cell in ["dnn", "cnn"] {
        let place = out.join(format!("cells/{cell}-mnist"));
        let [own, shown] = [place.clone(), place.join("figure4")].map(|folder| history(&folder));
        assert!(own.slice(ndarray::s![.., ..2, ..]) == shown, "{cell}: Figure 4 is of other networks");
        assert!(out.join(format!("figures/figure4-{cell}-mnist.svg")).is_file());
        for method in ["hold", "magnitude", "dense"] {
            let points = |table: &Table| {
                of_focus(table).only(&[("model", cell), ("method", method)]).column("accuracy").join(" ")
            };
            assert_eq!(points(&sweep), points(&compared), "{cell} {method}");
        }
    }
    let none = folder.path().join("none");
    let without = small(&format!("{PLAIN} --epochs 2"), &argument, &none).succeeded();
    assert!(!none.join("figure4").exists() && !none.join("cells/dnn-mnist/retrained").exists());
    assert!(!without.stdout.contains("one-shot") && !none.join("figures/figure4-dnn-mnist.svg").exists());
}

#[test]
fn a_replica_that_stops_at_its_plateau_has_the_bits_of_one_that_trains_on() {
    let (_data, argument) = digits::folder();
    let folder = tempfile::tempdir().unwrap();
    let [stopped, full] = ["stopped", "full"].map(|name| folder.path().join(name));
    let train = |more: &str, out: &Path| {
        let line = format!(
            "train --preset smoke --training-images 320 --epochs 60 --replicates 4 --tolerance 0.03 --device cpu --json{more}"
        );
        holdfast(&line, &["--data", &argument, "--out", text(out)])
    };
    let said = train(" --stop-at-plateau 20% --against-full", &stopped).succeeded().json();
    train("", &full).succeeded();
    let table = Table::read(&stopped.join("plateau.csv"));
    let epochs = table.counts("epochs");
    assert!(epochs.iter().any(|&epochs| epochs < 60), "no replica stopped: {epochs:?}");
    assert!(epochs.iter().any(|&other| other != epochs[0]), "all stopped together: {epochs:?}");
    let all = history(&full);
    let metrics = Table::read(&stopped.join("metrics.csv"));
    for (replica, &epochs) in epochs.iter().enumerate() {
        let own = history(&stopped.join(format!("replicas/{replica}")));
        assert_eq!(own.shape(), [epochs, 1, 900]);
        let same = all.slice(ndarray::s![..epochs, replica..=replica, ..]);
        assert!(own == same, "replica {replica} has other weights than in full training");
        assert_eq!(metrics.only(&[("replica", &replica.to_string())]).rows.len(), epochs);
    }
    let trained_on: Value = said["cells"][1]["replicas"][0].clone();
    assert!(trained_on["full_test_accuracy"].is_number(), "{said}");
    train(" --stop-at-plateau 1.5", &folder.path().join("no")).refused(2, &["--stop-at-plateau", "1.5%", "0.015"]);
}
