//! All that a device is asked, on a tape: arrays, launches, read-backs. Another implementation of WebGPU can play it, and its
//! answers can stand in for the device's own, so that what judges the device judges the other one.

use super::Gpu;
use super::kernel::{Access, BoundKernel};
use crate::error::{Error, Result};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// What [`Gpu::write_tape`] writes: notes, the bytes of all uploads, and those of all read-backs.
pub const TAPE_FILES: [&str; 3] = ["tape.jsonl", "arrays.bin", "answers.bin"];

/// Which way a tape runs.
pub(super) enum Tape {
    /// What is asked is written.
    Written {
        /// One JSON object a line, in the order in which the device gets them.
        notes: BufWriter<File>,
        /// The bytes of all uploads, one after the other.
        arrays: BufWriter<File>,
        /// The bytes of all read-backs, as this device gave them.
        answers: BufWriter<File>,
        /// How many bytes of uploads there are.
        length: u64,
        /// Shaders whose text is on the tape.
        shaders: HashSet<&'static str>,
        folder: PathBuf,
    },
    /// Read-backs come from this file, one after the other.
    Answered {
        answers: BufReader<File>,
        path: PathBuf,
        /// Whether there were too few.
        ran_out: bool,
    },
}

impl Gpu {
    /// Writes all that is asked of the device from now on to `tape.jsonl` and `arrays.bin` in `folder`, and what it answers to
    /// `answers.bin`. Fails if they cannot be made, or if there is a tape already.
    pub fn write_tape(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
        let file = |name: &str| {
            let path = folder.join(name);
            File::create(&path).map(BufWriter::new).map_err(|error| Error::io("create", &path, error))
        };
        let [notes, arrays, answers] = TAPE_FILES.map(file);
        let (notes, arrays, answers) = (notes?, arrays?, answers?);
        let (shaders, folder) = (HashSet::new(), folder.into());
        self.put_in(Tape::Written { notes, arrays, answers, length: 0, shaders, folder })
    }

    /// Takes all read-backs from now on from the file at `path`: what another device gave when it played a tape of the same
    /// work. Nothing is launched any more. Fails if it cannot be opened, or if there is a tape already.
    pub fn take_answers(&self, path: &Path) -> Result<()> {
        let file = File::open(path).map_err(|error| {
            Error::Data(format!("the answers {} cannot be read: {error}; check the path", path.display()))
        })?;
        self.put_in(Tape::Answered { answers: BufReader::new(file), path: path.into(), ran_out: false })
    }

    fn put_in(&self, tape: Tape) -> Result<()> {
        let taken = |_| Error::Usage("this device has a tape already; open it again for another".into());
        self.tape.set(Mutex::new(tape)).map_err(taken)
    }

    /// Ends the tape: what was written is on the disk, or all answers were asked for.
    ///
    /// Fails with [`Error::Io`] if the tape cannot be written, and with [`Error::Data`] if there were too few or too many answers.
    pub fn end_tape(&self) -> Result<()> {
        self.with_tape(|tape| match tape {
            Tape::Written { notes, arrays, answers, folder, .. } => {
                let flushed = notes.flush().and_then(|()| arrays.flush()).and_then(|()| answers.flush());
                flushed.map_err(|error| Error::io("write", folder, error))
            }
            Tape::Answered { ran_out: true, path, .. } => Err(too("few", path)),
            Tape::Answered { answers, path, .. } => match answers.read(&mut [0]) {
                Ok(0) => Ok(()),
                _ => Err(too("many", path)),
            },
        })
    }

    /// Whether what is asked is written down.
    pub(super) fn is_on_tape(&self) -> bool {
        self.tape.get().is_some()
    }

    /// Whether another device has done the work.
    pub(super) fn is_answered(&self) -> bool {
        let answered = |tape: &Mutex<Tape>| matches!(*tape.lock(), Tape::Answered { .. });
        self.tape.get().is_some_and(answered)
    }

    fn with_tape(&self, act: impl FnOnce(&mut Tape) -> Result<()>) -> Result<()> {
        match self.tape.get() {
            Some(tape) => act(&mut tape.lock()),
            None => Ok(()),
        }
    }

    /// Puts a note on the tape, if one is written, with the bytes that belong to it.
    pub(super) fn note(&self, note: impl FnOnce() -> Value, bytes: &[u8]) -> Result<()> {
        self.with_tape(|tape| tape.note(note, bytes))
    }

    /// The note of a launch, and before it that of its shader where it is new; nothing if no tape is written.
    pub(super) fn note_launch(
        &self,
        bound: &BoundKernel,
        workgroups: [u32; 3],
        offset: Option<u32>,
    ) -> Result<Option<Value>> {
        let mut launch = None;
        self.with_tape(|tape| {
            let Tape::Written { shaders, .. } = tape else { return Ok(()) };
            let shader = bound.shader;
            if shaders.insert(shader.name) {
                let access = |access: Access| match access {
                    Access::Read => "read",
                    Access::ReadRecord => "record",
                    Access::ReadWrite => "write",
                };
                let bindings: Vec<_> = shader.bindings.iter().map(|binding| access(binding.access)).collect();
                let note = || json!({ "shader": shader.name, "source": shader.source, "bindings": bindings });
                tape.note(note, &[])?;
            }
            let constants: BTreeMap<_, _> = bound.constants.iter().copied().collect();
            launch = Some(json!({
                "launch": shader.name, "constants": constants, "arrays": bound.arrays, "workgroups": workgroups, "offset": offset,
                "record": bound.record_bytes,
            }));
            Ok(())
        })?;
        Ok(launch)
    }

