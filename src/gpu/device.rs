//! Opening a device, hearing about what goes wrong with it, and telling observers what it is asked.

pub(super) mod buffer;
pub(super) mod kernel;
pub(super) mod observer;
pub(super) mod recorder;
mod stamps;

use super::adapter::{AdapterDescription, DeviceChoice, Limits, choose};
use crate::error::{Error, Result};
use buffer::Buffer;
use kernel::{Access, Binding, Kernel, Shader};
use observer::Observer;
use parking_lot::Mutex;
use recorder::{Recorder, read_back};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a device may take to end its last work before what happened to it is told: it may never do.
const LAST_WORK: Duration = Duration::from_secs(5);
/// Iterations that the start-up probe asks for: above the limit of old software drivers.
const PROBED_ITERATIONS: u32 = 70_000;
/// The most iterations that one invocation may run where the probe was cut short at 65,535: a little room for the
/// loops that a driver adds.
const SAFE_ITERATIONS: u32 = 60_000;

/// Which limits to open a device with. Every kernel fits WebGPU's defaults; lower ones are for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestedLimits {
    /// All that the adapter has.
    Adapter,
    /// What WebGPU promises everywhere.
    WebGpuDefaults,
    /// WebGPU's, with arrays of at most this many bytes.
    ArrayBytes(u64),
}

/// What has gone wrong on a device, told by callbacks; the first cause is kept.
type Failure = Arc<Mutex<Option<Error>>>;

/// An open device. Everything on it happens in the order in which it was submitted.
pub struct Gpu {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) timestamps: bool,
    description: AdapterDescription,
    checked: bool,
    iterations: Option<u32>,
    pub(super) kernels: Mutex<HashMap<kernel::Key, Arc<Kernel>>>,
    failure: Failure,
    observers: Mutex<Vec<Arc<dyn Observer>>>,
    dispatches: AtomicU64,
    submits: AtomicU64,
    build_nanoseconds: AtomicU64,
    transfer_nanoseconds: AtomicU64,
    arrays: AtomicU64,
}

impl Gpu {
    /// Opens an adapter. `checked` keeps the bounds checks that wgpu puts into shaders.
    ///
    /// Fails with [`Error::NoDevice`] if there is no such adapter or it cannot give the limits that every kernel needs.
    pub fn open(choice: &DeviceChoice, checked: bool, limits: RequestedLimits) -> Result<Self> {
        Self::open_with(choice, checked, limits, wgpu::Features::empty())
    }

    /// Opens an adapter for texts that nobody has looked at: with all checks and all limits, and with subgroups if it has them.
    ///
    /// Fails as [`Self::open`] does.
    pub fn open_for_readers(choice: &DeviceChoice) -> Result<Self> {
        Self::open_with(choice, true, RequestedLimits::Adapter, wgpu::Features::SUBGROUP)
    }

