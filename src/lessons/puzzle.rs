//! Twelve exercises in WGSL: what is to be computed, where to begin, and whether a reader's text does it.

use super::Text;
use super::problem::{Arrays, Grid, Problem, Wanted};
use super::puzzle_data as data;
use crate::check::Output;
use crate::check::comparator::UNWRITTEN;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Number, Program};

/// A text is run so often: what depends on an order of its own comes out differently.
const RUNS: usize = 3;

/// What must hold of a text even where its numbers are right: they may be so by luck.
struct Rule {
    /// Whether a text without its comments keeps it.
    holds: fn(&str) -> bool,
    /// What it means if it does not.
    lesson: &'static str,
}

/// An exercise.
pub struct Puzzle {
    /// From 1 on.
    pub number: usize,
    /// Title, task and hint in Markdown.
    page: &'static str,
    /// Where the reader begins.
    pub start: Text,
    /// A text that solves it.
    pub solution: Text,
    rules: &'static [Rule],
    problems: fn() -> Vec<(Problem, Grid)>,
}

macro_rules! puzzle {
    ($number:literal, $name:literal, $rules:expr, $problems:expr) => {
        Puzzle {
            number: $number,
            page: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/lessons/puzzles/", $name, ".md")),
            start: text!(concat!("puzzles/", $name)),
            solution: text!(concat!("puzzles/solutions/", $name)),
            rules: $rules,
            problems: $problems,
        }
    };
}

const BARRIERS: &[Rule] = &[Rule {
    holds: waits_in_each_round,
    lesson: "the numbers are right here, by luck: between a write to workgroup memory and a read by another invocation nothing \
             waits; put workgroupBarrier() before the first round and after each",
}];
const NO_RACE: &[Rule] = &[Rule {
    holds: |text| !text.contains("atomicCompareExchangeWeak"),
    lesson: "the numbers are right here, by luck: whoever comes first adds first, and another day another does; let one \
             invocation add a row in its order",
}];

/// Whether a text has a barrier before its rounds and one in them, or one at the start of each round, before an array is touched.
fn waits_in_each_round(text: &str) -> bool {
    let (barrier, mut loops) = ("workgroupBarrier", ["for", "while", "loop"].into_iter());
    let starts_a_round = |word| {
        let round = text.split_once(word).and_then(|(_, rest)| rest.split_once('{')).map(|(_, round)| round);
        round.and_then(|round| round.split_once(barrier)).is_some_and(|(before, _)| !before.contains('['))
    };
    text.matches(barrier).count() >= 2 || loops.any(starts_a_round)
}

/// All puzzles, in the order of their numbers.
pub const PUZZLES: &[Puzzle] = &[
    puzzle!(1, "01-map", &[], data::map),
    puzzle!(2, "02-axpy", &[], data::axpy),
    puzzle!(3, "03-neighbours", &[], data::neighbours),
    puzzle!(4, "04-barrier", BARRIERS, data::barrier),
    puzzle!(5, "05-order", NO_RACE, data::order),
    puzzle!(6, "06-dense", &[], data::dense),
    puzzle!(7, "07-softmax", &[], data::softmax),
    puzzle!(8, "08-scan", &[], data::scan),
    puzzle!(9, "09-stability", &[], data::stability),
    puzzle!(10, "10-rank", &[], data::rank),
    puzzle!(11, "11-backward", &[], data::backward),
    puzzle!(12, "12-surgeon", &[], data::surgeon),
];

/// The puzzle of a number.
///
/// Fails with [`Error::Usage`] if there is none.
pub fn numbered(number: usize) -> Result<&'static Puzzle> {
    let most = PUZZLES.len();
    PUZZLES
        .iter()
        .find(|puzzle| puzzle.number == number)
        .ok_or_else(|| Error::Usage(format!("there is no puzzle {number}; they are numbered 1 to {most}")))
}

impl Puzzle {
    /// Its title.
    pub fn title(&self) -> &'static str {
        self.page.lines().next().unwrap_or_default().trim_start_matches("# ")
    }

    /// What is to be done, in Markdown.
    pub fn task(&self) -> &'static str {
        self.parts().0
    }

    /// A hint.
    pub fn hint(&self) -> &'static str {
        self.parts().1
    }

    fn parts(&self) -> (&'static str, &'static str) {
        let (task, hint) = self.page.split_once("\n## Hint\n").unwrap_or((self.page, ""));
        (task.trim(), hint.trim())
    }

    /// Judges a text, `name` for errors: how many cases it was right in.
    ///
    /// Fails with [`Error::SelfCheck`] at the first wrong element, which it names, with [`Error::Data`] if the text is not WGSL
    /// or binds other arrays, and where the device fails.
    pub fn check(&self, gpu: &Gpu, name: &str, text: &str) -> Result<usize> {
        let program = Program::of_reader(name, text)?;
        let kernel = program.compile(gpu)?;
        let problems = (self.problems)();
        for (problem, grid) in &problems {
            let wrong = |what: String| {
                let (number, case) = (self.number, &problem.name);
                Err(Error::SelfCheck(format!(
                    "{name} does not solve puzzle {number} yet: with {case} {what}; holdfast puzzle {number} --hint"
                )))
            };
            if let Some((array, ..)) = problem.outputs.iter().find(|(array, ..)| !program.writes(array)) {
                return Err(Error::Data(format!(
                    "{name} has no array `{array}` that it writes; keep the bindings of the starting file"
                )));
            }
            let mut before: Option<Vec<Output>> = None;
            for _ in 0..RUNS {
                let arrays = problem.upload(gpu)?;
                arrays.run(&[(arrays.bind(&program, &kernel)?, grid.workgroups(program.workgroup))])?;
                if arrays.was_cut()? {
                    return wrong("a loop did not end within 50,000 rounds, and was left".into());
                }
                let found = problem.found(&arrays)?;
                for ((array, _, wanted), found) in problem.outputs.iter().zip(&found) {
                    if let Some(what) = first_wrong(array, program.number(array), wanted, found) {
                        return wrong(what);
                    }
                }
                if before.as_ref().is_some_and(|before| *before != found) {
                    return wrong("two runs give different bits: something depends on who comes first".into());
                }
                before = Some(found);
            }
        }
        let code: Vec<&str> = text.lines().filter_map(|line| line.split("//").next()).collect();
        if let Some(rule) = self.rules.iter().find(|rule| !(rule.holds)(&code.join("\n"))) {
            let number = self.number;
            return Err(Error::SelfCheck(format!("{name} does not solve puzzle {number} yet: {}", rule.lesson)));
        }
        Ok(problems.len())
    }
}

