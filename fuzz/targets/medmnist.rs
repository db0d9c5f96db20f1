//! An archive in the form of MedMNIST.
#![no_main]

use holdfast::data::{LoadOptions, Source};
use holdfast_fuzz::{file, judge};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let path = file("set.npz", input);
    let name = format!("any={}", path.display());
    if let Some(source) = judge(Source::parse(name.as_ref()))
        && let Some(loaded) = judge(source.load(1, &LoadOptions::default()))
    {
        let set = loaded.split.training;
        assert_eq!(set.images.len(), set.samples() * set.image_len());
    }
});
