//! Every command of the documentation is one that the program understands, and so is every option that it names.

use super::Arguments;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What a page writes where a reader puts in a value, where any word will not do, and such a value.
const PLACES: [(&str, &str); 10] = [
    ("SHARE", "50%"),
    ("N", "2"),
    ("I/N", "1/2"),
    ("MEAN,SD", "0,1"),
    ("GFLOP/s", "1"),
    ("GB/s", "1"),
    ("SET", "mnist"),
    ("COMMAND", "train"),
    ("SHELL", "bash"),
    ("onnx|safetensors", "onnx"),
];

/// Pages of the documentation: the book's, and the two beside it.
fn pages() -> Vec<PathBuf> {
    fn below(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
        let own = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "md"));
        own.chain(folders.iter().flat_map(|folder| below(folder))).collect()
    }
    below(Path::new("docs")).into_iter().chain(["README.md", "ARCHITECTURE.md"].map(PathBuf::from)).collect()
}

/// A page's lines of code, in fences or indented, with lines that go on joined; and what stands between backquotes in its prose.
fn code(page: &str) -> (Vec<String>, Vec<String>) {
    let (mut lines, mut prose, mut in_block) = (Vec::new(), String::new(), false);
    for line in page.replace("\\\n", " ").lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if in_block || line.starts_with("    ") {
            lines.push(line.trim().trim_start_matches("$ ").to_string());
        } else {
            prose += &(line.to_string() + "\n");
        }
    }
    let spans = prose.split('`').skip(1).step_by(2).map(|span| span.replace("\\|", "|").replace('\n', " "));
    (lines, spans.collect())
}

/// A command line as words for the program, if it is one of ours: without what a shell does with it, with values where the reader puts
/// them in, of alternatives the first, and options in brackets put in.
fn words(command: &str) -> Option<Vec<String>> {
    let ours = ["holdfast ", "cargo run --release -- ", "target/release/holdfast "];
    let rest = ours.iter().find_map(|start| command.strip_prefix(start))?;
    let rest =
        [" #", ";", " & ", " > ", " | "].iter().fold(rest, |rest, end| rest.split(end).next().unwrap_or_default());
    let rest = rest.replace(['[', ']', '<', '>', '"', '\''], "");
    let value = |word: &str| {
        let own = PLACES.iter().find(|(place, _)| *place == word).map(|(_, value)| value.to_string());
        let of_list = word.strip_suffix("...").filter(|name| !name.is_empty() && !name.ends_with(['-', ',']));
        own.unwrap_or_else(|| of_list.unwrap_or(word).split('|').next().unwrap_or_default().to_string())
    };
    Some(std::iter::once("holdfast".into()).chain(rest.split_whitespace().map(value)).collect())
}

#[test]
fn every_command_of_the_documentation_is_understood() {
    let (mut refused, mut count) = (Vec::new(), 0);
    for page in pages() {
        let (lines, spans) = code(&std::fs::read_to_string(&page).unwrap());
        let whole = lines.iter().map(|line| (line, true));
        for (command, is_whole) in whole.chain(spans.iter().map(|span| (span, false))) {
            let Some(words) = words(command) else { continue };
            count += 1;
            let Err(error) = Arguments::try_parse_from(words) else { continue };
            // Prose may name a command without all that it needs.
            let lacks = [ErrorKind::MissingRequiredArgument, ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand];
            let is_part = !is_whole && lacks.contains(&error.kind());
            if error.use_stderr() && !is_part {
                let said = error.to_string();
                refused.push(format!("{}: {command}: {}", page.display(), said.lines().next().unwrap_or_default()));
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(count > 150, "only {count} commands are found");
}

/// Options of a command and of all below it.
fn options(command: &clap::Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(|argument| Some(format!("--{}", argument.get_long()?)));
    own.chain(command.get_subcommands().flat_map(options)).collect()
}

#[test]
fn every_option_that_the_documentation_names_is_there() {
    let mut known = options(&Arguments::command());
    // Of Slurm.
    known.extend(["--constraint", "--gres"].map(String::from));
    let mut unknown = Vec::new();
    for page in pages() {
        let (_, spans) = code(&std::fs::read_to_string(&page).unwrap());
        let named = |span: &String| words(span).or_else(|| span.starts_with("--").then(|| vec![span.clone()]));
        for word in spans.iter().filter_map(named).flatten() {
            let options = word.split([' ', '=', '[', ']', '/', ',']);
            let gone = options.filter(|word| word.starts_with("--") && word.len() > 2 && !known.contains(*word));
            unknown.extend(gone.map(|option| format!("{}: {option}", page.display())));
        }
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}

#[test]
fn commands_are_found_in_blocks_in_indented_lines_and_in_prose() {
    let page = "text holdfast no\n```sh\nholdfast a \\\n  --b # why\n$ holdfast c > d\n```\n\n    holdfast e <hash>/x --f\nof\
                \n`holdfast\ng RUN\\|FILE... [--h N] --axes epoch,...`, `g`\n";
    let (lines, spans) = code(page);
    let found: Vec<_> =
        lines.iter().chain(&spans).filter_map(|line| words(line)).map(|words| words.join(" ")).collect();
    let expected = ["holdfast a --b", "holdfast c", "holdfast e hash/x --f", "holdfast g RUN --h 2 --axes epoch,..."];
    assert_eq!(found, expected);
}
