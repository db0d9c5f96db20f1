//! The GPU as the rest of the program sees it: devices, typed buffers, kernels, recordings. The only module that knows wgpu.

mod adapter;
mod device;
mod program;

pub use adapter::{AdapterDescription, DeviceChoice, Limits, adapters, why_no_adapter};
pub use device::buffer::{Bindable, Buffer, RawBuffer, Records};
pub(crate) use device::kernel::parameters;
pub use device::kernel::{Access, Binding, BoundKernel, Cost, Field, Kernel, Parameters, Shader};
pub use device::observer::{Command, Launch, Observer};
pub use device::recorder::{Recorder, Submission, read_back};
pub use device::{Gpu, RequestedLimits};
pub use program::{DeclaredArray, Number, Program};
