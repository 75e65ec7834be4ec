//! What callers see of a function or class: parameters, return annotation, public methods, documentation. All as text.

use flash_model::{ClassMethod, Parameter, ParameterKind};
use ruff_python_ast::{Expr, ParameterWithDefault, Parameters, Stmt, StmtClassDef, StmtFunctionDef};
use ruff_text_size::Ranged;

use crate::parse::SourceFile;

pub(crate) fn parameters(file: &SourceFile<'_>, parameters: &Parameters) -> Vec<Parameter> {
    let plain = |kind: ParameterKind| {
        move |parameter: &ParameterWithDefault| {
            let default = parameter.default.as_deref().map(|default| file.source(default.range()));
            Parameter { default, ..bare(file, &parameter.parameter, kind) }
        }
    };
    let mut all = Vec::new();
    all.extend(parameters.posonlyargs.iter().map(plain(ParameterKind::PositionalOnly)));
    all.extend(parameters.args.iter().map(plain(ParameterKind::PositionalOrKeyword)));
    all.extend(parameters.vararg.as_deref().map(|each| bare(file, each, ParameterKind::VarPositional)));
    all.extend(parameters.kwonlyargs.iter().map(plain(ParameterKind::KeywordOnly)));
    all.extend(parameters.kwarg.as_deref().map(|each| bare(file, each, ParameterKind::VarKeyword)));
    all
}

fn bare(file: &SourceFile<'_>, parameter: &ruff_python_ast::Parameter, kind: ParameterKind) -> Parameter {
    let annotation = parameter.annotation.as_deref().map(|annotation| file.source(annotation.range()));
    Parameter { name: parameter.name.to_string(), kind, annotation, default: None, schema: None }
}

/// Return annotation as text.
pub(crate) fn returns(file: &SourceFile<'_>, function: &StmtFunctionDef) -> Option<String> {
    function.returns.as_deref().map(|annotation| file.source(annotation.range()))
}

/// Parameters of `__init__` without `self`.
pub(crate) fn constructor(file: &SourceFile<'_>, class: &StmtClassDef) -> Vec<Parameter> {
    functions(class)
        .find(|method| method.name.as_str() == "__init__")
        .map_or_else(Vec::new, |init| without_receiver(file, init))
}

/// Methods whose name has no leading underscore, in the order of the source; of several with one name the last.
pub(crate) fn methods(file: &SourceFile<'_>, class: &StmtClassDef) -> Vec<ClassMethod> {
    let mut methods: Vec<ClassMethod> = Vec::new();
    for method in functions(class).filter(|method| !method.name.starts_with('_')) {
        let parameters = without_receiver(file, method);
        let method = ClassMethod {
            name: method.name.to_string(),
            is_async: method.is_async,
            parameters,
            returns_schema: None,
        };
        methods.retain(|known| known.name != method.name);
        methods.push(method);
    }
    methods
}

fn functions(class: &StmtClassDef) -> impl Iterator<Item = &StmtFunctionDef> {
    class.body.iter().filter_map(|statement| match statement {
        Stmt::FunctionDef(function) => Some(function),
        _ => None,
    })
}

fn without_receiver(file: &SourceFile<'_>, method: &StmtFunctionDef) -> Vec<Parameter> {
    let is_static = method
        .decorator_list
        .iter()
        .any(|decorator| matches!(&decorator.expression, Expr::Name(name) if name.id == "staticmethod"));
    let mut parameters = parameters(file, &method.parameters);
    let receives = parameters.first().is_some_and(|first| {
        matches!(first.kind, ParameterKind::PositionalOnly | ParameterKind::PositionalOrKeyword)
    });
    if !is_static && receives {
        parameters.remove(0);
    }
    parameters
}

/// First paragraph of the docstring, on one line.
pub(crate) fn documentation(body: &[Stmt]) -> Option<String> {
    let Some(Stmt::Expr(first)) = body.first() else { return None };
    let Expr::StringLiteral(text) = &*first.value else { return None };
    let lines = text.value.to_str().lines().map(str::trim);
    let paragraph: Vec<&str> =
        lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty()).collect();
    (!paragraph.is_empty()).then(|| paragraph.join(" "))
}
