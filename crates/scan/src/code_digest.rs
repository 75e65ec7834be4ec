//! SHA-256 of what a file's code does, not of how it looks.
//!
//! The digest is taken over the syntax tree (`ruff_python_ast::comparable`), in the order of the source: white space,
//! comments, line ends, quotes, redundant brackets, trailing commas, and a docstring's indentation leave it unchanged; any
//! other change of code changes it. Left out is what the manifest says in another place:
//!
//! - statements that bind a resource's constructor call to names, and such a call behind `return`: the resource's `spec`
//!   holds what they say, and other resources of the same module are none of its business;
//! - decorators that deploy a function: `spec` and the function's contract;
//! - names taken from other modules by `from … import`, where they stand for such a resource.
//!
//! A file with syntax errors has the digest of its text.
//!
//! The encoding is tags and texts, and for the rarer parts of the language `std::hash::Hash` of `comparable`'s types,
//! numbers as little-endian words of fixed width (`usize` and `isize` as 64 bit), so that it is the same on every machine. It
//! may change with the version of the parser, which then changes every digest.

use std::hash::{Hash, Hasher};

use flash_model::sha256_hex;
use ruff_python_ast::comparable::{
    ComparableAlias, ComparableExpr, ComparableNumber, ComparableParameters, ComparablePattern,
    ComparableStmt, ComparableTypeParams, ComparableWithItem,
};
use ruff_python_ast::{
    Arguments, Decorator, ExceptHandler, Expr, ModModule, Stmt, StmtClassDef, StmtFunctionDef,
};
use ruff_text_size::{Ranged, TextRange};

/// What of one file's code is said elsewhere.
pub(crate) trait SaidElsewhere {
    /// By the range of the decorator's expression.
    fn is_deploying_decorator(&self, range: TextRange) -> bool;
    /// By the range of the call.
    fn is_resource(&self, range: TextRange) -> bool;
    fn is_resource_alias(&self, level: u32, module: &str, name: &str) -> bool;
}

/// 64 hex digits.
pub(crate) fn of_syntax(syntax: &ModModule, elsewhere: &impl SaidElsewhere) -> String {
    let mut encoder = Encoder { bytes: Bytes::default(), elsewhere };
    encoder.documented_block(&syntax.body);
    sha256_hex(&encoder.bytes.0)
}

pub(crate) fn of_text(bytes: &[u8]) -> String {
    sha256_hex(&[b"text\0", bytes].concat())
}

/// What stands before each statement and expression; the numbers are part of the format.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Tag {
    End,
    Simple,
    Documentation,
    Function,
    Class,
    If,
    Clause,
    For,
    While,
    With,
    Match,
    Case,
    Try,
    Handler,
    ImportFrom,
    ReturnResource,
    Expression,
    Assign,
    Return,
    Other,
    Name,
    Attribute,
    Call,
    Keyword,
    Text,
    Number,
    True,
    False,
    None,
    Binary,
    Compare,
    Bool,
    Subscript,
    Tuple,
    List,
}

struct Encoder<'e, E> {
    bytes: Bytes,
    elsewhere: &'e E,
}

