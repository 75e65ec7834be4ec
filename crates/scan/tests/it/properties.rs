//! Whatever the bytes: a result, the same one for every order of insertion.

use flash_scan::{Scan, SourceTree, scan};
use proptest::prelude::*;

const CONFIG: &str = r#"
from tetra_rp import CpuInstanceType, GpuGroup, LiveLoadBalancer, LiveServerless, NetworkVolume, PodTemplate
PREFIX = "app"
COMMON = {"workersMin": 0, "workersMax": 2, "idleTimeout": 5 * 60}
volume = NetworkVolume(name=f"{PREFIX}-models", size=50)
gpu = LiveServerless(name=PREFIX + "-gpu", gpus=[GpuGroup.ADA_24], networkVolume=volume, **COMMON)
api: LiveLoadBalancer = LiveLoadBalancer(name=f"{PREFIX}-api", env={"A": "1"}, template=PodTemplate(containerDiskInGb=10))
"#;

const GPU: &str = r#"
from tetra_rp import remote
from .config import gpu
@remote(gpu, dependencies=["torch"])
class Model:
    """Holds weights."""
    def __init__(self, name: str = "m"): ...
    async def infer(self, text: str, *, top_k: int = 5) -> dict: ...
"#;

const API: &str = r#"
import tetra_rp as t
from workers import config
@t.remote(config.api, method="GET", path="/items/{item_id}")
async def item(item_id: int, full: bool = False) -> dict:
    from .gpu import Model
    return await Model().infer(str(item_id))
if True:
    @t.remote(config.api, method="post", path="items")
    def nested(): pass
"#;

fn sources() -> Vec<(String, Vec<u8>)> {
    let file = |path: &str, text: &str| (path.to_owned(), text.as_bytes().to_vec());
    vec![
        file("main.py", "from fastapi import FastAPI\nfrom workers import api\napp = FastAPI()\n"),
        file("workers/__init__.py", "from .config import *\n"),
        file("workers/api.py", API),
        file("workers/config.py", CONFIG),
        file("workers/gpu.py", GPU),
    ]
}

