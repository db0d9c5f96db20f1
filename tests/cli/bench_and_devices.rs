//! `holdfast bench` and `holdfast devices`, and what the program says of itself.

use crate::adapter;
use crate::program::{Table, command, device, end, fresh_folder, holdfast, text};
use std::path::Path;

#[test]
fn devices_lists_the_cpu_engine_and_every_adapter() {
    let ended = holdfast("devices", &[]).succeeded().prints(&["CPU engine"]);
    for adapter in holdfast::gpu::adapters() {
        let line = format!("  {}  {} ({}", adapter.index, adapter.name, adapter.kind);
        assert!(ended.stdout.contains(&line), "{line} is not in\n{}", ended.stdout);
    }
    assert_eq!(ended.stdout.matches("<- auto").count(), 1, "{}", ended.stdout);
}

#[test]
fn devices_speaks_json() {
    let json = holdfast("devices --json", &[]).succeeded().json();
    let adapters = json["adapters"].as_array().unwrap();
    assert_eq!(adapters[adapter::index()]["index"], adapter::index());
    for adapter in adapters {
        assert!(
            adapter["kind"] != "software" || adapter["auto"] == false,
            "a software driver is taken only if asked for"
        );
    }
    let chosen = adapters.iter().chain([&json["cpu"]]).filter(|device| device["auto"] == true).count();
    assert_eq!(chosen, 1);
}

#[test]
fn bench_measures_each_quantity_with_its_spread() {
    let line = "bench --device cpu --replicates 2 --batch 8 --side 8 --width 8 --depth 2 --seconds 3 --json --quiet";
    let ended = holdfast(line, &[]).succeeded();
    assert_eq!(ended.stderr, "");
    let json = ended.json();
    for quantity in ["step_us", "gflops", "sort_count_ms", "sweep_us_per_point", "sweep_gflops"] {
        let [low, median, high] =
            ["low", "median", "high"].map(|part| json[quantity][part].as_f64().unwrap_or(f64::NAN));
        assert!(0.0 < low && low <= median && median <= high && high.is_finite(), "{quantity}: {json}");
        assert!((1..=25).contains(&json[quantity]["repetitions"].as_u64().unwrap()), "{quantity}: {json}");
    }
    assert!(json["fingerprint"]["threads"].as_u64().unwrap() > 0, "{json}");
    assert_eq!(json["side"], 8);
    assert!((128..=10_000).contains(&json["sweep_images"].as_u64().unwrap()), "{json}");
    // Step time and arithmetic rate are one measurement: their product is the work of a step.
    let work = json["step_us"]["median"].as_f64().unwrap() * json["gflops"]["median"].as_f64().unwrap();
    let forward = 64 * 8 + 8 * 8 + 8 * 10;
    // Forward, weight gradients, and input gradients of all but the first layer: two operations each, eight samples.
    let expected = 2.0 * 8.0 * f64::from(forward + forward + forward - 64 * 8) / 1e3;
    assert!((work / expected - 1.0).abs() < 1e-6, "{work} {expected}");
}

#[test]
fn bench_measures_only_what_is_asked_for() {
    let line = "bench --only sort-count --device cpu --replicates 1 --side 8 --width 8 --depth 2 --seconds 2 --json";
    let ended = holdfast(line, &[]).succeeded();
    assert!(!ended.stderr.contains("training step"), "{}", ended.stderr);
    let json = ended.json();
    assert!(json["sort_count_ms"]["median"].as_f64().unwrap() > 0.0, "{json}");
    assert!(json["step_us"].is_null() && json["sweep_us_per_point"].is_null(), "{json}");
}

