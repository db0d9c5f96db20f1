//! The data sets that an engine has taken in, shared by the engine and its batches.

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::network::Architecture;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A data set that an engine has taken in with [`super::Engine::load`]. Another engine refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataHandle {
    engine: u64,
    place: usize,
}

/// A data set that is known to be loaded, for a back end.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    /// How many were loaded before it.
    pub(super) place: usize,
    /// Images and labels.
    pub(super) set: Arc<Dataset>,
}

/// All data sets of one engine, in the order in which they were loaded.
#[derive(Debug)]
pub(super) struct DataSets {
    engine: u64,
    sets: Mutex<Vec<Arc<Dataset>>>,
}

impl DataSets {
    /// None yet, with a number that tells handles of this engine from those of others.
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { engine: NEXT.fetch_add(1, Ordering::Relaxed), sets: Mutex::default() }
    }

    /// The handle of this very data set, if it was loaded before.
    pub(super) fn find(&self, set: &Arc<Dataset>) -> Option<DataHandle> {
        let place = self.sets.lock().iter().position(|known| Arc::ptr_eq(known, set))?;
        Some(DataHandle { engine: self.engine, place })
    }

    /// Appends a data set.
    pub(super) fn push(&self, set: &Arc<Dataset>) -> DataHandle {
        let mut sets = self.sets.lock();
        sets.push(Arc::clone(set));
        DataHandle { engine: self.engine, place: sets.len() - 1 }
    }

    /// What `handle` stands for, if a network of this `architecture` can read it. Fails with [`Error::Shape`].
    pub(super) fn get(&self, handle: DataHandle, architecture: &Architecture) -> Result<Loaded> {
        let DataHandle { engine, place } = handle;
        let set = if engine == self.engine { self.sets.lock().get(place).map(Arc::clone) } else { None };
        let set = set.ok_or_else(|| {
            Error::Shape("the data set was not loaded by this engine; load it, and use the handle that it gives".into())
        })?;
        let Architecture { image_height, image_width, channels, classes, .. } = *architecture;
        if set.channels != channels {
            return Err(Error::Shape(format!(
                "{}: images of {} channels (1 is gray, 3 is colour), the network takes {channels}",
                set.name, set.channels
            )));
        }
        if (set.height, set.width) != (image_height, image_width) || set.classes > classes {
            return Err(Error::Shape(format!(
                "{}: {} x {} pixels and {} classes, the network takes {image_height} x {image_width} and {classes}",
                set.name, set.height, set.width, set.classes
            )));
        }
        Ok(Loaded { place, set })
    }
}
