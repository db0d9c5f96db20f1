//! The GPU as the rest of the program sees it: devices, typed buffers, kernels, recordings. The only room that knows wgpu.

mod buffer;
mod device;
mod kernel;
mod recorder;
mod timing;

pub use buffer::{Bindable, Buffer, RawBuffer, Records};
pub use device::{AdapterDescription, DeviceChoice, Gpu, Limits, RequestedLimits, adapters};
pub(crate) use kernel::parameters;
pub use kernel::{Access, Binding, BoundKernel, Field, Kernel, Parameters, Shader};
pub use recorder::{Recorder, Submission, read_back};
