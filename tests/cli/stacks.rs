//! Stacks of dense layers of other programs: pruned with their images, and evaluated.

use crate::program::{Ended, Table, device, fresh_folder, holdfast, manifest, text};
use holdfast::run_folder::arrays::{self, ArrayFile, ForeignArray, NamedArray, Values};
use holdfast::run_folder::file_kind::Purpose;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Pixels, units of the layers, classes.
const SIZES: [usize; 4] = [64, 12, 9, 10];
const QUIETLY: &str = "--device cpu --quiet";

/// Arrays by name: shape and values.
type Arrays = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A thousand digits of 8 x 8 pixels to train, ten thousand to test.
fn data() -> &'static str {
    static DATA: OnceLock<String> = OnceLock::new();
    DATA.get_or_init(|| {
        let folder = fresh_folder("stack-data").join("digits");
        holdfast("data export --format npz --side 8 --quiet pr", &[text(&folder)]).succeeded();
        format!("any={}", text(&folder.join("pr.npz")))
    })
}

/// A run of a small network.
fn run() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| {
        let folder = fresh_folder("stack-run");
        let sizes =
            "--preset smoke --hidden 12,9 --replicates 1 --epochs 6 --batch 4 --layers all --device cpu --quiet";
        holdfast(&format!("train {sizes} --out"), &[text(&folder), "--data", data()]).succeeded();
        folder
    })
}

/// The last two axes the other way round.
fn transposed((shape, values): (Vec<usize>, Vec<f32>)) -> (Vec<usize>, Vec<f32>) {
    let [.., rows, columns] = shape[..] else { panic!("{shape:?}") };
    let turn = |matrix: &[f32]| -> Vec<f32> {
        (0..matrix.len()).map(|place| matrix[place % rows * columns + place / rows]).collect()
    };
    let values = values.chunks_exact(rows * columns).flat_map(turn).collect();
    ([&shape[..shape.len() - 2], &[columns, rows]].concat(), values)
}

/// Without the axis of replicas, which comes first or after the epochs.
fn of_one_network(array: ForeignArray, axis: usize) -> (Vec<usize>, Vec<f32>) {
    let mut shape = array.shape;
    assert_eq!(shape.remove(axis), 1);
    (shape, array.values)
}

/// The run's last weights and biases as PyTorch would have saved them.
fn state() -> Arrays {
    let mut state = Arrays::new();
    for layer in 0..3 {
        let read = |kind: &str| {
            let path = run().join("weights.safetensors");
            of_one_network(arrays::read(&path, Some(&format!("dense{layer}.{kind}")), "").unwrap(), 0)
        };
        state.insert(format!("fc{layer}.weight"), transposed(read("weight")));
        state.insert(format!("fc{layer}.bias"), read("bias"));
    }
    state
}

/// Its weights after each epoch, in the same order of axes.
fn followed() -> Arrays {
    let read = |layer: usize| {
        let path = run().join("history.npz");
        let array = arrays::read(&path, Some(&format!("dense{layer}.weight")), "").unwrap();
        (format!("fc{layer}.weight"), transposed(of_one_network(array, 1)))
    };
    (0..3).map(read).collect()
}

fn write(path: &Path, state: &Arrays) {
    let named: Vec<NamedArray<'_>> =
        state.iter().map(|(name, (shape, values))| NamedArray { name, shape, values: Values::F32(values) }).collect();
    arrays::write(path, &named).unwrap();
}

/// A folder with these arrays in a file of this name.
fn with(folder: &str, file: &str, state: &Arrays) -> PathBuf {
    let folder = fresh_folder(folder);
    write(&folder.join(file), state);
    folder
}

/// Prunes, in the folder, the file by these options into `out`.
fn prune(folder: &Path, file: &str, options: &str, out: &str) -> Ended {
    let (weights, out) = (folder.join(file), folder.join(out));
    let places = ["--data", data(), "--weights", text(&weights), "--out", text(&out)];
    holdfast(&format!("prune {QUIETLY} {options} --json"), &places)
}

