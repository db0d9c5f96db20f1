//! A layer as the surgeon sees it, with calibration images that have come as far as its inputs.

pub use crate::cpu::gram::{Rows, winners};
use crate::error::{Error, Result};
use crate::network::Layer;

/// In which rows a unit counts in full; in the others by the layer's inactive weight.
#[derive(Clone, Copy, Debug)]
pub enum ActiveRows<'a> {
    /// In all: the output layer, and before any other activation than ReLU.
    Always,
    /// Where its pre-activation is above 0: a ReLU follows.
    Positive,
    /// Where this says so, `[row, unit]`: a pool follows, see [`winners`].
    Given(&'a [bool]),
}

/// A layer, with calibration images that have come as far as its inputs.
#[derive(Clone, Copy, Debug)]
pub struct SurgeonLayer<'a> {
    /// What its units read, row by row, from the layers before as they now are.
    pub rows: Rows<'a, f32>,
    /// Units.
    pub units: usize,
    /// What each unit should give: pre-activations of the dense network `[row, unit]`.
    pub pre_activations: &'a [f32],
    /// When a unit counts in full.
    pub active_rows: ActiveRows<'a>,
    /// How much a row counts where the unit is not active, from 0 to 1.
    pub inactive_weight: f32,
    /// The ridge as a share of the mean of the Gram matrix' diagonal, above 0.
    pub ridge: f32,
    /// Weights as they now are `[input, unit]`.
    pub weights: &'a [f32],
    /// Biases as they now are `[unit]`, if the layer has any.
    pub bias: Option<&'a [f32]>,
    /// Which weights are there `[input, unit]`.
    pub kept: &'a [bool],
    /// Whether all units share one Gram matrix, in which every row counts in full.
    pub shares_gram: bool,
}

/// Weights and biases that were solved anew; weights that are not kept are exactly 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Refit {
    /// `[input, unit]`
    pub weights: Vec<f32>,
    /// `[unit]`, empty where the layer has none.
    pub bias: Vec<f32>,
}

/// A layer of several that are solved anew one after the other: what it is, and the surgeon's view of it. Of all but the first
/// the values of its rows are not read: they are what the layer before then gives.
pub type ChainLayer<'a> = (Layer, SurgeonLayer<'a>);

impl<'a> SurgeonLayer<'a> {
    /// Fails where arrays do not fit together, where a setting is impossible, and where a number is not finite.
    pub(super) fn check(&self) -> Result<()> {
        self.check_behind(self.rows.len())?;
        if let Rows::Patches { values, size: [height, width], channels, positions } = self.rows {
            let pixels = values.len() / channels.max(1);
            let whole = pixels.is_multiple_of((height * width).max(1)) && values.len() == pixels * channels;
            if let Some(position) = positions.iter().find(|&&position| !whole || position as usize >= pixels) {
                return Err(Error::Shape(format!(
                    "position {position} does not lie in {} activations of {height} x {width} x {channels}",
                    values.len()
                )));
            }
        }
        Ok(())
    }

    /// Fails where a position lies outside of so many images.
    pub(super) fn check_positions(&self, images: usize) -> Result<()> {
        let Rows::Patches { size: [height, width], positions, .. } = self.rows else { return Ok(()) };
        match positions.iter().find(|&&position| position as usize >= images * height * width) {
            Some(position) => {
                Err(Error::Shape(format!("position {position} does not lie in {images} images of {height} x {width}")))
            }
            None => Ok(()),
        }
    }

