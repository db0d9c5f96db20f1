//! Recording launches and copies, submitting them, and reading results back: the only place that submits.

use super::Gpu;
use super::buffer::Buffer;
use super::kernel::{BoundKernel, Cost};
use super::timing::{LaunchStamps, Timestamps, elapsed};
use crate::error::{Error, Result};
use bytemuck::Pod;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The most launches of one measurement.
const MOST_REPETITIONS: u32 = 200;

/// Launches in order, many of them in one pass and one submission.
///
/// What cannot be launched is refused with [`Error::Shape`] when it is recorded. What goes wrong on the device is told by the
/// call after it, at the latest by [`Submission::wait`]: with [`Error::DeviceLost`] or [`Error::OutOfMemory`].
pub struct Recorder<'g> {
    gpu: &'g Gpu,
    label: String,
    encoder: wgpu::CommandEncoder,
    pass: Option<wgpu::ComputePass<'static>>,
    timestamps: Option<Timestamps>,
    /// While a profile is taken.
    launches: Option<LaunchStamps>,
    first_kernel: Option<&'static str>,
    /// What goes onto the tape when this is submitted.
    notes: Vec<Value>,
}

/// Work that was handed to the device.
pub struct Submission<'g> {
    gpu: &'g Gpu,
    index: wgpu::SubmissionIndex,
}

