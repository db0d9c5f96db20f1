//! Weights of another program: all tensors of its file, and whether they are the weights that a history followed.

use crate::error::{Error, Result};
use crate::run_folder::arrays::{ArrayFile, ForeignArray, RawArray};
use crate::run_folder::file_kind::Purpose;
use crate::stability::TensorHistory;
use ndarray::{ArrayView, IxDyn};
use std::path::Path;

/// The most axes of a layer of which all orders are tried.
const MOST_AXES: usize = 5;

/// A file of somebody's weights: a whole state dict, or one array.
pub struct WeightFile<'a> {
    path: &'a Path,
    file: ArrayFile<'a>,
    names: Vec<String>,
}

impl<'a> WeightFile<'a> {
    /// Opens `.npy`, `.npz` or `.safetensors`.
    ///
    /// Fails with [`Error::Data`] if it cannot be read.
    pub fn open(path: &'a Path) -> Result<Self> {
        let file = ArrayFile::open(path, Purpose::Arrays)?;
        Ok(Self { path, names: file.names(), file })
    }

    /// Whether the file is in NumPy's own formats.
    pub fn is_numpys(&self) -> bool {
        self.file.is_numpys()
    }

    /// Names and shapes of the tensors of floats with two axes or more, in the order of the file: the weights of layers; where
    /// tensors are `stacked`, an axis of replicas stands before these. Where
    /// `torch.nn.utils.prune` has left `key_orig` and `key_mask`, they are `key`; an array without a name has none.
    pub fn layers(&self, stacked: bool) -> Vec<(String, Vec<usize>)> {
        self.floats().into_iter().filter(|(_, shape)| shape.len() > 1 + usize::from(stacked)).collect()
    }

    /// The same of all tensors of floats: biases too.
    pub fn floats(&self) -> Vec<(String, Vec<usize>)> {
        let outlines = self.file.outlines().iter();
        outlines
            .filter_map(|outline| {
                let shape = outline.shape.clone()?;
                let name = outline.name.clone().unwrap_or_default();
                let masked = |suffix| name.strip_suffix(suffix).filter(|key| self.is_masked(key)).map(String::from);
                match (masked("_orig"), masked("_mask")) {
                    (_, Some(_)) => None,
                    (Some(key), None) => Some((key, shape)),
                    (None, None) => Some((name, shape)),
                }
            })
            .collect()
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|found| found == name)
    }

    /// Whether PyTorch keeps these weights as a product.
    fn is_masked(&self, key: &str) -> bool {
        self.has(&format!("{key}_orig")) && self.has(&format!("{key}_mask"))
    }

    /// Reads the weights `key`, or the only array of the file. Where `torch.nn.utils.prune` has left `key_orig` and `key_mask`
    /// in its place, the weights are their product, with a notice.
    ///
    /// `option` is how the user can name an array. Fails with [`Error::Data`] if the file has no such array, or has several and
    /// none is named.
    pub fn read(&mut self, key: Option<&str>, option: &str) -> Result<ForeignArray> {
        let only = match self.names.as_slice() {
            [one, other] => [one, other].into_iter().find_map(|name| name.strip_suffix("_orig")),
            _ => None,
        };
        if let Some(key) = key.or(only).filter(|key| !self.has(key) && self.is_masked(key)).map(str::to_string) {
            return self.masked_by_torch(&key, option);
        }
        let beside = key.and_then(|key| key.strip_suffix("_orig")).filter(|key| self.is_masked(key));
        let notice = beside.map(|key| {
            format!("{key}_mask, PyTorch's mask of these weights, is not applied; {option} {key} applies it")
        });
        let mut array = self.file.read(key, option)?;
        array.notices.extend(notice);
        Ok(array)
    }

    fn masked_by_torch(&mut self, key: &str, option: &str) -> Result<ForeignArray> {
        let mut array = self.file.read(Some(&format!("{key}_orig")), option)?;
        let mask = self.file.read(Some(&format!("{key}_mask")), option)?;
        let is_mask = mask.values.iter().all(|&value| value == 0.0 || value == 1.0);
        if array.shape != mask.shape || !is_mask {
            return Err(Error::Data(format!(
                "{}: {key}_mask, of the shape {:?}, is no mask of 0 and 1 for {key}_orig, of the shape {:?}; save the layer \
                 again after prune.remove(layer, 'weight')",
                self.path.display(),
                mask.shape,
                array.shape
            )));
        }
        let pruned = mask.values.iter().filter(|&&value| value == 0.0).count();
        for (value, &kept) in array.values.iter_mut().zip(&mask.values) {
            *value = if kept == 0.0 { 0.0 } else { *value };
        }
        array.notices.push(format!(
            "{key} is {key}_orig times {key}_mask, as PyTorch's pruning keeps it: {pruned} of {} weights are 0",
            mask.values.len()
        ));
        array.name = Some(key.into());
        Ok(array)
    }

    /// Reads every tensor of the file as it is stored, whatever its type. What `torch.nn.utils.prune` has left of those called
    /// `pruned` is put together under their names; an array without a name gets `alone`.
    ///
    /// Fails with [`Error::Data`] if one cannot be read.
    pub fn state(&mut self, pruned: &[String], alone: &str) -> Result<Vec<RawArray>> {
        if self.names.is_empty() {
            let mut array = self.file.read_raw(None)?;
            array.name = Some(alone.into());
            return Ok(vec![array]);
        }
        let is_put_together = |name: &str, suffix| {
            let key = name.strip_suffix(suffix)?;
            (!self.has(key) && self.is_masked(key) && pruned.iter().any(|pruned| pruned == key))
                .then(|| key.to_string())
        };
        let named: Vec<(String, Option<String>)> = self
            .names
            .iter()
            .filter(|name| is_put_together(name, "_mask").is_none())
            .map(|name| (name.clone(), is_put_together(name, "_orig")))
            .collect();
        named
            .into_iter()
            .map(|(name, key)| {
                let mut array = self.file.read_raw(Some(&name))?;
                if let Some(key) = key {
                    let mask = self.file.read(Some(&format!("{key}_mask")), "")?;
                    array.cut(&mask.values.iter().map(|&kept| kept != 0.0).collect::<Vec<_>>());
                    array.name = Some(key);
                }
                Ok(array)
            })
            .collect()
    }
}

