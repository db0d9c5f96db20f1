//! Circles between files: a file that uses another one, which by way of others uses the first.
//!
//! A file is a module. It uses the file that defines what it names, wherever a `pub use` stands in between. What lies
//! beneath a file, as `dense_stack/step.rs` beneath `dense_stack.rs`, may use what that file holds for all of them.

use std::collections::{BTreeMap, BTreeSet};

/// A path of names from the root of the crate.
type Path = Vec<String>;

/// The modules of a crate and what each of them says.
struct Modules {
    /// Names that a module gives on, and the paths that they stand for.
    given_on: BTreeMap<Path, Vec<(String, Path)>>,
    /// Paths that a module names.
    named: BTreeMap<Path, Vec<Path>>,
}

/// The path of a module by that of its file below `src/`.
fn module(file: &str) -> Path {
    let mut path: Path = file.trim_end_matches(".rs").split('/').map(String::from).collect();
    if path.last().is_some_and(|name| name == "mod") || file == "lib.rs" {
        path.pop();
    }
    path
}

/// The text without comments and without what stands in quotes.
fn code(text: &str) -> String {
    let mut code = String::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        // Escaped quotes would end a part too early.
        for (place, part) in line.replace("\\\"", "").split('"').enumerate() {
            if place % 2 == 0 {
                code += part;
            }
        }
        code.push('\n');
    }
    code
}

/// Whether a line begins a `use` that gives its names on, and what follows the word; `None` for all other lines.
fn import(line: &str) -> Option<(bool, &str)> {
    let (visibility, tree) = line.trim_start().split_once("use ")?;
    let visibility = visibility.trim_end();
    let is_public = visibility == "pub" || visibility.starts_with("pub(") && visibility.ends_with(')');
    (is_public || visibility.is_empty()).then_some((is_public, tree))
}

/// The leaves of a `use`: paths, and what each is called.
fn leaves(tree: &str, before: &[String], found: &mut Vec<(Path, String)>) {
    let names = |text: &str| -> Path { text.split("::").map(|name| name.trim().to_string()).collect() };
    let tree = tree.trim();
    if let Some((head, rest)) = tree.split_once('{') {
        let head = names(head.trim().trim_end_matches("::"));
        let path: Path = before.iter().cloned().chain(head.into_iter().filter(|name| !name.is_empty())).collect();
        let (mut depth, mut start) = (0, 0);
        let inner = rest.trim_end().trim_end_matches('}');
        for (place, character) in inner.char_indices().chain([(inner.len(), ',')]) {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    leaves(&inner[start..place], &path, found);
                    start = place + 1;
                }
                _ => {}
            }
        }
    } else if !tree.is_empty() {
        let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias)));
        let path: Path = before.iter().cloned().chain(names(path)).collect();
        let called = alias.or(path.last().map(String::as_str)).unwrap_or_default().to_string();
        found.push((path, called));
    }
}

/// A path as it stands in `module`, from the root of the crate; `None` if it leads elsewhere.
fn from_root(module: &[String], path: &[String], is_module: impl Fn(&[String]) -> bool) -> Option<Path> {
    let above = path.iter().take_while(|name| *name == "super").count();
    let (start, rest): (&[String], &[String]) = match path.first()?.as_str() {
        "crate" => (&[], &path[1..]),
        "self" => (module, &path[1..]),
        "super" => (&module[..module.len().checked_sub(above)?], &path[above..]),
        first if is_module(&[module, &[first.to_string()]].concat()) => (module, path),
        _ => return None,
    };
    Some(start.iter().chain(rest).filter(|name| *name != "self" && *name != "*").cloned().collect())
}

/// Paths of at least two names in a text.
fn paths(text: &str) -> impl Iterator<Item = Path> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == ':';
    let words = text.split(move |character| !is_part(character)).filter(|word| word.contains("::"));
    words.map(|word| word.split("::").take_while(|name| !name.is_empty()).map(String::from).collect())
}

