//! The ways of the surgeons, kept beside a run: in which order weights went, so that it can be cut to other sizes later without
//! finding them again.

use crate::error::{Error, Result};
use crate::network::{Architecture, Layer, ParameterLayout, Selection};
use crate::pruning::Method;
use crate::pruning::calibrated::Ratios;
use crate::pruning::surgeon::Removal;
use crate::pruning::surgery::{Settings, Stage, Way};
use crate::run::recorded::Base;
use crate::run_folder::arrays::{self, ArrayFile, NamedArray, Values};
use crate::run_folder::file_kind::Purpose;
use sha2::{Digest, Sha256};
use std::path::Path;

/// Name of the file in a run folder.
pub const WAYS_FILE: &str = "path.npz";

/// Names of the arrays of a set of ways, behind the name of the set and a dot.
const PER_STEP: [&str; 4] = ["layer", "unit", "input", "stage"];

/// The ways of all replicas of one surgeon, on some layers of one kind of base networks.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedWays {
    /// What `--layers` calls the layers, the surgeon, and which weights of the training it began with, with dots between.
    pub name: String,
    /// The layers, counted from the image.
    pub layers: Vec<usize>,
    /// Of all that the ways follow from.
    pub fingerprint: [u8; 32],
    /// One for each replica.
    pub ways: Vec<Way>,
}

/// What ways follow from: other numbers would give other ways.
pub struct Origin<'a> {
    /// The networks.
    pub architecture: &'a Architecture,
    /// The layers that are cut.
    pub selection: &'a Selection,
    /// Of each replica all parameters.
    pub parameters: &'a [Vec<f32>],
    /// The calibration images as networks read them.
    pub features: &'a [f32],
    /// How weights are solved anew.
    pub settings: Settings,
    /// The variant of the engine: others give other bits.
    pub variant: &'a str,
}

impl Origin<'_> {
    /// Hash of all that decides, with the ratios of a holding surgeon.
    pub fn fingerprint(&self, ratios: Option<&Ratios>) -> [u8; 32] {
        let Self { architecture, selection, parameters, features, settings, variant } = self;
        let mut hash = Sha256::new();
        hash.update(format!("{variant}\n{architecture:?}\n{settings:?}\n{:?}\n", layers_of(architecture, selection)));
        let mut add = |numbers: &[f32]| {
            hash.update((numbers.len() as u64).to_le_bytes());
            hash.update(bytemuck::cast_slice::<f32, u8>(numbers));
        };
        parameters.iter().for_each(|parameters| add(parameters));
        add(features);
        ratios.into_iter().flatten().flatten().for_each(|ratios| add(ratios));
        hash.finalize().into()
    }
}

/// The layers of a selection, counted from the image.
fn layers_of(architecture: &Architecture, selection: &Selection) -> Vec<usize> {
    let layout = ParameterLayout::new(architecture);
    selection.parts().iter().map(|part| Layer::of_part(&layout, part)).collect()
}

impl RecordedWays {
    /// What a set is called in its file.
    pub fn name(layers: &str, method: Method, base: Base) -> String {
        format!("{layers}.{method}.{base}")
    }

    /// Ways with what they follow from, up to the last stage to which all replicas lost as many weights.
    pub fn new(name: String, origin: &Origin<'_>, ratios: Option<&Ratios>, mut ways: Vec<Way>) -> Self {
        let alike = |stage: usize| {
            let of = |way: &Way| way.stages.get(stage).map(|stage| (stage.kept, stage.removals.len()));
            let first = ways.first().and_then(of);
            first.is_some() && ways.iter().all(|way| of(way) == first)
        };
        let stages = (0..).take_while(|&stage| alike(stage)).count();
        ways.iter_mut().for_each(|way| way.stages.truncate(stages));
        let layers = layers_of(origin.architecture, origin.selection);
        Self { name, layers, fingerprint: origin.fingerprint(ratios), ways }
    }

    fn steps(&self) -> Vec<&Removal> {
        let stages = self.ways.iter().flat_map(|way| &way.stages);
        stages.flat_map(|stage| &stage.removals).collect()
    }
}

