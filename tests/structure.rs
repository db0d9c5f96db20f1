//! The house's rules, read off the source text: who may import whom, where things are said and submitted, and that every
//! kernel family stands in every module.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

#[path = "structure/circles.rs"]
mod circles;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Modules from top to bottom; each imports only modules below it. `main.rs` and `lib.rs` stand above all.
const MODULES: [&str; 25] = [
    "cli",
    "playground",
    "report",
    "study",
    "network_files",
    "results",
    "run",
    "training",
    "pruning",
    "stability",
    "lessons",
    "check",
    "lab",
    "engine",
    "kernels",
    "cpu",
    "gpu",
    "data",
    "network",
    "run_folder",
    "clock",
    "statistics",
    "numbers",
    "random",
    "error",
];

/// Imports against the order of the modules' list that are part of the plan.
const EXCEPTIONS: [(&str, &str); 2] = [("cli", "gpu"), ("cli", "kernels")];

/// A source file: its path below the repository, and its text without its tests.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let end = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
        Self { path: path.into(), text: text[..end].into() }
    }

    /// The module under `src/` that the file belongs to.
    fn module(&self) -> &str {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inner.split(['/', '.']).next().unwrap_or(inner)
    }

    /// Lines of code without comments, with their numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn sources(folder: &str, extension: &str) -> Vec<Source> {
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        Source::new(&path.to_str().unwrap().replace('\\', "/"), &text)
    };
    files(folder, extension).into_iter().map(read).collect()
}

/// Names that follow `crate::` in a text: `crate::a::b` gives a, `crate::{a, b::c}` gives a and b.
fn imported(text: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    let mut names = BTreeSet::new();
    for (place, _) in text.match_indices("crate::") {
        let rest = &text[place + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(word(rest));
            continue;
        };
        let mut depth = 1;
        let mut start = 0;
        for (end, character) in group.char_indices() {
            if depth == 1 && [',', '}'].contains(&character) {
                names.insert(word(&group[start..end]));
                start = end + 1;
            }
            depth += i32::from(character == '{') - i32::from(character == '}');
            if depth == 0 {
                break;
            }
        }
    }
    names
}

/// Modules that the file imports and must not.
fn forbidden_imports(source: &Source) -> Vec<String> {
    let module = source.module();
    let level = |name: &str| MODULES.iter().position(|module| *module == name);
    let Some(own) = level(module) else { return Vec::new() };
    let allowed = |name: &str| {
        let Some(other) = level(name) else { return true };
        let compute = ["kernels", "cpu", "gpu"].contains(&name);
        let sees_compute = match module {
            "engine" | "lab" | "check" | "lessons" => true,
            "kernels" => name == "gpu",
            _ => EXCEPTIONS.contains(&(module, name)),
        };
        other == own || other > own && (!compute || sees_compute)
    };
    imported(&source.text).into_iter().filter(|name| !allowed(name)).collect()
}

/// Lines of code that have one of `patterns`, unless the path starts with one of `places`.
fn lines_outside(source: &Source, places: &[&str], patterns: &[&str]) -> Vec<String> {
    if places.iter().any(|place| source.path.starts_with(place)) {
        return Vec::new();
    }
    let has = |line: &str| patterns.iter().any(|pattern| line.contains(pattern));
    source
        .code()
        .filter(|(_, line)| has(line))
        .map(|(number, line)| format!("{}:{number}: {line}", source.path))
        .collect()
}

fn printing_or_exiting(source: &Source) -> Vec<String> {
    let patterns = ["print!(", "println!(", "dbg!(", "process::exit", "io::stdout", "io::stderr"];
    lines_outside(source, &["src/cli/", "src/main.rs"], &patterns)
}

/// `recorder.submit()` hands a recording over; only the recorder asks the device's queue.
fn submitting(source: &Source) -> Vec<String> {
    lines_outside(source, &["src/gpu/device/recorder.rs"], &["queue.submit("])
}

fn naming_wgpu(source: &Source) -> Vec<String> {
    lines_outside(source, &["src/gpu/"], &["wgpu::", "use wgpu"])
}

