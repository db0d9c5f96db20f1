//! What is pruned: tensors of a run or of a stack of another program, with their histories.

use super::super::run::{announce, data_sets};
use super::super::stability::{announce_history, checksum, chosen};
use super::super::stack::Checksums;
use super::stack::StackPart;
use super::{Chosen, PruneArguments, Solved, Used};
use crate::engine::{Control, Engine, Evaluation, Replica};
use crate::error::{Error, Result};
use crate::network::{Architecture, ParameterLayout};
use crate::network_files::foreign_weights::WeightFile;
use crate::network_files::stored_network::{self, InputScale};
use crate::pruning::score::{Score, Scores};
use crate::pruning::surgery::PrunedNetwork;
use crate::run::calibration::{CALIBRATION_FILE, Calibration};
use crate::run::cell::Cell;
use crate::run::configuration::Configuration;
use crate::run::recorded::{Base, RecordedRun};
use crate::run_folder::arrays::RawArray;
use crate::stability::TensorHistory;
use crate::study::comparison::hash_parameters;
use crate::study::pruned::{self, PrunedTensor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One tensor that is pruned.
pub(super) struct Subject {
    /// Its name in the files.
    pub(super) name: String,
    pub(super) history: Option<TensorHistory>,
    /// The weights `[replica, ...axes]`, where no history follows them.
    pub(super) values: Vec<f32>,
    pub(super) replicas: usize,
    pub(super) axes: Vec<usize>,
}

impl Subject {
    pub(super) fn followed_by(name: &str, history: TensorHistory) -> Self {
        let (replicas, axes) = (history.shape.replicas, history.weight_axes.clone());
        Self { name: name.into(), history: Some(history), values: Vec::new(), replicas, axes }
    }

    /// Its history.
    pub(super) fn followed(&self) -> Result<&TensorHistory> {
        self.history.as_ref().ok_or_else(|| {
            Error::Usage(format!(
                "{} has no history, which this criterion looks at; give one, use --criterion magnitude, or name other --layers",
                self.name
            ))
        })
    }

    /// Its scores; `norms` of its inputs `[replica, input]`, for scores that know them.
    pub(super) fn scores(&self, engine: &mut Engine, score: Score, norms: Option<&[f32]>) -> Result<Scores> {
        match &self.history {
            Some(history) => score.of_history(engine, history, norms),
            None if score.needs_history() => {
                self.followed().and_then(|history| score.of_history(engine, history, norms))
            }
            None => score.of_weights(&self.values, self.replicas, &self.axes, norms),
        }
    }
}

/// Networks before they are cut, and what cuts them.
pub(super) struct Basis {
    pub(super) architecture: Architecture,
    /// Of each replica.
    pub(super) parameters: Vec<Vec<f32>>,
    /// Calibration images `[image, feature]`.
    pub(super) features: Vec<f32>,
    pub(super) configuration: Configuration,
    /// For each subject the name of our tensor.
    pub(super) parts: Vec<String>,
    /// The folder of the run, where they are of one.
    pub(super) folder: Option<PathBuf>,
    /// Files of the run that were read for it.
    pub(super) used: Vec<Used>,
}

/// All that is pruned, and what lies around it.
pub(super) struct Subjects {
    pub(super) list: Vec<Subject>,
    /// Every tensor of the network, as it is written again.
    pub(super) state: Vec<RawArray>,
    /// Weights of the whole network, biases apart, of one replica.
    pub(super) weights: usize,
    /// What the user should know.
    pub(super) notices: Vec<String>,
    /// Whether NumPy reads the input, and so should read the output.
    pub(super) as_numpy: bool,
    pub(super) weight_hash: String,
    pub(super) source: Source,
}

/// Where the tensors are from, and what is known besides.
pub(super) enum Source {
    Files,
    Run(Box<RunPart>),
    Stack(Box<StackPart>),
}

/// What a run knows besides.
pub(super) struct RunPart {
    run: RecordedRun,
    cell: Option<Cell>,
    replicas: Vec<Replica<f32>>,
}

/// How well all replicas did before, and at each point.
type Evaluated = (Vec<Evaluation>, Vec<Vec<Evaluation>>);

impl Subjects {
    /// How many epochs the histories have; 0 if there are none.
    pub(super) fn epochs(&self) -> u32 {
        let histories = self.list.iter().filter_map(|subject| subject.history.as_ref());
        histories.map(|history| history.shape.epochs as u32).next().unwrap_or(0)
    }

    fn run(&self) -> Option<&RunPart> {
        match &self.source {
            Source::Run(part) => Some(part),
            Source::Files | Source::Stack(_) => None,
        }
    }

    /// The stack of another program, if it is one.
    pub(super) fn stack(&self) -> Option<&StackPart> {
        match &self.source {
            Source::Stack(part) => Some(part),
            Source::Files | Source::Run(_) => None,
        }
    }

    /// What surgeons, repairs and scores that know the inputs begin with.
    ///
    /// Fails with [`Error::Data`] if a run has no calibration images or others than its networks read, and with
    /// [`Error::Usage`] for weights that are no network.
    pub(super) fn basis(&self, base: Option<Base>) -> Result<Basis> {
        let names = self.list.iter().map(|subject| &subject.name);
        let part = match &self.source {
            Source::Run(part) => part,
            Source::Stack(part) => {
                return Ok(Basis {
                    architecture: part.stack.architecture.clone(),
                    parameters: vec![part.base().to_vec()],
                    features: part.input.features(part.calibration.pixels()),
                    configuration: part.in_stages(),
                    parts: names.map(|name| part.part(name)).collect(),
                    folder: None,
                    used: Vec::new(),
                });
            }
            Source::Files => return Err(Error::Usage("name a run folder, or the layers with --dense".into())),
        };
        let run = &part.run;
        let path = run.folder.join(CALIBRATION_FILE);
        let calibration = Calibration::read(&path)?;
        let [image_height, image_width, channels] = calibration.sizes;
        let architecture = Architecture { image_height, image_width, channels, ..run.network()? };
        let parameters = ParameterLayout::new(&architecture).parameters();
        if part.replicas.iter().any(|replica| replica.parameters.len() != parameters) {
            return Err(Error::Data(format!(
                "{} has images of {:?} (rows, columns, channels), which the run's networks do not read; the folder is damaged, run \
                 it again",
                path.display(),
                calibration.sizes
            )));
        }
        let averaged = (base == Some(Base::Mean)).then(|| run.folder.join("averaged.safetensors"));
        let of = |replica: Replica<f32>| replica.parameters;
        let parameters = match base {
            Some(Base::Mean) => run.averaged(&architecture)?.into_iter().map(of).collect(),
            _ => part.replicas.iter().cloned().map(of).collect(),
        };
        Ok(Basis {
            features: calibration.features(run.configuration.pixel_scale),
            architecture,
            parameters,
            configuration: run.configuration.clone(),
            parts: names.cloned().collect(),
            folder: Some(run.folder.clone()),
            used: [Some(path), averaged].into_iter().flatten().map(|file| Used { file, decides: true }).collect(),
        })
    }

    /// Every tensor of these networks, one for each replica.
    pub(super) fn solved(&self, networks: &[PrunedNetwork]) -> Result<Vec<RawArray>> {
        let replica = |network: &PrunedNetwork| Replica::new(network.parameters.clone());
        match &self.source {
            Source::Run(part) => {
                Ok(pruned::tensors(&part.run.network()?, &networks.iter().map(replica).collect::<Vec<_>>()))
            }
            Source::Stack(part) => {
                Ok(networks.iter().flat_map(|one| part.stack.with_parameters(&one.parameters)).collect())
            }
            Source::Files => Ok(self.state.clone()),
        }
    }

    /// What the file of a run's networks says of them.
    pub(super) fn note(&self) -> Result<Option<String>> {
        let Some(part) = self.run() else { return Ok(None) };
        let input = InputScale::divided_by(part.run.configuration.pixel_scale);
        stored_network::note(&stored_network::architecture_of(&part.run)?, input).map(Some)
    }

    /// What was chosen, in the order in which the file has its weights.
    pub(super) fn in_file_order<'a>(&self, tensors: &'a [PrunedTensor]) -> Cow<'a, [PrunedTensor]> {
        match &self.source {
            Source::Stack(part) => Cow::Owned(part.in_file_order(tensors)),
            Source::Files | Source::Run(_) => Cow::Borrowed(tensors),
        }
    }

    /// How well all replicas classify the test set; nothing without data.
    pub(super) fn evaluate(
        &self,
        engine: &mut Engine,
        chosen: &Chosen,
        control: Control<'_>,
    ) -> Result<Option<Evaluated>> {
        let part = match &self.source {
            Source::Run(part) => part,
            Source::Stack(part) => {
                let networks: Vec<Vec<f32>> = match &chosen.state {
                    Some(solved) => solved.points.iter().flatten().map(|network| network.parameters.clone()).collect(),
                    None => chosen.tensors.iter().map(|tensors| part.cut(tensors)).collect(),
                };
                let all: Vec<&[f32]> =
                    [&part.stack.parameters].into_iter().chain(&networks).map(Vec::as_slice).collect();
                let mut found = part.evaluate(engine, &all, control)?.into_iter();
                let before = found.by_ref().take(1).collect();
                return Ok(Some((before, found.map(|one| vec![one]).collect())));
            }
            Source::Files => return Ok(None),
        };
        let RunPart { run, cell: Some(cell), replicas } = &**part else { return Ok(None) };
        let configuration = &run.configuration;
        match &chosen.state {
            None => pruned::evaluate(engine, cell, configuration, replicas, &chosen.tensors, control),
            Some(Solved { first, points }) => {
                pruned::evaluate_networks(engine, cell, configuration, replicas, (*first, points), control)
            }
        }
        .map(Some)
    }

    /// What the data hold, for the manifest.
    pub(super) fn data_sets(&self) -> Result<BTreeMap<String, serde_json::Value>> {
        match &self.source {
            Source::Run(part) => match &part.cell {
                Some(cell) => data_sets(std::slice::from_ref(cell), &part.run.configuration),
                None => Ok(BTreeMap::new()),
            },
            Source::Stack(part) => part.images.data_sets(),
            Source::Files => Ok(BTreeMap::new()),
        }
    }

    /// Checksums for the manifest, and those that tell this run from others.
    pub(super) fn checksums(&self) -> Result<(Checksums, Checksums)> {
        let mut own = BTreeMap::from([("weights".to_string(), self.weight_hash.clone())]);
        let histories = self.list.iter().filter_map(|subject| subject.history.as_ref());
        if histories.clone().next().is_some() {
            own.extend([checksum(histories)?]);
        }
        if let Some(part) = self.stack() {
            own.extend(part.images.checksums());
        }
        let cell = self.run().and_then(|part| Some((part.cell.as_ref()?, &part.run.configuration)));
        let Some((cell, configuration)) = cell else { return Ok((own.clone(), own)) };
        let mut checksums = cell.checksums(configuration);
        let mut identity: Checksums = cell.identity(configuration, &checksums).collect();
        for map in [&mut checksums, &mut identity] {
            map.extend(own.clone());
        }
        Ok((checksums, identity))
    }
}

