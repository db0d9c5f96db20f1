//! Files and settings that cannot be used end in a sentence, never in a panic, and never in memory for what is not there.

use crate::arrays::{bytes, header, npy, npz, plain, safetensors, tensor, values, write};
use crate::holdfast;
use tempfile::tempdir;
use zip::CompressionMethod;

/// Runs `stability` on these bytes and expects exit code 5 and these words.
fn refused(bytes: &[u8], line: &str, words: &[&str]) {
    let folder = tempdir().unwrap();
    write(folder.path(), "file", bytes);
    let axes = if line.contains("--axes") { "" } else { "--no-replica-axis" };
    let ended = holdfast(folder.path(), &format!("stability file --device cpu --quiet {axes} {line}"), &[]);
    ended.refused(5, &[words, &["file"]].concat());
    assert!(!folder.path().join("runs").exists(), "nothing should have been written");
}

#[test]
fn other_number_types_are_named() {
    for (descr, named) in [
        ("|O", "Python objects"),
        ("<i4", "integers"),
        ("|b1", "truth values"),
        ("<c8", "complex"),
        ("float8_e4m3fn", "8 bits or fewer"),
        ("int4", "integers"),
    ] {
        refused(&npy(&header(descr, false, &[4, 6]), &[0; 192]), "", &[named, descr, "float32"]);
    }
    refused(&npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4,), }", &[]), "", &["structured"]);
    refused(&tensor("I32", &bytes(&values())), "", &["I32", "history"]);
}

#[test]
fn numbers_that_are_not_finite_are_named_by_their_place() {
    for (value, named) in [(f32::NAN, "NaN"), (f32::NEG_INFINITY, "-inf")] {
        let mut values = values();
        values[6 + 3 + 2] = value;
        refused(
            &npy(&header("<f4", false, &[4, 2, 3]), &bytes(&values)),
            "--axes epoch,replica,weight",
            &[named, "epoch 1, replica 1, weight 2"],
        );
    }
    let large: Vec<u8> = [1.0, 1e300].into_iter().flat_map(f64::to_le_bytes).collect();
    refused(&npy(&header("<f8", false, &[1, 2]), &large), "", &["1e300", "too large"]);
}

#[test]
fn shapes_that_are_no_history_are_refused() {
    refused(&npy(&header("<f4", false, &[24]), &bytes(&values())), "", &["axis of epochs", "[24]"]);
    refused(&npy(&header("<f4", false, &[]), &[0; 4]), "", &["axis of epochs"]);
    refused(&npy(&header("<f4", false, &[0, 4]), &[]), "", &["empty"]);
}

#[test]
fn truncated_files_are_refused_at_every_length() {
    let npz = npz(&[("history.npy", &plain())], CompressionMethod::Deflated);
    for whole in [plain(), npz, tensor("F32", &bytes(&values()))] {
        for end in (0..whole.len()).step_by(whole.len() / 9) {
            refused(&whole[..end], "", &[]);
        }
    }
    let longer = [plain(), vec![0]].concat();
    refused(&longer, "", &["96 bytes", "97"]);
}

#[test]
fn headers_that_claim_gigabytes_take_no_memory() {
    let huge = header("<f4", false, &[1 << 20, 1 << 20]);
    refused(&npy(&huge, &[0; 64]), "", &["4398046511104 bytes", "64 are there"]);
    refused(&npy(&header("<f4", false, &[usize::MAX, usize::MAX]), &[]), "", &["more than any file can hold"]);
    let mut long_header = b"\x93NUMPY\x02\x00".to_vec();
    long_header.extend(u32::MAX.to_le_bytes());
    long_header.extend(b"{'descr'");
    refused(&long_header, "", &["4294967295 bytes long"]);
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        refused(&npz(&[("a.npy", &npy(&huge, &[0; 64]))], method), "", &["4398046511104 bytes"]);
    }
    refused(&safetensors("{", &[]).as_slice().repeat(3), "", &["understood"]);
    let mut long_header = (1u64 << 40).to_le_bytes().to_vec();
    long_header.extend(b"{}");
    refused(&long_header, "", &["1099511627776 bytes long"]);
    let beyond = "{\"history\":{\"dtype\":\"F32\",\"shape\":[1024,1048576],\"data_offsets\":[0,4294967296]}}";
    refused(&safetensors(beyond, &[0; 64]), "", &["4294967296", "64 bytes"]);
}

#[test]
fn an_archive_that_lies_about_its_sizes_is_refused() {
    // The uncompressed size of the only entry, in the local header and in the directory.
    let claim = |mut archive: Vec<u8>| {
        let directory = archive.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
        for place in [22, directory + 24] {
            archive[place..place + 4].copy_from_slice(&0x7fff_ffffu32.to_le_bytes());
        }
        archive
    };
    let archive = npz(&[("history.npy", &plain())], CompressionMethod::Deflated);
    refused(&claim(archive), "", &["2147483647 bytes"]);
    let mut damaged = npz(&[("history.npy", &plain())], CompressionMethod::Stored);
    let weight = damaged.windows(4).position(|bytes| bytes == 1.5f32.to_le_bytes()).unwrap();
    damaged[weight] ^= 1;
    refused(&damaged, "", &["damaged"]);
}

#[test]
fn missing_and_duplicate_names_list_what_is_there() {
    let two = npz(&[("a.npy", &plain()), ("b.npy", &plain())], CompressionMethod::Stored);
    refused(&two, "", &["several arrays: a [4, 2, 3], b", "--history-key"]);
    refused(&two, "--history-key c", &["no array c", "a, b"]);
    // The same name twice: the second is renamed in the bytes, since writers refuse it.
    let mut twice = two;
    for place in 0..twice.len() - 5 {
        if &twice[place..place + 5] == b"b.npy" {
            twice[place] = b'a';
        }
    }
    refused(&twice, "--history-key a", &["2 arrays named a"]);
    let tensor = "{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}";
    let twice = safetensors(&format!("{{\"a\":{tensor},\"a\":{tensor}}}"), &[0; 16]);
    refused(&twice, "--history-key a", &["2 arrays named a"]);
    refused(&npz(&[], CompressionMethod::Stored), "", &["no arrays"]);
}

#[test]
fn files_of_another_kind_are_refused() {
    refused(b"epoch,replica,weight,weight\n", "", &["CSV"]);
    refused(b"", "", &["empty"]);
    refused(b"\xc3\x28\x01\x02", "", &["neither .npy nor .npz nor .safetensors"]);
    let folder = tempdir().unwrap();
    holdfast(folder.path(), "stability nowhere.npy", &[]).refused(5, &["nowhere.npy", "check the path"]);
    holdfast(folder.path(), "stability .", &[]).refused(5, &["history.npz"]);
}

#[test]
fn impossible_settings_are_usage_errors() {
    let folder = tempdir().unwrap();
    write(folder.path(), "a.npy", &plain());
    for (line, words) in [
        ("--tolerance -0.1", &["-0.1"][..]),
        ("--tolerance 0.1,0.1", &["twice"]),
        ("--tolerance nan", &["NaN"]),
        ("--window 5", &["window 5", "4 epochs"]),
        ("--window 0", &["window 0"]),
        ("--threads 0", &["--threads"]),
    ] {
        holdfast(folder.path(), &format!("stability a.npy --no-replica-axis --quiet {line}"), &[]).refused(2, words);
    }
    holdfast(folder.path(), "stability a.npy --no-replica-axis --device no-such-device", &[])
        .refused(3, &["no-such-device"]);
}
