//! One trained network made really smaller: what it loses without a loss, what the surgeon takes out, and what that gives.

use crate::data::Dataset;
use crate::engine::{Control, Engine};
use crate::error::{Error, Result};
use crate::network::{Architecture, Layer, ParameterLayout};
use crate::network_files::stored_network::StoredNetwork;
use crate::pruning::compact::{CompactNetwork, DarkInputs, Findings, Measure, Wanted, size};
use crate::pruning::surgery::{Settings, calibration_images};
use crate::pruning::whole_inputs::WholeInputs;
use serde::Serialize;

/// How small a network is to be, by what it is measured by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// So many times fewer stored weights.
    Smaller(f64),
    /// So many times fewer multiply-adds an image.
    Faster(f64),
    /// This share of the hidden units, at most.
    Units(f64),
}

impl Goal {
    /// How much a network of this architecture may have left, where its layers keep a `multiple` of units.
    ///
    /// Fails with [`Error::Usage`] for numbers that say nothing, or that would make it larger, and as
    /// [`Wanted::check_reachable`] does.
    pub fn of(self, architecture: &Architecture, multiple: usize) -> Result<Wanted> {
        let (option, measure, left) = match self {
            Self::Smaller(times) => ("--smaller", Measure::Weights, 1.0 / times),
            Self::Faster(times) => ("--faster", Measure::MultiplyAdds, 1.0 / times),
            Self::Units(share) => ("--units", Measure::Units, share),
        };
        if let Self::Smaller(times) | Self::Faster(times) = self
            && !(times.is_finite() && times >= 1.0)
        {
            return Err(Error::Usage(format!(
                "{option} {times} makes nothing smaller; write how many times, from 1 on, e.g. {option} 4"
            )));
        }
        let all = size(architecture, measure);
        // A product such as 0.3 * 10 may lie below the whole number that it stands for by a rounding.
        let most = (all as f64 * left * (1.0 + f64::EPSILON)) as usize;
        let wanted = Wanted { measure, most, multiple };
        wanted.check_reachable(architecture)?;
        Ok(wanted)
    }
}

/// A layer before and after, or all of them: a line of `compact.csv`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CompactRow {
    /// The layer, e.g. `dense0`, or `all`.
    pub layer: String,
    /// Numbers that one of its units reads before.
    pub inputs_before: Option<usize>,
    /// And after.
    pub inputs_after: Option<usize>,
    /// Units, of a convolution filters; of all layers those of the hidden ones.
    pub units_before: usize,
    /// And after.
    pub units_after: usize,
    /// Weights that are stored, biases apart.
    pub weights_before: usize,
    /// And after.
    pub weights_after: usize,
    /// Multiply-adds of one image.
    pub multiply_adds_before: usize,
    /// And after.
    pub multiply_adds_after: usize,
    /// Bytes of weights and biases.
    pub bytes_before: usize,
    /// And after.
    pub bytes_after: usize,
}

/// The layers of two networks side by side, and behind them all together.
pub fn rows(before: &Architecture, after: &Architecture) -> Vec<CompactRow> {
    let [before_layers, after_layers] = [before, after].map(Layer::all);
    let layout = ParameterLayout::new(before);
    let of = |layer: &Layer, bias: bool| {
        let (inputs, units) = (layer.inputs(), layer.units());
        let bytes = size_of::<f32>() * (inputs * units + usize::from(bias) * units);
        (inputs, units, inputs * units, inputs * units * layer.rows(), bytes)
    };
    let mut rows: Vec<CompactRow> = before_layers
        .iter()
        .zip(&after_layers)
        .enumerate()
        .map(|(index, (old, new))| {
            let (inputs_before, units_before, weights_before, multiply_adds_before, bytes_before) =
                of(old, before.bias);
            let (inputs_after, units_after, weights_after, multiply_adds_after, bytes_after) = of(new, after.bias);
            CompactRow {
                layer: Layer::tensors(&layout, index)[0].layer().into(),
                inputs_before: Some(inputs_before),
                inputs_after: Some(inputs_after),
                units_before,
                units_after,
                weights_before,
                weights_after,
                multiply_adds_before,
                multiply_adds_after,
                bytes_before,
                bytes_after,
            }
        })
        .collect();
    let sum = |of: fn(&CompactRow) -> usize| rows.iter().map(of).sum();
    rows.push(CompactRow {
        layer: "all".into(),
        units_before: size(before, Measure::Units),
        units_after: size(after, Measure::Units),
        weights_before: sum(|row| row.weights_before),
        weights_after: sum(|row| row.weights_after),
        multiply_adds_before: sum(|row| row.multiply_adds_before),
        multiply_adds_after: sum(|row| row.multiply_adds_after),
        bytes_before: sum(|row| row.bytes_before),
        bytes_after: sum(|row| row.bytes_after),
        ..CompactRow::default()
    });
    rows
}

/// A network made smaller.
#[derive(Clone, Debug)]
pub struct Compacted {
    /// What is left.
    pub network: StoredNetwork,
    /// The network after the lossless stage alone.
    pub lossless: StoredNetwork,
    /// What the lossless stage took out at first. Inputs are numbered as the network reads them.
    pub findings: Findings,
}