#[test]
fn bench_says_what_each_kernel_reaches_of_the_limits() {
    let sizes = "--replicates 2 --batch 8 --side 8 --width 8 --depth 2";
    let words = ["training step", "dense_stack.step", "magnitude_sort.rank", "bound by", "GFLOP/s"];
    holdfast(&format!("bench --kernels --device cpu {sizes} --quiet"), &[]).succeeded().prints(&words);
    let line = format!("bench --kernels --device {} {sizes} --json --quiet", device());
    let json = holdfast(&line, &[]).succeeded().json();
    for limit in ["peak_gflops", "matmul_gflops"] {
        assert!(json[limit].as_f64().unwrap() > 0.0, "{limit}: {json}");
    }
    for line in json["kernels"].as_array().unwrap() {
        assert!(line["share"].as_f64().unwrap() > 0.0 && line["time_us"].as_f64().unwrap() > 0.0, "{line}");
    }
}

#[test]
fn bench_does_the_arithmetic_for_another_device_without_measuring_this_one() {
    let sizes = format!("--kernels --device {} --replicates 2 --batch 8 --side 8 --width 8 --depth 2", device());
    let least = |limits: &str| {
        let json = holdfast(&format!("bench {sizes} {limits} --json --quiet"), &[]).succeeded().json();
        assert!(json["kernels"][0]["time_us"].is_null(), "{json}");
        json["least_step_us"].as_f64().unwrap()
    };
    let slow = least("--peak 10 --bandwidth 10 --launch 0");
    let fast = least("--peak 20 --bandwidth 20 --launch 0");
    assert!((slow / fast - 2.0).abs() < 0.01, "{slow} {fast}");
    assert!(least("--peak 20 --bandwidth 20 --launch 100") >= fast + 99.0);
    holdfast(&format!("bench {sizes} --peak 0 --bandwidth 1"), &[]).refused(2, &["--peak 0"]);
}

#[test]
fn bench_keeps_its_samples_and_tells_what_has_become_slower() {
    let folder = fresh_folder("bench-files");
    std::fs::create_dir_all(&folder).unwrap();
    let [saved, faster] = ["saved.json", "faster.json"].map(|name| folder.join(name));
    let sizes =
        "--device cpu --replicates 2 --batch 8 --side 8 --width 8 --depth 2 --only step,sort-count --seconds 3 --quiet";
    holdfast(&format!("bench {sizes} --save"), &[text(&saved)]).succeeded().prints(&["training step", "sort + count"]);
    let mut file: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&saved).unwrap()).unwrap();
    assert_eq!((&file["format"], &file["format_version"]), (&"holdfast bench".into(), &1.into()));
    assert_eq!(file["settings"]["batch"], 8);
    for quantity in file["quantities"].as_array_mut().unwrap() {
        for sample in quantity["samples"].as_array_mut().unwrap() {
            // Times that no machine reaches: what else is at work changes nothing.
            *sample = (sample.as_f64().unwrap() / 1e9).into();
        }
    }
    std::fs::write(&faster, file.to_string()).unwrap();
    let against = |rest: &str, file: &Path| holdfast(&format!("bench {sizes}{rest} --against"), &[text(file)]);
    let words = ["here / there", "Geometric mean", "slower, p = "];
    against("", &faster).succeeded().prints(&words);
    // What is too slow is shown all the same.
    let slow = against(" --fail-over 25%", &faster).prints(&words);
    assert_eq!(slow.code, Some(1), "{}", slow.stderr);
    assert!(slow.stderr.contains("--fail-over 25 %") && slow.stderr.contains("training step"), "{}", slow.stderr);
    let json = against(" --json", &faster).succeeded().json();
    let mean = ["low", "median", "high"].map(|of| json["geometric_mean"][of].as_f64().unwrap());
    assert!(mean[0] > 2.0 && mean.is_sorted(), "{json}");
    assert_eq!(json["quantities"][0]["verdict"], "slower");
    // What cannot be compared or written is said before anything is measured: it would take a day.
    let early = |line: &str, path: &Path, words: &[&str]| {
        holdfast(&format!("bench --device cpu --seconds 86400 {line}"), &[text(path)]).refused(2, words);
    };
    early("--batch 4 --only step --quiet --against", &saved, &["--batch 8 in that file and --batch 4 here", "give"]);
    early("--model cnn --against", &saved, &["--model dnn in that file and --model cnn here"]);
    let other = sizes.replace("step,sort-count", "masks").replace(" --seconds 3", "").replace("--device cpu ", "");
    early(&format!("{other} --against"), &saved, &["nothing of what would be measured", "--only step,sort-count"]);
    early("--save", &folder, &["was not written by bench --save"]);
    let nowhere = folder.join("nowhere/saved.json");
    holdfast("bench --device cpu --seconds 86400 --save", &[text(&nowhere)])
        .refused(1, &["cannot write in", "nowhere"]);
    holdfast("bench --against", &[text(&folder.join("none.json"))]).refused(5, &["none.json"]);
    holdfast("bench --fail-over 10%", &[]).refused(2, &["--against"]);
    holdfast("bench --seconds 0", &[]).refused(2, &["--seconds 0"]);
}

