//! The composition of twins in double precision equals PyTorch.

use crate::fixture;
use holdfast::cpu::{dense, mask, training_step};

#[test]
fn twins_equal_pytorch_in_every_loss_gradient_and_weight() {
    for fixture in fixture::all() {
        let pixels = fixture.data.image_len();
        let mut replica = fixture.replica::<f64>();
        for (index, order) in fixture.orders.iter().enumerate() {
            fixture.mask_at(index, &mut replica);
            let mut input = vec![0.0; order.len() * pixels];
            dense::gather(pixels, &fixture.data.images, order, 1.0 / 255.0, &mut input);
            let labels: Vec<u8> = order.iter().map(|&sample| fixture.data.labels[sample as usize]).collect();
            if index == 0 {
                let (_, gradient) =
                    training_step::gradient(&fixture.architecture, &replica.parameters, &input, &labels);
                assert_close(&fixture.name, "first gradient", &gradient, &fixture.first_gradient, 1e-12);
            }
            let rate = fixture.rates.rate(index as u64 + 1);
            let loss = training_step::step(&fixture.architecture, &mut replica, &input, &labels, rate, 1.0);
            let expected = fixture.losses[index];
            assert!(
                ((loss.mean - expected) / expected).abs() < 1e-12,
                "{}: loss of step {index} is {}, PyTorch has {expected}",
                fixture.name,
                loss.mean
            );
        }
        assert_close(&fixture.name, "final weights", &replica.parameters, &fixture.final_parameters, 1e-12);
        if let Some((_, states)) = &fixture.mask {
            for (place, _) in states.iter().enumerate().filter(|&(_, &state)| state == mask::PRUNED) {
                let numbers = [replica.parameters[place], replica.m[place], replica.v[place]];
                assert_eq!(numbers.map(f64::to_bits), [0; 3], "{}: parameter {place} is pruned", fixture.name);
            }
        }
        let all: Vec<u32> = (0..fixture.data.samples() as u32).collect();
        let mut input = vec![0.0; all.len() * pixels];
        dense::gather(pixels, &fixture.data.images, &all, 1.0 / 255.0, &mut input);
        let activations = training_step::forward(&fixture.architecture, &replica.parameters, &input);
        assert_close(&fixture.name, "final logits", activations.last().unwrap(), &fixture.final_logits, 1e-11);
    }
}

fn assert_close(name: &str, what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{name}: number of {what}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() < tolerance, "{name}: {what} {index} is {found}, PyTorch has {expected}");
    }
}
