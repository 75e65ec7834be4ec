//! `handler_<resource>.py`: what an image runs that starts Python directly. Thin: all behaviour is the SDK's.

use std::fmt::Write as _;

pub(crate) enum Starts<'a> {
    Queue,
    LoadBalanced,
    /// The user's own: `module:variable`.
    Application(&'a str),
}

/// The names are data: each is a Python string literal of plain ASCII, whatever it holds.
pub(crate) fn source(resource: &str, starts: &Starts<'_>, packages: Option<&str>) -> String {
    let mut text = String::from(
        "\"\"\"Starts one resource where an image runs Python directly. Made by `flash build`.\"\"\"\n",
    );
    let imports = match starts {
        Starts::Application(_) => "import importlib, pathlib, sys",
        _ => "import pathlib, sys",
    };
    let _ = writeln!(text, "{imports}\n\nroot = pathlib.Path(__file__).resolve().parent");
    let _ = match packages {
        Some(packages) => writeln!(text, "sys.path[:0] = [str(root), str(root / {})]\n", literal(packages)),
        None => writeln!(text, "sys.path[:0] = [str(root)]\n"),
    };
    text.push_str("from tetra_rp import _standalone\n\n");
    let name = literal(resource);
    let (object, serve) = match starts {
        Starts::Queue => {
            (format!("handler = _standalone.queue_handler(root, {name})"), "_standalone.serve_queue(handler)")
        }
        Starts::LoadBalanced => {
            (format!("app = _standalone.application(root, {name})"), "_standalone.serve_http(app)")
        }
        Starts::Application(application) => {
            let (module, variable) = application.split_once(':').unwrap_or((application, "app"));
            let (module, variable) = (literal(module), literal(variable));
            (
                format!("app = getattr(importlib.import_module({module}), {variable})"),
                "_standalone.serve_http(app)",
            )
        }
    };
    let _ = write!(text, "{object}\n\nif __name__ == \"__main__\":\n    {serve}\n");
    text
}

/// A Python string literal. Everything but plain printable ASCII is escaped.
fn literal(text: &str) -> String {
    let mut literal = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => literal.extend(['\\', c]),
            ' '..='~' => literal.push(c),
            _ => {
                let _ = write!(literal, "\\U{:08x}", u32::from(c));
            }
        }
    }
    literal.push('"');
    literal
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_queue_handler_is_thin() {
        assert_eq!(
            source("model", &Starts::Queue, Some("packages/0123456789abcdef")),
            r#""""Starts one resource where an image runs Python directly. Made by `flash build`."""
import pathlib, sys

root = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(root), str(root / "packages/0123456789abcdef")]

from tetra_rp import _standalone

handler = _standalone.queue_handler(root, "model")

if __name__ == "__main__":
    _standalone.serve_queue(handler)
"#
        );
    }

    #[test]
    fn names_are_data_whatever_they_hold() {
        let hostile = "a\"); import os #\\\n\u{0}é\u{1F600}'''\"\"\"{x}%s";
        let application = format!("{hostile}:{hostile}");
        // Python itself says what the strings are; our own reading would prove nothing.
        let check = "import ast, sys
tree = ast.parse(sys.stdin.buffer.read())
strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
wanted = bytes.fromhex(sys.argv[1]).decode()
assert wanted in strings, strings
calls = {node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and hasattr(node.func, 'attr')}
assert calls <= {'Path', 'resolve', 'queue_handler', 'application', 'import_module', 'serve_queue', 'serve_http'}, calls";
        let hex: String = hostile.bytes().map(|byte| format!("{byte:02x}")).collect();
        for starts in [Starts::Queue, Starts::LoadBalanced, Starts::Application(&application)] {
            let source = source(hostile, &starts, Some("packages/0123456789abcdef"));
            assert!(source.is_ascii());
            let mut python = Command::new("python3")
                .args(["-I", "-c", check, &hex])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            python.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
            assert!(python.wait().unwrap().success(), "{source}");
        }
    }
}
