//! WGSL that is in no catalogue, such as a reader's own file: read for what it binds, and compiled so that nothing in it can
//! hang a device or reach beyond an array.

use super::device::Gpu;
use super::device::kernel::{Access, Binding, Kernel, Shader};
use crate::error::{Error, Result};
use std::sync::Arc;
use wgpu::naga::front::wgsl;
use wgpu::naga::valid::{Capabilities, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use wgpu::naga::{
    AddressSpace, ArraySize, GlobalVariable, Handle, Module, ScalarKind, ShaderStage, SourceLocation, StorageAccess,
    Type, TypeInner,
};

/// Rounds of all loops that an invocation of a reader's text may go: more than any exercise needs, soon over, and fewer than
/// those after which old software drivers cut a loop without a word.
const MOST_ROUNDS: u32 = 50_000;
/// What a reader's text is told by that a loop was cut: one more array, behind its own.
const CUT: &str = "holdfast_loop_was_cut";

/// What a word of an array stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// An `f32`.
    Float,
    /// An `i32`.
    Signed,
    /// A `u32`.
    Unsigned,
    /// Nothing: it only fills up.
    Padding,
}

/// An array that a text binds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredArray {
    /// Name of the variable.
    pub name: String,
    /// Whether it is `read_write`.
    pub is_written: bool,
    /// What the words of one element stand for.
    pub element: Vec<Number>,
}

/// A text that was read and found in order.
pub struct Program {
    /// The text with its bindings.
    shader: &'static Shader,
    /// Its arrays in the order of their bindings.
    pub arrays: Vec<DeclaredArray>,
    /// Invocations of a workgroup in each dimension.
    pub workgroup: [u32; 3],
    /// Whether its loops are counted: then one more array of one word must be bound behind the others, see [`Self::compile`].
    pub is_bounded: bool,
}

impl Program {
    /// A text of our own, which wrappers' rules hold for: no index comes out of an array, and every loop ends.
    ///
    /// Fails as [`Self::of_reader`] does.
    pub fn trusted(name: &'static str, text: &'static str) -> Result<Self> {
        let module = parsed(name, text)?;
        let arrays = declared(name, text, &module)?;
        Self::new(name, text, &module, arrays, false)
    }

    /// A text that nobody has looked at: its loops are counted, so that each ends.
    ///
    /// Fails with [`Error::Data`] if it is not WGSL, or binds what cannot be given to it: says where and what.
    pub fn of_reader(name: &str, text: &str) -> Result<Self> {
        let arrays = declared(name, text, &parsed(name, text)?)?;
        let bounded = bounded(text, arrays.len());
        // What the text lives for is the process: kernels are known by names and texts that stay.
        let (name, text): (&'static str, &'static str) = (name.to_string().leak(), bounded.leak());
        Self::new(name, text, &parsed(name, text)?, arrays, true)
    }

    fn new(
        name: &'static str,
        text: &'static str,
        module: &Module,
        arrays: Vec<DeclaredArray>,
        is_bounded: bool,
    ) -> Result<Self> {
        let workgroup = workgroup(name, module)?;
        let mut bindings: Vec<Binding> = Vec::new();
        for array in &arrays {
            let access = if array.is_written { Access::ReadWrite } else { Access::Read };
            bindings.push(Binding::new(array.name.clone().leak(), access));
        }
        if is_bounded {
            bindings.push(Binding::new(CUT, Access::ReadWrite));
        }
        let bindings = bindings.leak();
        let shader = Box::leak(Box::new(Shader { name, source: text, bindings, parameters: None, constants: &[] }));
        Ok(Self { shader, arrays, workgroup, is_bounded })
    }

    /// Compiles it. Behind its arrays a bounded program is bound to one word, which is not 0 after a launch that cut a loop.
    ///
    /// Fails with [`Error::Data`] if the device refuses the text, or as [`Kernel::new`] does.
    pub fn compile(&self, gpu: &Gpu) -> Result<Arc<Kernel>> {
        let kernel =
            if self.is_bounded { Kernel::checked(gpu, self.shader) } else { Kernel::new(gpu, self.shader, &[]) };
        kernel.map_err(|error| match error {
            Error::Shape(said) => {
                let device = &gpu.description().name;
                Error::Data(format!(
                    "{}: {device} refuses this shader: {said}; ask for less, or for another --device",
                    self.shader.name
                ))
            }
            other => other,
        })
    }

    /// Whether it binds an array of this name that it may write.
    pub fn writes(&self, array: &str) -> bool {
        self.arrays.iter().any(|declared| declared.name == array && declared.is_written)
    }

    /// What the first word of an element of an array stands for.
    pub fn number(&self, array: &str) -> Number {
        let declared = self.arrays.iter().find(|declared| declared.name == array);
        declared.and_then(|declared| declared.element.first().copied()).unwrap_or(Number::Unsigned)
    }

    /// Name that it was read under.
    pub fn name(&self) -> &'static str {
        self.shader.name
    }
}