/// How the surgeon calibrates.
#[derive(Clone, Copy, Debug)]
pub struct Calibrating {
    /// Training images, or all where there are fewer.
    pub images: usize,
    /// Ridge and seed.
    pub settings: Settings,
}

/// Takes out of a network what can go without a loss, then whole units and inputs until it is as small as is `wanted`, if
/// anything is, and once more what can go without a loss. `training` are images that the network reads, see
/// [`StoredNetwork::fit`]; without them no input counts as dark.
///
/// Fails with [`Error::Usage`] where that cannot be reached, with [`Error::Data`] where it is wanted without a training image, and
/// as [`WholeInputs::reduce`] does.
pub fn compact(
    engine: &Engine,
    original: &StoredNetwork,
    training: Option<&Dataset>,
    wanted: Option<Wanted>,
    calibrating: Calibrating,
    control: Control<'_>,
) -> Result<Compacted> {
    let feature = original.input.features(&[0])[0];
    let is_dark = training.map(never_lit);
    let dark = is_dark.as_deref().map(|is_dark| DarkInputs { is_dark, feature });
    let whole = CompactNetwork::new(original.architecture.clone(), original.parameters.clone());
    let (lossless, findings) = whole.lossless(dark);
    let mut network = lossless.clone();
    if let Some(wanted) = wanted.filter(|wanted| size(&lossless.architecture, wanted.measure) > wanted.most) {
        let training = training.ok_or_else(|| {
            Error::Data("units are taken out with the help of training images; name them with --data".into())
        })?;
        let indices = calibration_images(training.samples(), calibrating.images, calibrating.settings.seed);
        let images = training.subset(&indices).with_pixels(&lossless.inputs)?;
        let features = original.input.features(&images.images);
        let surgeon = WholeInputs::new(engine, &lossless, &features, calibrating.settings)?;
        let stages = surgeon.stages(wanted).len() as u64;
        let reduced =
            control.stage("take units out", stages, "stages", |watch| surgeon.reduce(engine, wanted, watch))?;
        // Dark inputs are gone already.
        network = reduced.lossless(None).0;
    }
    let [network, lossless] = [network, lossless].map(|network| stored(original, network));
    Ok(Compacted { network, lossless, findings })
}

/// Whether each number of an image is 0 in all images.
pub(super) fn never_lit(images: &Dataset) -> Vec<bool> {
    let mut is_dark = vec![true; images.image_len()];
    for image in images.images.chunks_exact(images.image_len()) {
        is_dark.iter_mut().zip(image).for_each(|(is_dark, &pixel)| *is_dark &= pixel == 0);
    }
    is_dark
}

/// Images that light one of these numbers, which images have that `network` reads.
pub fn lighting(images: &Dataset, numbers: &[u32]) -> usize {
    let lights = |image: &[u8]| numbers.iter().any(|&number| image[number as usize] != 0);
    images.images.chunks_exact(images.image_len()).filter(|image| lights(image)).count()
}

/// The network by itself. Of one that reads all of an image no list of pixels is kept.
fn stored(original: &StoredNetwork, network: CompactNetwork) -> StoredNetwork {
    let CompactNetwork { architecture, parameters, inputs } = network;
    let pixels = match &original.pixels {
        Some(pixels) => Some(inputs.iter().map(|&input| pixels[input as usize]).collect()),
        None if inputs.len() == original.architecture.image_len() => None,
        None => Some(inputs),
    };
    StoredNetwork { architecture, parameters, pixels, input: original.input }
}