impl<E: SaidElsewhere> Encoder<'_, E> {
    fn tag(&mut self, tag: Tag) {
        self.bytes.write_u8(tag as u8);
    }

    fn hash(&mut self, value: impl Hash) {
        value.hash(&mut self.bytes);
    }

    /// UTF-8 has no byte 0xFF, which ends it.
    fn text(&mut self, text: &str) {
        self.bytes.write(text.as_bytes());
        self.bytes.write_u8(0xFF);
    }

    /// What most code is made of is written right away; the rest goes over `comparable`, which makes a second tree of it.
    fn expression(&mut self, expression: &Expr) {
        match expression {
            Expr::Name(name) => {
                self.tag(Tag::Name);
                self.text(name.id.as_str());
            }
            Expr::Attribute(attribute) => {
                self.tag(Tag::Attribute);
                self.expression(&attribute.value);
                self.text(attribute.attr.as_str());
            }
            Expr::Call(call) => {
                self.tag(Tag::Call);
                self.expression(&call.func);
                self.arguments(&call.arguments);
            }
            Expr::StringLiteral(literal) => {
                self.tag(Tag::Text);
                self.text(literal.value.to_str());
            }
            Expr::NumberLiteral(literal) => {
                self.tag(Tag::Number);
                self.hash(ComparableNumber::from(&literal.value));
            }
            Expr::BooleanLiteral(literal) => self.tag(if literal.value { Tag::True } else { Tag::False }),
            Expr::NoneLiteral(_) => self.tag(Tag::None),
            Expr::BinOp(operation) => {
                self.tag(Tag::Binary);
                self.expression(&operation.left);
                self.text(operation.op.as_str());
                self.expression(&operation.right);
            }
            Expr::Compare(comparison) => {
                self.tag(Tag::Compare);
                self.expression(&comparison.left);
                for (op, right) in comparison.ops.iter().zip(&comparison.comparators) {
                    self.expression(right);
                    self.text(op.as_str());
                }
                self.tag(Tag::End);
            }
            Expr::BoolOp(operation) => {
                self.tag(Tag::Bool);
                self.text(operation.op.as_str());
                self.expressions(&operation.values);
            }
            Expr::Subscript(subscript) => {
                self.tag(Tag::Subscript);
                self.expression(&subscript.value);
                self.expression(&subscript.slice);
            }
            Expr::Tuple(tuple) => {
                self.tag(Tag::Tuple);
                self.expressions(&tuple.elts);
            }
            Expr::List(list) => {
                self.tag(Tag::List);
                self.expressions(&list.elts);
            }
            other => {
                self.tag(Tag::Other);
                self.hash(ComparableExpr::from(other));
            }
        }
    }

    fn expressions(&mut self, expressions: &[Expr]) {
        expressions.iter().for_each(|expression| self.expression(expression));
        self.tag(Tag::End);
    }

    fn optional(&mut self, expression: Option<&Expr>) {
        match expression {
            Some(expression) => self.expression(expression),
            None => self.tag(Tag::End),
        }
    }

    fn arguments(&mut self, arguments: &Arguments) {
        self.expressions(&arguments.args);
        for keyword in &arguments.keywords {
            self.tag(Tag::Keyword);
            self.text(keyword.arg.as_ref().map_or("**", |name| name.as_str()));
            self.expression(&keyword.value);
        }
        self.tag(Tag::End);
    }

    /// Statements up to [`Tag::End`].
    fn block(&mut self, body: &[Stmt]) {
        body.iter().for_each(|statement| self.statement(statement));
        self.tag(Tag::End);
    }

    fn documented_block(&mut self, body: &[Stmt]) {
        match body.split_first() {
            Some((Stmt::Expr(first), rest)) if first.value.is_string_literal_expr() => {
                if let Expr::StringLiteral(text) = &*first.value {
                    self.tag(Tag::Documentation);
                    self.hash(unindented(text.value.to_str()));
                }
                self.block(rest);
            }
            _ => self.block(body),
        }
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::FunctionDef(function) => self.function(function),
            Stmt::ClassDef(class) => self.class(class),
            Stmt::Assign(assign) if self.is_all_resources(&assign.value) => {}
            Stmt::AnnAssign(assign)
                if assign.value.as_ref().is_some_and(|value| self.is_all_resources(value)) => {}
            Stmt::Expr(expression) if self.is_all_resources(&expression.value) => {}
            Stmt::Return(result)
                if result.value.as_ref().is_some_and(|value| self.is_all_resources(value)) =>
            {
                self.tag(Tag::ReturnResource);
            }
            Stmt::ImportFrom(import) => {
                let module = import.module.as_ref().map_or("", |module| module.as_str());
                let is_code = |name: &str| !self.elsewhere.is_resource_alias(import.level, module, name);
                let names: Vec<ComparableAlias<'_>> = import
                    .names
                    .iter()
                    .filter(|alias| is_code(alias.name.as_str()))
                    .map(ComparableAlias::from)
                    .collect();
                if !names.is_empty() {
                    self.tag(Tag::ImportFrom);
                    self.hash((import.level, module, import.is_lazy, names));
                }
            }
            Stmt::If(branch) => {
                self.tag(Tag::If);
                self.expression(&branch.test);
                self.block(&branch.body);
                for clause in &branch.elif_else_clauses {
                    self.tag(Tag::Clause);
                    self.optional(clause.test.as_ref());
                    self.block(&clause.body);
                }
            }
            Stmt::For(each) => {
                self.tag(Tag::For);
                self.hash(each.is_async);
                self.expression(&each.target);
                self.expression(&each.iter);
                self.block(&each.body);
                self.block(&each.orelse);
            }
            Stmt::While(repeat) => {
                self.tag(Tag::While);
                self.expression(&repeat.test);
                self.block(&repeat.body);
                self.block(&repeat.orelse);
            }
            Stmt::With(with) => {
                self.tag(Tag::With);
                self.hash(with.is_async);
                self.hash(with.items.iter().map(ComparableWithItem::from).collect::<Vec<_>>());
                self.block(&with.body);
            }
            Stmt::Match(choice) => {
                self.tag(Tag::Match);
                self.expression(&choice.subject);
                for case in &choice.cases {
                    self.tag(Tag::Case);
                    self.hash(ComparablePattern::from(&case.pattern));
                    self.optional(case.guard.as_deref());
                    self.block(&case.body);
                }
                self.tag(Tag::End);
            }
            Stmt::Try(attempt) => {
                self.tag(Tag::Try);
                self.hash(attempt.is_star);
                self.block(&attempt.body);
                for ExceptHandler::ExceptHandler(handler) in &attempt.handlers {
                    self.tag(Tag::Handler);
                    self.optional(handler.type_.as_deref());
                    self.hash(handler.name.as_ref().map(|name| name.as_str()));
                    self.block(&handler.body);
                }
                self.block(&attempt.orelse);
                self.block(&attempt.finalbody);
            }
            Stmt::Expr(expression) => {
                self.tag(Tag::Expression);
                self.expression(&expression.value);
            }
            Stmt::Assign(assign) => {
                self.tag(Tag::Assign);
                self.expressions(&assign.targets);
                self.expression(&assign.value);
            }
            Stmt::Return(result) => {
                self.tag(Tag::Return);
                self.optional(result.value.as_deref());
            }
            simple => {
                self.tag(Tag::Simple);
                self.hash(ComparableStmt::from(simple));
            }
        }
    }

    fn function(&mut self, function: &StmtFunctionDef) {
        self.tag(Tag::Function);
        self.decorators(&function.decorator_list);
        self.hash((function.is_async, function.name.as_str()));
        self.hash(function.type_params.as_deref().map(ComparableTypeParams::from));
        self.hash(ComparableParameters::from(&*function.parameters));
        self.optional(function.returns.as_deref());
        self.documented_block(&function.body);
    }

    fn class(&mut self, class: &StmtClassDef) {
        self.tag(Tag::Class);
        self.decorators(&class.decorator_list);
        self.hash(class.name.as_str());
        self.hash(class.type_params.as_deref().map(ComparableTypeParams::from));
        match class.arguments.as_deref() {
            Some(arguments) => self.arguments(arguments),
            // As for `class A():`.
            None => {
                self.tag(Tag::End);
                self.tag(Tag::End);
            }
        }
        self.documented_block(&class.body);
    }

    fn decorators(&mut self, decorators: &[Decorator]) {
        let code =
            |decorator: &&Decorator| !self.elsewhere.is_deploying_decorator(decorator.expression.range());
        decorators.iter().filter(code).for_each(|decorator| self.expression(&decorator.expression));
        self.tag(Tag::End);
    }

    /// A resource's constructor call, also behind `:=`, or several in a tuple or list.
    fn is_all_resources(&self, value: &Expr) -> bool {
        match value {
            Expr::Call(call) => self.elsewhere.is_resource(call.range()),
            Expr::Named(named) => self.is_all_resources(&named.value),
            Expr::Tuple(tuple) if !tuple.elts.is_empty() => {
                tuple.elts.iter().all(|element| self.is_all_resources(element))
            }
            Expr::List(list) if !list.elts.is_empty() => {
                list.elts.iter().all(|element| self.is_all_resources(element))
            }
            _ => false,
        }
    }
}

