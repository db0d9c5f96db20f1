//! What one more operating point costs: the work of each method again and again, in blocks in which every method has its turn, so
//! that whatever else the machine does meets all of them.

use super::accuracy::are_several;
use super::part::{Counted, CountedPart};
use crate::clock::seconds;
use crate::engine::{Batch, DataHandle, Watch};
use crate::error::Result;
use crate::pruning::operating_points::{Numbers, of_method};
use crate::pruning::{Method, sweep};

/// Does the work of all points of a method of a comparison `C` once more, and says how many seconds that took.
pub(super) type Again<'p, C> = Box<dyn FnMut(&mut C, &mut Batch) -> Result<f64> + 'p>;

/// A method whose work is repeated.
pub(super) struct Repeated<'p, C> {
    /// The place of its line among what was measured.
    pub(super) place: usize,
    /// Points that differ.
    pub(super) distinct: usize,
    pub(super) again: Again<'p, C>,
}

/// All methods of a part whose work is repeated.
pub(super) type Blocks<'p, C> = Vec<Repeated<'p, C>>;

/// What a point by magnitude stability costs, asked again and again while exponential decay trains: so each of its points is
/// compared with the same machine at the same time.
pub(super) struct Pace<'a> {
    batch: Batch,
    test: DataHandle,
    part: &'a CountedPart,
    seed: u64,
}

impl<'a> Pace<'a> {
    /// Of trained networks, on the layer among `parts` that is pruned by itself; nothing if there is none.
    pub(super) fn new(batch: Batch, test: DataHandle, parts: &'a [CountedPart], seed: u64) -> Option<Self> {
        let part = parts.iter().find(|part| !are_several(&part.layers))?;
        Some(Self { batch, test, part, seed })
    }

    /// Milliseconds of making and evaluating one more point of one replica.
    pub(super) fn milliseconds(&mut self, silent: &Watch<'_>) -> Result<f64> {
        let CountedPart { selection, history, counted, .. } = self.part;
        let Counted { stability, envelope, .. } = counted;
        let numbers = Numbers { history, stability, envelope, seed: self.seed, sparsities: &[] };
        let (swept, seconds) = seconds(|| {
            let points = of_method(Method::Stability, false, &numbers);
            sweep::evaluate(&mut self.batch, self.test, selection, &points, silent)
        })?;
        Ok(seconds * 1e3 / swept.distinct.max(1) as f64)
    }
}
