//! Tensors of somebody's files, each by itself, with their histories.

use super::super::stability::{announce_history, check_alike, chosen};
use super::PruneArguments;
use super::subjects::{Source, Subject, Subjects};
use crate::error::{Error, Result};
use crate::network_files::foreign_weights::{self, WeightFile};
use crate::run_folder::arrays::ForeignArray;
use crate::run_folder::listed;
use crate::stability::import::{Axes, Histories};
use crate::training::NumberHash;
use std::path::Path;

/// Names in a message.
const SHOWN: usize = 12;
/// Name of weights that have none.
const NAMELESS: &str = "weights";
const OPTION: &str = "--weight-key";

/// Tensors of somebody's weights.
pub(super) fn of_files(arguments: &PruneArguments, path: &Path) -> Result<Subjects> {
    let say = &arguments.folder.output;
    let mut file = WeightFile::open(path)?;
    let mut notices = Vec::new();
    let (mut list, mut hash) = (Vec::new(), NumberHash::default());
    // Whether the weights of several networks stand side by side in each tensor, as far as that is said.
    let mut stacked = arguments.array.axes()? == Axes::Own;
    let pairs = match &arguments.history {
        Some(history) => {
            let mut histories = arguments.array.open(history)?;
            stacked |= histories.are_own();
            let pairs = pairs(arguments, &file, path, &histories, stacked)?;
            let mut said = histories.notices().to_vec();
            if histories.are_several() {
                let is_left = |name: &String| pairs.iter().all(|pair| pair.key.as_ref() != Some(name));
                let left: Vec<String> =
                    file.layers(stacked).into_iter().map(|(name, _)| name).filter(is_left).collect();
                said.extend((!left.is_empty()).then(|| format!("not pruned: {}", listed(SHOWN, &left))));
            }
            say.notices(&said);
            notices.extend(said);
            let mut followed = Vec::new();
            for Pair { key, history: index } in pairs {
                let axes = axes(arguments, &file, key.as_deref(), &histories, index)?;
                let read = histories.tensor(index, &axes)?;
                announce_history(history, &read, histories.are_several(), say);
                notices.extend(read.notices.iter().cloned());
                followed.push((key, Some(read)));
            }
            followed
        }
        None => keys_alone(arguments, &file, path)?.into_iter().map(|key| (key, None)).collect(),
    };
    check_alike(pairs.iter().filter_map(|(_, history)| history.as_ref()))?;
    for (key, history) in pairs {
        let mut array = file.read(key.as_deref(), OPTION)?;
        let called = key.as_deref().map(|key| format!(", {key}")).unwrap_or_default();
        let mut said = std::mem::take(&mut array.notices);
        if let Some(history) = &history {
            let compared = foreign_weights::compare(&array, history);
            said.extend(compared.map_err(|error| Error::Data(format!("{}{called}: {error}", path.display())))?);
        } else if let Some(value) = array.values.iter().find(|value| !value.is_finite()) {
            return Err(Error::Data(format!("{}{called}: the weights hold {value}; save finite ones", path.display())));
        }
        say.notices(&said);
        notices.extend(said);
        hash.add(&array.values);
        let name = array.name.clone().unwrap_or_else(|| NAMELESS.into());
        list.push(match history {
            Some(history) => Subject::followed_by(&name, history),
            None => {
                let ForeignArray { shape: axes, values, .. } = array;
                Subject { name, history: None, values, replicas: 1, axes }
            }
        });
    }
    let names: Vec<String> = list.iter().map(|subject| subject.name.clone()).collect();
    let state = file.state(&names, NAMELESS)?;
    let replicas = list.first().map_or(1, |subject: &Subject| subject.replicas);
    let all: usize = file.layers(stacked).iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
    // A tensor of one axis that was named, flat weights, counts too.
    let taking_part: usize = list.iter().map(|subject| subject.axes.iter().product::<usize>()).sum();
    let weights = (all / replicas.max(1)).max(taking_part);
    let (as_numpy, weight_hash) = (file.is_numpys(), hash.finish());
    Ok(Subjects { list, state, weights, notices, as_numpy, weight_hash, source: Source::Files })
}

