//! `holdfast bench` and `holdfast devices`, and what the program says of itself.

use crate::program::holdfast;

#[test]
fn devices_lists_the_cpu_engine_and_the_software_driver() {
    let ended = holdfast("devices", &[]).succeeded();
    assert!(ended.stdout.contains("CPU engine") && ended.stdout.contains("llvmpipe"), "{}", ended.stdout);
    assert_eq!(ended.stdout.matches("<- auto").count(), 1, "{}", ended.stdout);
}

#[test]
fn devices_speaks_json() {
    let json = holdfast("devices --json", &[]).succeeded().json();
    let adapters = json["adapters"].as_array().unwrap();
    let software = adapters.iter().find(|adapter| adapter["kind"] == "software");
    let software = software.unwrap_or_else(|| panic!("no driver that runs in software: {json}"));
    assert!(software["name"].as_str().unwrap().contains("llvmpipe"));
    assert_eq!(software["auto"], false, "a software driver is taken only by name or index");
    let chosen = adapters.iter().chain([&json["cpu"]]).filter(|device| device["auto"] == true).count();
    assert_eq!(chosen, 1);
}

#[test]
fn bench_measures_each_quantity_with_its_spread() {
    let line = "bench --device cpu --replicates 2 --batch 8 --side 8 --width 8 --depth 2 --json --quiet";
    let ended = holdfast(line, &[]).succeeded();
    assert_eq!(ended.stderr, "");
    let json = ended.json();
    for quantity in ["step_us", "gflops", "sort_count_ms", "sweep_us_per_point"] {
        let [median, sd] = ["median", "sd"].map(|part| json[quantity][part].as_f64().unwrap_or(f64::NAN));
        assert!(median > 0.0 && median.is_finite(), "{quantity}: {json}");
        assert!(sd >= 0.0 && sd.is_finite(), "{quantity}: {json}");
    }
    assert_eq!(json["side"], 8);
    // Step time and arithmetic rate are one measurement: their product is the work of a step.
    let work = json["step_us"]["median"].as_f64().unwrap() * json["gflops"]["median"].as_f64().unwrap();
    let forward = 64 * 8 + 8 * 8 + 8 * 10;
    // Forward, weight gradients, and input gradients of all but the first layer: two operations each, eight samples.
    let expected = 2.0 * 8.0 * f64::from(forward + forward + forward - 64 * 8) / 1e3;
    assert!((work / expected - 1.0).abs() < 1e-6, "{work} {expected}");
}

#[test]
fn help_and_version_are_results() {
    let help = holdfast("--help", &[]).succeeded();
    for name in ["compare", "train", "bench", "devices"] {
        assert!(help.stdout.contains(name), "{name}");
    }
    assert_eq!(help.stderr, "");
    assert!(holdfast("--version", &[]).succeeded().stdout.starts_with("holdfast "));
}
