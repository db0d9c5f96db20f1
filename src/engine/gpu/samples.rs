//! Data sets on the device, and how samples reach the steps that use them.

use crate::data::Dataset;
use crate::error::Result;
use crate::gpu::{Buffer, Gpu};
use crate::kernels::StepRecord;
use crate::kernels::dense::ImageShape;
use crate::kernels::dense_stack::{LaunchStep, Launches, Residency, Sample, StepShape};
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most steps of one submission.
const MOST_STEPS: usize = 256;
/// Samples that an order has capacity for, unless a single step has more.
const ORDER_ROOM: usize = 8192;
/// How long a submission should take: long against the cost of submitting, short against a driver's watchdog and the
/// patience of someone who stops the program.
const SUBMISSION: Duration = Duration::from_millis(50);

/// The data set of a place: the front names only places that were loaded.
pub(super) fn at(data: &Mutex<Vec<Arc<LoadedData>>>, place: usize) -> Arc<LoadedData> {
    Arc::clone(&data.lock()[place])
}

/// Sizes of the images of a data set: a row has the channels of a pixel side by side.
fn image_shape(set: &Dataset) -> ImageShape {
    ImageShape { height: set.height, width: set.width * set.channels }
}

/// Images and labels as kernels read them.
struct DeviceData {
    images: Buffer<u32>,
    labels: Buffer<u32>,
}

impl DeviceData {
    fn new(gpu: &Gpu, shape: ImageShape, samples: usize) -> Result<Self> {
        Ok(Self {
            images: Buffer::new(gpu, "images", samples * shape.words())?,
            labels: Buffer::new(gpu, "labels", samples)?,
        })
    }

    /// Uploads `len` samples: sample `chosen(i)` of `host` to place `i`.
    fn gather(&self, gpu: &Gpu, host: &Dataset, len: usize, chosen: impl Fn(usize) -> usize) -> Result<()> {
        let (shape, image_len) = (image_shape(host), host.image_len());
        let images = (0..len).flat_map(|place| shape.packed(&host.images[chosen(place) * image_len..][..image_len]));
        self.images.gather(gpu, 0, len * shape.words(), images)?;
        self.labels.gather(gpu, 0, len, (0..len).map(|place| u32::from(host.labels[chosen(place)])))
    }
}

/// A data set that the engine has taken in: on the device as a whole if it fits one array.
pub(super) struct LoadedData {
    host: Arc<Dataset>,
    shape: ImageShape,
    resident: Option<Arc<DeviceData>>,
}

impl LoadedData {
    /// Uploads the data set, if it fits one array of the device; else the steps bring their own samples.
    pub(super) fn new(gpu: &Gpu, host: &Arc<Dataset>) -> Result<Self> {
        let shape = image_shape(host);
        let bytes = 4 * (host.samples() * shape.words()) as u64;
        let resident = if bytes <= gpu.limits().array_bytes() {
            let data = DeviceData::new(gpu, shape, host.samples())?;
            data.gather(gpu, host, host.samples(), |sample| sample)?;
            Some(Arc::new(data))
        } else {
            None
        };
        Ok(Self { host: Arc::clone(host), shape, resident })
    }

    /// The data set in memory.
    pub(super) fn host(&self) -> &Arc<Dataset> {
        &self.host
    }

    /// Words of the largest array that a sample of a step takes.
    pub(super) fn words_per_sample(&self) -> usize {
        if self.resident.is_some() { 1 } else { self.shape.words() }
    }
}

/// The samples of the steps of one submission: indices, records, and the images where the data set is too large to
/// stay on the device. Each number goes up once, from where it lies on the host.
pub(super) struct BatchUploader {
    data: Arc<LoadedData>,
    /// The data set's, or what is carried.
    device: Arc<DeviceData>,
    /// Indices into images and labels `[order, place]`.
    pub(super) order: Buffer<u32>,
    /// One record for each step.
    pub(super) steps: Buffer<StepRecord>,
    /// What launches of `dense_stack.step` are told.
    pub(super) launches: Option<Launches>,
    /// Samples of each order that there is capacity for.
    capacity: usize,
}

impl BatchUploader {
    /// Samples that an order has capacity for.
    fn capacity(gpu: &Gpu, data: &LoadedData, orders: usize, batch: usize) -> usize {
        let words = (gpu.limits().array_bytes() / 4) as usize;
        (words / (orders * data.words_per_sample())).min(ORDER_ROOM).max(batch)
    }