/// An array of weights, and its history.
struct Pair {
    /// Its name; `None` of the only one.
    key: Option<String>,
    history: usize,
}

/// Which weights are pruned by which history.
fn pairs(
    arguments: &PruneArguments,
    file: &WeightFile<'_>,
    path: &Path,
    histories: &Histories<'_>,
    stacked: bool,
) -> Result<Vec<Pair>> {
    let followed = histories.names();
    if arguments.weight_key.is_some() {
        histories.check_one()?;
        return Ok(vec![Pair { key: arguments.weight_key.clone(), history: 0 }]);
    }
    let weights: Vec<String> = file.layers(stacked).into_iter().map(|(name, _)| name).collect();
    let history = |key: &String| match histories.find(key) {
        // Whatever it is called, it can only be this one's.
        Err(_) if followed.len() == 1 && arguments.layers.as_ref().is_some_and(|layers| layers.len() == 1) => Ok(0),
        found => found,
    };
    if let Some(layers) = &arguments.layers {
        return chosen(layers, &weights, &path.display().to_string())?
            .into_iter()
            .map(|index| Ok(Pair { history: history(&weights[index])?, key: Some(weights[index].clone()) }))
            .collect();
    }
    let pairs: Vec<Pair> = weights
        .iter()
        .filter_map(|key| Some(Pair { history: followed.iter().position(|name| name == key)?, key: Some(key.clone()) }))
        .collect();
    match (pairs.is_empty(), histories.are_several()) {
        (false, _) => Ok(pairs),
        // The only history is that of the only weights, whatever they are called.
        (true, false) => Ok(vec![Pair { key: None, history: 0 }]),
        (true, true) => Err(Error::Data(format!(
            "{} has {}, and the history follows {}: no name is in both; save both from one state dict, or name one of each \
             with --weight-key and --history-key",
            path.display(),
            if weights.is_empty() { "no tensor of two axes or more".into() } else { listed(SHOWN, &weights) },
            listed(SHOWN, &followed)
        ))),
    }
}

/// What the axes of a history are: those that are said, or else, of a tensor that has its name, those of its weights.
fn axes(
    arguments: &PruneArguments,
    file: &WeightFile<'_>,
    key: Option<&str>,
    histories: &Histories<'_>,
    index: usize,
) -> Result<Axes> {
    let said = arguments.array.axes()?;
    let name = &histories.names()[index];
    if said != Axes::Unknown || key != Some(name) {
        return Ok(said);
    }
    if histories.are_own() {
        return Ok(Axes::Own);
    }
    // A file of one array may be of several networks side by side, a state dict is of one.
    if !histories.are_several() {
        return Ok(said);
    }
    let weights = file.layers(false).into_iter().find(|(known, _)| known == name).map(|(_, shape)| shape);
    let shape = histories.shape(index);
    Ok(match weights {
        Some(weights) if shape.get(1..) == Some(&weights[..]) => Axes::OneNetwork,
        Some(weights) => {
            return Err(Error::Data(format!(
                "the history of {name} has the shape {shape:?}, and the weights have {weights:?}; a history has the axis of \
                 epochs before those of the weights, e.g. numpy.stack of the weights after each epoch"
            )));
        }
        None => said,
    })
}

/// The weights that are pruned without a history.
fn keys_alone(arguments: &PruneArguments, file: &WeightFile<'_>, path: &Path) -> Result<Vec<Option<String>>> {
    if arguments.weight_key.is_some() {
        return Ok(vec![arguments.weight_key.clone()]);
    }
    let layers: Vec<String> = file.layers(false).into_iter().map(|(name, _)| name).collect();
    if let Some(asked) = arguments.layers.as_ref() {
        let indices = chosen(asked, &layers, &path.display().to_string())?;
        return Ok(indices.into_iter().map(|index| Some(layers[index].clone())).collect());
    }
    match &layers[..] {
        [] => Err(Error::Data(format!(
            "{} has no tensor of two axes or more; name what is to be pruned with --weight-key",
            path.display()
        ))),
        // An array without a name.
        [only] if only.is_empty() => Ok(vec![None]),
        several => Ok(several.iter().cloned().map(Some).collect()),
    }
}