#[test]
fn bench_measures_with_another_program_in_turn() {
    let sizes = "--device cpu --replicates 1 --batch 4 --side 8 --width 8 --depth 2 --only step --seconds 1";
    let own = text(Path::new(env!("CARGO_BIN_EXE_holdfast")));
    let ended = holdfast(&format!("bench {sizes} --json --against-program"), &[own]).succeeded();
    let quantity = ended.json()["quantities"][0].clone();
    assert!(quantity["ratio"]["count"].as_u64().unwrap() >= 12, "{quantity}");
    assert!(quantity["verdict"].is_string(), "{quantity}");
    holdfast(&format!("bench {sizes} --quiet --against-program none"), &[]).refused(2, &["cannot start none"]);
}

#[test]
fn help_and_version_are_results() {
    let help = holdfast("--help", &[]).succeeded().prints(&["compare", "train", "bench", "devices"]);
    assert_eq!(help.stderr, "");
    holdfast("--version", &[]).succeeded().prints(&["holdfast "]);
}

#[test]
fn bench_growth_fits_exponents_and_draws_them() {
    let folder = fresh_folder("growth");
    let line = "bench --device cpu --growth epochs,weights --replicates 2 --width 8 --json --quiet --out";
    let ended = holdfast(line, &[text(&folder)]).succeeded();
    assert_eq!(ended.stderr, "");
    let json = ended.json();
    let lines = json["lines"].as_array().unwrap();
    let named: Vec<_> =
        lines.iter().map(|line| (line["over"].as_str().unwrap(), line["timed"].as_str().unwrap())).collect();
    assert_eq!(named, [("weights", "sort"), ("weights", "count"), ("epochs", "sort"), ("epochs", "count")]);
    for line in lines {
        let points = line["points"].as_array().unwrap();
        let number = |point: &serde_json::Value, name: &str| point[name].as_f64().unwrap();
        assert!(points.iter().all(|point| number(point, "seconds") > 0.0 && number(point, "work") > 0.0), "{line}");
        // What is named an exponent is the slope between logarithms: of the work it follows from two points alone.
        let [first, last] = [&points[0], &points[points.len() - 1]];
        let slope =
            (number(last, "work") / number(first, "work")).ln() / (number(last, "size") / number(first, "size")).ln();
        let fitted = line["all_sizes"]["work_exponent"].as_f64().unwrap();
        assert!((slope - fitted).abs() < 0.05, "{slope} {line}");
        assert!(line["all_sizes"]["time_exponent"].as_f64().unwrap().is_finite(), "{line}");
        assert!(line["grows_faster_than_its_work"].is_boolean(), "{line}");
    }
    assert_eq!(lines[0]["points"].as_array().unwrap().last().unwrap()["size"], 1_000_000.0);
    let svg = std::fs::read_to_string(folder.join("figures/growth.svg")).unwrap();
    for title in ["Weights of the focus layer, 10 epochs", "Epochs of the history", "Time (ms)"] {
        assert!(svg.contains(title), "{title}");
    }
    assert!(std::fs::read(folder.join("figures/growth.png")).unwrap().starts_with(b"\x89PNG"));
    let table = Table::read(&folder.join("growth.csv"));
    assert_eq!(table.columns, ["over", "timed", "size", "seconds", "sd", "work"]);
    assert_eq!(table.only(&[("over", "weights"), ("timed", "sort")]).rows.len(), 9);
}

