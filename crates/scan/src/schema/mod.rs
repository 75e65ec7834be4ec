//! JSON Schemas of parameters, results and the project's own classes, worked out from annotations alone.
//!
//! They say what the worker accepts (`python/tetra_rp/_worker/_convert.py`) in the words that pydantic uses for the same
//! types, so that documents look as users of FastAPI expect. A type that only running code knows is its name as `title`,
//! which allows everything.

mod annotation;
mod class;
mod constraint;
mod known;
mod literal;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use flash_model::{ClassMethod, Function, Manifest, Parameter, Schema};
use ruff_python_ast::{Expr, Parameters, StmtClassDef, StmtFunctionDef};
use ruff_text_size::TextSize;
use serde_json::{Map, Value};

use crate::classes::functions;
use crate::decorators::RemoteUse;
use crate::imports::{FileIndex, Project};
use crate::survey::Definition;
use constraint::Default;

/// Fills in the schemas of all functions in the manifest, and those of the classes that they refer to.
pub(crate) fn describe<'a>(project: &Project<'a>, uses: &[RemoteUse<'a>], manifest: &mut Manifest) {
    let mut by_name: HashMap<&str, &RemoteUse<'_>> = HashMap::new();
    for remote in uses {
        by_name.entry(remote.definition.name().as_str()).or_insert(remote);
    }
    for resource in manifest.resources.values_mut() {
        let mut schemas = Schemas::new(project);
        for function in &mut resource.functions {
            if let Some(remote) = by_name.get(function.name.as_str()) {
                schemas.function(remote, function);
            }
        }
        resource.schemas =
            schemas.finish().iter().map(|(name, schema)| (name.clone(), schema.into())).collect();
    }
}

type Variables = BTreeMap<String, Value>;

struct Open<'a> {
    name: String,
    file: FileIndex,
    class: &'a StmtClassDef,
    variables: Variables,
}

/// The schemas of one resource.
struct Schemas<'p, 'a> {
    project: &'p Project<'a>,
    /// Names of classes that are referred to, by where they are and what their type variables stand for.
    names: HashMap<(FileIndex, TextSize, String), String>,
    taken: HashSet<String>,
    /// Classes whose schemas are still to be written.
    open: VecDeque<Open<'a>>,
    /// Type variables of the class that is being written.
    variables: Variables,
    /// That class is a pydantic model.
    in_model: bool,
    written: BTreeMap<String, Value>,
    /// Of one annotation; aliases that double each other run into the limit.
    steps: usize,
}

impl<'p, 'a> Schemas<'p, 'a> {
    fn new(project: &'p Project<'a>) -> Self {
        Self {
            project,
            names: HashMap::new(),
            taken: HashSet::new(),
            open: VecDeque::new(),
            variables: Variables::new(),
            in_model: false,
            written: BTreeMap::new(),
            steps: 0,
        }
    }

    fn finish(mut self) -> BTreeMap<String, Value> {
        while let Some(Open { name, file, class, variables }) = self.open.pop_front() {
            self.variables = variables;
            let schema = self.class(file, class);
            self.written.insert(name, schema);
        }
        self.written
    }

    fn function(&mut self, remote: &RemoteUse<'a>, function: &mut Function) {
        match remote.definition {
            Definition::Function(definition) => {
                self.parameters(remote.file, &definition.parameters, &mut function.parameters);
                function.returns_schema = self.returns(remote.file, definition);
            }
            Definition::Class(class) => {
                let init = functions(&class.body).find(|method| method.name.as_str() == "__init__");
                if let Some(init) = init {
                    self.parameters(remote.file, &init.parameters, &mut function.parameters);
                }
                for method in &mut function.methods {
                    self.method(remote.file, class, method);
                }
            }
        }
    }

    fn method(&mut self, file: FileIndex, class: &StmtClassDef, method: &mut ClassMethod) {
        let named = functions(&class.body).filter(|definition| definition.name.as_str() == method.name);
        if let Some(definition) = named.last() {
            self.parameters(file, &definition.parameters, &mut method.parameters);
            method.returns_schema = self.returns(file, definition);
        }
    }