/// What is wrong with the header of a shader: it must name the kernel as its path does, and have 4 to 8 lines of text beside
/// the one that names its preludes.
fn header_fault(source: &Source) -> Option<String> {
    let name = source.path.strip_prefix("shaders/")?.strip_suffix(".wgsl")?.replace('/', ".");
    let header: Vec<&str> = source.text.lines().take_while(|line| line.starts_with("//")).collect();
    let lines = header.iter().filter(|line| line.len() > 2 && !line.starts_with("// with: ")).count();
    if !header.first().is_some_and(|line| line.starts_with(&format!("// {name}: "))) {
        return Some(format!("{}: the first line is not `// {name}: ...`", source.path));
    }
    (!(4..=8).contains(&lines)).then(|| format!("{}: a header of {lines} lines", source.path))
}

/// Places where a kernel family must stand and does not.
fn missing_modules(family: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let places = ["src/kernels/F.rs", "src/cpu/F.rs", "src/check/F.rs", "docs/kernels/F.md"];
    places.iter().map(|place| place.replace('F', family)).filter(|place| !exists(place)).collect()
}

fn assert_clean(found: Vec<String>) {
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn modules_import_only_modules_below_them() {
    let fault = |source: &Source| {
        forbidden_imports(source).into_iter().map(|name| format!("{} imports {name}", source.path)).collect::<Vec<_>>()
    };
    assert_clean(sources("src", "rs").iter().flat_map(fault).collect());
}

#[test]
fn files_use_each_other_in_no_circle() {
    let sources = sources("src", "rs");
    let files = sources.iter().filter(|source| source.path != "src/main.rs");
    let found = circles::circles(files.map(|source| (source.path.trim_start_matches("src/"), source.text.as_str())));
    assert_clean(found.iter().map(|circle| circle.join(", ")).collect());
}

#[test]
fn every_module_is_in_the_list() {
    for source in sources("src", "rs") {
        let module = source.module();
        assert!(MODULES.contains(&module) || ["main", "lib"].contains(&module), "{}", source.path);
    }
}

#[test]
fn only_the_command_line_prints_and_exits() {
    assert_clean(sources("src", "rs").iter().flat_map(printing_or_exiting).collect());
}

#[test]
fn only_the_recorder_submits() {
    assert_clean(sources("src", "rs").iter().flat_map(submitting).collect());
}

#[test]
fn only_the_gpu_module_names_wgpu() {
    assert_clean(sources("src", "rs").iter().flat_map(naming_wgpu).collect());
}

#[test]
fn every_shader_has_its_header() {
    assert_clean(sources("shaders", "wgsl").iter().filter_map(header_fault).collect());
}

/// Lines in which a shift and an operator on bits stand beside each other without brackets: browsers refuse it, naga takes it.
fn shifts_without_brackets(path: &str, text: &str) -> Vec<String> {
    let spaced = |letter: char| if "(),;".contains(letter) { format!(" {letter} ") } else { letter.to_string() };
    let is_mixed = |line: &&str| {
        // What stands at each depth of brackets: a shift, and an operator on bits.
        let mut open = vec![[false; 2]];
        let mut mixed = false;
        for word in
            line.split("//").next().unwrap_or_default().chars().map(spaced).collect::<String>().split_whitespace()
        {
            let [shift, bits] = [matches!(word, ">>" | "<<"), matches!(word, "&" | "|" | "^")];
            match word {
                "(" => open.push([false; 2]),
                ")" if open.len() > 1 => {
                    open.pop();
                }
                _ => {}
            }
            if let Some(here) = open.last_mut() {
                *here = if matches!(word, "," | ";" | "&&" | "||") {
                    [false; 2]
                } else {
                    [here[0] | shift, here[1] | bits]
                };
                mixed |= *here == [true; 2];
            }
        }
        mixed
    };
    text.lines().filter(is_mixed).map(|line| format!("{path}: {}", line.trim())).collect()
}

#[test]
fn a_shift_beside_an_operator_on_bits_has_brackets() {
    let all = ["shaders", "lessons"].map(|folder| files(folder, "wgsl")).concat();
    assert!(all.len() > 100, "{}", all.len());
    let found =
        |path: &PathBuf| shifts_without_brackets(&path.display().to_string(), &std::fs::read_to_string(path).unwrap());
    assert_clean(all.iter().flat_map(found).collect());
}

#[test]
fn every_kernel_family_stands_in_every_module() {
    let families: BTreeSet<String> = files("shaders", "wgsl")
        .iter()
        .filter_map(|path| path.parent()?.file_name()?.to_str().map(str::to_string))
        .filter(|family| family != "prelude")
        .collect();
    assert!(!families.is_empty());
    assert_clean(
        families.iter().flat_map(|family| missing_modules(family, |place| Path::new(place).exists())).collect(),
    );
}

/// Pages that the book's list of chapters names.
fn chapters() -> BTreeSet<String> {
    let summary = std::fs::read_to_string("docs/SUMMARY.md").unwrap();
    let links = summary.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    links.filter(|link| !link.is_empty()).map(|link| format!("docs/{link}")).collect()
}

#[test]
fn every_page_is_in_the_book_and_every_chapter_is_there() {
    let pages: BTreeSet<String> =
        files("docs", "md").iter().map(|path| path.to_str().unwrap().replace('\\', "/")).collect();
    let mut expected = chapters();
    assert!(!expected.is_empty());
    expected.insert("docs/SUMMARY.md".into());
    assert_eq!(pages, expected);
}

/// Phrases that were ours and nobody else's; `docs/glossary.md` says that none is left.
const ODD: [&str; 5] = ["there and back", "behind the first", "gives out", "moves no bit", "a clock tells"];

/// Lines of a text that have one of [`ODD`], whatever the case.
fn odd_phrases(path: &str, text: &str) -> Vec<String> {
    let odd = |line: &str| ODD.iter().any(|phrase| line.to_lowercase().contains(phrase));
    (1..)
        .zip(text.lines())
        .filter(|(_, line)| odd(line))
        .map(|(number, line)| format!("{path}:{number}: {line}"))
        .collect()
}

#[test]
fn no_odd_phrase_is_left() {
    let folders = [("docs", "md"), ("lessons", "md"), ("lessons", "wgsl"), ("shaders", "wgsl"), ("src", "rs")];
    let paths = folders.iter().flat_map(|(folder, extension)| files(folder, extension));
    let paths = paths.chain(["README.md", "ARCHITECTURE.md"].map(PathBuf::from));
    let found = |path: PathBuf| odd_phrases(&path.display().to_string(), &std::fs::read_to_string(&path).unwrap());
    assert_clean(paths.flat_map(found).collect());
}

/// Constants that a picture says it was drawn from, `PATH NAME=VALUE`, and that its shader has otherwise by now.
fn stale_sizes(picture: &str, read: impl Fn(&str) -> String) -> Vec<String> {
    let said = picture.split("<desc>").nth(1).and_then(|rest| rest.split("</desc>").next()).unwrap_or_default();
    let is_stale = |source: &&str| {
        let (path, constant) = source.split_once(' ').unwrap_or_default();
        let (name, value) = constant.split_once('=').unwrap_or_default();
        let text = read(path);
        let holds = |kind: &str| {
            let start = format!("{kind} {name}: u32 = {value}");
            text.lines().any(|line| line.strip_prefix(&start).is_some_and(|rest| rest.starts_with(['u', ';'])))
        };
        !holds("const") && !holds("override")
    };
    said.split("; ").filter(|source| !source.is_empty()).filter(is_stale).map(String::from).collect()
}

#[test]
fn pictures_are_drawn_from_the_shaders_constants() {
    let pictures = files("docs/pictures", "svg");
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    assert_clean(pictures.iter().flat_map(|path| stale_sizes(&read(path.to_str().unwrap()), read)).collect());
    assert!(!pictures.is_empty(), "docs/pictures/make.py draws them");
}

/// What a lesson lacks of the plan that all have.
fn missing_parts(lesson: &str) -> Vec<&'static str> {
    let parts = [
        "## The question",
        "## The formula",
        "## The naive kernel",
        "## Steps",
        "## Who owns what",
        "## What bounds it",
    ];
    let mut missing: Vec<&str> = parts.into_iter().filter(|part| !lesson.contains(&format!("\n{part}\n"))).collect();
    let exercises = lesson.split("\n## Exercises\n").nth(1).unwrap_or_default();
    if exercises.lines().filter(|line| line.starts_with(['1', '2', '3'])).count() != 3 {
        missing.push("three exercises");
    }
    if !lesson.contains("By hand") {
        missing.push("a number worked by hand");
    }
    if !lesson.contains("](../pictures/") {
        missing.push("a picture");
    }
    missing
}

