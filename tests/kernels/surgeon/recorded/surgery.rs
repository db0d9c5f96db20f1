//! The surgery that runs use, in single precision, against NumPy's networks.

use super::{Recorded, files};
use holdfast::engine::{Engine, Watch};
use holdfast::network::{Architecture, ParameterLayout};
use holdfast::pruning::surgeon::{Removal, kept_when_smaller};
use holdfast::pruning::surgery::{Course, PrunedNetwork, Settings, Stage, Surgery, Way};

/// A recorded network as runs have it.
struct Case {
    architecture: Architecture,
    parameters: Vec<f32>,
    images: Vec<f32>,
    ratios: Vec<Vec<f32>>,
    settings: Settings,
    stages: Vec<i64>,
}

fn narrow(values: Vec<f64>) -> Vec<f32> {
    values.into_iter().map(|value| value as f32).collect()
}

impl Case {
    fn new(recorded: &mut Recorded) -> Self {
        let names = recorded.archive.names().unwrap();
        let is_there = |l: &usize| names.iter().any(|name| name.trim_end_matches(".npy") == format!("weight{l}"));
        let layers: Vec<usize> = (0..).take_while(is_there).collect();
        let shapes: Vec<Vec<usize>> = layers.iter().map(|l| recorded.shape(&format!("weight{l}"))).collect();
        let units: Vec<usize> = shapes.iter().map(|shape| shape[1]).collect();
        let (classes, hidden) = units.split_last().unwrap();
        let bias = recorded.numbers::<bool>("has_bias")[0];
        let architecture = Architecture { bias, ..Architecture::dnn(shapes[0][0], 1, hidden.to_vec(), *classes) };
        let mut parameters = Vec::new();
        for l in &layers {
            parameters.extend(narrow(recorded.numbers(&format!("weight{l}"))));
            parameters.extend(narrow(recorded.numbers(&format!("bias{l}"))));
        }
        assert_eq!(parameters.len(), ParameterLayout::new(&architecture).parameters());
        let settings = Settings {
            inactive_weight: recorded.number("inactive_weight") as f32,
            ridge: recorded.number("ridge") as f32,
            seed: 0,
        };
        Self {
            architecture,
            parameters,
            images: narrow(recorded.numbers("inputs")),
            ratios: layers.iter().map(|l| narrow(recorded.numbers(&format!("holding_ratio{l}")))).collect(),
            settings,
            stages: recorded.numbers("stages"),
        }
    }

    fn layers(&self) -> Vec<usize> {
        (0..self.ratios.len()).collect()
    }

    fn units(&self, layer: usize) -> usize {
        self.architecture.dense_layers()[layer].outputs
    }

    /// Rounding times the condition of the largest layer's equations.
    fn bound(&self) -> f64 {
        let columns = self.architecture.dense_layers().iter().map(|layer| layer.inputs + 1).max().unwrap();
        f64::from(f32::EPSILON) * columns as f64 / f64::from(self.settings.ridge)
    }

    /// The way that NumPy's masks are of.
    fn numpys_way(&self, recorded: &mut Recorded) -> Way {
        let mut before: Vec<Vec<bool>> = self.ratios.iter().map(|ratios| vec![true; ratios.len()]).collect();
        let mut way = Way::default();
        for stage in &self.stages {
            let mut removals = Vec::new();
            for layer in self.layers() {
                let kept: Vec<bool> = recorded.numbers(&format!("stage{stage}.keep{layer}"));
                let units = self.units(layer);
                let gone = (0..kept.len()).filter(|&place| before[layer][place] && !kept[place]);
                removals.extend(gone.map(|place| Removal {
                    layer,
                    unit: place % units,
                    input: place / units,
                    score: 0.0,
                    cost: 0.0,
                }));
                before[layer] = kept;
            }
            let kept = before.iter().flatten().filter(|&&kept| kept).count();
            way.stages.push(Stage { kept, removals });
        }
        way
    }
}

#[test]
fn the_surgery_of_runs_cuts_and_solves_as_numpy_does() {
    let watch = Watch::nobody();
    for recorded in &mut files("HOLDFAST_SURGEON_NETWORK", "surgeon_network") {
        let case = Case::new(recorded);
        let mut engine = Engine::cpu(Some(2)).unwrap();
        let surgery = Surgery::new(&engine, &case.architecture, &case.parameters, &case.images, case.settings).unwrap();
        let (layers, name) = (case.layers(), recorded.name.clone());
        // Which weights go first: they may differ only where the merged scores at the cut are equal within the bound.
        let order = surgery.order(&mut engine, surgery.dense(), &layers, Some(&case.ratios), &watch).unwrap();
        let all: usize = case.ratios.iter().map(Vec::len).sum();
        let removals = order.cut(kept_when_smaller(all, case.stages[0] as f64));
        let own = surgery.cut(surgery.dense(), &layers, removals);
        let edge = removals.last().unwrap().score;
        for &layer in &layers {
            let expected: Vec<bool> = recorded.numbers(&format!("stage{}.keep{layer}", case.stages[0]));
            let units = case.units(layer);
            for place in (0..expected.len()).filter(|&place| own[layer][place] != expected[place]) {
                let is_it =
                    |removal: &&Removal| (removal.layer, removal.input * units + removal.unit) == (layer, place);
                let score = order.cut(0).iter().find(is_it).unwrap().score;
                assert!((score - edge).abs() <= case.bound() * edge, "{name}: weight {place} of layer {layer} differs");
            }
        }
        // Along NumPy's own choices, everything is solved to NumPy's numbers.
        let way = case.numpys_way(recorded);
        let kept: Vec<usize> = way.stages.iter().map(|stage| stage.kept).collect();
        let mut found: Vec<PrunedNetwork> = Vec::new();
        let course = Course { stages: &kept, points: &kept, known: &way, ratios: Some(&case.ratios), polish: 0 };
        let walked = surgery.in_stages(&mut engine, &layers, course, &watch, &mut |_, network| {
            found.push(network.clone());
            Ok(())
        });
        assert_eq!(walked.unwrap().0, way, "{name}");
        assert_eq!(found.len(), case.stages.len());
        let layout = ParameterLayout::new(&case.architecture);
        for (network, stage) in found.iter().zip(&case.stages) {
            for &layer in &layers {
                let kept: Vec<bool> = recorded.numbers(&format!("stage{stage}.keep{layer}"));
                assert_eq!(network.kept[layer], kept, "{name}: stage {stage}, layer {layer}");
                let expected: Vec<f64> = recorded.numbers(&format!("stage{stage}.weight{layer}"));
                let largest = expected.iter().fold(0.0f64, |largest, weight| largest.max(weight.abs()));
                let weights = &network.parameters[layout.tensors[2 * layer].range()];
                for ((found, expected), kept) in weights.iter().zip(&expected).zip(&kept) {
                    // What a layer reads has the errors of those before it.
                    let bound = (layer + 1) as f64 * case.bound() * largest;
                    assert!(
                        (f64::from(*found) - expected).abs() <= bound,
                        "{name}: stage {stage}, layer {layer}: {found} for {expected}"
                    );
                    assert!(*kept || *found == 0.0, "{name}: a removed weight is exactly 0");
                }
            }
        }
    }
}
