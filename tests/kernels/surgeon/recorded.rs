//! The surgeon against answers that NumPy gave (`tests/fixtures/README.md`). Other files: `HOLDFAST_SURGEON` and
//! `HOLDFAST_SURGEON_NETWORK` name folders of them.

use holdfast::cpu::dense::{self, DenseShape};
use holdfast::cpu::gram::{self, Moments, Rows, row_weight};
use holdfast::cpu::surgeon::{self, PathStep};
use holdfast::cpu::{fast, relu};
use holdfast::pruning::surgeon::{LayerPaths, Removal, kept_when_smaller, merge};
use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, ReadableElement};
use std::fs::File;
use std::path::PathBuf;

mod surgery;

/// One recorded file.
struct Recorded {
    name: String,
    archive: NpzReader<File>,
}

impl Recorded {
    fn get<T: ReadableElement>(&mut self, array: &str) -> ArrayD<T> {
        let found = self.archive.by_name::<OwnedRepr<T>, IxDyn>(array);
        found.unwrap_or_else(|error| panic!("{}: {array}: {error}", self.name))
    }

    /// The numbers of an array in row-major order.
    fn numbers<T: ReadableElement + Clone>(&mut self, array: &str) -> Vec<T> {
        self.get::<T>(array).iter().cloned().collect()
    }

    fn number(&mut self, array: &str) -> f64 {
        self.numbers(array)[0]
    }

    fn shape(&mut self, array: &str) -> Vec<usize> {
        self.get::<f64>(array).shape().to_vec()
    }
}

/// The files of the folder that `variable` names, or of our own.
fn files(variable: &str, own: &str) -> Vec<Recorded> {
    let folder = std::env::var_os(variable).map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(own));
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "npz"));
    paths.sort();
    assert!(!paths.is_empty(), "{} has no .npz", folder.display());
    let open = |path: PathBuf| Recorded {
        name: path.display().to_string(),
        archive: NpzReader::new(File::open(&path).unwrap()).unwrap(),
    };
    paths.into_iter().map(open).collect()
}

/// Column `k` of a matrix with rows of `columns`.
fn column<T: Copy>(matrix: &[T], columns: usize, k: usize) -> Vec<T> {
    matrix.iter().skip(k).step_by(columns).copied().collect()
}

/// A recorded layer.
struct Layer {
    name: String,
    inputs: usize,
    units: usize,
    values: Vec<f64>,
    /// `[input, unit]`, the bias behind them.
    weights: Vec<f64>,
    pre_activations: Vec<f64>,
    ratios: Vec<f64>,
    inactive_weight: f64,
    ridge: f64,
}

impl Layer {
    fn new(recorded: &mut Recorded) -> Self {
        let [_, inputs] = recorded.shape("inputs")[..] else { panic!("inputs have two axes") };
        let weights: Vec<f64> = [recorded.numbers("weights"), recorded.numbers("bias")].concat();
        Self {
            name: recorded.name.clone(),
            inputs,
            units: weights.len() / (inputs + 1),
            values: recorded.numbers("inputs"),
            weights,
            pre_activations: recorded.numbers("pre_activations"),
            ratios: recorded.numbers("holding_ratio"),
            inactive_weight: recorded.number("inactive_weight"),
            ridge: recorded.number("ridge"),
        }
    }

    fn columns(&self) -> Vec<u32> {
        (0..=self.inputs as u32).collect()
    }

    fn row_weights(&self, k: usize, inactive_weight: f64) -> Vec<f64> {
        let weight = |z: &f64| row_weight(*z > 0.0, inactive_weight);
        column(&self.pre_activations, self.units, k).iter().map(weight).collect()
    }

    /// Moments of unit `k` with their ridge.
    fn moments(&self, k: usize, inactive_weight: f64) -> Moments<f64> {
        let rows = Rows::Features { values: &self.values, inputs: self.inputs };
        let targets = column(&self.pre_activations, self.units, k);
        let mut moments = gram::accumulate(&rows, &self.columns(), &self.row_weights(k, inactive_weight), &targets);
        moments.add_ridge(moments.ridge(self.ridge), &column(&self.weights, self.units, k));
        moments
    }

