//! Files of other kinds are called by their names, wherever an input is asked for; pipes are read.

use crate::arrays::{bytes, header, npy, npz, plain, write};
use crate::{Ended, command, holdfast};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::tempdir;
use zip::CompressionMethod;

/// A `.npz` of one entry whose compression and flags are written over.
fn npz_with(method: u16, flags: u16) -> Vec<u8> {
    let mut archive = npz(&[("history.npy", &plain())], CompressionMethod::Stored);
    let directory = archive.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    for (place, value) in [(6, flags), (8, method), (directory + 8, flags), (directory + 10, method)] {
        archive[place..place + 2].copy_from_slice(&value.to_le_bytes());
    }
    archive
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn tar() -> Vec<u8> {
    let mut tar = vec![0; 1024];
    tar[..9].copy_from_slice(b"cats/0.pn");
    tar[257..262].copy_from_slice(b"ustar");
    tar
}

#[test]
fn files_that_are_no_arrays_are_called_by_their_names() {
    let zip = |name: &str| npz(&[(name, b"x")], CompressionMethod::Stored);
    let folder = tempdir().unwrap();
    let path = folder.path();
    for (name, content, words) in [
        ("model.pt", zip("model/data.pkl"), &["PyTorch", "torch.load"][..]),
        ("old.pth", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.".to_vec(), &["PyTorch"]),
        ("model.keras", zip("model.weights.h5"), &["Keras"]),
        ("model.h5", b"\x89HDF\r\n\x1a\n\0".to_vec(), &["HDF5"]),
        ("model.onnx", b"\x08\x07\x12\x07pytorch".to_vec(), &["ONNX"]),
        ("model.tflite", b"\x1c\0\0\0TFL3".to_vec(), &["TensorFlow Lite"]),
        ("model.gguf", b"GGUF\x03\0\0\0".to_vec(), &["GGUF"]),
        ("h.pkl", b"\x80\x04\x95\0".to_vec(), &["pickle"]),
        ("h.mat", b"MATLAB 5.0 MAT-file, Platform".to_vec(), &["MATLAB"]),
        ("h.parquet", b"PAR1\x15\x04".to_vec(), &["Parquet"]),
        ("h.csv", b"epoch,w0,w1\n0,1,2\n".to_vec(), &["CSV", "loadtxt"]),
        ("h.json", b"{\"epoch\": [1, 2]}".to_vec(), &["JSON"]),
        ("h.npy.gz", gzip(&plain()), &[".npy.gz", "unpack"]),
        ("h.tar.gz", gzip(&tar()), &[".tar.gz", "unpack"]),
        ("h.tar", tar(), &["tar archive"]),
        ("h.bz2", b"BZh91AY&SY".to_vec(), &["bzip2"]),
        ("pets.zip", zip("cats/1.png"), &["ZIP archive of images"]),
        ("h.npz", b"<!DOCTYPE html><html>".to_vec(), &["web page", "again"]),
        ("h.safetensors", b"version https://git-lfs.github.com/spec/v1\noid".to_vec(), &["git lfs pull"]),
        ("h.npy", Vec::new(), &["empty"]),
        ("one.png", b"\x89PNG\r\n\x1a\n\0".to_vec(), &["PNG"]),
        ("bzip2.npz", npz_with(12, 0), &["bzip2", "history", "savez"]),
        ("lzma.npz", npz_with(14, 0), &["LZMA"]),
        ("deflate64.npz", npz_with(9, 0), &["Deflate64"]),
        ("zstd.npz", npz_with(93, 0), &["Zstandard"]),
        ("other.npz", npz_with(77, 0), &["77"]),
        ("secret.npz", npz_with(0, 1), &["encrypted"]),
    ] {
        write(path, name, &content);
        let words = [words, &[name]].concat();
        holdfast(path, &format!("stability {name} --no-replica-axis"), &[]).refused(5, &words);
        write(path, "good.npy", &plain());
        let line =
            format!("prune --history good.npy --no-replica-axis --weights {name} --criterion magnitude --sparsity 0.5");
        holdfast(path, &line, &[]).refused(5, &words);
    }
    assert!(!path.join("runs").exists());
}

#[test]
fn archives_and_tables_given_as_images_are_called_by_their_names() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    for (name, content, words) in [
        ("pets.zip", npz(&[("cats/1.png", b"x")], CompressionMethod::Stored), &["ZIP archive of images", "unpack"][..]),
        ("pets.tar.gz", gzip(&tar()), &[".tar.gz", "unpack"]),
        ("pets.tar", tar(), &["tar archive", "unpack"]),
        ("train.csv", b"label,pixel0,pixel1\n1,0,0\n".to_vec(), &["CSV", "folder"]),
        ("one.png", b"\x89PNG\r\n\x1a\n\0".to_vec(), &["PNG", "folder"]),
        ("pets.h5", b"\x89HDF\r\n\x1a\n\0".to_vec(), &["HDF5"]),
    ] {
        write(path, name, &content);
        holdfast(path, &format!("data export any={name} images"), &[]).refused(5, &[words, &[name]].concat());
    }
}

#[test]
fn a_name_that_says_something_else_than_the_content_is_not_believed() {
    let folder = tempdir().unwrap();
    for (name, content) in
        [("h.npz", plain()), ("h.npy", npz(&[("a.npy", &plain())], CompressionMethod::Stored)), ("h.csv", plain())]
    {
        write(folder.path(), name, &content);
        holdfast(folder.path(), &format!("stability {name} --no-replica-axis --device cpu --out out-{name}"), &[])
            .succeeded();
    }
}

/// Runs the program with bytes at its standard input.
fn piped(folder: &Path, line: &str, input: &[u8]) -> Ended {
    let mut command = command(&line.split_whitespace().collect::<Vec<_>>());
    let mut child = command.current_dir(folder).stdin(Stdio::piped()).spawn().unwrap();
    // The program may end before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(input);
    Ended::of(child.wait_with_output().unwrap())
}

#[test]
fn standard_input_and_pipes_are_read() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let archive = npz(&[("history.npy", &plain())], CompressionMethod::Deflated);
    // Longer than what a pipe holds at once.
    let long = npy(&header("<f4", false, &[100, 1000]), &bytes(&[0.5; 100_000]));
    for (index, input) in [plain(), archive, long].into_iter().enumerate() {
        piped(path, &format!("stability - --no-replica-axis --device cpu --quiet --out out{index}"), &input)
            .succeeded();
    }
    piped(path, "stability - --no-replica-axis", b"").refused(5, &["empty"]);
    piped(path, "stability - --no-replica-axis", b"epoch,w\n1,2\n").refused(5, &["CSV"]);
    let cut = plain();
    piped(path, "stability - --no-replica-axis", &cut[..cut.len() - 4]).refused(5, &["92 are there"]);
}

#[cfg(unix)]
#[test]
fn a_named_pipe_is_read_and_what_never_ends_is_not() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    write(path, "h.npy", &plain());
    let line = "mkfifo p && cat h.npy > p & while [ ! -p p ]; do :; done; \"$0\" stability p --no-replica-axis --device cpu --quiet --out out";
    let status = Command::new("sh")
        .args(["-c", line, env!("CARGO_BIN_EXE_holdfast")])
        .current_dir(path)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success() && path.join("out/stability.csv").is_file());
    for device in ["/dev/zero", "/dev/null"] {
        holdfast(path, &format!("stability {device}"), &[]).refused(5, &[device, "device"]);
        holdfast(path, &format!("data export any={device} images"), &[]).refused(5, &[device, "device"]);
        holdfast(path, &format!("study --from-observations {device} --from-stable-nodes {device}"), &[])
            .refused(5, &[device]);
    }
    let socket = std::os::unix::net::UnixListener::bind(path.join("socket")).unwrap();
    holdfast(path, "stability socket", &[]).refused(5, &["socket"]);
    drop(socket);
    fs::create_dir(path.join("empty")).unwrap();
    holdfast(path, "stability empty", &[]).refused(5, &["empty"]);
}
