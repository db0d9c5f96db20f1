//! The engine as its callers see it: every argument is checked here, once, for all devices.

use super::backend::{Backend, on_threads};
use super::batch::{Batch, check_layer, check_selection};
use super::cpu::CpuBackend;
use super::loaded::{DataHandle, DataSets, Loaded};
use super::surgeon::{Moments, PathStep};
use super::surgeon_layer::{ChainLayer, Refit, Rows, SurgeonLayer};
use super::{Counts, DeviceDescription, Envelope, Footprint, HistoryShape, Overheads, Setup, SweepSize, Watch};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::network::{Architecture, ParameterLayout};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A device that trains batches of replicas and counts histories.
///
/// Arguments that do not fit together are refused before anything is done, with [`Error::Shape`] where a caller erred and
/// [`Error::Usage`] where a setting is impossible, in the same words on every device. Any call may also fail with
/// [`Error::OutOfMemory`] where the work does not fit the device, and with [`Error::DeviceLost`] where it went away.
///
/// ```
/// use holdfast::engine::{Engine, HistoryShape};
///
/// let mut engine = Engine::cpu(Some(2))?;
/// let shape = HistoryShape { epochs: 2, replicas: 1, weight_count: 3 };
/// let history = [0.5, -0.25, 0.125, 0.5, -0.5, 0.25];
/// // Ranks by descending magnitude, ties by the lower index.
/// assert_eq!(engine.rank(shape, &history)?, [0, 1, 2, 0, 1, 2]);
/// assert_eq!(engine.envelope(shape, &history, &[2])?.smallest_magnitude, [0.5, 0.25, 0.125]);
/// // An array of another size is refused before anything is done.
/// assert!(engine.rank(shape, &history[..5]).is_err());
/// # Ok::<(), holdfast::error::Error>(())
/// ```
pub struct Engine {
    backend: Box<dyn Backend>,
    data: Arc<DataSets>,
}

impl Engine {
    fn new(backend: impl Backend + 'static) -> Self {
        Self { backend: Box::new(backend), data: Arc::new(DataSets::new()) }
    }

    /// Our engine on the processor, with `threads` threads, or one for each core. The number changes no bit.
    ///
    /// Fails with [`Error::Usage`] for 0 threads, and with [`Error::Job`] if the system gives none.
    pub fn cpu(threads: Option<usize>) -> Result<Self> {
        if threads == Some(0) {
            return Err(Error::Usage("0 threads compute nothing; use --threads 1 or more".into()));
        }
        Ok(Self::new(CpuBackend::new(threads)?))
    }

    /// Which device it is.
    pub fn description(&self) -> &DeviceDescription {
        self.backend.description()
    }

    /// Lets ranks, counts and envelopes, which take no [`Watch`], end with [`Error::Interrupted`] once `stop` is set. A GPU
    /// finishes what it has begun.
    pub fn stop_by(&mut self, stop: Arc<AtomicBool>) {
        self.backend.stop_by(stop);
    }

    /// Takes in a data set; the same `Arc` is uploaded once.
    ///
    /// Fails with [`Error::Data`] if it has no images, if images and labels differ in number, if a label is not below the
    /// number of classes, or if there are more images than 32 bits can number.
    pub fn load(&mut self, data: &Arc<Dataset>) -> Result<DataHandle> {
        if let Some(known) = self.data.find(data) {
            return Ok(known);
        }
        data.validate()?;
        self.backend.load(data)?;
        Ok(self.data.push(data))
    }

    /// Makes room for replicas and gives them their initial weights; moments 0, nothing pruned.
    ///
    /// Fails as [`crate::network::Architecture::validate`] does; with [`Error::Usage`] without a replica, with a batch of 0 or with a
    /// pixel scale that is no finite number above 0; with [`Error::Shape`] if the training set is not of this engine, or has
    /// other images or more classes than the network.
    pub fn begin(&mut self, setup: &Setup<'_>) -> Result<Batch> {
        let (setup, training) = self.checked(setup)?;
        let backend = self.backend.begin(&setup, &training)?;
        Ok(Batch::new(backend, Arc::clone(&self.data), &setup, &training))
    }