/// Compares the weights with those that the history followed, and says what the user should know; nothing if they are those
/// of its last epoch.
///
/// Fails with [`Error::Data`] if a weight is not finite, if there are more or fewer than the history has, or if they are the
/// history's with the axes in another order.
pub fn compare(array: &ForeignArray, read: &TensorHistory) -> Result<Option<String>> {
    let sizes = read.shape;
    if let Some(place) = array.values.iter().position(|value| !value.is_finite()) {
        return Err(Error::Data(format!(
            "the weights hold {} at place {place} (counted from 0 in C order); save weights that are finite",
            array.values[place]
        )));
    }
    let fits = fits(&array.shape, sizes.replicas, sizes.weight_count, &read.weight_axes);
    if array.values.len() != sizes.columns() {
        return Err(misfit(array, read));
    }
    let found = agreement(array, read)?;
    let last = sizes.epochs - 1;
    let Some((order, epoch, zeros)) = found else {
        if !fits {
            return Err(misfit(array, read));
        }
        let furthest = array
            .values
            .iter()
            .zip(read.epoch(last)?.iter())
            .map(|(weight, reference)| (weight - reference).abs())
            .fold(0.0, f32::max);
        return Ok(Some(format!(
            "the weights are not those of the history's last epoch, nor of another: they lie up to {furthest} apart; \
             weights are chosen by the history and removed from the weights"
        )));
    };
    if order.is_turned {
        // Replicas stay first.
        let before = array.shape.len().saturating_sub(order.axes.len());
        let axes = (0..before).chain(order.axes.iter().map(|axis| axis + before));
        let axes: Vec<String> = axes.map(|axis| axis.to_string()).collect();
        return Err(Error::Data(format!(
            "the weights are those of the history's epoch {epoch} (of 0 to {last}) with the axes in another order{}: they have \
             the shape {:?}, the history's are {:?}; save both in the same order, e.g. numpy.transpose(weights, ({}))",
            if order.axes.len() == 2 { ", transposed" } else { "" },
            array.shape,
            read.weight_axes,
            axes.join(", ")
        )));
    }
    let mut notices = Vec::new();
    if !fits {
        notices.push(format!(
            "the weights have the shape {:?} and are read in the order of the history's axes",
            array.shape
        ));
    }
    if zeros > 0 {
        notices.push(format!("{zeros} weights are 0 that are not 0 in the history: they were pruned before"));
    }
    if epoch != last {
        notices.push(format!(
            "the weights are those of the history's epoch {epoch} (of 0 to {last}), not of its last; weights are chosen by the \
             history and removed from the weights"
        ));
    }
    Ok((!notices.is_empty()).then(|| notices.join("; ")))
}

/// Whether an array has the axes of the weights, with the replica before them where there are several or the array has it.
fn fits(shape: &[usize], replicas: usize, weight_count: usize, weight_axes: &[usize]) -> bool {
    let flat = weight_axes.len() == 1;
    let is_one = |shape: &[usize]| shape == weight_axes || (flat && shape.iter().product::<usize>() == weight_count);
    (replicas == 1 && is_one(shape)) || (shape.first() == Some(&replicas) && is_one(&shape[1..]))
}

