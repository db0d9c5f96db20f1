//! Scores: a number for each weight that says which goes before which. How many go is [`super::allocation`]'s business.

use super::allocation::{Amount, First, Scope, TensorScores, allocate_each};
use super::input_norm::{hold_input, wanda};
use super::masks::{Mask, by_stability};
use super::{Method, operating_points};
use crate::engine::{Engine, Watch};
use crate::error::{Error, Result};
use crate::network::Part;
use crate::stability::envelope::{FROZEN_WINDOW, windows};
use crate::stability::{History, Reading, Stability, TensorHistory, Tracking, WindowedEnvelope, magnitude};

/// How weights are put in an order.
///
/// ```
/// use holdfast::engine::{Engine, HistoryShape};
/// use holdfast::error::Result;
/// use holdfast::pruning::allocation::{Amount, Scope};
/// use holdfast::pruning::score::{Score, Scores};
/// use holdfast::stability::{History, TensorHistory};
///
/// // Two epochs of one replica of four weights; the second weight was near zero after the first epoch.
/// let shape = HistoryShape { epochs: 2, replicas: 1, weight_count: 4 };
/// let weights = vec![-0.6, 0.1, 0.4, 0.5, -0.7, 0.9, 0.3, 0.6];
/// let history = TensorHistory::new("dense0.weight", History::new(shape, weights)?, vec![2, 2]);
/// let mut engine = Engine::cpu(None)?;
/// let mut kept = |score: Score| -> Result<Vec<bool>> {
///     let scores = [score.of_history(&mut engine, &history, None)?];
///     Ok(Scores::masks(&scores, Scope::Layer, &[Amount::Share(0.5)])?[0][0][0].to_vec())
/// };
/// assert_eq!(kept(Score::Magnitude)?, [true, true, false, false]);
/// assert_eq!(kept(Score::Hold { window: 2, keep_frozen: false })?, [true, false, false, true]);
/// # Ok::<(), holdfast::error::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// Settling tolerance over a window of last epochs; the largest goes first.
    Settle {
        /// Window of last epochs.
        window: u32,
        /// Whether frozen weights are treated like all others, not removed first.
        keep_frozen: bool,
    },
    /// Holding magnitude over a window of last epochs.
    Hold {
        /// Window of last epochs.
        window: u32,
        /// Whether frozen weights are treated like all others, not removed first.
        keep_frozen: bool,
    },
    /// Holding magnitude times the norm of the input, see [`super::input_norm`].
    HoldInput {
        /// Window of last epochs.
        window: u32,
        /// Whether frozen weights are treated like all others, not removed first.
        keep_frozen: bool,
    },
    /// Magnitude at the last epoch.
    Magnitude,
    /// Magnitude times the norm of the input, see [`super::input_norm`].
    Wanda,
}

/// The scores of one tensor `[replica, weight_index]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    numbers: Numbers,
    weight_count: usize,
    first: First,
    before_others: bool,
    /// Whether each weight is frozen; `None` where no history tells.
    pub frozen: Option<Vec<bool>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Numbers {
    Single(Vec<f32>),
    Double(Vec<f64>),
}

impl Score {
    /// The score that a method orders weights by; none of those that go another way. What looks at a history does so over `window`.
    pub fn of_method(method: Method, window: u32, keep_frozen: bool) -> Option<Self> {
        match method {
            Method::Settle => Some(Self::Settle { window, keep_frozen }),
            Method::Hold => Some(Self::Hold { window, keep_frozen }),
            Method::HoldInput => Some(Self::HoldInput { window, keep_frozen }),
            Method::Magnitude => Some(Self::Magnitude),
            Method::Wanda => Some(Self::Wanda),
            Method::Dense | Method::Stability | Method::MagnitudeFrozenFirst | Method::Random => None,
            Method::Surgeon | Method::HoldSurgeon | Method::DecaySequential | Method::DecayBatched => None,
        }
    }

    /// Refuses a window that a history of `epochs` does not allow.
    ///
    /// Fails with [`Error::Usage`].
    pub fn validate(self, epochs: u32) -> Result<()> {
        self.window().map_or(Ok(()), |window| windows(Some(&[window]), epochs).map(|_| ()))
    }