    /// Words of orders, and of the images that come with them.
    pub(super) fn words(gpu: &Gpu, data: &LoadedData, orders: usize, batch: usize) -> usize {
        let carried = if data.resident.is_some() { 0 } else { data.shape.words() + 1 };
        orders * Self::capacity(gpu, data, orders, batch) * (1 + carried)
    }

    /// Room for the samples of `orders` orders, in steps of up to `batch` samples.
    pub(super) fn new(gpu: &Gpu, data: &Arc<LoadedData>, orders: usize, batch: usize) -> Result<Self> {
        Self::with_capacity(gpu, data, orders, Self::capacity(gpu, data, orders, batch))
    }

    /// The data set in its own order, shared by all replicas, in steps of up to `batch` samples: for [`Self::load_in_order`].
    pub(super) fn in_order(gpu: &Gpu, data: &Arc<LoadedData>, batch: usize) -> Result<Self> {
        let resident = data.resident.is_some();
        let capacity = if resident { data.host.samples() } else { Self::capacity(gpu, data, 1, batch) };
        let uploader = Self::with_capacity(gpu, data, 1, capacity)?;
        if resident {
            uploader.order.gather(gpu, 0, capacity, 0..capacity as u32)?;
        }
        Ok(uploader)
    }

    fn with_capacity(gpu: &Gpu, data: &Arc<LoadedData>, orders: usize, capacity: usize) -> Result<Self> {
        let words = (gpu.limits().array_bytes() / 4) as usize;
        let len = orders * capacity;
        let order = Buffer::new(gpu, "order", len)?;
        let device = match &data.resident {
            Some(resident) => Arc::clone(resident),
            None => {
                // What is carried lies in the order of its use.
                order.gather(gpu, 0, len, 0..len as u32)?;
                Arc::new(DeviceData::new(gpu, data.shape, len)?)
            }
        };
        let records = MOST_STEPS.min(4 * words / size_of::<StepRecord>()).max(1);
        let steps = Buffer::new(gpu, "steps", records)?;
        Ok(Self { data: Arc::clone(data), device, order, steps, launches: None, capacity })
    }

    /// How many steps a launch of `dense_stack.step` has at most, and for how many launches there is capacity.
    pub(super) fn launched(gpu: &Gpu, data: &LoadedData, shape: &StepShape, workgroup_size: u32) -> (usize, usize) {
        let words = (gpu.limits().array_bytes() / 4) as usize;
        let capacity = Self::capacity(gpu, data, shape.replicas, shape.capacity);
        let most = shape.most_steps(gpu, workgroup_size).min((capacity / shape.capacity).max(1));
        let steps = (1..=most).rev().find(|&steps| Launches::words(shape, steps) <= words).unwrap_or(1);
        (steps, (words / Launches::words(shape, steps)).min(MOST_STEPS / steps).max(1))
    }

    /// Has the steps tell launches of `dense_stack.step` what to do, of sizes `shape`.
    pub(super) fn with_launches(
        mut self,
        gpu: &Gpu,
        shape: &StepShape,
        workgroup_size: u32,
        decay: f32,
    ) -> Result<Self> {
        let (steps, launches) = Self::launched(gpu, &self.data, shape, workgroup_size);
        self.launches = Some(Launches::new(gpu, shape, decay, steps, launches)?);
        Ok(self)
    }

    /// Has one launch put weights and moments back, and do nothing else.
    pub(super) fn load_leave(&mut self, gpu: &Gpu) -> Result<()> {
        if let Some(launches) = &mut self.launches {
            launches.clear();
            launches.push(gpu, Residency { enters: false, leaves: true }, &[], [].into_iter())?;
        }
        Ok(())
    }

    /// The images that `order` speaks of.
    pub(super) fn images(&self) -> &Buffer<u32> {
        &self.device.images
    }

    /// The labels that `order` speaks of.
    pub(super) fn labels(&self) -> &Buffer<u32> {
        &self.device.labels
    }

    /// Sizes of an image.
    pub(super) fn shape(&self) -> ImageShape {
        self.data.shape
    }

    /// How many of the first `batches` fit one submission, at most `most` and at least one.
    pub(super) fn fitting(&self, batches: &[Range<usize>], most: usize) -> usize {
        let mut samples = 0;
        let fits = |batch: &&Range<usize>| {
            samples += batch.len();
            samples <= self.capacity
        };
        let launched = self.launches.as_ref().map_or(usize::MAX, |all| all.steps() * all.launches());
        batches.iter().take(most.min(self.steps.len()).min(launched)).take_while(fits).count().max(1)
    }

