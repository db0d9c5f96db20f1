//! What a device can do at most, found out with probes: no kernel gets above it.

use super::watching::measure;
use crate::error::{Error, Result};
use crate::gpu::{Access, Binding, Buffer, Gpu, Kernel, Launch, Recorder, Shader, read_back};
use std::sync::Arc;
use std::time::Duration;

/// One measurement lasts about this long.
const MEASUREMENT: Duration = Duration::from_millis(20);
/// A limit is the best of so many measurements: whatever else runs on the machine only makes them worse.
const MEASUREMENTS: usize = 4;
/// Rounds of [`MULTIPLY_ADD`]'s loop: few enough for drivers that cut loops short.
const ROUNDS: u32 = 500;
/// Multiply-adds of an invocation of [`MULTIPLY_ADD`] in one round: 16 steps of 32 numbers.
const MULTIPLY_ADDS_A_ROUND: usize = 16 * 32;
/// Matrices that [`MATMUL`] multiplies side by side, as many as a usual batch has replicas.
const PRODUCTS: usize = 16;
/// Rows of the left and columns of the right matrix of [`MATMUL`].
const SIDE: usize = 32;
/// Columns of the left matrix: the pixels of an image of MNIST.
const INNER: usize = 784;
/// Vectors of four words that an invocation of [`COPY`] copies.
const VECTORS: usize = 4;

const fn read(name: &'static str) -> Binding {
    Binding::new(name, Access::Read)
}

const fn write(name: &'static str) -> Binding {
    Binding::new(name, Access::ReadWrite)
}

static MULTIPLY_ADD: Shader = Shader {
    name: "multiply_add_probe",
    source: include_str!("multiply_add_probe.wgsl"),
    bindings: &[read("numbers"), read("iterations"), write("sums")],
    parameters: None,
    constants: &["WORKGROUP_SIZE"],
};

static MATMUL: Shader = Shader {
    name: "matmul_probe",
    source: include_str!("matmul_probe.wgsl"),
    bindings: &[read("left"), read("right"), write("product")],
    parameters: None,
    constants: &["INNER"],
};

static COPY: Shader = Shader {
    name: "copy_probe",
    source: include_str!("copy_probe.wgsl"),
    bindings: &[read("source"), write("destination")],
    parameters: None,
    constants: &["WORKGROUP_SIZE"],
};

/// Time of a launch at best.
fn shortest(gpu: &Gpu, launch: &Launch) -> Result<Duration> {
    let mut shortest = measure(gpu, launch, MEASUREMENT)?;
    for _ in 1..MEASUREMENTS {
        shortest = shortest.min(measure(gpu, launch, MEASUREMENT)?);
    }
    Ok(shortest)
}

/// Operations a second, two for each multiply-add, of a kernel that does nothing else. Fails if they come out wrong.
pub fn peak_operations(gpu: &Gpu) -> Result<f64> {
    let size = gpu.usual_workgroup_size();
    let workgroups = if gpu.is_software() { 256 } else { 4096 };
    let invocations = (workgroups * size) as usize;
    let numbers = Buffer::from_slice(gpu, "multiply_add_probe.numbers", &[0.5f32, 1.0])?;
    let iterations = Buffer::from_slice(gpu, "multiply_add_probe.iterations", &[ROUNDS])?;
    let sums = Buffer::<f32>::new(gpu, "multiply_add_probe.sums", invocations)?;
    let kernel = Kernel::new(gpu, &MULTIPLY_ADD, &[("WORKGROUP_SIZE", size)])?;
    let bound = kernel.bind(gpu, &[&numbers, &iterations, &sums])?;
    let time = shortest(gpu, &Launch { bound, workgroups: [workgroups, 1, 1], record: None, time: None })?;
    // Each of 32 numbers arrives at 2.
    ensure_equal(gpu, MULTIPLY_ADD.name, &read_back(gpu, &sums)?, 64.0)?;
    Ok((2 * invocations * MULTIPLY_ADDS_A_ROUND) as f64 * f64::from(ROUNDS) / time.as_secs_f64())
}

/// Operations a second of a product of matrices and nothing else. Fails if it comes out wrong.
pub(super) fn matmul_operations(gpu: &Gpu) -> Result<f64> {
    let ones = vec![1.0f32; PRODUCTS * SIDE * INNER];
    let halves = vec![0.5f32; PRODUCTS * INNER * SIDE];
    let left = Buffer::from_slice(gpu, "matmul_probe.left", &ones)?;
    let right = Buffer::from_slice(gpu, "matmul_probe.right", &halves)?;
    let product = Buffer::<f32>::new(gpu, "matmul_probe.product", PRODUCTS * SIDE * SIDE)?;
    let kernel = Kernel::new(gpu, &MATMUL, &[("INNER", INNER as u32)])?;
    let bound = kernel.bind(gpu, &[&left, &right, &product])?;
    let time = shortest(gpu, &Launch { bound, workgroups: [2, 1, PRODUCTS as u32], record: None, time: None })?;
    ensure_equal(gpu, MATMUL.name, &read_back(gpu, &product)?, 0.5 * INNER as f32)?;
    Ok((2 * PRODUCTS * SIDE * SIDE * INNER) as f64 / time.as_secs_f64())
}

