//! The GPU as the rest of the program sees it: devices, typed buffers, kernels, recordings. The only module that knows wgpu.

mod buffer;
mod device;
mod kernel;
mod launch;
mod limits;
mod recorder;
mod tape;
mod timing;

pub use buffer::{Bindable, Buffer, RawBuffer, Records};
pub use device::{AdapterDescription, DeviceChoice, Gpu, Limits, RequestedLimits, adapters, why_no_adapter};
pub(crate) use kernel::parameters;
pub use kernel::{Access, Binding, BoundKernel, Cost, Field, Kernel, Parameters, Shader};
pub use launch::Launch;
pub use limits::CopyProbe;
pub use recorder::{Recorder, Submission, read_back};
pub use tape::TAPE_FILES;
pub use timing::LaunchTimes;