/// Bytes of the file that a network would be: it is written among the system's temporary files.
///
/// Fails with [`Error::Io`] if it cannot be written there.
pub fn file_bytes(network: &StoredNetwork) -> Result<u64> {
    let folder = tempfile::tempdir().map_err(|error| Error::io("write in", std::env::temp_dir(), error))?;
    let file = folder.path().join("network.safetensors");
    network.write(&file)?;
    Ok(std::fs::metadata(&file).map_err(|error| Error::io("read", &file, error))?.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Progress;
    use crate::network_files::stored_network::InputScale;
    use crate::study::classified::{TURNS, classify_by_turns, same_predictions};
    use std::sync::Arc;

    struct Silent;

    impl Progress for Silent {
        fn begin(&self, _: &str, _: u64, _: &'static str) {}
        fn advance(&self, _: u64) {}
        fn extend(&self, _: u64) {}
        fn end(&self) {}
        fn notice(&self, _: &str) {}
    }

    /// Images of 2 x 4 of which numbers 0 and 5 are dark.
    fn images() -> Arc<Dataset> {
        let pixel = |place: usize| if [0, 5].contains(&(place % 8)) { 0 } else { (place * 53 % 255 + 1) as u8 };
        let labels = (0..40).map(|label| label % 3).collect();
        Arc::new(Dataset::new("made", (0..40 * 8).map(pixel).collect(), labels, 2, 4, 3).unwrap())
    }

    fn network(input: InputScale) -> StoredNetwork {
        let architecture = Architecture::dnn(2, 4, [6, 5], 3);
        let count = ParameterLayout::new(&architecture).parameters();
        let parameters = (0..count).map(|place| (place as f32 * 1.3).sin()).collect();
        StoredNetwork { architecture, parameters, pixels: None, input }
    }

    fn made(network: &StoredNetwork, goal: Option<Goal>) -> Result<Compacted> {
        let engine = Engine::cpu(Some(1)).unwrap();
        let control = Control { stop: &Default::default(), progress: &Silent };
        let calibrating = Calibrating { images: 30, settings: Settings::default() };
        let wanted = goal.map(|goal| goal.of(&network.architecture, 1)).transpose()?;
        compact(&engine, network, Some(&*network.fit(&images())?), wanted, calibrating, control)
    }

    #[test]
    fn goals_count_from_the_network_that_is_given() {
        let architecture = Architecture::dnn(2, 4, [6, 5], 3);
        let most = |goal: Goal| goal.of(&architecture, 1).map(|wanted| (wanted.measure, wanted.most)).unwrap();
        assert_eq!(most(Goal::Smaller(3.0)), (Measure::Weights, 31));
        assert_eq!(most(Goal::Faster(1.0)), (Measure::MultiplyAdds, 93));
        assert_eq!(most(Goal::Units(0.3)), (Measure::Units, 3));
        for goal in [Goal::Smaller(0.9), Goal::Smaller(f64::INFINITY), Goal::Faster(f64::NAN), Goal::Faster(-2.0)] {
            assert_eq!(goal.of(&architecture, 1).unwrap_err().exit_code(), 2, "{goal:?}");
        }
    }

    #[test]
    fn pixels_are_those_of_the_image_however_often_a_network_is_made_compact() {
        let mut engine = Engine::cpu(Some(1)).unwrap();
        let control = Control { stop: &Default::default(), progress: &Silent };
        for input in [InputScale::divided_by(255.0), InputScale { divisor: 255.0, mean: 0.5, sd: 0.4 }] {
            let network = network(input);
            let first = made(&network, None).unwrap();
            assert_eq!(first.network.pixels.as_deref(), Some(&[1, 2, 3, 4, 6, 7][..]));
            assert_eq!(first.findings.dark_inputs, [0, 5]);
            assert_eq!(same_predictions(&mut engine, [&network, &first.network], &images(), control).unwrap(), 40);
            let second = made(&first.network, Some(Goal::Smaller(2.0))).unwrap().network;
            let pixels = second.pixels.clone().unwrap();
            assert!(pixels.is_sorted() && pixels.iter().all(|pixel| ![0, 5].contains(pixel)), "{pixels:?}");
            assert!(
                size(&second.architecture, Measure::Weights) * 2 <= size(&first.network.architecture, Measure::Weights)
            );
            let found = classify_by_turns(&mut engine, &[&network, &second], &images(), TURNS, control).unwrap();
            let samples: Vec<u32> = found.iter().map(|found| found.evaluation.samples).collect();
            assert_eq!((samples, found[1].seconds.len()), (vec![40, 40], TURNS.rounds));
            assert!(found[1].times_as_fast_as(&found[0]).is_some_and(|times| times.low > 0.0));
        }
    }

    #[test]
    fn rows_tell_of_each_layer_and_of_all() {
        let before = Architecture::dnn(2, 4, [6, 5], 3);
        let rows = rows(&before, &Architecture { bias: false, hidden: vec![2, 5], ..before.clone() });
        let all = rows.last().unwrap();
        assert_eq!((rows[0].layer.as_str(), all.layer.as_str(), rows.len()), ("dense0", "all", 4));
        assert_eq!((all.units_before, all.units_after), (11, 7));
        assert_eq!((all.weights_before, all.weights_after), (93, 16 + 10 + 15));
        assert_eq!((all.bytes_before, all.bytes_after), (4 * (93 + 14), 4 * 41));
        assert_eq!((rows[1].inputs_before, rows[1].inputs_after), (Some(6), Some(2)));
    }

    #[test]
    fn images_that_light_an_input_are_counted() {
        let set = Dataset::new("made", vec![0, 1, 0, 0, 0, 3], vec![0, 1, 0], 1, 2, 2).unwrap();
        assert_eq!([lighting(&set, &[1]), lighting(&set, &[0]), lighting(&set, &[])], [2, 0, 0]);
        assert_eq!(never_lit(&set), [true, false]);
    }

    #[test]
    fn a_goal_needs_images() {
        let engine = Engine::cpu(Some(1)).unwrap();
        let control = Control { stop: &Default::default(), progress: &Silent };
        let calibrating = Calibrating { images: 30, settings: Settings::default() };
        let network = network(InputScale::divided_by(255.0));
        let wanted = Goal::Smaller(2.0).of(&network.architecture, 1).unwrap();
        let error = compact(&engine, &network, None, Some(wanted), calibrating, control).unwrap_err();
        assert!(error.exit_code() == 5 && error.to_string().contains("--data"), "{error}");
    }
}
