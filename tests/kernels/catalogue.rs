//! What Rust believes about the shaders is what they say: proven by reflection.

mod indices;

use holdfast::cpu::{adam, mask};
use holdfast::gpu::{Access, Shader};
use holdfast::kernels::catalogue::{SHADERS, SHARED};
use holdfast::kernels::dense_stack::STRUCTURES;
use holdfast::kernels::mask::Change;
use holdfast::kernels::{Step, WORKGROUP_SIZES};
use naga::proc::IndexableLength;
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Expression, Literal, Module, ShaderStage, StorageAccess, TypeInner};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn module(shader: &Shader) -> Module {
    naga::front::wgsl::parse_str(shader.source).unwrap_or_else(|error| panic!("{}: {error}", shader.name))
}

/// `family.kernel` of every file under `shaders/`, preludes left out.
fn files() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for family in std::fs::read_dir("shaders").unwrap() {
        let family = family.unwrap().path();
        for file in std::fs::read_dir(&family).unwrap() {
            let file = file.unwrap().path();
            assert_eq!(file.extension().unwrap(), "wgsl", "{}", file.display());
            let stem = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_string();
            if stem(&family) != "prelude" {
                names.insert(format!("{}.{}", stem(&family), stem(&file)));
            }
        }
    }
    names
}

#[test]
fn every_shader_is_in_the_catalogue_and_back() {
    let listed: BTreeSet<String> = SHADERS.iter().map(|shader| shader.name.to_string()).collect();
    assert_eq!(listed.len(), SHADERS.len(), "a name is listed twice");
    assert_eq!(listed, files());
}

#[test]
fn a_name_is_the_path_of_the_shader_that_is_compiled_and_its_header_names_the_preludes() {
    for shader in SHADERS {
        let text = std::fs::read_to_string(format!("shaders/{}.wgsl", shader.name.replace('.', "/"))).unwrap();
        let header = text.lines().take_while(|line| line.starts_with("//"));
        let with: Vec<&str> = header.filter_map(|line| line.strip_prefix("// with: ")).collect();
        assert!(with.len() <= 1, "{}: preludes are named twice", shader.name);
        let preludes = with.iter().flat_map(|with| with.split(", "));
        let read = |prelude| std::fs::read_to_string(format!("shaders/prelude/{prelude}.wgsl")).unwrap();
        let joined = preludes.map(read).collect::<String>() + &text;
        assert!(shader.source == joined, "{}: what is compiled is not what its header names", shader.name);
        assert!(text.starts_with(&format!("// {}: ", shader.name)), "{}: header", shader.name);
    }
}

#[test]
fn a_family_begins_with_its_naive_kernel() {
    let family = |shader: &Shader| shader.name.split('.').next();
    for kernels in SHADERS.chunk_by(|one, next| family(one) == family(next)) {
        let first = kernels[0].name;
        assert!(first.ends_with(".naive"), "{first}");
    }
}

fn check_entry_point(shader: &Shader) {
    let module = module(shader);
    let entries: Vec<_> = module.entry_points.iter().map(|entry| (entry.name.as_str(), entry.stage)).collect();
    assert_eq!(entries, [("main", ShaderStage::Compute)], "{}", shader.name);
}

#[test]
fn there_is_one_entry_point_main() {
    for shader in SHADERS {
        check_entry_point(shader);
    }
}

fn check_bindings(shader: &Shader) {
    let mut found = Vec::new();
    for (_, variable) in module(shader).global_variables.iter() {
        if let Some(binding) = &variable.binding {
            assert_eq!(binding.group, 0, "{}", shader.name);
            let AddressSpace::Storage { access } = variable.space else {
                panic!("{}: {:?} is not in storage", shader.name, variable.name)
            };
            found.push((binding.binding, variable.name.clone().unwrap(), access.contains(StorageAccess::STORE)));
        }
    }
    found.sort();
    let declared: Vec<_> = (0..)
        .zip(shader.bindings)
        .map(|(index, binding)| (index, binding.name.to_string(), binding.access == Access::ReadWrite))
        .collect();
    assert_eq!(found, declared, "{}", shader.name);
    assert!(found.len() <= 8, "{}: WebGPU promises 8 storage buffers", shader.name);
    for binding in shader.bindings {
        let record = ["step", "launch"].contains(&binding.name);
        assert_eq!(binding.access == Access::ReadRecord, record, "{}", shader.name);
    }
}

#[test]
fn bindings_are_as_declared_and_within_the_limits() {
    for shader in SHADERS {
        check_bindings(shader);
    }
}

/// Fields with their offsets, and the size, of a structure.
fn structure(module: &Module, name: &str) -> Option<(Vec<(String, usize)>, usize)> {
    module.types.iter().find(|(_, kind)| kind.name.as_deref() == Some(name)).map(|(_, kind)| {
        let TypeInner::Struct { members, span } = &kind.inner else { panic!("{name} is not a structure") };
        let fields = members.iter().map(|member| (member.name.clone().unwrap(), member.offset as usize)).collect();
        (fields, *span as usize)
    })
}