fn misfit(array: &ForeignArray, read: &TensorHistory) -> Error {
    let mut turned = read.weight_axes.clone();
    turned.reverse();
    let advice = if turned.len() == 2 && array.shape.ends_with(&turned) {
        "they look transposed: save both in the same order of axes"
    } else {
        "name the weights that the history recorded with --weight-key, or say with --axes what the history's axes are"
    };
    Error::Data(format!(
        "the weights have the shape {:?}, but the history has {} replicas of weights {:?}; {advice}",
        array.shape, read.shape.replicas, read.weight_axes
    ))
}

/// An order of the axes of each replica's weights in which they may be the history's.
struct Order {
    /// Sizes of the weights' own axes.
    shape: Vec<usize>,
    /// Their places in the history's order, as `numpy.transpose` wants them.
    axes: Vec<usize>,
    /// Whether it is another order than the history's.
    is_turned: bool,
}

/// All orders to try, the history's own first.
fn orders(array: &ForeignArray, read: &TensorHistory) -> Vec<Order> {
    let replicas = read.shape.replicas;
    let own = match array.shape.split_first() {
        Some((&first, rest)) if first == replicas && rest.iter().product::<usize>() == read.shape.weight_count => rest,
        _ => &array.shape[..],
    };
    // The axes are known from the history, or else from the weights.
    let known = if read.weight_axes.len() > 1 { &read.weight_axes[..] } else { own };
    let mut found = Vec::new();
    // Other axes of the same product are a mistake, even if the numbers happen to follow each other alike.
    if own.len() < 2 || own.len() == known.len() && own == known || read.weight_axes.len() < 2 {
        found.push(Order { shape: known.to_vec(), axes: (0..known.len()).collect(), is_turned: false });
    }
    if known.len() < 2 || known.len() > MOST_AXES {
        return found;
    }
    for axes in permutations(known.len()) {
        let mut shape = known.to_vec();
        if read.weight_axes.len() > 1 {
            axes.iter().zip(known).for_each(|(&axis, &size)| shape[axis] = size);
        }
        let is_turned = axes.iter().enumerate().any(|(place, &axis)| place != axis);
        // Weights with as many axes as the layer have no other sizes than their own.
        if is_turned && (own.len() != known.len() || own == shape) {
            found.push(Order { shape, axes, is_turned });
        }
    }
    found
}

/// All orders of so many things.
fn permutations(count: usize) -> Vec<Vec<usize>> {
    let with = |order: &[usize], place: usize, next: usize| [&order[..place], &[next], &order[place..]].concat();
    (0..count).fold(vec![Vec::new()], |orders, next| {
        orders.iter().flat_map(|order| (0..=order.len()).map(move |place| with(order, place, next))).collect()
    })
}

