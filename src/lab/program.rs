//! A launch program: what a piece of work launches on which arrays, written down once, for another implementation of WebGPU to
//! launch again on numbers of its own.
//!
//! Unlike a [`super::tape`], it holds no data: of each kind of recording it keeps the launches of the first, and of arrays
//! their sizes and what never changes.

use crate::error::{Error, Result};
use crate::gpu::{Access, Command, Gpu, Launch, Observer, Shader};
use data_encoding::BASE64;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Bindings whose content belongs to the program: sizes, what a launch is about, and the record that the first launch read.
/// Whoever runs it fills all others.
const KEPT: [&str; 6] = ["params", "mask", "point_replica", "replica_ids", "step", "windows"];

/// Launches by the label of their recording, and all that they need but data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Program {
    /// Arrays by number; they start as zeros.
    pub arrays: Vec<Array>,
    /// Kernels by name.
    pub kernels: BTreeMap<&'static str, KernelText>,
    /// For each label of a recording the launches of the first one, in order.
    pub recordings: BTreeMap<String, Vec<Step>>,
}

/// A storage buffer.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Array {
    /// Its size.
    pub bytes: u64,
    /// What it holds from the start, in base64; nothing if whoever runs the program fills it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// A kernel as WebGPU takes it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KernelText {
    /// WGSL, preludes included; entry point `main`.
    pub source: &'static str,
    /// Name and use of each binding of group 0: `read`, `record` (read, at an offset that each launch chooses) or `write`.
    pub bindings: Vec<(&'static str, &'static str)>,
}

/// One launch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// `family.kernel`.
    pub kernel: &'static str,
    /// Its `override` constants.
    pub constants: BTreeMap<&'static str, u32>,
    /// Numbers of its arrays, in the order of its bindings.
    pub arrays: Vec<usize>,
    /// Workgroups in each dimension.
    pub workgroups: [u32; 3],
    /// Bytes of a record, if it reads one.
    pub record: Option<u64>,
    /// What it has to compute at least: two for each multiply-add, one for each comparison.
    pub operations: f64,
    /// What it has to read and write at least.
    pub bytes: f64,
}

/// Writes down what `work` launches on the device.
///
/// Fails as `work` does, and with [`Error::Job`] if it launches on an array that was there before: nobody told its size.
pub fn record<R>(gpu: &Gpu, work: impl FnOnce() -> Result<R>) -> Result<(R, Program)> {
    let notes = Arc::new(Notes::default());
    let result = gpu.observed(notes.clone(), work)?;
    let notes = std::mem::take(&mut *notes.0.lock());
    Ok((result, notes.program()?))
}

#[derive(Default)]
struct Notes(Mutex<Seen>);

/// What was seen, with the device's own numbers of arrays.
#[derive(Default)]
struct Seen {
    sizes: HashMap<u64, u64>,
    /// What was written first from the start of an array on.
    contents: HashMap<u64, Vec<u8>>,
    recordings: BTreeMap<String, Vec<Launch>>,
}

impl Observer for Notes {
    fn created(&self, array: u64, bytes: u64) -> Result<()> {
        self.0.lock().sizes.insert(array, bytes);
        Ok(())
    }

    fn written(&self, array: u64, place: u64, bytes: &[u8]) -> Result<()> {
        if place == 0 {
            self.0.lock().contents.entry(array).or_insert_with(|| bytes.to_vec());
        }
        Ok(())
    }

    fn submitted(&self, label: &str, commands: &[Command]) -> Result<()> {
        let launches: Vec<Launch> = commands.iter().filter_map(Command::launch).cloned().collect();
        if !launches.is_empty() {
            self.0.lock().recordings.entry(label.to_string()).or_insert(launches);
        }
        Ok(())
    }
}

impl Seen {
    /// The program, with arrays numbered in the order of their first use.
    fn program(&self) -> Result<Program> {
        let mut program = Program { arrays: Vec::new(), kernels: BTreeMap::new(), recordings: BTreeMap::new() };
        let mut numbers = HashMap::new();
        for (label, launches) in &self.recordings {
            let steps = launches.iter().map(|launch| self.step(launch, &mut numbers, &mut program));
            let steps = steps.collect::<Result<_>>()?;
            program.recordings.insert(label.clone(), steps);
        }
        Ok(program)
    }

    fn step(&self, launch: &Launch, numbers: &mut HashMap<u64, usize>, program: &mut Program) -> Result<Step> {
        let Shader { name, source, bindings, .. } = *launch.bound.shader;
        program.kernels.entry(name).or_insert_with(|| KernelText {
            source,
            bindings: bindings.iter().map(|binding| (binding.name, access(binding.access))).collect(),
        });
        let mut arrays = Vec::new();
        for (binding, array) in bindings.iter().zip(&launch.bound.arrays) {
            let number = match numbers.get(array) {
                Some(&number) => number,
                None => {
                    let bytes = *self.sizes.get(array).ok_or_else(|| {
                        Error::Job(format!("{name}: {} was made before the launch program was begun", binding.name))
                    })?;
                    program.arrays.push(Array { bytes, content: None });
                    numbers.insert(*array, program.arrays.len() - 1);
                    program.arrays.len() - 1
                }
            };
            if KEPT.contains(&binding.name) {
                program.arrays[number].content = self.contents.get(array).map(|bytes| BASE64.encode(bytes));
            }
            arrays.push(number);
        }
        Ok(Step {
            kernel: name,
            constants: launch.bound.constants.iter().copied().collect(),
            arrays,
            workgroups: launch.workgroups,
            record: launch.bound.record_bytes,
            operations: launch.bound.cost.operations,
            bytes: launch.bound.cost.bytes,
        })
    }
}

fn access(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::ReadRecord => "record",
        Access::ReadWrite => "write",
    }
}
