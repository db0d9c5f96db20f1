use super::*;
use crate::engine::Engine;
use crate::network::Architecture;
use std::collections::HashMap;
use tempfile::tempdir;

/// Numbers with the sizes of their axes.
type Array = (Vec<usize>, Vec<f64>);

/// Runs a graph by plain loops, each operator as ONNX defines it.
fn interpret(graph: &Graph, images: Array) -> Array {
    let mut values: HashMap<String, Array> = HashMap::from([(graph.input[0].name.clone(), images)]);
    for tensor in &graph.initializer {
        let shape: Vec<usize> = tensor.dims.iter().map(|&size| size as usize).collect();
        let numbers: Vec<f64> = match tensor.data_type {
            FLOAT => tensor.raw_data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes).into()).collect(),
            _ => tensor.raw_data.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes) as f64).collect(),
        };
        assert_eq!(numbers.len(), shape.iter().product::<usize>(), "{}", tensor.name);
        values.insert(tensor.name.clone(), (shape, numbers));
    }
    for node in &graph.node {
        let inputs: Vec<&Array> = node.input.iter().map(|name| &values[name]).collect();
        let produced = operate(node, &inputs);
        values.insert(node.output[0].clone(), produced);
    }
    values.remove(&graph.output[0].name).unwrap()
}

fn ints(node: &Node, name: &str) -> Vec<i64> {
    let found = node.attribute.iter().find(|attribute| attribute.name == name).unwrap();
    found.i.into_iter().chain(found.ints.iter().copied()).collect()
}

fn operate(node: &Node, inputs: &[&Array]) -> Array {
    let (shape, x) = inputs[0];
    if node.op_type == "ConstantOfShape" {
        return (x.iter().map(|&size| size as usize).collect(), vec![0.0; x.iter().product::<f64>() as usize]);
    }
    let rest: usize = shape[1..].iter().product();
    match node.op_type.as_str() {
        "Flatten" => (vec![shape[0], rest], x.clone()),
        "Cast" => (shape.clone(), x.clone()),
        "Relu" => (shape.clone(), x.iter().map(|x| x.max(0.0)).collect()),
        "Sub" => (shape.clone(), x.iter().map(|x| x - inputs[1].1[0]).collect()),
        "Unsqueeze" if inputs[1].1 != [1.0] => panic!("{:?}", inputs[1]),
        "ScatterND" => {
            let mut filled = x.clone();
            assert_eq!((inputs[1].0[1], inputs[2].0[1]), (1, rest), "whole rows");
            for (&place, row) in inputs[1].1.iter().zip(inputs[2].1.chunks(rest)) {
                filled[place as usize * rest..][..rest].copy_from_slice(row);
            }
            (shape.clone(), filled)
        }
        "Unsqueeze" => ([&[shape[0], 1][..], &shape[1..]].concat(), x.clone()),
        "Transpose" => {
            assert_eq!(ints(node, "perm"), [0, 3, 1, 2]);
            let [samples, height, width, channels] = shape[..] else { panic!("{shape:?}") };
            let place = |i: usize| {
                let (sample, channel, pixel) = (i / rest, i % rest / (height * width), i % (height * width));
                (sample * height * width + pixel) * channels + channel
            };
            (vec![samples, channels, height, width], (0..x.len()).map(|i| x[place(i)]).collect())
        }
        "Gather" => {
            assert_eq!((ints(node, "axis"), shape.len()), (vec![1], 2));
            let rows = x.chunks(rest).flat_map(|row| inputs[1].1.iter().map(|&place| row[place as usize])).collect();
            (vec![shape[0], inputs[1].1.len()], rows)
        }
        "Gemm" => {
            let ([read, units], weights) = (inputs[1].0[..].try_into().unwrap(), &inputs[1].1);
            assert_eq!(read, rest);
            let bias = inputs.get(2).map_or(vec![0.0; units], |bias| bias.1.clone());
            let unit = |row: &[f64], k: usize| -> f64 {
                bias[k] + row.iter().enumerate().map(|(i, x)| x * weights[i * units + k]).sum::<f64>()
            };
            (
                vec![shape[0], units],
                x.chunks(rest).flat_map(|row| (0..units).map(move |k| unit(row, k))).collect::<Vec<_>>(),
            )
        }
        "Conv" => {
            assert_eq!((ints(node, "kernel_shape"), ints(node, "pads")), (vec![3, 3], vec![1; 4]));
            let [samples, channels, height, width] = shape[..] else { panic!("{shape:?}") };
            let units = inputs[1].0[0];
            assert_eq!(inputs[1].0, [units, channels, 3, 3]);
            let mut produced = Vec::new();
            for (sample, unit, y, xx) in (0..samples * units * height * width)
                .map(|i| (i / (units * height * width), i / (height * width) % units, i / width % height, i % width))
            {
                let mut sum = inputs.get(2).map_or(0.0, |bias| bias.1[unit]);
                for (channel, ky, kx) in (0..9 * channels).map(|i| (i / 9, i / 3 % 3, i % 3)) {
                    let (row, column) = ((y + ky).wrapping_sub(1), (xx + kx).wrapping_sub(1));
                    if row < height && column < width {
                        sum += x[((sample * channels + channel) * height + row) * width + column]
                            * inputs[1].1[((unit * channels + channel) * 3 + ky) * 3 + kx];
                    }
                }
                produced.push(sum);
            }
            (vec![samples, units, height, width], produced)
        }
        "MaxPool" => {
            assert_eq!((ints(node, "kernel_shape"), ints(node, "strides")), (vec![2, 2], vec![2, 2]));
            let [samples, channels, height, width] = shape[..] else { panic!("{shape:?}") };
            let (rows, columns) = (height / 2, width / 2);
            let largest = |i: usize| {
                let (plane, y, x0) = (i / (rows * columns), i / columns % rows, i % columns);
                let at = |k: usize| x[(plane * height + 2 * y + k / 2) * width + 2 * x0 + k % 2];
                (0..4).map(at).fold(f64::NEG_INFINITY, f64::max)
            };
            (vec![samples, channels, rows, columns], (0..samples * channels * rows * columns).map(largest).collect())
        }
        "Softmax" => {
            let row = |row: &[f64]| {
                let sum: f64 = row.iter().map(|x| x.exp()).sum();
                row.iter().map(|x| x.exp() / sum).collect::<Vec<_>>()
            };
            (shape.clone(), x.chunks(rest).flat_map(row).collect())
        }
        other => panic!("{other}"),
    }
}

