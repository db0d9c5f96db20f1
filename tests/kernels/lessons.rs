//! What stands in `lessons/`: every step of every ladder is right, with and without run-time checks.

use crate::*;
use holdfast::lessons::PRIMER;
use holdfast::lessons::ladder::{LADDERS, Listener, Measured, Peak, Prediction, Step};
use holdfast::lessons::puzzle::PUZZLES;
use holdfast::lessons::running::run;

#[test]
fn every_step_of_every_ladder_is_right() {
    for gpu in [gpu(), checked()] {
        for ladder in LADDERS {
            assert_passed(&ladder.check(gpu).unwrap());
        }
    }
}

/// Hears of a ladder, and stops behind its second step.
#[derive(Default)]
struct Heard {
    expected: Vec<f64>,
    found: Vec<bool>,
    peak: f64,
}

impl Listener for Heard {
    fn begins(&mut self, sizes: &str, peak: &Peak) -> Result<()> {
        assert!(sizes.contains(" samples, ") && peak.bytes > 0.0 && peak.launch.as_nanos() > 0, "{sizes} {peak:?}");
        self.peak = peak.operations;
        Ok(())
    }

    fn expects(&mut self, _: &Step, prediction: &Prediction) -> Result<()> {
        assert_eq!(self.expected.len(), self.found.len(), "a prediction comes before its measurement");
        let Prediction { operations, bytes, least, .. } = *prediction;
        assert!(operations > 0.0 && bytes > 0.0 && least.as_secs_f64() >= operations / self.peak * 0.999);
        self.expected.push(bytes);
        Ok(())
    }

    fn found(&mut self, _: &Step, measured: &Measured) -> Result<()> {
        assert!(measured.share > 0.0 && !measured.time.is_zero(), "{measured:?}");
        self.found.push(measured.gain.is_some());
        match self.found.len() {
            2 => Err(holdfast::error::Error::Interrupted),
            _ => Ok(()),
        }
    }
}

#[test]
fn a_ladder_is_predicted_before_it_is_measured() {
    let gpu = open(false, RequestedLimits::WebGpuDefaults);
    let mut heard = Heard::default();
    let dense = LADDERS.iter().find(|ladder| ladder.family == "dense").unwrap();
    assert!(dense.climb(&gpu, &mut heard).is_err(), "the listener stops it");
    assert_eq!(heard.found, [false, true]);
    assert!(heard.expected[0] > heard.expected[1]);
}

/// The device as puzzles run on it.
fn readers() -> Gpu {
    Gpu::open_for_readers(&DeviceChoice::Index(adapter::index())).unwrap()
}

/// What somebody may well write: a solution with one thing wrong.
const WRONG: [(usize, &str, &str); 13] = [
    (1, "if (id.x >= sizes.elements) { return; }", ""),
    (2, "a[id.z]", "a[0]"),
    (3, "i + 1u < sizes.elements", "true"),
    (3, "if (i > 0u) {", "if (i >= 0u) {"),
    (4, "        workgroupBarrier();\n", ""),
    (5, "x[id.y * sizes.elements + i]", "x[(id.y + 1u) * sizes.elements - 1u - i]"),
    (6, "max(sum, 0.0)", "sum"),
    (7, "sum += exp(logits[row + c] - largest)", "sum += exp(logits[row + c])"),
    (8, "        workgroupBarrier();\n        sums[lane] = own;\n", "        sums[lane] = own;\n"),
    (9, "{ break; }", "{ continue; }"),
    (10, "&& j < i", "&& j <= i"),
    (11, "x + 1u - kx", "x + kx - 1u"),
    (12, " - factor * weights[p]", ""),
];

