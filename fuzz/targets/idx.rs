//! A pair of IDX files: the first two bytes of the input say how long the file of images is, the rest is both files.
#![no_main]

use holdfast::data::{LoadOptions, Source};
use holdfast_fuzz::{file, judge};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((length, content)) = input.split_first_chunk::<2>() else { return };
    let (images, labels) = content.split_at(usize::from(u16::from_le_bytes(*length)).min(content.len()));
    let path = file("x-images-idx3-ubyte", images);
    file("x-labels-idx1-ubyte", labels);
    let name = format!("any={}", path.display());
    if let Some(source) = judge(Source::parse(name.as_ref()))
        && let Some(loaded) = judge(source.load(1, &LoadOptions::default()))
    {
        let set = loaded.split.training;
        assert!(set.labels.iter().all(|&label| usize::from(label) < set.classes));
        assert_eq!(set.images.len(), set.samples() * set.image_len());
    }
});
