//! Which decorated functions call which: read from their bodies and from the plain functions of the project that these
//! reach. Written into the manifest, checked for circles and for calls that cannot work.
//!
//! Only what names lead to is followed. A name that is a parameter, or that is bound more than once, leads nowhere, so what
//! is reported is certain.

mod body;
mod cycle;
mod fit;
mod scope;
mod thing;

pub(crate) use scope::Scope;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use flash_model::{Diagnostic, FunctionName, Manifest};
use ruff_text_size::{Ranged, TextRange, TextSize};

use crate::decorators::RemoteUse;
use crate::imports::{FileIndex, Project};
use crate::survey::Definition;
use body::{Call, Target};

/// A definition, by where it starts.
type Place = (FileIndex, TextSize);

/// One decorated function calls another.
#[derive(Debug, Clone)]
struct Edge {
    /// Where: in the caller, or in a plain function on the way.
    file: FileIndex,
    range: TextRange,
    /// That plain function's name.
    through: Option<String>,
}

/// Caller → called → the first place, all as numbers of uses.
type Graph = BTreeMap<usize, BTreeMap<usize, Edge>>;

/// Fills in the `calls` of the manifest's functions and reports FL121 and FL122.
pub(crate) fn trace<'a>(
    project: &Project<'a>,
    uses: &[RemoteUse<'a>],
    manifest: &mut Manifest,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let files: BTreeSet<FileIndex> = uses.iter().map(|remote| remote.file).collect();
    project.deployed_from(&files.into_iter().collect::<Vec<_>>());
    let mut tracer = Tracer {
        project,
        remote: uses.iter().enumerate().map(|(user, remote)| (place(remote), user)).collect(),
        calls: HashMap::new(),
    };
    let mut graph = Graph::new();
    for (user, remote) in uses.iter().enumerate() {
        graph.insert(user, tracer.called_by(remote));
    }
    let mut bodies: Vec<_> = tracer.calls.iter().collect();
    bodies.sort_unstable_by_key(|(place, _)| **place);
    for call in bodies.into_iter().flat_map(|(_, calls)| calls) {
        fit::check(project, &tracer.remote, call, diagnostics);
    }
    let mut users: HashMap<&str, usize> = HashMap::new();
    for (user, remote) in uses.iter().enumerate() {
        users.entry(remote.definition.name().as_str()).or_insert(user);
    }
    let name_of = |user: &usize| FunctionName::new(uses[*user].definition.name().as_str()).ok();
    for function in manifest.resources.values_mut().flat_map(|resource| &mut resource.functions) {
        let Some(user) = users.get(function.name.as_str()) else { continue };
        let called = graph.get(user).into_iter().flatten().map(|(callee, _)| callee);
        let names: BTreeSet<FunctionName> =
            called.filter_map(name_of).filter(|name| *name != function.name).collect();
        function.calls = names.into_iter().collect();
    }
    cycle::report(project, uses, manifest, &graph, diagnostics);
}

fn place(remote: &RemoteUse<'_>) -> Place {
    match remote.definition {
        Definition::Function(function) => (remote.file, function.range().start()),
        Definition::Class(class) => (remote.file, class.range().start()),
    }
}

struct Tracer<'p, 'a> {
    project: &'p Project<'a>,
    remote: HashMap<Place, usize>,
    /// What each body calls itself; bodies are walked once.
    calls: HashMap<Place, Vec<Call<'a>>>,
}

