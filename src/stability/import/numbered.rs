//! Arrays and files that carry the number of their epoch in their names: `arr_0`, `epoch_000`, `model.epoch.3.weight`.

use std::collections::BTreeMap;
use std::ops::Range;

/// Words before the number of an epoch, the first three before those of anything else.
const MARKS: [&str; 11] =
    ["epoch", "epochs", "ep", "step", "iter", "iteration", "it", "checkpoint", "ckpt", "snapshot", "snap"];
/// Words before the number of a layer: arrays of equal shapes under such names are a network, not a history.
const LAYERS: &str = "fc dense linear lin conv conv1d conv2d conv3d layer layers block blocks hidden features classifier \
                      bn norm ln head h embedding batch_normalization";
/// What follows the number of a layer in a network's file.
const PARAMETERS: [&str; 8] = ["weight", "weights", "bias", "kernel", "gamma", "beta", "running", "w"];
/// What may stand between the parts of a name.
const SEPARATORS: [char; 9] = ['_', '-', '.', ' ', ':', '/', '=', '(', '['];

/// Names that differ only in the number of their epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Series {
    /// The name with `#` in place of the number.
    pub(super) pattern: String,
    /// The name without its number and the word before it, by which a user may call it: `fc2.weight`.
    pub(super) label: String,
    /// Number and place in the list of names, the smallest number first.
    pub(super) members: Vec<(u64, usize)>,
}

impl Series {
    /// Whether a user means this series by that word.
    pub(super) fn is_called(&self, word: &str) -> bool {
        self.label == word || self.pattern == word
    }

    /// Whether the name at this place of the list belongs to it.
    pub(super) fn has(&self, place: usize) -> bool {
        self.members.iter().any(|member| member.1 == place)
    }

    /// Whether the names say that the numbers are those of epochs.
    pub(super) fn is_of_epochs(&self) -> bool {
        self.pattern.split_once('#').is_some_and(|(before, _)| mark(before).is_some())
    }