fn read(folder: &Path, name: &str) -> (Vec<usize>, Vec<f32>) {
    let array = arrays::read(&folder.join("weights.safetensors"), Some(name), "").unwrap();
    (array.shape, array.values)
}

fn accuracy(path: &Path, options: &str) -> f64 {
    let line = format!("evaluate {QUIETLY} --json {options}");
    let json = holdfast(line.trim_end(), &[text(path), "--data", data()]).succeeded().json();
    json["networks"][0]["accuracy"].as_f64().unwrap()
}

#[test]
fn a_stack_is_cut_like_the_run_that_it_was_taken_from() {
    let folder = with("stack-same", "state.safetensors", &state());
    let calibrated = "--calibration-images 64 --stages 2,3 --seed 1";
    let stack = prune(&folder, "state.safetensors", &format!("--dense fc0,fc1,fc2 --smaller 4 {calibrated}"), "stack");
    let stack = stack.succeeded().json();
    // The same by the run's own way, its stages and images set alike.
    let copy = fresh_folder("stack-same-run");
    for name in ["history.npz", "weights.safetensors", "manifest.json"] {
        fs::copy(run().join(name), copy.join(name)).unwrap();
    }
    let settings = fs::read_to_string(run().join("config.toml")).unwrap();
    let stages = settings.lines().find(|line| line.starts_with("stages")).unwrap();
    fs::write(copy.join("config.toml"), settings.replace(stages, "stages = [2.0, 3.0]")).unwrap();
    calibration(&copy, 64);
    let out = folder.join("run");
    let own = holdfast(
        "prune --criterion surgeon --layers all --smaller 4 --device cpu --quiet --json",
        &[text(&copy), "--out", text(&out)],
    );
    let own = own.succeeded().json();
    for key in ["removed_weights", "accuracy_before", "accuracy_after"] {
        assert_eq!(stack["replicas"][0][key], own["replicas"][0][key], "{key}");
    }
    for layer in 0..3 {
        let (shape, values) = read(&folder.join("stack"), &format!("fc{layer}.weight"));
        assert_eq!(shape, [SIZES[layer + 1], SIZES[layer]]);
        let (own_shape, own) = read(&out, &format!("dense{layer}.weight"));
        assert_eq!(transposed((shape, values)), (own_shape[1..].to_vec(), own), "{layer}");
        assert_eq!(
            read(&folder.join("stack"), &format!("fc{layer}.bias")).1,
            read(&out, &format!("dense{layer}.bias")).1
        );
    }
}

#[test]
fn both_engines_prune_a_stack_to_networks_that_classify_alike() {
    let folder = with("stack-engines", "state.safetensors", &state());
    let weights = folder.join("state.safetensors");
    let [cpu, shaders] = ["cpu", &device()].map(|device| {
        let out = fresh_folder("stack-engines-out");
        let line = format!("prune --dense fc0,fc1,fc2 --smaller 4 --device {device} --quiet --json");
        let places = ["--data", data(), "--weights", text(&weights), "--out", text(&out)];
        holdfast(&line, &places).succeeded().json()["replicas"][0].clone()
    });
    assert_eq!(cpu["removed_weights"], shaders["removed_weights"]);
    let [one, other] = [&cpu, &shaders].map(|json| json["accuracy_after"].as_f64().unwrap());
    assert!((one - other).abs() <= 0.005, "{one} on the processor, {other} in the shaders");
}

/// Gives a run the calibration images that a stack draws.
fn calibration(run: &Path, count: usize) {
    use holdfast::data::{LoadOptions, Source};
    use holdfast::run::calibration::{CALIBRATION_FILE, Calibration};
    let loaded = Source::parse(data().as_ref()).unwrap().load(1, &LoadOptions::default()).unwrap();
    Calibration::of_images(&loaded.split.training, count, 1).write(&run.join(CALIBRATION_FILE)).unwrap();
}