    /// Whether it looks at more than the last weights.
    pub fn needs_history(self) -> bool {
        self.window().is_some()
    }

    /// Whether it looks at the norms of inputs over calibration images.
    pub fn needs_norms(self) -> bool {
        match self {
            Self::HoldInput { .. } | Self::Wanda => true,
            Self::Settle { .. } | Self::Hold { .. } | Self::Magnitude => false,
        }
    }

    /// Window of last epochs, where it looks at a history.
    pub fn window(self) -> Option<u32> {
        match self {
            Self::Settle { window, .. } | Self::Hold { window, .. } | Self::HoldInput { window, .. } => Some(window),
            Self::Magnitude | Self::Wanda => None,
        }
    }

    /// Scores the weights that a history follows. `norms` are those of the inputs `[replica, input]`, for scores that know them.
    ///
    /// Fails with [`Error::Usage`] if the window does not fit the history or norms are missing, as [`wanda`] does, as the engine
    /// does, and with [`Error::Data`] if the history cannot be read.
    pub fn of_history(self, engine: &mut Engine, history: &TensorHistory, norms: Option<&[f32]>) -> Result<Scores> {
        let shape = history.shape;
        self.validate(shape.epochs as u32)?;
        // Over a window of one epoch the holding magnitude is the magnitude.
        let window = self.window().unwrap_or(1);
        let mut numbers = Numbers::Single(Vec::new());
        let mut frozen = Vec::with_capacity(shape.columns());
        history.for_each_block(window.max(FROZEN_WINDOW) as usize, &mut |block, _| {
            let envelope = WindowedEnvelope::new(engine, block, &[window])?;
            for replica in 0..block.shape().replicas {
                match (self, &mut numbers) {
                    (Self::Settle { .. }, Numbers::Double(all)) => all.extend(envelope.settling_tolerances(0, replica)),
                    (Self::Settle { .. }, Numbers::Single(_)) => {
                        numbers = Numbers::Double(envelope.settling_tolerances(0, replica));
                    }
                    (_, Numbers::Single(all)) => all.extend(envelope.holding_magnitude(0, replica)),
                    (_, Numbers::Double(_)) => {}
                }
            }
            frozen.extend_from_slice(&envelope.frozen);
            Ok(())
        })?;
        let outputs = history.weight_axes.last().copied().unwrap_or(1);
        self.scores(numbers, shape.weight_count, outputs, norms, Some(frozen))
    }

    /// Scores a part of what one replica's history follows, whose extremes are known. `norms` are those of the part's inputs.
    ///
    /// Fails as [`Self::of_history`] does.
    pub(super) fn of_part(
        self,
        numbers: &operating_points::Numbers<'_>,
        part: &Part,
        replica: usize,
        norms: Option<&[f32]>,
    ) -> Result<Scores> {
        let envelope = numbers.envelope;
        let window = envelope.windows.iter().position(|&window| Some(window) == self.window()).unwrap_or(0);
        let own = part.start..part.start + part.weights();
        let scored = match self {
            Self::Settle { .. } => Numbers::Double(envelope.settling_tolerances(window, replica)[own.clone()].to_vec()),
            Self::Hold { .. } | Self::HoldInput { .. } => {
                Numbers::Single(envelope.holding_magnitude(window, replica)[own.clone()].to_vec())
            }
            Self::Magnitude | Self::Wanda => {
                let weights = numbers.history.shape().weight_count;
                let last = &numbers.history.reference()[replica * weights..][own.clone()];
                Numbers::Single(last.iter().map(|weight| weight.abs()).collect())
            }
        };
        let outputs = part.weights() / part.fan_in().max(1);
        let frozen = self.needs_history().then(|| envelope.frozen_of_replica(replica)[own].to_vec());
        self.scores(scored, part.weights(), outputs, norms, frozen)
    }