    /// The same in single precision, by the fast variant.
    fn fast_moments(&self, k: usize) -> fast::gram::Half {
        let narrow = |numbers: &[f64]| numbers.iter().map(|&number| number as f32).collect::<Vec<_>>();
        let (values, targets) = (narrow(&self.values), narrow(&column(&self.pre_activations, self.units, k)));
        let rows = Rows::Features { values: &values, inputs: self.inputs };
        let every: Vec<u32> = (0..targets.len() as u32).collect();
        let active: Vec<u32> = every.iter().copied().filter(|&row| targets[row as usize] > 0.0).collect();
        let target = |row: usize, output: &mut [f32]| output[0] = targets[row];
        let sums = |chosen: &[u32]| fast::gram::accumulate(&rows, &self.columns(), chosen, 1, target);
        let mut moments = fast::gram::weigh(self.inactive_weight as f32, sums(&every), &sums(&active));
        let ridge = moments.ridge(0..moments.size, self.ridge as f32);
        moments.add_ridge(ridge, 1, |input, _| self.weights[input * self.units + k] as f32);
        moments
    }
}

/// Within `relative` of the value and a thousandth of the median cost.
fn assert_near(found: f64, expected: f64, relative: f64, median: f64, what: &str) {
    let difference = (found - expected).abs();
    assert!(difference <= relative * (expected + 1e-3 * median), "{what}: {found} instead of {expected}");
}

fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { 0.5 * (sorted[middle - 1] + sorted[middle]) } else { sorted[middle] }
}

/// Whether a path is one: what it chose at each step, replayed in double precision, has the smallest score within
/// `relative`.
fn assert_is_a_path(
    steps: &[PathStep<f64>],
    moments: &Moments<f64>,
    weights: &[f64],
    ratios: &[f64],
    relative: f64,
    name: &str,
) {
    let median = median(&steps.iter().map(|step| step.cost).collect::<Vec<_>>());
    let size = moments.size;
    let (mut inverse, mut weights) = (moments.gram.clone(), weights.to_vec());
    assert!(surgeon::invert(size, &mut inverse), "{name}");
    let mut open: Vec<usize> = (0..ratios.len()).collect();
    for (number, step) in steps.iter().enumerate() {
        let p = step.column as usize;
        let score = |p: usize| (ratios[p] * weights[p]).powi(2) / inverse[p * size + p];
        let smallest = open.iter().map(|&p| score(p)).fold(f64::INFINITY, f64::min);
        let what = format!("{name}, step {number}: column {p}");
        let own = score(p);
        assert!(own <= smallest + relative * (smallest + 1e-3 * median), "{what}: {own} > {smallest}");
        assert_near(step.score, own, relative, median, &what);
        open.remove(open.iter().position(|&column| column == p).expect("a column goes once"));
        let row: Vec<f64> = inverse[p * size..(p + 1) * size].to_vec();
        let factor = weights[p] / row[p];
        for (i, values) in inverse.chunks_exact_mut(size).enumerate() {
            values.iter_mut().zip(&row).for_each(|(value, &h)| *value -= h * row[i] / row[p]);
            weights[i] -= row[i] * factor;
        }
    }
    assert_eq!(steps.len(), ratios.len(), "{name}");
}

#[test]
fn paths_and_refits_are_numpys() {
    for recorded in &mut files("HOLDFAST_SURGEON", "surgeon") {
        let layer = Layer::new(recorded);
        let [order, removed]: [Vec<usize>; 2] = [
            recorded.numbers::<u32>("order").iter().map(|&input| input as usize).collect(),
            recorded.numbers::<i64>("removed").iter().map(|&steps| steps as usize).collect(),
        ];
        let [scores, costs, refits] = ["score", "cost", "refit"].map(|array| recorded.numbers::<f64>(array));
        for k in 0..layer.units {
            let name = format!("{} unit {k}", layer.name);
            let moments = layer.moments(k, layer.inactive_weight);
            let weights = column(&layer.weights, layer.units, k);
            let ratios = column(&layer.ratios, layer.units, k);
            let steps = surgeon::path(&moments, &weights, &[1.0], &ratios).unwrap();
            assert_is_a_path(&steps, &moments, &weights, &ratios, 1e-9, &name);
            let [order, scores, costs] = [
                column(&order.iter().map(|&input| input as f64).collect::<Vec<_>>(), layer.units, k),
                column(&scores, layer.units, k),
                column(&costs, layer.units, k),
            ];
            let median = median(&costs);
            // Until two scores are equal but for rounding, where either may go first.
            let same = steps.iter().zip(&order).take_while(|(step, input)| f64::from(step.column) == **input).count();
            for (step, (&score, &cost)) in steps.iter().zip(scores.iter().zip(&costs)).take(same) {
                assert_near(step.score, score, 1e-9, median, &name);
                assert_near(step.cost, cost, 1e-9, median, &name);
            }
            for (cut, &steps) in removed.iter().enumerate() {
                let gone = &order[..steps];
                let kept: Vec<usize> = (0..=layer.inputs).filter(|&i| !gone.contains(&(i as f64))).collect();
                let expected = column(&refits[cut * layer.weights.len()..][..layer.weights.len()], layer.units, k);
                let mut found = vec![0.0; layer.inputs + 1];
                let solved = surgeon::refit(&moments.select(&kept)).unwrap();
                kept.iter().zip(solved).for_each(|(&i, weight)| found[i] = weight);
                for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    assert!((found - expected).abs() <= 1e-8, "{name} without {steps}: {i} is {found} for {expected}");
                }
            }
        }
    }
}