/// The first order in which an epoch has these weights, up to what the files' formats round; the last such epoch, and how many
/// of the weights are 0 that are not 0 there.
fn agreement(array: &ForeignArray, read: &TensorHistory) -> Result<Option<(Order, usize, usize)>> {
    let sizes = read.shape;
    let relative = array.rounding.relative + read.rounding.relative;
    let absolute = array.rounding.absolute + read.rounding.absolute;
    let mut orders = orders(array, read);
    let views: Vec<_> = orders
        .iter()
        .map(|order| {
            let shape = [&[sizes.replicas][..], &order.shape].concat();
            let axes: Vec<usize> = [0].into_iter().chain(order.axes.iter().map(|axis| axis + 1)).collect();
            ArrayView::from_shape(IxDyn(&shape), &array.values).ok().map(|view| view.permuted_axes(IxDyn(&axes)))
        })
        .collect();
    let zeros_in = |view: &ArrayView<'_, f32, IxDyn>, recorded: &[f32]| {
        let (mut zeros, mut others) = (0, 0);
        for (&weight, &recorded) in view.iter().zip(recorded) {
            let is_equal = (weight - recorded).abs() <= recorded.abs().max(weight.abs()) * relative + absolute;
            match (is_equal, weight == 0.0) {
                (true, _) => others += usize::from(weight != 0.0),
                (false, true) => zeros += 1,
                (false, false) => return None,
            }
        }
        // Weights that are all 0 agree with any.
        (zeros == 0 || others > 0).then_some(zeros)
    };
    // Epochs are read once each: they may lie in a file.
    let mut found: Vec<Option<(usize, usize)>> = vec![None; orders.len()];
    for epoch in (0..sizes.epochs).rev() {
        let recorded = read.epoch(epoch)?;
        for (found, view) in found.iter_mut().zip(&views).filter(|(found, _)| found.is_none()) {
            let zeros = view.as_ref().and_then(|view| zeros_in(view, &recorded));
            *found = zeros.map(|zeros| (epoch, zeros));
        }
        // No other order comes before the first.
        if found.first().is_none_or(Option::is_some) {
            break;
        }
    }
    let place = found.iter().position(Option::is_some);
    Ok(place.and_then(|place| found[place].map(|(epoch, zeros)| (orders.swap_remove(place), epoch, zeros))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::HistoryShape;
    use crate::run_folder::arrays::Rounding;
    use crate::stability::History;

    /// Two epochs, of weights 1, 2, 3, ... and of those plus a half.
    fn history(replicas: usize, weight_axes: &[usize]) -> TensorHistory {
        let weight_count = weight_axes.iter().product();
        let columns = replicas * weight_count;
        let first = (0..columns).map(|index| index as f32 + 1.0);
        let weights = first.clone().chain(first.map(|weight| weight + 0.5)).collect();
        let history = History::new(HistoryShape { epochs: 2, replicas, weight_count }, weights).unwrap();
        TensorHistory::new("", history, weight_axes.to_vec())
    }

    fn array(shape: &[usize], values: Vec<f32>) -> ForeignArray {
        ForeignArray { name: None, shape: shape.to_vec(), values, rounding: Rounding::default(), notices: Vec::new() }
    }

    fn last(read: &TensorHistory) -> Vec<f32> {
        read.epoch(1).unwrap().to_vec()
    }

    #[test]
    fn weights_must_have_the_axes_of_the_weights() {
        let fits = |shape: &[usize], replicas, weight_axes: &[usize]| {
            let read = history(replicas, weight_axes);
            compare(&array(shape, vec![7.0; shape.iter().product()]), &read).is_ok()
        };
        assert!(fits(&[2, 3], 1, &[2, 3]) && fits(&[1, 2, 3], 1, &[2, 3]) && fits(&[4, 2, 3], 4, &[2, 3]));
        assert!(fits(&[2, 3], 1, &[6]) && fits(&[4, 2, 3], 4, &[6]) && fits(&[4, 6], 4, &[6]));
        assert!(!fits(&[3, 2], 1, &[2, 3]) && !fits(&[2, 3], 4, &[2, 3]) && !fits(&[3, 6], 4, &[6]));
        assert!(!fits(&[], 4, &[6]) && !fits(&[24], 4, &[6]));
    }

    #[test]
    fn the_last_epoch_is_known_in_any_format_and_flat() {
        let read = history(1, &[2, 3]);
        assert_eq!(compare(&array(&[2, 3], last(&read)), &read).unwrap(), None);
        let mut half = array(&[2, 3], last(&read).iter().map(|weight| weight * (1.0 + 2e-4)).collect());
        assert!(compare(&half, &read).unwrap().unwrap().contains("not those"));
        half.rounding.relative = (-11.0f32).exp2();
        assert_eq!(compare(&half, &read).unwrap(), None);
        let flat = compare(&array(&[6], last(&read)), &read).unwrap().unwrap();
        assert!(flat.contains("[6]"), "{flat}");
    }

    #[test]
    fn other_orders_of_axes_are_refused_and_other_epochs_and_masks_are_said() {
        // The transpose of 1.5 2.5 3.5 / 4.5 5.5 6.5 / ..., with equal sizes and with others, flat too.
        for (axes, shapes) in [(&[3, 3][..], [&[3, 3][..], &[9]]), (&[2, 3], [&[3, 2], &[6]])] {
            for replicas in [1, 2] {
                let read = history(replicas, axes);
                let weight_count = axes[0] * axes[1];
                let turned: Vec<f32> = (0..replicas * weight_count)
                    .map(|index| {
                        let (replica, weight_index) = (index / weight_count, index % weight_count);
                        last(&read)[replica * weight_count + weight_index % axes[0] * axes[1] + weight_index / axes[0]]
                    })
                    .collect();
                for shape in shapes {
                    let shape = [&[replicas][..], shape].concat();
                    let error = compare(&array(&shape, turned.clone()), &read).unwrap_err();
                    assert!(matches!(error, Error::Data(_)) && error.to_string().contains("transposed"), "{error}");
                }
            }
        }
        let read = history(1, &[2, 3]);
        let first = read.epoch(0).unwrap().to_vec();
        assert!(compare(&array(&[2, 3], first), &read).unwrap().unwrap().contains("epoch 0 (of 0 to 1)"));
        let mut masked = last(&read);
        masked[1] = 0.0;
        masked[4] = 0.0;
        assert!(compare(&array(&[2, 3], masked), &read).unwrap().unwrap().starts_with("2 weights are 0"));
        assert!(compare(&array(&[2, 3], vec![0.0; 6]), &read).unwrap().unwrap().contains("not those"));
        assert!(compare(&array(&[2, 3], vec![f32::NAN; 6]), &read).is_err());
    }
}
