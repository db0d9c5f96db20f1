//! Which arrays of a file are the history, or the histories of several tensors.

use super::axes::Axes;
use super::numbered::{Series, series};
use crate::error::{Error, Result};
use crate::run_folder;
use crate::run_folder::arrays::{ArrayFile, Outline};
use std::path::Path;

/// How a user names an array.
pub(super) const OPTION: &str = "--history-key";

/// What of a file is the history: arrays by name, of a file with one array perhaps without.
pub(super) struct Chosen {
    pub(super) name: String,
    pub(super) arrays: Vec<Option<String>>,
    /// Whether each of them is an epoch.
    pub(super) is_numbered: bool,
}

/// Histories, and why they cannot be read as one, if there are several.
pub(super) type Choice = (Vec<Chosen>, Option<String>);

impl Chosen {
    fn array(name: Option<&str>) -> Self {
        Self { name: name.unwrap_or_default().into(), arrays: vec![name.map(String::from)], is_numbered: false }
    }
}

/// What a file holds.
pub(super) struct Contents<'a> {
    path: &'a Path,
    /// Names of its arrays; none of `.npy`.
    names: Vec<String>,
    outlines: Vec<Outline>,
    /// Numbered arrays of equal shapes.
    epochs: Vec<Series>,
    /// Numbered arrays of different shapes.
    uneven: Vec<Series>,
}

impl<'a> Contents<'a> {
    pub(super) fn new(path: &'a Path, file: &ArrayFile<'_>) -> Self {
        let (outlines, names) = (file.outlines().to_vec(), file.names());
        let shape = |member: &(u64, usize)| outlines[member.1].shape.as_ref();
        let is_even = |series: &Series| series.members.iter().all(|member| shape(member) == shape(&series.members[0]));
        let (mut epochs, uneven): (Vec<Series>, Vec<Series>) = series(&names).into_iter().partition(is_even);
        // Numbers alone are no weights.
        epochs.retain(|series| shape(&series.members[0]).is_none_or(|shape| !shape.is_empty()));
        Self { path, names, outlines, epochs, uneven }
    }

    fn axes_of(&self, index: usize) -> usize {
        self.outlines[index].shape.as_ref().map_or(0, Vec::len)
    }

    /// The shape of the one array that is meant by a name, or of the only one; `None` if it cannot be read.
    pub(super) fn shape_of(&self, name: Option<&str>) -> Option<&Vec<usize>> {
        let is_meant = |outline: &&Outline| outline.name.is_none() || name.is_none() || outline.name.as_deref() == name;
        let mut meant = self.outlines.iter().filter(is_meant);
        meant.next().filter(|_| meant.next().is_none())?.shape.as_ref()
    }

    fn names_but(&self, is_taken: impl Fn(usize) -> bool) -> Vec<String> {
        (0..self.names.len()).filter(|&index| !is_taken(index)).map(|index| self.names[index].clone()).collect()
    }

    fn refused<T>(&self, why: String) -> Result<T> {
        Err(Error::Data(format!("{} {why}", self.path.display())))
    }

    /// The arrays that are the history, or those of several.
    pub(super) fn choose(&self, key: Option<&str>, axes: &Axes, notices: &mut Vec<String>) -> Result<Choice> {
        let is_called = |series: &&Series| key.is_none_or(|key| series.is_called(key));
        let is_array = key.is_some_and(|key| self.names.iter().any(|name| name == key));
        if let Some(key) = key.filter(|_| is_array) {
            self.check_alone(key, axes, notices)?;
        } else if let Some(series) = key.and_then(|_| self.epochs.iter().find(is_called)) {
            return Ok((vec![self.numbered(series, notices)?], None));
        } else if let Some(uneven) = self.uneven.iter().filter(is_called).find(|series| series.is_of_epochs()) {
            return self.different_shapes(uneven);
        }
        if key.is_some() {
            return Ok((vec![Chosen::array(key)], None));
        }
        match self.epochs.as_slice() {
            [] => self.only_possible(notices),
            [series] if !self.has_larger_than(series) => Ok((vec![self.numbered(series, notices)?], None)),
            several => {
                let labels = several.iter().map(|series| series.label.clone());
                let others = self.names_but(|index| several.iter().any(|series| series.has(index)));
                let choices = listed(&labels.chain(others.iter().cloned()).collect::<Vec<_>>());
                let refusal = format!("can be read as several histories: {choices}; choose one with {OPTION} NAME");
                if several.iter().any(|series| self.has_larger_than(series)) {
                    return self.refused(refusal);
                }
                let mut found = Vec::new();
                let mut said = Vec::new();
                for series in several {
                    found.push(self.numbered(series, &mut said)?);
                }
                // Of each tensor the same would be said.
                notices.extend(said.into_iter().filter(|said| !said.starts_with(LEFT_OUT)).take(1));
                notices.extend(left_out(&others));
                Ok((found, Some(format!("{} {refusal}", self.path.display()))))
            }
        }
    }