    /// Bytes that [`Self::begin`] and the calls of its batch take on the device: counted from the arrays that they make.
    ///
    /// Fails as [`Self::begin`] does, and with [`Error::Shape`] if the first layer of a sweep is not there.
    pub fn footprint(&self, setup: &Setup<'_>, sweep: SweepSize) -> Result<Footprint> {
        let (setup, training) = self.checked(setup)?;
        let ([inputs, units], replicas) = (setup.architecture.focus_shape(), setup.replica_ids.len());
        let of_point = match sweep.first_layer {
            None => inputs * units,
            Some(first) => {
                check_layer(first, setup.architecture)?;
                ParameterLayout::new(setup.architecture).parameters()
            }
        };
        let images = sweep.samples.checked_mul(inputs).and_then(|values| values.checked_mul(replicas));
        // Bytes are a few times these numbers.
        let counted = |values: Option<usize>| values.is_some_and(|values| values <= isize::MAX as usize / 1024);
        if !counted(images) || !counted(sweep.points.checked_mul(of_point)) {
            return Err(Error::OutOfMemory(format!(
                "a sweep of {} points over {} images",
                sweep.points, sweep.samples
            )));
        }
        self.backend.footprint(&setup, &training, sweep)
    }

    /// The setup with a batch that is not larger than its training set, and that set.
    fn checked<'a>(&self, setup: &Setup<'a>) -> Result<(Setup<'a>, Loaded)> {
        let Setup { architecture, batch, pixel_scale, replica_ids, .. } = *setup;
        architecture.validate()?;
        let training = self.data.get(setup.training, architecture)?;
        check_selection(setup.selection, &ParameterLayout::new(architecture))?;
        if batch == 0 || replica_ids.is_empty() {
            return Err(Error::Usage(format!(
                "{} replicas with a batch of {batch}: at least one of each is needed",
                replica_ids.len()
            )));
        }
        let scale = (1.0 / pixel_scale) as f32;
        if !(scale.is_finite() && scale > 0.0) {
            return Err(Error::Usage(format!(
                "pixels cannot be divided by {pixel_scale}; use a number above 0 that single precision can hold, such as 255"
            )));
        }
        let parameters = ParameterLayout::new(architecture).parameters();
        if 12 * parameters as u128 * replica_ids.len() as u128 > isize::MAX as u128 {
            return Err(Error::OutOfMemory(format!(
                "{} replicas of {parameters} parameters are more than any memory",
                replica_ids.len()
            )));
        }
        let batch = batch.min(training.set.samples());
        Ok((Setup { batch, ..setup.clone() }, training))
    }

    /// Ranks by descending magnitude, ties by lower index, of each epoch and replica: `[epoch, replica, weight_index]`. A NaN comes
    /// before infinity.
    ///
    /// Fails with [`Error::Shape`] if `history` has another length than `shape`.
    pub fn rank(&mut self, shape: HistoryShape, history: &[f32]) -> Result<Vec<u32>> {
        check_history(shape, history)?;
        if history.is_empty() {
            return Ok(Vec::new());
        }
        self.backend.rank(shape, history)
    }

    /// Counts for each tolerance; `lower` and `upper` `[tolerance, replica, weight_index]` are the bounds of each weight, both of them
    /// within. A NaN is within no bounds, and nothing is within bounds of NaN.
    ///
    /// Fails with [`Error::Shape`] if `history` has another length than `shape`, or if the bounds are not a pair for each
    /// tolerance, replica and weight.
    pub fn count(&mut self, shape: HistoryShape, history: &[f32], lower: &[f32], upper: &[f32]) -> Result<Counts> {
        check_history(shape, history)?;
        let columns = shape.columns();
        let whole = if columns == 0 { lower.is_empty() } else { lower.len().is_multiple_of(columns) };
        let rows = shape.epochs.checked_mul(shape.replicas);
        let results = rows.and_then(|rows| rows.checked_mul(lower.len().checked_div(columns).unwrap_or(0)));
        if lower.len() != upper.len() || !whole || results.is_none() {
            return Err(Error::Shape(format!(
                "{} lower and {} upper bounds are not a pair for each tolerance and each of the {columns} columns, {} replicas x \
                 {} weights",
                lower.len(),
                upper.len(),
                shape.replicas,
                shape.weight_count
            )));
        }
        if history.is_empty() || lower.is_empty() {
            // Without epochs nothing was stable for any of them, and there are no columns without weights.
            return Ok(Counts { stability: vec![0; lower.len()], stable_weights: Vec::new() });
        }
        self.backend.count(shape, history, lower, upper)
    }

    /// Extremes over the last `windows[w]` epochs; `windows` ascends within `1..=epochs`. What a column has that holds a NaN is
    /// not said; no other column is touched.
    ///
    /// Fails with [`Error::Shape`] if `history` has another length than `shape`, or if the windows do not ascend or are
    /// longer than the history.
    pub fn envelope(&mut self, shape: HistoryShape, history: &[f32], windows: &[u32]) -> Result<Envelope> {
        check_history(shape, history)?;
        let ascending = windows.is_sorted() && windows.iter().all(|&w| (1..=shape.epochs).contains(&(w as usize)));
        if !ascending || windows.len().checked_mul(shape.columns()).is_none() {
            return Err(Error::Shape(format!(
                "windows {windows:?} must ascend and lie between 1 and the {} recorded epochs",
                shape.epochs
            )));
        }
        if history.is_empty() || windows.is_empty() {
            return Ok(Envelope { minimum: Vec::new(), maximum: Vec::new(), smallest_magnitude: Vec::new() });
        }
        self.backend.envelope(shape, history, windows)
    }

    /// Moments of the units of a layer, of all weights that it has. They serve [`Self::paths`] and [`Self::refit`] as long as the
    /// layer's rows and pre-activations stay what they are. A device that adds them up where they are needed keeps none, and so
    /// does any where they are too large.
    ///
    /// Fails as [`Self::paths`] does.
    pub fn moments(&self, layer: &SurgeonLayer<'_>, watch: &Watch<'_>) -> Result<Moments> {
        layer.check()?;
        self.backend.moments(layer, watch)
    }

    /// The elimination path of each unit of a layer: which of its kept weights goes first, which then, the others each time
    /// taking over what it did. `ratios` `[input, unit]` are what weights are multiplied by before they are compared, from 0 to
    /// 1; without them all are 1. [`PathStep::column`] is the input. `known` are moments of this layer, or of it before weights
    /// went. Progress is in units.
    ///
    /// Fails with [`Error::Shape`] if arrays do not fit together, with [`Error::Usage`] without a row or for an impossible
    /// setting, with [`Error::Data`] where a number is not finite or a unit's inputs determine no weights, and with
    /// [`Error::Interrupted`] where a stop was asked for.
    pub fn paths(
        &mut self,
        layer: &SurgeonLayer<'_>,
        known: Option<&Moments>,
        ratios: Option<&[f32]>,
        watch: &Watch<'_>,
    ) -> Result<Vec<Vec<PathStep<f32>>>> {
        layer.check()?;
        if let Some(ratios) = ratios {
            let allowed = ratios.iter().all(|ratio| (0.0..=1.0).contains(ratio));
            if ratios.len() != layer.weights.len() || !allowed {
                return Err(Error::Shape(format!(
                    "{} ratios are not a number from 0 to 1 for each of the {} weights",
                    ratios.len(),
                    layer.weights.len()
                )));
            }
        }
        self.backend.paths(layer, known, ratios, watch)
    }

    /// For each of `cuts` the weights that it keeps `[input, unit]`, and the biases, solved anew; all other weights are 0. A cut
    /// keeps no weight that the layer has not. `known` are as for [`Self::paths`]; without them the CPU engine adds up moments
    /// once for all cuts. Progress is in units of cuts.
    ///
    /// Fails as [`Self::paths`] does.
    pub fn refit(
        &mut self,
        layer: &SurgeonLayer<'_>,
        known: Option<&Moments>,
        cuts: &[&[bool]],
        watch: &Watch<'_>,
    ) -> Result<Vec<Refit>> {
        layer.check()?;
        check_cuts(layer, cuts)?;
        if cuts.is_empty() {
            return Ok(Vec::new());
        }
        self.backend.refit(layer, known, cuts, watch)
    }

    /// For each of `cuts`, which say what stays in each of `layers`, all layers solved anew one after the other: each reads what
    /// the one before then gives. `known` are moments of the first layer. Progress is in units of cuts of the first.
    ///
    /// Fails as [`Self::paths`] does.
    pub fn refit_chain(
        &mut self,
        layers: &[ChainLayer<'_>],
        known: Option<&Moments>,
        cuts: &[Vec<&[bool]>],
        watch: &Watch<'_>,
    ) -> Result<Vec<Vec<Refit>>> {
        let Some(((kind, first), others)) = layers.split_first() else { return Ok(Vec::new()) };
        let (Rows::Features { values, .. } | Rows::Patches { values, .. }) = first.rows;
        let images = values.len() / kind.input_len().max(1);
        if let Some(cut) = cuts.iter().find(|cut| cut.len() != layers.len()) {
            return Err(Error::Shape(format!(
                "a cut of {} layers, of {} that are solved anew",
                cut.len(),
                layers.len()
            )));
        }
        for (index, (_, layer)) in others.iter().enumerate() {
            layer.check_behind(layer.pre_activations.len() / layer.units.max(1))?;
            layer.check_positions(images)?;
            check_cuts(layer, &cuts.iter().map(|cut| cut[index + 1]).collect::<Vec<_>>())?;
        }
        let of_first: Vec<&[bool]> = cuts.iter().map(|cut| cut[0]).collect();
        let refits = self.refit(first, known, &of_first, watch)?;
        self.backend.refit_behind(layers, refits, cuts, watch)
    }

    /// For each layer and unit k the mean over `images` `[image, feature]` of the sum over classes, and over the positions of
    /// a convolution, of `(d logit / d z_k)^2`, z before the ReLU: how much an error of z matters to the logits. Definition:
    /// [`crate::cpu::layers::importance`].
    ///
    /// Fails with [`Error::Shape`] if lengths do not fit the network.
    pub fn importance(&self, architecture: &Architecture, parameters: &[f32], images: &[f32]) -> Result<Vec<Vec<f64>>> {
        let (length, expected) = (architecture.image_len(), ParameterLayout::new(architecture).parameters());
        if parameters.len() != expected || images.is_empty() || !images.len().is_multiple_of(length) {
            return Err(Error::Shape(format!(
                "{} parameters and images of {} pixels in all; the network has {expected} and takes {length} of each",
                parameters.len(),
                images.len()
            )));
        }
        self.backend.importance(architecture, parameters, images)
    }

    /// Runs work of the host on the engine's threads.
    pub(super) fn on_threads<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        on_threads(self.backend.pool(), work)
    }

    /// What was spent on building and copying so far.
    pub fn overheads(&self) -> Overheads {
        self.backend.overheads()
    }
}