/// The module of a text, found valid.
fn parsed(name: &str, text: &str) -> Result<Module> {
    let complaint = |place: Option<SourceLocation>, said: &str, more: &str| {
        let place = place.map_or(String::new(), |place| {
            let line = text.lines().nth(place.line_number.saturating_sub(1) as usize).unwrap_or_default().trim();
            let line = if line.is_empty() { String::new() } else { format!(" (`{line}`)") };
            format!(" line {}, column {}{line}:", place.line_number, place.line_position)
        });
        let more = if said.contains(more) { String::new() } else { format!(": {more}") };
        Error::Data(format!("{name}:{place} {said}{more}; correct the text and try again"))
    };
    let module = wgsl::parse_str(text).map_err(|error| {
        let hints: Vec<&str> = error.labels().map(|(_, label)| label).filter(|label| !label.is_empty()).collect();
        complaint(error.location(text), error.message(), &hints.join(", "))
    })?;
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::SUBGROUP | Capabilities::SUBGROUP_BARRIER);
    validator.subgroup_stages(ShaderStages::COMPUTE).subgroup_operations(SubgroupOperationSet::all());
    validator.validate(&module).map_err(|error| {
        // The chain of causes says more than its head.
        let mut causes = Vec::new();
        let mut cause = std::error::Error::source(error.as_inner());
        while let Some(next) = cause {
            causes.push(next.to_string());
            cause = next.source();
        }
        complaint(error.location(text), &error.as_inner().to_string(), &causes.join(": "))
    })?;
    Ok(module)
}

/// Invocations of a workgroup of the only entry point, `main`.
fn workgroup(name: &str, module: &Module) -> Result<[u32; 3]> {
    match module.entry_points.as_slice() {
        [entry] if entry.stage == ShaderStage::Compute && entry.name == "main" => {
            if entry.workgroup_size_overrides.is_some() || !module.overrides.is_empty() {
                return Err(Error::Data(format!("{name} has override constants; write const in their place")));
            }
            Ok(entry.workgroup_size)
        }
        _ => Err(Error::Data(format!(
            "{name} needs one entry point `@compute @workgroup_size(64) fn main(..)`, and has {}",
            match module.entry_points.len() {
                0 => "none".to_string(),
                _ => module.entry_points.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>().join(", "),
            }
        ))),
    }
}

/// The arrays of a module in the order of their bindings.
fn declared(name: &str, text: &str, module: &Module) -> Result<Vec<DeclaredArray>> {
    let mut arrays = Vec::new();
    for (handle, variable) in module.global_variables.iter() {
        let Some(binding) = variable.binding else { continue };
        let place = module.global_variables.get_span(handle).location(text).line_number;
        let own = variable.name.clone().unwrap_or_default();
        let AddressSpace::Storage { access } = variable.space else {
            return Err(Error::Data(format!(
                "{name}: line {place}: `{own}` must be var<storage, read> or var<storage, read_write>: nothing else is bound here"
            )));
        };
        if binding.group != 0 {
            return Err(Error::Data(format!(
                "{name}: line {place}: `{own}` is in group {}; use @group(0)",
                binding.group
            )));
        }
        let is_written = access.contains(StorageAccess::STORE);
        arrays.push((binding.binding, DeclaredArray { name: own, is_written, element: element(module, variable) }));
    }
    arrays.sort_by_key(|(binding, _)| *binding);
    if let Some((expected, (found, array))) = (0..).zip(&arrays).find(|(expected, (found, _))| expected != found) {
        return Err(Error::Data(format!(
            "{name}: `{}` is at @binding({found}) where {expected} is next; number the bindings 0, 1, 2, ..",
            array.name
        )));
    }
    Ok(arrays.into_iter().map(|(_, array)| array).collect())
}

/// What the words of an element of a variable stand for: of an array one of its elements, else all of it.
fn element(module: &Module, variable: &GlobalVariable) -> Vec<Number> {
    match module.types[variable.ty].inner {
        TypeInner::Array { base, stride, .. } => padded(words(module, base), stride),
        _ => words(module, variable.ty),
    }
}

fn padded(mut words: Vec<Number>, bytes: u32) -> Vec<Number> {
    words.resize((bytes / 4) as usize, Number::Padding);
    words
}

/// The words of a type; of an array at the end of a structure one element.
fn words(module: &Module, kind: Handle<Type>) -> Vec<Number> {
    let number = |kind: ScalarKind| match kind {
        ScalarKind::Float | ScalarKind::AbstractFloat => Number::Float,
        ScalarKind::Sint | ScalarKind::AbstractInt => Number::Signed,
        ScalarKind::Uint | ScalarKind::Bool => Number::Unsigned,
    };
    match &module.types[kind].inner {
        TypeInner::Scalar(scalar) | TypeInner::Atomic(scalar) => vec![number(scalar.kind)],
        TypeInner::Vector { size, scalar } => vec![number(scalar.kind); *size as usize],
        TypeInner::Matrix { columns, rows, scalar } => {
            let column = padded(vec![number(scalar.kind); *rows as usize], if *rows as u32 == 2 { 8 } else { 16 });
            column.repeat(*columns as usize)
        }
        TypeInner::Array { base, size, stride } => {
            let times = if let ArraySize::Constant(times) = size { times.get() as usize } else { 1 };
            padded(words(module, *base), *stride).repeat(times)
        }
        TypeInner::Struct { members, span } => {
            let mut all = Vec::new();
            for member in members {
                all = padded(all, member.offset);
                all.extend(words(module, member.ty));
            }
            let bytes = (*span).max(4 * all.len() as u32);
            padded(all, bytes)
        }
        _ => Vec::new(),
    }
}

