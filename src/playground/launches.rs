//! The launch program of the page: the engine does once what the page will do, and is watched.

use super::subject::{EPOCHS, POINTS, Subject, TOLERANCES, WINDOWS};
use crate::engine::{Engine, GpuBackend, HistoryShape, SweepPoint, TuningChoice, Watch};
use crate::error::{Error, Result};
use crate::lab::program::{self, Program};
use std::sync::Arc;

/// Invocations of a workgroup: what suits a GPU, whatever the device here.
const WORKGROUP_SIZE: u32 = 64;

/// Everything that the page launches. The device gives no number to it, so all devices give the same program.
///
/// Fails as the engine does.
pub(super) fn of(backend: GpuBackend, subject: &Subject, watch: &Watch<'_>) -> Result<Program> {
    let backend = backend.with_choice(TuningChoice { workgroup_size: WORKGROUP_SIZE, replica_step_us: 0.0 });
    let gpu = Arc::clone(backend.device());
    let mut engine = Engine::from(backend);
    let (_, program) = program::record(&gpu, || {
        let mut begun = subject.begin(&mut engine)?;
        subject.train(&mut begun.batch, 0, watch)?;
        begun.batch.evaluate(begun.test, watch)?;
        let weight_count = subject.selection.weights();
        let dense = SweepPoint { slot: 0, kept: vec![true; weight_count].into() };
        begun.batch.sweep(begun.test, &subject.selection, &vec![dense; POINTS], watch)?;
        let shape = HistoryShape { epochs: EPOCHS, replicas: 1, weight_count };
        let history = vec![0.0; shape.len()];
        let bounds = vec![0.0; TOLERANCES.len() * weight_count];
        engine.rank(shape, &history)?;
        engine.count(shape, &history, &bounds, &bounds)?;
        engine.envelope(shape, &history, &WINDOWS)
    })?;
    let has = |label: &&str| program.recordings.contains_key(*label);
    match RECORDINGS.iter().find(|label| !has(label)) {
        None => Ok(program),
        Some(missing) => {
            Err(Error::Job(format!("the engine recorded no {missing} for the page; this is a mistake of the program")))
        }
    }
}

/// Labels of the engine's recordings that the page launches.
const RECORDINGS: [&str; 7] = ["initial weights", "training", "evaluation", "sweep", "rank", "count", "envelope"];

#[cfg(test)]
mod tests {
    use super::super::subject::tests::noise;
    use super::*;
    use crate::engine::Variant;
    use crate::gpu::{Bindable, Buffer, DeviceChoice, Gpu, Kernel, Recorder, RequestedLimits, read_back};
    use crate::kernels::StepRecord;
    use crate::kernels::catalogue::SHADERS;
    use crate::kernels::dense::ImageShape;
    use data_encoding::BASE64;
    use std::sync::atomic::AtomicBool;

    fn backend() -> GpuBackend {
        let gpu = Gpu::open(&DeviceChoice::Index(0), false, RequestedLimits::WebGpuDefaults).unwrap();
        GpuBackend::with_variant(gpu, Variant::Stacked)
    }

    /// The array that binding `name` of the first launch of recording `label` that has one is bound to.
    fn number(program: &Program, label: &str, name: &str) -> usize {
        let found = program.recordings[label].iter().find_map(|step| {
            let bindings = &program.kernels[step.kernel].bindings;
            bindings.iter().position(|(binding, _)| *binding == name).map(|place| step.arrays[place])
        });
        found.unwrap()
    }