impl Problem {
    fn found(&self, arrays: &Arrays<'_>) -> Result<Vec<Output>> {
        self.outputs.iter().map(|(array, ..)| arrays.read(array)).collect()
    }
}

/// What the first wrong element of an array is, and what it should be.
fn first_wrong(array: &str, number: Number, wanted: &Wanted, found: &Output) -> Option<String> {
    if wanted.check("puzzle", String::new(), found).passed {
        return None;
    }
    let len = wanted.len();
    let written = |word: u32| match number {
        Number::Float => format!("{:?}", f32::from_bits(word)),
        Number::Signed => format!("{}", word as i32),
        Number::Unsigned | Number::Padding => format!("{word}"),
    };
    let wrong = |(index, word): (usize, u32)| {
        let should = match wanted {
            Wanted::Exact(words) if words[index] == word => return None,
            Wanted::Exact(words) => written(words[index]),
            Wanted::Near(numbers) => {
                let expected = numbers[index];
                if (f64::from(f32::from_bits(word)) - expected.value).abs() <= expected.tolerance {
                    return None;
                }
                written((expected.value as f32).to_bits())
            }
        };
        let is = match word {
            UNWRITTEN => "was not written".into(),
            word if number == Number::Float && f32::from_bits(word).is_nan() => {
                "is no number (which is what lies beyond the end of every input)".to_string()
            }
            word => format!("is {}", written(word)),
        };
        Some(format!("{array}[{index}] {is} and should be {should}"))
    };
    found.bits.iter().copied().enumerate().find_map(wrong).or_else(|| {
        let behind = found.guard.iter().position(|&word| word != UNWRITTEN)?;
        Some(format!("{array}[{}] was written, and {array} has only {len} elements", len + behind))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_puzzle_has_its_title_its_task_and_its_hint_and_its_number() {
        assert_eq!(PUZZLES.len(), 12);
        for (index, puzzle) in PUZZLES.iter().enumerate() {
            assert_eq!(puzzle.number, index + 1);
            assert!(puzzle.task().starts_with(&format!("# {}", puzzle.title())) && !puzzle.task().contains("## Hint"));
            assert!(puzzle.hint().len() > 40, "{}", puzzle.title());
            for text in [puzzle.start, puzzle.solution] {
                assert!(text.wgsl.starts_with(&format!("// Puzzle {}", puzzle.number)), "{}", text.name);
            }
        }
        assert_eq!(PUZZLES.iter().filter(|puzzle| puzzle.title().starts_with("A broken kernel")).count(), 3);
        assert_eq!(numbered(13).map(|_| ()).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_barrier_in_each_round_or_before_and_after_them_is_enough() {
        let (sum, wait) = ("if (lane < half) { p[lane] += p[lane + half]; }", "workgroupBarrier();");
        let rounds = |before: &str, first: &str, last: &str| {
            waits_in_each_round(&format!(
                "p[lane] = x[i]; {before} for (var half = 4u; half > 0u; half /= 2u) {{ {first} {sum} {last} }}"
            ))
        };
        assert!(rounds("", wait, "") && rounds(wait, "", wait) && rounds(wait, wait, wait));
        assert!(!rounds("", "", "") && !rounds(wait, "", "") && !rounds("", "", wait));
    }

    #[test]
    fn the_first_wrong_element_is_named_with_what_it_should_be() {
        let found = |bits: &[u32], guard: u32| Output { bits: bits.to_vec(), guard: vec![UNWRITTEN, guard] };
        let wanted = Wanted::Exact(vec![3, 4, 5]);
        let say = |found: Output| first_wrong("y", Number::Unsigned, &wanted, &found);
        assert_eq!(say(found(&[3, 4, 5], UNWRITTEN)), None);
        assert_eq!(say(found(&[3, 9, 9], UNWRITTEN)).unwrap(), "y[1] is 9 and should be 4");
        assert!(say(found(&[3, 4, UNWRITTEN], UNWRITTEN)).unwrap().starts_with("y[2] was not written"));
        assert_eq!(say(found(&[3, 4, 5], 0)).unwrap(), "y[4] was written, and y has only 3 elements");
        let exact = Wanted::Exact(vec![1.5f32.to_bits()]);
        let text = first_wrong("y", Number::Float, &exact, &found(&[2f32.to_bits()], UNWRITTEN)).unwrap();
        assert_eq!(text, "y[0] is 2.0 and should be 1.5");
    }
}
