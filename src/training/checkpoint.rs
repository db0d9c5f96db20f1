//! Where a session stands, on disk: a stopped or killed run goes on from here with the same bits.

use super::{EpochMetrics, TrainingTimes};
use crate::engine::{Replica, StepLoss};
use crate::error::{Error, Result};
use crate::run_folder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes of the checksum that a file begins with.
const CHECKSUM: usize = 32;

/// Everything that a session has made so far, without the replicas that are still trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// What the session is, see [`CheckpointFile::new`].
    session: String,
    /// Steps that are done.
    pub step: u64,
    /// For each slot the epoch after which it stopped before the others, and its replica; `None` while it is trained.
    pub stopped: Vec<Option<(u32, Replica<f32>)>>,
    /// For each slot in how many last epochs it was found at its plateau.
    pub at_plateau: Vec<usize>,
    /// Recorded focus layers of finished epochs `[epoch, slot, weight_index]`.
    #[serde(skip)]
    pub history: Vec<f32>,
    /// Their hashes.
    pub focus_hashes: Vec<String>,
    /// Metrics of finished epochs.
    pub metrics: Vec<EpochMetrics>,
    /// For each slot that is trained the losses of the unfinished epoch.
    pub losses: Vec<Vec<StepLoss>>,
    /// What it took so far.
    pub times: TrainingTimes,
}

impl Checkpoint {
    /// A session of `slots` slots that has done nothing yet.
    pub fn new(slots: usize) -> Self {
        Self {
            session: String::new(),
            step: 0,
            stopped: vec![None; slots],
            at_plateau: vec![0; slots],
            history: Vec::new(),
            focus_hashes: Vec::new(),
            metrics: Vec::new(),
            losses: vec![Vec::new(); slots],
            times: TrainingTimes::default(),
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
    /// Where the session stands, and the replicas that it trains.
    Checkpoint(Box<Checkpoint>, Vec<Replica<f32>>),
}

/// Calls a function with each replica, one after the other: [`crate::engine::Batch::visit_replicas`].
pub type Visit<'a> = dyn FnMut(&mut dyn FnMut(Replica<f32>) -> Result<()>) -> Result<()> + 'a;

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
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(Error::io("read", &self.path, error)),
        };
        let Some((checksum, content)) = bytes.split_at_checked(CHECKSUM) else { return Ok(Found::Damaged) };
        if Sha256::digest(content)[..] != *checksum {
            return Ok(Found::Damaged);
        }
        Ok(match parse(content) {
            None => Found::Damaged,
            Some((checkpoint, _)) if checkpoint.session != self.session => Found::Nothing,
            Some((checkpoint, replicas)) => Found::Checkpoint(Box::new(checkpoint), replicas),
        })
    }

    /// Replaces the file. `visit` is called once, for the replicas.
    ///
    /// Fails with [`Error::Io`] if it cannot be written, and as `visit` fails; then the old file stays.
    pub fn write(&self, checkpoint: &mut Checkpoint, visit: &mut Visit<'_>) -> Result<()> {
        checkpoint.session.clone_from(&self.session);
        let mut failure = None;
        let written = run_folder::write(&self.path, |file| {
            // The checksum stands first and is known last.
            file.write_all(&[0; CHECKSUM])?;
            let mut checksum = Sha256::new();
            let mut put = |part: &[u8]| {
                checksum.update(part);
                file.write_all(part)
            };
            put(&laid_out(checkpoint)?)?;
            put(&laid_out(&checkpoint.history.len())?)?;
            // As it lies: no second copy of it has to fit into memory.
            put(bytemuck::cast_slice(&checkpoint.history))?;
            let visited = visit(&mut |replica| {
                let written = laid_out(&replica).and_then(|part| put(&part));
                written.map_err(|error| Error::io("write", &self.path, error))
            });
            if let Err(error) = visited {
                failure = Some(error);
                return Err(io::ErrorKind::Other.into());
            }
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&checksum.finalize())
        });
        failure.map_or(written, Err)
    }
}

fn laid_out(part: &impl Serialize) -> io::Result<Vec<u8>> {
    postcard::to_stdvec(part).map_err(io::Error::other)
}

/// What [`CheckpointFile::write`] laid out; `None` if that is not what the bytes are.
fn parse(content: &[u8]) -> Option<(Checkpoint, Vec<Replica<f32>>)> {
    let (mut checkpoint, rest): (Checkpoint, _) = postcard::take_from_bytes(content).ok()?;
    let (weights, rest): (usize, _) = postcard::take_from_bytes(rest).ok()?;
    let (history, mut rest) = rest.split_at_checked(weights.checked_mul(size_of::<f32>())?)?;
    checkpoint.history = history.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let mut replicas = Vec::new();
    while !rest.is_empty() {
        let (replica, after) = postcard::take_from_bytes(rest).ok()?;
        replicas.push(replica);
        rest = after;
    }
    Some((checkpoint, replicas))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn replicas() -> Vec<Replica<f32>> {
        let replica = Replica {
            parameters: vec![1.5, -0.0],
            m: vec![1e-45, 0.0],
            v: vec![0.0; 2],
            mask: vec![1, 0],
            sums: Vec::new(),
        };
        vec![replica.clone(), Replica { mask: vec![0, 0], sums: vec![-0.0, 7.5], ..replica }]
    }

    fn write(file: &CheckpointFile, checkpoint: &mut Checkpoint) {
        file.write(checkpoint, &mut |take| replicas().into_iter().try_for_each(take)).unwrap();
    }

    fn checkpoint() -> Checkpoint {
        let loss = StepLoss { loss: 2.3, correct: 3 };
        Checkpoint {
            step: 7,
            history: vec![0.25],
            focus_hashes: vec!["ab".into()],
            metrics: vec![EpochMetrics { epoch: 1, slot: 0, loss: 0.1, accuracy: 0.9 }],
            losses: vec![vec![loss; 3]],
            times: TrainingTimes { train: Duration::from_millis(1500), ..TrainingTimes::default() },
            ..Checkpoint::new(1)
        }
    }

    #[test]
    fn a_checkpoint_comes_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = CheckpointFile::new(folder.path().join("a.checkpoint"), "session".into());
        assert!(matches!(file.read().unwrap(), Found::Nothing));
        let mut written = Checkpoint { history: (0..70_007).map(|weight| weight as f32).collect(), ..checkpoint() };
        write(&file, &mut written);
        let Found::Checkpoint(read, read_replicas) = file.read().unwrap() else { panic!("not found") };
        assert_eq!(*read, written);
        assert_eq!(read_replicas, replicas());
    }

    #[test]
    fn replicas_that_cannot_be_had_leave_the_old_file_and_say_why() {
        let folder = tempfile::tempdir().unwrap();
        let file = CheckpointFile::new(folder.path().join("a.checkpoint"), "session".into());
        write(&file, &mut checkpoint());
        let before = std::fs::read(file.path()).unwrap();
        let lost = file.write(&mut checkpoint(), &mut |_| Err(Error::DeviceLost("gone".into()))).unwrap_err();
        assert!(matches!(lost, Error::DeviceLost(_)), "{lost}");
        assert_eq!(std::fs::read(file.path()).unwrap(), before);
    }

    #[test]
    fn any_flipped_or_missing_byte_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let file = CheckpointFile::new(folder.path().join("a.checkpoint"), "session".into());
        write(&file, &mut checkpoint());
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
        write(&CheckpointFile::new(path.clone(), "one".into()), &mut checkpoint());
        assert!(matches!(CheckpointFile::new(path, "two".into()).read().unwrap(), Found::Nothing));
    }
}
