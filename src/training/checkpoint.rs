//! Where a session stands, on disk: a stopped or killed run goes on from here with the same bits.

use super::EpochMetrics;
use crate::engine::{Replica, StepLoss};
use crate::error::{Error, Result};
use crate::run_folder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Bytes of the checksum that a file begins with.
const CHECKSUM: usize = 32;

/// Everything that a session has made so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// What the session is, see [`CheckpointFile::new`].
    session: String,
    /// Steps that are done.
    pub step: u64,
    /// The replicas after them, without those that have stopped.
    pub replicas: Vec<Replica<f32>>,
    /// For each slot the epoch after which it stopped before the others, and its replica; `None` while it is trained.
    pub stopped: Vec<Option<(u32, Replica<f32>)>>,
    /// For each slot in how many last epochs it was found at its plateau.
    pub at_plateau: Vec<usize>,
    /// Recorded focus layers of finished epochs `[epoch, slot, node]`.
    pub history: Vec<f32>,
    /// Their hashes.
    pub focus_hashes: Vec<String>,
    /// Metrics of finished epochs.
    pub metrics: Vec<EpochMetrics>,
    /// For each slot that is trained the losses of the unfinished epoch.
    pub losses: Vec<Vec<StepLoss>>,
    /// Seconds of training so far.
    pub train_s: f64,
    /// Seconds of recording so far.
    pub record_s: f64,
    /// Seconds of deciding which slots stop so far.
    pub plateau_s: f64,
}

impl Checkpoint {
    /// A session of `slots` slots that has done nothing yet.
    pub fn new(slots: usize) -> Self {
        Self {
            session: String::new(),
            step: 0,
            replicas: Vec::new(),
            stopped: vec![None; slots],
            at_plateau: vec![0; slots],
            history: Vec::new(),
            focus_hashes: Vec::new(),
            metrics: Vec::new(),
            losses: vec![Vec::new(); slots],
            train_s: 0.0,
            record_s: 0.0,
            plateau_s: 0.0,
        }
    }
}

/// The file of one session's checkpoints; each replaces the one before.
#[derive(Clone, Debug)]
pub struct CheckpointFile {
    path: PathBuf,
    session: String,
}

/// What a checkpoint file holds.
#[derive(Debug)]
pub enum Found {
    /// There is no file, or it belongs to another session.
    Nothing,
    /// The file's content is not what was written.
    Damaged,
    /// Where the session stands.
    Checkpoint(Box<Checkpoint>),
}

impl CheckpointFile {
    /// The file at `path` for the session with this name and configuration hash; others' checkpoints are not taken up.
    pub fn new(path: PathBuf, session: String) -> Self {
        Self { path, session }
    }

    /// Its place.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the checkpoint. Fails with [`Error::Io`] if the file is there but cannot be read.
    pub fn read(&self) -> Result<Found> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(Error::io("read", &self.path, error)),
        };
        let Some((checksum, content)) = bytes.split_at_checked(CHECKSUM) else { return Ok(Found::Damaged) };
        if Sha256::digest(content)[..] != *checksum {
            return Ok(Found::Damaged);
        }
        Ok(match postcard::from_bytes::<Checkpoint>(content) {
            Err(_) => Found::Damaged,
            Ok(checkpoint) if checkpoint.session != self.session => Found::Nothing,
            Ok(checkpoint) => Found::Checkpoint(Box::new(checkpoint)),
        })
    }

    /// Replaces the file. Fails with [`Error::Io`] if it cannot be written.
    pub fn write(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        checkpoint.session.clone_from(&self.session);
        let content = postcard::to_stdvec(checkpoint)
            .map_err(|error| Error::Job(format!("cannot lay out the checkpoint {}: {error}", self.path.display())))?;
        let checksum = Sha256::digest(&content);
        run_folder::write(&self.path, |file| file.write_all(&checksum).and_then(|()| file.write_all(&content)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        let replica = Replica { parameters: vec![1.5, -0.0], m: vec![1e-45, 0.0], v: vec![0.0; 2], mask: vec![1, 0] };
        let loss = StepLoss { loss: 2.3, correct: 3 };
        Checkpoint {
            step: 7,
            replicas: vec![replica],
            history: vec![0.25],
            focus_hashes: vec!["ab".into()],
            metrics: vec![EpochMetrics { epoch: 1, slot: 0, loss: 0.1, accuracy: 0.9 }],
            losses: vec![vec![loss; 3]],
            train_s: 1.5,
            ..Checkpoint::new(1)
        }
    }

    #[test]
    fn a_checkpoint_comes_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = CheckpointFile::new(folder.path().join("a.checkpoint"), "session".into());
        assert!(matches!(file.read().unwrap(), Found::Nothing));
        let mut written = checkpoint();
        file.write(&mut written).unwrap();
        let Found::Checkpoint(read) = file.read().unwrap() else { panic!("not found") };
        assert_eq!(*read, written);
    }

    #[test]
    fn any_flipped_or_missing_byte_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let file = CheckpointFile::new(folder.path().join("a.checkpoint"), "session".into());
        file.write(&mut checkpoint()).unwrap();
        let whole = std::fs::read(file.path()).unwrap();
        for index in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[index] ^= 0x10;
            std::fs::write(file.path(), &bytes).unwrap();
            assert!(matches!(file.read().unwrap(), Found::Damaged), "byte {index}");
            std::fs::write(file.path(), &whole[..index]).unwrap();
            assert!(matches!(file.read().unwrap(), Found::Damaged), "{index} bytes");
        }
    }

    #[test]
    fn another_sessions_checkpoint_is_not_taken_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.checkpoint");
        CheckpointFile::new(path.clone(), "one".into()).write(&mut checkpoint()).unwrap();
        assert!(matches!(CheckpointFile::new(path, "two".into()).read().unwrap(), Found::Nothing));
    }
}
