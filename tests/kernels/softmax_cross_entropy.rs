use crate::*;
use holdfast::check::softmax_cross_entropy::{Case, loss};
use holdfast::gpu::Buffer;
use holdfast::kernels::StepRecord;
use holdfast::kernels::softmax_cross_entropy::{BatchLoss, Loss, LossArguments};

#[test]
fn a_replica_alone_has_the_bits_that_it_has_among_many() {
    // All logits are 0 and so equal for all replicas, labels are not: the mean is ln(10) for each of them.
    let many = Case { replicas: 7, samples: 77, classes: 10, range: 0.0 };
    let mean = |case: &Case| loss(usual(), case).unwrap()[1].clone();
    let (many, alone) = (mean(&many), mean(&Case { replicas: 1, ..many }));
    assert!(many.bits.iter().all(|&bits| bits == alone.bits[0]), "{:?}", many.numbers());
    assert!((f64::from(alone.numbers()[0]) - 10f64.ln()).abs() < 2e-6);
}

#[test]
fn rejects_bad_shapes() {
    let gpu = gpu();
    let steps = Buffer::from_slice(gpu, "steps", &[StepRecord::new(0, 4, 4, 0, 0.0)]).unwrap();
    let indices = Buffer::<u32>::new(gpu, "indices", 8).unwrap();
    let [logits, gradient] = [80, 79].map(|len| Buffer::<f32>::new(gpu, "array", len).unwrap());
    let losses = Buffer::<BatchLoss>::new(gpu, "losses", 2).unwrap();
    let bind = |replicas, classes, gradient| {
        let arguments = LossArguments {
            replicas,
            capacity: 4,
            classes,
            steps: &steps,
            order: &indices,
            labels: &indices,
            logits: &logits,
            gradient,
            losses: &losses,
        };
        Loss::new(gpu).unwrap().bind(gpu, &arguments)
    };
    assert!(bind(2, 10, &logits).is_ok());
    assert_refused(bind(2, 10, &gradient), &["softmax_cross_entropy.loss", "gradient", "79", "80"]);
    assert_refused(bind(2, 11, &logits), &["logits", "88"]);
    assert_refused(bind(3, 2, &logits), &["losses"]);
    assert_refused(bind(1, 1, &logits), &["1 classes"]);
    assert_refused(bind(1, 257, &logits), &["257 classes"]);
}
