//! Seeded arrays of the puzzles, and what the twins make of them.

use super::problem::{Grid, Problem, Wanted};
use crate::check::comparator::{EPSILON, Expected, sums_of_products};
use crate::check::{Draws, bits};
use crate::cpu::conv2d::{self, ConvShape};
use crate::cpu::dense::{self, DenseShape};
use crate::cpu::magnitude_sort;
use crate::cpu::surgeon;

/// Factor of the tolerance of a sum, as the checks of the kernels have it.
const FACTOR: f64 = 8.0;
/// Rounding of an exponential: its argument is rounded and may be large, and devices differ in the function.
const EXPONENTIAL: f64 = 256.0;

type Cases = Vec<(Problem, Grid)>;
type Inputs = Vec<(&'static str, Vec<u32>)>;

/// A problem whose output is not read.
fn problem(name: String, inputs: Inputs, output: &'static str, wanted: Wanted) -> Problem {
    Problem { name, inputs, scratch: Vec::new(), outputs: vec![(output, None, wanted)] }
}

fn widen(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|&number| f64::from(number)).collect()
}

fn magnitudes(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|&number| f64::from(number.abs())).collect()
}

/// A value, with the tolerance of a sum whose terms have these magnitudes together.
fn near(value: f64, terms: f64) -> Expected {
    Expected { value, tolerance: FACTOR * EPSILON * terms }
}

pub(super) fn map() -> Cases {
    let case = |elements: usize| {
        let x = Draws::new(elements as u32).numbers(elements);
        let y = x.iter().map(|&x| 2.0 * f64::from(x) + 1.0).map(|y| near(y, y.abs() + 1.0)).collect();
        let inputs = vec![("sizes", vec![elements as u32]), ("x", bits(&x))];
        (problem(format!("{elements} elements"), inputs, "y", Wanted::Near(y)), Grid::Invocations([elements, 1, 1]))
    };
    [1, 64, 100, 1000].map(case).into()
}

pub(super) fn axpy() -> Cases {
    let case = |(replicas, elements): (usize, usize)| {
        let mut draws = Draws::new(elements as u32);
        let [a, x, y] = [replicas, replicas * elements, replicas * elements].map(|len| draws.numbers(len));
        let sum = |place: usize| {
            let (a, x, y) = (f64::from(a[place / elements]), f64::from(x[place]), f64::from(y[place]));
            near(y + a * x, y.abs() + (a * x).abs())
        };
        let wanted = Wanted::Near((0..x.len()).map(sum).collect());
        let inputs = vec![("sizes", vec![elements as u32, replicas as u32]), ("a", bits(&a)), ("x", bits(&x))];
        let name = format!("{replicas} replicas of {elements} elements");
        let outputs = vec![("y", Some(bits(&y)), wanted)];
        (Problem { name, inputs, scratch: Vec::new(), outputs }, Grid::Invocations([elements, 1, replicas]))
    };
    [(1, 64), (3, 100), (5, 997)].map(case).into()
}

pub(super) fn neighbours() -> Cases {
    let case = |elements: usize| {
        // Far from 0, so that a number that was left out shows.
        let x: Vec<f32> = Draws::new(elements as u32).numbers(elements).iter().map(|x| x + 3.0).collect();
        let mean = |i: usize| {
            let own = &x[i.saturating_sub(1)..(i + 2).min(elements)];
            let mean = own.iter().map(|&x| f64::from(x)).sum::<f64>() / own.len() as f64;
            near(mean, mean)
        };
        let inputs = vec![("sizes", vec![elements as u32]), ("x", bits(&x))];
        let wanted = Wanted::Near((0..elements).map(mean).collect());
        (problem(format!("{elements} elements"), inputs, "y", wanted), Grid::Invocations([elements, 1, 1]))
    };
    [100, 64, 2, 1].map(case).into()
}

pub(super) fn barrier() -> Cases {
    let case = |elements: usize| {
        let x = Draws::new(elements as u32).numbers(elements);
        let sum = |own: &[f32]| near(widen(own).iter().sum(), magnitudes(own).iter().sum());
        let sums: Vec<Expected> = x.chunks(256).map(sum).collect();
        let groups = sums.len();
        let inputs = vec![("sizes", vec![elements as u32]), ("x", bits(&x))];
        let name = format!("{elements} elements");
        (problem(name, inputs, "sums", Wanted::Near(sums)), Grid::Workgroups([groups, 1, 1]))
    };
    [256, 1000, 5000].map(case).into()
}

