//! Every family on the cases of its check: each kernel matches its twin, writes all and only its output, and has the same
//! bits when it runs again, with bounds checks in its shader.

use crate::*;
use holdfast::check::FAMILIES;
use holdfast::gpu::Observer;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};

/// A hash of each array that is read back.
#[derive(Default)]
struct Reads(Mutex<Vec<u64>>);

impl Observer for Reads {
    fn read(&self, _: u64, bytes: &mut [u8]) -> Result<()> {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        self.0.lock().unwrap().push(hasher.finish());
        Ok(())
    }
}

fn check(family: &str) {
    let (_, check) = FAMILIES.iter().find(|(name, _)| *name == family).unwrap();
    // Devices of its own: an observer hears whatever is asked of them.
    let [trusted, checked] = [false, true].map(|checked| open(checked, RequestedLimits::WebGpuDefaults));
    let [reads, again] = [&trusted, &checked].map(|gpu| {
        let reads = Arc::new(Reads::default());
        assert_passed(&gpu.observed(reads.clone(), || check(&[Setting::usual(gpu)])).unwrap());
        std::mem::take(&mut *reads.0.lock().unwrap())
    });
    assert!(!reads.is_empty() && reads == again, "trusted and checked modules differ in their bits");
    assert_passed(&check(&Setting::every(&trusted)[1..]).unwrap());
}

macro_rules! families {
    ($($family:ident)*) => {
        $(#[test]
        fn $family() {
            check(stringify!($family));
        })*

        #[test]
        fn every_family_is_here() {
            let names: Vec<&str> = FAMILIES.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($family)),*]);
        }
    };
}

families! {
    he_normal
    conv2d
    max_pool2d
    dense
    dense_stack
    softmax_cross_entropy
    adam
    mean
    mask
    magnitude_sort
    stability
    focus_sweep
    gram
    surgeon
}