/// What only a GPU has.
#[cfg(feature = "gpu")]
mod on_gpu {
    use super::super::{GpuBackend, Tuning};
    use super::Engine;
    use crate::error::Result;
    use crate::gpu::{DeviceChoice, Gpu, RequestedLimits};
    use std::sync::Arc;

    impl From<GpuBackend> for Engine {
        fn from(backend: GpuBackend) -> Self {
            Self::new(backend)
        }
    }

    impl Engine {
        /// The WGSL engine on an adapter. `checked` keeps bounds checks in the shaders; lowered `limits` are for tests. With other
        /// settings: [`GpuBackend`].
        ///
        /// Fails with [`crate::error::Error::NoDevice`] if there is none that fits.
        pub fn gpu(choice: &DeviceChoice, checked: bool, limits: RequestedLimits) -> Result<Self> {
            Ok(GpuBackend::open(choice, checked, limits)?.into())
        }

        /// The GPU that the engine works on; nothing on the CPU engine. Its counters say how many launches and submissions there
        /// were.
        pub fn device(&self) -> Option<&Arc<Gpu>> {
            self.backend.gpu()
        }

        /// What a measurement has chosen for the last batch; nothing where nothing can be chosen.
        pub fn tuning(&self) -> Option<&Tuning> {
            self.backend.tuning()
        }
    }
}