#[test]
fn every_lesson_has_the_plan_of_all() {
    let missing = |path: PathBuf| {
        let parts = missing_parts(&std::fs::read_to_string(&path).unwrap());
        parts.into_iter().map(move |part| format!("{}: {part}", path.display()))
    };
    assert_clean(files("docs/kernels", "md").into_iter().flat_map(missing).collect());
}

/// What a link may name in a page: its headings, in the way of GitHub and mdBook. `None` where there is no such file.
fn headings(path: &Path) -> Option<BTreeSet<String>> {
    if path.extension().is_none_or(|extension| extension != "md") {
        return path.exists().then(BTreeSet::new);
    }
    let text = std::fs::read_to_string(path).ok()?;
    let prose = text.split("```").step_by(2).flat_map(str::lines).filter(|line| line.starts_with('#'));
    let is_kept = |letter: &char| letter.is_alphanumeric() || ['-', '_', ' '].contains(letter);
    let name = |line: &str| line.trim_start_matches('#').trim().to_lowercase().chars().filter(is_kept).collect();
    Some(
        prose
            .map(|line| {
                let name: String = name(line);
                name.replace(' ', "-")
            })
            .collect(),
    )
}

/// Links of a page that lead to no file, to no heading of a page, or from a page of the book out of it.
fn lost_links(page: &Path, text: &str, headings: impl Fn(&Path) -> Option<BTreeSet<String>>) -> Vec<String> {
    let prose = text.split("```").step_by(2);
    let links = prose.flat_map(|part| part.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
    let depth = page.components().count().saturating_sub(2);
    let leads = |link: &str| {
        let (path, heading) = link.split_once('#').unwrap_or((link, ""));
        let target = if path.is_empty() { page.to_path_buf() } else { page.with_file_name("").join(path) };
        path.matches("../").count() <= depth
            && headings(&target).is_some_and(|names| heading.is_empty() || names.contains(heading))
    };
    let lost = links.filter(|link| !link.is_empty() && !link.contains("://") && !leads(link));
    lost.map(|link| format!("{}: {link}", page.display())).collect()
}

#[test]
fn links_of_pages_lead_to_files_and_headings_and_those_of_the_book_into_the_book() {
    let others = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "datasets/README.md"].map(PathBuf::from);
    let lost = |page: PathBuf| lost_links(&page, &std::fs::read_to_string(&page).unwrap(), headings);
    assert_clean(files("docs", "md").into_iter().chain(others).flat_map(lost).collect());
}

