//! One training step in burn. Prints microseconds of a step of one network; warm-up and compilation are left out.
//! Arguments: `ndarray|wgpu [--model dnn|cnn] [--filters N] [--steps N]`.

use burn::backend::{Autodiff, NdArray, Wgpu};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::optim::{AdamConfig, GradientsParams, Optimizer};
use burn::tensor::activation::relu;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Distribution, Int, Tensor};
use std::time::Instant;

const BATCH: usize = 32;
const SIDE: usize = 28;
const WIDTH: usize = 30;

#[derive(Module, Debug)]
struct Network<B: Backend> {
    convolutions: Vec<Conv2d<B>>,
    pool: MaxPool2d,
    dense: Vec<Linear<B>>,
}

impl<B: Backend> Network<B> {
    fn new(filters: usize, device: &B::Device) -> Self {
        let channels = if filters == 0 { vec![] } else { vec![1, filters, filters, filters] };
        let convolution = |inputs: &usize| {
            let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
            Conv2dConfig::new([*inputs, filters], [3, 3]).with_padding(padding).init(device)
        };
        let features = if filters == 0 { SIDE * SIDE } else { 9 * filters };
        let sizes = [features, WIDTH, WIDTH, WIDTH, WIDTH, WIDTH, WIDTH, 10];
        Self {
            convolutions: channels.iter().map(convolution).collect(),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
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

fn microseconds<B: AutodiffBackend>(filters: usize, steps: usize) -> f64 {
    let device = B::Device::default();
    let mut network = Network::<B>::new(filters, &device);
    let mut optimizer = AdamConfig::new().with_epsilon(1e-7).init();
    let images = Tensor::<B, 4>::random([BATCH, 1, SIDE, SIDE], Distribution::Uniform(0.0, 1.0), &device);
    let labels = Tensor::<B, 1, Int>::from_ints(std::array::from_fn::<i32, BATCH, _>(|sample| sample as i32 % 10), &device);
    let loss = CrossEntropyLossConfig::new().init(&device);
    let mut run = |steps: usize| {
        let mut last = 0.0;
        for _ in 0..steps {
            let value = loss.forward(network.forward(images.clone()), labels.clone());
            let gradients = GradientsParams::from_grads(value.backward(), &network);
            network = optimizer.step(0.001, network.clone(), gradients);
            last = value.into_scalar().to_string().parse().unwrap_or(f64::NAN);
        }
        last
    };
    run(3);
    let start = Instant::now();
    run(steps);
    start.elapsed().as_secs_f64() * 1e6 / steps as f64
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| arguments.iter().position(|argument| argument == name).map(|at| arguments[at + 1].clone());
    let cnn = value("--model").as_deref() == Some("cnn");
    let filters = if cnn { value("--filters").map_or(8, |text| text.parse().unwrap()) } else { 0 };
    let steps = value("--steps").map_or(20, |text| text.parse().unwrap());
    let microseconds = match arguments[1].as_str() {
        "wgpu" => microseconds::<Autodiff<Wgpu>>(filters, steps),
        _ => microseconds::<Autodiff<NdArray>>(filters, steps),
    };
    println!("{microseconds}");
}
