//! `holdfast puzzle`: twelve exercises in WGSL, judged on this device.

use super::explain::any_adapter;
use super::options::{DeviceOptions, OutputOptions};
use super::output;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::lessons::puzzle::{PUZZLES, Puzzle, numbered};
use crate::run_folder::input::Input;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// The most bytes of a text.
const MOST_BYTES: u64 = 1 << 20;

/// Arguments of `puzzle`.
#[derive(Args)]
#[command(after_help = "Examples:
  holdfast puzzle                       list the puzzles
  holdfast puzzle 1                     show a task
  holdfast puzzle 1 --start > 1.wgsl    the file to edit
  holdfast puzzle 1 1.wgsl              judge it: exit code 0 if it is right, 4 if an element is wrong")]
pub(super) struct PuzzleArguments {
    /// Which puzzle; without it all are listed.
    #[arg(value_name = "NUMBER")]
    number: Option<usize>,
    /// Your WGSL; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print the file to begin with.
    #[arg(long, requires = "number", conflicts_with_all = ["file", "hint", "solution"])]
    start: bool,
    /// Print a hint.
    #[arg(long, requires = "number", conflicts_with_all = ["file", "solution"])]
    hint: bool,
    /// Print a solution.
    #[arg(long, requires = "number", conflicts_with = "file")]
    solution: bool,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    output: OutputOptions,
}

pub(super) fn run(arguments: &PuzzleArguments) -> Result<()> {
    let PuzzleArguments { number, file, start, hint, solution, device, output: say } = arguments;
    device.validate()?;
    let Some(number) = *number else {
        return list(say.json);
    };
    let puzzle = numbered(number)?;
    match file {
        Some(file) => judge(puzzle, file, device, say),
        None if say.json => output::json(&json!({
            "puzzle": number,
            "title": puzzle.title(),
            "task": puzzle.task(),
            "hint": puzzle.hint(),
            "start": puzzle.start.wgsl,
        })),
        None if *start => output::result(puzzle.start.wgsl),
        None if *hint => output::result(&format!("{}\n", puzzle.hint())),
        None if *solution => output::result(puzzle.solution.wgsl),
        None => output::result(&format!(
            "{}\n\nBegin with\n  holdfast puzzle {number} --start > {number}.wgsl\nand let it be judged by\n  \
             holdfast puzzle {number} {number}.wgsl\n\n{}",
            puzzle.task(),
            puzzle.start.wgsl
        )),
    }
}

fn list(as_json: bool) -> Result<()> {
    if as_json {
        let titles: Vec<_> =
            PUZZLES.iter().map(|puzzle| json!({ "puzzle": puzzle.number, "title": puzzle.title() })).collect();
        return output::json(&json!(titles));
    }
    let line = |puzzle: &Puzzle| format!("{:>2}  {}\n", puzzle.number, puzzle.title());
    let lines: String = PUZZLES.iter().map(line).collect();
    output::result(&format!("{lines}\nholdfast puzzle NUMBER shows a task; docs/gpu.md explains the words.\n"))
}

fn judge(puzzle: &Puzzle, file: &Path, device: &DeviceOptions, say: &OutputOptions) -> Result<()> {
    let text = read_text(file)?;
    let gpu = Gpu::open_for_readers(&any_adapter(device)?)?;
    let cases = puzzle.check(&gpu, &file.display().to_string(), &text)?;
    let (number, name) = (puzzle.number, &gpu.description().name);
    if say.json {
        return output::json(&json!({ "puzzle": number, "right": true, "cases": cases, "device": name }));
    }
    let next = match PUZZLES.get(number) {
        Some(next) => format!("Next: holdfast puzzle {} ({})", next.number, next.title()),
        None => "That was the last one. docs/adding-a-kernel.md shows how a kernel joins the engine".to_string(),
    };
    output::result(&format!("Right: puzzle {number} is solved, in all {cases} cases on {name}. {next}.\n"))
}

/// A reader's text, from a file or standard input.
pub(super) fn read_text(file: &Path) -> Result<String> {
    let bytes = Input::open(file)?.into_bytes(MOST_BYTES)?;
    let name = file.display();
    String::from_utf8(bytes).map_err(|_| Error::Data(format!("{name} is no text in UTF-8; name your shader")))
}
