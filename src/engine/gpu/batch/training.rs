//! Training steps of all waves: while one submission runs, the next is recorded.

use super::{GpuBatch, Wave};
use crate::engine::{
    StepLoss, Steps, Watch,
    gpu::capacity::Capacity,
    gpu::launches::{TrainingLaunches, TrainingPath},
    gpu::samples::{BatchUploader, Pace},
};
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Recorder, Submission, read_back};
use crate::kernels::dense_stack::Residency;
use crate::kernels::softmax_cross_entropy::BatchLoss;
use std::ops::Range;
use std::sync::Arc;

impl GpuBatch {
    /// See [`crate::engine::Batch::train`].
    pub(super) fn train_waves(&self, steps: &Steps<'_>, rates: &[f32], watch: &Watch<'_>) -> Result<Vec<StepLoss>> {
        let count = steps.batches.len();
        let mut results = vec![StepLoss::default(); self.slots() * count];
        let words = Capacity::of(&self.gpu).words;
        for wave in &self.waves {
            let mut uploader = self.uploader(wave, steps.decay)?;
            // One pair of words for each replica and step is kept until it is read back.
            let most = (words / (2 * wave.state.replicas)).max(1);
            let mut pace = Pace::starting_with(self.choice.first_steps(wave.state.replicas));
            for first in (0..count).step_by(most) {
                let range = first..(first + most).min(count);
                let losses = self.train_wave(wave, &mut uploader, steps, rates, range.clone(), &mut pace, watch)?;
                for (step, losses) in range.zip(losses.chunks_exact(wave.state.replicas)) {
                    for (slot, loss) in wave.slots.clone().zip(losses) {
                        results[slot * count + step] = StepLoss { loss: loss.mean, correct: loss.correct };
                    }
                }
            }
        }
        Ok(results)
    }

    /// Room for the samples of steps of training.
    fn uploader(&self, wave: &Wave, decay: f32) -> Result<BatchUploader> {
        let gpu = &self.gpu;
        let uploader = BatchUploader::new(gpu, &self.plan.training, wave.state.replicas, self.plan.batch)?;
        match self.plan.network.whole_stack(wave.state.replicas, self.plan.batch) {
            Some(shape) if self.plan.path == TrainingPath::FusedTraining => {
                uploader.with_launches(gpu, &shape, self.choice.workgroup_size, decay)
            }
            _ => Ok(uploader),
        }
    }

    /// Trains one wave on consecutive steps and returns `[step, replica]`.
    fn train_wave(
        &self,
        wave: &Wave,
        uploader: &mut BatchUploader,
        steps: &Steps<'_>,
        rates: &[f32],
        range: Range<usize>,
        pace: &mut Pace,
        watch: &Watch<'_>,
    ) -> Result<Vec<BatchLoss>> {
        let gpu = &self.gpu;
        let losses = Buffer::new(gpu, "losses", range.len() * wave.state.replicas)?;
        let binder = self.binder(wave, uploader, &self.training_activations);
        let launches = TrainingLaunches::new(binder, &self.gradient, &losses, steps.decay)?;
        let orders = &steps.orders[wave.slots.clone()];
        match self.submit_steps(&launches, uploader, orders, steps, rates, range, pace, watch) {
            Err(Error::Interrupted) => {
                // Whoever asked for the stop may still want what was trained until then.
                uploader.load_leave(gpu)?;
                let mut recorder = Recorder::new(gpu, "end of training");
                launches.record_leave(&mut recorder, uploader)?;
                recorder.submit()?.wait()?;
                Err(Error::Interrupted)
            }
            trained => trained.and_then(|()| read_back(gpu, &losses)),
        }
    }

    /// Submits consecutive steps of one wave, and waits for them. While a submission runs, the next is recorded.
    fn submit_steps(
        &self,
        launches: &TrainingLaunches,
        uploader: &mut BatchUploader,
        orders: &[Arc<[u32]>],
        steps: &Steps<'_>,
        rates: &[f32],
        range: Range<usize>,
        pace: &mut Pace,
        watch: &Watch<'_>,
    ) -> Result<()> {
        let gpu = &self.gpu;
        let wait = |submitted: Option<(Submission<'_>, usize)>, pace: &mut Pace| -> Result<()> {
            let Some((submission, steps)) = submitted else { return Ok(()) };
            submission.wait()?;
            pace.completed(steps);
            (watch.progress)((orders.len() * steps) as u64);
            Ok(())
        };
        let (mut next, mut submitted) = (range.start, None);
        while next < range.end {
            let batches = &steps.batches[next..range.end];
            let batches = &batches[..uploader.fitting(batches, pace.steps())];
            let residency = Residency { enters: next == range.start, leaves: next + batches.len() == range.end };
            uploader.load(gpu, orders, batches, next - range.start, &rates[next..next + batches.len()], residency)?;
            let mut recorder = Recorder::new(gpu, "training");
            launches.record(&mut recorder, uploader, batches)?;
            let before = submitted.replace((recorder.submit()?, batches.len()));
            wait(before, pace)?;
            watch.check()?;
            next += batches.len();
        }
        wait(submitted, pace)
    }
}
