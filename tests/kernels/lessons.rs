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

/// Hears of a ladder, and stops behind what was found of its second step.
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
        assert!(self.found.is_empty(), "predictions come before measurements");
        let Prediction { operations, bytes, least, .. } = *prediction;
        assert!(operations > 0.0 && bytes > 0.0 && least.as_secs_f64() >= operations / self.peak * 0.999);
        self.expected.push(bytes);
        Ok(())
    }

    fn found(&mut self, _: &Step, prediction: &Prediction, measured: &Measured) -> Result<()> {
        assert!(measured.share > 0.0 && measured.seconds.low > 0.0, "{measured:?}");
        assert_eq!(prediction.bytes, self.expected[self.found.len()], "what was expected of this step comes back");
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
    assert!(heard.expected.len() == dense.steps.len() && heard.expected[0] > heard.expected[1]);
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
        assert!(puzzle.check(&gpu, "solution.wgsl", puzzle.solution.wgsl).unwrap() >= 2, "{number}");
        let error = puzzle.check(&gpu, "start.wgsl", puzzle.start.wgsl).unwrap_err();
        assert_eq!(error.exit_code(), 4, "{number}: {error}");
        assert!(error.to_string().contains(&format!("start.wgsl does not solve puzzle {number} yet: ")), "{error}");
    }
    for (number, right, wrong) in WRONG {
        let puzzle = &PUZZLES[number - 1];
        assert!(puzzle.solution.wgsl.contains(right), "{number}: {right}");
        let text = puzzle.solution.wgsl.replacen(right, wrong, 1);
        let judged = puzzle.check(&gpu, "wrong.wgsl", &text);
        let error = judged.expect_err(&format!("{number}: {wrong:?} passes"));
        assert_eq!(error.exit_code(), 4, "{number}: {error}");
    }
}

#[test]
fn a_text_that_ends_never_or_is_about_something_else_is_refused() {
    let gpu = readers();
    let judge = |text: &str| PUZZLES[0].check(&gpu, "own.wgsl", text).unwrap_err();
    let endless = PUZZLES[0].solution.wgsl.replace("y[id.x] =", "loop { if (x[id.x] > 9.0) { break; } } y[id.x] =");
    let error = judge(&endless);
    assert!(error.to_string().contains("a loop did not end") && error.exit_code() == 4, "{error}");
    let error = judge(&PUZZLES[0].solution.wgsl.replace("y[", "z[").replace("> y:", "> z:").replace(" y: ", " z: "));
    assert!(error.to_string().contains("keep the bindings") && error.exit_code() == 5, "{error}");
    let error = judge("this is not WGSL");
    assert!(error.to_string().contains("own.wgsl: line 1") && error.exit_code() == 5, "{error}");
    let broken = PUZZLES[0].solution.wgsl.replace("2.0 * x[id.x]", "2.0 * x[id.z");
    assert!(judge(&broken).to_string().contains("own.wgsl: line 14"), "{}", judge(&broken));
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
    // The reader's first own kernel is a file of the reader's.
    let own = page.split("## Your first own kernel").nth(1).unwrap();
    let text = own.split("```wgsl\n").nth(1).unwrap().split("```").next().unwrap();
    let written = run(&gpu, "axpy.wgsl", text).unwrap();
    assert!(own.contains(&format!("`{}`", written[0].numbers.join(" "))), "{written:?}");
    let error =
        run(&gpu, "own.wgsl", "// run: 1 workgroup; z = 1 zero\n@compute @workgroup_size(1) fn main() {}").unwrap_err();
    assert!(error.to_string().contains("`z`") && error.exit_code() == 5, "{error}");
}

/// Numbers of the lessons that are worked by hand are what the twins give.
mod by_hand {
    use holdfast::cpu::conv2d::{self, ConvShape};
    use holdfast::cpu::dense::{self, DenseShape};
    use holdfast::cpu::gram::{Rows, accumulate};
    use holdfast::cpu::max_pool2d::{self, PoolShape};
    use holdfast::cpu::{magnitude_sort, softmax_cross_entropy, surgeon};

    fn lesson(family: &str) -> String {
        std::fs::read_to_string(format!("docs/kernels/{family}.md")).unwrap()
    }

    #[test]
    fn of_a_dense_layer() {
        let shape = DenseShape { samples: 1, inputs: 3, outputs: 1 };
        let (input, weights) = ([1.0, 2.0, 0.0], [0.5, -0.25, 3.0]);
        let mut output = [0.0];
        dense::forward(shape, &input, &weights, &[0.5], true, &mut output);
        assert_eq!(output, [0.5]);
        let (mut weight_gradient, mut bias_gradient, mut input_gradient) = ([0.0; 3], [0.0], [9.0; 3]);
        dense::backward_weights(shape, &input, &[2.0], &mut weight_gradient, &mut bias_gradient);
        dense::backward_input(shape, &[2.0], &weights, &input, &mut input_gradient);
        assert_eq!((weight_gradient, bias_gradient, input_gradient), ([2.0, 4.0, 0.0], [2.0], [1.0, -0.5, 0.0]));
        let says = "(2, 4, 0), of its bias 2, and it sends (1, -0.5) back";
        assert!(lesson("dense").contains(says) && lesson("dense").contains("= 0.5."));
    }

