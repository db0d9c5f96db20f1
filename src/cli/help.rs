//! What help, manual pages and completion scripts say beyond the options themselves: groups, defaults of every preset, examples,
//! and what may stand where a kernel or a data set is named.

use super::{Arguments, explain};
use crate::lessons::puzzle::{PUZZLES, Puzzle};
use crate::run::configuration::{Configuration, Model};
use crate::run::presets::Preset;
use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;
use serde_json::{Map, Value};

/// Options by what they are about, in the order of the help.
const GROUPS: [(&str, &[&str]); 8] = [
    ("Network", &["model", "width", "depth", "hidden", "no-bias", "filters"]),
    ("Data", &["data", "training-images", "cnn-training-images", "side", "fit", "gray", "test-share", "pixel-scale"]),
    (
        "Training",
        &[
            "replicates",
            "epochs",
            "batch",
            "schedule",
            "seed",
            "averaged-epochs",
            "stop-at-plateau",
            "against-full",
            "min-accuracy",
            "max-replacements",
        ],
    ),
    (
        "Pruning",
        &[
            "layers",
            "scope",
            "surgeons",
            "stages",
            "polish",
            "calibration-images",
            "inactive-weight",
            "ridge",
            "keep-frozen",
        ],
    ),
    ("Magnitude stability", &["tolerance", "tolerance-kind", "tracking", "against", "window"]),
    ("Exponential decay", &["ed-epochs", "ed-targets", "ed-rule"]),
    ("Device", &["device", "threads", "checked-shaders"]),
    (
        "Settings and output",
        &["preset", "config", "print-config", "out", "fresh", "dry-run", "full", "json", "quiet", "verbose"],
    ),
];

/// Options of a command that are about something else there.
const OWN_GROUPS: [(&str, &str, &[&str]); 4] = [
    ("bench", "Network", &["side", "replicates", "batch"]),
    ("bench", "What is measured", &["only", "seconds", "growth", "out", "sparse", "kernels"]),
    ("bench", "Files and comparisons", &["save", "against", "against-program", "fail-over"]),
    ("bench", "Another GPU, counted for", &["peak", "bandwidth", "compute-units", "launch"]),
];

