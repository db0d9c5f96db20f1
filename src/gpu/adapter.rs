//! Adapters: which there are, and which one is meant.

use crate::error::{Error, Result};

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
    pub(super) fn of(limits: &wgpu::Limits) -> Self {
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

/// The adapter that is meant, with what describes it.
pub(super) fn choose(choice: &DeviceChoice) -> Result<(wgpu::Adapter, AdapterDescription)> {
    let found = enumerate(&Wishes::of_environment());
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
