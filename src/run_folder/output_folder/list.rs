//! The list of what Holdfast wrote into a folder.

use crate::error::{Error, Result};
use crate::run_folder::store;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

/// The list: a line of JSON about the folder, then one for the name of each file, added before the file is.
pub(super) const LIST: &str = ".holdfast";

/// What is written into a folder; a folder holds one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FolderKind {
    /// Settings, results and the manifest of a run.
    Run,
    /// Images or IDX files.
    DataSet,
    /// All that a device was asked.
    Tape,
    /// Pages of the manual.
    Manual,
}

impl FolderKind {
    /// In a sentence.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Run => "a run",
            Self::DataSet => "an exported or generated data set",
            Self::Tape => "a tape",
            Self::Manual => "pages of the manual",
        }
    }

    /// What names the folder on the command line.
    pub(super) fn option(self) -> &'static str {
        match self {
            Self::Run | Self::Manual => "--out",
            Self::DataSet => "DIR",
            Self::Tape => "--tape",
        }
    }
}

/// The first line of the list.
#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    /// Version of the program that began it.
    pub(super) holdfast: String,
    pub(super) holds: FolderKind,
    /// Whether a version that kept no list wrote here before: then whatever has the name of an output counts as one.
    #[serde(default)]
    pub(super) begun_late: bool,
}

/// The list as it was read.
pub(super) struct List {
    pub(super) header: Header,
    pub(super) names: BTreeSet<String>,
    /// Whether a process was killed while it wrote the last line.
    pub(super) is_torn: bool,
}

/// The list with the file that lines are added to.
#[derive(Debug)]
pub(super) struct OpenList {
    pub(super) file: File,
    pub(super) names: BTreeSet<String>,
    pub(super) begun_late: bool,
}

impl List {
    /// The list of a folder; `None` if there is none, or if what has its name is something else.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(LIST);
        let text = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) => return Ok(None),
            Err(error) => return Err(Error::io("read", path, error)),
        };
        let is_torn = !text.ends_with(b"\n");
        let mut lines = text.split(|&byte| byte == b'\n');
        let Some(header) = lines.next().and_then(|line| serde_json::from_slice(line).ok()) else { return Ok(None) };
        // A name that cannot be read protects its file: it counts as somebody else's.
        let names = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
        Ok(Some(Self { header, names, is_torn }))
    }

    /// Fails with [`Error::Usage`] if the folder holds something else.
    pub(super) fn check(&self, folder: &Path, holds: FolderKind) -> Result<()> {
        if self.header.holds == holds {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "{} holds {} that Holdfast wrote, and this would be {}; choose another {}",
            folder.display(),
            self.header.holds.name(),
            holds.name(),
            holds.option()
        )))
    }
}

impl OpenList {
    pub(super) fn new(folder: &Path, names: BTreeSet<String>, begun_late: bool) -> Result<Self> {
        let path = folder.join(LIST);
        let file = File::options().append(true).open(&path).map_err(|error| Error::io("write", &path, error))?;
        Ok(Self { file, names, begun_late })
    }

    pub(super) fn rewrite(folder: &Path, holds: FolderKind, begun_late: bool, names: BTreeSet<String>) -> Result<Self> {
        let mut text = line(&Header { holdfast: env!("CARGO_PKG_VERSION").into(), holds, begun_late })?;
        for name in &names {
            text.extend(line(name)?);
        }
        store::write_bytes(&folder.join(LIST), &text)?;
        Self::new(folder, names, begun_late)
    }

    /// Whether a file, or the part of one that a killed process left, is Holdfast's.
    pub(super) fn has(&self, name: &str) -> bool {
        let (folder, file) = name.rsplit_once('/').map_or(("", name), |(folder, file)| (folder, file));
        let whole = file.strip_prefix('.').and_then(|file| file.strip_suffix(".partial"));
        let whole = whole.map(|whole| if folder.is_empty() { whole.into() } else { format!("{folder}/{whole}") });
        self.names.contains(name) || whole.is_some_and(|whole| self.names.contains(&whole))
    }

    /// Fails with [`Error::Usage`] if a file is there that Holdfast did not write.
    pub(super) fn check_own(&self, path: &Path, name: &str) -> Result<()> {
        // A link that leads nowhere is somebody's too.
        if self.begun_late || self.names.contains(name) || fs::symlink_metadata(path).is_err() {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "Holdfast did not write {} and does not replace it; move it away and give the same command again, or choose \
             another folder",
            path.display()
        )))
    }
}

/// A value as a line of JSON.
pub(super) fn line(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)
        .map_err(|error| Error::Job(format!("a name cannot be written as JSON: {error}; choose another folder")))?;
    line.push(b'\n');
    Ok(line)
}
