use crate::*;
use holdfast::check::magnitude_sort::{Case, Weights, check};
use holdfast::gpu::{Buffer, Kernel, Recorder, Shader, read_back};
use holdfast::kernels::magnitude_sort::{MOST_COUNTED, RADIX_COUNT, Rank, RankArguments};

#[test]
fn a_million_weights_are_ranked_like_the_twin() {
    for weights in [Weights::Plain, Weights::Awkward] {
        let case = Case { epochs: 1, replicas: 1, weight_count: 1_000_003, weights, radix: false };
        assert_passed(&[check(usual(), &case).unwrap()]);
    }
}

#[test]
fn the_radix_sort_is_exact_with_bounds_checks_at_every_size_of_workgroups() {
    for on in Setting::every(checked()).into_iter().filter(|on| !on.naive) {
        for weight_count in [2049, 70_001] {
            for weights in [Weights::Plain, Weights::Awkward] {
                let case = Case { epochs: 1, replicas: 2, weight_count, weights, radix: true };
                let report = check(on, &case).unwrap();
                assert!(report.passed, "{report} with {} invocations", on.workgroup_size);
            }
        }
    }
}

/// As the shaders were once.
#[test]
fn columns_for_fewer_invocations_than_a_workgroup_has_are_caught() {
    let gpu = open(true, RequestedLimits::WebGpuDefaults);
    let on = Setting { gpu: &gpu, workgroup_size: 128, naive: false };
    let source = RADIX_COUNT.source.replace("DIGITS * WORKGROUP_SIZE>", "DIGITS * 64u>");
    assert!(source != RADIX_COUNT.source);
    let spoilt = Box::leak(Box::new(Shader { source: source.leak(), ..RADIX_COUNT }));
    Kernel::new(&gpu, spoilt, &[("WORKGROUP_SIZE", on.workgroup_size)]).unwrap();
    for weight_count in [2049, 70_001] {
        let case = Case { epochs: 1, replicas: 1, weight_count, weights: Weights::Plain, radix: true };
        assert!(!check(on, &case).unwrap().passed, "{weight_count}");
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
            weight_count: 5000,
            offset,
            epoch_stride: 0,
            replica_stride: 5000,
            weights: &uploaded,
            rank: &rank,
        };
        let bound = Rank::new(gpu.usual_workgroup_size()).bind(gpu, &arguments).unwrap();
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
    let bind = |epochs, weight_count, offset| {
        let arguments = RankArguments {
            epochs,
            replicas: 1,
            weight_count,
            offset,
            epoch_stride: weight_count,
            replica_stride: 0,
            weights: &weights,
            rank: &ranks,
        };
        Rank::new(gpu.usual_workgroup_size()).bind(gpu, &arguments)
    };
    assert!(bind(2, 2000, 0).is_ok());
    assert_refused(bind(2, 2000, 1), &["magnitude_sort.rank", "weights", "4000", "4001"]);
    assert!(bind(1, MOST_COUNTED + 1, 0).is_ok());
    assert_refused(bind(1, 4000, 1), &["magnitude_sort.rank", "weights", "4000", "4001"]);
    assert_refused(bind(0, 10, 0), &["epochs is 0"]);
}
