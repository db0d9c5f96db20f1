//! `holdfast puzzle`, `explain --ladder` and `explain --run`, as somebody who learns uses them.

use crate::program::{device, holdfast, text};

#[test]
fn a_puzzle_is_shown_begun_and_judged() {
    holdfast("puzzle", &[]).succeeded().prints(&[" 1  A map", "12  The surgeon's elimination"]);
    holdfast("puzzle 10", &[]).succeeded().prints(&["# A stable rank", "holdfast puzzle 10 10.wgsl", "fn main("]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("10.wgsl");
    let judge = || holdfast("puzzle 10", &[text(&file), "--device", &device()]);
    std::fs::write(&file, holdfast("puzzle 10 --start", &[]).succeeded().stdout).unwrap();
    judge().refused(4, &["10.wgsl does not solve puzzle 10 yet", "rank[", "should be", "--hint"]);
    std::fs::write(&file, holdfast("puzzle 10 --solution", &[]).succeeded().stdout).unwrap();
    judge().succeeded().prints(&["Right: puzzle 10 is solved", "Next: holdfast puzzle 11"]);
    std::fs::write(&file, "fn main( {").unwrap();
    judge().refused(5, &["10.wgsl: line 1, column", "try again"]);
    holdfast("puzzle 10 --hint", &[]).succeeded().prints(&["bitcast"]);
    holdfast("puzzle 99", &[]).refused(2, &["no puzzle 99", "1 to 12"]);
    holdfast("puzzle 1 no-such-file.wgsl", &[]).refused(5, &["no-such-file.wgsl"]);
    let listed = holdfast("puzzle --json", &[]).succeeded().json();
    assert_eq!(listed.as_array().map(Vec::len), Some(12));
}

#[test]
fn texts_of_the_primer_and_of_the_reader_run() {
    let on = ["--device", &device()];
    holdfast("explain --run barrier", &on).succeeded().prints(&["sum\n  2080\n"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.wgsl");
    let own = "// run: 2 workgroups; y = 4 zeros
        @group(0) @binding(0) var<storage, read_write> y: array<i32>;
        @compute @workgroup_size(2) fn main(@builtin(global_invocation_id) id: vec3u) { y[id.x] = -i32(id.x); }";
    std::fs::write(&file, own).unwrap();
    holdfast("explain --run", &[text(&file), on[0], on[1]]).succeeded().prints(&["y\n  0 -1 -2 -3\n"]);
    let json = holdfast("explain --json --run", &[text(&file), on[0], on[1]]).succeeded().json();
    assert_eq!(json["y"][3], "-3");
    std::fs::write(&file, own.replace("2 workgroups", "many workgroups")).unwrap();
    holdfast("explain --run", &[text(&file), on[0], on[1]]).refused(5, &["own.wgsl", "many workgroups", "x = 0..8"]);
    holdfast("explain --run barier", &on).refused(2, &["did you mean barrier?", "name a file", "coalescing"]);
    holdfast("explain --run barrier --device cpu", &[]).refused(2, &["CPU engine runs no WGSL"]);
}

#[test]
fn a_ladder_says_what_it_expects_before_it_says_what_it_found() {
    let on = ["--device", &device()];
    let said = holdfast("explain magnitude_sort --ladder", &on).succeeded().stdout;
    for step in ["naive", "coalesced", "tiled", "registers", "fused"] {
        let place = |words: &str| said.find(words).unwrap_or_else(|| panic!("{words:?} is missing: {said}"));
        assert!(place(&format!("\n{step}: ")) < place(&format!("\n  {step} ")), "{said}");
    }
    assert_eq!(said.matches("\n  expected  ").count(), 5, "{said}");
    let json = holdfast("explain magnitude_sort --ladder --json", &on).succeeded().json();
    assert_eq!(json["steps"].as_array().map(Vec::len), Some(5));
    let measured = &json["steps"][4]["measured_ms"];
    assert!(measured["low"].as_f64() > Some(0.0) && measured["low"].as_f64() <= measured["median"].as_f64(), "{json}");
    assert!(json["steps"][4]["gain"]["median"].as_f64() > Some(0.0) && json["peak"]["launch_us"].as_f64() > Some(0.0));
    let table = holdfast("explain magnitude_sort --ladder --markdown", &on).succeeded().stdout;
    assert_eq!(table.lines().filter(|line| line.starts_with("| ") && line.matches('|').count() == 9).count(), 6);
    holdfast("explain magnitude_sort/tiled", &[]).succeeded().prints(&["// lessons/magnitude_sort/tiled: "]);
    holdfast("explain magnitude_sort/nope", &[]).refused(2, &["no step \"nope\"", "tiled, registers, fused"]);
    holdfast("explain adam --ladder", &on).refused(2, &["adam has no ladder", "dense"]);
}
