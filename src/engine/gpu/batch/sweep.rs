//! Many pruned networks at once: everything before the focus layer runs once, then each point costs two small layers.

use super::{GpuBatch, Wave, steps_of};
use crate::engine::{
    Evaluation, Watch,
    backend::PackedPoint,
    gpu::launches::Sequence,
    gpu::samples::{BatchUploader, LoadedData, Pace},
};
use crate::error::Result;
use crate::gpu::{Buffer, Recorder, read_back};
use crate::kernels::Bound;
use crate::kernels::focus_sweep::{self, BlockLoss, Evaluate, EvaluateArguments};
use std::sync::Arc;

/// Points of one launch: enough to fill a device, few enough for a launch to stay short.
const POINTS: usize = 256;

/// Points of one launch, ready to be evaluated on one step of samples after the other.
struct Group {
    launch: Bound,
    losses: Buffer<BlockLoss>,
    points: usize,
}

impl GpuBatch {
    /// How well each of `points` of the wave classifies a data set, taken in steps of `step` samples.
    pub(super) fn sweep_wave(
        &self,
        wave: &Wave,
        data: &Arc<LoadedData>,
        step: usize,
        points: &[&PackedPoint],
        watch: &Watch<'_>,
    ) -> Result<Vec<Evaluation>> {
        if points.is_empty() {
            return Ok(Vec::new());
        }
        let (gpu, network, activations) = (&self.gpu, &self.plan.network, &self.evaluation_activations);
        let samples = data.host().samples();
        let kernel = Evaluate::new(gpu, network.architecture.focus_shape())?;
        let batches = steps_of(0..samples, step);
        let blocks_per_step = step.div_ceil(kernel.block());
        let blocks = batches.len() * blocks_per_step;
        let mut uploader = BatchUploader::in_order(gpu, data, step)?;
        let groups = self.groups(wave, &kernel, &uploader, blocks, points)?;
        let binder = self.binder(wave, &uploader, activations);
        let layers = network.convolutions() + network.architecture.focus_layer();
        let prefix = Sequence::forward(binder, 0..layers)?;
        let mut pace = Pace::new();
        for (index, batch) in batches.iter().enumerate() {
            uploader.load_in_order(gpu, std::slice::from_ref(batch), index * blocks_per_step)?;
            let mut rest = &groups[..];
            let mut recorder = Recorder::new(gpu, "sweep");
            prefix.record(&mut recorder, 0, batch.len())?;
            while !rest.is_empty() {
                let (now, later) = rest.split_at(pace.steps().min(rest.len()));
                for group in now {
                    group.launch.record(&mut recorder, 0, batch.len())?;
                }
                let recorded = std::mem::replace(&mut recorder, Recorder::new(gpu, "sweep"));
                recorded.submit()?.wait()?;
                pace.completed(now.len());
                if index + 1 == batches.len() {
                    (watch.progress)(now.iter().map(|group| group.points as u64).sum());
                }
                watch.check()?;
                rest = later;
            }
        }
        let mut evaluations = Vec::new();
        for group in groups {
            let losses = read_back(gpu, &group.losses)?;
            // Blocks beyond the last sample of the last step were never written and are 0.
            evaluations.extend(losses.chunks_exact(blocks).map(|blocks| Evaluation {
                loss: blocks.iter().map(|block| f64::from(block.sum)).sum::<f64>() / samples as f64,
                correct: blocks.iter().map(|block| block.correct).sum(),
                samples: samples as u32,
            }));
        }
        Ok(evaluations)
    }

    /// Uploads the masks of all points, as many to a group as fit an array with their results.
    fn groups(
        &self,
        wave: &Wave,
        kernel: &Evaluate,
        uploader: &BatchUploader,
        blocks: usize,
        points: &[&PackedPoint],
    ) -> Result<Vec<Group>> {
        let (gpu, network, activations) = (&self.gpu, &self.plan.network, &self.evaluation_activations);
        let words = (gpu.limits().array_bytes() / 4) as usize;
        // A mask is no larger than the parameters; results that do not fit are refused when their array is made.
        let most = (words / points[0].mask.len().max(2 * blocks)).clamp(1, POINTS);
        let layout = &network.layout;
        let focus = network.architecture.focus_layer();
        let mut groups = Vec::new();
        for points in points.chunks(most) {
            let masks: Vec<u32> = points.iter().flat_map(|point| &point.mask).copied().collect();
            let replicas: Vec<u32> = points.iter().map(|point| (point.slot - wave.slots.start) as u32).collect();
            let losses = Buffer::new(gpu, "sweep losses", points.len() * blocks)?;
            let launch = kernel.bind(
                gpu,
                &EvaluateArguments {
                    replicas: wave.state.replicas,
                    capacity: activations.capacity,
                    classes: network.architecture.classes,
                    place: focus_sweep::ParameterOffsets {
                        parameters: layout.parameters(),
                        focus_weights: layout.focus_weight().offset,
                        focus_bias: layout.dense_bias(focus).offset,
                        output_weights: layout.dense_weight(focus + 1).offset,
                        output_bias: layout.dense_bias(focus + 1).offset,
                    },
                    blocks,
                    steps: &uploader.steps,
                    labels: uploader.labels(),
                    input: activations.output(network.convolutions() + focus - 1),
                    parameters: &wave.state.parameters,
                    masks: &Buffer::from_slice(gpu, "masks", &masks)?,
                    point_replica: &Buffer::from_slice(gpu, "point replicas", &replicas)?,
                    losses: &losses,
                },
            )?;
            groups.push(Group { launch, losses, points: points.len() });
        }
        Ok(groups)
    }
}
