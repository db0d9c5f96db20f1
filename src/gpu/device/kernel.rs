//! Shaders as data, pipelines made from them, and pipelines with their arrays bound.

use super::Gpu;
use super::buffer::Bindable;
use crate::error::{Error, Result};
use std::sync::Arc;
use std::time::Instant;

/// How a kernel uses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It only reads it.
    Read,
    /// It reads one record of it, chosen at each launch: 256 bytes, or what [`crate::gpu::Records`] says.
    ReadRecord,
    /// It writes it, and may read it.
    ReadWrite,
}

/// One array or structure of a kernel; its place in the list is its binding number in group 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Name of the variable in the shader.
    pub name: &'static str,
    /// How it is used.
    pub access: Access,
    /// Whether numbers that lie in it become indices.
    pub indexes: bool,
}

impl Binding {
    /// A variable of this name, whose numbers become no indices.
    pub const fn new(name: &'static str, access: Access) -> Self {
        Self { name, access, indexes: false }
    }

    /// The same, with numbers that become indices.
    pub const fn indexing(self) -> Self {
        Self { indexes: true, ..self }
    }
}

/// A field of a kernel's `Params`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, the same in both languages.
    pub name: &'static str,
    /// Where it starts, in bytes.
    pub offset: usize,
}

/// A `Params` structure as Rust lays it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Its fields in order.
    pub fields: &'static [Field],
    /// Its size in bytes.
    pub size: usize,
}

/// A shader: its text, and what Rust believes about it. The catalogue test proves the two equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shader {
    /// `family.kernel`.
    pub name: &'static str,
    /// WGSL, preludes included.
    pub source: &'static str,
    /// Bindings of group 0 in order.
    pub bindings: &'static [Binding],
    /// The `Params` behind the binding of that name, if it has one.
    pub parameters: Option<Parameters>,
    /// Names of its `override` constants.
    pub constants: &'static [&'static str],
}

/// What one launch has to do at least, by one rule for all kernels and both engines.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Two for each multiply-add, one for each comparison; nothing for the rest.
    pub operations: f64,
    /// Every number that is read or written counts once, however often a kernel touches it.
    pub bytes: f64,
}

impl Cost {
    /// So many multiply-adds on so many 32-bit words.
    pub fn new(multiply_adds: usize, words: usize) -> Self {
        Self { operations: 2.0 * multiply_adds as f64, bytes: 4.0 * words as f64 }
    }

    /// So many comparisons on so many 32-bit words.
    pub fn comparisons(comparisons: usize, words: usize) -> Self {
        Self { operations: comparisons as f64, bytes: 4.0 * words as f64 }
    }
}

impl Shader {
    /// Whether it takes indices out of its arrays, which no wrapper has looked at.
    pub fn indexes_by_content(&self) -> bool {
        self.bindings.iter().any(|binding| binding.indexes)
    }
}

/// Declares a kernel's `Params`: a plain structure of 32-bit fields whose layout is known as data.
macro_rules! parameters {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident { $($field:ident: $kind:ty),+ $(,)? }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        #[repr(C)]
        $visibility struct $name {
            $($field: $kind),+
        }

        impl $name {
            pub(crate) const LAYOUT: $crate::gpu::Parameters = $crate::gpu::Parameters {
                fields: &[$($crate::gpu::Field {
                    name: stringify!($field),
                    offset: std::mem::offset_of!($name, $field),
                }),+],
                size: size_of::<$name>(),
            };
        }
    };
}
pub(crate) use parameters;

/// What a built pipeline is found by: shader and constants.
pub(super) type Key = (&'static str, Vec<(&'static str, u32)>);

