//! What is given to be read: a file, or what comes through a pipe or standard input, which is kept so that it can be read
//! from any place.

use super::file_kind::HEAD;
use crate::error::{Error, Result};
use std::fs::{File, Metadata};
use std::io::{ErrorKind, IsTerminal, Read, Seek, Write};
use std::path::Path;

/// The most bytes that are taken from a pipe: it may never end.
const MOST_PIPED: u64 = 4 << 30;

/// An input that was opened, and its beginning.
pub struct Input<'a> {
    path: &'a Path,
    stream: Stream,
    head: Vec<u8>,
}

enum Stream {
    File(File),
    Pipe(Box<dyn Read>),
}

impl<'a> Input<'a> {
    /// Opens a file, a pipe, or standard input, which is called `-`.
    ///
    /// Fails with [`Error::Data`] if there is nothing to be read: no such file, a folder, a device, a socket, a terminal.
    pub fn open(path: &'a Path) -> Result<Self> {
        let mut stream = if path.as_os_str() == "-" {
            if std::io::stdin().is_terminal() {
                return Err(Error::Data(
                    "standard input is a terminal; name a file, or send one through a pipe".into(),
                ));
            }
            Stream::Pipe(Box::new(std::io::stdin()))
        } else {
            let metadata = std::fs::metadata(path).map_err(|error| cannot(path, &error))?;
            let file = || File::open(path).map_err(|error| cannot(path, &error));
            if metadata.is_file() {
                Stream::File(file()?)
            } else if is_pipe(&metadata) {
                Stream::Pipe(Box::new(file()?))
            } else {
                let what = if metadata.is_dir() {
                    "a folder; name a file in it"
                } else {
                    "no file but a device or a socket; name a file"
                };
                return Err(Error::Data(format!("{} is {what}", path.display())));
            }
        };
        let mut head = Vec::new();
        let reader: &mut dyn Read = match &mut stream {
            Stream::File(file) => file,
            Stream::Pipe(pipe) => pipe,
        };
        reader.take(HEAD as u64).read_to_end(&mut head).map_err(|error| cannot(path, &error))?;
        Ok(Self { path, stream, head })
    }

    /// The first [`HEAD`] bytes, or all if there are fewer.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// A file that can be read from any place, and its length in bytes. What comes through a pipe goes into a temporary one.
    ///
    /// Fails with [`Error::Data`] if a pipe breaks or gives more than 4 GiB, and with [`Error::Io`] if there is no room.
    pub fn into_file(self) -> Result<(File, u64)> {
        let broken = |error| cannot(self.path, &error);
        let mut file = match self.stream {
            Stream::File(file) => file,
            Stream::Pipe(pipe) => {
                let no_room = |error| Error::io("keep what a pipe gives in", std::env::temp_dir(), error);
                let mut kept = tempfile::tempfile().map_err(no_room)?;
                kept.write_all(&self.head).map_err(no_room)?;
                let mut rest = pipe.take(MOST_PIPED);
                std::io::copy(&mut rest, &mut kept).map_err(|error| match error.kind() {
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded => no_room(error),
                    _ => broken(error),
                })?;
                if rest.limit() == 0 {
                    return Err(too_long(self.path, MOST_PIPED));
                }
                kept
            }
        };
        file.rewind().map_err(broken)?;
        let length = file.metadata().map_err(broken)?.len();
        Ok((file, length))
    }

    /// All bytes, if they are no more than `most`.
    ///
    /// Fails with [`Error::Data`] if there are more, or if reading fails.
    pub fn into_bytes(self, most: u64) -> Result<Vec<u8>> {
        let mut bytes = self.head;
        let stream: Box<dyn Read> = match self.stream {
            Stream::File(file) => Box::new(file),
            Stream::Pipe(pipe) => pipe,
        };
        let mut rest = stream.take(most);
        rest.read_to_end(&mut bytes).map_err(|error| cannot(self.path, &error))?;
        if rest.limit() == 0 {
            return Err(too_long(self.path, most));
        }
        Ok(bytes)
    }
}

#[cfg(unix)]
fn is_pipe(metadata: &Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&metadata.file_type())
}

#[cfg(not(unix))]
fn is_pipe(_: &Metadata) -> bool {
    false
}

fn cannot(path: &Path, error: &std::io::Error) -> Error {
    Error::Data(format!("cannot read {}: {error}; check the path", path.display()))
}

fn too_long(path: &Path, most: u64) -> Error {
    Error::Data(format!("{} gives more than {most} bytes; write it to a file, or save less of it", path.display()))
}

/// The text of the file `place` in UTF-8, or in UTF-16 if it says so, with a notice.
///
/// Fails with [`Error::Data`] if it is neither.
pub fn decode(place: &str, bytes: Vec<u8>, notices: &mut Vec<String>) -> Result<String> {
    let unit: fn([u8; 2]) -> u16 = match bytes.as_slice() {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => {
            let text = String::from_utf8(bytes).map_err(|error| {
                let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
                Error::Data(format!("{place}, line {line}: text that is not UTF-8; save the file in UTF-8"))
            })?;
            if let Some(end) = text.find('\0') {
                let line = text[..end].lines().count().max(1);
                return Err(Error::Data(format!(
                    "{place}, line {line}: a byte of 0, as in UTF-16 without its mark; save the file in UTF-8"
                )));
            }
            return Ok(text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text));
        }
    };
    let units = bytes[2..].chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let text: std::result::Result<String, _> = char::decode_utf16(units).collect();
    match text {
        Ok(text) if bytes.len().is_multiple_of(2) => {
            notices.push(format!("{place}: the text is in UTF-16; it is read as that"));
            Ok(text)
        }
        _ => Err(Error::Data(format!("{place}: text that begins as UTF-16 and is not; save the file in UTF-8"))),
    }
}
