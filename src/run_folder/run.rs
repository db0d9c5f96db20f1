//! The output folder of one run: what it holds, and of which run it is.

use super::manifest::Manifest;
use super::output_folder::{FolderKind, OutputFolder};
use crate::error::Result;
use std::path::{Path, PathBuf};

/// The output folder of one run. No other process can open it until this is dropped.
#[derive(Debug)]
pub struct RunFolder {
    output: OutputFolder,
    manifest: Option<Manifest>,
}

impl RunFolder {
    /// Opens a folder for the run that `this` tells of, and creates it if it is missing.
    ///
    /// Fails as [`OutputFolder::open`] does, and with [`crate::error::Error::Usage`] if its manifest is of another run or cannot be
    /// understood.
    pub fn open(path: &Path, this: &Manifest) -> Result<Self> {
        let output = OutputFolder::open(path, FolderKind::Run)?;
        let manifest = Manifest::read(path)?;
        if let Some(found) = &manifest {
            this.check_same(found, path)?;
        }
        Ok(Self { output, manifest })
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        self.output.path()
    }

    /// The manifest that was there when the folder was opened: of this configuration, from a run that ended or stopped.
    pub fn earlier_manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// The path of a file that is about to be written, see [`OutputFolder::file`].
    ///
    /// Fails as that does.
    pub fn file(&self, name: &str) -> Result<PathBuf> {
        self.output.file(name)
    }

    /// What is written into it.
    pub fn output(&self) -> &OutputFolder {
        &self.output
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::tests::example;
    use super::super::store::write;
    use super::*;
    use crate::error::Error;
    use std::fs;
    use std::io::Write;
    use tempfile::tempdir;

    fn refusal(folder: &Path, manifest: &Manifest) -> String {
        match RunFolder::open(folder, manifest) {
            Err(Error::Usage(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_run_folder_is_created_with_its_parents_and_is_one_runs_at_a_time() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("runs/one");
        let run = RunFolder::open(&path, &example("abc")).unwrap();
        assert!(run.path().is_dir() && run.earlier_manifest().is_none());
        let file = run.file("cells/dnn-pr/metrics.csv").unwrap();
        write(&file, |writer| writer.write_all(b"x")).unwrap();
        assert!(path.join("cells/dnn-pr/metrics.csv").is_file());
        assert!(refusal(&path, &example("abc")).contains("in use by another run"));
        drop(run);
        RunFolder::open(&path, &example("abc")).unwrap();
    }

    #[test]
    fn a_run_goes_on_in_a_folder_of_its_own_configuration_and_of_no_other() {
        let folder = tempdir().unwrap();
        let manifest = example("abc");
        manifest.write(RunFolder::open(folder.path(), &manifest).unwrap().path()).unwrap();
        assert_eq!(RunFolder::open(folder.path(), &manifest).unwrap().earlier_manifest(), Some(&manifest));
        let configuration = serde_json::json!({ "epochs": 31, "tolerance": [0.01, 0.03] });
        let message = refusal(folder.path(), &Manifest { configuration, ..example("def") });
        assert!(["epochs", "30", "31", "--out"].iter().all(|words| message.contains(words)), "{message}");
    }

    #[test]
    fn a_manifest_that_is_none_and_a_file_in_place_of_the_folder_are_refused() {
        let folder = tempdir().unwrap();
        let file = folder.path().join("manifest.json");
        fs::write(&file, "{").unwrap();
        assert!(refusal(folder.path(), &example("abc")).contains("manifest.json"));
        assert!(refusal(&file, &example("abc")).contains("is a file"));
        assert_eq!(fs::read(&file).unwrap(), b"{");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_path_that_is_not_utf_8_is_fine() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempdir().unwrap();
        let path = folder.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
        let run = RunFolder::open(&path, &example("abc")).unwrap();
        example("abc").write(run.path()).unwrap();
        assert!(path.join("manifest.json").is_file());
    }
}