/// Pages with blocks of code that are neither a shell's nor what was printed, and what runs these blocks as they stand.
const RUN: [(&str, &str); 8] = [
    ("README.md", "tests/interop/run.py"),
    ("docs/adding-a-kernel.md", "tests/recipe/run.py"),
    ("docs/gpu.md", "tests/kernels/lessons.rs"),
    ("docs/guide/dense-stack.md", "tests/interop/run.py"),
    ("docs/guide/keras.md", "tests/interop/run.py"),
    ("docs/guide/onnx.md", "tests/interop/run.py"),
    ("docs/guide/python.md", "python/tests/test_guide.py"),
    ("docs/guide/pytorch.md", "tests/interop/run.py"),
];

/// Whether a page has code that something must run. The commands of shells are read by `src/cli/documented.rs`.
fn has_code(page: &str) -> bool {
    let opened = page.split("\n```").skip(1).step_by(2).filter_map(|block| block.lines().next());
    opened.into_iter().any(|language| !["", "sh", "text", "mermaid"].contains(&language))
}

#[test]
fn every_page_with_code_is_run() {
    let pages = files("docs", "md").into_iter().chain(["README.md", "ARCHITECTURE.md"].map(PathBuf::from));
    let with_code = pages.filter(|page| has_code(&std::fs::read_to_string(page).unwrap()));
    let found: BTreeSet<String> = with_code.map(|page| page.to_str().unwrap().replace('\\', "/")).collect();
    assert_eq!(found, RUN.iter().map(|(page, _)| page.to_string()).collect());
    for (page, by) in RUN {
        let stem = Path::new(page).file_stem().unwrap().to_str().unwrap();
        assert!(std::fs::read_to_string(by).unwrap().contains(stem), "{by} does not name {page}");
    }
}