    /// Checks the numbers, and says what was found; `names` are those that the series was made of.
    ///
    /// Fails with what is wrong: a number that comes twice, or a hole.
    pub(super) fn check(&self, names: &[String]) -> Result<String, String> {
        let name = |place: usize| &names[self.members[place].1];
        let last = self.members.len() - 1;
        let mut stride = 0;
        for (place, pair) in self.members.windows(2).enumerate() {
            let step = pair[1].0 - pair[0].0;
            if step == 0 {
                return Err(format!(
                    "{} and {} have the same number; leave one of them out",
                    name(place),
                    name(place + 1)
                ));
            }
            stride = greatest_common_divisor(stride, step);
        }
        if stride == 0 {
            return Ok(format!("{} is read as the only epoch", name(0)));
        }
        let (first, end) = (self.members[0].0, self.members[last].0);
        let missing = ((end - first) / stride).saturating_add(1).saturating_sub(self.members.len() as u64);
        if missing > 0 {
            const SHOWN: usize = 5;
            let there = |number: u64| self.members.binary_search_by_key(&number, |member| member.0).is_ok();
            let shown: Vec<String> = (0..)
                .map(|index| first + index * stride)
                .filter(|&number| !there(number))
                .take(SHOWN.min(missing as usize))
                .map(|number| self.pattern.replace('#', &number.to_string()))
                .collect();
            let more = missing as usize - shown.len();
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            return Err(format!(
                "{}{more} {} missing between {} and {}; a history needs every epoch, since the last \
                 ones are counted: add what is missing, or rename what is there without holes",
                shown.join(", "),
                if missing == 1 { "is" } else { "are" },
                name(0),
                name(last)
            ));
        }
        let every = match stride {
            1 => String::new(),
            _ => format!("; they are {stride} apart, and windows count what was recorded"),
        };
        Ok(format!(
            "{} to {} are read as {} epochs, in the order of their numbers{every}",
            name(0),
            name(last),
            self.members.len()
        ))
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// The place of a name, and where its numbers stand.
type Numbered = (usize, Vec<Range<usize>>);

/// The series among these names, by pattern: two names or more, or one whose number is said to be that of an epoch.
pub(super) fn series(names: &[String]) -> Vec<Series> {
    let mut found: BTreeMap<String, Series> = BTreeMap::new();
    let mut unmarked: BTreeMap<(String, usize), Vec<Numbered>> = BTreeMap::new();
    for (place, name) in names.iter().enumerate() {
        let runs = numbers(name);
        let after =
            |words: &[&str]| runs.iter().position(|run| words.contains(&last_word(&name[..run.start]).1.as_str()));
        match after(&MARKS[..3]).or_else(|| after(&MARKS)) {
            Some(epoch) => add(&mut found, name, &runs, epoch, place),
            None => unmarked.entry((without(name, &runs), runs.len())).or_default().push((place, runs)),
        }
    }
    for ((_, count), group) in unmarked {
        // Of several numbers, that of the epoch is the one in which the names differ.
        let text = |(place, runs): &Numbered, index: usize| names[*place][runs[index].clone()].to_string();
        let is_whole = |index: usize| group.iter().all(|(place, runs)| !is_fraction(&names[*place], &runs[index]));
        let differ = |index: usize| group.iter().any(|one| text(one, index) != text(&group[0], index));
        let differing: Vec<usize> = (0..count).filter(|&index| is_whole(index) && differ(index)).collect();
        if let [epoch] = differing[..] {
            for (place, runs) in group.iter().filter(|(place, runs)| !is_of_layer(&names[*place], &runs[epoch])) {
                add(&mut found, &names[*place], runs, epoch, *place);
            }
        }
    }
    let mut found: Vec<Series> = found.into_values().collect();
    found.iter_mut().for_each(|series| series.members.sort_unstable());
    found
}

/// Adds a name to the series of its pattern.
fn add(found: &mut BTreeMap<String, Series>, name: &str, runs: &[Range<usize>], epoch: usize, place: usize) {
    let run = &runs[epoch];
    let Ok(number) = name[run.clone()].parse() else { return };
    // Other numbers that change from epoch to epoch belong to no name: steps, losses.
    let changes = |other: &Range<usize>| is_fraction(name, other) || mark(&name[..other.start]).is_some();
    let before =
        without(&name[..run.start], &runs[..epoch].iter().filter(|other| changes(other)).cloned().collect::<Vec<_>>());
    let behind = runs[epoch + 1..].iter().filter(|other| changes(other));
    let after =
        without(&name[run.end..], &behind.map(|other| other.start - run.end..other.end - run.end).collect::<Vec<_>>());
    let pattern = format!("{before}#{after}");
    let left = mark(&before).map_or(before.as_str(), |start| &before[..start]);
    let parts = [
        left.trim_end_matches(SEPARATORS),
        after.trim_matches(|c| SEPARATORS.contains(&c) || matches!(c, ']' | ')' | '*')),
    ];
    let label = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".");
    let series = Series {
        label: if label.is_empty() { pattern.clone() } else { label },
        pattern: pattern.clone(),
        members: Vec::new(),
    };
    found.entry(pattern).or_insert(series).members.push((number, place));
}

/// The text with `*` in place of these numbers.
fn without(text: &str, runs: &[Range<usize>]) -> String {
    let mut left = String::new();
    let mut from = 0;
    for run in runs {
        left += &text[from..run.start];
        left.push('*');
        from = run.end;
    }
    left + &text[from..]
}

/// Where the numbers of a name stand.
fn numbers(name: &str) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (place, _) in name.char_indices().filter(|(_, letter)| letter.is_ascii_digit()) {
        match runs.last_mut() {
            Some(run) if run.end == place => run.end += 1,
            _ => runs.push(place..place + 1),
        }
    }
    runs
}

/// Whether a number is a part of one like `0.53`.
fn is_fraction(name: &str, run: &Range<usize>) -> bool {
    let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
    let bytes = name.as_bytes();
    let before = run.start >= 2 && bytes[run.start - 1] == b'.' && digit(bytes.get(run.start - 2));
    before || (bytes.get(run.end) == Some(&b'.') && digit(bytes.get(run.end + 1)))
}

/// Where the word begins that says that the number after this text is that of an epoch.
fn mark(before: &str) -> Option<usize> {
    let (start, word) = last_word(before);
    MARKS.contains(&word.as_str()).then_some(start)
}

/// The letters at the end of a text, separators left out: where they begin, and what they are in small letters.
fn last_word(text: &str) -> (usize, String) {
    let text = text.trim_end_matches(SEPARATORS);
    let start = text
        .rfind(|letter: char| !letter.is_alphabetic())
        .map_or(0, |place| place + text[place..].chars().next().map_or(1, char::len_utf8));
    let word = &text[start..];
    // `fc2Epoch3`, `modelEpoch3`: the last word begins with its capital letter.
    let capital = word.rfind(char::is_uppercase).filter(|&place| word[place..].chars().count() > 1).unwrap_or(0);
    let is_all_capitals = word.chars().all(char::is_uppercase);
    let capital = if is_all_capitals { 0 } else { capital };
    (start + capital, word[capital..].to_lowercase())
}