fn declared(parameters: holdfast::gpu::Parameters) -> (Vec<(String, usize)>, usize) {
    (parameters.fields.iter().map(|field| (field.name.to_string(), field.offset)).collect(), parameters.size)
}

fn check_parameters(shader: &Shader) {
    let module = module(shader);
    assert_eq!(structure(&module, "Params"), shader.parameters.map(declared), "{}", shader.name);
    let binds = |name: &str| shader.bindings.iter().any(|binding| binding.name == name);
    if binds("step") {
        assert_eq!(structure(&module, "Step"), Some(declared(Step::PARAMETERS)), "{}", shader.name);
    }
    if binds("changes") {
        assert_eq!(structure(&module, "Change"), Some(declared(Change::PARAMETERS)), "{}", shader.name);
    }
    if binds("launch") {
        let [(head, start), others @ ..] = STRUCTURES;
        let (mut fields, _) = structure(&module, head).unwrap();
        assert_eq!(fields.pop(), Some(("samples".to_string(), start.size)), "{}", shader.name);
        assert_eq!(fields, declared(start).0, "{}", shader.name);
        for (name, expected) in others {
            assert_eq!(structure(&module, name), Some(declared(expected)), "{}: {name}", shader.name);
        }
    }
}

#[test]
fn params_have_equal_fields_offsets_and_size_in_both_languages() {
    for shader in SHADERS {
        check_parameters(shader);
    }
}

fn check_constants(shader: &Shader) {
    let module = module(shader);
    // Sizes that are computed from them are constants without a name.
    let found: BTreeSet<_> = module.overrides.iter().filter_map(|(_, constant)| constant.name.as_deref()).collect();
    assert!(module.overrides.iter().all(|(_, constant)| constant.init.is_some()), "{}: a default", shader.name);
    assert_eq!(found, shader.constants.iter().copied().collect(), "{}", shader.name);
}

#[test]
fn override_constants_are_as_declared() {
    for shader in SHADERS {
        check_constants(shader);
    }
}

/// Constants that no wrapper needs to know: of arithmetic, of the representation of numbers, and those that follow from
/// others of the same shader.
const OWN: [&str; 10] = [
    "PHILOX_MULTIPLIER_0",
    "PHILOX_MULTIPLIER_1",
    "PHILOX_KEY_INCREMENT",
    "CENTRAL_PROBABILITY",
    "CENTRE",
    "ONE_MINUS_BETA1",
    "ONE_MINUS_BETA2",
    "NEGATIVE_ZERO",
    "POSITIVE_INFINITY",
    "TILES",
];

/// Constants of the twins.
const TWINS: [(&str, f64); 6] = [
    ("BETA1", adam::BETA1),
    ("BETA2", adam::BETA2),
    ("EPSILON", adam::EPSILON),
    ("PRUNED", mask::PRUNED as f64),
    ("KEPT", mask::KEPT as f64),
    ("DECAYING", mask::DECAYING as f64),
];

/// What the host takes a constant of a shader for: one value, or nothing.
fn on_the_host(shader: &Shader, name: &str) -> Option<f64> {
    let shared = SHARED.iter().find(|(shaders, shared, _)| {
        *shared == name && (shaders.is_empty() || shaders.iter().any(|other| other.name == shader.name))
    });
    let twin = || TWINS.iter().find(|(twin, _)| *twin == name).map(|&(_, value)| value);
    shared.map(|&(.., value)| value as f64).or_else(twin)
}

/// Names and values of a shader's constants; no value for those that are no single number.
fn constants(module: &Module) -> BTreeMap<String, Option<f64>> {
    let value = |init| match module.global_expressions[init] {
        Expression::Literal(Literal::U32(value)) => Some(f64::from(value)),
        Expression::Literal(Literal::F32(value)) => Some(f64::from(value)),
        _ => None,
    };
    module.constants.iter().filter_map(|(_, constant)| Some((constant.name.clone()?, value(constant.init)))).collect()
}

fn check_shared_constants(shader: &Shader) {
    for (name, value) in constants(&module(shader)) {
        match on_the_host(shader, &name) {
            Some(expected) => {
                let value = value.unwrap_or_else(|| panic!("{}: {name} is no number", shader.name));
                assert!(value == expected || value == f64::from(expected as f32), "{}: {name} is {value}", shader.name);
            }
            None => assert!(OWN.contains(&name.as_str()), "{}: nobody has said whose {name} is", shader.name),
        }
    }
}

