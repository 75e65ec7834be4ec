//! Imports by function call, wherever in an expression: `import_module("a.b")`, `import_module(".b", __package__)`,
//! `__import__("a.b")`.

use std::borrow::Cow;

use ruff_python_ast::visitor::{Visitor, walk_expr};
use ruff_python_ast::{Expr, ExprCall, Number, Stmt};
use ruff_text_size::{Ranged, TextRange};

use crate::survey::Import;

#[derive(Debug, Default)]
pub(crate) struct DynamicImports<'a> {
    /// With literal names. They count as deferred: what calls them is not looked at.
    pub(crate) imports: Vec<Import<'a>>,
    /// Calls whose module only running the code could tell.
    pub(crate) unknown: Vec<TextRange>,
}

pub(crate) fn find(body: &[Stmt]) -> DynamicImports<'_> {
    let mut found = DynamicImports::default();
    found.visit_body(body);
    found
}

impl<'a> Visitor<'a> for DynamicImports<'a> {
    fn visit_expr(&mut self, expression: &'a Expr) {
        if let Expr::Call(call) = expression {
            self.call(call);
        }
        walk_expr(self, expression);
    }
}

impl<'a> DynamicImports<'a> {
    fn call(&mut self, call: &'a ExprCall) {
        let is_known = match &*call.func {
            Expr::Name(name) if name.id == "__import__" => return self.old_style(call),
            Expr::Name(name) => name.id == "import_module",
            // Of other objects' methods of this name only those with a literal are taken for an import.
            Expr::Attribute(attribute) if attribute.attr.as_str() == "import_module" => {
                matches!(&*attribute.value, Expr::Name(name) if name.id == "importlib")
                    || argument(call, "name", 0).is_some_and(Expr::is_string_literal_expr)
            }
            _ => return,
        };
        if !is_known {
            return;
        }
        let Some(name) = argument(call, "name", 0).and_then(literal) else {
            return self.unknown.push(call.range());
        };
        let module = name.trim_start_matches('.');
        let level = (name.len() - module.len()) as u32;
        if level == 0 {
            return self.push(0, Cow::Borrowed(module), call);
        }
        match argument(call, "package", 1) {
            Some(package) if is_own_package(package) => self.push(level, Cow::Borrowed(module), call),
            Some(package) => match literal(package).and_then(|package| absolute(package, level, module)) {
                Some(module) => self.push(0, Cow::Owned(module), call),
                None => self.unknown.push(call.range()),
            },
            None => self.unknown.push(call.range()),
        }
    }

    /// `__import__(name, globals, locals, fromlist, level)`
    fn old_style(&mut self, call: &'a ExprCall) {
        let level = match argument(call, "level", 4) {
            None => Some(0),
            Some(Expr::NumberLiteral(number)) => match &number.value {
                Number::Int(level) => level.as_i64().and_then(|level| u32::try_from(level).ok()),
                _ => None,
            },
            Some(_) => None,
        };
        match (argument(call, "name", 0).and_then(literal), level) {
            (Some(module), Some(level)) => self.push(level, Cow::Borrowed(module), call),
            _ => self.unknown.push(call.range()),
        }
    }

    fn push(&mut self, level: u32, module: Cow<'a, str>, call: &ExprCall) {
        let range = call.range();
        self.imports.push(Import { level, module, name: None, range, deferred: true, guarded: false });
    }
}

fn argument<'a>(call: &'a ExprCall, name: &str, position: usize) -> Option<&'a Expr> {
    call.arguments.find_argument_value(name, position)
}

fn literal(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::StringLiteral(text) => Some(text.value.to_str()),
        _ => None,
    }
}

/// `__package__`, `__name__` (the package's, in an `__init__.py`), `__spec__.parent`.
fn is_own_package(expression: &Expr) -> bool {
    match expression {
        Expr::Name(name) => matches!(name.id.as_str(), "__package__" | "__name__"),
        Expr::Attribute(attribute) => {
            attribute.attr.as_str() == "parent"
                && matches!(&*attribute.value, Expr::Name(name) if name.id == "__spec__")
        }
        _ => false,
    }
}

/// `..c` in `a.b` is `a.c`.
fn absolute(package: &str, level: u32, module: &str) -> Option<String> {
    let mut base = package;
    for _ in 1..level {
        base = base.rsplit_once('.')?.0;
    }
    Some(if module.is_empty() { base.to_owned() } else { format!("{base}.{module}") })
}

#[cfg(test)]
mod tests {
    use ruff_python_ast::PySourceType;
    use ruff_python_parser::parse_unchecked_source;

    use super::*;

    /// `expect` is dots and module, or `?` for a call that cannot be told.
    fn check(source: &str, expect: &[&str]) {
        let syntax = parse_unchecked_source(source, PySourceType::Python).into_syntax();
        let calls = find(&syntax.body);
        let found = calls.imports.iter().map(|import| ".".repeat(import.level as usize) + &import.module);
        let unknown = calls.unknown.iter().map(|_| "?".to_owned());
        assert_eq!(found.chain(unknown).collect::<Vec<_>>(), expect, "{source}");
    }

    #[test]
    fn literals_are_found_in_any_expression() {
        check("x = importlib.import_module('a.b').f", &["a.b"]);
        check("f(1, key=[import_module(name='a') for _ in y])", &["a"]);
        check("def f():\n    return lambda: __import__('a', globals())", &["a"]);
        check("@d(__import__('a'))\nclass A(import_module('b').B): ...", &["a", "b"]);
        check("x = f'{import_module(\"a\")}'", &["a"]);
        check("plugins.import_module('a')\nplugins.import_module(name)", &["a"]);
    }

    #[test]
    fn relative_names_need_their_package() {
        check("import_module('.b', package=__package__)", &[".b"]);
        check("import_module('..b.c', __name__)", &["..b.c"]);
        check("import_module('.', __spec__.parent)", &["."]);
        check("import_module('..c', 'a.b')", &["a.c"]);
        check("import_module('...c', 'a.b')", &["?"]);
        check("import_module('.c')", &["?"]);
        check("__import__('b', globals(), locals(), [], 1)", &[".b"]);
    }

    #[test]
    fn the_rest_is_unknown() {
        check("import_module(name)", &["?"]);
        check("importlib.import_module(f'a.{b}')", &["?"]);
        check("__import__(name, level=n)", &["?"]);
    }
}