    /// Uploads what the training steps on `batches` need, one order for each replica; their losses go to rows from `row` on, and
    /// step `i` has `rates[i]`. `residency` is about all of them together.
    pub(super) fn load(
        &mut self,
        gpu: &Gpu,
        orders: &[Arc<[u32]>],
        batches: &[Range<usize>],
        row: usize,
        rates: &[f32],
        residency: Residency,
    ) -> Result<()> {
        let Self { data, device, order, launches, .. } = self;
        let carries = data.resident.is_none();
        let places: Vec<usize> = batches.iter().cloned().flatten().collect();
        let (samples, all) = (places.len(), orders.len() * places.len());
        let chosen = |place: usize| orders[place / samples][places[place % samples]];
        if carries {
            device.gather(gpu, &data.host, all, |place| chosen(place) as usize)?;
        }
        if let Some(launches) = launches {
            launches.clear();
            let (mut step, mut done) = (0, 0);
            for batches in batches.chunks(launches.steps()) {
                let mut own = 0;
                let mut steps = Vec::with_capacity(batches.len());
                for batch in batches {
                    steps.push(LaunchStep::new(own, batch.len(), row + step, rates[step]));
                    (own, step) = (own + batch.len(), step + 1);
                }
                let sample = |index: usize| {
                    let place = index / own * samples + done + index % own;
                    let image = if carries { place as u32 } else { chosen(place) };
                    Sample::new(image, u32::from(data.host.labels[chosen(place) as usize]))
                };
                let own_residency = Residency {
                    enters: residency.enters && done == 0,
                    leaves: residency.leaves && done + own == samples,
                };
                launches.push(gpu, own_residency, &steps, (0..orders.len() * own).map(sample))?;
                done += own;
            }
            if launches.tell_all() {
                return Ok(());
            }
        }
        if !carries {
            order.gather(gpu, 0, all, (0..all).map(chosen))?;
        }
        let mut first = 0;
        let mut records = Vec::with_capacity(batches.len());
        for (place, (batch, &rate)) in batches.iter().zip(rates).enumerate() {
            records.push(StepRecord::new(first, samples, batch.len(), row + place, rate));
            first += batch.len();
        }
        self.steps.write(gpu, 0, &records)
    }

    /// Uploads what evaluations of `batches` need, which follow each other; their results go to rows from `row` on.
    pub(super) fn load_in_order(&mut self, gpu: &Gpu, batches: &[Range<usize>], row: usize) -> Result<()> {
        // What is carried starts at place 0.
        let mut origin = 0;
        if let (None, [first, ..]) = (&self.data.resident, batches) {
            origin = first.start;
            self.device.gather(gpu, &self.data.host, batches.iter().map(Range::len).sum(), |place| origin + place)?;
        }
        let record = |(place, batch): (usize, &Range<usize>)| {
            StepRecord::new(batch.start - origin, 0, batch.len(), row + place, 0.0)
        };
        self.steps.write(gpu, 0, &batches.iter().enumerate().map(record).collect::<Vec<_>>())
    }
}

/// How many steps to put into a submission. It follows the clock, and changes no bit.
pub(super) struct Pace {
    steps: usize,
    since: Instant,
}

impl Pace {
    /// Starts with one step, to see how long it takes.
    pub(super) fn new() -> Self {
        Self { steps: 1, since: Instant::now() }
    }

    /// Starts with so many steps, whose time is known.
    pub(super) fn starting_with(steps: usize) -> Self {
        Self { steps: steps.clamp(1, MOST_STEPS), since: Instant::now() }
    }

    /// Steps for the next submission.
    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    /// A submission of `steps` steps has been completed: the time since the last one was its own.
    pub(super) fn completed(&mut self, steps: usize) {
        self.took(steps, self.since.elapsed().as_secs_f64());
        self.since = Instant::now();
    }

    /// So many steps took so many seconds.
    fn took(&mut self, steps: usize, seconds: f64) {
        let fitting = steps as f64 * SUBMISSION.as_secs_f64() / seconds.max(1e-6);
        // Growing by no more than a factor of four guards against a clock that stood still.
        self.steps = (fitting as usize).clamp(1, (4 * self.steps).min(MOST_STEPS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_never_asks_for_no_steps_or_too_many() {
        let mut pace = Pace::new();
        for _ in 0..10 {
            pace.took(1000, 1e-3);
        }
        assert_eq!(pace.steps(), MOST_STEPS);
        pace.took(1, 100.0);
        assert_eq!(pace.steps(), 1);
    }
}
