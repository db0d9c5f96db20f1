//! Timestamps around the passes of a recording.

use super::Gpu;
use std::time::Duration;

/// Passes of a recording that are timed; WebGPU has no more than twice as many queries in a set.
const PASSES: u32 = 2048;

/// Two timestamps for each pass.
pub(super) struct Stamps {
    queries: wgpu::QuerySet,
    passes: u32,
}

impl Stamps {
    /// Timestamps, if the device has them.
    pub(super) fn new(gpu: &Gpu) -> Option<Self> {
        let descriptor =
            wgpu::QuerySetDescriptor { label: Some("timestamps"), ty: wgpu::QueryType::Timestamp, count: 2 * PASSES };
        gpu.timestamps.then(|| Self { queries: gpu.device.create_query_set(&descriptor), passes: 0 })
    }

    /// Where the next pass writes its begin and end; nowhere if there were too many.
    pub(super) fn next(&mut self) -> Option<wgpu::ComputePassTimestampWrites<'_>> {
        let first = 2 * self.passes;
        (self.passes < PASSES).then(|| {
            self.passes += 1;
            wgpu::ComputePassTimestampWrites {
                query_set: &self.queries,
                beginning_of_pass_write_index: Some(first),
                end_of_pass_write_index: Some(first + 1),
            }
        })
    }

    /// Brings the timestamps to where they can be read back; nowhere if there was no pass.
    pub(super) fn resolve(&self, gpu: &Gpu, encoder: &mut wgpu::CommandEncoder) -> Option<wgpu::Buffer> {
        let count = 2 * self.passes;
        (count > 0).then(|| {
            let resolved = gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("timestamps"),
                size: 8 * u64::from(count),
                usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            });
            encoder.resolve_query_set(&self.queries, 0..count, &resolved, 0);
            resolved
        })
    }
}

/// Times of passes from the timestamps around them. Some drivers give zeros or run backwards: no number is better than a
/// wrong one.
pub(super) fn times(stamps: &[u64], period: f32) -> Vec<Option<Duration>> {
    let elapsed = |stamps: &[u64]| {
        let (begin, end) = (stamps[0], stamps[1]);
        let valid = begin != 0 && end > begin && period > 0.0;
        valid.then(|| Duration::from_nanos(((end - begin) as f64 * f64::from(period)) as u64))
    };
    stamps.chunks_exact(2).map(elapsed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_or_decreasing_timestamps_give_no_time() {
        let passes = [10, 20, 0, 20, 20, 20, 20, 10];
        assert_eq!(times(&passes, 2.0), [Some(Duration::from_nanos(20)), None, None, None]);
        assert_eq!(times(&[10, 20], 0.0), [None]);
    }
}