    /// Scores weights `[replica, ...axes]` of which no history is known; `replicas` of them.
    ///
    /// Fails with [`Error::Usage`] if the score needs a history or norms, and as [`wanda`] does.
    pub fn of_weights(
        self,
        weights: &[f32],
        replicas: usize,
        weight_axes: &[usize],
        norms: Option<&[f32]>,
    ) -> Result<Scores> {
        if self.needs_history() {
            return Err(Error::Usage(
                "settle and hold look at the history of the weights, which is missing; give one, or prune by magnitude"
                    .into(),
            ));
        }
        let numbers = Numbers::Single(weights.iter().map(|weight| weight.abs()).collect());
        let outputs = weight_axes.last().copied().unwrap_or(1);
        self.scores(numbers, weights.len() / replicas.max(1), outputs, norms, None)
    }

    fn scores(
        self,
        numbers: Numbers,
        weight_count: usize,
        outputs: usize,
        norms: Option<&[f32]>,
        frozen: Option<Vec<bool>>,
    ) -> Result<Scores> {
        let scale = match self {
            Self::HoldInput { .. } => Some(hold_input as fn(&[f32], usize, &[f32]) -> Result<Vec<f32>>),
            Self::Wanda => Some(wanda as _),
            Self::Settle { .. } | Self::Hold { .. } | Self::Magnitude => None,
        };
        let numbers = match (scale, numbers) {
            (Some(scale), Numbers::Single(values)) => {
                let norms = norms.ok_or_else(|| {
                    Error::Usage(
                        "this score needs the norms of the inputs over calibration images, and there are none".into(),
                    )
                })?;
                // Replicas stand one after the other in both.
                Numbers::Single(scale(&values, outputs, norms)?)
            }
            (_, numbers) => numbers,
        };
        let (first, before_others) = match self {
            Self::Settle { keep_frozen, .. } => (First::Largest, !keep_frozen),
            Self::Hold { keep_frozen, .. } | Self::HoldInput { keep_frozen, .. } => (First::Smallest, !keep_frozen),
            Self::Magnitude | Self::Wanda => (First::Smallest, false),
        };
        Ok(Scores { numbers, weight_count, first, before_others, frozen })
    }
}

impl Scores {
    /// How many weights a replica has.
    pub fn weight_count(&self) -> usize {
        self.weight_count
    }

    /// Chooses the weights that go from tensors of the same score, each replica for itself, at each of some amounts: masks
    /// `[amount][tensor][replica]`.
    ///
    /// Fails as [`super::allocation::allocate`] does, and with [`Error::Shape`] if the tensors have different numbers of replicas or
    /// scores.
    pub fn masks(tensors: &[Self], scope: Scope, amounts: &[Amount]) -> Result<Vec<Vec<Vec<Mask>>>> {
        let replicas = tensors.iter().map(Self::replicas).max().unwrap_or(0);
        let kind = |scores: &Self| (scores.first, matches!(scores.numbers, Numbers::Single(_)), scores.replicas());
        if tensors.iter().any(|scores| kind(scores) != kind(&tensors[0])) {
            return Err(Error::Shape("tensors that are pruned together need one score and as many replicas".into()));
        }
        let mut masks = vec![vec![Vec::new(); tensors.len()]; amounts.len()];
        for replica in 0..replicas {
            let chosen = match tensors.first().map(|scores| &scores.numbers) {
                None | Some(Numbers::Single(_)) => Self::chosen(tensors, scope, amounts, replica, Numbers::single)?,
                Some(Numbers::Double(_)) => Self::chosen(tensors, scope, amounts, replica, Numbers::double)?,
            };
            for (masks, chosen) in masks.iter_mut().zip(chosen) {
                masks.iter_mut().zip(chosen).for_each(|(masks, mask)| masks.push(mask.into()));
            }
        }
        Ok(masks)
    }

    /// The same of one replica, by numbers of one kind: masks `[amount][tensor]`.
    fn chosen<S: Copy + Into<f64>>(
        tensors: &[Self],
        scope: Scope,
        amounts: &[Amount],
        replica: usize,
        numbers: fn(&Numbers) -> &[S],
    ) -> Result<Vec<Vec<Vec<bool>>>> {
        let tensor = |scores| tensor_scores(scores, replica, numbers);
        let first = tensors.first().map_or(First::Smallest, |scores| scores.first);
        allocate_each(scope, first, &tensors.iter().map(tensor).collect::<Vec<_>>(), amounts, &Watch::nobody())
    }

    fn replicas(&self) -> usize {
        (self.numbers.single().len() + self.numbers.double().len()) / self.weight_count.max(1)
    }
}