/// Writes sets of ways: of each, behind its name and a dot, `layer` (counted from the image), `unit`, `input`, `stage`, `score`
/// and `cost` `[replica, step]`, `kept` `[stage]`, the weights of these layers that stay after each stage, `layers`, those that
/// take part, and `fingerprint`, the SHA-256 of what the ways follow from.
///
/// Fails with [`Error::Io`] if the file cannot be written.
pub fn write(path: &Path, sets: &[RecordedWays]) -> Result<()> {
    struct Arrays {
        name: String,
        steps: [usize; 2],
        words: [Vec<u32>; 4],
        numbers: [Vec<f64>; 2],
        kept: Vec<u32>,
        layers: Vec<u32>,
        fingerprint: [u8; 32],
    }
    let arrays = |set: &RecordedWays| {
        let steps = set.steps();
        let words = |of: &dyn Fn(&Removal) -> usize| steps.iter().map(|step| of(step) as u32).collect::<Vec<_>>();
        let places = |way: &Way| {
            let stages = (0..).zip(&way.stages);
            stages.flat_map(|(place, stage)| vec![place; stage.removals.len()]).collect::<Vec<u32>>()
        };
        Arrays {
            name: set.name.clone(),
            steps: [set.ways.len(), steps.len() / set.ways.len().max(1)],
            words: [
                words(&|step| set.layers[step.layer]),
                words(&|step| step.unit),
                words(&|step| step.input),
                set.ways.iter().flat_map(places).collect(),
            ],
            numbers: [steps.iter().map(|step| step.score).collect(), steps.iter().map(|step| step.cost).collect()],
            kept: set
                .ways
                .first()
                .map_or_else(Vec::new, |way| way.stages.iter().map(|stage| stage.kept as u32).collect()),
            layers: set.layers.iter().map(|&layer| layer as u32).collect(),
            fingerprint: set.fingerprint,
        }
    };
    let sets: Vec<Arrays> = sets.iter().map(arrays).collect();
    let named: Vec<(String, Vec<usize>, Values<'_>)> = sets
        .iter()
        .flat_map(|set| {
            let words =
                PER_STEP.iter().zip(&set.words).map(|(name, words)| (*name, set.steps.to_vec(), Values::U32(words)));
            let numbers = ["score", "cost"].into_iter().zip(&set.numbers);
            let numbers = numbers.map(|(name, numbers)| (name, set.steps.to_vec(), Values::F64(numbers)));
            let others = [
                ("kept", vec![set.kept.len()], Values::U32(&set.kept)),
                ("layers", vec![set.layers.len()], Values::U32(&set.layers)),
                ("fingerprint", vec![32], Values::U8(&set.fingerprint)),
            ];
            let all = words.chain(numbers).chain(others);
            all.map(|(name, shape, values)| (format!("{}.{name}", set.name), shape, values))
        })
        .collect();
    let arrays: Vec<NamedArray<'_>> =
        named.iter().map(|(name, shape, values)| NamedArray { name, shape, values: values.clone() }).collect();
    arrays::write(path, &arrays)
}

/// What a run's file says of a way that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// The ways of all replicas.
    Known(Vec<Way>),
    /// There are some of that name, which follow from other numbers.
    Other,
    /// There are none.
    Nothing,
}

/// Looks for the ways of a surgeon, `ends` with the names of surgeon and base, on some layers of a network. Scores and costs,
/// which no cut needs, are not read.
///
/// Fails with [`Error::Data`] if the file is damaged.
pub fn find(
    path: &Path,
    ends: &str,
    architecture: &Architecture,
    selection: &Selection,
    fingerprint: [u8; 32],
) -> Result<Found> {
    if !path.is_file() {
        return Ok(Found::Nothing);
    }
    let damaged = |what: &str| {
        Error::Data(format!("{}: {what}; the file is damaged: delete it, and the ways are found anew", path.display()))
    };
    let mut file = ArrayFile::open(path, Purpose::Arrays).map_err(|error| damaged(&error.to_string()))?;
    let chosen = layers_of(architecture, selection);
    let layers: Vec<Layer> = Layer::all(architecture);
    let ending = format!(".{ends}.fingerprint");
    let sets: Vec<String> =
        file.names().iter().filter_map(|name| name.strip_suffix(&ending)).map(|set| format!("{set}.{ends}")).collect();
    let mut found = Found::Nothing;
    for set in sets {
        let own = words(&mut file, &format!("{set}.layers"))?.1;
        if !own.iter().map(|&layer| layer as usize).eq(chosen.iter().copied()) {
            continue;
        }
        if file.read_bytes(&format!("{set}.fingerprint"))?.values != fingerprint {
            found = Found::Other;
            continue;
        }
        let kept = words(&mut file, &format!("{set}.kept"))?.1;
        let read =
            PER_STEP.iter().map(|name| words(&mut file, &format!("{set}.{name}"))).collect::<Result<Vec<_>>>()?;
        let [(shape, of_layer), (_, units), (_, inputs), (_, stages)] = &read[..] else {
            return Err(damaged("arrays are missing"));
        };
        let &[replicas, steps] = &shape[..] else { return Err(damaged("steps are not [replica, step]")) };
        if read.iter().any(|(own, _)| own != shape) {
            return Err(damaged("its arrays differ in shape"));
        }
        let all: usize = chosen.iter().map(|&index| layers[index].units() * layers[index].inputs()).sum();
        let mut ways = Vec::with_capacity(replicas);
        for replica in 0..replicas {
            let mut gone: Vec<Vec<bool>> =
                chosen.iter().map(|&index| vec![false; layers[index].units() * layers[index].inputs()]).collect();
            let empty = |&kept: &u32| Stage { kept: kept as usize, removals: Vec::new() };
            let mut way = Way { stages: kept.iter().map(empty).collect() };
            let mut last = 0;
            for step in replica * steps..(replica + 1) * steps {
                let [layer, unit, input, stage] =
                    [of_layer[step], units[step], inputs[step], stages[step]].map(|word| word as usize);
                let place = chosen
                    .iter()
                    .position(|&index| index == layer)
                    .filter(|_| unit < layers[layer].units() && input < layers[layer].inputs() && stage >= last);
                let (Some(place), Some(own)) = (place, way.stages.get_mut(stage)) else {
                    return Err(damaged("a step names a weight that is not there"));
                };
                if std::mem::replace(&mut gone[place][input * layers[layer].units() + unit], true) {
                    return Err(damaged("a weight goes twice"));
                }
                own.removals.push(Removal { layer: place, unit, input, score: 0.0, cost: 0.0 });
                last = stage;
            }
            let mut left = all;
            for stage in &way.stages {
                left -= stage.removals.len();
                // A layer keeps its last weight, so a stage may end above what it was to leave.
                if left < stage.kept || left > stage.kept + chosen.len() {
                    return Err(damaged("a stage leaves another number of weights than it says"));
                }
            }
            ways.push(way);
        }
        return Ok(Found::Known(ways));
    }
    Ok(found)
}