impl Modules {
    fn new<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let texts: BTreeMap<Path, String> = files.map(|(file, text)| (module(file), code(text))).collect();
        let is_module = |path: &[String]| texts.contains_key(path);
        let (mut given_on, mut named) = (BTreeMap::new(), BTreeMap::new());
        for (module, text) in &texts {
            let (mut given, mut uses) = (Vec::new(), Vec::new());
            let mut lines = text.lines();
            while let Some(line) = lines.next() {
                let Some((is_public, start)) = import(line) else {
                    uses.extend(paths(line).filter_map(|path| from_root(module, &path, is_module)));
                    continue;
                };
                let mut tree = start.to_string();
                while !tree.contains(';') {
                    tree += lines.next().unwrap_or(";");
                }
                let mut found = Vec::new();
                leaves(tree.trim_end_matches(';'), &[], &mut found);
                for (path, called) in found {
                    let Some(path) = from_root(module, &path, is_module) else { continue };
                    if is_public { given.push((called, path)) } else { uses.push(path) }
                }
            }
            given_on.insert(module.clone(), given);
            named.insert(module.clone(), uses);
        }
        Self { given_on, named }
    }

    /// The module that defines what a path leads to.
    fn defines(&self, path: &[String]) -> Path {
        let length = (0..=path.len()).rev().find(|&length| self.named.contains_key(&path[..length])).unwrap_or(0);
        let (module, rest) = path.split_at(length);
        let given = rest.first().and_then(|name| self.given_on.get(module)?.iter().find(|(called, _)| called == name));
        match given {
            Some((_, elsewhere)) if elsewhere != path => self.defines(&[elsewhere, &rest[1..]].concat()),
            _ => module.to_vec(),
        }
    }

    /// The modules that each of them uses, those above it left out.
    fn uses(&self) -> BTreeMap<Path, BTreeSet<Path>> {
        let used = |(module, named): (&Path, &Vec<Path>)| {
            let used = named.iter().map(|path| self.defines(path)).filter(|other| !module.starts_with(other)).collect();
            (module.clone(), used)
        };
        self.named.iter().map(used).collect()
    }
}

/// The modules that `from` leads to.
fn reached<'a>(uses: &'a BTreeMap<Path, BTreeSet<Path>>, from: &'a Path) -> BTreeSet<&'a Path> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(module) = open.pop() {
        open.extend(uses.get(module).into_iter().flatten().filter(|other| reached.insert(*other)));
    }
    reached
}

/// All circles of the files (path below `src/`, text without tests): the modules of each, in order.
pub fn circles<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Vec<String>> {
    let uses = Modules::new(files).uses();
    let reached: BTreeMap<&Path, BTreeSet<&Path>> =
        uses.keys().map(|module| (module, reached(&uses, module))).collect();
    let circle = |module: &Path| -> Vec<String> {
        let together =
            reached[module].iter().filter(|other| reached.get(**other).is_some_and(|back| back.contains(module)));
        together.map(|other| other.join("::")).collect()
    };
    let all: BTreeSet<Vec<String>> = uses.keys().map(circle).filter(|circle| circle.len() > 1).collect();
    all.into_iter().collect()
}

/// The rule fails on what it forbids.
#[test]
fn a_circle_is_found_wherever_a_name_is_given_on() {
    let find = |files: &[(&'static str, &'static str)]| {
        circles(files.iter().copied()).into_iter().map(|circle| circle.join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(find(&[("a.rs", "use crate::b::B;"), ("b.rs", "fn f() { crate::a::g() }")]), ["a b"]);
    assert!(find(&[("a.rs", "use crate::b::B;"), ("b.rs", "// crate::a\nlet text = \"crate::a::x\";")]).is_empty());
    // By way of a third file, and of a name that a module gives on.
    let room = ("room/mod.rs", "mod a;\nmod b;\nmod c;\npub use a::{A, other as O};\npub(crate) use c::C;");
    let [b, c] = [("room/b.rs", "use super::{C, c};"), ("room/c.rs", "use crate::room::A as Mine;")];
    assert_eq!(find(&[room, ("room/a.rs", "use super::b;"), b, c]), ["room::a room::b room::c"]);
    assert!(find(&[room, ("room/a.rs", "struct A;"), b, c]).is_empty());
    // What a file holds for those beneath it.
    let step = ("stack/step.rs", "use super::Shape;");
    assert!(find(&[("stack.rs", "mod step;\nuse step::Step;\nstruct Shape;"), step]).is_empty());
    let other = ("stack/launches.rs", "use super::step::Step;");
    let back = ("stack/step.rs", "use super::launches::{Launches, Params};");
    assert_eq!(find(&[("stack.rs", "pub use step::Step;"), other, back]), ["stack::launches stack::step"]);
}
