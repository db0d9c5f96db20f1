use crate::*;
use holdfast::check::he_normal::{Case, fill};
use holdfast::check::recorded::philox_on_device;
use holdfast::gpu::{Buffer, Recorder, read_back};
use holdfast::kernels::he_normal::{Fill, FillArguments};

#[test]
fn a_replica_alone_has_the_bits_that_it_has_among_many() {
    let many = Case { replica_ids: vec![4, 9, 7], weights: 901, tensor: 2, seed: 3, fan_in: 30 };
    let alone = fill(usual(), &Case { replica_ids: vec![9], ..many.clone() }).unwrap();
    assert_eq!(fill(usual(), &many).unwrap().bits[901..1802], alone.bits);
}

#[test]
fn weights_have_the_moments_and_the_bound_of_the_truncated_normal() {
    let case = Case { replica_ids: vec![1], weights: 200_000, tensor: 0, seed: 5, fan_in: 2 };
    // fan_in 2: the scale makes the deviation of what is drawn 1.
    let weights = fill(usual(), &case).unwrap().numbers();
    let n = weights.len() as f64;
    let mean = weights.iter().map(|&w| f64::from(w)).sum::<f64>() / n;
    let variance = weights.iter().map(|&w| (f64::from(w) - mean).powi(2)).sum::<f64>() / n;
    assert!(mean.abs() < 5.0 / n.sqrt(), "mean {mean}");
    assert!((variance - 1.0).abs() < 5.0 * (1.37 / n).sqrt(), "variance {variance}");
    let bound = 2.0 / 0.879_626 * 1.000_001;
    assert!(weights.iter().all(|w| w.abs() <= bound));
}

#[test]
fn a_timed_recording_runs_and_has_a_time_of_its_own() {
    let gpu = gpu();
    let parameters = Buffer::<f32>::new(gpu, "parameters", 100_000).unwrap();
    let arguments = FillArguments {
        parameters_per_replica: 100_000,
        offset: 0,
        weights: 100_000,
        tensor: 0,
        seed: 1,
        scale: 1.0,
        replica_ids: &Buffer::from_slice(gpu, "ids", &[0]).unwrap(),
        parameters: &parameters,
    };
    let bound = Fill::new(gpu, gpu.usual_workgroup_size()).unwrap().bind(gpu, &arguments).unwrap();
    let mut recorder = Recorder::timed(gpu, "test");
    bound.record_once(&mut recorder).unwrap();
    // A device without usable timestamps gives none.
    if let Some(time) = recorder.submit_timed().unwrap() {
        assert!(!time.is_zero());
    }
    assert!(read_back(gpu, &parameters).unwrap().iter().all(|&weight| weight != 0.0));
}

#[test]
fn philox_gives_the_published_words_on_the_device() {
    for gpu in [gpu(), checked()] {
        assert_passed(&[philox_on_device(gpu).unwrap()]);
    }
}

#[test]
fn rejects_bad_shapes() {
    let gpu = gpu();
    let replica_ids = Buffer::from_slice(gpu, "ids", &[1u32, 2]).unwrap();
    let parameters = Buffer::new(gpu, "too short", 19).unwrap();
    let fill = Fill::new(gpu, gpu.usual_workgroup_size()).unwrap();
    let bind = |weights| {
        let arguments = FillArguments {
            parameters_per_replica: 10,
            offset: 1,
            weights,
            tensor: 0,
            seed: 0,
            scale: 1.0,
            replica_ids: &replica_ids,
            parameters: &parameters,
        };
        fill.bind(gpu, &arguments)
    };
    assert!(bind(8).is_ok());
    assert_refused(bind(9), &["he_normal.fill", "too short", "19", "20"]);
    assert_refused(bind(0), &["weights is 0"]);
}