/// Paths of a page, between backquotes, that lead to nothing.
fn lost_paths(page: &str, exists: impl Fn(&str) -> bool) -> Vec<&str> {
    let quoted = page.split('`').skip(1).step_by(2);
    let ours = |path: &&str| ["src/", "shaders/", "tests/", "docs/"].iter().any(|folder| path.starts_with(folder));
    quoted.filter(ours).filter(|path| !exists(path)).collect()
}

#[test]
fn the_plan_of_the_house_names_what_is_there() {
    let plan = std::fs::read_to_string("ARCHITECTURE.md").unwrap();
    assert_eq!(lost_paths(&plan, |path| Path::new(path).exists()), [""; 0]);
    let unnamed: Vec<_> = MODULES.iter().filter(|module| !plan.contains(&format!("<b>{module}</b>"))).collect();
    assert!(unnamed.is_empty(), "not in the picture: {unnamed:?}");
}

#[test]
fn the_recipe_for_a_kernel_names_every_place_that_a_family_must_stand_in() {
    let recipe = std::fs::read_to_string("docs/adding-a-kernel.md").unwrap();
    let places = missing_modules("axpy", |_| false);
    let also = [
        "shaders/axpy/accumulate.wgsl",
        "src/kernels/catalogue.rs",
        "src/check/mod.rs",
        "tests/kernels/families.rs",
        "docs/SUMMARY.md",
    ];
    for place in places.iter().map(String::as_str).chain(also) {
        assert!(recipe.contains(&format!("`{place}`")), "the recipe does not name {place}");
    }
}

/// Each rule fails on what it forbids.
mod rules {
    use super::*;

    #[test]
    fn an_import_of_a_module_above_is_found() {
        let find = |path: &str, text: &str| forbidden_imports(&Source::new(path, text));
        assert_eq!(find("src/data/x.rs", "use crate::engine::Engine;"), ["engine"]);
        assert_eq!(find("src/kernels/x.rs", "use crate::cpu::adam;"), ["cpu"]);
        assert_eq!(find("src/cpu/x.rs", "fn f() { crate::kernels::g() }"), ["kernels"]);
        assert_eq!(find("src/cpu/x.rs", "use crate::gpu::Gpu;"), ["gpu"]);
        assert_eq!(find("src/training/x.rs", "use crate::{cpu::adam, data::{a, b}, gpu};"), ["cpu", "gpu"]);
        assert_eq!(find("src/random.rs", "use crate::network::Tensor;"), ["network"]);
        assert!(find("src/engine/x.rs", "use crate::{cpu, gpu::Gpu, kernels::dense, engine::Batch};").is_empty());
        assert!(find("src/cli/x.rs", "use crate::gpu::adapters;").is_empty());
        assert!(find("src/data/x.rs", "#[cfg(test)]\nmod tests { use crate::engine::Engine; }").is_empty());
    }

    #[test]
    fn a_shift_without_brackets_is_found() {
        let find = |line: &str| shifts_without_brackets("x.wgsl", line).len();
        assert_eq!(find("if ((word >> (k % 32u) & 1u) == 1u) {"), 1);
        assert_eq!(find("let a = b | c << 2u;"), 1);
        assert_eq!(find("if (((word >> (k % 32u)) & 1u) == 1u) {"), 0);
        assert_eq!(find("codes |= code << 2u; // a << b & c"), 0);
        assert_eq!(find("f(a >> 1u, b & 1u);"), 0);
    }

