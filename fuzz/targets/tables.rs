//! CSV files of `holdfast study`: the input up to the first 0 byte is one file, the rest the other.
#![no_main]

use holdfast::results::tables::{read_observations, read_stable_weights, tables};
use holdfast_fuzz::{file, judge};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|&byte| byte == 0).unwrap_or(input.len());
    let observations = file("observations.csv", &input[..end]);
    let stable_weights = file("stable_nodes.csv", &input[(end + 1).min(input.len())..]);
    let (observations, stable_weights) = (judge(read_observations(&observations)), judge(read_stable_weights(&stable_weights)));
    if let (Some((observations, _)), Some((stable_weights, _))) = (observations, stable_weights) {
        tables(&observations, &stable_weights);
    }
});
