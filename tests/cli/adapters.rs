//! Which device the program takes, when the environment or the command line name one that is not there.

use crate::program::command;
use crate::program::{Ended, end};

/// Runs a small bench on a device with some variables of the environment; all that concern adapters are unset before.
fn bench(device: &[&str], variables: &[(&str, &str)]) -> Ended {
    let line = "bench --only sort-count --replicates 1 --side 8 --width 8 --depth 2 --json";
    let mut command = command(&[&line.split(' ').collect::<Vec<_>>(), device].concat());
    for name in ["WGPU_BACKEND", "WGPU_ADAPTER_NAME", "XDG_RUNTIME_DIR"] {
        command.env_remove(name);
    }
    end(command.envs(variables.iter().copied()))
}

#[test]
fn a_variable_that_leaves_no_adapter_is_named_with_its_value() {
    for (name, value) in [
        ("WGPU_BACKEND", "gl"),
        ("WGPU_BACKEND", "vulcan"),
        ("WGPU_BACKEND", "noop"),
        ("WGPU_ADAPTER_NAME", "no such card"),
    ] {
        let variable = format!("{name}={value}");
        let there = bench(&["--device", "0"], &[]).succeeded().json()["device"]["name"].clone();
        bench(&["--device", "0"], &[(name, value)]).refused(3, &[&variable, there.as_str().unwrap_or_default()]);
        // Without a wish for a device it is the CPU engine, and the reason is told.
        let ended = bench(&[], &[(name, value)]).succeeded();
        assert!(ended.stderr.contains(&variable), "{}", ended.stderr);
    }
}

#[test]
fn an_empty_variable_and_an_empty_device_say_nothing() {
    let usual = bench(&["--device", "0"], &[]).succeeded().json()["device"].clone();
    for (name, value) in [("WGPU_BACKEND", ""), ("WGPU_BACKEND", " "), ("WGPU_ADAPTER_NAME", "")] {
        assert_eq!(bench(&["--device", "0"], &[(name, value)]).succeeded().json()["device"], usual, "{name}={value}");
    }
    let automatic = bench(&[], &[]).succeeded().json()["device"].clone();
    assert_eq!(bench(&["--device", ""], &[]).succeeded().json()["device"], automatic);
}

#[test]
fn a_device_that_is_not_there_is_refused_with_those_that_are() {
    for device in ["99", "-1", "no such card", "99999999999999999999999"] {
        bench(&["--device", device], &[]).refused(3, &[device, "0: "]);
    }
}

#[test]
fn no_driver_has_a_word_of_its_own() {
    for variables in [&[][..], &[("XDG_RUNTIME_DIR", "")], &[("XDG_RUNTIME_DIR", "not/absolute")]] {
        let ended = bench(&["--quiet", "--device", "0"], variables).succeeded();
        assert_eq!(ended.stderr, "", "{variables:?}");
    }
}

#[test]
fn far_too_many_threads_are_capped_and_it_is_told() {
    bench(&["--device", "cpu", "--threads", "5000"], &[]).succeeded().says(&["--threads 5000"]);
    assert_eq!(bench(&["--device", "cpu", "--threads", "5000", "--quiet"], &[]).succeeded().stderr, "");
}