#[test]
fn constants_have_the_values_that_the_host_takes_them_for() {
    for shader in SHADERS {
        check_shared_constants(shader);
    }
    // The lists name nothing that is not there.
    let of = |shader: &Shader| constants(&module(shader)).into_keys().collect::<BTreeSet<String>>();
    let all: BTreeSet<String> = SHADERS.iter().flat_map(|shader| of(shader)).collect();
    for (shaders, name, _) in SHARED {
        assert!(shaders.iter().all(|shader| of(shader).contains(*name)) && all.contains(*name), "{name}");
    }
    for name in OWN.into_iter().chain(TWINS.map(|(name, _)| name)) {
        assert!(all.contains(name), "{name}");
    }
}

fn check_indices(shader: &Shader) {
    let declared = shader.bindings.iter().filter(|binding| binding.indexes).map(|binding| binding.name.to_string());
    assert_eq!(indices::indexing(&module(shader)), declared.collect(), "{}", shader.name);
}

/// So these kernels keep their bounds checks.
#[test]
fn arrays_whose_numbers_become_indices_are_declared() {
    for shader in SHADERS {
        check_indices(shader);
    }
}

/// Workgroup memory with workgroups of this size, where they have a choice.
fn workgroup_memory(shader: &Shader, workgroup_size: u32) -> u32 {
    let module = module(shader);
    let info = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&module).unwrap();
    let sized = [("WORKGROUP_SIZE".to_string(), f64::from(workgroup_size))];
    let sized = sized.into_iter().filter(|(name, _)| shader.constants.contains(&name.as_str())).collect();
    let (module, _) =
        naga::back::pipeline_constants::process_overrides(&module, &info, Some((ShaderStage::Compute, "main")), &sized)
            .unwrap();
    let bytes = |ty| match module.types[ty].inner {
        TypeInner::Array { size, stride, .. } => match size.resolve(module.to_ctx()) {
            Ok(IndexableLength::Known(len)) => len * stride,
            other => panic!("{}: {other:?}", shader.name),
        },
        ref other => panic!("{}: {other:?}", shader.name),
    };
    let in_workgroup = |variable: &&naga::GlobalVariable| variable.space == AddressSpace::WorkGroup;
    let variables = module.global_variables.iter().map(|(_, variable)| variable);
    variables.filter(in_workgroup).map(|variable| bytes(variable.ty)).sum()
}

fn check_workgroup_memory(shader: &Shader) {
    for size in WORKGROUP_SIZES {
        let bytes = workgroup_memory(shader, size);
        assert!(bytes <= 16_384, "{}: {bytes} bytes of workgroup memory at {size}", shader.name);
    }
}

#[test]
fn workgroup_memory_fits_every_device() {
    for shader in SHADERS {
        check_workgroup_memory(shader);
    }
}

/// Each check finds the fault that it is there for: a shader that was changed behind Rust's back.
#[test]
fn a_shader_that_says_something_else_is_found() {
    let check_all = |shader: &Shader| {
        check_entry_point(shader);
        check_bindings(shader);
        check_parameters(shader);
        check_constants(shader);
        check_shared_constants(shader);
        check_indices(shader);
        check_workgroup_memory(shader);
    };
    let named = |name: &str| *SHADERS.iter().find(|shader| shader.name == name).unwrap();
    for (name, from, to) in [
        ("dense.forward", "fn main(", "fn start("),
        ("dense.forward", "var<storage, read_write> output", "var<storage, read> output_of_none"),
        ("dense.forward", "@binding(0)", "@binding(7)"),
        ("dense.forward", "    outputs: u32,", "    outputs_of_layer: u32,"),
        ("dense.forward", "struct Params {", "struct Params {\n    first: u32,"),
        (
            "dense.forward",
            "override WORKGROUP_SIZE: u32 = 64;",
            "override LANES: u32 = 64; const WORKGROUP_SIZE = 64u;",
        ),
        ("dense_stack.step", "    depth: u32,", "    depth_of_stack: u32,"),
        ("dense_stack.step", "    samples: u32,\n", ""),
        ("dense_stack.step", "MOST_STEPS: u32 = 64", "MOST_STEPS: u32 = 63"),
        ("focus_sweep.evaluate", "override HIDDEN: u32 = 960;", "override HIDDEN: u32 = 9600;"),
        ("dense.forward", "WORKGROUPS_PER_ROW: u32 = 32768", "WORKGROUPS_PER_ROW: u32 = 16384"),
        ("magnitude_sort.radix_scatter", "DIGITS: u32 = 16", "DIGITS: u32 = 8"),
        ("mask.smallest", "DECAYING: u32 = 2u", "DECAYING: u32 = 3u"),
        ("mask.smallest", "let r = id.z;", "let r = count[id.z];"),
    ] {
        let shader = named(name);
        check_all(shader);
        assert!(shader.source.contains(from), "{name} has no {from:?} any more");
        let changed = Shader { source: shader.source.replace(from, to).leak(), ..*shader };
        let found = std::panic::catch_unwind(|| check_all(&changed)).is_err();
        assert!(found, "{name}: {from:?} became {to:?}, and no check saw it");
    }
}
