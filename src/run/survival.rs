//! How long each weight of a network lasts while the surgeon makes the whole network smaller and smaller: what a picture of
//! every layer at every size is drawn from.

use crate::error::{Error, Result};
use crate::network::{Architecture, Part, Selection};
use crate::run_folder::arrays::{self, ArrayFile, NamedArray, Values};
use crate::run_folder::file_kind::Purpose;
use std::path::Path;

/// Name of the file in a run folder.
pub const LAYERS_FILE: &str = "layers.npz";
/// Most sizes that a weight can be counted through: a count has one byte.
pub const MOST_SIZES: usize = u8::MAX as usize;
/// The array with the sizes; every other one is of a weight tensor.
const SIZES: &str = "sizes";

/// Through how many sizes each weight of each replica lasted. A weight that is gone does not come back: it is there at the first
/// `count` sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct Survival {
    /// How many times smaller the whole network became, ascending; at most [`MOST_SIZES`].
    pub sizes: Vec<f64>,
    /// Number of networks.
    pub replicas: usize,
    /// Every weight tensor from the image on; one that is not pruned has the full count everywhere.
    pub tensors: Vec<SurvivalCounts>,
}

/// The counts of one weight tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurvivalCounts {
    /// Its name in files, e.g. `dense5.weight`.
    pub name: String,
    /// `[replica, in, out]`, of a convolution `[replica, ky, kx, in, out]`.
    pub shape: Vec<usize>,
    /// At how many sizes a weight is still there, in C order.
    pub counts: Vec<u8>,
}

impl SurvivalCounts {
    /// Units of the layer.
    pub fn units(&self) -> usize {
        self.shape.last().copied().unwrap_or(0)
    }

    /// Inputs of a unit.
    pub fn inputs(&self) -> usize {
        match self.shape.as_slice() {
            [_, inputs @ .., _] => inputs.iter().product(),
            _ => 0,
        }
    }

    /// The counts of one replica, `[input, unit]`.
    pub fn of_replica(&self, replica: usize) -> &[u8] {
        let weights = self.inputs() * self.units();
        &self.counts[replica * weights..][..weights]
    }
}

impl Survival {
    /// No size counted yet.
    pub fn new(architecture: &Architecture, replicas: usize, sizes: &[f64]) -> Self {
        let tensor = |part: &Part| SurvivalCounts {
            name: part.name.clone(),
            shape: [&[replicas], part.shape.as_slice()].concat(),
            counts: vec![0; replicas * part.weights()],
        };
        let tensors = Selection::all(architecture).parts().iter().map(tensor).collect();
        Self { sizes: sizes.to_vec(), replicas, tensors }
    }

    /// Counts one size of a replica: `kept` tells for each layer, from the image on, which weights are there.
    pub fn add(&mut self, replica: usize, kept: &[Vec<bool>]) {
        for (tensor, kept) in self.tensors.iter_mut().zip(kept) {
            let own = &mut tensor.counts[replica * kept.len()..][..kept.len()];
            own.iter_mut().zip(kept).for_each(|(count, &kept)| *count = count.saturating_add(kept.into()));
        }
    }

