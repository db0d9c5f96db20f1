use crate::*;
use holdfast::check::magnitude_sort::{Case, Weights, all, cases, check, rank};
use holdfast::gpu::{Buffer, Recorder, read_back};
use holdfast::kernels::magnitude_sort::{MOST_COUNTED, Rank, RankArguments};

#[test]
fn matches_the_stable_sort_of_the_standard_library() {
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
    for (nodes, radix) in [(900, false), (4099, true)] {
        let case = Case { epochs: 2, replicas: 2, nodes, weights: Weights::Awkward, radix };
        assert_deterministic(|gpu| rank(gpu, &case));
    }
}

#[test]
fn a_million_nodes_are_ranked_like_the_twin() {
    for weights in [Weights::Plain, Weights::Awkward] {
        let case = Case { epochs: 1, replicas: 1, nodes: 1_000_003, weights, radix: false };
        assert_passed(&[check(gpu(), &case).unwrap()]);
    }
}

#[test]
fn a_segment_alone_has_the_ranks_that_it_has_among_many() {
    let gpu = gpu();
    let weights: Vec<f32> = (0..3 * 5000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32).collect();
    let uploaded = Buffer::from_slice(gpu, "weights", &weights).unwrap();
    let ranks = |offset, replicas| {
        let rank = Buffer::new(gpu, "rank", replicas * 5000).unwrap();
        let arguments = RankArguments {
            epochs: 1,
            replicas,
            nodes: 5000,
            offset,
            epoch_stride: 0,
            replica_stride: 5000,
            weights: &uploaded,
            rank: &rank,
        };
        let bound = Rank::new().bind(gpu, &arguments).unwrap();
        let mut recorder = Recorder::new(gpu, "test");
        bound.record(&mut recorder).unwrap();
        recorder.submit().unwrap();
        read_back(gpu, &rank).unwrap()
    };
    assert_eq!(ranks(0, 3)[5000..10_000], ranks(5000, 1));
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
        Rank::new().bind(gpu, &arguments)
    };
    assert!(bind(2, 2000, 0).is_ok());
    assert_refused(bind(2, 2000, 1), &["magnitude_sort.rank", "weights", "4000", "4001"]);
    assert!(bind(1, MOST_COUNTED + 1, 0).is_ok());
    assert_refused(bind(1, 4000, 1), &["magnitude_sort.rank", "weights", "4000", "4001"]);
    assert_refused(bind(0, 10, 0), &["epochs is 0"]);
}