/// The layers of a run.
pub(super) fn of_run(arguments: &PruneArguments, path: &Path) -> Result<Subjects> {
    arguments.array.refuse_for_run(path)?;
    let say = &arguments.folder.output;
    let run = RecordedRun::open(path)?;
    let recorded = run.histories()?;
    let cell = run.cell();
    let untold =
        cell.as_ref().err().map(|error| format!("what accuracy is lost cannot be told without the data: {error}"));
    say.notices(untold.as_slice());
    let mut notices: Vec<String> = untold.into_iter().collect();
    let cell = cell.ok();
    announce(cell.as_slice(), say);
    let architecture = cell.as_ref().map_or_else(|| run.network(), |cell| Ok(cell.architecture.clone()))?;
    let replicas = run.replicas(&architecture)?;
    let layout = ParameterLayout::new(&architecture);
    let names = layers_of_run(arguments, &run, &recorded)?;
    let mut list = Vec::new();
    for name in &names {
        if let Some(history) = recorded.iter().find(|history| history.name == *name) {
            announce_history(path, history, recorded.len() > 1, say);
            notices.extend(history.notices.iter().cloned());
            if replicas.len() != history.shape.replicas {
                return Err(Error::Data(format!(
                    "{} has weights of {} replicas and a history of {}; the folder is damaged, run it again",
                    run.folder.display(),
                    replicas.len(),
                    history.shape.replicas
                )));
            }
            list.push(Subject::followed_by(name, history.clone()));
            continue;
        }
        for tensor in layout.tensors.iter().filter(|tensor| tensor.name == *name) {
            let values = replicas.iter().flat_map(|replica| &replica.parameters[tensor.range()]).copied().collect();
            let (replicas, axes) = (replicas.len(), tensor.shape.clone());
            list.push(Subject { name: name.clone(), history: None, values, replicas, axes });
        }
    }
    Ok(Subjects {
        list,
        state: pruned::tensors(&architecture, &replicas),
        weights: layout.weights(),
        notices,
        as_numpy: false,
        weight_hash: hash_parameters(replicas.iter().map(|replica| replica.parameters.as_slice())),
        source: Source::Run(Box::new(RunPart { run, cell, replicas })),
    })
}

