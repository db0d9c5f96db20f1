//! Finding a device, opening it, and hearing about what goes wrong with it.

pub(super) mod buffer;
pub(super) mod kernel;
pub(super) mod recorder;
pub(super) mod tape;
pub(super) mod timing;

use crate::error::{Error, Result};
use buffer::Buffer;
use kernel::{Access, Binding, Kernel, Shader};
use parking_lot::Mutex;
use recorder::{Launch, Recorder, read_back};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tape::Tape;
use timing::Profile;

/// Iterations that the start-up probe asks for: above the limit of old software drivers.
const PROBED_ITERATIONS: u32 = 70_000;
/// The most iterations that one invocation may run where the probe was cut short at 65,535: a little room for the
/// loops that a driver adds.
const SAFE_ITERATIONS: u32 = 60_000;

/// An adapter that could be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterDescription {
    /// Position in the list; stable as long as drivers and environment stay the same.
    pub index: usize,
    /// Name as the driver gives it.
    pub name: String,
    /// `discrete GPU`, `integrated GPU`, `virtual GPU`, `software` or `other`.
    pub kind: &'static str,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// Driver and its version.
    pub driver: String,
    /// What its kernels may use.
    pub limits: Limits,
}

/// Limits of a device that cut work into pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest part of a buffer that a kernel can see, in bytes.
    pub storage_binding: u64,
    /// Largest buffer, in bytes.
    pub buffer: u64,
    /// Workgroup memory, in bytes.
    pub workgroup_memory: u32,
    /// Workgroups in each dimension of a launch.
    pub workgroups: u32,
}

impl Limits {
    fn of(limits: &wgpu::Limits) -> Self {
        Self {
            storage_binding: limits.max_storage_buffer_binding_size,
            buffer: limits.max_buffer_size,
            workgroup_memory: limits.max_compute_workgroup_storage_size,
            workgroups: limits.max_compute_workgroups_per_dimension,
        }
    }

    /// The most bytes that one array of a kernel can have: it must fit a buffer and a binding.
    pub fn array_bytes(&self) -> u64 {
        self.storage_binding.min(self.buffer)
    }
}

/// Which adapter to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// By its position in [`adapters`].
    Index(usize),
    /// The first one with this in its name, in any case.
    Name(String),
}

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
    launch_times: Mutex<BTreeMap<&'static str, Duration>>,
    /// Times of launches while a profile is taken.
    pub(super) profile: Mutex<Option<Profile>>,
    /// What was launched since somebody asked for a list.
    launches: Mutex<Option<Vec<Launch>>>,
    dispatches: AtomicU64,
    submits: AtomicU64,
    build_nanoseconds: AtomicU64,
    transfer_nanoseconds: AtomicU64,
    arrays: AtomicU64,
    uploaded: AtomicU64,
    tape: OnceLock<Mutex<Tape>>,
}

/// The backends that can run the kernels.
const BACKENDS: wgpu::Backends = wgpu::Backends::VULKAN.union(wgpu::Backends::METAL).union(wgpu::Backends::DX12);

/// What the environment says about adapters. An empty variable says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wishes {
    /// `WGPU_BACKEND`: backends, separated by commas.
    backend: Option<String>,
    /// `WGPU_ADAPTER_NAME`: part of a name, in any case.
    name: Option<String>,
}

impl Wishes {
    fn of_environment() -> Self {
        let said = |variable| {
            let value = std::env::var_os(variable)?.to_string_lossy().trim().to_string();
            (!value.is_empty()).then_some(value)
        };
        Self { backend: said("WGPU_BACKEND"), name: said("WGPU_ADAPTER_NAME") }
    }

    fn backends(&self) -> wgpu::Backends {
        self.backend.as_deref().map_or(BACKENDS, |list| wgpu::Backends::from_comma_list(list) & BACKENDS)
    }

    fn fits(&self, name: &str) -> bool {
        self.name.as_ref().is_none_or(|part| name.to_lowercase().contains(&part.to_lowercase()))
    }

    /// Why they leave nothing of `all`, the adapters that there are without them; nothing if they leave something, or if
    /// nothing was said.
    fn complaint(&self, all: &[AdapterDescription]) -> Option<String> {
        let backends = self.backends();
        let backend_of = |adapter: &AdapterDescription| wgpu::Backends::from_comma_list(&adapter.backend);
        let within = |adapter: &&AdapterDescription| backends.intersects(backend_of(adapter));
        let cause = match (&self.backend, &self.name) {
            (Some(list), _) if backends.is_empty() => {
                let known = !wgpu::Backends::from_comma_list(list).is_empty();
                let why = if known { "cannot run these kernels" } else { "names no backend" };
                format!("WGPU_BACKEND={list} {why}: vulkan, metal and dx12 can")
            }
            (Some(list), _) if !all.iter().any(|adapter| within(&adapter)) => {
                format!("WGPU_BACKEND={list} leaves no adapter")
            }
            (_, Some(part)) if !all.iter().filter(within).any(|adapter| self.fits(&adapter.name)) => {
                format!("WGPU_ADAPTER_NAME={part} is in no adapter's name")
            }
            _ => return None,
        };
        Some(format!("{cause}; without it there would be {}", listed(all)))
    }
}