    fn open_with(
        choice: &DeviceChoice,
        checked: bool,
        limits: RequestedLimits,
        wished: wgpu::Features,
    ) -> Result<Self> {
        let (adapter, mut description) = choose(choice)?;
        let required_limits = match limits {
            RequestedLimits::Adapter => adapter.limits(),
            RequestedLimits::WebGpuDefaults => wgpu::Limits::defaults(),
            RequestedLimits::ArrayBytes(bytes) => wgpu::Limits {
                max_storage_buffer_binding_size: bytes,
                max_buffer_size: bytes,
                ..wgpu::Limits::defaults()
            },
        };
        if !wgpu::Limits::defaults().check_limits(&adapter.limits()) {
            return Err(Error::NoDevice(format!(
                "{} has lower limits than WebGPU promises; use another device, or --device cpu",
                description.name
            )));
        }
        description.limits = Limits::of(&required_limits);
        let timestamps = adapter.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let mut required_features = wished & adapter.features();
        required_features.set(wgpu::Features::TIMESTAMP_QUERY, timestamps);
        let request = wgpu::DeviceDescriptor {
            label: Some("holdfast"),
            required_features,
            required_limits,
            experimental_features: wgpu::ExperimentalFeatures::disabled(),
            memory_hints: wgpu::MemoryHints::Performance,
            trace: wgpu::Trace::Off,
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&request)).map_err(|error| {
            Error::NoDevice(format!(
                "{} cannot be opened: {error}; use another device, or --device cpu",
                description.name
            ))
        })?;
        let failure = listen(&device);
        let mut gpu = Self {
            device,
            queue,
            timestamps,
            description,
            checked,
            iterations: None,
            kernels: Mutex::default(),
            failure,
            observers: Mutex::default(),
            dispatches: AtomicU64::new(0),
            submits: AtomicU64::new(0),
            build_nanoseconds: AtomicU64::new(0),
            transfer_nanoseconds: AtomicU64::new(0),
            arrays: AtomicU64::new(0),
        };
        gpu.iterations = gpu.probe_iterations()?;
        Ok(gpu)
    }

    /// Counts to 70,000 on the device, and says how far loops may go if it does not arrive.
    fn probe_iterations(&self) -> Result<Option<u32>> {
        static PROBE: Shader = Shader {
            name: "loop_probe",
            source: include_str!("loop_probe.wgsl"),
            bindings: &[Binding::new("iterations", Access::Read), Binding::new("counted", Access::ReadWrite)],
            parameters: None,
            constants: &[],
        };
        let iterations = Buffer::from_slice(self, "loop_probe.iterations", &[PROBED_ITERATIONS])?;
        let counted = Buffer::<u32>::new(self, "loop_probe.counted", 1)?;
        let bound = Kernel::new(self, &PROBE, &[])?.bind(self, &[&iterations, &counted])?;
        let mut recorder = Recorder::new(self, "loop_probe");
        recorder.dispatch(&bound, [1, 1, 1], None)?;
        recorder.submit()?;
        let expected = (0..PROBED_ITERATIONS).fold(0u32, |total, i| (total ^ i).wrapping_add(1));
        let arrived = read_back(self, &counted)? == [expected];
        Ok(if arrived { None } else { Some(SAFE_ITERATIONS) })
    }

    /// What was opened, with the limits that it was opened with.
    pub fn description(&self) -> &AdapterDescription {
        &self.description
    }

    /// The limits that it was opened with.
    pub fn limits(&self) -> Limits {
        self.description.limits
    }

    /// Whether shaders run with bounds checks.
    pub fn is_checked(&self) -> bool {
        self.checked
    }

    /// The most loop iterations that one invocation may run, if the driver is known to cut loops short.
    pub fn max_loop_iterations(&self) -> Option<u32> {
        self.iterations
    }

    /// Fails if one invocation of `kernel` would run more loop iterations than the driver completes.
    pub fn check_iterations(&self, kernel: &str, iterations: usize) -> Result<()> {
        match self.iterations {
            Some(limit) if iterations > limit as usize => Err(Error::Shape(format!(
                "{kernel}: one invocation would loop {iterations} times, and the driver {} cuts loops short after \
                 65,535; use smaller sizes, a newer driver, or --device cpu",
                self.description.driver
            ))),
            _ => Ok(()),
        }
    }

    /// Invocations of a workgroup that suit the kind of device, for kernels whose bits do not depend on it: a software driver
    /// runs each workgroup on one thread, so small ones spread better; a GPU wants its lanes filled.
    pub fn usual_workgroup_size(&self) -> u32 {
        if self.is_software() { 8 } else { 64 }
    }

    /// Whether it is a driver without a GPU. There a load costs many times as much as a multiply-add.
    pub fn is_software(&self) -> bool {
        self.description.kind == "software"
    }

    /// Kernel launches recorded so far.
    pub fn dispatches(&self) -> u64 {
        self.dispatches.load(Ordering::Relaxed)
    }

    /// Submissions so far, read-backs included.
    pub fn submits(&self) -> u64 {
        self.submits.load(Ordering::Relaxed)
    }

    /// Time spent compiling shaders and building pipelines.
    pub fn build_time(&self) -> Duration {
        Duration::from_nanos(self.build_nanoseconds.load(Ordering::Relaxed))
    }

    /// Time spent copying between host and device.
    pub fn transfer_time(&self) -> Duration {
        Duration::from_nanos(self.transfer_nanoseconds.load(Ordering::Relaxed))
    }

    /// Tells `observer` what the device is asked while `work` runs.
    pub fn observed<R>(&self, observer: Arc<dyn Observer>, work: impl FnOnce() -> R) -> R {
        self.observers.lock().push(Arc::clone(&observer));
        let result = work();
        self.observers.lock().retain(|other| !Arc::ptr_eq(other, &observer));
        result
    }

    fn observers(&self) -> Vec<Arc<dyn Observer>> {
        self.observers.lock().clone()
    }

    fn tell(&self, mut event: impl FnMut(&dyn Observer) -> Result<()>) -> Result<()> {
        self.observers().iter().try_for_each(|observer| event(observer.as_ref()))
    }

    /// Every kernel that was compiled so far, with the `override` constants that it was compiled with; sorted.
    pub fn compiled_kernels(&self) -> Vec<(&'static str, Vec<(&'static str, u32)>)> {
        let mut compiled: Vec<_> = self.kernels.lock().keys().cloned().collect();
        compiled.sort();
        compiled
    }

    /// Takes the device away, as a driver that crashed or a card that was unplugged would: whatever is asked of it from now
    /// on fails with [`Error::DeviceLost`]. For rehearsals of exactly that.
    pub fn destroy(&self) {
        self.device.destroy();
    }

    /// Counts time that went into choosing kernels as time of building them.
    pub fn add_build_time(&self, time: Duration) {
        self.build_nanoseconds.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    /// A number for the next array.
    pub(super) fn next_number(&self) -> u64 {
        self.arrays.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn count_dispatch(&self) {
        self.dispatches.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_submit(&self) {
        self.submits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_build(&self, since: Instant) {
        self.build_nanoseconds.fetch_add(since.elapsed().as_nanos() as u64, Ordering::Relaxed);
    }

    pub(super) fn count_transfer(&self, since: Instant) {
        self.transfer_nanoseconds.fetch_add(since.elapsed().as_nanos() as u64, Ordering::Relaxed);
    }

    /// Has the callbacks hear of what happened until now.
    pub(super) fn hear(&self) {
        let _ = self.device.poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(LAST_WORK) });
    }

    /// Fails with what a callback has reported since the last call: a lost device, too little memory, an invalid call.
    pub fn check(&self) -> Result<()> {
        let failure = || self.failure.lock();
        if matches!(*failure(), Some(Error::Shape(_))) {
            // A call may be refused because the device is lost, and its loss be told only when its last work has ended.
            self.hear();
        }
        let mut failure = failure();
        match failure.take() {
            None => Ok(()),
            Some(error) => {
                // A lost device stays lost: whoever asks next must hear it too.
                if let Error::DeviceLost(cause) = &error {
                    *failure = Some(Error::DeviceLost(cause.clone()));
                }
                Err(error)
            }
        }
    }
}

/// Puts the callbacks of `device` in place and returns where they leave the first failure.
fn listen(device: &wgpu::Device) -> Failure {
    let failure = Failure::default();
    let store = |failure: &Failure, error: Error| {
        let mut failure = failure.lock();
        // The loss of the device explains every error after it, and what came just before it.
        if failure.is_none() || matches!(error, Error::DeviceLost(_)) {
            *failure = Some(error);
        }
    };
    let uncaptured = Arc::clone(&failure);
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        let error = match error {
            wgpu::Error::OutOfMemory { source } => Error::OutOfMemory(source.to_string()),
            wgpu::Error::Validation { description, .. } => {
                Error::Shape(format!("the device refused a call (please report it): {description}"))
            }
            wgpu::Error::Internal { description, .. } => Error::DeviceLost(description),
        };
        store(&uncaptured, error);
    }));
    let lost = Arc::clone(&failure);
    device.set_device_lost_callback(move |reason, message| {
        store(&lost, Error::DeviceLost(format!("{reason:?} {message}").trim().to_string()));
    });
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::adapters;

    fn open(limits: RequestedLimits) -> Gpu {
        Gpu::open(&DeviceChoice::Index(0), false, limits).expect("the tests need a Vulkan, Metal or DX12 driver")
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_list_of_devices() {
        let choice = DeviceChoice::Name("no such device".into());
        let error = Gpu::open(&choice, false, RequestedLimits::Adapter).map(|_| ()).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().contains(&adapters()[0].name), "{error}");
    }

    #[test]
    fn a_part_of_the_name_in_any_case_is_enough() {
        let name = adapters()[0].name.to_uppercase();
        let choice = DeviceChoice::Name(name[..name.len() / 2].into());
        assert_eq!(Gpu::open(&choice, true, RequestedLimits::Adapter).unwrap().description().index, 0);
    }

    #[test]
    fn a_lost_device_is_reported_at_every_later_use() {
        let gpu = open(RequestedLimits::Adapter);
        let buffer = Buffer::from_slice(&gpu, "test", &[1u32, 2]).unwrap();
        gpu.device.destroy();
        for _ in 0..2 {
            let error = read_back(&gpu, &buffer).unwrap_err();
            assert!(matches!(error, Error::DeviceLost(_)), "{error}");
        }
    }

    #[test]
    fn a_buffer_above_the_limits_is_refused_before_the_device_sees_it() {
        let gpu = open(RequestedLimits::ArrayBytes(1024));
        assert!(Buffer::<f32>::new(&gpu, "fits", 256).is_ok());
        let error = Buffer::<f32>::new(&gpu, "too large", 257).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("too large"), "{error}");
    }

    #[test]
    fn loops_above_the_limit_are_refused_where_the_driver_cuts_them() {
        let mut gpu = open(RequestedLimits::Adapter);
        gpu.iterations = Some(SAFE_ITERATIONS);
        assert!(gpu.check_iterations("test", 60_000).is_ok());
        assert!(gpu.check_iterations("test", 60_001).is_err());
        gpu.iterations = None;
        assert!(gpu.check_iterations("test", 1_000_000).is_ok());
    }
}