impl Numbers {
    /// None of them where they are in double precision.
    fn single(&self) -> &[f32] {
        if let Self::Single(all) = self { all } else { &[] }
    }

    /// None of them where they are in single precision.
    fn double(&self) -> &[f64] {
        if let Self::Double(all) = self { all } else { &[] }
    }
}

/// What is known of one replica's weights of a tensor.
fn tensor_scores<'a, S>(scores: &'a Scores, replica: usize, numbers: fn(&Numbers) -> &[S]) -> TensorScores<'a, S> {
    let own = replica * scores.weight_count..(replica + 1) * scores.weight_count;
    let frozen = scores.frozen.as_deref().filter(|_| scores.before_others);
    TensorScores { before_others: frozen.map(|frozen| &frozen[own.clone()]), scores: &numbers(&scores.numbers)[own] }
}

/// Refuses a tolerance that is impossible, and a threshold that a history of `epochs` does not allow.
///
/// Fails with [`Error::Usage`].
pub fn check_threshold(tolerance: f64, min_stability: u32, epochs: u32) -> Result<()> {
    if (1..=epochs).contains(&min_stability) {
        return magnitude::check_tolerances(&[tolerance]);
    }
    Err(Error::Usage(format!(
        "--min-stability {min_stability} does not fit a history of {epochs} epochs; use 1 (removes nothing) to {epochs}"
    )))
}