    /// The same of a layer of `rows` rows, whose values may not be there yet, but for where its rows lie.
    pub(super) fn check_behind(&self, rows: usize) -> Result<()> {
        let (inputs, units) = (self.rows.inputs(), self.units);
        if rows == 0 || inputs == 0 || units == 0 {
            return Err(Error::Usage(format!(
                "the surgeon has {rows} rows of {inputs} inputs for {units} units; give it at least one calibration image"
            )));
        }
        let given = match self.active_rows {
            ActiveRows::Given(active) => active.len(),
            _ => rows * units,
        };
        let lengths = [
            ("pre-activations", self.pre_activations.len(), rows * units),
            ("activities", given, rows * units),
            ("weights", self.weights.len(), inputs * units),
            ("kept weights", self.kept.len(), inputs * units),
            ("biases", self.bias.map_or(units, <[f32]>::len), units),
        ];
        if let Some((what, found, needed)) = lengths.iter().find(|(_, found, needed)| found != needed) {
            return Err(Error::Shape(format!(
                "{found} {what} do not fit {rows} rows of {inputs} inputs and {units} units: {needed} needed"
            )));
        }
        if !(self.ridge > 0.0 && self.ridge.is_finite()) {
            return Err(Error::Usage(format!("a ridge of {} solves nothing; use a number above 0", self.ridge)));
        }
        if !(0.0..=1.0).contains(&self.inactive_weight) {
            return Err(Error::Usage(format!(
                "inactive rows cannot count {}; use a number from 0 to 1",
                self.inactive_weight
            )));
        }
        let (Rows::Features { values, .. } | Rows::Patches { values, .. }) = self.rows;
        let arrays = [
            ("inputs", values),
            ("pre-activations", self.pre_activations),
            ("weights", self.weights),
            ("biases", self.bias.unwrap_or_default()),
        ];
        for (what, numbers) in arrays {
            if let Some(place) = numbers.iter().position(|number| !number.is_finite()) {
                return Err(Error::Data(format!(
                    "{what} of the surgeon's layer hold {} at place {place}: the network is broken; prune one whose training \
                     did not diverge",
                    numbers[place]
                )));
            }
        }
        Ok(())
    }

    /// Columns of unit `k` that are there: kept inputs, and the bias behind them.
    pub(super) fn columns(&self, k: usize) -> Vec<u32> {
        self.columns_of(self.kept, k)
    }

    /// The same where the weights of `kept` stay.
    pub(super) fn columns_of(&self, kept: &[bool], k: usize) -> Vec<u32> {
        let inputs = self.rows.inputs();
        let kept = (0..inputs).filter(|i| kept[i * self.units + k]);
        kept.chain(self.bias.map(|_| inputs)).map(|column| column as u32).collect()
    }

    /// Weight of unit `k` in a column.
    pub(super) fn weight(&self, column: u32, k: usize) -> f32 {
        let place = column as usize * self.units + k;
        self.weights.get(place).copied().unwrap_or_else(|| self.bias.map_or(0.0, |bias| bias[k]))
    }

    /// Whether a row counts in full for unit `k`, of which it is to give `target`.
    pub(super) fn is_active(&self, row: usize, k: usize, target: f32) -> bool {
        match self.active_rows {
            _ if self.shares_gram => true,
            ActiveRows::Always => true,
            ActiveRows::Positive => target > 0.0,
            ActiveRows::Given(active) => active[row * self.units + k],
        }
    }

    /// How much a row counts for unit `k`.
    #[cfg(feature = "gpu")]
    pub(super) fn row_weight(&self, row: usize, k: usize) -> f32 {
        let is_active = self.is_active(row, k, self.pre_activations[row * self.units + k]);
        crate::cpu::gram::row_weight(is_active, self.inactive_weight)
    }

    /// The same layer, reading `values`.
    pub(super) fn reading<'b>(&self, values: &'b [f32]) -> SurgeonLayer<'b>
    where
        'a: 'b,
    {
        let rows = match self.rows {
            Rows::Features { inputs, .. } => Rows::Features { values, inputs },
            Rows::Patches { size, channels, positions, .. } => Rows::Patches { values, size, channels, positions },
        };
        SurgeonLayer { rows, ..*self }
    }

    /// A refit that has no weights yet.
    pub(super) fn nothing_kept(&self) -> Refit {
        Refit {
            weights: vec![0.0; self.weights.len()],
            bias: self.bias.map_or_else(Vec::new, |bias| vec![0.0; bias.len()]),
        }
    }

    /// Puts what unit `k` was solved for in its place.
    pub(super) fn place(&self, refit: &mut Refit, k: usize, columns: &[u32], weights: &[f32]) {
        for (&column, &weight) in columns.iter().zip(weights) {
            match refit.weights.get_mut(column as usize * self.units + k) {
                Some(place) => *place = weight,
                None => refit.bias[k] = weight,
            }
        }
    }

    pub(super) fn singular(&self, k: usize) -> Error {
        Error::Data(format!(
            "the inputs of unit {k} determine no weights in single precision with a ridge of {}; use a larger ridge",
            self.ridge
        ))
    }
}