#[test]
fn every_puzzle_takes_its_solution_and_refuses_where_one_begins_and_what_is_nearly_right() {
    let gpu = readers();
    for puzzle in PUZZLES {
        let number = puzzle.number;
        assert!(puzzle.judge(&gpu, "solution.wgsl", puzzle.solution.wgsl).unwrap() >= 2, "{number}");
        let error = puzzle.judge(&gpu, "start.wgsl", puzzle.start.wgsl).unwrap_err();
        assert_eq!(error.exit_code(), 4, "{number}: {error}");
        assert!(error.to_string().contains(&format!("start.wgsl does not solve puzzle {number} yet: ")), "{error}");
    }
    for (number, right, wrong) in WRONG {
        let puzzle = &PUZZLES[number - 1];
        assert!(puzzle.solution.wgsl.contains(right), "{number}: {right}");
        let text = puzzle.solution.wgsl.replacen(right, wrong, 1);
        let judged = puzzle.judge(&gpu, "wrong.wgsl", &text);
        assert_eq!(judged.map_err(|error| error.exit_code()), Err(4), "{number}: {wrong}");
    }
}

#[test]
fn a_text_that_ends_never_or_is_about_something_else_is_refused() {
    let gpu = readers();
    let judge = |text: &str| PUZZLES[0].judge(&gpu, "own.wgsl", text).unwrap_err();
    let endless = PUZZLES[0].solution.wgsl.replace("y[id.x] =", "loop { if (x[id.x] > 9.0) { break; } } y[id.x] =");
    let error = judge(&endless);
    assert!(error.to_string().contains("a loop did not end") && error.exit_code() == 4, "{error}");
    let error = judge(&PUZZLES[0].solution.wgsl.replace("y[", "z[").replace("> y:", "> z:").replace(" y: ", " z: "));
    assert!(error.to_string().contains("keep the bindings") && error.exit_code() == 5, "{error}");
    let error = judge("this is not WGSL");
    assert!(error.to_string().contains("own.wgsl: line 1") && error.exit_code() == 5, "{error}");
    let broken = PUZZLES[0].solution.wgsl.replace("2.0 * x[id.x]", "2.0 * x[id.z");
    assert!(judge(&broken).to_string().contains("own.wgsl: line 13"), "{}", judge(&broken));
}

/// What the texts of the primer write, on every device but for the size of subgroups.
const PRIMER_SAYS: &[(&str, &str, &str)] = &[
    ("invocation", "y", "0 1 4 9 16 25 36 49"),
    ("dispatch", "group", "0 0 0 0 1 1 1 1 2 2 0 0"),
    ("dispatch", "lane", "0 1 2 3 0 1 2 3 0 1 0 0"),
    ("binding", "product", "0.5 2 1"),
    ("workgroup", "y", "1 2 3 4 5 6 7 0 9 10 11 12 13 14 15 8"),
    ("barrier", "sum", "2080"),
    ("memory", "y", "28 92 156 220 284 348 412 476"),
    ("coalescing", "near", "0 1 2 3 4 5 6 7"),
    ("coalescing", "far", "0 8 16 24 32 40 48 56"),
    ("registers", "product", "10 20 30 40 20 40 60 80 30 60 90 120 40 80 120 160"),
];

#[test]
fn every_text_of_the_primer_runs_and_writes_what_the_page_says() {
    let gpu = readers();
    let page = std::fs::read_to_string("docs/gpu.md").unwrap();
    for text in PRIMER {
        let name = text.name.trim_start_matches("lessons/primer/");
        assert!(page.contains(text.wgsl.trim_end()), "docs/gpu.md does not show {}", text.name);
        assert!(page.contains(&format!("holdfast explain --run {name}\n")), "{name}");
        let written = match run(&gpu, name, text.wgsl) {
            Ok(written) => written,
            // Not every device has subgroups.
            Err(error) if name == "subgroup" => {
                assert_eq!(error.exit_code(), 5, "{error}");
                continue;
            }
            Err(error) => panic!("{name}: {error}"),
        };
        assert!(!written.is_empty() && written.iter().all(|array| !array.numbers.is_empty()));
        for (_, array, numbers) in PRIMER_SAYS.iter().filter(|(own, ..)| *own == name) {
            let found = written.iter().find(|found| found.name == *array).unwrap();
            assert_eq!(found.numbers.join(" "), *numbers, "{name}");
            assert!(page.contains(numbers), "docs/gpu.md does not say that {name} writes {numbers}");
        }
    }
    let error =
        run(&gpu, "own.wgsl", "// run: 1 workgroup; z = 1\n@compute @workgroup_size(1) fn main() {}").unwrap_err();
    assert!(error.to_string().contains("`z`") && error.exit_code() == 5, "{error}");
}