#[test]
fn what_is_written_has_the_files_names_and_shapes_and_the_accuracy_that_was_told() {
    let mut state = state();
    state.insert("steps".into(), (vec![1], vec![17.0]));
    // As Keras would have named and turned them.
    let keras: Arrays = state
        .iter()
        .map(|(name, array)| match name.strip_suffix(".weight") {
            Some(layer) => (format!("{layer}/kernel"), transposed(array.clone())),
            None => (name.replace(".bias", "/bias"), array.clone()),
        })
        .collect();
    let folder = with("stack-written", "torch.safetensors", &state);
    write(&folder.join("keras.npz"), &keras);
    let options = "--dense fc0,fc1,fc2 --normalize 0.5,0.25 --sparsity 80%,95% --calibration-images 64 --stages 2";
    let torch = prune(&folder, "torch.safetensors", options, "torch").succeeded().json();
    let keras = prune(&folder, "keras.npz", options, "keras").succeeded().json();
    assert!(torch["notices"].to_string().contains("steps"), "{torch}");
    for (point, share) in ["0.8", "0.95"].into_iter().enumerate() {
        let part = format!("sparsity-{share}");
        let loss = &torch["points"][point]["replicas"][0];
        assert_eq!(loss["accuracy_after"], keras["points"][point]["replicas"][0]["accuracy_after"]);
        let [torch, keras] = ["torch", "keras"].map(|out| folder.join(out).join(&part));
        let told = loss["accuracy_after"].as_f64().unwrap();
        let names = "--dense fc0,fc1,fc2 --normalize 0.5,0.25";
        assert_eq!(accuracy(&torch, names), told);
        assert_eq!(accuracy(&keras.join("weights.npz"), names), told);
        assert_eq!(read(&torch, "steps").1, [17.0]);
        let mut zeros = 0;
        for layer in 0..3 {
            let (shape, values) = read(&torch, &format!("fc{layer}.weight"));
            let file = torch.join("mask.safetensors");
            let mask =
                ArrayFile::open(&file, Purpose::Arrays).unwrap().read_bytes(&format!("fc{layer}.weight")).unwrap();
            assert_eq!((&mask.shape, &shape), (&shape, &state[&format!("fc{layer}.weight")].0));
            assert!(values.iter().zip(&mask.values).all(|(value, &kept)| kept == 1 || value.to_bits() == 0));
            zeros += mask.values.iter().filter(|&&kept| kept == 0).count();
            assert_eq!(transposed((shape, values)), read(&keras, &format!("fc{layer}/kernel")));
        }
        assert_eq!(Some(zeros as u64), loss["removed_weights"].as_u64());
    }
    let said = &manifest(&folder.join("torch"))["configuration"]["stack"];
    assert_eq!(said["layers"][1], serde_json::json!({"weight": "fc1.weight", "bias": "fc1.bias", "axes": "out,in"}));
    assert_eq!((&said["calibration"]["images"], &said["calibration"]["seed"]), (&64.into(), &1.into()));
    let table = Table::read(&folder.join("torch/sparsity-0.8/pruning.csv"));
    assert_eq!(table.column("layer"), ["fc0.weight", "fc1.weight", "fc2.weight", "all"]);
    // The same command gives the same bits.
    let bytes = |out: &str| fs::read(folder.join(out).join("sparsity-0.95/weights.safetensors")).unwrap();
    prune(&folder, "torch.safetensors", &format!("{options} --threads 1"), "again").succeeded();
    assert!(bytes("torch") == bytes("again"));
}