    fn parameters(&mut self, file: FileIndex, written: &Parameters, described: &mut [Parameter]) {
        for parameter in described {
            let found = written.iter().find(|each| each.name().as_str() == parameter.name);
            if let Some(found) = found {
                parameter.schema = self.parameter(file, found.annotation(), found.default());
            }
        }
    }

    fn parameter(
        &mut self,
        file: FileIndex,
        annotation: Option<&Expr>,
        default: Option<&Expr>,
    ) -> Option<Schema> {
        let (mut schema, given) = self.field(file, annotation, default);
        if let Default::Known(value) = given.default {
            put(&mut schema, "default", value);
        }
        let says_something =
            annotation.is_some() || schema.as_object().is_some_and(|object| !object.is_empty());
        says_something.then(|| (&schema).into())
    }

    fn returns(&mut self, file: FileIndex, function: &StmtFunctionDef) -> Option<Schema> {
        let annotation = function.returns.as_deref()?;
        Some((&self.annotation(file, annotation)).into())
    }
}

/// Sets a key of a schema, which is always an object.
fn put(schema: &mut Value, key: &str, value: Value) {
    if let Value::Object(object) = schema {
        object.insert(key.to_owned(), value);
    }
}

fn any() -> Value {
    Value::Object(Map::new())
}

#[cfg(test)]
mod tests {
    use crate::{SourceTree, scan};

    /// Schemas of one function's parameters and of the classes that they mention, as JSON.
    fn described(text: &str, parameters: &str) -> String {
        let source = format!(
            "import tetra_rp\nfrom pydantic import BaseModel\nfrom typing import Generic, TypeVar\nT = TypeVar('T')\n\
             api = tetra_rp.CpuLiveLoadBalancer(name='api')\n{text}\n\
             @tetra_rp.remote(api, method='POST', path='/f')\ndef f({parameters}): ...\n"
        );
        let mut tree = SourceTree::new("p");
        tree.insert("main.py", source.into_bytes());
        let resource = &scan(&tree).manifest.resources["api"];
        let schemas = resource.functions[0].parameters.iter().map(|parameter| parameter.schema.as_ref());
        serde_json::to_string(&(schemas.collect::<Vec<_>>(), &resource.schemas)).unwrap()
    }

    #[test]
    fn aliases_that_double_each_other_end() {
        let doubling: String =
            (1..40).map(|n| format!("D{n} = tuple[D{p}, D{p}]\n", p = n - 1)).collect::<String>();
        assert!(described(&format!("D0 = int\n{doubling}"), "x: D39").len() < 10_000);
        assert!(described("A = list['B']\nB = dict[str, A]\n", "x: A").len() < 2_000);
    }

    #[test]
    fn what_is_nested_deeply_can_still_be_read_back() {
        let nested = |open: &str, inner: &str, close: &str| {
            format!("{}{inner}{}", open.repeat(300), close.repeat(300))
        };
        let parameters = format!(
            "a: {}, b: {} = {}, c: {}str",
            nested("list[", "int", "]"),
            nested("dict[str, ", "M", "]"),
            nested("[", "1", "]"),
            "int | ".repeat(150),
        );
        let schemas = described("class M(BaseModel):\n    x: int\n", &parameters);
        assert!(serde_json::from_str::<serde_json::Value>(&schemas).is_ok());
        assert!(schemas.contains(r#"{"anyOf":[{"type":"integer"},{"type":"string"}]}"#), "{schemas}");
    }

    #[test]
    fn classes_that_grow_end() {
        let growing = "class G(BaseModel, Generic[T]):\n    a: 'G[list[T]]'\n    b: 'G[set[T]]'\n";
        assert!(described(growing, "x: G[int]").len() < 2_000_000);
    }

    #[test]
    fn quoted_annotations_that_nest_too_deeply_are_left_open() {
        let deep = format!("x: '{}int{}'", "list[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(described("", &deep), "[[{}],{}]");
        let quoted = format!("x: '{}'", "(".repeat(100_000));
        assert_eq!(described("", &quoted), "[[{}],{}]");
    }

    #[test]
    fn names_of_constants_never_become_their_values() {
        let schemas =
            described("KEY = 'hunter2'\nclass M(BaseModel):\n    key: str = KEY\n", "m: M, key: str = KEY");
        assert!(!schemas.contains("hunter2"), "{schemas}");
    }
}