/// Roundings of single precision, eight as in all sums that are checked, grow by the condition of the Gram matrix, which is at
/// most its trace by its ridge: columns / ridge.
#[test]
fn fast_paths_are_paths_within_single_precision() {
    for recorded in &mut files("HOLDFAST_SURGEON", "surgeon") {
        let layer = Layer::new(recorded);
        for k in 0..layer.units {
            let name = format!("{} unit {k}, fast", layer.name);
            let narrow = |numbers: &[f64]| numbers.iter().map(|&number| number as f32).collect::<Vec<_>>();
            let weights = column(&layer.weights, layer.units, k);
            let ratios = column(&layer.ratios, layer.units, k);
            let moments = layer.fast_moments(k);
            let inverse = fast::surgeon::invert(moments.clone()).unwrap();
            let steps = fast::surgeon::path(inverse, &narrow(&weights), &narrow(&ratios));
            let steps: Vec<PathStep<f64>> = steps
                .iter()
                .map(|step| PathStep { column: step.column, score: f64::from(step.score), cost: f64::from(step.cost) })
                .collect();
            let definition = layer.moments(k, layer.inactive_weight);
            let bound = 8.0 * f64::from(f32::EPSILON) * (layer.inputs + 1) as f64 / layer.ridge;
            assert_is_a_path(&steps, &definition, &weights, &ratios, bound, &name);
            let found = fast::surgeon::refit(moments).unwrap();
            let expected = surgeon::refit(&definition).unwrap();
            let largest = expected.iter().fold(0.0f64, |largest, weight| largest.max(weight.abs()));
            for (i, (&found, expected)) in found.iter().zip(&expected).enumerate() {
                let difference = (f64::from(found) - expected).abs();
                assert!(difference <= bound * largest, "{name}: {i} is {found} for {expected}");
            }
        }
    }
}

#[test]
fn whole_inputs_go_in_numpys_order() {
    for recorded in &mut files("HOLDFAST_SURGEON", "surgeon") {
        let layer = Layer::new(recorded);
        let (order, costs): (Vec<u32>, Vec<f64>) = (recorded.numbers("unit_order"), recorded.numbers("unit_cost"));
        let (importance, ratios) = (vec![1.0; layer.units], vec![1.0; layer.inputs]);
        let steps = surgeon::path(&layer.moments(0, 1.0), &layer.weights, &importance, &ratios).unwrap();
        assert_eq!(steps.iter().map(|step| step.column).collect::<Vec<_>>(), order, "{}", layer.name);
        for (step, &cost) in steps.iter().zip(&costs) {
            assert_near(step.cost, cost, 1e-9, median(&costs), &layer.name);
        }
    }
}

/// A dense network in double precision, ReLU behind every layer but the last.
struct Network {
    inputs: Vec<f64>,
    samples: usize,
    shapes: Vec<DenseShape>,
    weights: Vec<Vec<f64>>,
    biases: Vec<Vec<f64>>,
}

impl Network {
    fn new(recorded: &mut Recorded) -> Self {
        let samples = recorded.shape("inputs")[0];
        let inputs = recorded.numbers("inputs");
        let mut network = Self { inputs, samples, shapes: Vec::new(), weights: Vec::new(), biases: Vec::new() };
        let names = recorded.archive.names().unwrap();
        let is_there = |l: usize| names.iter().any(|name| name.trim_end_matches(".npy") == format!("weight{l}"));
        for l in (0..).take_while(|&l| is_there(l)) {
            let [inputs, outputs] = recorded.shape(&format!("weight{l}"))[..] else { panic!("a matrix") };
            network.shapes.push(DenseShape { samples, inputs, outputs });
            network.weights.push(recorded.numbers(&format!("weight{l}")));
            network.biases.push(recorded.numbers(&format!("bias{l}")));
        }
        network
    }