fn instance(backends: wgpu::Backends) -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends;
    // The defaults validate in ways that cost time, and differ between debug and release builds. The environment may ask
    // for more, as for adapters whose drivers call themselves incomplete: WSL2's is one.
    descriptor.flags = wgpu::InstanceFlags::empty().with_env();
    wgpu::Instance::new(descriptor)
}

/// The adapters that `wishes` leave, in the order of their indices, with what describes them.
fn enumerate(wishes: &Wishes) -> Vec<(wgpu::Adapter, AdapterDescription)> {
    let instance = instance(wishes.backends());
    let mut adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    adapters.retain(|adapter| wishes.fits(&adapter.get_info().name));
    // Drivers enumerate in any order; sorted, an index means the same device tomorrow.
    adapters.sort_by_cached_key(|adapter| {
        let info = adapter.get_info();
        (kind_order(info.device_type), info.device_pci_bus_id, info.name, info.backend.to_str())
    });
    let describe = |(index, adapter): (usize, wgpu::Adapter)| {
        let info = adapter.get_info();
        let description = AdapterDescription {
            index,
            name: info.name,
            kind: kind(info.device_type),
            backend: info.backend.to_str().to_string(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
            limits: Limits::of(&adapter.limits()),
        };
        (adapter, description)
    };
    adapters.into_iter().enumerate().map(describe).collect()
}

fn described(wishes: &Wishes) -> Vec<AdapterDescription> {
    enumerate(wishes).into_iter().map(|(_, description)| description).collect()
}

/// All adapters that can be opened, in the order of their indices: discrete GPUs first, software drivers last.
/// `WGPU_BACKEND` restricts the backends and `WGPU_ADAPTER_NAME` the names.
pub fn adapters() -> Vec<AdapterDescription> {
    described(&Wishes::of_environment())
}

/// Why there is no adapter, and what to do about it: a variable of the environment that leaves none of those that there
/// are, or no driver.
pub fn why_no_adapter() -> String {
    let all = described(&Wishes::default());
    if let Some(complaint) = Wishes::of_environment().complaint(&all) {
        return complaint;
    }
    // The device of Linux under Windows, whose driver is left out unless it is asked for.
    if std::path::Path::new("/dev/dxg").exists() {
        return "no adapter found; under WSL2 set WGPU_ALLOW_UNDERLYING_NONCOMPLIANT_ADAPTER=1".into();
    }
    "no Vulkan, Metal or DX12 adapter found; on Debian or Ubuntu install mesa-vulkan-drivers to run the WGSL engine in \
     software"
        .into()
}

/// Adapters by index, name and kind.
fn listed(adapters: &[AdapterDescription]) -> String {
    if adapters.is_empty() {
        return "none".into();
    }
    let line = |adapter: &AdapterDescription| format!("{}: {} ({})", adapter.index, adapter.name, adapter.kind);
    adapters.iter().map(line).collect::<Vec<_>>().join(", ")
}

fn kind(device_type: wgpu::DeviceType) -> &'static str {
    match device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete GPU",
        wgpu::DeviceType::IntegratedGpu => "integrated GPU",
        wgpu::DeviceType::VirtualGpu => "virtual GPU",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "other",
    }
}