    /// Does what the page's worker does.
    struct Player<'a> {
        gpu: &'a Gpu,
        program: &'a Program,
        arrays: Vec<Buffer<u32>>,
    }

    impl<'a> Player<'a> {
        fn new(gpu: &'a Gpu, program: &'a Program) -> Self {
            let arrays = program.arrays.iter().map(|array| {
                let buffer = Buffer::new(gpu, "played", array.bytes as usize / 4).unwrap();
                if let Some(content) = &array.content {
                    let bytes = BASE64.decode(content.as_bytes()).unwrap();
                    buffer.write(gpu, 0, &bytemuck::pod_collect_to_vec(&bytes)).unwrap();
                }
                buffer
            });
            Self { gpu, program, arrays: arrays.collect() }
        }

        fn array(&self, label: &str, name: &str) -> &Buffer<u32> {
            &self.arrays[number(self.program, label, name)]
        }

        fn write(&self, label: &str, name: &str, words: &[u32]) {
            self.array(label, name).write(self.gpu, 0, words).unwrap();
        }

        fn write_records(&self, label: &str, records: &[StepRecord]) {
            self.write(label, "step", bytemuck::cast_slice(records));
        }

        /// Launches a recording once for each of so many records, and reads an array.
        fn play(&self, label: &str, records: u32, name: &str) -> Vec<u32> {
            let mut recorder = Recorder::new(self.gpu, label);
            for record in 0..records {
                for step in &self.program.recordings[label] {
                    let shader = SHADERS.iter().find(|shader| shader.name == step.kernel).unwrap();
                    let constants: Vec<_> = step.constants.iter().map(|(&name, &value)| (name, value)).collect();
                    let arrays: Vec<&dyn Bindable> =
                        step.arrays.iter().map(|&number| &self.arrays[number] as &dyn Bindable).collect();
                    let bound = Kernel::new(self.gpu, shader, &constants).unwrap().bind(self.gpu, &arrays).unwrap();
                    recorder.dispatch(&bound, step.workgroups, step.record.map(|_| record)).unwrap();
                }
            }
            recorder.submit().unwrap();
            read_back(self.gpu, self.array(label, name)).unwrap()
        }
    }

    fn packed(images: &[u8]) -> Vec<u32> {
        ImageShape { height: 28, width: 28 }.pack(images)
    }

    fn words(labels: &[u8]) -> Vec<u32> {
        labels.iter().map(|&label| label.into()).collect()
    }

    /// What a person would write who has only the program: the page's worker, in Rust.
    #[test]
    fn the_program_alone_gives_the_engines_losses_and_accuracies_bit_for_bit() {
        let subject = noise();
        let watch = Watch { stop: &AtomicBool::new(false), progress: &|_| {} };
        let program = of(backend(), &subject, &watch).unwrap();
        let backend = backend().with_choice(TuningChoice { workgroup_size: 8, replica_step_us: 0.0 });
        let gpu = Arc::clone(backend.device());
        let mut engine = Engine::from(backend);
        let mut begun = subject.begin(&mut engine).unwrap();
        let expected = subject.train(&mut begun.batch, 0, &watch).unwrap();

        let player = Player::new(&gpu, &program);
        let (training, test) = (&subject.images.training, &subject.images.test);
        player.write("training", "images", &packed(&training.images));
        player.write("training", "labels", &words(&training.labels));
        player.write("training", "order", &subject.order(0));
        let batch = training.samples() / subject.steps();
        let rates = subject.rates();
        let record = |step: usize| StepRecord::new(step * batch, 0, batch, step, rates[step]);
        player.write_records("training", &(0..subject.steps()).map(record).collect::<Vec<_>>());
        player.play("initial weights", 1, "parameters");
        let found = player.play("training", subject.steps() as u32, "losses");
        let expected: Vec<u32> = expected.iter().flat_map(|step| [step.loss.to_bits(), step.correct]).collect();
        assert_eq!(found, expected);

        player.write("evaluation", "images", &packed(&test.images));
        player.write("evaluation", "labels", &words(&test.labels));
        let in_order: Vec<u32> = (0..test.samples() as u32).collect();
        let steps = test.samples() / 512;
        let correct = |losses: &[u32]| losses.chunks_exact(2).map(|pair| pair[1]).sum::<u32>();
        player.write("evaluation", "order", &in_order);
        let record = |step: usize| StepRecord::new(step * 512, 0, 512, step, 0.0);
        player.write_records("evaluation", &(0..steps).map(record).collect::<Vec<_>>());
        let found = player.play("evaluation", steps as u32, "losses");
        assert_eq!(correct(&found[..2 * steps]), begun.batch.evaluate(begun.test, &watch).unwrap()[0].correct);

        let kept = |point: usize| (0..900).map(|weight| weight % POINTS >= point).collect::<Vec<_>>();
        let points: Vec<SweepPoint> =
            (0..POINTS).map(|point| SweepPoint { slot: 0, kept: kept(point).into() }).collect();
        let masks: Vec<u32> = points.iter().flat_map(|point| crate::cpu::focus_sweep::pack(30, &point.kept)).collect();
        player.write("sweep", "order", &in_order);
        player.write("sweep", "masks", &masks);
        let blocks = program.recordings["sweep"].last().unwrap().workgroups[0] as usize;
        let record = |step: usize| StepRecord::new(step * 512, 0, 512, step * blocks, 0.0);
        player.write_records("sweep", &(0..steps).map(record).collect::<Vec<_>>());
        let found = player.play("sweep", steps as u32, "losses");
        let expected = begun.batch.sweep(begun.test, &subject.selection, &points, &watch).unwrap();
        let found: Vec<u32> = found.chunks_exact(2 * steps * blocks).map(correct).collect();
        assert_eq!(found, expected.iter().map(|point| point.correct).collect::<Vec<_>>());
    }

    #[test]
    fn the_program_holds_sizes_and_no_data_and_fits_every_webgpu() {
        let watch = Watch { stop: &AtomicBool::new(false), progress: &|_| {} };
        let program = of(backend(), &noise(), &watch).unwrap();
        for name in ["images", "labels", "order", "parameters"] {
            assert_eq!(program.arrays[number(&program, "training", name)].content, None, "{name}");
        }
        assert!(program.arrays.iter().all(|array| array.bytes <= 128 << 20));
        let launches = program.recordings.values().flatten();
        assert!(launches.clone().all(|launch| launch.workgroups.iter().all(|&count| count <= 65_535)));
        // What suits the device here has no say.
        assert!(launches.clone().filter_map(|launch| launch.constants.get("WORKGROUP_SIZE")).all(|&size| size == 64));
        assert_eq!(program, of(backend(), &noise(), &watch).unwrap());
        let names: Vec<_> = program.recordings["training"].iter().map(|launch| launch.kernel).collect();
        let step = ["dense.forward_images", "dense_stack.gradient", "dense.backward_weights_images", "adam.step"];
        assert_eq!(names, step);
    }
}