/// A compiled kernel.
pub struct Kernel {
    shader: &'static Shader,
    constants: Vec<(&'static str, u32)>,
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
}

impl Kernel {
    /// Compiles `shader` with these `override` constants, or takes the kernel that was compiled before.
    ///
    /// Fails as [`Gpu::check`] does: with [`Error::Shape`] if the driver refuses the shader or the constants.
    pub fn new(gpu: &Gpu, shader: &'static Shader, constants: &[(&'static str, u32)]) -> Result<Arc<Self>> {
        let key = (shader.name, constants.to_vec());
        let mut kernels = gpu.kernels.lock();
        if let Some(kernel) = kernels.get(&key) {
            return Ok(Arc::clone(kernel));
        }
        let start = Instant::now();
        let kernel = Arc::new(Self::compile(gpu, shader, constants, gpu.is_checked()));
        gpu.count_build(start);
        gpu.check()?;
        kernels.insert(key, Arc::clone(&kernel));
        Ok(kernel)
    }

    /// Compiles a text that nobody has looked at: with all run-time checks, however the device was opened, and kept nowhere.
    ///
    /// Fails as [`Self::new`] does.
    pub fn checked(gpu: &Gpu, shader: &'static Shader) -> Result<Arc<Self>> {
        let kernel = Arc::new(Self::compile(gpu, shader, &[], true));
        gpu.check()?;
        Ok(kernel)
    }

    fn compile(gpu: &Gpu, shader: &'static Shader, constants: &[(&'static str, u32)], checked: bool) -> Self {
        let module = compile_module(gpu, shader, checked);
        let entries: Vec<_> = (0..)
            .zip(shader.bindings)
            .map(|(binding, declared)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Storage { read_only: declared.access != Access::ReadWrite },
                    has_dynamic_offset: declared.access == Access::ReadRecord,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        let layout = gpu
            .device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(shader.name), entries: &entries });
        let pipeline_layout = gpu.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(shader.name),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let numbers: Vec<_> = constants.iter().map(|&(name, value)| (name, f64::from(value))).collect();
        let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(shader.name),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &numbers,
                // One invocation would zero all of it; kernels write what they read.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        Self { shader, constants: constants.to_vec(), pipeline, layout }
    }

    /// Invocations of a workgroup that it was compiled with; 1 if its shader fixes them.
    pub fn workgroup_size(&self) -> u32 {
        self.constants.iter().find(|(name, _)| *name == "WORKGROUP_SIZE").map_or(1, |&(_, size)| size)
    }

    /// `family.kernel`.
    pub fn name(&self) -> &'static str {
        self.shader.name
    }

    /// Ties the kernel to its arrays, in the order of its bindings. Fails if their number differs from the bindings' or
    /// an array is too large to be bound.
    pub fn bind(&self, gpu: &Gpu, arrays: &[&dyn Bindable]) -> Result<BoundKernel> {
        let bindings = self.shader.bindings;
        if arrays.len() != bindings.len() {
            return Err(Error::Shape(format!(
                "{}: {} arrays given, {} declared",
                self.shader.name,
                arrays.len(),
                bindings.len()
            )));
        }
        let mut entries = Vec::new();
        let mut record_bytes = None;
        for (binding, (declared, array)) in (0..).zip(bindings.iter().zip(arrays)) {
            let array = array.raw();
            let (bytes, most) = (array.buffer.size(), gpu.limits().storage_binding);
            if bytes > most {
                return Err(Error::Shape(format!(
                    "{}: {} ({}) has {bytes} bytes, and a kernel sees at most {most}",
                    self.shader.name, declared.name, array.label
                )));
            }
            let mut record = None;
            if declared.access == Access::ReadRecord {
                record_bytes = Some(array.record);
                record = wgpu::BufferSize::new(array.record);
            }
            let resource =
                wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: array.buffer, offset: 0, size: record });
            entries.push(wgpu::BindGroupEntry { binding, resource });
        }
        let group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(self.shader.name),
            layout: &self.layout,
            entries: &entries,
        });
        gpu.check()?;
        let arrays = arrays.iter().map(|array| array.raw().number).collect();
        let (pipeline, constants) = (self.pipeline.clone(), self.constants.clone());
        Ok(BoundKernel { shader: self.shader, constants, arrays, pipeline, group, record_bytes, cost: Cost::default() })
    }
}

/// Turns WGSL into a module: with all of wgpu's run-time checks if it is to be `checked`, else only with bounds checks, and
/// only where indices come out of arrays.
fn compile_module(gpu: &Gpu, shader: &Shader, checked: bool) -> wgpu::ShaderModule {
    let descriptor = wgpu::ShaderModuleDescriptor {
        label: Some(shader.name),
        source: wgpu::ShaderSource::Wgsl(shader.source.into()),
    };
    if checked {
        return gpu.device.create_shader_module(descriptor);
    }
    let mut checks = wgpu::ShaderRuntimeChecks::unchecked();
    checks.bounds_checks = shader.indexes_by_content();
    #[expect(unsafe_code, reason = "bounds checks and loop bounding cost more than the arithmetic of these kernels")]
    // SAFETY: without bounds checks, indices are made of invocation numbers, of sizes in `Params` and of the fields of a
    // step alone. Wrappers compare these sizes with the arrays before they bind them and the samples of a step with the module
    // before they record it; where the engine puts steps and windows into arrays, it makes them from sizes that it has
    // checked. Which kernels take an index out of an array, and so keep the checks, the catalogue test derives from the
    // shaders. Loops end by the same sizes, and no divisor is zero. The tests of every kernel compare its bits with and
    // without all checks.
    unsafe {
        gpu.device.create_shader_module_trusted(descriptor, checks)
    }
}

/// A kernel with its arrays: ready to be recorded any number of times.
#[derive(Clone)]
pub struct BoundKernel {
    /// The shader.
    pub shader: &'static Shader,
    /// What its `override` constants are.
    pub constants: Vec<(&'static str, u32)>,
    /// Numbers of its arrays.
    pub arrays: Vec<u64>,
    /// Bytes of a record, if each launch reads one.
    pub record_bytes: Option<u64>,
    /// What a launch costs at least.
    pub cost: Cost,
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) group: wgpu::BindGroup,
}

impl BoundKernel {
    /// `family.kernel`.
    pub fn name(&self) -> &'static str {
        self.shader.name
    }

    /// Says what a launch of it costs with all samples that there is room for.
    pub fn costing(self, cost: Cost) -> Self {
        Self { cost, ..self }
    }
}