impl<'g> Recorder<'g> {
    /// An empty recording; `label` shows up in graphics debuggers.
    pub fn new(gpu: &'g Gpu, label: &str) -> Self {
        let encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(label) });
        Self {
            gpu,
            label: label.to_string(),
            encoder,
            pass: None,
            timestamps: None,
            launches: LaunchStamps::new(gpu),
            first_kernel: None,
            notes: Vec::new(),
        }
    }

    /// A recording whose launches are timed by the device, if it can.
    ///
    /// Fails with [`Error::OutOfMemory`] if there is no room for the timestamps.
    pub fn timed(gpu: &'g Gpu, label: &str) -> Result<Self> {
        Ok(Self { timestamps: Timestamps::new(gpu)?, launches: None, ..Self::new(gpu, label) })
    }

    /// The device that this is recorded for.
    pub fn gpu(&self) -> &'g Gpu {
        self.gpu
    }

    /// Launches `bound` with so many workgroups in each dimension. A kernel that reads a record is told which. Fails if a
    /// dimension exceeds the device's limit; a launch of nothing is left out.
    pub fn dispatch(&mut self, bound: &BoundKernel, workgroups: [u32; 3], record: Option<u32>) -> Result<()> {
        let most = self.gpu.limits().workgroups;
        if workgroups.iter().any(|&count| count > most) {
            return Err(Error::Shape(format!(
                "{}: {workgroups:?} workgroups, the device launches at most {most} in a dimension; use smaller sizes",
                bound.shader.name
            )));
        }
        if bound.record_bytes.is_some() != record.is_some() {
            return Err(Error::Shape(format!(
                "{}: the kernel {} a record, the launch {} one",
                bound.shader.name,
                if bound.record_bytes.is_some() { "reads" } else { "does not read" },
                if record.is_some() { "names" } else { "does not name" }
            )));
        }
        if workgroups.contains(&0) || self.gpu.is_answered() {
            return Ok(());
        }
        let (encoder, timestamps, label) = (&mut self.encoder, &self.timestamps, &self.label);
        let launches = &mut self.launches;
        if launches.is_some() {
            // Timestamps are those of a pass.
            self.pass = None;
        }
        let pass = self.pass.get_or_insert_with(|| {
            let whole = timestamps.as_ref().map(Timestamps::writes);
            let timestamp_writes = whole.or_else(|| launches.as_mut()?.next(bound.shader.name));
            let descriptor = wgpu::ComputePassDescriptor { label: Some(label), timestamp_writes };
            encoder.begin_compute_pass(&descriptor).forget_lifetime()
        });
        let offset = record.zip(bound.record_bytes).map(|(record, bytes)| record * bytes as u32);
        pass.set_pipeline(&bound.pipeline);
        pass.set_bind_group(0, &bound.group, offset.as_slice());
        pass.dispatch_workgroups(workgroups[0], workgroups[1], workgroups[2]);
        self.notes.extend(self.gpu.note_launch(bound, workgroups, offset)?);
        self.first_kernel.get_or_insert(bound.shader.name);
        self.gpu.count_dispatch();
        self.gpu.list_launch(|| Launch { bound: bound.clone(), workgroups, record });
        Ok(())
    }

    /// Copies `len` elements from one buffer to another. Fails if they do not lie within both.
    pub fn copy<T: Pod>(
        &mut self,
        source: &Buffer<T>,
        first: usize,
        destination: &Buffer<T>,
        place: usize,
        len: usize,
    ) -> Result<()> {
        if first + len > source.len() || place + len > destination.len() {
            return Err(Error::Shape(format!(
                "copy of {len} elements from {} at {first} to {} at {place}: {} and {} elements are there",
                source.label(),
                destination.label(),
                source.len(),
                destination.len()
            )));
        }
        self.pass = None;
        let element = size_of::<T>();
        let bytes = (len * element) as u64;
        let (first, place) = ((first * element) as u64, (place * element) as u64);
        self.encoder.copy_buffer_to_buffer(&source.raw, first, &destination.raw, place, bytes);
        if self.gpu.is_on_tape() {
            let (from, to) = (source.number, destination.number);
            self.notes.push(json!({ "copy": from, "first": first, "to": to, "place": place, "length": bytes }));
        }
        Ok(())
    }

    /// Hands the recording to the device without waiting.
    ///
    /// Fails as [`Gpu::check`] does.
    pub fn submit(self) -> Result<Submission<'g>> {
        self.finish().map(|(submission, _)| submission)
    }

    fn finish(mut self) -> Result<(Submission<'g>, Option<Timestamps>)> {
        // Dropping a pass ends it.
        let ran = self.pass.take().is_some();
        let timestamps = self.timestamps.take().filter(|_| ran);
        if let Some(timestamps) = &timestamps {
            timestamps.resolve(&mut self.encoder);
        }
        let stamps = match self.launches.take() {
            Some(launches) => launches.resolve(self.gpu, &mut self.encoder)?.map(|resolved| (launches, resolved)),
            None => None,
        };
        let index = self.gpu.queue.submit([self.encoder.finish()]);
        self.gpu.count_submit();
        self.gpu.check()?;
        if let Some((launches, resolved)) = stamps {
            launches.file(self.gpu, &read_back(self.gpu, &resolved)?);
        }
        for note in std::mem::take(&mut self.notes) {
            self.gpu.note(|| note, &[])?;
        }
        Ok((Submission { gpu: self.gpu, index }, timestamps))
    }
}

impl Recorder<'_> {
    /// Submits, waits, and returns how long the launches ran on the device; nothing if it has no usable timestamps.
    /// The recorder must have been made by [`Recorder::timed`].
    pub fn submit_timed(self) -> Result<Option<Duration>> {
        let gpu = self.gpu();
        let (submission, timestamps) = self.finish()?;
        submission.wait()?;
        Self::measured(gpu, timestamps)
    }

    /// Submits, waits, and files the time under the recording's first kernel: see [`Gpu::take_launch_times`]. Without usable
    /// timestamps it is the time until the device had done it. The recorder must have been made by [`Recorder::timed`].
    pub fn submit_measured(self) -> Result<()> {
        let (gpu, kernel, start) = (self.gpu(), self.first_kernel, Instant::now());
        let (submission, timestamps) = self.finish()?;
        submission.wait()?;
        let waited = start.elapsed();
        let on_device = Self::measured(gpu, timestamps)?;
        if let Some(kernel) = kernel {
            gpu.file_launch_time(kernel, on_device.unwrap_or(waited));
        }
        Ok(())
    }

    fn measured(gpu: &Gpu, timestamps: Option<Timestamps>) -> Result<Option<Duration>> {
        let Some(timestamps) = timestamps else { return Ok(None) };
        let stamps = read_back(gpu, &timestamps.resolved)?;
        Ok(elapsed(&stamps, gpu.queue.get_timestamp_period()))
    }
}

