use crate::*;
use holdfast::check::magnitude_sort::{Case, all, cases, rank};
use holdfast::gpu::Buffer;
use holdfast::kernels::magnitude_sort::{Rank, RankArguments};

#[test]
fn matches_the_standard_librarys_stable_sort() {
    assert_passed(&all(gpu()).unwrap());
}

#[test]
fn every_variant_agrees() {
    cases().iter().for_each(|case| assert_variants_agree(|gpu| rank(gpu, case)));
}

#[test]
fn writes_all_and_only_its_output() {
    cases().iter().for_each(|case| assert_whole(&[rank(gpu(), case).unwrap()]));
}

#[test]
fn is_deterministic() {
    assert_deterministic(|gpu| rank(gpu, &Case { epochs: 2, replicas: 2, nodes: 900, awkward: true }));
}

#[test]
fn rejects_bad_shapes() {
    let gpu = gpu();
    let weights = Buffer::<f32>::new(gpu, "weights", 4000).unwrap();
    let ranks = Buffer::<u32>::new(gpu, "rank", 4000).unwrap();
    let bind = |epochs, nodes, offset| {
        let arguments = RankArguments {
            epochs,
            replicas: 1,
            nodes,
            offset,
            epoch_stride: nodes,
            replica_stride: 0,
            weights: &weights,
            rank: &ranks,
        };
        Rank::new(gpu).unwrap().bind(gpu, &arguments)
    };
    assert!(bind(2, 2000, 0).is_ok());
    assert_refused(bind(2, 2000, 1), &["magnitude_sort.rank", "weights", "4000", "4001"]);
    assert_refused(bind(1, 2049, 0), &["2049 nodes", "2048"]);
    assert_refused(bind(0, 10, 0), &["epochs is 0"]);
}
