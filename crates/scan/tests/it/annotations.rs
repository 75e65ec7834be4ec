//! Whatever stands in a body or an annotation: a result, and a sound one.

use flash_scan::{SourceTree, scan};
use proptest::prelude::*;

const HEADER: &str = "import models\nimport tetra_rp\nfrom dataclasses import dataclass\nfrom enum import Enum\n\
    from typing import *\nfrom pydantic import BaseModel, Field\nT = TypeVar('T')\n\
    api = tetra_rp.CpuLiveLoadBalancer(name='api')\ncpu = tetra_rp.CpuLiveServerless(name='cpu')\n\
    class M(BaseModel, Generic[T]):\n    x: int = 1\n    y: 'M[T]'\n\
    class E(Enum):\n    A = 1\n\
    @dataclass\nclass D:\n    m: M\n    f: int = Field(1, ge=1)\n";

fn annotation() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "int",
        "str",
        "[",
        "]",
        "[",
        "]",
        ",",
        "|",
        "'",
        "M",
        "D",
        "E",
        "E.A",
        "M[int]",
        "T",
        "models.X",
        "models",
        "Optional",
        "Literal",
        "Union",
        "Annotated",
        "list",
        "tuple",
        "dict",
        "None",
        "...",
        "Field(ge=1)",
        "1",
        "-1",
        "(",
        ")",
        "Any",
        " ",
        "ClassVar",
        "Required",
    ]);
    prop::collection::vec(words, 0..12).prop_map(|words| words.concat())
}

fn body() -> impl Strategy<Value = String> {
    let lines = prop::sample::select(vec![
        "f(x)",
        "await f(1, y=2)",
        "g = f",
        "g(x)",
        "m = K()",
        "await m.run(x)",
        "m.run()[0]",
        "self = K()",
        "from models import f as h",
        "import models",
        "models.f(x)",
        "h(*x, **x)",
        "def f(): f()",
        "class f: f()",
        "x = [f(f) for f in f]",
        "(lambda f: f(f))(f)",
        "global f",
        "del f",
        "f: int",
        "x = f(x := f)",
        "K().held.run()",
        "with f as f: f()",
        "for f in f: f",
        "try: f()",
        "except f as f: f()",
        "map(f, [f])",
        "K.run(f)",
        "return f(f)(f)",
    ]);
    prop::collection::vec(lines, 0..10)
        .prop_map(|lines| lines.iter().map(|line| format!("    {line}\n")).collect::<String>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_of_it_panics(
        parameter in annotation(), returns in annotation(), field in annotation(), one in body(), two in body(),
    ) {
        let main = format!(
            "{HEADER}    z: {field}\n\
             @tetra_rp.remote(api, method='POST', path='/f')\nasync def f(x: {parameter} = None) -> {returns}:\n    pass\n{one}\
             @tetra_rp.remote(cpu)\nclass K(M, models.K):\n  held: {field}\n  def __init__(self):\n    self.held = K()\n  \
             def run(self, x: {returns}):\n    pass\n{two}"
        );
        let models = format!("from main import *\nclass X(K): y: {field}\nclass K(X): pass\n{}", "def h(): f()\n");
        let mut tree = SourceTree::new("p");
        tree.insert("main.py", main.into_bytes());
        tree.insert("models.py", models.into_bytes());
        let scanned = scan(&tree);
        for (name, resource) in &scanned.manifest.resources {
            super::projects::assert_sound(&flash_model::openapi::document("p", name, resource), name.as_str());
        }
        let manifest = scanned.manifest.to_json().unwrap();
        prop_assert_eq!(flash_model::Manifest::from_json(&manifest).unwrap(), scanned.manifest);
    }
}