/// Fails unless all that a probe found is `expected`.
fn ensure_equal(gpu: &Gpu, probe: &str, found: &[f32], expected: f32) -> Result<()> {
    match found.iter().enumerate().find(|&(_, &value)| value != expected) {
        None => Ok(()),
        Some((index, value)) => Err(Error::SelfCheck(format!(
            "{probe} on {}: element {index} is {value} instead of {expected}; update the driver, or use --device cpu",
            gpu.description().name,
        ))),
    }
}

/// Finds out how fast a device copies.
pub struct CopyProbe {
    kernel: Arc<Kernel>,
    workgroup_size: u32,
}

impl CopyProbe {
    /// Compiles the probe.
    pub fn new(gpu: &Gpu) -> Result<Self> {
        let workgroup_size = gpu.usual_workgroup_size();
        Ok(Self { kernel: Kernel::new(gpu, &COPY, &[("WORKGROUP_SIZE", workgroup_size)])?, workgroup_size })
    }

    /// Bytes a second, read and written ones together, of copying so that `bytes` are touched in all: as many as a kernel
    /// touches, which may lie in a cache as its own do. What a launch takes by itself is left out. Fails if they arrive wrong.
    pub fn bytes_per_second(&self, gpu: &Gpu, bytes: usize, launch: Duration) -> Result<f64> {
        let most = gpu.limits().array_bytes() as usize;
        let copied = (bytes / 2).clamp(16, most).next_multiple_of(16).min(most / 16 * 16);
        let time = shortest(gpu, &self.launch(gpu, copied)?)?;
        Ok(2.0 * copied as f64 / time.saturating_sub(launch).max(time / 10).as_secs_f64())
    }

    /// What a launch takes that has next to nothing to do.
    pub fn launch_time(&self, gpu: &Gpu) -> Result<Duration> {
        shortest(gpu, &self.launch(gpu, 16)?)
    }

    /// One launch that copies so many bytes, tried once.
    fn launch(&self, gpu: &Gpu, bytes: usize) -> Result<Launch> {
        let words: Vec<u32> = (0..bytes as u32 / 4).collect();
        let source = Buffer::from_slice(gpu, "copy_probe.source", &words)?;
        let destination = Buffer::<u32>::new(gpu, "copy_probe.destination", words.len())?;
        let groups = (words.len() / 4).div_ceil(VECTORS * self.workgroup_size as usize) as u32;
        let columns = groups.min(gpu.limits().workgroups);
        let launch = Launch {
            bound: self.kernel.bind(gpu, &[&source, &destination])?,
            workgroups: [columns, groups.div_ceil(columns), 1],
            record: None,
            time: None,
        };
        let mut recorder = Recorder::new(gpu, "copy_probe");
        recorder.dispatch(&launch.bound, launch.workgroups, None)?;
        recorder.submit()?.wait()?;
        if read_back(gpu, &destination)? != words {
            return Err(Error::SelfCheck(format!("a copy on {} came out wrong", gpu.description().name)));
        }
        Ok(launch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{DeviceChoice, RequestedLimits};
    use crate::lab::launches;

    fn open() -> Gpu {
        Gpu::open(&DeviceChoice::Index(0), false, RequestedLimits::Adapter)
            .expect("the tests need a Vulkan, Metal or DX12 driver")
    }

    #[test]
    fn probes_come_out_right_and_measure_something() {
        let gpu = open();
        let (peak, matmul) = (peak_operations(&gpu).unwrap(), matmul_operations(&gpu).unwrap());
        let rate = |rate: f64| rate.is_finite() && rate > 0.0;
        assert!(rate(peak) && rate(matmul), "{peak} {matmul}");
        let copy = CopyProbe::new(&gpu).unwrap();
        for bytes in [1, 100, 5000, 4 << 20] {
            let found = copy.bytes_per_second(&gpu, bytes, Duration::ZERO).unwrap();
            assert!(rate(found), "{bytes} bytes: {found}");
        }
        assert!(!copy.launch_time(&gpu).unwrap().is_zero());
    }

    #[test]
    fn a_wrong_result_of_a_probe_is_an_error_that_names_it() {
        let error = ensure_equal(&open(), "matmul_probe", &[1.0, 2.0], 1.0).unwrap_err();
        assert_eq!(error.exit_code(), 4);
        assert!(error.to_string().contains("element 1 is 2 instead of 1"), "{error}");
    }

    #[test]
    fn launches_are_listed_while_work_runs_and_not_afterwards() {
        let gpu = open();
        let copy = CopyProbe::new(&gpu).unwrap();
        copy.launch(&gpu, 64).unwrap();
        let (_, listed) = launches(&gpu, || copy.launch(&gpu, 64)).unwrap();
        copy.launch(&gpu, 64).unwrap();
        let names: Vec<_> = listed.iter().map(|(label, launch)| (label.as_str(), launch.bound.name())).collect();
        assert_eq!(names, [("copy_probe", "copy_probe")]);
        assert_eq!(listed[0].1.workgroups, [1, 1, 1]);
    }
}
