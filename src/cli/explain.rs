//! `holdfast explain`: a kernel's lesson, its WGSL, and what it costs here.

mod ladder;
mod running;

use super::doctor;
use super::options::{DeviceOptions, OutputOptions};
use super::output;
use crate::check::{FAMILIES, Setting};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, RequestedLimits, Shader};
use crate::kernels::catalogue::SHADERS;
use crate::lab::profile;
use crate::lessons::ladder::of_family as ladder_of;
use clap::Args;
pub(super) use ladder::any_adapter;
pub(super) use running::names as primer_names;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// The lesson of each family, in the order of a training step.
const LESSONS: &[(&str, &str)] = &[
    ("he_normal", include_str!("../../docs/kernels/he_normal.md")),
    ("conv2d", include_str!("../../docs/kernels/conv2d.md")),
    ("max_pool2d", include_str!("../../docs/kernels/max_pool2d.md")),
    ("dense", include_str!("../../docs/kernels/dense.md")),
    ("dense_stack", include_str!("../../docs/kernels/dense_stack.md")),
    ("softmax_cross_entropy", include_str!("../../docs/kernels/softmax_cross_entropy.md")),
    ("adam", include_str!("../../docs/kernels/adam.md")),
    ("mean", include_str!("../../docs/kernels/mean.md")),
    ("mask", include_str!("../../docs/kernels/mask.md")),
    ("magnitude_sort", include_str!("../../docs/kernels/magnitude_sort.md")),
    ("stability", include_str!("../../docs/kernels/stability.md")),
    ("focus_sweep", include_str!("../../docs/kernels/focus_sweep.md")),
    ("gram", include_str!("../../docs/kernels/gram.md")),
    ("surgeon", include_str!("../../docs/kernels/surgeon.md")),
];

/// What else families are called.
const ALIASES: &[(&str, &[&str])] = &[
    ("he_normal", &["init", "initialisation", "initialization", "initializer", "he", "kaiming"]),
    ("conv2d", &["convolution", "convolutions", "conv", "convolve"]),
    ("max_pool2d", &["pooling", "pool", "maxpool", "max-pooling"]),
    ("dense", &["linear", "fully-connected", "fc", "matmul", "gemm", "matrix-product", "relu"]),
    ("dense_stack", &["mlp", "stack", "fused"]),
    ("softmax_cross_entropy", &["softmax", "cross-entropy", "loss", "logits"]),
    ("adam", &["optimizer", "optimiser"]),
    ("mean", &["average", "averaging", "swa"]),
    ("mask", &["prune", "pruning", "masking"]),
    ("magnitude_sort", &["sort", "sorting", "radix", "rank", "magnitude"]),
    ("stability", &["magnitude-stability", "count", "envelope", "settle", "hold"]),
    ("focus_sweep", &["sweep", "evaluate"]),
    ("gram", &["gram-matrix", "moments", "calibration", "normal-equations"]),
    ("surgeon", &["obs", "optimal-brain-surgeon", "hold-surgeon", "paths", "refit", "hessian", "cholesky", "inverse"]),
];

/// Names this like one another are offered for one that is not known.
const ALIKE: f64 = 0.75;

/// Arguments of `explain`.
#[derive(Args)]
pub(super) struct ExplainArguments {
    /// A family such as `dense` or `convolution`, or a kernel such as `dense.forward`; without it all are listed.
    #[arg(value_name = "KERNEL")]
    kernel: Option<String>,
    /// Run WGSL, a file of yours or a name of docs/gpu.md such as `barrier`, and print the arrays that it writes.
    #[arg(long, value_name = "FILE|NAME", conflicts_with_all = ["kernel", "ladder"])]
    run: Option<String>,
    /// Climb the family's ladder on this device: from the naive kernel to the fast one, each step predicted and then measured.
    #[arg(long, requires = "kernel")]
    ladder: bool,
    /// Print the ladder as a table in Markdown.
    #[arg(long, requires = "ladder")]
    markdown: bool,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    output: OutputOptions,
}