#[test]
fn every_criterion_prunes_a_stack_and_those_that_need_a_history_take_it_in_the_files_order() {
    let state = state();
    let folder = with("stack-criteria", "state.safetensors", &state);
    let mut history = followed();
    write(&folder.join("history.npz"), &history);
    let with_history = |options: &str, out: &str| {
        let history = folder.join("history.npz");
        prune(&folder, "state.safetensors", &format!("{options} --history {}", text(&history)), out)
    };
    let few = "--dense fc0,fc1,fc2 --calibration-images 32 --stages 2";
    for (place, options) in [
        "--criterion magnitude --sparsity 50%",
        "--criterion magnitude --sparsity 50% --repair refit",
        "--criterion wanda --sparsity 50% --scope layer",
        "--criterion surgeon --layers fc1 --sparsity 50%",
    ]
    .into_iter()
    .enumerate()
    {
        let options = if options.contains("refit") || !options.contains("magnitude") {
            format!("{few} {options}")
        } else {
            format!("--dense fc0,fc1,fc2 {options}")
        };
        let json = prune(&folder, "state.safetensors", &options, &format!("plain-{place}")).succeeded().json();
        let loss = &json["replicas"][0];
        assert_eq!(loss["removed_weights"].as_u64().unwrap() * 2, loss["weight_count"].as_u64().unwrap(), "{options}");
    }
    let only = read(&folder.join("plain-3"), "fc0.weight");
    assert_eq!(only, state["fc0.weight"], "a layer before the pruned one stays as it was");
    let hold =
        with_history("--dense fc0,fc1,fc2 --criterion hold --window 3 --sparsity 50%", "hold").succeeded().json();
    let run_out = folder.join("run-hold");
    let own = holdfast(
        "prune --criterion hold --window 3 --sparsity 50% --layers all --device cpu --quiet --json",
        &[text(run()), "--out", text(&run_out)],
    );
    assert_eq!(hold["replicas"][0]["accuracy_after"], own.succeeded().json()["replicas"][0]["accuracy_after"]);
    for options in [
        "--tolerance 0.1 --min-stability 3 --dense fc0,fc1,fc2".to_string(),
        "--criterion settle --sparsity 50% --dense fc0,fc1,fc2".into(),
        format!("--criterion hold-input --sparsity 50% {few}"),
        format!("--criterion hold-surgeon --smaller 3 {few}"),
    ] {
        with_history(&options, &options.replace([' ', ','], "-")).succeeded();
    }
    // A mean needs every tensor.
    let mean = format!("--criterion surgeon --base mean --smaller 2 {few}");
    with_history(&mean, "mean").refused(2, &["fc0.bias"]);
    for layer in 0..3 {
        let (shape, bias) = &state[&format!("fc{layer}.bias")];
        let epochs = [&[6][..], shape].concat();
        history.insert(format!("fc{layer}.bias"), (epochs, bias.repeat(6)));
    }
    write(&folder.join("history.npz"), &history);
    with_history(&mean, "mean").succeeded();
    prune(&folder, "state.safetensors", &mean, "mean-alone").refused(2, &["--history"]);
    prune(&folder, "state.safetensors", "--dense fc0,fc1,fc2 --criterion hold --sparsity 50%", "none")
        .refused(2, &["has no history"]);
    // A history of the other orientation, and one that is no number.
    let turned: Arrays = followed().into_iter().map(|(name, array)| (name, transposed(array))).collect();
    write(&folder.join("history.npz"), &turned);
    with_history("--dense fc0,fc1,fc2 --criterion hold --sparsity 50%", "turned")
        .refused(5, &["[6, 64, 12]", "[12, 64]"]);
    history.get_mut("fc1.weight").unwrap().1[5] = f32::NAN;
    write(&folder.join("history.npz"), &history);
    with_history("--dense fc0,fc1,fc2 --criterion hold --sparsity 50%", "nan").refused(5, &["NaN", "epoch"]);
}