/// An array of whole numbers, and its shape.
fn words(file: &mut ArrayFile<'_>, name: &str) -> Result<(Vec<usize>, Vec<u32>)> {
    let read = file.read_raw(Some(name))?;
    if read.bytes().len() != 4 * read.len() {
        return Err(Error::Data(format!(
            "{name} of {WAYS_FILE} is not of 32-bit whole numbers; the file is damaged, delete it"
        )));
    }
    let words = read.bytes().as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
    Ok((read.shape, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> (Architecture, RecordedWays) {
        let architecture = Architecture::dnn(2, 2, [2; 2], 2);
        let removal = |layer, unit, input| Removal { layer, unit, input, score: 1.5, cost: 0.5 };
        let first = Stage { kept: 6, removals: vec![removal(0, 1, 1), removal(1, 0, 0)] };
        let second = Stage { kept: 5, removals: vec![removal(0, 0, 1)] };
        let way = Way { stages: vec![first, second] };
        let name = RecordedWays::name("deep", Method::Surgeon, Base::Last);
        (architecture, RecordedWays { name, layers: vec![1, 2], fingerprint: [7; 32], ways: vec![way.clone(), way] })
    }

    fn deep(architecture: &Architecture) -> Selection {
        Selection::named(architecture, "dense1.weight,dense2.weight").unwrap()
    }

    #[test]
    fn ways_come_back_as_they_were_written_and_only_for_what_they_follow_from() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(WAYS_FILE);
        let (architecture, set) = set();
        let selection = deep(&architecture);
        let look = |ends: &str, selection: &Selection, fingerprint| {
            find(&path, ends, &architecture, selection, fingerprint).unwrap()
        };
        assert_eq!(look("surgeon.last", &selection, [7; 32]), Found::Nothing);
        write(&path, std::slice::from_ref(&set)).unwrap();
        let Found::Known(ways) = look("surgeon.last", &selection, [7; 32]) else { panic!("not found") };
        let places = |ways: &[Way]| -> Vec<[usize; 4]> {
            let stages = ways.iter().flat_map(|way| &way.stages);
            let steps = stages.flat_map(|stage| stage.removals.iter().map(move |step| (stage.kept, step)));
            steps.map(|(kept, step)| [kept, step.layer, step.unit, step.input]).collect()
        };
        assert_eq!(places(&ways), places(&set.ways));
        assert_eq!(look("surgeon.last", &selection, [8; 32]), Found::Other);
        assert_eq!(look("surgeon.mean", &selection, [7; 32]), Found::Nothing);
        assert_eq!(look("surgeon.last", &Selection::all(&architecture), [7; 32]), Found::Nothing);
    }

    #[test]
    fn impossible_ways_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(WAYS_FILE);
        let (architecture, right) = set();
        let refused = |change: &dyn Fn(&mut RecordedWays), said: &str| {
            let mut set = right.clone();
            change(&mut set);
            write(&path, &[set]).unwrap();
            let error = find(&path, "surgeon.last", &architecture, &deep(&architecture), [7; 32]).unwrap_err();
            assert!(error.exit_code() == 5 && error.to_string().contains(said), "{said}: {error}");
        };
        refused(&|set| set.ways[1].stages[0].removals[0].input = 2, "not there");
        refused(&|set| set.ways[1].stages[0].removals[1].unit = 2, "not there");
        refused(&|set| set.ways[0].stages[1].removals[0] = set.ways[0].stages[0].removals[0], "twice");
        refused(&|set| set.ways.iter_mut().for_each(|way| way.stages[1].kept = 1), "another number");
    }
}