pub(super) fn run(arguments: &ExplainArguments) -> Result<()> {
    let ExplainArguments { kernel, run, ladder, markdown, device, output: say } = arguments;
    device.validate()?;
    if let Some(text) = run {
        return running::run(text, device, say);
    }
    let Some(name) = kernel else {
        return list(say.json);
    };
    if let Some(text) = step(name)? {
        return output::result(text);
    }
    let name = &known_as(name);
    let family = name.split('.').next().unwrap_or_default();
    if *ladder {
        return ladder::run(family, *markdown, device, say);
    }
    let shaders: Vec<&Shader> = of_family(family).filter(|shader| name == family || shader.name == name).collect();
    let lesson = LESSONS.iter().find(|(known, _)| *known == family).filter(|_| !shaders.is_empty());
    let Some((_, lesson)) = lesson else {
        let mut known: Vec<&str> = of_family(family).map(|shader| shader.name).collect();
        if known.is_empty() {
            known = LESSONS.iter().map(|(family, _)| *family).collect();
        }
        let near = nearest(name).map(|near| format!("did you mean {near}? ")).unwrap_or_default();
        return Err(Error::Usage(format!("there is no kernel \"{name}\"; {near}known are {}", known.join(", "))));
    };
    let launches = match doctor::adapter(device) {
        None => None,
        Some(choice) => Some(measure(family, &Gpu::open(&choice, device.checked_shaders, RequestedLimits::Adapter)?)?),
    };
    if say.json {
        let kernels: Vec<_> = shaders
            .iter()
            .map(|shader| {
                let launch = launches.as_ref().and_then(|(_, times)| times.get(shader.name));
                json!({
                    "kernel": shader.name,
                    "bindings": shader.bindings.iter().map(|binding| binding.name).collect::<Vec<_>>(),
                    "constants": shader.constants,
                    "wgsl": shader.source,
                    "launch_ms": launch.map(|time| time.as_secs_f64() * 1e3),
                })
            })
            .collect();
        let device = launches.as_ref().map(|(device, _)| device);
        return output::json(&json!({ "family": family, "lesson": lesson, "device": device, "kernels": kernels }));
    }
    let mut text = format!("{lesson}\n");
    if name == family {
        if let Some(naive) = of_family(family).find(|shader| shader.name.ends_with(".naive")) {
            text += &format!("## Where reading begins: {}\n{}\n", naive.name, own_text(naive));
        }
        text += &format!("## Its kernels\nholdfast explain KERNEL shows their WGSL.\n\n{}\n", headers(family));
        if ladder_of(family).is_some() {
            text += &format!(
                "holdfast explain {family} --ladder climbs from the naive kernel to a fast one, step by step.\n\n"
            );
        }
    } else {
        shaders.iter().for_each(|shader| text += &format!("## WGSL of {}\n{}\n", shader.name, shader.source));
    }
    output::result(&(text + &cost(&shaders, launches)))
}

/// The name of a kernel or family that a word stands for, however it is written; the word itself if none does.
fn known_as(word: &str) -> String {
    let plain = |name: &str| name.to_lowercase().replace(['-', ' '], "_");
    let (family, rest) = word.split_once('.').map_or((word, None), |(family, rest)| (family, Some(rest)));
    let family = plain(family);
    let other = ALIASES.iter().find(|(_, others)| others.iter().any(|other| plain(other) == family));
    let is_known = LESSONS.iter().any(|(known, _)| *known == family);
    let family = other.filter(|_| !is_known).map_or(family, |(known, _)| known.to_string());
    rest.map_or(family.clone(), |rest| format!("{family}.{}", plain(rest)))
}

/// What is written most like a word, of families, kernels and other names of families.
fn nearest(word: &str) -> Option<&'static str> {
    let others = ALIASES.iter().flat_map(|(family, others)| others.iter().map(move |other| (*other, *family)));
    let own = SHADERS.iter().map(|shader| (shader.name, shader.name));
    let families = LESSONS.iter().map(|(family, _)| (*family, *family));
    nearest_of(word, families.chain(own).chain(others))
}

/// Of pairs of what may be written and what it stands for, the one that is written most like `word`, if it is near.
fn nearest_of<'a>(word: &str, all: impl Iterator<Item = (&'a str, &'a str)>) -> Option<&'a str> {
    let alike = all.map(|(written, name)| (strsim::normalized_damerau_levenshtein(word, written), name));
    let (alike, name) = alike.max_by(|one, other| one.0.total_cmp(&other.0))?;
    (alike >= ALIKE).then_some(name)
}

/// Families and kernels, for a shell to complete.
pub(super) fn names() -> Vec<&'static str> {
    LESSONS.iter().map(|(family, _)| *family).chain(SHADERS.iter().map(|shader| shader.name)).collect()
}

/// The text of a step of a ladder, `FAMILY/STEP`. Fails with [`Error::Usage`] if the ladder has no such step.
fn step(name: &str) -> Result<Option<&'static str>> {
    let Some((family, step)) = name.split_once('/') else { return Ok(None) };
    let Some(ladder) = ladder_of(&known_as(family)) else { return Ok(None) };
    let texts = || ladder.texts().map(|text| (text.name.rsplit('/').next().unwrap_or_default(), text.wgsl));
    if let Some((_, wgsl)) = texts().find(|(own, _)| *own == step) {
        return Ok(Some(wgsl));
    }
    let mut known: Vec<&str> = Vec::new();
    texts().for_each(|(own, _)| {
        if !known.contains(&own) {
            known.push(own);
        }
    });
    let family = ladder.family;
    Err(Error::Usage(format!("the ladder of {family} has no step \"{step}\"; it has {}", known.join(", "))))
}

