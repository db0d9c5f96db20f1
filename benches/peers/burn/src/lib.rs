//! A training step in burn: microseconds of a step of one network; warm-up, compilation and autotuning are left out. One
//! program for each back end, so that each is compiled by itself.
//!
//! Arguments: `[--model dnn|cnn] [--filters N] [--steps N]`. The batch is the same at every step and lies on
//! the device, so nothing is copied, and no loss is read: the best case for burn.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::optim::{AdamConfig, GradientsParams, Optimizer};
use burn::tensor::activation::relu;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Distribution, ElementConversion, Int, Tensor};
use std::time::Instant;

const BATCH: usize = 32;
const SIDE: usize = 28;
const CLASSES: usize = 10;
const WIDTH: usize = 30;
const DEPTH: usize = 6;
/// Steps before the clock starts: kernels are compiled, fused and tuned in them.
const WARM_UP: usize = 5;

#[derive(Module, Debug)]
struct Network<B: Backend> {
    convolutions: Vec<Conv2d<B>>,
    pool: MaxPool2d,
    dense: Vec<Linear<B>>,
}

impl<B: Backend> Network<B> {
    /// The fully connected network, or with `filters` the one with four convolutions before it.
    fn new(filters: usize, device: &B::Device) -> Self {
        let channels = if filters == 0 { vec![] } else { vec![1, filters, filters, filters] };
        let convolution = |&inputs: &usize| {
            let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
            Conv2dConfig::new([inputs, filters], [3, 3]).with_padding(padding).init(device)
        };
        let mut sizes = vec![if filters == 0 { SIDE * SIDE } else { 9 * filters }];
        sizes.extend([WIDTH; DEPTH]);
        sizes.push(CLASSES);
        Self {
            convolutions: channels.iter().map(convolution).collect(),
            pool: MaxPool2dConfig::new([2, 2]).init(),
            dense: sizes.windows(2).map(|pair| LinearConfig::new(pair[0], pair[1]).init(device)).collect(),
        }
    }

    fn forward(&self, images: Tensor<B, 4>) -> Tensor<B, 2> {
        let mut hidden = images;
        for (index, convolution) in self.convolutions.iter().enumerate() {
            hidden = relu(convolution.forward(hidden));
            if index < 3 {
                hidden = self.pool.forward(hidden);
            }
        }
        let mut hidden: Tensor<B, 2> = hidden.flatten(1, 3);
        for (index, layer) in self.dense.iter().enumerate() {
            hidden = layer.forward(hidden);
            if index + 1 < self.dense.len() {
                hidden = relu(hidden);
            }
        }
        hidden
    }
}

/// Warms up, then measures so many steps for every line of standard input, as `worker.py` does.
pub fn serve<B: AutodiffBackend>() {
    let (filters, steps) = arguments();
    let device = B::Device::default();
    let mut network = Network::<B>::new(filters, &device);
    let mut optimizer = AdamConfig::new().with_epsilon(1e-7).init();
    let images = Tensor::<B, 4>::random([BATCH, 1, SIDE, SIDE], Distribution::Uniform(0.0, 1.0), &device);
    let labels: [i32; BATCH] = std::array::from_fn(|sample| (sample % CLASSES) as i32);
    let labels = Tensor::<B, 1, Int>::from_ints(labels, &device);
    let loss = CrossEntropyLossConfig::new().init(&device);
    let mut train = |mut network: Network<B>, steps: usize| {
        for _ in 0..steps {
            let value = loss.forward(network.forward(images.clone()), labels.clone());
            let gradients = GradientsParams::from_grads(value.backward(), &network);
            network = optimizer.step(0.001, network, gradients);
        }
        // What was asked for may still be waiting: reading a parameter waits for the last update.
        let bias = network.dense[DEPTH].bias.as_ref().expect("layers have a bias").val();
        let sum: f32 = bias.sum().into_scalar().elem();
        assert!(sum.is_finite(), "training went wrong");
        network
    };
    network = train(network, WARM_UP);
    println!("ready");
    for _ in std::io::stdin().lines() {
        let start = Instant::now();
        network = train(network, steps);
        println!("{}", start.elapsed().as_secs_f64() * 1e6 / steps as f64);
    }
}

/// Filters of each convolution, 0 for the fully connected network, and steps of one measurement.
fn arguments() -> (usize, usize) {
    let words: Vec<String> = std::env::args().collect();
    let value = |name: &str| words.iter().position(|word| word == name).map(|at| words[at + 1].as_str());
    let number = |name, default| value(name).map_or(default, |text| text.parse().expect("a number"));
    let filters = if value("--model") == Some("cnn") { number("--filters", 8) } else { 0 };
    (filters, number("--steps", 20))
}