#[test]
fn bench_growth_tells_the_time_of_a_replicas_step_by_the_number_of_replicas() {
    let folder = fresh_folder("growth-of-replicas");
    let line = "bench --device cpu --growth replicas --batch 4 --side 8 --width 8 --depth 2 --quiet --out";
    let ended = holdfast(line, &[text(&folder)]).succeeded();
    let shown = ended
        .stdout
        .lines()
        .find(|line| line.starts_with("a replica's step"))
        .unwrap_or_else(|| panic!("{}", ended.stdout));
    for replicas in ["1: ", "3: ", "13: ", "100: ", "from 4 to 50 replicas"] {
        assert!(shown.contains(replicas), "{replicas} is not in {shown}");
    }
    let row = ended.stdout.lines().find(|line| line.starts_with("replicas ")).unwrap();
    assert!(row.contains("dnn step") && row.contains(" 1.00 "), "the work grows with exponent 1: {row}");
}

#[test]
fn bench_growth_leaves_out_what_does_not_fit_and_says_why() {
    let folder = fresh_folder("growth-too-large");
    let line = "bench --device cpu --growth epochs --replicates 4000000 --json --quiet --out";
    let ended = holdfast(line, &[text(&folder)]).succeeded();
    let left_out = ended.json()["left_out"].clone();
    assert!(left_out[0].as_str().unwrap().contains("memory"), "{left_out}");
}

#[test]
fn bench_says_more_of_launches_when_asked() {
    let sizes = "--replicates 2 --batch 8 --side 8 --width 8 --depth 2 --only step --quiet";
    let line = format!("bench --device {} {sizes}", device());
    let json = holdfast(&format!("{line} --json"), &[]).succeeded().json();
    let launches = &json["launches"];
    let per_step = launches["per_step"].as_f64().unwrap();
    assert!((1.0 / 64.0..=6.0).contains(&per_step), "{launches}");
    assert!(launches["submissions"].as_u64().unwrap() <= launches["steps"].as_u64().unwrap() + 1, "{launches}");
    let text = holdfast(&format!("{line} -v"), &[]).succeeded().stdout;
    assert!(
        text.contains("launches") && text.contains("kernels") || text.contains("µs a step of all replicas"),
        "{text}"
    );
    assert!(!holdfast(&line, &[]).succeeded().stdout.contains("launches"), "only when asked");
    let cpu = holdfast(&format!("bench --device cpu {sizes} --json"), &[]).succeeded();
    assert!(cpu.json()["launches"].is_null(), "the CPU engine launches nothing");
}

#[test]
fn what_a_clock_chooses_is_kept_shown_and_measured_anew_if_it_is_broken() {
    let folder = fresh_folder("tuning");
    let sizes = "--replicates 2 --batch 8 --side 8 --width 8 --depth 2";
    let line = format!("bench --device {} {sizes} --quiet --only step --json", device());
    let run = || {
        let mut command = command(&line.split(' ').collect::<Vec<_>>());
        let json = end(command.env("HOLDFAST_TUNING", &folder)).succeeded().json();
        json["tuning"].clone()
    };
    let origin = |tuning: &serde_json::Value| tuning["origin"].as_str().unwrap().to_string();
    let first = run();
    assert!(origin(&first).starts_with("measured now; kept in"), "{first}");
    assert!(!first["measured"].as_array().unwrap().is_empty(), "{first}");
    let second = run();
    assert!(origin(&second).starts_with("read from"), "{second}");
    assert_eq!(second["choice"], first["choice"]);
    let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, "{").unwrap();
    let third = run();
    assert!(origin(&third).contains("measured now, since") && origin(&third).contains("damaged"), "{third}");
    let off = holdfast(&line, &[]).succeeded().json();
    assert!(origin(&off["tuning"]).contains("as usual"), "{off}");
    let text = holdfast(&line.replace("--json", "-v"), &[]).succeeded().stdout;
    assert!(text.contains("choice") && text.contains("invocations a workgroup"), "{text}");
}