    fn layers(&self) -> usize {
        self.shapes.len()
    }

    /// Pre-activations of layer `l` for what it reads.
    fn pre_activations(&self, l: usize, input: &[f64]) -> Vec<f64> {
        let mut output = vec![0.0; self.samples * self.shapes[l].outputs];
        dense::forward(self.shapes[l], input, &self.weights[l], &self.biases[l], false, &mut output);
        output
    }

    /// What each layer reads, and what it gives before its ReLU.
    fn forward(&self) -> [Vec<Vec<f64>>; 2] {
        let (mut inputs, mut outputs) = (vec![self.inputs.clone()], Vec::<Vec<f64>>::new());
        for l in 0..self.layers() {
            outputs.push(self.pre_activations(l, &inputs[l]));
            inputs.push(outputs[l].iter().map(|&z| relu(z)).collect());
        }
        [inputs, outputs]
    }

    /// `J_k`: the mean over all images of the sum over classes of the squared derivative of a logit by the pre-activation of
    /// unit k, of each layer.
    fn importance(&self) -> Vec<Vec<f64>> {
        let [inputs, _] = self.forward();
        let mut importance: Vec<Vec<f64>> = self.shapes.iter().map(|shape| vec![0.0; shape.outputs]).collect();
        let classes = self.shapes[self.layers() - 1].outputs;
        for class in 0..classes {
            let mut gradient: Vec<f64> =
                (0..self.samples * classes).map(|place| f64::from(u8::from(place % classes == class))).collect();
            for l in (0..self.layers()).rev() {
                for row in gradient.chunks_exact(self.shapes[l].outputs) {
                    let samples = self.samples as f64;
                    importance[l].iter_mut().zip(row).for_each(|(sum, g)| *sum += g * g / samples);
                }
                if l > 0 {
                    let mut before = vec![0.0; inputs[l].len()];
                    dense::backward_input(self.shapes[l], &gradient, &self.weights[l], &inputs[l], &mut before);
                    gradient = before;
                }
            }
        }
        importance
    }
}

/// What a stage works with beside the network itself.
struct Surgery {
    has_bias: bool,
    inactive_weight: f64,
    ridge: f64,
    /// Pre-activations of the dense network.
    dense: Vec<Vec<f64>>,
    ratios: Vec<Vec<f64>>,
}

impl Surgery {
    /// Kept columns of a unit with their moments and weights. `input` is what the layer reads now.
    fn unit(
        &self,
        network: &Network,
        l: usize,
        k: usize,
        kept: &[bool],
        input: &[f64],
    ) -> (Vec<u32>, Moments<f64>, Vec<f64>) {
        let DenseShape { inputs, outputs, .. } = network.shapes[l];
        let mut columns: Vec<u32> = (0..inputs).filter(|i| kept[i * outputs + k]).map(|i| i as u32).collect();
        let mut weights: Vec<f64> = columns.iter().map(|&i| network.weights[l][i as usize * outputs + k]).collect();
        if self.has_bias {
            columns.push(inputs as u32);
            weights.push(network.biases[l][k]);
        }
        let targets = column(&self.dense[l], outputs, k);
        let is_last = l + 1 == network.layers();
        let counts: Vec<f64> = targets.iter().map(|&z| row_weight(is_last || z > 0.0, self.inactive_weight)).collect();
        let mut moments = gram::accumulate(&Rows::Features { values: input, inputs }, &columns, &counts, &targets);
        moments.add_ridge(moments.ridge(self.ridge), &weights);
        (columns, moments, weights)
    }

    /// The paths of a layer.
    fn paths(
        &self,
        network: &Network,
        l: usize,
        kept: &[bool],
        input: &[f64],
        importance: Vec<f64>,
    ) -> LayerPaths<f64> {
        let DenseShape { inputs, outputs, .. } = network.shapes[l];
        let path = |k: usize| {
            let (columns, moments, weights) = self.unit(network, l, k, kept, input);
            let removable = columns.iter().filter(|&&column| (column as usize) < inputs);
            let ratios: Vec<f64> = removable.map(|&i| self.ratios[l][i as usize * outputs + k]).collect();
            let mut steps = surgeon::path(&moments, &weights, &[1.0], &ratios).unwrap();
            steps.iter_mut().for_each(|step| step.column = columns[step.column as usize]);
            steps
        };
        LayerPaths { units: (0..outputs).map(path).collect(), importance }
    }