#[test]
fn stacks_that_are_hard_to_solve_are_pruned_all_the_same() {
    let folder = with("stack-hard", "state.safetensors", &state());
    let all = "--dense fc0,fc1,fc2 --stages 2 --sparsity";
    // One image; none goes, all go.
    for (place, options) in [
        format!("{all} 50% --calibration-images 1"),
        format!("{all} 0 --calibration-images 20"),
        format!("{all} 100% --calibration-images 20"),
        format!("{all} 90% --calibration-images 20 --normalize -1,0.01"),
    ]
    .into_iter()
    .enumerate()
    {
        let json = prune(&folder, "state.safetensors", &options, &place.to_string()).succeeded().json();
        let share = [0.5, 0.0, 1.0, 0.9][place];
        let loss = &json["replicas"][0];
        assert_eq!(loss["removed_weights"].as_f64().unwrap(), (share * loss["weight_count"].as_f64().unwrap()).round());
        for layer in 0..3 {
            let (_, values) = read(&folder.join(place.to_string()), &format!("fc{layer}.weight"));
            assert!(values.iter().all(|value| value.is_finite()), "{options}");
            assert!(share < 1.0 || values.iter().all(|value| value.to_bits() == 0));
        }
    }
    // A dead layer: no unit of it ever fires.
    let mut dead = state();
    let (_, bias) = dead.get_mut("fc1.bias").unwrap();
    bias.fill(-1e6);
    write(&folder.join("dead.safetensors"), &dead);
    prune(&folder, "dead.safetensors", &format!("{all} 90% --calibration-images 20"), "dead").succeeded();
    // More images than there are.
    let many = format!("{all} 50% --calibration-images 1001");
    let json = prune(&folder, "state.safetensors", &many, "many").succeeded().json();
    assert!(json["notices"].to_string().contains("1001 calibration images are asked for, and 1000"), "{json}");
    // Layers that are all of it: one, and two.
    let only: Arrays = [("w".to_string(), (vec![10, 64], vec![0.5; 640]))].into();
    write(&folder.join("only.npz"), &only);
    prune(&folder, "only.npz", "--dense w --sparsity 50% --calibration-images 20", "only").succeeded();
}

#[test]
fn what_does_not_fit_gets_a_sentence() {
    let good = state();
    let folder = with("stack-refused", "state.safetensors", &good);
    let refused = |file: &str, options: &str, code: i32, words: &[&str]| {
        prune(&folder, file, options, "out").refused(code, words);
    };
    let all = "--dense fc0,fc1,fc2 --sparsity 50%";
    refused("state.safetensors", "--dense fc1,fc0,fc2 --sparsity 50%", 5, &["--dense fc0,fc1,fc2"]);
    refused("state.safetensors", "--dense fc0,fc1 --sparsity 50%", 5, &["9 units", "10 classes"]);
    refused("state.safetensors", "--dense fc0,fc1,fc3 --sparsity 50%", 2, &["fc3"]);
    refused("state.safetensors", &format!("{all} --normalize 0.5"), 2, &["MEAN,SD"]);
    refused("state.safetensors", &format!("{all} --normalize 0.5,0"), 2, &["MEAN,SD"]);
    refused("state.safetensors", &format!("{all} --calibration-images 0"), 2, &["--calibration-images 0"]);
    refused("state.safetensors", &format!("{all} --criterion magnitude --ridge 0.1"), 2, &["--ridge"]);
    refused("state.safetensors", &format!("{all} --repair cut"), 2, &["--repair cut"]);
    refused("state.safetensors", &format!("{all} --weight-key fc0.weight"), 2, &["--weight-key"]);
    refused("state.safetensors", "--criterion magnitude --sparsity 50%", 2, &["--data needs --dense"]);
    refused("nothing.npz", all, 5, &["nothing.npz"]);
    let changed = |name: &str, change: &dyn Fn(&mut Arrays)| {
        let mut state = good.clone();
        change(&mut state);
        write(&folder.join(name), &state);
    };
    changed("nan.npz", &|state| state.get_mut("fc1.weight").unwrap().1[7] = f32::NAN);
    refused("nan.npz", all, 5, &["fc1.weight", "place 7", "NaN"]);
    changed("bias.npz", &|state| drop(state.remove("fc1.bias")));
    refused("bias.npz", all, 5, &["none are found of fc1"]);
    changed("conv.npz", &|state| state.get_mut("fc0.weight").unwrap().0 = vec![12, 1, 8, 8]);
    refused("conv.npz", all, 5, &["fc0.weight", "convolutions"]);
    let weights = folder.join("state.safetensors");
    let no_data = holdfast("prune --sparsity 50% --dense fc0,fc1,fc2 --device cpu", &["--weights", text(&weights)]);
    no_data.refused(2, &["--dense needs --data"]);
    let run = holdfast("prune --dense fc0 --criterion surgeon --sparsity 50% --device cpu", &[text(run())]);
    run.refused(2, &["leave it out"]);
    let side =
        holdfast("evaluate --side 9 --dense fc0,fc1,fc2 --device cpu --quiet", &[text(&weights), "--data", data()]);
    side.refused(5, &["fc0", "81 numbers", "--side"]);
}