/// As `inspect.cleandoc`: without the indentation that all lines but the first share, and without outer blank lines.
fn unindented(text: &str) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let rest = text.lines().skip(1).filter(|line| !line.trim().is_empty());
    let shared = rest.map(indent).min().unwrap_or(0);
    let mut lines: Vec<&str> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = if number == 0 { line.trim_start() } else { line.get(shared..).unwrap_or_default() };
        lines.push(line.trim_end());
    }
    lines.join("\n").trim_matches('\n').to_owned()
}

/// Gathers what is hashed, in an encoding that is the same on every machine.
#[derive(Debug, Default)]
struct Bytes(Vec<u8>);

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn write_u16(&mut self, value: u16) {
        self.write(&value.to_le_bytes());
    }

    fn write_u32(&mut self, value: u32) {
        self.write(&value.to_le_bytes());
    }

    fn write_u64(&mut self, value: u64) {
        self.write(&value.to_le_bytes());
    }

    fn write_u128(&mut self, value: u128) {
        self.write(&value.to_le_bytes());
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_i16(&mut self, value: i16) {
        self.write_u16(value as u16);
    }

    fn write_i32(&mut self, value: i32) {
        self.write_u32(value as u32);
    }

    fn write_i64(&mut self, value: i64) {
        self.write_u64(value as u64);
    }

    fn write_i128(&mut self, value: i128) {
        self.write_u128(value as u128);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_i64(value as i64);
    }

    /// The bytes are digested as a whole, never by this.
    fn finish(&self) -> u64 {
        self.0.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use ruff_python_ast::PySourceType;
    use ruff_python_parser::parse_unchecked_source;

    use super::*;

    /// Everything called `Resource` is one, and so on.
    struct ByText<'t>(&'t str);

    impl SaidElsewhere for ByText<'_> {
        fn is_deploying_decorator(&self, range: TextRange) -> bool {
            self.0[range].starts_with("remote(")
        }

        fn is_resource(&self, range: TextRange) -> bool {
            self.0[range].starts_with("Resource(")
        }

        fn is_resource_alias(&self, _: u32, _: &str, name: &str) -> bool {
            name.starts_with("gpu")
        }
    }

    fn digest(source: &str) -> String {
        let parsed = parse_unchecked_source(source, PySourceType::Python);
        assert!(parsed.errors().is_empty(), "{source}");
        of_syntax(&parsed.into_syntax(), &ByText(source))
    }

    #[test]
    fn looks_do_not_count() {
        for (one, other) in [
            ("x = 'a'\n", "x   =  \"a\" # b\n\n\n"),
            ("x = 'a' 'b'\n", "x = (\n  'a'\n  'b'\n)\n"),
            ("f(a, b=[1])\n", "f(\n    a,\n    b=[1,],\n)\n"),
            ("if x:\n  y\n", "if (x):\n\ty;\n"),
            (
                "def f():\n  '''A.\n\n    B\n  C '''\n",
                "def f():\n    \"\"\"A.\n\n      B\n    C\n    \"\"\"\n",
            ),
            ("x = 16\n", "x = 0x10\n"),
        ] {
            assert_eq!(digest(one), digest(other), "{one}\n{other}");
        }
    }

    #[test]
    fn code_counts() {
        let sources = [
            "",
            "x\n",
            "x = 1\n",
            "x = 1.0\n",
            "x = '1'\n",
            "x = b'1'\n",
            "x = (1,)\n",
            "x: int = 1\n",
            "x = 1; y = 2\n",
            "y = 2; x = 1\n",
            "if x:\n  y\n",
            "if x:\n  pass\ny\n",
            "while x:\n  y\n",
            "if x:\n  y\nelse:\n  z\n",
            "if x:\n  y\nelif z:\n  z\n",
            "for x in y:\n  z\n",
            "async def f():\n  async for x in y:\n    z\n",
            "def f(): ...\n",
            "async def f(): ...\n",
            "def f(a): ...\n",
            "def f(a=1): ...\n",
            "def f(a: int): ...\n",
            "def f() -> int: ...\n",
            "@d\ndef f(): ...\n",
            "def f[T](): ...\n",
            "class f: ...\n",
            "class f(A): ...\n",
            "class f(metaclass=A): ...\n",
            "class f:\n  '''a'''\n",
            "def f():\n  '''a'''\n",
            "def f():\n  '''b'''\n",
            "with x as y:\n  z\n",
            "with x:\n  z\n",
            "try:\n  x\nexcept A:\n  y\n",
            "try:\n  x\nexcept* A:\n  y\n",
            "try:\n  x\nexcept A as e:\n  y\n",
            "try:\n  x\nfinally:\n  y\n",
            "try:\n  x\nexcept A:\n  y\nelse:\n  z\n",
            "match x:\n  case 1:\n    y\n",
            "match x:\n  case 1 if z:\n    y\n",
            "match x:\n  case 2:\n    y\n",
            "match x:\n  case 1:\n    y\nz\n",
            "import a\n",
            "import a as b\n",
            "from a import b\n",
            "from .a import b\n",
            "from a import b as c\n",
            "from a import *\n",
            "return_ = f'{x}'\n",
            "return_ = f'{x!r}'\n",
            "return_ = f'{x:>3}'\n",
            "return_ = f'{x=}'\n",
            "x = 'a\\r\\nb'\n",
            "x = 'a\\nb'\n",
            "x += 1\n",
            "x -= 1\n",
        ];
        for (index, one) in sources.iter().enumerate() {
            for other in &sources[index + 1..] {
                assert_ne!(digest(one), digest(other), "{one}\n{other}");
            }
        }
    }

    #[test]
    fn what_is_said_elsewhere_does_not_count() {
        for (one, other) in [
            ("x = 1\n", "gpu = Resource(a=1)\nx = 1\n"),
            ("x = 1\n", "gpu: R = Resource()\nx = 1\na, b = Resource(1), Resource(2)\nc = d = Resource()\n"),
            ("x = 1\n", "(gpu := Resource(a=1))\nx = 1\n"),
            ("if x: pass\n", "if x:\n    pass\n    gpu = Resource()\n"),
            ("def f(): return Resource(1)\n", "def f(): return Resource(2)\n"),
            ("@d\ndef f(): ...\n", "@remote(gpu, x=1)\n@d\ndef f(): ...\n"),
            ("class f: ...\n", "@remote(cpu)\nclass f: ...\n"),
            ("from a import b\n", "from a import gpu, b\nfrom .. import gpu_2 as gpu3\n"),
        ] {
            assert_eq!(digest(one), digest(other), "{one}\n{other}");
        }
        for other in ["x = [Resource(), 1]\n", "x = f(Resource())\n", "def f(): return 1\n", "import gpu\n"] {
            assert_ne!(digest(""), digest(other), "{other}");
        }
    }

    #[test]
    fn the_encoding_does_not_move() {
        // A change of this digest redeploys every endpoint: it belongs into the changelog.
        let expected = "9759eb4c5afd8e53e20102ebe51efb510d457d99917ac62641d0686f3964f54a";
        assert_eq!(digest("def f(x=1):\n    return x\n"), expected);
    }
}