/// The same text, line by line, with every loop counted and left behind [`MOST_ROUNDS`] rounds: then a word behind its
/// `arrays` says so.
fn bounded(text: &str, arrays: usize) -> String {
    const ROUNDS: &str = "holdfast_rounds";
    let count = format!(" if ({ROUNDS} >= {MOST_ROUNDS}u) {{ {CUT} = 1u; break; }} {ROUNDS}++; ");
    let mut result = String::with_capacity(2 * text.len());
    let (mut depth, mut comments, mut in_line) = (0, 0, false);
    // How deep in parentheses the head of a loop began, until its body is found.
    let mut head = None;
    let mut word = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        result.push(character);
        let next = characters.peek().copied();
        if in_line {
            in_line = character != '\n';
            continue;
        }
        match (character, next) {
            ('/', Some('*')) => comments += 1,
            ('*', Some('/')) if comments > 0 => {
                comments -= 1;
                result.extend(characters.next());
                continue;
            }
            ('/', Some('/')) if comments == 0 => in_line = true,
            _ => {}
        }
        if comments > 0 || in_line {
            continue;
        }
        if character.is_alphanumeric() || character == '_' {
            word.push(character);
            continue;
        }
        if ["for", "while", "loop"].contains(&word.as_str()) {
            head = Some(depth);
        }
        word.clear();
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            '{' if head == Some(depth) => {
                result.push_str(&count);
                head = None;
            }
            _ => {}
        }
    }
    result
        + &format!("\nvar<private> {ROUNDS}: u32;\n@group(0) @binding({arrays}) var<storage, read_write> {CUT}: u32;\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "@group(0) @binding(0) var<storage, read> x: array<vec3f>;
        @group(0) @binding(1) var<storage, read_write> y: array<atomic<u32>>;
        @compute @workgroup_size(8, 2) fn main(@builtin(global_invocation_id) id: vec3u) ";

    fn read(body: &str) -> Result<Program> {
        Program::of_reader("own.wgsl", &format!("{HEAD}{body}"))
    }

    #[test]
    fn what_a_text_binds_is_read_from_it() {
        let program = read("{ atomicAdd(&y[id.x], u32(x[id.y].z)); }").unwrap();
        assert_eq!(program.workgroup, [8, 2, 1]);
        let float = Number::Float;
        let arrays = [
            DeclaredArray { name: "x".into(), is_written: false, element: vec![float, float, float, Number::Padding] },
            DeclaredArray { name: "y".into(), is_written: true, element: vec![Number::Unsigned] },
        ];
        assert_eq!(program.arrays, arrays);
    }

    #[test]
    fn a_text_that_cannot_run_is_refused_with_its_line_and_what_to_do() {
        let refused = |body: &str, words: &[&str]| {
            let error = read(body).map(|_| ()).unwrap_err();
            assert_eq!(error.exit_code(), 5);
            words.iter().for_each(|word| assert!(error.to_string().contains(word), "{word} is not in {error}"));
        };
        refused("{ y[id.x] = 1 }", &["own.wgsl: line 3", "column"]);
        refused("{ let z = missing; }", &["missing", "line 3", "try again"]);
        let other = |text: &str, word: &str| {
            let error = Program::of_reader("own.wgsl", text).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(word), "{word} is not in {error}");
        };
        other("fn main() {}", "one entry point");
        other(
            "@group(0) @binding(1) var<storage> a: array<u32>; @compute @workgroup_size(1) fn main() {}",
            "is at @binding(1)",
        );
        other(
            "@group(0) @binding(0) var<uniform> a: u32; @compute @workgroup_size(1) fn main() {}",
            "`a` must be var<storage",
        );
        other("override N: u32 = 1; @compute @workgroup_size(1) fn main() { let n = N; }", "override");
    }

    #[test]
    fn every_loop_is_counted_and_no_other_brace() {
        let counted = |text: &str| bounded(text, 1).matches("break; }").count();
        assert_eq!(counted("for (var i = f(vec2u(1)); i < 3; i++) { if (a) { b(); } }"), 1);
        assert_eq!(counted("while (a < f(b)) { loop { for (;;) { } } }"), 3);
        assert_eq!(counted("// for (;;) {\n/* while /* loop { */ loop { */ fn forward() { } let whileish = 1; { }"), 0);
        let text = "loop {\n break;\n}\n";
        assert_eq!(bounded(text, 0).lines().take(3).count(), 3);
        assert!(bounded(text, 0).lines().nth(1) == Some(" break;"), "lines keep their numbers");
        assert!(read("{ loop { if (id.x > 3u) { break; } } }").is_ok());
    }
}
