//! Arrays for a text, by the names that it has for them, and what must come of them.

use crate::check::comparator::{Expected, UNWRITTEN, compare, compare_exact};
use crate::check::{GUARD, Output, Report, preset, read};
use crate::error::{Error, Result};
use crate::gpu::{BoundKernel, Buffer, Gpu, Kernel, Program, Recorder};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What lies behind the end of what is read: no number, and another than what outputs are preset to, so that a copy of it shows.
const BEYOND: u32 = 0x7fc0_beef;

/// What an array must be in the end.
pub(super) enum Wanted {
    /// These words.
    Exact(Vec<u32>),
    /// Numbers as near as this.
    Near(Vec<Expected>),
}

/// Seeded arrays, all of them as words, and what must come of them.
pub(super) struct Problem {
    /// Its sizes in words.
    pub(super) name: String,
    /// What is read. Behind the end lies a pattern that is no number.
    pub(super) inputs: Vec<(&'static str, Vec<u32>)>,
    /// Arrays between two launches, of so many words.
    pub(super) scratch: Vec<(&'static str, usize)>,
    /// What is written: what is there before, if it is read too, and what must be there in the end.
    pub(super) outputs: Vec<(&'static str, Option<Vec<u32>>, Wanted)>,
}

/// How a launch follows from what is there to be owned.
pub(super) enum Grid {
    /// So many invocations in each dimension at least, in whole workgroups of the text's own size.
    Invocations([usize; 3]),
    /// So many workgroups.
    Workgroups([usize; 3]),
}

/// The arrays of a problem on a device.
pub(super) struct Arrays<'g> {
    gpu: &'g Gpu,
    buffers: BTreeMap<&'static str, Buffer<u32>>,
    /// Not 0 once a loop was cut.
    cut: Buffer<u32>,
}

impl Wanted {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Exact(words) => words.len(),
            Self::Near(numbers) => numbers.len(),
        }
    }

    /// Judges what a text of this name left.
    pub(super) fn check(&self, name: &'static str, case: String, found: &Output) -> Report {
        match self {
            Self::Exact(words) => compare_exact(name, case, found, words),
            Self::Near(numbers) => compare(name, case, found, numbers),
        }
    }
}

impl Grid {
    pub(super) fn workgroups(&self, size: [u32; 3]) -> [u32; 3] {
        match self {
            Self::Workgroups(groups) => groups.map(|groups| groups as u32),
            Self::Invocations(items) => std::array::from_fn(|axis| (items[axis] as u32).div_ceil(size[axis])),
        }
    }
}

impl Problem {
    /// Puts the arrays on a device, as they are before anything runs.
    pub(super) fn upload<'g>(&self, gpu: &'g Gpu) -> Result<Arrays<'g>> {
        let mut buffers = BTreeMap::new();
        for (name, words) in &self.inputs {
            let beyond = std::iter::repeat_n(BEYOND, GUARD);
            let padded: Vec<u32> = words.iter().copied().chain(beyond).collect();
            buffers.insert(*name, Buffer::from_slice(gpu, name, &padded)?);
        }
        for &(name, words) in &self.scratch {
            buffers.insert(name, Buffer::new(gpu, name, words)?);
        }
        for (name, before, wanted) in &self.outputs {
            let unwritten = || vec![UNWRITTEN; wanted.len()];
            buffers.insert(*name, preset(gpu, &before.clone().unwrap_or_else(unwritten))?);
        }
        Ok(Arrays { gpu, buffers, cut: Buffer::new(gpu, "cut", 1)? })
    }

    /// Judges what lies in the written arrays now, each array by itself.
    pub(super) fn check(&self, name: &'static str, arrays: &Arrays<'_>) -> Result<Vec<Report>> {
        let one = |(array, _, wanted): &(&'static str, Option<Vec<u32>>, Wanted)| {
            let found = arrays.read(array)?;
            Ok(wanted.check(name, format!("{} {array}", self.name), &found))
        };
        self.outputs.iter().map(one).collect()
    }
}

impl Arrays<'_> {
    /// Ties a text to the arrays by their names. Fails with [`Error::Data`] if it names one that is not there.
    pub(super) fn bind(&self, program: &Program, kernel: &Arc<Kernel>) -> Result<BoundKernel> {
        let mut bound: Vec<&dyn crate::gpu::Bindable> = Vec::new();
        for array in &program.arrays {
            let buffer = self.buffers.get(array.name.as_str()).ok_or_else(|| {
                let known: Vec<&str> = self.buffers.keys().copied().collect();
                let name = program.name();
                Error::Data(format!(
                    "{name} binds `{}`, which is not there; there are {}",
                    array.name,
                    known.join(", ")
                ))
            })?;
            bound.push(buffer);
        }
        if program.is_bounded {
            bound.push(&self.cut);
        }
        kernel.bind(self.gpu, &bound)
    }

    /// Launches, in order.
    pub(super) fn run(&self, launches: &[(BoundKernel, [u32; 3])]) -> Result<()> {
        let mut recorder = Recorder::new(self.gpu, "lesson");
        for (bound, workgroups) in launches {
            recorder.dispatch(bound, *workgroups, None)?;
        }
        recorder.submit()?.wait()
    }

    /// What lies in an array now; of those that are not there nothing.
    pub(super) fn read(&self, name: &str) -> Result<Output> {
        match self.buffers.get(name) {
            Some(buffer) => read(self.gpu, buffer),
            None => Ok(Output { bits: Vec::new(), guard: Vec::new() }),
        }
    }

    /// Bytes of all arrays.
    pub(super) fn bytes(&self) -> usize {
        self.buffers.values().map(|buffer| 4 * buffer.len()).sum::<usize>() - 4 * GUARD * self.buffers.len()
    }

    /// Whether a loop was cut since the arrays were made.
    pub(super) fn was_cut(&self) -> Result<bool> {
        Ok(crate::gpu::read_back(self.gpu, &self.cut)? != [0])
    }
}