pub(super) fn order() -> Cases {
    let case = |(rows, elements): (usize, usize)| {
        let mut draws = Draws::new(elements as u32);
        // Of very different sizes, so that every order has other bits.
        let exponents = draws.below(rows * elements, 16);
        let x: Vec<f32> = draws.numbers(rows * elements);
        let x: Vec<f32> = x.iter().zip(exponents).map(|(x, exponent)| x * f32::powi(4.0, exponent as i32)).collect();
        let sums: Vec<f32> = x.chunks(elements).map(|row| row.iter().fold(0.0, |sum, x| sum + x)).collect();
        let inputs = vec![("sizes", vec![elements as u32, rows as u32]), ("x", bits(&x))];
        let outputs = vec![("total", Some(vec![0; rows]), Wanted::Exact(bits(&sums)))];
        let name = format!("{rows} rows of {elements} elements");
        (Problem { name, inputs, scratch: Vec::new(), outputs }, Grid::Invocations([elements, rows, 1]))
    };
    [(1, 10), (3, 1000)].map(case).into()
}

pub(super) fn dense() -> Cases {
    let case = |(samples, inputs, outputs): (usize, usize, usize)| {
        let mut draws = Draws::new((inputs * 100 + samples) as u32);
        let mut input = draws.numbers(samples * inputs);
        input.iter_mut().for_each(|x| *x = x.max(0.0));
        let [weights, bias] = [inputs * outputs, outputs].map(|len| draws.numbers(len));
        let twin = |number: fn(&[f32]) -> Vec<f64>| {
            let mut output = vec![0.0; samples * outputs];
            let shape = DenseShape { samples, inputs, outputs };
            dense::forward(shape, &number(&input), &number(&weights), &number(&bias), true, &mut output);
            output
        };
        let wanted = Wanted::Near(sums_of_products(&twin(widen), &twin(magnitudes), FACTOR));
        let sizes = [samples, inputs, outputs].map(|size| size as u32).to_vec();
        let arrays =
            vec![("sizes", sizes), ("input", bits(&input)), ("weights", bits(&weights)), ("bias", bits(&bias))];
        let name = format!("{samples} samples, {inputs} inputs and {outputs} units");
        (problem(name, arrays, "output", wanted), Grid::Invocations([outputs, samples, 1]))
    };
    [(1, 1, 1), (5, 7, 9), (32, 784, 30)].map(case).into()
}

pub(super) fn softmax() -> Cases {
    let case = |(rows, classes, size): (usize, usize, f32)| {
        let logits: Vec<f32> = Draws::new(rows as u32).numbers(rows * classes).iter().map(|x| x * size).collect();
        let mut wanted = Vec::new();
        for row in widen(&logits).chunks(classes) {
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|z| (z - largest).exp()).sum();
            let probabilities = row.iter().map(|z| (z - largest).exp() / sum);
            // What a device rounds to 0 is near enough to it.
            let tolerance = |p: f64| EXPONENTIAL * EPSILON * p + f64::from(f32::MIN_POSITIVE);
            wanted.extend(probabilities.map(|value| Expected { value, tolerance: tolerance(value) }));
        }
        let inputs = vec![("sizes", vec![rows as u32, classes as u32]), ("logits", bits(&logits))];
        let name = format!("{rows} rows of {classes} classes, logits up to {size}");
        (problem(name, inputs, "probabilities", Wanted::Near(wanted)), Grid::Invocations([rows, 1, 1]))
    };
    [(32, 10, 2.0), (70, 10, 20.0), (33, 3, 300.0)].map(case).into()
}

pub(super) fn scan() -> Cases {
    let case = |elements: usize| {
        let x = Draws::new(elements as u32).below(elements, 1000);
        let running = |block: &[u32]| -> Vec<u32> {
            block
                .iter()
                .scan(0, |sum, x| {
                    *sum += x;
                    Some(*sum)
                })
                .collect()
        };
        let y = x.chunks(256).flat_map(running).collect();
        let inputs = vec![("sizes", vec![elements as u32]), ("x", x)];
        let groups = elements.div_ceil(256);
        let name = format!("{elements} elements");
        (problem(name, inputs, "y", Wanted::Exact(y)), Grid::Workgroups([groups, 1, 1]))
    };
    [256, 100, 1000].map(case).into()
}

pub(super) fn stability() -> Cases {
    let case = |(epochs, weights): (usize, usize)| {
        let mut draws = Draws::new((epochs * 1000 + weights) as u32);
        let (start, steps) = (draws.numbers(weights), draws.numbers(epochs * weights));
        // A walk that comes to rest, and in and out of its bounds on the way.
        let at = |place: usize| start[place % weights] + 0.3 * steps[place] / (1 + place / weights) as f32;
        let history: Vec<f32> = (0..steps.len()).map(at).collect();
        let last = &history[(epochs - 1) * weights..];
        let [lower, upper] = [-0.02f32, 0.02].map(|width| last.iter().map(|w| w + width).collect::<Vec<f32>>());
        let count = |i: usize| {
            let within = |t: &usize| (lower[i]..=upper[i]).contains(&history[t * weights + i]);
            (0..epochs).rev().take_while(within).count() as u32
        };
        let wanted = Wanted::Exact((0..weights).map(count).collect());
        let inputs = vec![
            ("sizes", vec![epochs as u32, weights as u32]),
            ("history", bits(&history)),
            ("lower", bits(&lower)),
            ("upper", bits(&upper)),
        ];
        let name = format!("{epochs} epochs of {weights} weights");
        (problem(name, inputs, "stability", wanted), Grid::Invocations([weights, 1, 1]))
    };
    [(1, 1), (10, 100), (100, 900)].map(case).into()
}

