//! Which device the work goes to.

use super::{Engine, GpuBackend, TuningStore};
use crate::error::Result;
use crate::gpu::{self, AdapterDescription, DeviceChoice, RequestedLimits};

/// What the user asks for with `--device`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The first discrete, then integrated GPU, else the CPU engine.
    Auto,
    /// Our engine on the processor, never an adapter.
    Cpu,
    /// An adapter by index or name; only so is a software driver taken.
    Adapter(DeviceChoice),
}

impl Choice {
    /// Reads the argument of `--device`; an empty one asks for nothing.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        match text.to_lowercase().as_str() {
            "" | "auto" => Self::Auto,
            "cpu" => Self::Cpu,
            other => Self::Adapter(other.parse().map_or_else(|_| DeviceChoice::Name(text.into()), DeviceChoice::Index)),
        }
    }
}

/// Index of the adapter that `auto` takes; `None` for the CPU engine.
pub fn automatic_adapter(adapters: &[AdapterDescription]) -> Option<usize> {
    ["discrete GPU", "integrated GPU"]
        .into_iter()
        .find_map(|kind| adapters.iter().find(|adapter| adapter.kind == kind))
        .map(|adapter| adapter.index)
}

/// Opens a device; the text says which one and why. `threads` are the CPU engine's, `checked` keeps bounds checks in
/// shaders.
///
/// Fails with [`crate::error::Error::NoDevice`] if the device does not exist.
pub fn open(choice: &Choice, threads: Option<usize>, checked: bool) -> Result<(Engine, String)> {
    let open_adapter = |choice: &DeviceChoice| -> Result<Engine> {
        let backend = GpuBackend::open(choice, checked, RequestedLimits::Adapter)?;
        Ok(backend.tuned(TuningStore::of_environment()).into())
    };
    let open_cpu = || Engine::cpu(threads);
    let (engine, why) = match choice {
        Choice::Cpu => (open_cpu()?, "as asked".to_string()),
        Choice::Adapter(adapter) => (open_adapter(adapter)?, as_asked(adapter)),
        Choice::Auto => {
            let adapters = gpu::adapters();
            match automatic_adapter(&adapters) {
                Some(index) => (open_adapter(&DeviceChoice::Index(index))?, "the first GPU".into()),
                None => (open_cpu()?, no_gpu(&adapters)),
            }
        }
    };
    let description = engine.description();
    let text = format!("device: {}, {} ({why})", description.name, description.variant);
    Ok((engine, text))
}

/// Says so if a name fits several adapters.
fn as_asked(choice: &DeviceChoice) -> String {
    let DeviceChoice::Name(name) = choice else { return "as asked".into() };
    let name = name.to_lowercase();
    let fitting = gpu::adapters().iter().filter(|adapter| adapter.name.to_lowercase().contains(&name)).count();
    if fitting > 1 {
        format!("the first of {fitting} with this name; an index tells them apart")
    } else {
        "as asked".into()
    }
}

/// Why `auto` takes the CPU engine, and how to run the shaders all the same.
fn no_gpu(adapters: &[AdapterDescription]) -> String {
    match adapters.first() {
        Some(adapter) => {
            let name = adapter.name.split_whitespace().next().unwrap_or(&adapter.name);
            format!("no GPU found; --device {name} runs the WGSL engine on the {} driver", adapter.kind)
        }
        None => gpu::why_no_adapter(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(index: usize, kind: &'static str) -> AdapterDescription {
        let limits = gpu::Limits { storage_binding: 1, buffer: 1, workgroup_memory: 1, workgroups: 1 };
        AdapterDescription { index, name: "x".into(), kind, backend: "vulkan".into(), driver: String::new(), limits }
    }

    #[test]
    fn auto_takes_a_discrete_before_an_integrated_gpu_and_never_a_software_driver() {
        let all = [adapter(0, "software"), adapter(1, "integrated GPU"), adapter(2, "discrete GPU")];
        assert_eq!(automatic_adapter(&all), Some(2));
        assert_eq!(automatic_adapter(&all[..2]), Some(1));
        assert_eq!(automatic_adapter(&all[..1]), None);
    }

    #[test]
    fn device_arguments_are_read() {
        assert_eq!(Choice::parse("AUTO"), Choice::Auto);
        assert_eq!(Choice::parse(" "), Choice::Auto);
        assert_eq!(Choice::parse("-1"), Choice::Adapter(DeviceChoice::Name("-1".into())));
        assert_eq!(Choice::parse("cpu"), Choice::Cpu);
        assert_eq!(Choice::parse("1"), Choice::Adapter(DeviceChoice::Index(1)));
        assert_eq!(Choice::parse("Arc A770"), Choice::Adapter(DeviceChoice::Name("Arc A770".into())));
    }
}