    #[test]
    fn of_a_convolution() {
        let shape = ConvShape { samples: 1, height: 3, width: 3, inputs: 1, outputs: 1 };
        let input = [1.0, 2.0, 0.0, 0.0, 1.0, 3.0, 2.0, 0.0, 1.0];
        let weights = [0.0, 1.0, 0.0, 1.0, 2.0, 1.0, 0.0, -1.0, 0.0];
        let mut output = [0.0; 9];
        conv2d::forward(shape, &input, &weights, &[-1.0], &mut output);
        assert_eq!((output[4], output[0], output[2]), (6.0, 3.0, 0.0));
        let mut gradient = [0.0; 9];
        gradient[4] = 1.0;
        let (mut weight_gradient, mut bias_gradient, mut input_gradient) = ([0.0; 9], [0.0], [0.0; 9]);
        conv2d::backward_weights(shape, &input, &gradient, &mut weight_gradient, &mut bias_gradient);
        conv2d::backward_input(shape, &gradient, &weights, &input, &mut input_gradient);
        assert_eq!((weight_gradient[1], input_gradient[1]), (2.0, 1.0));
        let page = lesson("conv2d");
        assert!(page.contains("(below) - 1 = 6.") && page.contains("0 x (-1) - 1 = 3.") && page.contains("- 1 = -2,"));
    }

    #[test]
    fn of_a_pooling_a_rank_and_a_loss() {
        let shape = PoolShape { samples: 1, height: 2, width: 2, channels: 1 };
        let (mut output, mut code, mut gradient) = ([0.0], [9], [9.0; 4]);
        max_pool2d::forward(shape, &[3.0, 7.0, 7.0, 1.0], &mut output, &mut code);
        max_pool2d::backward(shape, &[0.5], &code, &mut gradient);
        assert_eq!((output, code, gradient), ([7.0], [1], [0.0, 0.5, 0.0, 0.0]));
        assert!(lesson("max_pool2d").contains("the code is 1. A gradient of 0.5 goes back as (0, 0.5) above (0, 0)"));
        let mut rank = [0; 4];
        magnitude_sort::rank(&[0.5, -2.0, -0.5, 0.0], &mut rank);
        assert_eq!(rank, [1, 0, 2, 3]);
        assert!(lesson("magnitude_sort").contains("All ranks are (1, 0, 2, 3)"));
        let mut gradient = [0.0f64; 2];
        let loss = softmax_cross_entropy::loss(2, &[1.0, 0.0], &[1], &mut gradient);
        assert_eq!((format!("{:.4}", loss.mean), format!("{:.4}", gradient[0])), ("1.3133".into(), "0.7311".into()));
        assert!(
            lesson("softmax_cross_entropy")
                .contains("= 1.3133, and in a batch of one the gradient is (0.7311, -0.7311)")
        );
    }

    #[test]
    fn of_the_surgeon_and_what_it_reads() {
        let (mut inverse, mut weights) = ([4.0, 2.0, 2.0, 2.0], [2.0, 1.0]);
        surgeon::remove(2, 1, &mut inverse, &mut weights);
        assert_eq!((inverse, weights), ([2.0, 0.0, 0.0, 0.0], [1.0, 0.0]));
        let mut gram = [0.5, -0.5, -0.5, 1.0];
        assert!(surgeon::invert(2, &mut gram) && gram == [4.0, 2.0, 2.0, 2.0]);
        assert!(lesson("surgeon").contains("The first becomes 2 - 2 x 1 / 2 = 1, and H becomes 4 - 2 x 2 / 2 = 2"));
        let rows = Rows::Features { values: &[2.0, 4.0f64], inputs: 1 };
        let moments = accumulate(&rows, &[0, 1], &[1.0, 0.1], &[3.0, -1.0]);
        let near = |found: &[f64], said: &[f64]| found.iter().zip(said).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(near(&moments.gram, &[2.8, 1.2, 1.2, 0.55]) && near(&moments.cross, &[2.8, 1.45]), "{moments:?}");
        let solved = surgeon::refit(&moments).unwrap();
        assert!((solved[0] + 2.0).abs() < 1e-9 && (solved[1] - 7.0).abs() < 1e-9, "{solved:?}");
    }
}