    /// An array for each epoch.
    fn numbered(&self, series: &Series, notices: &mut Vec<String>) -> Result<Chosen> {
        let refused = |why: String| Error::Data(format!("{}: {why}", self.path.display()));
        notices.push(series.check(&self.names).map_err(refused)?);
        notices.extend(left_out(&self.names_but(|index| series.has(index))));
        let arrays = series.members.iter().map(|member| Some(self.names[member.1].clone())).collect();
        Ok(Chosen { name: series.label.clone(), arrays, is_numbered: true })
    }

    /// Refuses one of many numbered arrays as a whole history, unless its axes are said to be that.
    fn check_alone(&self, key: &str, axes: &Axes, notices: &mut Vec<String>) -> Result<()> {
        let Some(series) =
            self.epochs.iter().find(|series| series.members.iter().any(|member| self.names[member.1] == key))
        else {
            return Ok(());
        };
        let alone = format!("{key} is one of {} numbered arrays, {}", series.members.len(), series.pattern);
        let own_axes = self.shape_of(Some(key)).map(Vec::len);
        if matches!(axes, Axes::Named(names) if Some(names.len()) == own_axes) {
            notices.push(format!("{alone}; it is read alone as a whole history, as --axes says"));
            return Ok(());
        }
        self.refused(format!(
            "holds an array for each epoch: {alone}; leave {OPTION} {key} out to read all of them as the history, or, if it \
             alone holds all epochs, name its axes too, e.g. --axes epoch,out,in"
        ))
    }

    /// Whether another array has more axes than the numbered ones: it may be the history too.
    fn has_larger_than(&self, series: &Series) -> bool {
        let axes = self.axes_of(series.members[0].1);
        (0..self.names.len()).any(|index| self.axes_of(index) > axes)
    }

    /// The arrays that can be histories: those of floats with two axes or more.
    fn only_possible(&self, notices: &mut Vec<String>) -> Result<Choice> {
        if self.names.len() < 2 {
            return Ok((
                vec![Chosen { name: self.names.first().cloned().unwrap_or_default(), ..Chosen::array(None) }],
                None,
            ));
        }
        let possible: Vec<usize> = (0..self.names.len()).filter(|&index| self.axes_of(index) > 1).collect();
        let refusal =
            format!("holds several arrays: {}; choose one with {OPTION} NAME", listed(&described(&self.outlines)));
        if possible.is_empty() {
            return self.refused(refusal);
        }
        notices.extend(match possible[..] {
            [only] => Some(format!("the array {} is read", self.names[only])),
            _ => None,
        });
        notices.extend(left_out(&self.names_but(|index| possible.contains(&index))));
        let is_one = possible.len() == 1;
        let found = possible.iter().map(|&index| Chosen::array(Some(&self.names[index]))).collect();
        Ok((found, (!is_one).then(|| format!("{} {refusal}", self.path.display()))))
    }

    fn different_shapes<T>(&self, series: &Series) -> Result<T> {
        let mut shown: Vec<Outline> = Vec::new();
        for outline in series.members.iter().map(|member| &self.outlines[member.1]) {
            if shown.iter().all(|known| known.shape != outline.shape) {
                shown.push(outline.clone());
            }
        }
        let shown = listed(&described(&shown));
        self.refused(format!("has numbered arrays of different shapes: {shown}; each epoch needs the same weights"))
    }
}

/// How a notice about what is not read begins.
const LEFT_OUT: &str = "left out: ";

pub(super) fn left_out(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| format!("{LEFT_OUT}{}", listed(names)))
}

/// The first of these names.
pub(super) fn listed(names: &[String]) -> String {
    run_folder::listed(12, names)
}

/// Names with shapes.
fn described(outlines: &[Outline]) -> Vec<String> {
    let one = |outline: &Outline| {
        let name = outline.name.as_deref().unwrap_or_default();
        outline.shape.as_ref().map_or_else(|| name.to_string(), |shape| format!("{name} {shape:?}"))
    };
    outlines.iter().map(one).collect()
}
