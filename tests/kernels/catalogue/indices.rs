//! Which arrays of a shader hold numbers that become indices, found in naga's representation: what is loaded is followed
//! through arithmetic, variables, workgroup memory and calls to every index, and to every condition that ends a loop.

use naga::{AddressSpace, BinaryOperator, Block, Expression, Function, Handle, Module, Statement, TypeInner};
use std::collections::{BTreeMap, BTreeSet};

/// Names of bindings.
type Sources = BTreeSet<String>;

/// What the wrappers know: sizes and steps. Of a launch that is all but its samples.
const KNOWN: [&str; 2] = ["params", "step"];

/// Something that keeps a value: the number of the function that it belongs to, and its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Keeper {
    /// A variable of workgroup or private memory, of no function.
    Global(usize),
    /// A variable of a function.
    Local(usize, usize),
    /// A parameter of a function.
    Argument(usize, usize),
    /// What a function returns.
    Returned(usize),
    /// What a statement of a function leaves in an expression.
    Result(usize, usize),
}

struct Analysis<'a> {
    module: &'a Module,
    /// Where what a keeper may hold comes from.
    kept: BTreeMap<Keeper, Sources>,
    indices: Sources,
}

/// Bindings whose numbers become indices.
pub fn indexing(module: &Module) -> Sources {
    let mut analysis = Analysis { module, kept: BTreeMap::new(), indices: Sources::new() };
    // Each round carries what is known one step further, until nothing changes.
    loop {
        let before = (analysis.kept.clone(), analysis.indices.clone());
        let functions = module.functions.iter().map(|(_, function)| function);
        for (number, function) in functions.chain(module.entry_points.iter().map(|entry| &entry.function)).enumerate() {
            FunctionFlow { analysis: &mut analysis, number, function }.function();
        }
        if before == (analysis.kept.clone(), analysis.indices.clone()) {
            return analysis.indices;
        }
    }
}

impl Analysis<'_> {
    fn keep(&mut self, keeper: Keeper, sources: Sources) {
        self.kept.entry(keeper).or_default().extend(sources);
    }

    fn held(&self, keeper: Keeper) -> Sources {
        self.kept.get(&keeper).cloned().unwrap_or_default()
    }
}

struct FunctionFlow<'a, 'b> {
    analysis: &'a mut Analysis<'b>,
    number: usize,
    function: &'b Function,
}

impl FunctionFlow<'_, '_> {
    fn function(&mut self) {
        for (_, expression) in self.function.expressions.iter() {
            if let Expression::Access { index, .. } = *expression {
                let sources = self.sources(index, false);
                self.analysis.indices.extend(sources);
            }
        }
        self.block(&self.function.body, &Sources::new());
    }

    /// `ends` is what decides when the loops around end: it counts for all that is stored in them.
    fn block(&mut self, block: &Block, ends: &Sources) {
        block.iter().for_each(|statement| self.statement(statement, ends));
    }

    fn statement(&mut self, statement: &Statement, ends: &Sources) {
        match statement {
            Statement::Block(block) => self.block(block, ends),
            Statement::If { accept, reject, .. } => {
                self.block(accept, ends);
                self.block(reject, ends);
            }
            Statement::Switch { cases, .. } => cases.iter().for_each(|case| self.block(&case.body, ends)),
            Statement::Loop { body, continuing, break_if } => {
                let mut ends = ends.clone();
                self.conditions(body, &mut ends);
                ends.extend(break_if.map(|condition| self.sources(condition, true)).unwrap_or_default());
                self.block(body, &ends);
                self.block(continuing, &ends);
            }
            Statement::Store { pointer, value } => {
                let mut sources = self.sources(*value, false);
                sources.extend(ends.iter().cloned());
                if let Some(keeper) = self.keeper(*pointer) {
                    self.analysis.keep(keeper, sources);
                }
            }
            Statement::Call { function, arguments, result } => {
                for (place, &argument) in arguments.iter().enumerate() {
                    let sources = self.sources(argument, false);
                    self.analysis.keep(Keeper::Argument(function.index(), place), sources);
                }
                if let Some(result) = result {
                    let returned = self.analysis.held(Keeper::Returned(function.index()));
                    self.analysis.keep(Keeper::Result(self.number, result.index()), returned);
                }
            }
            Statement::Return { value: Some(value) } => {
                let sources = self.sources(*value, false);
                self.analysis.keep(Keeper::Returned(self.number), sources);
            }
            Statement::Atomic { pointer, result: Some(result), .. } => {
                let sources = self.loaded(*pointer);
                self.analysis.keep(Keeper::Result(self.number, result.index()), sources);
            }
            Statement::Return { value: None }
            | Statement::Atomic { result: None, .. }
            | Statement::Emit(_)
            | Statement::Break
            | Statement::Continue
            | Statement::ControlBarrier(_)
            | Statement::MemoryBarrier(_) => {}
            other => panic!("nobody has said how numbers go through {other:?}"),
        }
    }

    /// Adds what decides whether a loop with this body is left.
    fn conditions(&self, block: &Block, ends: &mut Sources) {
        for statement in block {
            match statement {
                Statement::Block(block) => self.conditions(block, ends),
                Statement::If { condition, accept, reject } => {
                    let leaves = |block: &Block| {
                        block.iter().any(|statement| matches!(statement, Statement::Break | Statement::Return { .. }))
                    };
                    if leaves(accept) || leaves(reject) {
                        ends.extend(self.sources(*condition, true));
                    }
                    self.conditions(accept, ends);
                    self.conditions(reject, ends);
                }
                _ => {}
            }
        }
    }