fn of_family(family: &str) -> impl Iterator<Item = &'static Shader> {
    SHADERS.iter().copied().filter(move |shader| shader.name.split('.').next() == Some(family))
}

/// The shader without its preludes.
fn own_text(shader: &Shader) -> &'static str {
    shader.source.find(&format!("// {}: ", shader.name)).map_or(shader.source, |start| &shader.source[start..])
}

/// The first line of each kernel's header: its name and its formula.
fn headers(family: &str) -> String {
    let header = |shader: &Shader| {
        let start = format!("// {}: ", shader.name);
        let line = shader.source.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_default();
        format!("  {:<38} {line}\n", shader.name)
    };
    of_family(family).map(header).collect()
}

fn list(as_json: bool) -> Result<()> {
    if as_json {
        let kernels: BTreeMap<&str, Vec<&str>> = LESSONS
            .iter()
            .map(|(family, _)| (*family, of_family(family).map(|shader| shader.name).collect()))
            .collect();
        return output::json(&json!(kernels));
    }
    let family = |(family, lesson): &(&str, &str)| {
        let title = lesson.lines().next().unwrap_or_default().trim_start_matches("# ");
        format!("{title}\n{}", headers(family))
    };
    output::result(&LESSONS.iter().map(family).collect::<String>())
}

/// Name of the device and the slowest launch of each kernel of the family, of its check cases; compiled and warmed up.
fn measure(family: &str, gpu: &Gpu) -> Result<(String, BTreeMap<&'static str, Duration>)> {
    let mut slowest = BTreeMap::new();
    for (_, check) in FAMILIES.iter().filter(|(name, _)| *name == family) {
        let settings = Setting::every(gpu);
        check(&settings)?;
        let (_, times) = profile(gpu, || check(&settings))?;
        slowest.extend(times.into_iter().map(|(kernel, times)| (kernel, times.slowest)));
    }
    Ok((gpu.description().name.clone(), slowest))
}

fn cost(shaders: &[&Shader], launches: Option<(String, BTreeMap<&'static str, Duration>)>) -> String {
    let Some((device, times)) = launches else {
        return "## Its cost here\nNo GPU was found, and the CPU engine runs native variants of these kernels: `holdfast bench` \
                measures them. --device NAME measures the WGSL on a driver that runs in software.\n"
            .into();
    };
    let mut text = format!("## Its cost on {device}\nThe slowest launch among the cases of `holdfast doctor`:\n");
    for (kernel, time) in times.iter().filter(|(kernel, _)| shaders.iter().any(|shader| shader.name == **kernel)) {
        text += &format!("  {kernel:<38} {:.3} ms\n", time.as_secs_f64() * 1e3);
    }
    if times.is_empty() {
        text += "  not known: the device has no usable timestamps\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn families_are_found_by_what_others_call_them() {
        for (word, name) in [
            ("convolution", "conv2d"),
            ("Conv2D", "conv2d"),
            ("max-pool2d", "max_pool2d"),
            ("softmax", "softmax_cross_entropy"),
            ("linear.forward", "dense.forward"),
            ("dense", "dense"),
            ("relu", "dense"),
            ("Cholesky", "surgeon"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(known_as(word), name, "{word}");
        }
        for (word, name) in [("convolutoin", Some("conv2d")), ("dense.forwrd", Some("dense.forward")), ("xyz", None)] {
            assert_eq!(nearest(word), name, "{word}");
        }
        let families: BTreeSet<&str> = LESSONS.iter().map(|(family, _)| *family).collect();
        assert_eq!(ALIASES.iter().map(|(family, _)| *family).collect::<BTreeSet<_>>(), families);
    }

    #[test]
    fn every_family_has_its_lesson_and_its_checks() {
        let families: BTreeSet<&str> = SHADERS.iter().filter_map(|shader| shader.name.split('.').next()).collect();
        assert_eq!(LESSONS.iter().map(|(family, _)| *family).collect::<BTreeSet<_>>(), families);
        assert_eq!(FAMILIES.iter().map(|(family, _)| *family).collect::<BTreeSet<_>>(), families);
        for (family, lesson) in LESSONS {
            assert!(lesson.starts_with(&format!("# {family}: ")), "{family}");
        }
    }
}