    /// Solves all layers anew, front to back.
    fn refit(&self, network: &mut Network, kept: &[Vec<bool>]) {
        let mut input = network.inputs.clone();
        for (l, kept) in kept.iter().enumerate() {
            let DenseShape { inputs, outputs, .. } = network.shapes[l];
            let mut solved = vec![0.0; inputs * outputs];
            for k in 0..outputs {
                let (columns, moments, _) = self.unit(network, l, k, kept, &input);
                for (column, weight) in columns.iter().map(|&i| i as usize).zip(surgeon::refit(&moments).unwrap()) {
                    let place =
                        if column == inputs { &mut network.biases[l][k] } else { &mut solved[column * outputs + k] };
                    *place = weight;
                }
            }
            network.weights[l] = solved;
            input = network.pre_activations(l, &input).into_iter().map(relu).collect();
        }
    }
}

#[test]
fn networks_that_are_cut_in_stages_are_numpys() {
    for recorded in &mut files("HOLDFAST_SURGEON_NETWORK", "surgeon_network") {
        let mut network = Network::new(recorded);
        let layers = network.layers();
        let has_bias = recorded.numbers::<bool>("has_bias")[0];
        let [_, dense] = network.forward();
        let surgery = Surgery {
            has_bias,
            inactive_weight: recorded.number("inactive_weight"),
            ridge: recorded.number("ridge"),
            dense,
            ratios: (0..layers).map(|l| recorded.numbers(&format!("holding_ratio{l}"))).collect(),
        };
        let mut kept: Vec<Vec<bool>> = network.weights.iter().map(|weights| vec![true; weights.len()]).collect();
        let all: usize = kept.iter().map(Vec::len).sum();
        for stage in recorded.numbers::<i64>("stages") {
            let name = format!("{} stage {stage}", recorded.name);
            let [inputs, _] = network.forward();
            let importance = network.importance();
            for (l, importance) in importance.iter().enumerate() {
                let expected: Vec<f64> = recorded.numbers(&format!("stage{stage}.importance{l}"));
                for (found, expected) in importance.iter().zip(&expected) {
                    assert!((found - expected).abs() <= 1e-7 * expected, "{name}: J {found} for {expected}");
                }
            }
            let paths: Vec<LayerPaths<f64>> = importance
                .into_iter()
                .enumerate()
                .map(|(l, importance)| surgery.paths(&network, l, &kept[l], &inputs[l], importance))
                .collect();
            let order = merge(&paths);
            let cut = order.cut(kept_when_smaller(all, stage as f64));
            for removal in cut {
                kept[removal.layer][removal.input * network.shapes[removal.layer].outputs + removal.unit] = false;
            }
            // Masks may differ where scores at the cut are equal but for rounding; then NumPy's choice goes on.
            let edge = cut.last().unwrap().score;
            for (l, kept) in kept.iter_mut().enumerate() {
                let expected: Vec<bool> = recorded.numbers(&format!("stage{stage}.keep{l}"));
                for place in (0..kept.len()).filter(|&place| kept[place] != expected[place]) {
                    let outputs = network.shapes[l].outputs;
                    let is_it =
                        |removal: &&Removal| (removal.layer, removal.input * outputs + removal.unit) == (l, place);
                    let score = order.cut(0).iter().find(is_it).unwrap().score;
                    assert!((score - edge).abs() <= 1e-9 * edge, "{name}: weight {place} of layer {l} differs");
                }
                *kept = expected;
            }
            surgery.refit(&mut network, &kept);
            for (l, (weights, biases)) in network.weights.iter().zip(&network.biases).enumerate() {
                for (array, found) in [("weight", weights), ("bias", biases)] {
                    let expected: Vec<f64> = recorded.numbers(&format!("stage{stage}.{array}{l}"));
                    let largest = expected.iter().fold(0.0f64, |largest, w| largest.max(w.abs()));
                    for (found, expected) in found.iter().zip(&expected) {
                        assert!(
                            (found - expected).abs() <= 1e-7 * largest,
                            "{name}: {array}{l} {found} for {expected}"
                        );
                        assert_eq!(*found == 0.0, *expected == 0.0, "{name}: a removed weight is exactly 0");
                    }
                }
            }
            let [_, outputs] = network.forward();
            let logits: Vec<f64> = recorded.numbers(&format!("stage{stage}.logits"));
            let largest = logits.iter().fold(0.0f64, |largest, logit| largest.max(logit.abs()));
            for (found, expected) in outputs[layers - 1].iter().zip(&logits) {
                assert!((found - expected).abs() <= 1e-7 * largest, "{name}: logit {found} for {expected}");
            }
        }
    }
}