    /// Puts the next answer in the place of what the device gave, if answers are taken, or keeps what it gave.
    pub(super) fn answer(&self, given: &mut [u8]) -> Result<()> {
        self.with_tape(|tape| match tape {
            Tape::Written { answers, folder, .. } => {
                answers.write_all(given).map_err(|error| Error::io("write", folder, error))
            }
            Tape::Answered { answers, path, ran_out } => answers.read_exact(given).map_err(|_| {
                *ran_out = true;
                too("few", path)
            }),
        })
    }
}

fn too(many: &str, path: &Path) -> Error {
    let path = path.display();
    Error::Data(format!("{path} has too {many} answers; write the tape of this device anew and play it again"))
}

impl Tape {
    fn note(&mut self, note: impl FnOnce() -> Value, bytes: &[u8]) -> Result<()> {
        let Self::Written { notes, arrays, length, folder, .. } = self else { return Ok(()) };
        let mut note = note();
        if !bytes.is_empty() {
            note["from"] = json!(*length);
            note["bytes"] = json!(bytes.len());
            *length += bytes.len() as u64;
        }
        let written = arrays.write_all(bytes).and_then(|()| writeln!(notes, "{note}"));
        written.map_err(|error| Error::io("write", folder, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Binding;
    use crate::gpu::{Buffer, DeviceChoice, Kernel, Recorder, RequestedLimits, Shader, read_back};

    static DOUBLE: Shader = Shader {
        name: "test.double",
        source: "@group(0) @binding(0) var<storage, read> x: array<u32>;
            @group(0) @binding(1) var<storage, read_write> y: array<u32>;
            @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) id: vec3u) { y[id.x] = 2 * x[id.x]; }",
        bindings: &[Binding::new("x", Access::Read), Binding::new("y", Access::ReadWrite)],
        parameters: None,
        constants: &[],
    };

    fn open() -> Gpu {
        Gpu::open(&DeviceChoice::Index(0), false, RequestedLimits::WebGpuDefaults).unwrap()
    }

    fn double(gpu: &Gpu) -> Result<Vec<u32>> {
        let (x, y) = (Buffer::from_slice(gpu, "x", &[3u32, 4])?, Buffer::<u32>::new(gpu, "y", 2)?);
        let bound = Kernel::new(gpu, &DOUBLE, &[])?.bind(gpu, &[&x, &y])?;
        let mut recorder = Recorder::new(gpu, "test");
        recorder.dispatch(&bound, [2, 1, 1], None)?;
        recorder.submit()?;
        read_back(gpu, &y)
    }

    #[test]
    fn what_a_device_is_asked_is_on_the_tape_in_order() {
        let (gpu, folder) = (open(), tempfile::tempdir().unwrap());
        gpu.write_tape(folder.path()).unwrap();
        assert_eq!(double(&gpu).unwrap(), [6, 8]);
        gpu.end_tape().unwrap();
        let notes = std::fs::read_to_string(folder.path().join("tape.jsonl")).unwrap();
        let notes: Vec<Value> = notes.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let kinds = ["array", "write", "array", "shader", "launch", "read"];
        assert_eq!(notes.len(), kinds.len(), "{notes:?}");
        assert!(notes.iter().zip(kinds).all(|(note, kind)| !note[kind].is_null()), "{notes:?}");
        let (x, y) = (&notes[0]["array"], &notes[2]["array"]);
        assert_eq!(notes[1]["write"], *x);
        assert_eq!(notes[4]["arrays"], json!([x, y]));
        assert_eq!(notes[5], json!({ "read": y, "length": 8 }));
        assert_eq!(std::fs::read(folder.path().join("arrays.bin")).unwrap(), [3, 0, 0, 0, 4, 0, 0, 0]);
        assert_eq!(std::fs::read(folder.path().join("answers.bin")).unwrap(), [6, 0, 0, 0, 8, 0, 0, 0]);
        assert_eq!(gpu.write_tape(folder.path()).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn answers_stand_in_for_what_the_device_gave_and_must_be_as_many() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers");
        for (answers, right) in [(vec![7u8, 0, 0, 0, 9, 0, 0, 0], true), (vec![7; 7], false), (vec![7; 9], false)] {
            std::fs::write(&path, &answers).unwrap();
            let gpu = open();
            gpu.take_answers(&path).unwrap();
            let found = double(&gpu).and_then(|found| gpu.end_tape().map(|()| found));
            match found {
                Ok(found) => assert!(right && found == [7, 9], "{found:?}"),
                Err(error) => assert!(!right && error.exit_code() == 5, "{error}"),
            }
        }
        assert_eq!(open().take_answers(&folder.path().join("none")).unwrap_err().exit_code(), 5);
    }
}
