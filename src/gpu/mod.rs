//! The GPU as the rest of the program sees it: devices, typed buffers, kernels, recordings. The only module that knows wgpu.

mod device;
mod limits;

pub use device::buffer::{Bindable, Buffer, RawBuffer, Records};
pub(crate) use device::kernel::parameters;
pub use device::kernel::{Access, Binding, BoundKernel, Cost, Field, Kernel, Parameters, Shader};
pub use device::recorder::{Launch, Recorder, Submission, read_back};
pub use device::tape::TAPE_FILES;
pub use device::timing::LaunchTimes;
pub use device::{AdapterDescription, DeviceChoice, Gpu, Limits, RequestedLimits, adapters, why_no_adapter};
pub use limits::CopyProbe;
