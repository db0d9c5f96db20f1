//! All that a device is asked, on a tape: arrays, launches, read-backs. Another implementation of WebGPU can play it, and its
//! answers can stand in for the device's own, so that what judges the device judges the other one.

use crate::error::{Error, Result};
use crate::gpu::{Access, Command, Gpu, Observer};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What [`write()`] writes: notes, the bytes of all uploads, and those of all read-backs.
pub const TAPE_FILES: [&str; 3] = ["tape.jsonl", "arrays.bin", "answers.bin"];

/// Writes all that is asked of the device while `work` runs to `tape.jsonl` and `arrays.bin` in `folder`, and what it answers
/// to `answers.bin`.
///
/// Fails with [`Error::Io`] if they cannot be written, and as `work` does.
pub fn write<R>(gpu: &Gpu, folder: &Path, work: impl FnOnce() -> Result<R>) -> Result<R> {
    std::fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
    let file = |name: &str| {
        let path = folder.join(name);
        File::create(&path).map(BufWriter::new).map_err(|error| Error::io("create", &path, error))
    };
    let [notes, arrays, answers] = TAPE_FILES.map(file);
    let files = Files { notes: notes?, arrays: arrays?, answers: answers?, length: 0, shaders: HashSet::new() };
    let tape = Arc::new(Tape { files: Mutex::new(files), folder: folder.into() });
    let result = gpu.observed(tape.clone(), work)?;
    tape.change(|Files { notes, arrays, answers, .. }| {
        notes.flush().and_then(|()| arrays.flush()).and_then(|()| answers.flush())
    })?;
    Ok(result)
}

/// Takes all read-backs while `work` runs from the file at `path`: what another device gave when it played a tape of the same
/// work. Nothing is launched.
///
/// Fails with [`Error::Data`] if the file cannot be read or has too few or too many answers, and as `work` does.
pub fn answer<R>(gpu: &Gpu, path: &Path, work: impl FnOnce() -> Result<R>) -> Result<R> {
    let file = File::open(path).map_err(|error| {
        Error::Data(format!("the answers {} cannot be read: {error}; check the path", path.display()))
    })?;
    let given = Mutex::new(BufReader::new(file));
    let answers = Arc::new(Answers { given, path: path.into(), ran_out: AtomicBool::new(false) });
    let result = gpu.observed(answers.clone(), work)?;
    if answers.ran_out.load(Ordering::Relaxed) {
        return Err(answers.too("few"));
    }
    match answers.given.lock().read(&mut [0]) {
        Ok(0) => Ok(result),
        _ => Err(answers.too("many")),
    }
}

struct Files {
    /// One JSON object a line, in the order in which the device gets them.
    notes: BufWriter<File>,
    /// The bytes of all uploads, one after the other.
    arrays: BufWriter<File>,
    /// The bytes of all read-backs, as this device gave them.
    answers: BufWriter<File>,
    /// How many bytes of uploads there are.
    length: usize,
    /// Shaders whose text is on the tape.
    shaders: HashSet<&'static str>,
}

/// Writes down what is asked.
struct Tape {
    files: Mutex<Files>,
    folder: PathBuf,
}

impl Tape {
    fn change(&self, change: impl FnOnce(&mut Files) -> std::io::Result<()>) -> Result<()> {
        change(&mut self.files.lock()).map_err(|error| Error::io("write", &self.folder, error))
    }

    fn note(&self, note: &Value) -> Result<()> {
        self.change(|files| writeln!(files.notes, "{note}"))
    }
}

impl Observer for Tape {
    fn created(&self, array: u64, bytes: u64) -> Result<()> {
        self.note(&json!({ "array": array, "size": bytes }))
    }

    fn written(&self, array: u64, place: u64, bytes: &[u8]) -> Result<()> {
        self.change(|Files { notes, arrays, length, .. }| {
            let note = json!({ "write": array, "place": place, "from": *length, "bytes": bytes.len() });
            *length += bytes.len();
            arrays.write_all(bytes)?;
            writeln!(notes, "{note}")
        })
    }

    fn submitted(&self, _: &str, commands: &[Command]) -> Result<()> {
        for command in commands {
            match command {
                Command::Copy { from, first, to, place, length } => self.note(&json!({
                    "copy": from, "first": first, "to": to, "place": place, "length": length,
                }))?,
                Command::Launch(launch) => {
                    let (bound, shader) = (&launch.bound, launch.bound.shader);
                    if self.files.lock().shaders.insert(shader.name) {
                        let access = |access: Access| match access {
                            Access::Read => "read",
                            Access::ReadRecord => "record",
                            Access::ReadWrite => "write",
                        };
                        let bindings: Vec<_> = shader.bindings.iter().map(|binding| access(binding.access)).collect();
                        self.note(&json!({ "shader": shader.name, "source": shader.source, "bindings": bindings }))?;
                    }
                    let constants: BTreeMap<_, _> = bound.constants.iter().copied().collect();
                    let offset = launch.record.zip(bound.record_bytes).map(|(record, bytes)| u64::from(record) * bytes);
                    self.note(&json!({
                        "launch": shader.name, "constants": constants, "arrays": bound.arrays,
                        "workgroups": launch.workgroups, "offset": offset, "record": bound.record_bytes,
                    }))?;
                }
            }
        }
        Ok(())
    }

    fn read(&self, array: u64, bytes: &mut [u8]) -> Result<()> {
        self.note(&json!({ "read": array, "length": bytes.len() }))?;
        self.change(|files| files.answers.write_all(bytes))
    }
}

/// Stands in for what the device gives.
struct Answers {
    given: Mutex<BufReader<File>>,
    path: PathBuf,
    ran_out: AtomicBool,
}

impl Answers {
    fn too(&self, many: &str) -> Error {
        let path = self.path.display();
        Error::Data(format!("{path} has too {many} answers; write the tape of this device anew and play it again"))
    }
}

impl Observer for Answers {
    fn answers(&self) -> bool {
        true
    }

    fn read(&self, _: u64, bytes: &mut [u8]) -> Result<()> {
        self.given.lock().read_exact(bytes).map_err(|_| {
            self.ran_out.store(true, Ordering::Relaxed);
            self.too("few")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Binding, Buffer, DeviceChoice, Kernel, Recorder, RequestedLimits, Shader, read_back};

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
        assert_eq!(write(&gpu, folder.path(), || double(&gpu)).unwrap(), [6, 8]);
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
    }

    #[test]
    fn answers_stand_in_for_what_the_device_gave_and_must_be_as_many() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers");
        for (answers, right) in [(vec![7u8, 0, 0, 0, 9, 0, 0, 0], true), (vec![7; 7], false), (vec![7; 9], false)] {
            std::fs::write(&path, &answers).unwrap();
            let gpu = open();
            match answer(&gpu, &path, || double(&gpu)) {
                Ok(found) => assert!(right && found == [7, 9], "{found:?}"),
                Err(error) => assert!(!right && error.exit_code() == 5, "{error}"),
            }
        }
        assert_eq!(answer(&open(), &folder.path().join("none"), || Ok(())).unwrap_err().exit_code(), 5);
    }
}
