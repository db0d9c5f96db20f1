//! Whole inputs taken out of a layer, against answers that NumPy gave (`tests/fixtures/README.md`).

use holdfast::cpu::gram::{self, Moments, Rows};
use holdfast::cpu::whole_inputs::{self, GroupStep};
use holdfast::cpu::{fast, surgeon};
use holdfast::engine::{ActiveRows, Engine, SurgeonLayer, Watch};
use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, ReadableElement};
use std::fs::File;

/// A recorded layer.
struct Layer {
    name: String,
    /// `[row, input]`, or `[sample, y, x, channel]` of what a convolution reads.
    values: ArrayD<f64>,
    positions: Vec<u32>,
    is_patches: bool,
    inputs: usize,
    units: usize,
    has_bias: bool,
    /// `[input, unit]`, the bias behind them if there is one.
    weights: Vec<f64>,
    importance: Vec<f64>,
    ridge: f64,
    pre_activations: Vec<f64>,
    groups: Vec<Vec<u32>>,
    order: Vec<u32>,
    costs: Vec<f64>,
    /// After each step `[column, unit]`.
    refits: Vec<Vec<f64>>,
}

fn array<T: ReadableElement>(archive: &mut NpzReader<File>, name: &str) -> ArrayD<T> {
    archive.by_name::<OwnedRepr<T>, IxDyn>(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn layers() -> Vec<Layer> {
    let names = ["dense_14x5", "dense_9x4_no_bias", "filters_4_to_6", "flattened_2x3x5_to_4"];
    names.map(read).into()
}

fn read(name: &str) -> Layer {
    let path = format!("{}/tests/fixtures/whole_inputs/{name}.npz", env!("CARGO_MANIFEST_DIR"));
    let mut archive = NpzReader::new(File::open(path).unwrap()).unwrap();
    let archive = &mut archive;
    let numbers = |array: ArrayD<f64>| array.iter().copied().collect::<Vec<_>>();
    let is_patches = array::<u8>(archive, "is_patches").iter().any(|&flag| flag == 1);
    let [values, weights, refits] = ["values", "weights", "refit"].map(|name| array::<f64>(archive, name));
    let bias = numbers(array(archive, "bias"));
    let [inputs, units] = [0, 1].map(|axis| weights.shape()[axis]);
    let positions = if is_patches { values.shape()[..3].iter().product() } else { 0 };
    let groups = array::<u32>(archive, "groups");
    Layer {
        name: name.into(),
        positions: (0..positions as u32).collect(),
        values,
        is_patches,
        inputs,
        units,
        has_bias: !bias.is_empty(),
        weights: [numbers(weights), bias].concat(),
        importance: numbers(array(archive, "importance")),
        ridge: numbers(array(archive, "ridge"))[0],
        pre_activations: numbers(array(archive, "pre_activations")),
        groups: groups.outer_iter().map(|group| group.iter().copied().collect()).collect(),
        order: array::<u32>(archive, "order").iter().copied().collect(),
        costs: numbers(array(archive, "cost")),
        refits: refits.outer_iter().map(|refit| refit.iter().copied().collect()).collect(),
    }
}

/// What a layer reads.
fn rows<'a, T>(layer: &'a Layer, values: &'a [T]) -> Rows<'a, T> {
    match layer.is_patches {
        false => Rows::Features { values, inputs: layer.inputs },
        true => Rows::Patches {
            values,
            size: [layer.values.shape()[1], layer.values.shape()[2]],
            channels: layer.values.shape()[3],
            positions: &layer.positions,
        },
    }
}

impl Layer {
    fn columns(&self) -> usize {
        self.inputs + usize::from(self.has_bias)
    }

    /// Moments with their ridge; those of the first unit, the Gram matrix is that of all.
    fn moments(&self) -> Moments<f64> {
        let values: Vec<f64> = self.values.iter().copied().collect();
        let rows = rows(self, &values);
        let columns: Vec<u32> = (0..self.columns() as u32).collect();
        let column = |numbers: &[f64]| numbers.iter().step_by(self.units).copied().collect::<Vec<_>>();
        let mut moments = gram::accumulate(&rows, &columns, &vec![1.0; rows.len()], &column(&self.pre_activations));
        moments.add_ridge(moments.ridge(self.ridge), &column(&self.weights));
        moments
    }

    fn median_cost(&self) -> f64 {
        let mut sorted = self.costs.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }

    /// Whether `steps`, replayed in double precision, each take the cheapest group, within `relative` of its cost and a
    /// thousandth of the median one.
    fn assert_is_a_path(&self, steps: &[GroupStep<f64>], relative: f64, what: &str) {
        let moments = self.moments();
        let (size, slack) = (moments.size, 1e-3 * self.median_cost());
        let (mut inverse, mut weights) = (moments.gram.clone(), self.weights.clone());
        assert!(surgeon::invert(size, &mut inverse));
        let mut open: Vec<u32> = (0..self.groups.len() as u32).collect();
        for step in steps {
            // The first step of a path of this one group, then of those that are open.
            let price = |group: u32| {
                let own = &self.groups[group as usize];
                let mut block: Vec<f64> = own
                    .iter()
                    .flat_map(|&i| own.iter().map(move |&j| (i, j)))
                    .map(|(i, j)| inverse[i as usize * size + j as usize])
                    .collect();
                assert!(surgeon::invert(own.len(), &mut block));
                let weight = |t: usize, k: usize| weights[own[t] as usize * self.units + k];
                let pairs = (0..own.len()).flat_map(|s| (0..own.len()).map(move |t| (s, t)));
                let of_unit = |k: usize| -> f64 {
                    pairs.clone().map(|(s, t)| weight(s, k) * block[s * own.len() + t] * weight(t, k)).sum()
                };
                self.importance.iter().enumerate().map(|(k, j)| j * of_unit(k)).sum::<f64>()
            };
            let smallest = open.iter().map(|&group| price(group)).fold(f64::INFINITY, f64::min);
            let own = price(step.group);
            assert!(own <= smallest + relative * (smallest + slack), "{what} {}: {own} > {smallest}", self.name);
            let difference = (step.cost - own).abs();
            assert!(difference <= relative * (own + slack), "{what} {}: {} for {own}", self.name, step.cost);
            open.remove(open.iter().position(|&group| group == step.group).expect("a group goes once"));
            whole_inputs::remove(size, &self.groups[step.group as usize], &mut inverse, &mut weights).unwrap();
        }
        assert!(open.is_empty(), "{what} {}: {open:?} never went", self.name);
    }
}

#[test]
fn whole_inputs_go_in_numpys_order_and_leave_numpys_weights() {
    for layer in layers() {
        let moments = layer.moments();
        let steps = whole_inputs::path(&moments, &layer.weights, &layer.importance, &layer.groups).unwrap();
        assert_eq!(steps.iter().map(|step| step.group).collect::<Vec<_>>(), layer.order, "{}", layer.name);
        for (step, cost) in steps.iter().zip(&layer.costs) {
            let bound = 1e-9 * (cost + 1e-3 * layer.median_cost());
            assert!((step.cost - cost).abs() <= bound, "{}: {} for {cost}", layer.name, step.cost);
        }
        layer.assert_is_a_path(&steps, 1e-9, "definition");
        let (mut inverse, mut weights) = (moments.gram.clone(), layer.weights.clone());
        assert!(surgeon::invert(moments.size, &mut inverse));
        for (&group, expected) in layer.order.iter().zip(&layer.refits) {
            whole_inputs::remove(moments.size, &layer.groups[group as usize], &mut inverse, &mut weights).unwrap();
            for (found, expected) in weights.iter().zip(expected) {
                assert!((found - expected).abs() <= 1e-8, "{}: {found} for {expected}", layer.name);
            }
        }
    }
}

/// Roundings of single precision, eight as in all sums that are checked, grow by the condition of the Gram matrix, which is at
/// most its trace by its ridge: columns / ridge.
#[test]
fn the_engine_takes_whole_inputs_out_and_solves_within_single_precision() {
    let engine = Engine::cpu(Some(2)).unwrap();
    let watch = Watch::nobody();
    for layer in layers() {
        let narrow = |numbers: &[f64]| numbers.iter().map(|&number| number as f32).collect::<Vec<_>>();
        let values: Vec<f32> = layer.values.iter().map(|&value| value as f32).collect();
        let (weights, pre_activations) = (narrow(&layer.weights), narrow(&layer.pre_activations));
        let (weights, bias) = weights.split_at(layer.inputs * layer.units);
        let kept = vec![true; weights.len()];
        let view = SurgeonLayer {
            rows: rows(&layer, &values),
            units: layer.units,
            pre_activations: &pre_activations,
            active_rows: ActiveRows::Always,
            inactive_weight: 1.0,
            ridge: layer.ridge as f32,
            weights,
            bias: layer.has_bias.then_some(bias),
            kept: &kept,
            shares_gram: true,
        };
        let bound = 8.0 * f64::from(f32::EPSILON) * layer.columns() as f64 / layer.ridge;
        let steps = engine.whole_inputs(&view, &layer.groups, &layer.importance, &watch).unwrap();
        let steps: Vec<GroupStep<f64>> =
            steps.iter().map(|step| GroupStep { group: step.group, cost: step.cost.into() }).collect();
        layer.assert_is_a_path(&steps, bound, "engine");
        // Nothing has been taken out: the weights give what they gave.
        let refit = engine.refit_whole(&view, &watch).unwrap();
        let largest = layer.weights.iter().fold(0.0f64, |largest, weight| largest.max(weight.abs()));
        for (&found, &expected) in refit.weights.iter().chain(&refit.bias).zip(&layer.weights) {
            let difference = (f64::from(found) - expected).abs();
            assert!(difference <= bound * largest, "{}: {found} for {expected}", layer.name);
        }
    }
}

/// More columns than a panel has rows, groups of different sizes, and columns in no group.
#[test]
fn long_paths_are_those_of_the_definition() {
    let (size, units) = (150, 7);
    let mut sequence = holdfast::random::Sequence::new(3, holdfast::random::Stream::Check, 4, 0);
    let mut numbers = |count: usize| (0..count).map(|_| sequence.between(-1.0, 1.0)).collect::<Vec<f64>>();
    let values = numbers(400 * size);
    let rows = Rows::Features { values: &values, inputs: size };
    let columns: Vec<u32> = (0..size as u32).collect();
    let mut moments = gram::accumulate(&rows, &columns, &vec![1.0; 400], &vec![0.0; 400]);
    let ridge = 1e-2;
    moments.add_ridge(moments.ridge(ridge), &vec![0.0; size]);
    let (weights, importance) = (numbers(size * units), vec![1.0; units]);
    let mut groups: Vec<Vec<u32>> = (0..60).map(|column| vec![column]).collect();
    groups.extend((0..6).map(|group| (0..9).map(|place| 60 + group + 6 * place).collect()));
    groups.push((120..145).collect());
    let expected = whole_inputs::path(&moments, &weights, &importance, &groups).unwrap();
    let mut half = fast::gram::Half::new(size, 0);
    for i in 0..size {
        (i..size).for_each(|j| half.values[i * half.stride + j] = moments.gram[i * size + j] as f32);
    }
    let narrow: Vec<f32> = weights.iter().map(|&weight| weight as f32).collect();
    let inverse = fast::surgeon::invert(half).unwrap();
    let found = fast::whole_inputs::path(inverse, &narrow, &[1.0; 7], &groups);
    let bound = 8.0 * f64::from(f32::EPSILON) * size as f64 / ridge;
    assert_eq!(found.len(), groups.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.group, expected.group);
        let difference = (f64::from(found.cost) - expected.cost).abs();
        assert!(difference <= bound * expected.cost, "{} for {}", found.cost, expected.cost);
    }
}

#[test]
fn groups_that_do_not_fit_are_refused() {
    let engine = Engine::cpu(Some(1)).unwrap();
    let watch = Watch::nobody();
    let refused = |groups: &[Vec<u32>], importance: &[f64], kept: &[bool]| {
        let view = SurgeonLayer {
            rows: Rows::Features { values: &[1.0, 2.0, 3.0, 4.0], inputs: 2 },
            units: 1,
            pre_activations: &[1.0, 1.0],
            active_rows: ActiveRows::Always,
            inactive_weight: 1.0,
            ridge: 1e-3,
            weights: &[0.5, 0.5],
            bias: None,
            kept,
            shares_gram: true,
        };
        engine.whole_inputs(&view, groups, importance, &watch).unwrap_err().to_string()
    };
    let all = [true; 2];
    for groups in [vec![vec![0], vec![0]], vec![vec![2]], vec![vec![0], vec![]]] {
        assert!(refused(&groups, &[1.0], &all).contains("2 inputs"));
    }
    assert!(refused(&[vec![0]], &[1.0, 1.0], &all).contains("2 importances"));
    assert!(refused(&[vec![0]], &[f64::NAN], &all).contains("1 importances"));
    assert!(refused(&[vec![0]], &[1.0], &[true, false]).contains("lacks some"));
}
