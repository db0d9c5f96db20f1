//! Every command of the documentation is one that the program understands.

use super::Arguments;
use clap::Parser;
use std::path::{Path, PathBuf};

/// Pages below a folder.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    let own = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    own.chain(folders.iter().flat_map(|folder| pages(folder))).collect()
}

/// Command lines of a page that begin with `holdfast`: of blocks of code, with lines that go on joined.
fn commands(page: &str) -> Vec<String> {
    let joined = page.replace("\\\n", " ");
    let mut in_block = false;
    let mut found = Vec::new();
    for line in joined.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
            continue;
        }
        let line = line.trim_start_matches("$ ");
        if (in_block || line.starts_with("    ")) && line.trim_start().starts_with("holdfast ") {
            // What a shell does with it, and what a reader puts in, is not the program's.
            let end = line.find([';', '#', '|', '>', '&', '<']).unwrap_or(line.len());
            found.push(line[..end].trim().to_string());
        }
    }
    found
}

#[test]
fn every_command_of_the_documentation_is_understood() {
    let mut refused = Vec::new();
    let mut count = 0;
    for page in pages(Path::new("docs")).into_iter().chain([PathBuf::from("README.md")]) {
        for command in commands(&std::fs::read_to_string(&page).unwrap()) {
            if command.contains("...") || command.contains('[') || command.contains(".. ") {
                continue;
            }
            count += 1;
            let words = command.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
            if let Err(error) = Arguments::try_parse_from(words)
                && error.use_stderr()
            {
                let said = error.to_string();
                refused.push(format!("{}: {command}: {}", page.display(), said.lines().next().unwrap_or_default()));
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(count > 30, "only {count} commands are found");
}

#[test]
fn commands_are_found_in_blocks_and_in_indented_lines() {
    let page =
        "text holdfast no\n```sh\nholdfast a \\\n  --b # why\n$ holdfast c > d\n```\n\n    holdfast e\nholdfast f\n";
    assert_eq!(commands(page), ["holdfast a    --b", "holdfast c", "holdfast e"]);
}