/// Magnitude stability below a threshold: masks of each replica, and whether each weight `[replica, weight_index]` is frozen.
///
/// Fails with [`Error::Usage`] if the tolerance is impossible, and with [`Error::Data`] if the history cannot be read.
pub fn below_threshold(
    engine: &mut Engine,
    history: &TensorHistory,
    tolerance: f64,
    min_stability: u32,
    reading: Reading,
) -> Result<(Vec<Mask>, Vec<bool>)> {
    let shape = history.shape;
    let (mut counts, mut frozen) = (Vec::new(), Vec::new());
    let mut count = |block: &History, _: usize| {
        counts.extend(Stability::count(engine, block, &[tolerance], reading)?.counts.stability);
        frozen.extend(WindowedEnvelope::new(engine, block, &[1])?.frozen);
        Ok(())
    };
    match reading.tracking {
        Tracking::Position => history.for_each_block(shape.epochs, &mut count)?,
        // The place of a weight is known among all of them.
        Tracking::Rank => count(&*history.whole()?, 0)?,
    }
    let masks = counts.chunks(shape.weight_count.max(1)).map(|counts| by_stability(counts, min_stability)).collect();
    Ok((masks, frozen))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::HistoryShape;

    /// Two replicas over three epochs: `first` of two weights, `second` of three, the last of which is frozen.
    fn tensors() -> [TensorHistory; 2] {
        let first = [[0.5, 0.1, 0.6, 0.2], [0.5, 0.4, 0.1, 0.2], [0.4, 0.4, 0.6, 0.3]].concat();
        let second =
            [[0.3, 0.9, 0.7, 0.3, 0.8, 0.7], [0.2, 0.9, 0.7, 0.2, 0.9, 0.7], [0.3, 0.8, 0.7, 0.3, 0.9, 0.7]].concat();
        let of = |weights, weight_count| {
            let history = History::new(HistoryShape { epochs: 3, replicas: 2, weight_count }, weights).unwrap();
            TensorHistory::new("", history, vec![1, weight_count])
        };
        [of(first, 2), of(second, 3)]
    }

    fn gone(score: Score, scope: Scope, amount: Amount) -> Vec<Vec<Vec<usize>>> {
        let mut engine = Engine::cpu(Some(1)).unwrap();
        let scores: Vec<Scores> =
            tensors().iter().map(|tensor| score.of_history(&mut engine, tensor, None).unwrap()).collect();
        let masks = Scores::masks(&scores, scope, &[amount]).unwrap().remove(0);
        let of_mask = |mask: &Mask| (0..mask.len()).filter(|&index| !mask[index]).collect();
        masks.iter().map(|masks| masks.iter().map(of_mask).collect()).collect()
    }

    #[test]
    fn replicas_choose_for_themselves_among_all_tensors() {
        let magnitude = gone(Score::Magnitude, Scope::Global, Amount::Count(2));
        // Last weights .4 .4 | .3 .8 .7 and .6 .3 | .3 .9 .7: of equals the last goes.
        assert_eq!(magnitude, [vec![vec![1], vec![1]], vec![vec![0], vec![0]]]);
        // Held over three epochs: .4 .1 | .2 .8 .7 and .1 .2 | .2 .8 .7; the third of the second tensor is frozen.
        let hold = |keep_frozen| Score::Hold { window: 3, keep_frozen };
        assert_eq!(gone(hold(true), Scope::Global, Amount::Count(2)), [vec![vec![1], vec![0]], vec![vec![0], vec![0]]]);
        assert_eq!(
            gone(hold(false), Scope::Global, Amount::Count(2)),
            [vec![vec![1], vec![0]], vec![vec![2], vec![2]]]
        );
        assert_eq!(
            gone(hold(true), Scope::Layer, Amount::Share(0.5)),
            [vec![vec![1], vec![0]], vec![vec![0, 2], vec![0, 2]]]
        );
    }

    #[test]
    fn settling_takes_the_largest_first_and_knows_no_lamp() {
        let settle = Score::Settle { window: 3, keep_frozen: true };
        // .25 .75 | .33 .125 0 and .83 .33 | .33 .11 0.
        assert_eq!(gone(settle, Scope::Global, Amount::Count(1)), [vec![vec![1], vec![0]], vec![vec![], vec![]]]);
        let mut engine = Engine::cpu(Some(1)).unwrap();
        let scores = [settle.of_history(&mut engine, &tensors()[0], None).unwrap()];
        assert!(matches!(Scores::masks(&scores, Scope::Lamp, &[Amount::Count(1)]), Err(Error::Usage(_))));
    }

    #[test]
    fn scores_of_inputs_need_norms_and_a_history_where_they_look_at_one() {
        let mut engine = Engine::cpu(Some(1)).unwrap();
        let [first, _] = tensors();
        // One input of each replica; norms turn nothing within one.
        let scores = Score::Wanda.of_history(&mut engine, &first, Some(&[2.0, 8.0])).unwrap();
        assert_eq!(scores.numbers, Numbers::Single(vec![0.8, 0.8, 4.8, 2.4]));
        let hold = Score::HoldInput { window: 3, keep_frozen: false };
        let scores = hold.of_history(&mut engine, &first, Some(&[2.0, 8.0])).unwrap();
        assert_eq!(scores.numbers, Numbers::Single(vec![0.8, 0.2, 0.8, 1.6]));
        for refused in [
            Score::Wanda.of_history(&mut engine, &first, None),
            hold.of_weights(&[0.5; 4], 2, &[1, 2], Some(&[1.0; 2])),
            Score::Hold { window: 4, keep_frozen: false }.of_history(&mut engine, &first, None),
        ] {
            assert!(matches!(refused, Err(Error::Usage(_))), "{refused:?}");
        }
        let scores = Score::Magnitude.of_weights(&[0.5, -2.0], 1, &[1, 2], None).unwrap();
        assert_eq!((scores.numbers.clone(), scores.frozen.clone()), (Numbers::Single(vec![0.5, 2.0]), None));
    }

    #[test]
    fn a_threshold_of_stability_is_one_for_each_weight() {
        let mut engine = Engine::cpu(Some(1)).unwrap();
        let [_, second] = tensors();
        let (masks, frozen) = below_threshold(&mut engine, &second, 0.01, 2, Reading::default()).unwrap();
        assert_eq!(
            masks.iter().map(|mask| mask.to_vec()).collect::<Vec<_>>(),
            [[false, false, true], [false, true, true]]
        );
        assert_eq!(frozen, [false, false, true, false, false, true]);
        let rank = Reading { tracking: Tracking::Rank, ..Reading::default() };
        assert!(below_threshold(&mut engine, &second, 0.01, 2, rank).is_ok());
        for (tolerance, threshold, named) in
            [(0.01, 4, "--min-stability 4"), (0.01, 0, "--min-stability 0"), (-1.0, 1, "tolerance -1")]
        {
            let error = check_threshold(tolerance, threshold, 3).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
