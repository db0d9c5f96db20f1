//! How long a recording, or each of its launches, ran on the device itself.

use super::Gpu;
use super::buffer::Buffer;
use crate::error::Result;
use std::collections::BTreeMap;
use std::time::Duration;

/// Launches of one recording that a profile times; WebGPU has no more than twice as many queries in a set.
const PROFILED_LAUNCHES: u32 = 2048;

/// What the launches of one kernel took together while a profile was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaunchTimes {
    /// Launches that were timed.
    pub launches: u64,
    /// Their time on the device.
    pub time: Duration,
}

/// Times of kernels by name.
pub(super) type Profile = BTreeMap<&'static str, LaunchTimes>;

/// Two timestamps around each launch of a recording.
pub(super) struct LaunchStamps {
    queries: wgpu::QuerySet,
    kernels: Vec<&'static str>,
}

impl LaunchStamps {
    /// Timestamps, if a profile is being taken.
    pub(super) fn new(gpu: &Gpu) -> Option<Self> {
        let profiling = gpu.profile.lock().is_some();
        profiling.then(|| Self {
            queries: gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("launch timestamps"),
                ty: wgpu::QueryType::Timestamp,
                count: 2 * PROFILED_LAUNCHES,
            }),
            kernels: Vec::new(),
        })
    }

    /// Where the pass of the next launch, of `kernel`, writes its begin and end; nowhere if there were too many.
    pub(super) fn next(&mut self, kernel: &'static str) -> Option<wgpu::ComputePassTimestampWrites<'_>> {
        let index = self.kernels.len() as u32;
        (index < PROFILED_LAUNCHES).then(|| {
            self.kernels.push(kernel);
            wgpu::ComputePassTimestampWrites {
                query_set: &self.queries,
                beginning_of_pass_write_index: Some(2 * index),
                end_of_pass_write_index: Some(2 * index + 1),
            }
        })
    }

    /// Brings the timestamps to where they can be read back; nowhere if nothing was launched.
    pub(super) fn resolve(&self, gpu: &Gpu, encoder: &mut wgpu::CommandEncoder) -> Result<Option<Buffer<u64>>> {
        let count = 2 * self.kernels.len() as u32;
        if count == 0 {
            return Ok(None);
        }
        let size = u64::from(count) * 8;
        let raw = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("launch timestamps"),
            size,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let resolved = Buffer::new(gpu, "launch timestamps", count as usize)?;
        encoder.resolve_query_set(&self.queries, 0..count, &raw, 0);
        encoder.copy_buffer_to_buffer(&raw, 0, &resolved.raw, 0, size);
        Ok(Some(resolved))
    }

    /// Files the times of all launches; what has no usable timestamps is left out.
    pub(super) fn file(&self, gpu: &Gpu, stamps: &[u64]) {
        let period = gpu.queue.get_timestamp_period();
        let mut profile = gpu.profile.lock();
        let Some(profile) = profile.as_mut() else { return };
        for (&kernel, stamps) in self.kernels.iter().zip(stamps.chunks_exact(2)) {
            if let Some(time) = elapsed(stamps, period) {
                let times = profile.entry(kernel).or_default();
                times.launches += 1;
                times.time += time;
            }
        }
    }
}

impl Gpu {
    /// Times every launch that is recorded from now on, each in a pass of its own: slower than without, and the same bits.
    /// Returns whether the device can.
    pub fn start_profile(&self) -> bool {
        if self.timestamps {
            *self.profile.lock() = Some(Profile::new());
        }
        self.timestamps
    }

    /// Ends the profile and returns the times of each kernel.
    pub fn take_profile(&self) -> BTreeMap<&'static str, LaunchTimes> {
        self.profile.lock().take().unwrap_or_default()
    }
}

/// Two timestamps around a recording.
pub(super) struct Timestamps {
    pub(super) queries: wgpu::QuerySet,
    pub(super) resolved: Buffer<u64>,
    raw: wgpu::Buffer,
}

impl Timestamps {
    /// Timestamps, if the device has them.
    pub(super) fn new(gpu: &Gpu) -> Result<Option<Self>> {
        // What is on a tape must be the same for every device that plays it.
        if !gpu.timestamps || gpu.is_on_tape() {
            return Ok(None);
        }
        let queries = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("timestamps"),
            ty: wgpu::QueryType::Timestamp,
            count: 2,
        });
        let raw = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("timestamps"),
            size: 16,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        Ok(Some(Self { queries, resolved: Buffer::new(gpu, "timestamps", 2)?, raw }))
    }

    /// Where the pass writes its begin and end.
    pub(super) fn writes(&self) -> wgpu::ComputePassTimestampWrites<'_> {
        wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        }
    }

    /// Brings the timestamps to where they can be read back.
    pub(super) fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        encoder.resolve_query_set(&self.queries, 0..2, &self.raw, 0);
        encoder.copy_buffer_to_buffer(&self.raw, 0, &self.resolved.raw, 0, 16);
    }
}

/// Time between two timestamps. Some drivers give zeros or run backwards: no number is better than a wrong one.
pub(super) fn elapsed(stamps: &[u64], period: f32) -> Option<Duration> {
    let (begin, end) = (stamps[0], stamps[1]);
    let valid = begin != 0 && end > begin && period > 0.0;
    valid.then(|| Duration::from_nanos(((end - begin) as f64 * f64::from(period)) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_or_decreasing_timestamps_give_no_time() {
        assert_eq!(elapsed(&[10, 20], 2.0), Some(Duration::from_nanos(20)));
        assert_eq!(elapsed(&[0, 20], 2.0), None);
        assert_eq!(elapsed(&[20, 20], 2.0), None);
        assert_eq!(elapsed(&[20, 10], 2.0), None);
        assert_eq!(elapsed(&[10, 20], 0.0), None);
    }
}