    /// Where the value of an expression comes from. A comparison is 0 or 1, and `select` gives one of two values: what
    /// decides them makes no index too large, and counts only with `decisions`.
    fn sources(&self, handle: Handle<Expression>, decisions: bool) -> Sources {
        let of = |handle: Handle<Expression>| self.sources(handle, decisions);
        let all = |handles: &[Handle<Expression>]| handles.iter().flat_map(|&handle| of(handle)).collect::<Sources>();
        match &self.function.expressions[handle] {
            Expression::Load { pointer } => self.loaded(*pointer),
            Expression::FunctionArgument(place) => self.analysis.held(Keeper::Argument(self.number, *place as usize)),
            Expression::CallResult(_) | Expression::AtomicResult { .. } => {
                self.analysis.held(Keeper::Result(self.number, handle.index()))
            }
            Expression::Binary { op, left, right } => {
                use BinaryOperator as Op;
                let compares =
                    matches!(op, Op::Equal | Op::NotEqual | Op::Less | Op::LessEqual | Op::Greater | Op::GreaterEqual);
                if compares && !decisions { Sources::new() } else { all(&[*left, *right]) }
            }
            Expression::Select { condition, accept, reject } => {
                let mut sources = all(&[*accept, *reject]);
                if decisions {
                    sources.extend(of(*condition));
                }
                sources
            }
            Expression::Compose { components, .. } => all(components),
            Expression::Access { base, index } => all(&[*base, *index]),
            Expression::AccessIndex { base, .. } => of(*base),
            Expression::Splat { value, .. } => of(*value),
            Expression::Swizzle { vector, .. } => of(*vector),
            Expression::Unary { expr, .. } | Expression::As { expr, .. } => of(*expr),
            Expression::Relational { argument, .. } => of(*argument),
            Expression::Math { arg, arg1, arg2, arg3, .. } => {
                [Some(*arg), *arg1, *arg2, *arg3].into_iter().flatten().flat_map(of).collect()
            }
            Expression::Literal(_)
            | Expression::Constant(_)
            | Expression::Override(_)
            | Expression::ZeroValue(_)
            | Expression::GlobalVariable(_)
            | Expression::LocalVariable(_)
            | Expression::ArrayLength(_) => Sources::new(),
            other => panic!("nobody has said where {other:?} comes from"),
        }
    }

    /// Where what lies behind a pointer comes from.
    fn loaded(&self, pointer: Handle<Expression>) -> Sources {
        if let Some(keeper) = self.keeper(pointer) {
            return self.analysis.held(keeper);
        }
        let (variable, member) = self.storage(pointer);
        let variable = &self.analysis.module.global_variables[variable];
        let name = variable.name.clone().unwrap();
        let samples = || match &self.analysis.module.types[variable.ty].inner {
            TypeInner::Struct { members, .. } => members.len() as u32 - 1,
            other => panic!("{name} is {other:?}"),
        };
        let known = KNOWN.contains(&name.as_str()) || name == "launch" && member != Some(samples());
        if known { Sources::new() } else { Sources::from([name]) }
    }

    /// What keeps the value behind a pointer, where it is not a binding.
    fn keeper(&self, pointer: Handle<Expression>) -> Option<Keeper> {
        match self.function.expressions[pointer] {
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => self.keeper(base),
            Expression::LocalVariable(local) => Some(Keeper::Local(self.number, local.index())),
            Expression::GlobalVariable(global) => {
                let in_storage =
                    matches!(self.analysis.module.global_variables[global].space, AddressSpace::Storage { .. });
                (!in_storage).then(|| Keeper::Global(global.index()))
            }
            ref other => panic!("a pointer to {other:?}"),
        }
    }

    /// The binding behind a pointer, and which member of its structure is meant.
    fn storage(&self, pointer: Handle<Expression>) -> (Handle<naga::GlobalVariable>, Option<u32>) {
        match self.function.expressions[pointer] {
            Expression::Access { base, .. } => self.storage(base),
            Expression::AccessIndex { base, index } => {
                let (variable, member) = self.storage(base);
                (variable, member.or(Some(index)))
            }
            Expression::GlobalVariable(global) => (global, None),
            ref other => panic!("a pointer to {other:?}"),
        }
    }
}

#[test]
fn indices_are_followed_through_variables_calls_and_loops() {
    let found = |body: &str| {
        let text = format!(
            "@group(0) @binding(0) var<storage, read> params: u32;
             @group(0) @binding(1) var<storage, read> order: array<u32>;
             @group(0) @binding(2) var<storage, read_write> values: array<f32>;
             var<workgroup> places: array<u32, 4>;
             fn twice(x: u32) -> u32 {{ return 2u * x; }}
             @compute @workgroup_size(1) fn main(@builtin(local_invocation_index) i: u32) {{ {body} }}"
        );
        indexing(&naga::front::wgsl::parse_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    };
    let order = Sources::from(["order".to_string()]);
    for body in [
        "values[order[i]] = 1.0;",
        "values[twice(order[i]) + 1u] = 1.0;",
        "var place = 0u; if (i == 0u) { place = order[i]; } values[min(place, 3u)] = 1.0;",
        "places[i] = order[i]; workgroupBarrier(); values[places[3u - i]] = 1.0;",
        "var end = 0u; while (end < order[i]) { end += 1u; } values[end] = 1.0;",
    ] {
        assert_eq!(found(body), order, "{body}");
    }
    for body in [
        "values[params + i] = f32(order[i]);",
        "values[select(0u, 1u, order[i] == 3u)] = 1.0;",
        "for (var n = 0u; n < params; n++) { values[n] = f32(order[n]); }",
    ] {
        assert_eq!(found(body), Sources::new(), "{body}");
    }
}
