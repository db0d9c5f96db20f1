use super::*;
use safetensors::{Dtype, SafeTensors};
use tempfile::tempdir;

fn network(architecture: Architecture) -> StoredNetwork {
    let layout = ParameterLayout::new(&architecture);
    let mut parameters: Vec<f32> = (0..layout.parameters()).map(|place| (place as f32 * 0.7).sin()).collect();
    layout.missing().for_each(|tensor| parameters[tensor.range()].fill(0.0));
    StoredNetwork { architecture, parameters, pixels: None, input: InputScale::divided_by(255.0) }
}

fn small() -> StoredNetwork {
    network(Architecture::dnn(2, 3, [4, 5], 3))
}

fn images() -> Arc<Dataset> {
    let pixels = (0..12 * 6).map(|place| (place * 37 % 256) as u8).collect();
    Arc::new(Dataset::new("made", pixels, (0..12).map(|label| label % 3).collect(), 2, 3, 3).unwrap())
}

#[test]
fn a_network_comes_back_with_every_bit() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("network.safetensors");
    let convolutions = Architecture::paper_convolutions(2);
    let cnn = Architecture { image_height: 8, image_width: 9, channels: 3, convolutions, ..small().architecture };
    let some = Architecture { image_height: 1, image_width: 3, ..small().architecture };
    let input = InputScale { divisor: 255.0, mean: 0.1307, sd: 0.3081 };
    for written in [
        small(),
        network(Architecture { bias: false, ..small().architecture }),
        network(cnn),
        StoredNetwork { pixels: Some(vec![0, 2, 5]), input, ..network(some) },
    ] {
        written.write(&path).unwrap();
        assert_eq!(StoredNetwork::read(&path).unwrap(), std::slice::from_ref(&written));
        let bytes = std::fs::read(&path).unwrap();
        written.write(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        // What plain readers find.
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let names: usize = ParameterLayout::new(&written.architecture).stored().count();
        assert_eq!(tensors.len(), names + usize::from(written.pixels.is_some()));
        assert_eq!(tensors.tensor("dense1.weight").unwrap().dtype(), Dtype::F32);
    }
}

#[test]
fn both_ways_to_evaluate_agree_and_a_network_of_some_pixels_reads_those() {
    let mut engine = Engine::cpu(Some(1)).unwrap();
    let control = Control { stop: &Default::default(), progress: &Silent };
    let (set, whole) = (images(), small());
    let found = whole.evaluate(&mut engine, &whole.fit(&set).unwrap(), control).unwrap();
    let host = engine.evaluate_features(
        &whole.architecture,
        &whole.parameters,
        &whole.input.features(&set.images),
        &set.labels,
        &control.silent(),
    );
    let host = host.unwrap();
    assert_eq!((found.correct, found.samples), (host.correct, host.samples));
    let terms = 6.0 + 4.0 + 5.0 + 12.0;
    assert!(
        (found.loss - host.loss).abs() <= terms * f64::from(f32::EPSILON) * host.loss.max(1.0),
        "{found:?} {host:?}"
    );
    // Weights of pixels 1, 3 and 4 taken out, or 0: the same logits.
    let pixels = [0, 2, 5];
    let mut cut = whole.clone();
    for unread in [1, 3, 4] {
        cut.parameters[unread * 4..][..4].fill(0.0);
    }
    let mut parameters: Vec<f32> =
        pixels.iter().flat_map(|&pixel| whole.parameters[pixel * 4..][..4].to_vec()).collect();
    parameters.extend(&whole.parameters[24..]);
    let architecture = Architecture { image_height: 1, image_width: 3, ..whole.architecture };
    let input = InputScale { divisor: 255.0, mean: 0.5, sd: 2.0 };
    let some = StoredNetwork { architecture, parameters, pixels: Some(vec![0, 2, 5]), input };
    let cut = StoredNetwork { input, ..cut };
    let [some, cut] =
        [some, cut].map(|network| network.evaluate(&mut engine, &network.fit(&set).unwrap(), control).unwrap());
    assert_eq!(some, cut);
}

struct Silent;

impl crate::engine::Progress for Silent {
    fn begin(&self, _: &str, _: u64, _: &'static str) {}
    fn advance(&self, _: u64) {}
    fn extend(&self, _: u64) {}
    fn end(&self) {}
    fn notice(&self, _: &str) {}
}

#[test]
fn images_of_another_size_or_number_of_classes_are_refused() {
    let refused = |network: StoredNetwork, words: &str| {
        let error = network.fit(&images()).unwrap_err();
        assert!(error.exit_code() == 5 && error.to_string().contains(words), "{error}");
    };
    refused(network(Architecture::dnn(3, 3, [4, 5], 3)), "reads [3, 3, 1]");
    refused(network(Architecture::dnn(2, 3, [4, 5], 10)), "tells 10 apart");
    let some = Architecture::dnn(1, 1, [4, 5], 3);
    refused(StoredNetwork { pixels: Some(vec![6]), ..network(some) }, "pixel 6");
    assert_eq!(network(Architecture::dnn(6, 1, [4, 5], 3)).fit(&images()).unwrap().height, 6);
}

#[test]
fn files_that_are_cut_off_renamed_or_reshaped_get_a_sentence() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("network.safetensors");
    let refused = |words: &[&str]| {
        let error = StoredNetwork::read(&path).unwrap_err();
        assert_eq!(error.exit_code(), 5, "{error}");
        words.iter().for_each(|word| assert!(error.to_string().contains(word), "{word}: {error}"));
    };
    let network = small();
    network.write(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for end in [0, 7, 30, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..end]).unwrap();
        refused(&["network.safetensors"]);
    }
    let own = note(&network.architecture, network.input).unwrap();
    let write = |name: &str, shape: &[usize], value: f32, note: Option<&str>| {
        let layout = ParameterLayout::new(&network.architecture);
        let values = vec![value; 60];
        let tensors: Vec<_> = layout.stored().cloned().collect();
        let arrays: Vec<NamedArray<'_>> = tensors
            .iter()
            .map(|tensor| match tensor.name.as_str() {
                "dense0.weight" => NamedArray { name, shape, values: Values::F32(&values[..shape.iter().product()]) },
                other => NamedArray { name: other, shape: &tensor.shape, values: Values::F32(&values[..tensor.len()]) },
            })
            .collect();
        arrays::write_noted(&path, &arrays, note).unwrap();
    };
    write("dense0.weight", &[6, 4], 0.5, Some(&own));
    assert_eq!(StoredNetwork::read(&path).unwrap().len(), 1);
    write("first", &[6, 4], 0.5, Some(&own));
    refused(&["no array dense0.weight", "first"]);
    write("dense0.weight", &[4, 6], 0.5, Some(&own));
    refused(&["[4, 6]", "[6, 4]"]);
    write("dense0.weight", &[2, 6, 4], 0.5, Some(&own));
    refused(&["dense0.bias"]);
    write("dense0.weight", &[6, 4], f32::NAN, Some(&own));
    refused(&["NaN"]);
    write("dense0.weight", &[6, 4], 0.5, None);
    refused(&["--dense"]);
    write("dense0.weight", &[6, 4], 0.5, Some("{}"));
    refused(&["cannot be understood"]);
    write("dense0.weight", &[6, 4], 0.5, Some(&own.replace("255.0", "0.0")));
    refused(&["impossible numbers"]);
    write("dense0.weight", &[6, 4], 0.5, Some(&own.replace("[4,5]", "[4,0]")));
    refused(&["impossible network"]);
}