/// Names of the weights of the layers of a run that are asked for.
fn layers_of_run(arguments: &PruneArguments, run: &RecordedRun, recorded: &[TensorHistory]) -> Result<Vec<String>> {
    match (&arguments.layers, &arguments.smaller) {
        (None, Some(_)) => Ok(recorded.iter().map(|history| history.name.clone()).collect()),
        (layers, _) => run.chosen(layers.as_deref(), recorded),
    }
}

/// The layers of a stack of another program; `calibrates` says that its images are needed for more than judging.
pub(super) fn of_stack(arguments: &PruneArguments, path: &Path, calibrates: bool) -> Result<Subjects> {
    let say = &arguments.folder.output;
    let mut part = StackPart::open(arguments, path, calibrates)?;
    part.announce(say);
    let mut notices = [&part.images.notices[..], &part.stack.notices].concat();
    let weights = part.weights(arguments);
    let known: Vec<String> = part.stack.layers.iter().map(|layer| layer.weight.clone()).collect();
    let indices = chosen(&weights, &known, "the stack that --dense names")?;
    let weights: Vec<String> = indices.into_iter().map(|index| known[index].clone()).collect();
    let list = match &arguments.history {
        Some(history) => {
            let (followed, said) = part.follow(arguments, path, history, &weights)?;
            notices.extend(said);
            weights.iter().zip(followed).map(|(name, history)| Subject::followed_by(name, history)).collect()
        }
        None if arguments.base == Some(Base::Mean) => {
            return Err(Error::Usage(
                "--base mean averages the last half of the epochs of a --history, and none is given; leave --base out"
                    .into(),
            ));
        }
        None => {
            let subject = |name: &String| {
                let tensor = part.stack.tensor(name)?;
                let (values, axes) = (part.stack.parameters[tensor.range()].to_vec(), tensor.shape);
                Some(Subject { name: name.clone(), history: None, values, replicas: 1, axes })
            };
            weights.iter().filter_map(subject).collect()
        }
    };
    Ok(Subjects {
        list,
        state: part.stack.state.clone(),
        weights: part.weight_count(),
        notices,
        as_numpy: WeightFile::open(path)?.is_numpys(),
        weight_hash: hash_parameters([part.stack.parameters.as_slice(), part.base()]),
        source: Source::Stack(Box::new(part)),
    })
}
