//! Arrays of other programs: the first bytes decide whether it is .npy, .npz or .safetensors.
#![no_main]

use holdfast::run_folder::arrays::{ArrayFile, read, read_all};
use holdfast::run_folder::file_kind::Purpose;
use holdfast::stability::import::{Axes, Histories};
use holdfast_fuzz::{file, judge};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let path = file("array", input);
    for array in judge(read_all(&path)).unwrap_or_default() {
        assert_eq!(array.values.len(), array.shape.iter().product::<usize>());
    }
    if let Some(mut file) = judge(ArrayFile::open(&path, Purpose::Arrays)) {
        for name in file.names() {
            if let Some(array) = judge(file.read_raw(Some(&name))) {
                assert!(array.shape.contains(&0) || !array.bytes().is_empty());
            }
        }
    }
    judge(read(&path, None, "--history-key"));
    judge(read(&path, Some("history"), "--history-key"));
    if let Some(mut file) = judge(ArrayFile::open(&path, Purpose::Images)) {
        for name in file.names() {
            judge(file.read_bytes(&name));
        }
    }
    for axes in [Axes::Unknown, Axes::OneNetwork] {
        let Some(mut histories) = judge(Histories::open(&path, None, &axes)) else { continue };
        for index in 0..histories.names().len() {
            if let Some(history) = judge(histories.tensor(index, &axes)) {
                assert!(history.epoch(0).unwrap().iter().all(|weight| !weight.is_nan()));
            }
        }
    }
});