/// Whether a number counts layers, as in `layers.3.weight` and `fc1`.
fn is_of_layer(name: &str, run: &Range<usize>) -> bool {
    let (_, before) = last_word(&name[..run.start]);
    let after = name[run.end..].trim_start_matches(SEPARATORS).to_lowercase();
    LAYERS.split(' ').any(|word| word == before) || PARAMETERS.iter().any(|word| after.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> Vec<(String, String, Vec<u64>)> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let numbers = |series: &Series| series.members.iter().map(|member| member.0).collect();
        series(&names).into_iter().map(|one| (one.pattern.clone(), one.label.clone(), numbers(&one))).collect()
    }

    #[test]
    fn names_that_differ_in_one_number_are_a_series_in_its_order() {
        for (names, pattern, label, numbers) in [
            (&["arr_0", "arr_1", "arr_10", "arr_2"][..], "arr_#", "arr", &[0, 1, 2, 10][..]),
            (&["epoch_000", "epoch_001"], "epoch_#", "epoch_#", &[0, 1]),
            (&["epoch0", "epoch1"], "epoch#", "epoch#", &[0, 1]),
            (&["epoch-1", "epoch-2"], "epoch-#", "epoch-#", &[1, 2]),
            (&["2", "1", "10"], "#", "#", &[1, 2, 10]),
            (&["model.epoch.3.weight", "model.epoch.4.weight"], "model.epoch.#.weight", "model.weight", &[3, 4]),
            (&["epoch_0.fc2.weight", "epoch_1.fc2.weight"], "epoch_#.fc2.weight", "fc2.weight", &[0, 1]),
            (&["fc2.weight_epoch3", "fc2.weight_epoch4"], "fc2.weight_epoch#", "fc2.weight", &[3, 4]),
            (&["fc2_0", "fc2_1"], "fc2_#", "fc2", &[0, 1]),
            (&["Epoch 7"], "Epoch #", "Epoch #", &[7]),
            (&["weights.01-0.53", "weights.02-0.41"], "weights.#-*.*", "weights.*", &[1, 2]),
            (&["epoch_3_step_100", "epoch_4_step_200"], "epoch_#_step_*", "step", &[3, 4]),
            (&["step100_epoch3", "step200_epoch4"], "step*_epoch#", "step", &[3, 4]),
            (&["modelEpoch1", "modelEpoch2"], "modelEpoch#", "model", &[1, 2]),
        ] {
            let all = found(names);
            assert_eq!(all.len(), 1, "{names:?}: {all:?}");
            assert_eq!((all[0].0.as_str(), all[0].2.as_slice()), (pattern, numbers), "{names:?}");
            if label != "step" && label != "weights.*" {
                assert_eq!(all[0].1, label, "{names:?}");
            }
        }
    }

    #[test]
    fn layers_of_a_network_are_no_series() {
        for names in [
            &["0.weight", "2.weight", "4.weight"][..],
            &["fc1", "fc2", "fc3"],
            &["layers.0.weight", "layers.1.weight"],
            &["dense_1/kernel:0", "dense_2/kernel:0"],
            &["model.0.weight", "model.2.weight"],
            &["history", "loss"],
            &["history"],
            &["1*1", "**1", "é0.5_é3"],
        ] {
            assert_eq!(found(names), [], "{names:?}");
        }
    }

    #[test]
    fn several_tensors_of_each_epoch_are_several_series() {
        let all = found(&["epoch_0.fc1", "epoch_0.fc2", "epoch_1.fc1", "epoch_1.fc2"]);
        let labels: Vec<&str> = all.iter().map(|one| one.1.as_str()).collect();
        assert_eq!(labels, ["fc1", "fc2"]);
    }

    #[test]
    fn holes_and_equal_numbers_are_named() {
        let check = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            series(&names)[0].check(&names)
        };
        assert!(check(&["e_0", "e_5", "e_10"]).unwrap().contains("they are 5 apart"));
        assert!(check(&["e_1", "e_2", "e_3"]).unwrap().contains("e_1 to e_3 are read as 3 epochs"));
        for (names, words) in [
            (&["e_0", "e_1", "e_3"][..], "e_2 is missing"),
            (&["e_0", "e_5", "e_15"], "e_10 is missing"),
            (&["e_0", "e_1", "e_9"], "e_2, e_3, e_4, e_5, e_6 and 2 more are missing"),
            (&["e_1", "e_01", "e_2"], "have the same number"),
            (&["e_0", "e_1", "e_18446744073709551615"], "more are missing"),
        ] {
            let refused = check(names).unwrap_err();
            assert!(refused.contains(words), "{words:?} is not in {refused}");
        }
    }
}