impl Submission<'_> {
    /// Waits until the device has done it. Fails with what went wrong meanwhile.
    pub fn wait(self) -> Result<()> {
        let poll = wgpu::PollType::Wait { submission_index: Some(self.index), timeout: None };
        wait(self.gpu, poll)
    }
}

fn wait(gpu: &Gpu, poll: wgpu::PollType) -> Result<()> {
    let polled = gpu.device.poll(poll);
    gpu.check()?;
    polled.map(|_| ()).map_err(|error| Error::DeviceLost(error.to_string()))
}

/// All elements of a buffer, after everything that was submitted before.
///
/// Fails as [`Gpu::check`] does, with what went wrong in any submission before.
pub fn read_back<T: Pod>(gpu: &Gpu, buffer: &Buffer<T>) -> Result<Vec<T>> {
    if buffer.is_empty() {
        return Ok(Vec::new());
    }
    // What is still running is not part of the transfer.
    wait(gpu, wgpu::PollType::wait_indefinitely())?;
    let start = Instant::now();
    let staging = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("read back"),
        size: buffer.raw.size(),
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("read back") });
    encoder.copy_buffer_to_buffer(&buffer.raw, 0, &staging, 0, buffer.raw.size());
    gpu.queue.submit([encoder.finish()]);
    gpu.count_submit();
    gpu.check()?;
    // The callback may stay silent: a failure shows when the range is asked for below.
    staging.slice(..).map_async(wgpu::MapMode::Read, |_| {});
    wait(gpu, wgpu::PollType::wait_indefinitely())?;
    let view = staging
        .slice(..)
        .get_mapped_range()
        .map_err(|error| Error::DeviceLost(format!("{} cannot be read back: {error}", buffer.label())))?;
    let bytes = &view[..buffer.len() * size_of::<T>()];
    let mut elements = bytemuck::pod_collect_to_vec(bytes);
    gpu.note(|| json!({ "read": buffer.number, "length": bytes.len() }), &[])?;
    gpu.answer(bytemuck::cast_slice_mut(&mut elements))?;
    gpu.count_transfer(start);
    Ok(elements)
}

/// One launch on a list: it can be repeated.
#[derive(Clone)]
pub struct Launch {
    pub(in crate::gpu) bound: BoundKernel,
    pub(in crate::gpu) workgroups: [u32; 3],
    pub(in crate::gpu) record: Option<u32>,
}

impl Launch {
    /// `family.kernel`.
    pub fn kernel(&self) -> &'static str {
        self.bound.shader.name
    }

    /// Workgroups in each dimension.
    pub fn workgroups(&self) -> [u32; 3] {
        self.workgroups
    }

    /// What the wrapper counted.
    pub fn cost(&self) -> Cost {
        self.bound.cost
    }

    /// How long it takes: it is repeated in one recording for about `time`, after one launch as warm-up. Arrays keep what
    /// the last of them wrote.
    pub fn measure(&self, gpu: &Gpu, time: Duration) -> Result<Duration> {
        let run = |repetitions: u32| -> Result<Duration> {
            let mut recorder = Recorder::timed(gpu, self.bound.shader.name)?;
            for _ in 0..repetitions {
                recorder.dispatch(&self.bound, self.workgroups, self.record)?;
            }
            let start = Instant::now();
            let on_device = recorder.submit_timed()?;
            Ok(on_device.unwrap_or_else(|| start.elapsed()) / repetitions)
        };
        let once = run(1)?.max(Duration::from_micros(1));
        run(((time.as_secs_f64() / once.as_secs_f64()) as u32).clamp(1, MOST_REPETITIONS))
    }
}
