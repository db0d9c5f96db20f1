//! Recording launches and copies, submitting them, and reading results back: the only place that submits.

use super::Gpu;
use super::buffer::Buffer;
use super::kernel::BoundKernel;
use super::observer::{Command, Launch, Observer};
use super::stamps::{Stamps, times};
use crate::error::{Error, Result};
use bytemuck::Pod;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Launches in order, many of them in one pass and one submission.
///
/// What cannot be launched is refused with [`Error::Shape`] when it is recorded. What goes wrong on the device is told by the
/// call after it, at the latest by [`Submission::wait`]: with [`Error::DeviceLost`] or [`Error::OutOfMemory`].
pub struct Recorder<'g> {
    gpu: &'g Gpu,
    label: String,
    encoder: wgpu::CommandEncoder,
    pass: Option<wgpu::ComputePass<'static>>,
    stamps: Option<Stamps>,
    observers: Vec<Arc<dyn Observer>>,
    /// Whether each launch has a pass of its own, since timestamps are those of a pass.
    apart: bool,
    /// What observers hear when this is submitted.
    commands: Vec<Command>,
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
        let observers = gpu.observers();
        let apart = observers.iter().any(|observer| observer.times_launches());
        Self {
            gpu,
            label: label.to_string(),
            encoder,
            pass: None,
            stamps: if apart { Stamps::new(gpu) } else { None },
            observers,
            apart,
            commands: Vec::new(),
        }
    }

    /// A recording whose launches are timed by the device, if it can.
    pub fn timed(gpu: &'g Gpu, label: &str) -> Self {
        Self { stamps: Stamps::new(gpu), ..Self::new(gpu, label) }
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
        if workgroups.contains(&0) || self.is_left_out() {
            return Ok(());
        }
        if self.apart {
            self.pass = None;
        }
        let (encoder, stamps, label) = (&mut self.encoder, &mut self.stamps, &self.label);
        let pass = self.pass.get_or_insert_with(|| {
            let timestamp_writes = stamps.as_mut().and_then(Stamps::next);
            let descriptor = wgpu::ComputePassDescriptor { label: Some(label), timestamp_writes };
            encoder.begin_compute_pass(&descriptor).forget_lifetime()
        });
        let offset = record.zip(bound.record_bytes).map(|(record, bytes)| record * bytes as u32);
        pass.set_pipeline(&bound.pipeline);
        pass.set_bind_group(0, &bound.group, offset.as_slice());
        pass.dispatch_workgroups(workgroups[0], workgroups[1], workgroups[2]);
        self.gpu.count_dispatch();
        if !self.observers.is_empty() {
            self.commands.push(Command::Launch(Launch { bound: bound.clone(), workgroups, record, time: None }));
        }
        Ok(())
    }

    /// Whether an observer answers in the device's place.
    fn is_left_out(&self) -> bool {
        self.observers.iter().any(|observer| observer.answers())
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
        if !self.observers.is_empty() {
            let (from, to) = (source.number, destination.number);
            self.commands.push(Command::Copy { from, first, to, place, length: bytes });
        }
        Ok(())
    }

    /// Hands the recording to the device without waiting.
    ///
    /// Fails as [`Gpu::check`] does.
    pub fn submit(self) -> Result<Submission<'g>> {
        self.finish().map(|(submission, _)| submission)
    }

    /// Submits, waits, and returns how long the launches ran on the device; nothing if it has no usable timestamps.
    /// The recorder must have been made by [`Recorder::timed`].
    ///
    /// Fails as [`Self::submit`] does.
    pub fn submit_timed(self) -> Result<Option<Duration>> {
        let (submission, times) = self.finish()?;
        submission.wait()?;
        Ok(if times.is_empty() { None } else { times.into_iter().sum() })
    }

    /// Submits, and gives the times of all passes that were timed.
    fn finish(mut self) -> Result<(Submission<'g>, Vec<Option<Duration>>)> {
        let gpu = self.gpu;
        // Dropping a pass ends it.
        self.pass = None;
        let resolved = self.stamps.as_ref().and_then(|stamps| stamps.resolve(gpu, &mut self.encoder));
        let index = gpu.queue.submit([self.encoder.finish()]);
        gpu.count_submit();
        gpu.check()?;
        let times = match resolved {
            None => Vec::new(),
            Some(resolved) => {
                let stamps: Vec<u64> = read_elements(gpu, &resolved, "timestamps", resolved.size() as usize / 8)?;
                times(&stamps, gpu.queue.get_timestamp_period())
            }
        };
        if self.apart {
            let launches = self.commands.iter_mut().filter_map(|command| match command {
                Command::Launch(launch) => Some(launch),
                Command::Copy { .. } => None,
            });
            launches.zip(&times).for_each(|(launch, &time)| launch.time = time);
        }
        self.observers.iter().try_for_each(|observer| observer.submitted(&self.label, &self.commands))?;
        Ok((Submission { gpu, index }, times))
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
    let mut elements = read_elements(gpu, &buffer.raw, buffer.label(), buffer.len())?;
    gpu.tell(|observer| observer.read(buffer.number, bytemuck::cast_slice_mut(&mut elements)))?;
    gpu.count_transfer(start);
    Ok(elements)
}

/// The first `len` elements of a buffer.
pub(super) fn read_elements<T: Pod>(gpu: &Gpu, buffer: &wgpu::Buffer, label: &str, len: usize) -> Result<Vec<T>> {
    let staging = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("read back"),
        size: buffer.size(),
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("read back") });
    encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, buffer.size());
    gpu.queue.submit([encoder.finish()]);
    gpu.count_submit();
    gpu.check()?;
    // The callback may stay silent: a failure shows when the range is asked for below.
    staging.slice(..).map_async(wgpu::MapMode::Read, |_| {});
    wait(gpu, wgpu::PollType::wait_indefinitely())?;
    let view = staging
        .slice(..)
        .get_mapped_range()
        .map_err(|error| Error::DeviceLost(format!("{label} cannot be read back: {error}")))?;
    Ok(bytemuck::pod_collect_to_vec(&view[..len * size_of::<T>()]))
}