/// A network with weights in the size of trained ones.
fn network(architecture: Architecture, input: InputScale) -> StoredNetwork {
    let layout = ParameterLayout::new(&architecture);
    let mut parameters: Vec<f32> = (0..layout.parameters()).map(|place| (place as f32 * 0.7).sin()).collect();
    for tensor in layout.tensors.iter().filter(|tensor| tensor.fan_in.is_some()) {
        let size = (2.0 / tensor.fan_in.unwrap() as f32).sqrt();
        parameters[tensor.range()].iter_mut().for_each(|weight| *weight *= size);
    }
    layout.missing().for_each(|tensor| parameters[tensor.range()].fill(0.0));
    StoredNetwork { architecture, parameters, pixels: None, input }
}

/// Logits by the engine's forward pass, and the sizes of the sums that they are.
fn logits(network: &StoredNetwork, images: &[u8]) -> Vec<f32> {
    let engine = Engine::cpu(Some(1)).unwrap();
    let layout = ParameterLayout::new(&network.architecture);
    let mut values = network.input.features(images);
    for (index, layer) in Layer::all(&network.architecture).iter().enumerate() {
        let [weights, bias] = Layer::tensors(&layout, index).map(|tensor| &network.parameters[tensor.range()]);
        values = engine.forward_layer(layer, weights, bias, &values, None).unwrap().values;
    }
    values
}

const SAMPLES: usize = 5;

fn drawn(length: usize) -> Vec<u8> {
    (0..SAMPLES * length).map(|place| (place * 37 % 251) as u8).collect()
}

fn settings(image: [usize; 3]) -> OnnxSettings {
    OnnxSettings { image, softmax: false, accuracy: None }
}

/// What comes out of the file of a network, for `images` of the size of the settings.
fn run(network: &StoredNetwork, settings: OnnxSettings, images: &[u8]) -> (Model, Array) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("network.onnx");
    model(network, settings).unwrap().write(&path).unwrap();
    let read = Model::read(&path).unwrap();
    let graph = read.graph.as_ref().unwrap();
    let sizes = &graph.input[0].r#type.as_ref().unwrap().tensor_type.as_ref().unwrap().shape.as_ref().unwrap().dim;
    let sizes = sizes.iter().map(|axis| axis.size.map_or(SAMPLES, |size| size as usize)).collect();
    let out = interpret(graph, (sizes, images.iter().map(|&pixel| pixel.into()).collect()));
    (read, out)
}

/// As far apart as sums of so many terms may be that are added in another order, and divided before or after.
fn assert_near(found: &[f64], expected: &[f32], network: &StoredNetwork) {
    let terms: usize = Layer::all(&network.architecture).iter().map(|layer| layer.inputs() + 3).sum();
    let largest = expected.iter().fold(1.0f64, |largest, &value| largest.max(f64::from(value).abs()));
    let tolerance = terms as f64 * f64::from(f32::EPSILON) * largest;
    assert_eq!(found.len(), expected.len());
    for (found, &expected) in found.iter().zip(expected) {
        assert!((found - f64::from(expected)).abs() <= tolerance, "{found} for {expected}, within {tolerance}");
    }
}