pub(super) fn rank() -> Cases {
    let case = |(count, is_awkward): (usize, bool)| {
        let mut draws = Draws::new(count as u32);
        let few = [0.0, -0.0, f32::from_bits(1), f32::from_bits(2), -0.5, 0.5, 1.0, -2.0];
        let weights: Vec<f32> = match is_awkward {
            true => draws.below(count, few.len() as u32).into_iter().map(|place| few[place as usize]).collect(),
            false => draws.numbers(count),
        };
        let mut rank = vec![0; count];
        magnitude_sort::rank(&weights, &mut rank);
        let inputs = vec![("sizes", vec![count as u32]), ("weights", bits(&weights))];
        let name = format!("{count} weights{}", if is_awkward { ", many of them equal" } else { "" });
        (problem(name, inputs, "rank", Wanted::Exact(rank)), Grid::Invocations([count, 1, 1]))
    };
    [(1, false), (100, false), (65, true), (900, true)].map(case).into()
}

pub(super) fn backward() -> Cases {
    let case = |(height, width, inputs, outputs): (usize, usize, usize, usize)| {
        let mut draws = Draws::new((height * 100 + width) as u32);
        let [gradient, weights] = [height * width * outputs, 9 * inputs * outputs].map(|len| draws.numbers(len));
        let twin = |number: fn(&[f32]) -> Vec<f64>| {
            let mut result = vec![0.0; height * width * inputs];
            let shape = ConvShape { samples: 1, height, width, inputs, outputs };
            // Inputs above 0 let every gradient pass: no ReLU stands before this layer.
            let input = vec![1.0; result.len()];
            conv2d::backward_input(shape, &number(&gradient), &number(&weights), &input, &mut result);
            result
        };
        let wanted = Wanted::Near(sums_of_products(&twin(widen), &twin(magnitudes), FACTOR));
        let sizes = [height, width, inputs, outputs].map(|size| size as u32).to_vec();
        let arrays = vec![("sizes", sizes), ("output_gradient", bits(&gradient)), ("weights", bits(&weights))];
        let name = format!("{height} x {width} pixels, {inputs} channels in and {outputs} out");
        (problem(name, arrays, "input_gradient", wanted), Grid::Invocations([height * width * inputs, 1, 1]))
    };
    [(1, 1, 1, 1), (3, 5, 2, 3), (14, 14, 8, 8)].map(case).into()
}

pub(super) fn surgeon() -> Cases {
    let case = |(columns, removed): (usize, usize)| {
        let mut draws = Draws::new((columns * 100 + removed) as u32);
        let (rows, weights) = (draws.numbers(2 * columns * columns), draws.numbers(columns));
        // A symmetric positive definite matrix stands for the inverse.
        let entry = |i: usize, j: usize| -> f64 {
            let products = rows.chunks(columns).map(|row| f64::from(row[i]) * f64::from(row[j]));
            products.sum::<f64>() + if i == j { 0.5 } else { 0.0 }
        };
        let inverse: Vec<f32> =
            (0..columns * columns).map(|place| entry(place / columns, place % columns) as f32).collect();
        let (mut after, mut moved) = (widen(&inverse), widen(&weights));
        surgeon::remove(columns, removed, &mut after, &mut moved);
        let at = |i: usize, j: usize| f64::from(inverse[i * columns + j]).abs();
        let share = |i: usize| at(i, removed) / at(removed, removed);
        let entries = after.iter().enumerate().map(|(place, &value)| {
            let (i, j) = (place / columns, place % columns);
            near(value, at(i, j) + share(i) * at(removed, j))
        });
        let own = moved
            .iter()
            .enumerate()
            .map(|(i, &value)| near(value, f64::from(weights[i].abs()) + share(i) * f64::from(weights[removed].abs())));
        let sizes = vec![columns as u32, removed as u32];
        let outputs = vec![
            ("new_inverse", None, Wanted::Near(entries.collect())),
            ("new_weights", None, Wanted::Near(own.collect())),
        ];
        let inputs = vec![("sizes", sizes), ("inverse", bits(&inverse)), ("weights", bits(&weights))];
        let name = format!("{columns} columns of which {removed} goes");
        (Problem { name, inputs, scratch: Vec::new(), outputs }, Grid::Invocations([columns * columns, 1, 1]))
    };
    [(2, 1), (31, 7), (60, 0)].map(case).into()
}