impl<'a> Tracer<'_, 'a> {
    fn called_by(&mut self, remote: &RemoteUse<'a>) -> BTreeMap<usize, Edge> {
        let project = self.project;
        let own = || match remote.definition {
            Definition::Function(function) => body::calls_of_function(project, remote.file, function),
            Definition::Class(class) => body::calls_of_class(project, remote.file, class),
        };
        let calls = self.calls.entry(place(remote)).or_insert_with(own).clone();
        let mut called = BTreeMap::new();
        let mut open = Vec::new();
        self.edges(&calls, None, &mut called, &mut open);
        let mut seen = HashSet::from([place(remote)]);
        while let Some(plain) = open.pop() {
            let (file, name, start) = plain.identity();
            if !seen.insert((file, start)) {
                continue;
            }
            let calls = self.calls.entry((file, start)).or_insert_with(|| plain.calls(project)).clone();
            self.edges(&calls, Some(name), &mut called, &mut open);
        }
        called
    }

    fn edges(
        &self,
        calls: &[Call<'a>],
        through: Option<&str>,
        called: &mut BTreeMap<usize, Edge>,
        open: &mut Vec<Plain<'a>>,
    ) {
        for call in calls {
            match remote_target(&self.remote, call.target) {
                Some(callee) => {
                    let edge =
                        Edge { file: call.file, range: call.range, through: through.map(str::to_owned) };
                    called.entry(callee).or_insert(edge);
                }
                None => open.extend(Plain::of(self.project, &self.remote, call.target)),
            }
        }
    }
}

/// The decorated function that a call goes to. Constructing an object contacts nobody, and neither does a method of one's own.
fn remote_target(remote: &HashMap<Place, usize>, target: Target<'_>) -> Option<usize> {
    match target {
        Target::Function(file, function) => remote.get(&(file, function.range().start())).copied(),
        Target::Method(method) if !method.own => {
            remote.get(&(method.class_file, method.class.range().start())).copied()
        }
        Target::Unknown(file, class, _) => remote.get(&(file, class.range().start())).copied(),
        Target::Method(_) | Target::Constructor(..) => None,
    }
}

/// A function or method of the project that is not deployed by itself: it runs where it is called.
#[derive(Debug, Clone, Copy)]
enum Plain<'a> {
    Function(FileIndex, &'a ruff_python_ast::StmtFunctionDef),
    Method(FileIndex, &'a ruff_python_ast::StmtClassDef, &'a ruff_python_ast::StmtFunctionDef),
}

impl<'a> Plain<'a> {
    fn of(project: &Project<'a>, remote: &HashMap<Place, usize>, target: Target<'a>) -> Option<Self> {
        match target {
            Target::Function(file, function) => Some(Self::Function(file, function)),
            Target::Method(method) => Some(Self::Method(method.file, method.home, method.definition)),
            Target::Constructor(file, class) => {
                if remote.contains_key(&(file, class.range().start())) {
                    return None;
                }
                let (file, home, init) = crate::classes::find_method(project, file, class, "__init__")?;
                Some(Self::Method(file, home, init))
            }
            Target::Unknown(..) => None,
        }
    }

    fn identity(self) -> (FileIndex, &'a str, TextSize) {
        match self {
            Self::Function(file, function) | Self::Method(file, _, function) => {
                (file, function.name.as_str(), function.range().start())
            }
        }
    }

    fn calls(self, project: &Project<'a>) -> Vec<Call<'a>> {
        match self {
            Self::Function(file, function) => body::calls_of_function(project, file, function),
            Self::Method(file, class, method) => body::calls_of_method(project, file, class, method),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{SourceTree, scan};

    #[test]
    fn bodies_nested_up_to_the_limit_are_walked_on_a_test_threads_stack() {
        for (open, times, close) in [
            ("[", 900, "]"),
            ("f(", 450, ")"),
            ("not ", 900, ""),
            ("lambda: ", 450, ""),
            ("(g := ", 300, ")"),
            ("", 300, ".a()"),
            ("", 450, "()"),
        ] {
            let deep = format!("{}f{}", open.repeat(times), close.repeat(times));
            let source = format!(
                "import tetra_rp\ncpu = tetra_rp.CpuLiveServerless(name='cpu')\n\
                 @tetra_rp.remote(cpu)\ndef f(x={deep}):\n    g = {deep}\n    return {deep}\n\
                 @tetra_rp.remote(cpu)\nclass K:\n    def run(self):\n        self.x = {deep}\n        self.x.run()\n"
            );
            let mut tree = SourceTree::new("p");
            tree.insert("main.py", source.into_bytes());
            let scanned = scan(&tree);
            assert_eq!(
                scanned.manifest.function_registry.len(),
                2,
                "{open} {close} {:?}",
                scanned.diagnostics.first()
            );
        }
    }
}