#[test]
fn a_model_that_is_read_back_gives_our_logits() {
    let convolved = |list: &[(usize, bool)]| {
        list.iter().map(|&(filters, pool)| crate::network::Convolution { filters, pool }).collect()
    };
    let dnn = Architecture::dnn(5, 7, [6, 4], 3);
    let cnn = Architecture { convolutions: convolved(&[(3, true), (4, false)]), ..dnn.clone() };
    let plain = InputScale::divided_by(255.0);
    let shifted = InputScale { divisor: 255.0, mean: 0.1307, sd: 0.3081 };
    for architecture in [
        dnn.clone(),
        Architecture { channels: 3, ..dnn.clone() },
        Architecture { bias: false, ..dnn.clone() },
        Architecture { hidden: vec![6], ..dnn.clone() },
        Architecture { hidden: Vec::new(), ..dnn },
        cnn.clone(),
        Architecture { channels: 3, convolutions: convolved(&[(2, true), (3, true)]), ..cnn.clone() },
        Architecture { bias: false, ..cnn },
    ] {
        for input in [plain, shifted] {
            let network = network(architecture.clone(), input);
            let images = drawn(architecture.image_len());
            let image = [architecture.image_height, architecture.image_width, architecture.channels];
            let (model, (shape, found)) = run(&network, settings(image), &images);
            assert_eq!(shape, [SAMPLES, 3], "{architecture:?}");
            assert_near(&found, &logits(&network, &images), &network);
            let graph = model.graph.unwrap();
            let names: Vec<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
            let has_bias = architecture.bias || input.mean != 0.0 && architecture.convolutions.is_empty();
            let first = if architecture.convolutions.is_empty() { "dense0.bias" } else { "conv0.bias" };
            assert_eq!(names.contains(&first), has_bias, "{names:?}");
        }
    }
}

#[test]
fn pixels_that_are_not_read_are_gathered_away_where_that_pays_and_else_have_weights_of_zero() {
    let input = InputScale { divisor: 255.0, mean: 0.5, sd: 2.0 };
    let pixels = vec![1, 5, 6, 11];
    let filled = ["Flatten", "Cast", "ConstantOfShape", "Unsqueeze", "ScatterND", "Gemm"];
    // A unit more, and the weights that a gather saves outweigh it: 8 pixels of 12 are not read.
    for (units, expected) in [(64, &filled[..]), (65, &["Flatten", "Gather", "Cast", "Gemm"][..])] {
        let architecture = Architecture::dnn(1, 4, [units, 3], 2);
        for architecture in [architecture.clone(), Architecture { bias: false, ..architecture }] {
            let network = StoredNetwork { pixels: Some(pixels.clone()), ..network(architecture, input) };
            let images = drawn(12);
            let read = |image: &[u8]| pixels.iter().map(|&pixel| image[pixel as usize]).collect::<Vec<_>>();
            let read: Vec<u8> = images.chunks(12).flat_map(read).collect();
            for image in [[3, 4, 1], [2, 2, 3]] {
                let (model, (_, found)) = run(&network, settings(image), &images);
                assert_near(&found, &logits(&network, &read), &network);
                let operators: Vec<String> = model.graph.unwrap().node.into_iter().map(|node| node.op_type).collect();
                assert_eq!(&operators[..expected.len()], expected);
            }
            let error = model(&network, settings([2, 2, 1])).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains("place 11"), "{error}");
        }
    }
}

#[test]
fn probabilities_and_what_is_known_of_the_network_are_written_where_they_are_asked_for() {
    let network = network(Architecture::dnn(2, 3, [4, 5], 3), InputScale::divided_by(255.0));
    let images = drawn(6);
    let asked = OnnxSettings { softmax: true, accuracy: Some(0.5), ..settings([2, 3, 1]) };
    let (model, (_, found)) = run(&network, asked, &images);
    assert!(found.chunks(3).all(|row| (row.iter().sum::<f64>() - 1.0).abs() < 1e-12));
    assert_eq!(model.graph.unwrap().output[0].name, "probabilities");
    let entries: Vec<(&str, &str)> =
        model.metadata_props.iter().map(|entry| (entry.key.as_str(), entry.value.as_str())).collect();
    assert_eq!(entries[1], ("holdfast.accuracy", "0.5"));
    assert_eq!(serde_json::from_str::<Architecture>(entries[0].1).unwrap(), network.architecture);
    assert!(super::model(&network, settings([3, 3, 1])).unwrap_err().to_string().contains("[2, 3, 1]"));
    assert!(super::model(&network, settings([6, 1, 1])).is_ok(), "dense layers do not know the rows");
}