fn kind_order(device_type: wgpu::DeviceType) -> u8 {
    match device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

fn choose(
    found: Vec<(wgpu::Adapter, AdapterDescription)>,
    choice: &DeviceChoice,
) -> Result<(wgpu::Adapter, AdapterDescription)> {
    let all: Vec<AdapterDescription> = found.iter().map(|(_, description)| description.clone()).collect();
    let fits = |adapter: &AdapterDescription| match choice {
        DeviceChoice::Index(index) => adapter.index == *index,
        DeviceChoice::Name(part) => adapter.name.to_lowercase().contains(&part.to_lowercase()),
    };
    let wanted = match choice {
        DeviceChoice::Index(index) => format!("with index {index}"),
        DeviceChoice::Name(part) => format!("with \"{part}\" in its name"),
    };
    found.into_iter().find(|(_, adapter)| fits(adapter)).ok_or_else(|| {
        let there = if all.is_empty() { why_no_adapter() } else { format!("found: {}", listed(&all)) };
        Error::NoDevice(format!("there is no device {wanted}; {there}; or use --device cpu"))
    })
}

impl Gpu {
    /// Opens an adapter. `checked` keeps the bounds checks that wgpu puts into shaders.
    ///
    /// Fails with [`Error::NoDevice`] if there is no such adapter or it cannot give the limits that every kernel needs.
    pub fn open(choice: &DeviceChoice, checked: bool, limits: RequestedLimits) -> Result<Self> {
        let (adapter, mut description) = choose(enumerate(&Wishes::of_environment()), choice)?;
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
        let mut required_features = wgpu::Features::empty();
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
            launch_times: Mutex::default(),
            profile: Mutex::default(),
            launches: Mutex::default(),
            dispatches: AtomicU64::new(0),
            submits: AtomicU64::new(0),
            build_nanoseconds: AtomicU64::new(0),
            transfer_nanoseconds: AtomicU64::new(0),
            arrays: AtomicU64::new(0),
            uploaded: AtomicU64::new(0),
            tape: OnceLock::new(),
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

    /// Arrays made so far: a kernel that is bound anew makes at least one.
    pub fn arrays(&self) -> u64 {
        self.arrays.load(Ordering::Relaxed)
    }

    /// Bytes handed to the device so far.
    pub fn uploaded(&self) -> u64 {
        self.uploaded.load(Ordering::Relaxed)
    }

    /// Time spent compiling shaders and building pipelines.
    pub fn build_time(&self) -> Duration {
        Duration::from_nanos(self.build_nanoseconds.load(Ordering::Relaxed))
    }

    /// Time spent copying between host and device.
    pub fn transfer_time(&self) -> Duration {
        Duration::from_nanos(self.transfer_nanoseconds.load(Ordering::Relaxed))
    }

    /// The slowest measured recording of each kernel since the last call, by the kernel that it began with. Only
    /// [`Recorder::submit_measured`] measures.
    pub fn take_launch_times(&self) -> BTreeMap<&'static str, Duration> {
        std::mem::take(&mut self.launch_times.lock())
    }

    /// From now on every launch is listed, for [`Self::take_launches`].
    pub fn list_launches(&self) {
        *self.launches.lock() = Some(Vec::new());
    }

    /// What was launched since [`Self::list_launches`], in order; the list ends here.
    pub fn take_launches(&self) -> Vec<Launch> {
        self.launches.lock().take().unwrap_or_default()
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

    pub(super) fn file_launch_time(&self, kernel: &'static str, time: Duration) {
        let mut times = self.launch_times.lock();
        let slowest = times.entry(kernel).or_default();
        *slowest = time.max(*slowest);
    }

    pub(super) fn list_launch(&self, launch: impl FnOnce() -> Launch) {
        if let Some(launches) = &mut *self.launches.lock() {
            launches.push(launch());
        }
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

    pub(super) fn count_upload(&self, bytes: usize, since: Instant) {
        self.uploaded.fetch_add(bytes as u64, Ordering::Relaxed);
        self.count_transfer(since);
    }

    pub(super) fn count_transfer(&self, since: Instant) {
        self.transfer_nanoseconds.fetch_add(since.elapsed().as_nanos() as u64, Ordering::Relaxed);
    }

    /// Fails with what a callback has reported since the last call: a lost device, too little memory, an invalid call.
    pub fn check(&self) -> Result<()> {
        let failure = || self.failure.lock();
        if matches!(*failure(), Some(Error::Shape(_))) {
            // A call may be refused because the device is lost, and its loss be told only by the next poll.
            let _ = self.device.poll(wgpu::PollType::Poll);
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

    fn adapter(name: &str) -> AdapterDescription {
        let limits = Limits { storage_binding: 1, buffer: 1, workgroup_memory: 1, workgroups: 1 };
        let (name, backend) = (name.to_string(), "vulkan".to_string());
        AdapterDescription { index: 0, name, kind: "discrete GPU", backend, driver: String::new(), limits }
    }

    #[test]
    fn a_variable_that_leaves_no_adapter_is_named_with_its_value_and_with_what_there_is() {
        let complaint = |backend: Option<&str>, name: Option<&str>| {
            let wishes = Wishes { backend: backend.map(str::to_string), name: name.map(str::to_string) };
            wishes.complaint(&[adapter("Card 5")])
        };
        for (backend, name, named) in [
            (Some("gl"), None, "WGPU_BACKEND=gl"),
            (Some("vulcan"), None, "WGPU_BACKEND=vulcan"),
            (Some("metal"), None, "WGPU_BACKEND=metal"),
            (None, Some("other"), "WGPU_ADAPTER_NAME=other"),
            (Some("vulkan"), Some("other"), "WGPU_ADAPTER_NAME=other"),
        ] {
            let text = complaint(backend, name).unwrap();
            assert!(text.contains(named) && text.contains("0: Card 5"), "{text}");
        }
        for (backend, name) in [(None, None), (Some("gl,VULKAN"), None), (Some("vk"), Some("card")), (None, Some("5"))]
        {
            assert_eq!(complaint(backend, name), None, "{backend:?} {name:?}");
        }
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