fn scan_all(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Scan {
    let mut tree = SourceTree::new("p");
    for (path, bytes) in files {
        tree.insert(path, bytes);
    }
    scan(&tree)
}

/// One edit of one file.
#[derive(Debug, Clone)]
enum Edit {
    Truncate(usize),
    Remove(usize, usize),
    Insert(usize, Vec<u8>),
    Repeat(usize, usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let fragment = prop_oneof![
        prop::sample::select(vec![
            "(",
            ")",
            "[",
            "]",
            "{",
            "}",
            "\"",
            "'''",
            ":",
            "=",
            ",",
            "*",
            "**",
            "@",
            "\\",
            "\n",
            "\n    ",
            "\t",
            "\r",
            "lambda: ",
            "gpu",
            "config",
            "api = api\n",
            "from .config import gpu\n",
            "from workers import *\n",
            "import workers.gpu as config\n",
            "f\"{gpu}\"",
            "None",
            "-",
            "async ",
            "if ",
            "class X(",
            ".config",
            "..",
            "/ping",
            "{item_id}",
            "\u{feff}",
            "é",
            "\0",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop_oneof![
        any::<usize>().prop_map(Edit::Truncate),
        (any::<usize>(), 0..30_usize).prop_map(|(at, length)| Edit::Remove(at, length)),
        (any::<usize>(), fragment).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (any::<usize>(), 1..20_usize, 1..200_usize)
            .prop_map(|(at, length, times)| Edit::Repeat(at, length, times)),
    ]
}

fn apply(bytes: &mut Vec<u8>, edit: &Edit) {
    let place = |at: usize, bytes: &Vec<u8>| at % (bytes.len() + 1);
    match edit {
        Edit::Truncate(at) => bytes.truncate(place(*at, bytes)),
        Edit::Remove(at, length) => {
            let start = place(*at, bytes);
            bytes.drain(start..(start + length).min(bytes.len()));
        }
        Edit::Insert(at, inserted) => {
            let start = place(*at, bytes);
            bytes.splice(start..start, inserted.iter().copied());
        }
        Edit::Repeat(at, length, times) => {
            let start = place(*at, bytes);
            let end = (start + length).min(bytes.len());
            let repeated = bytes[start..end].repeat(*times);
            bytes.splice(end..end, repeated);
        }
    }
}

#[test]
fn the_unedited_project_has_the_problems_it_is_made_with() {
    let codes: Vec<_> = scan_all(sources()).diagnostics.iter().map(|d| d.code.as_str()).collect();
    assert_eq!(codes, ["FL116"]);
}

/// Resources whose hash differs after `text` was added to the file at `path`.
fn changed_by(path: &str, text: &str) -> Vec<String> {
    let mut files = sources();
    files.push(("unrelated.py".to_owned(), b"x = 1\n".to_vec()));
    let before = scan_all(files.clone()).manifest;
    for (file, bytes) in &mut files {
        if file == path {
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    let after = scan_all(files).manifest;
    assert_eq!(before.resources.len(), after.resources.len());
    let differs = |name: &&flash_model::ResourceName| {
        before.resources[*name].config_hash != after.resources[*name].config_hash
    };
    before.resources.keys().filter(differs).map(ToString::to_string).collect()
}

#[test]
fn a_change_touches_exactly_the_resources_that_need_the_file() {
    let all = ["app-api", "app-gpu", "web"];
    assert_eq!(changed_by("unrelated.py", "y = 2\n"), [""; 0]);
    assert_eq!(changed_by("main.py", "y = 2\n"), ["web"]);
    assert_eq!(changed_by("workers/api.py", "y = 2\n"), ["app-api", "web"]);
    assert_eq!(changed_by("workers/gpu.py", "y = 2\n"), all);
    assert_eq!(changed_by("workers/config.py", "y = 2\n"), all);
    assert_eq!(changed_by("workers/__init__.py", "y = 2\n"), all);
}

#[test]
fn values_of_the_environment_are_nowhere_in_the_manifest() {
    let mut files = sources();
    files[3].1.extend_from_slice(b"api = LiveLoadBalancer(name='app-api', env={'KEY': 'hunter2-secret'})\n");
    let scanned = scan_all(files);
    assert!(!scanned.manifest.to_json().unwrap().contains("hunter2"));
    assert_eq!(scanned.environment["app-api"]["KEY"], "hunter2-secret");
    assert_eq!(scanned.manifest.resources["app-api"].spec.env, ["KEY"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_projects_never_panic_and_order_never_shows(
        edits in prop::collection::vec((0..5_usize, edit()), 1..6),
        order in Just((0..5_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut files = sources();
        for (file, edit) in &edits {
            apply(&mut files[*file].1, edit);
        }
        let scanned = scan_all(files.clone());
        let shuffled = scan_all(order.into_iter().map(|index| files[index].clone()));
        prop_assert_eq!(&scanned, &shuffled);
        let manifest = scanned.manifest.to_json().unwrap();
        prop_assert!(flash_model::Manifest::from_json(&manifest).is_ok());
    }

    #[test]
    fn any_bytes_give_a_result(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let scanned = scan_all([("main.py".to_owned(), bytes)]);
        prop_assert_eq!(scanned.files, 1);
    }

    #[test]
    fn any_text_of_python_tokens_gives_a_result(
        words in prop::collection::vec(prop::sample::select(vec![
            "@remote", "(", ")", "[", "]", "{", "}", "def f", ":", "\n", "\n    ", "class A", "name=", "\"x\"", ",",
            "from tetra_rp import *\n", "LiveServerless", "*", "**", ".", "=", "a", "b", "f\"{a}\"", "if ", "lambda ",
            "a = b\n", "b = a\n", "a = a.b\n", "b = a.a + a.b\n", "import a\n", "from . import a\n", "try:\n", "pass\n",
        ]), 0..60)
    ) {
        let text = words.concat().into_bytes();
        scan_all([("a.py".to_owned(), text.clone()), ("b.py".to_owned(), text)]);
    }
}