    #[test]
    fn printing_and_exiting_are_found() {
        let find = |path: &str, text: &str| printing_or_exiting(&Source::new(path, text)).len();
        assert_eq!(find("src/data/x.rs", "fn f() { println!(\"\"); }\neprint!(\"\");\nstd::process::exit(1);"), 3);
        assert_eq!(find("src/data/x.rs", "// println!(\"\")"), 0);
        assert_eq!(find("src/cli/x.rs", "println!(\"\");"), 0);
    }

    #[test]
    fn a_submit_outside_the_recorder_is_found() {
        let find = |path: &str, text: &str| submitting(&Source::new(path, text)).len();
        assert_eq!(find("src/gpu/device.rs", "gpu.queue.submit([encoder.finish()]);"), 1);
        assert_eq!(find("src/engine/gpu.rs", "recorder.submit()?;"), 0);
        assert_eq!(find("src/gpu/device/recorder.rs", "gpu.queue.submit([encoder.finish()]);"), 0);
    }

    #[test]
    fn a_name_of_wgpu_outside_its_module_is_found() {
        let find = |path: &str, text: &str| naming_wgpu(&Source::new(path, text)).len();
        assert_eq!(find("src/kernels/x.rs", "fn f(buffer: &wgpu::Buffer) {}"), 1);
        assert_eq!(find("src/gpu/x.rs", "fn f(buffer: &wgpu::Buffer) {}"), 0);
    }

    #[test]
    fn a_header_with_another_name_or_length_is_found() {
        let fault = |text: &str| header_fault(&Source::new("shaders/axpy/accumulate.wgsl", text)).is_some();
        assert!(!fault("// axpy.accumulate: y += a x.\n//\n// a\n// b\n// c\n\ncode"));
        assert!(fault("// axpy.other: y += a x.\n//\n// a\n// b\n// c\n"));
        assert!(fault("// axpy.accumulate: y += a x.\n// a\n"));
        assert!(fault(&format!("// axpy.accumulate: y += a x.\n{}", "// a\n".repeat(8))));
        assert!(fault("code"));
    }

    #[test]
    fn a_family_that_is_missing_in_a_module_is_found() {
        assert_eq!(missing_modules("axpy", |place| place != "src/cpu/axpy.rs"), ["src/cpu/axpy.rs"]);
        assert!(missing_modules("axpy", |_| true).is_empty());
    }
    #[test]
    fn a_path_to_nothing_is_found() {
        let page = "`src/here.rs` and `src/gone.rs`, `Gone`, `gone/x.rs`, ```mermaid\nsrc/gone.rs\n```";
        assert_eq!(lost_paths(page, |path| path == "src/here.rs"), ["src/gone.rs"]);
    }

    #[test]
    fn odd_phrases_stale_pictures_and_lessons_without_their_parts_are_found() {
        assert_eq!(odd_phrases("x", "a\nThere and back again").len(), 1);
        let read = |_: &str| "const SIDE: u32 = 32u; // of a tile\noverride LANES: u32 = 64;".to_string();
        let said = |sizes: &str| stale_sizes(&format!("<desc>{sizes}</desc>"), read).len();
        assert_eq!(
            [said(""), said("x.wgsl SIDE=32; x.wgsl LANES=64"), said("x.wgsl SIDE=3; x.wgsl LANES=16")],
            [0, 0, 2]
        );
        assert_eq!(missing_parts("# x\n\n## The question\n\n## The formula\n").len(), 7);
    }

    #[test]
    fn a_link_to_nowhere_or_out_of_the_book_is_found() {
        let names = |path: &Path| (!path.ends_with("none.md")).then(|| BTreeSet::from(["part".into()]));
        let find = |text: &str| lost_links(Path::new("docs/guide/x.md"), text, names).len();
        assert_eq!(find("[a](y.md) [b](../idea.md#part) [c](#part) [d](https://example.org)"), 0);
        assert_eq!(find("[a](none.md) [b](../../README.md) [c](y.md#gone) [d](#gone)"), 4);
        assert_eq!(find("```sh\n[a](none.md)\n```"), 0);
    }

    #[test]
    fn a_page_with_code_is_found() {
        assert!(has_code("a\n```sh\nls\n```\n```python\nx\n```\n"));
        assert!(!has_code("a\n```sh\nls\n```\n```\npython\n```\n"));
    }
}