    /// Writes `sizes` and an array of counts under the name of each weight tensor.
    ///
    /// Fails with [`Error::Io`] if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let shape = [self.sizes.len()];
        let sizes = NamedArray { name: SIZES, shape: &shape, values: Values::F64(&self.sizes) };
        let tensors = self.tensors.iter().map(|tensor| NamedArray {
            name: &tensor.name,
            shape: &tensor.shape,
            values: Values::U8(&tensor.counts),
        });
        arrays::write(path, &std::iter::once(sizes).chain(tensors).collect::<Vec<_>>())
    }

    /// Reads what [`Self::write`] wrote for a run of these sizes and so many replicas; nothing if there is no such file, since
    /// a run of one layer has none.
    ///
    /// Fails with [`Error::Data`] if the file is damaged or of another run.
    pub fn read(path: &Path, sizes: &[f64], replicas: usize) -> Result<Option<Self>> {
        if !path.is_file() {
            return Ok(None);
        }
        let damaged = |what: String| {
            let shown = path.display();
            Error::Data(format!("{shown} {what}; give the command of that run again with --fresh"))
        };
        let mut file = ArrayFile::open(path, Purpose::Arrays)?;
        // Numbers are read in single precision; the settings have the sizes in full.
        let found = file.read(Some(SIZES), "")?.values;
        if !found.iter().copied().eq(sizes.iter().map(|&size| size as f32)) {
            return Err(damaged(format!("is about the sizes {found:?}, but the run's --stages are {sizes:?}")));
        }
        let mut tensors = Vec::new();
        for name in file.names().into_iter().filter(|name| name != SIZES) {
            let read = file.read_bytes(&name)?;
            let most = read.values.iter().copied().max().unwrap_or(0);
            if read.shape.len() < 3 || read.shape[0] != replicas || usize::from(most) > sizes.len() {
                return Err(damaged(format!(
                    "has {name} of the shape {:?} with counts up to {most}, not [replica, ..., in, out] of {replicas} replicas with \
                     counts up to {}",
                    read.shape,
                    sizes.len()
                )));
            }
            tensors.push(SurvivalCounts { name, shape: read.shape, counts: read.values });
        }
        Ok(Some(Self { sizes: sizes.to_vec(), replicas, tensors }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn architecture() -> Architecture {
        Architecture {
            image_height: 2,
            image_width: 1,
            channels: 1,
            convolutions: Vec::new(),
            hidden: vec![2],
            bias: true,
            classes: 3,
        }
    }

    /// Two replicas at two sizes: the first keeps weight 0 of `dense0` at both and weight 3 at the first.
    fn survival() -> Survival {
        let mut survival = Survival::new(&architecture(), 2, &[1.5, 2.2]);
        let all = vec![true; 6];
        survival.add(0, &[vec![true, false, false, true], all.clone()]);
        survival.add(0, &[vec![true, false, false, false], all.clone()]);
        survival.add(1, &[vec![true; 4], all.clone()]);
        survival.add(1, &[vec![false, true, true, true], all]);
        survival
    }

    #[test]
    fn each_weight_is_counted_at_the_sizes_that_it_is_there() {
        let survival = survival();
        let [first, second] = survival.tensors.as_slice() else { panic!("two layers: {survival:?}") };
        assert_eq!((first.name.as_str(), first.shape.as_slice()), ("dense0.weight", &[2, 2, 2][..]));
        assert_eq!((first.inputs(), first.units(), second.inputs(), second.units()), (2, 2, 2, 3));
        assert_eq!((first.of_replica(0), first.of_replica(1)), (&[2, 0, 0, 1][..], &[1, 2, 2, 2][..]));
        assert_eq!(second.counts, [2; 12]);
    }

    #[test]
    fn counts_come_back_as_they_were_written_and_those_of_other_runs_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LAYERS_FILE);
        assert_eq!(Survival::read(&path, &[1.5, 2.2], 2).unwrap(), None);
        survival().write(&path).unwrap();
        assert_eq!(Survival::read(&path, &[1.5, 2.2], 2).unwrap(), Some(survival()));
        for (sizes, replicas, words) in [(&[1.5, 2.5][..], 2, "--stages"), (&[1.5, 2.2], 3, "[replica, ..., in, out]")]
        {
            let error = Survival::read(&path, sizes, replicas).unwrap_err();
            assert!(error.exit_code() == 5 && error.to_string().contains(words), "{error}");
        }
        let mut beyond = survival();
        beyond.tensors[1].counts[0] = 3;
        beyond.write(&path).unwrap();
        assert!(Survival::read(&path, &[1.5, 2.2], 2).unwrap_err().to_string().contains("counts up to 3"));
    }
}
