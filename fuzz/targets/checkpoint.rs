//! A checkpoint with a valid seal around any content, as another version of the program might leave it.
#![no_main]

use holdfast::training::CheckpointFile;
use holdfast_fuzz::{file, judge};
use sha2::{Digest, Sha256};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let path = file("train.checkpoint", &[&Sha256::digest(input)[..], input].concat());
    judge(CheckpointFile::new(path, String::new()).read());
});