/// Examples of the commands that have none of their own.
const EXAMPLES: [(&str, &str); 11] = [
    (
        "compare",
        "Examples:
  holdfast compare
  holdfast compare --data any=photos --model cnn --replicates 3
  holdfast compare --preset paper --model dnn --dry-run",
    ),
    (
        "study",
        "Examples:
  holdfast study --preset quick --out study
  holdfast study --preset paper --shard 1/8
  holdfast study --from-observations observations.csv --from-stable-nodes stable_nodes.csv --full",
    ),
    (
        "merge",
        "Examples:
  holdfast merge runs/study-0123/shards/* --out study
  holdfast merge shard-1 shard-2 --without-figure-4",
    ),
    (
        "train",
        "Examples:
  holdfast train --replicates 3 --epochs 50 --out trained
  holdfast train --model cnn --data mnist --stop-at-plateau 2% --against-full",
    ),
    (
        "stability",
        "Examples:
  holdfast stability runs/train-0123
  holdfast stability history.npz --axes epoch,out,in --tolerance 0.03",
    ),
    (
        "data",
        "Examples:
  holdfast data list
  holdfast data export mnist images --limit 10",
    ),
    (
        "devices",
        "Examples:
  holdfast devices
  holdfast devices --json",
    ),
    (
        "doctor",
        "Examples:
  holdfast doctor
  holdfast doctor --device cpu --json",
    ),
    (
        "explain",
        "Examples:
  holdfast explain convolution
  holdfast explain dense.forward         its WGSL
  holdfast explain dense --ladder        from the naive kernel to the fast one, measured here
  holdfast explain dense/tiled           a step of it
  holdfast explain --run barrier         a text of docs/gpu.md, and what it writes",
    ),
    (
        "completions",
        "Examples:
  holdfast completions bash > ~/.local/share/bash-completion/completions/holdfast
  holdfast completions zsh > ~/.zfunc/_holdfast",
    ),
    (
        "man",
        "Examples:
  holdfast man | man -l -
  holdfast man --out man",
    ),
];

/// The data sets, as `--data` names them without a path.
const DATA_SETS: [&str; 9] = ["mnist", "pr", "ct", "sc-synthetic", "xr-synthetic", "mnist=", "sc=", "xr=", "any="];

/// The command line with groups, defaults and examples.
pub(super) fn command() -> Command {
    let mut command = Arguments::command();
    let names: Vec<String> = command.get_subcommands().map(|own| own.get_name().to_string()).collect();
    for name in names {
        command = command.mut_subcommand(&name, |own| told(&name, own));
    }
    command
}

/// The script that makes `shell` complete commands, options and values.
pub(super) fn script(shell: Shell) -> String {
    let mut command = complete(command());
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "holdfast", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    if shell == Shell::Bash { with_lists(script, &command) } else { script }
}

/// Makes bash complete each value of a list that commas separate, not only the first: what stands before the last comma is kept.
fn with_lists(mut script: String, command: &Command) -> String {
    for arg in command.get_arguments().filter(|arg| arg.get_value_delimiter() == Some(',')) {
        let values: Vec<String> = arg.get_possible_values().iter().map(|value| value.get_name().into()).collect();
        if !values.is_empty() {
            let words = format!("-W \"{}\" -- ", values.join(" "));
            let list = format!(r#"-P "${{cur%"${{cur##*,}}"}}" {words}"${{cur##*,}}""#);
            script = script.replace(&format!(r#"{words}"${{cur}}""#), &list);
        }
    }
    command.get_subcommands().fold(script, with_lists)
}

fn told(name: &str, command: Command) -> Command {
    let defaults = defaults(name);
    let command = command.mut_args(|arg| {
        let Some(long) = arg.get_long().map(String::from) else { return arg };
        let arg = match defaults.iter().find(|(option, _)| *option == long) {
            Some((_, text)) => with_default(arg, text),
            None => arg,
        };
        let own = OWN_GROUPS.iter().filter(|(command, ..)| *command == name).map(|(_, heading, all)| (heading, all));
        let group =
            own.chain(GROUPS.iter().map(|(heading, all)| (heading, all))).find(|(_, all)| all.contains(&&*long));
        match (arg.get_help_heading(), group) {
            (None, Some((heading, _))) => arg.help_heading(*heading),
            _ => arg,
        }
    });
    match EXAMPLES.iter().find(|(known, _)| *known == name) {
        Some((_, examples)) if command.get_after_help().is_none() => command.after_help(*examples),
        _ => command,
    }
}

/// Says at the end of an option's help what it is without it.
fn with_default(arg: Arg, text: &str) -> Arg {
    let [short, long] = [arg.get_help(), arg.get_long_help()].map(|help| help.map(ToString::to_string));
    let said = |help: String, between: &str| format!("{help}{between}[default: {text}]");
    let arg = match short {
        Some(help) => arg.help(said(help, " ")),
        None => arg,
    };
    match long {
        Some(help) => arg.long_help(said(help, "\n\n")),
        None => arg,
    }
}

/// What options are without being given, of the commands that have presets: `30 (smoke 6, paper 100)`.
fn defaults(command: &str) -> Vec<(String, String)> {
    let settings = |preset: Preset| -> Map<String, Value> {
        let settings = match command {
            "study" => Configuration::study(preset),
            "train" => Configuration { model: Model::Dnn, ..Configuration::preset(preset) },
            _ => Configuration::preset(preset),
        };
        serde_json::to_value(settings).ok().and_then(|value| value.as_object().cloned()).unwrap_or_default()
    };
    if !["compare", "study", "train"].contains(&command) {
        return Vec::new();
    }
    let [quick, smoke, paper] = [Preset::Quick, Preset::Smoke, Preset::Paper].map(settings);
    let mut all: Vec<(String, String)> = vec![("preset".into(), "quick".into()), ("device".into(), "auto".into())];
    for (name, value) in &quick {
        let Some(own) = shown(value) else { continue };
        let others: Vec<String> = [("smoke", &smoke), ("paper", &paper)]
            .into_iter()
            .filter(|(_, settings)| settings.get(name) != Some(value))
            .map(|(preset, settings)| {
                format!("{preset} {}", settings.get(name).and_then(shown).unwrap_or("all".into()))
            })
            .collect();
        let others = if others.is_empty() { String::new() } else { format!("; {}", others.join("; ")) };
        all.push((name.clone(), own + &others));
    }
    all
}

/// A setting in words; nothing of one that is not there.
fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.as_f64()?.to_string()),
        Value::Array(values) => {
            let all: Vec<String> = values.iter().filter_map(shown).collect();
            Some(match all.as_slice() {
                [first, second, .., last] if all.len() > 8 => format!("{first},{second},...,{last}"),
                all => all.join(","),
            })
        }
        other => Some(other.to_string()),
    }
}

/// Gives arguments that name a kernel, a data set or layers their usual values.
fn complete(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|own| own.get_name().to_string()).collect();
    let own = command.get_name().to_string();
    let mut command = command.mut_args(|arg| {
        let values: Vec<&'static str> = match (own.as_str(), arg.get_id().as_str()) {
            ("explain", "kernel") => explain::names(),
            ("explain", "run") => explain::primer_names().collect(),
            ("puzzle", "number") => PUZZLES.iter().map(written_number).collect(),
            (_, "data" | "set") => DATA_SETS.into(),
            (_, "layers") => ["focus", "hidden", "dense", "conv", "all"].into(),
            (_, "device") => ["auto", "cpu"].into(),
            _ => return arg,
        };
        arg.value_parser(PossibleValuesParser::new(values))
    });
    for name in names {
        command = command.mut_subcommand(name, complete);
    }
    command
}

/// A puzzle's number as its text is named by it: `lessons/puzzles/01-map`.
fn written_number(puzzle: &Puzzle) -> &'static str {
    let name = puzzle.start.name.rsplit('/').next().unwrap_or_default();
    name.split('-').next().unwrap_or_default().trim_start_matches('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_examples_that_it_understands() {
        for own in command().get_subcommands() {
            let name = own.get_name();
            let help = own.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<&str> = help.lines().filter_map(|line| line.trim().strip_prefix("holdfast ")).collect();
            assert!(!examples.is_empty(), "{name}");
            for example in examples {
                // What stands apart says what the example is for; what a shell does with the output is not the program's.
                let line =
                    example.split("  ").next().and_then(|line| line.split(['|', '>']).next()).unwrap_or_default();
                let line: Vec<&str> = line.split_whitespace().collect();
                assert_eq!(line[0], name, "{example}");
                let found = command().try_get_matches_from(std::iter::once("holdfast").chain(line.iter().copied()));
                assert!(found.is_ok(), "{example}: {}", found.err().map(|error| error.to_string()).unwrap_or_default());
            }
        }
    }

    #[test]
    fn defaults_are_those_of_the_presets() {
        let of = |command: &str, option: &str| {
            let found = defaults(command).into_iter().find(|(name, _)| name == option);
            found.map(|(_, text)| text).unwrap_or_default()
        };
        assert_eq!(of("compare", "epochs"), "30; smoke 6; paper 100");
        assert_eq!(of("train", "model"), "dnn");
        assert_eq!(of("compare", "training-images"), "10000; smoke 2000; paper all");
        assert_eq!(of("study", "replicates"), "5; smoke 3; paper 50");
        assert_eq!(of("compare", "ed-targets"), "0,0.1,...,1; smoke 0,0.25,0.5,0.75,1; paper 0,0.05,...,1");
        assert_eq!(of("prune", "epochs"), "");
    }

    #[test]
    fn no_option_stands_in_two_groups() {
        let all: Vec<&str> = GROUPS.iter().flat_map(|(_, options)| options.iter().copied()).collect();
        assert!(all.iter().enumerate().all(|(place, option)| !all[..place].contains(option)), "{all:?}");
    }

    #[test]
    fn a_command_groups_its_own_options_and_has_each_of_them() {
        for (name, heading, options) in OWN_GROUPS {
            let command = command();
            let own = command.find_subcommand(name).unwrap();
            for option in options {
                let arg = own.get_arguments().find(|arg| arg.get_long() == Some(option)).unwrap();
                assert_eq!(arg.get_help_heading(), Some(heading), "{name} --{option}");
            }
        }
    }

    #[test]
    fn puzzles_are_completed_by_their_numbers() {
        for puzzle in PUZZLES {
            assert_eq!(written_number(puzzle), puzzle.number.to_string());
        }
    }

    #[test]
    fn shells_complete_kernels_data_sets_texts_and_puzzles() {
        for (shell, words) in [
            (Shell::Bash, ["conv2d", "dense.forward", "xr-synthetic", "hold-surgeon", "hidden", "coalescing"]),
            (
                Shell::Zsh,
                ["conv2d", "dense.forward", "xr-synthetic", "hold-surgeon", "(invocation ", "(1 2 3 4 5 6 7 8 "],
            ),
        ] {
            let script = script(shell);
            for word in words {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
        // After a comma a second data set is completed.
        let words = r#"compgen -P "${cur%"${cur##*,}"}" -W "mnist pr ct "#;
        assert!(script(Shell::Bash).contains(words));
    }
}