#[test]
fn runs_what_was_pruned_of_them_and_files_are_evaluated_alike() {
    let of_run = holdfast("evaluate --device cpu --quiet --json", &[text(run())]).succeeded().json();
    let before = of_run["networks"][0]["accuracy"].as_f64().unwrap();
    assert!(before > 0.5, "{before}");
    let folder = with("stack-evaluated", "state.safetensors", &state());
    assert_eq!(accuracy(&folder.join("state.safetensors"), "--dense fc0,fc1,fc2"), before);
    let out = folder.join("pruned");
    let pruned = holdfast(
        "prune --criterion magnitude --layers all --sparsity 40%,60% --device cpu --quiet --json",
        &[text(run()), "--out", text(&out)],
    );
    let told = pruned.succeeded().json()["points"][1]["replicas"][0]["accuracy_after"].as_f64().unwrap();
    assert_eq!(accuracy(&out.join("sparsity-0.6"), ""), told);
    assert_eq!(accuracy(&out.join("sparsity-0.6/weights.safetensors"), "--replica 0"), told);
    let evaluate = |options: &str, path: &Path| {
        let options = options.replace("DATA", &format!("--data {}", data()));
        holdfast(format!("evaluate {QUIETLY} {options}").trim_end(), &[text(path)])
    };
    evaluate("DATA", &out).refused(2, &["holds several", "sparsity-0.4"]);
    evaluate("", &out.join("sparsity-0.6")).refused(2, &["--data"]);
    evaluate("DATA --side 9", &out.join("sparsity-0.6")).refused(5, &["[8, 8, 1]"]);
    evaluate("DATA --replica 1", &out.join("sparsity-0.6")).refused(2, &["--replica 1", "1 of them"]);
    evaluate("--base mean DATA", &out.join("sparsity-0.6")).refused(2, &["--base mean"]);
    evaluate("--base mean", run()).succeeded().prints(&["replica 0: accuracy", "10,000 test images of pr"]);
    evaluate("DATA", &folder.join("state.safetensors")).refused(5, &["--dense"]);
    evaluate("DATA --base mean --dense fc0,fc1,fc2", &folder.join("state.safetensors")).refused(2, &["--base"]);
    let bytes = fs::read(out.join("sparsity-0.6/weights.safetensors")).unwrap();
    fs::write(folder.join("short.safetensors"), &bytes[..bytes.len() - 9]).unwrap();
    evaluate("DATA", &folder.join("short.safetensors")).refused(5, &["short.safetensors"]);
}

#[test]
fn a_stack_is_made_really_smaller_too() {
    let folder = with("stack-compact", "weights.npz", &state());
    let weights = folder.join("weights.npz");
    let compact = |options: &str, out: &str| {
        let out = folder.join(out);
        let line = format!("compact {QUIETLY} --json {options}");
        holdfast(line.trim_end(), &[text(&weights), "--data", data(), "--out", text(&out)])
    };
    let layers = "--dense fc0,fc1,fc2";
    let json = compact(&format!("{layers} --units 50%"), "half").succeeded().json();
    let all = json["layers"].as_array().unwrap().last().unwrap();
    assert!(all["weights_after"].as_u64().unwrap() < all["weights_before"].as_u64().unwrap(), "{all}");
    let [before, after] = [0, 1].map(|place| json["accuracy"][place].as_f64().unwrap());
    assert_eq!(before, accuracy(&weights, layers));
    assert_eq!(after, accuracy(&folder.join("half"), ""));
    compact(&format!("{layers} --replica 1"), "one").refused(2, &["--replica", "--dense"]);
}