/// A cut keeps no weight that the layer has not.
fn check_cuts(layer: &SurgeonLayer<'_>, cuts: &[&[bool]]) -> Result<()> {
    let fits = |cut: &&[bool]| {
        cut.len() == layer.kept.len() && cut.iter().zip(layer.kept).all(|(&kept, &is_there)| is_there || !kept)
    };
    let wrong = cuts.iter().position(|cut| !fits(cut));
    wrong.map_or(Ok(()), |place| {
        Err(Error::Shape(format!(
            "cut {place}, counted from 0, keeps other weights than the {} that the layer has",
            layer.kept.iter().filter(|&&kept| kept).count()
        )))
    })
}

/// Ranks and counts are words of 32 bits.
fn check_history(shape: HistoryShape, history: &[f32]) -> Result<()> {
    let HistoryShape { epochs, replicas, weight_count } = shape;
    let length = replicas.checked_mul(weight_count).and_then(|columns| columns.checked_mul(epochs));
    if length != Some(history.len()) {
        return Err(Error::Shape(format!(
            "a history of {} weights is not {epochs} epochs x {replicas} replicas x {weight_count} weights",
            history.len()
        )));
    }
    if !history.is_empty() && [epochs, weight_count].iter().any(|&size| u32::try_from(size).is_err()) {
        return Err(Error::Shape(format!(
            "{epochs} epochs of {weight_count} weights are more than the {} of each that can be numbered",
            u32::MAX
        )));
    }
    Ok(())
}
