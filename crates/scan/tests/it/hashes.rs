//! What changes a resource's hash, and what does not: looks never, code in its closure always, anything else never.

use std::collections::{BTreeMap, BTreeSet};

use flash_scan::{Scan, SourceTree, scan};
use proptest::prelude::*;
use ruff_python_ast::token::TokenKind;
use ruff_text_size::Ranged;

const CONFIG: &str = r#""""Where things run."""

import os
from tetra_rp import CpuLiveServerless, GpuGroup, LiveLoadBalancer, LiveServerless, NetworkVolume

REGION = "EU-RO-1"
models = NetworkVolume(name="models", size=50)
gpu_config = LiveServerless(
    name="gpu", gpus=[GpuGroup.ADA_24], workersMin=0, workersMax=2, networkVolume=models, idleTimeout=60,
)
cpu_config: CpuLiveServerless = CpuLiveServerless(name="cpu", workersMax=3, env={"MODE": "fast", "KEY": os.environ["KEY"]})
(api_config := LiveLoadBalancer(name="api", workersMin=1, datacenter=REGION))
unused_config = LiveServerless(name="unused", workersMax=1)


def is_local() -> bool:
    return os.path.exists("/tmp")
"#;

const TOOLS: &str = r#"
def clean(text: str) -> str:
    """Trims.

    Twice, if "needed".
    """
    if not text:
        return 'none' 'such'
    return text.strip()


class Table:
    rows = [1, 2, 3]

    def first(self, default=None):
        try:
            return self.rows[0]
        except IndexError as error:
            raise KeyError(f"{error!r} of {self.rows[0]:>3}") from error
"#;

const GPU: &str = r#"
from .config import gpu_config, is_local
from tetra_rp import remote


@remote(gpu_config, dependencies=["torch"])
async def infer(text: str, *, top_k: int = 5) -> dict:
    import torch
    return {"local": is_local(), "scores": [torch.tensor(text)[:top_k], {'a': (1,)}]}
"#;

const CPU: &str = r#"
import tetra_rp as t
from jobs import config
from jobs.tools import clean, Table


@t.remote(config.cpu_config)
def prepare(text: str) -> list:
    total = 0
    for word in clean(text).split(" "):
        total += len(word)
    return [total, Table().first(), "it's"]
"#;

const API: &str = r#"
from jobs import api_config as serving
from runpod_flash import remote


@remote(serving, method="POST", path="/run/{kind}")
async def run(kind: str, text: str) -> dict:
    from jobs.cpu import prepare
    match kind:
        case "prepare" | "both":
            return {"result": await prepare(text)}
        case _:
            return {}
"#;

fn project() -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("jobs/__init__.py", "from .config import api_config\nVERSION = 1\n".to_owned()),
        ("jobs/api.py", API.to_owned()),
        ("jobs/config.py", CONFIG.to_owned()),
        ("jobs/cpu.py", CPU.to_owned()),
        ("jobs/gpu.py", GPU.to_owned()),
        ("jobs/tools.py", TOOLS.to_owned()),
        (
            "main.py",
            "from fastapi import FastAPI\nfrom jobs import tools\napp = FastAPI(title=tools.clean(\"x\"))\n"
                .to_owned(),
        ),
        (
            "tests/test_tools.py",
            "from jobs.tools import clean\n\ndef test_clean():\n    assert clean(' a') == 'a'\n".to_owned(),
        ),
    ])
}

fn scanned(project: &BTreeMap<&'static str, String>) -> Scan {
    let mut tree = SourceTree::new("p");
    for (path, text) in project {
        tree.insert(*path, text.clone().into_bytes());
    }
    scan(&tree)
}

fn hashes(project: &BTreeMap<&'static str, String>) -> BTreeMap<String, String> {
    let scanned = scanned(project);
    assert_eq!(scanned.diagnostics, [], "{project:#?}");
    let resources = scanned.manifest.resources.into_iter();
    resources.map(|(name, resource)| (name.to_string(), resource.config_hash)).collect()
}

fn differing(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

#[test]
fn the_project_is_what_these_tests_take_it_for() {
    let manifest = scanned(&project()).manifest;
    let files: Vec<(&str, Vec<&str>)> = manifest
        .resources
        .iter()
        .map(|(name, resource)| (name.as_str(), resource.files.iter().map(String::as_str).collect()))
        .collect();
    assert_eq!(
        files,
        [
            (
                "api",
                vec!["jobs/__init__.py", "jobs/api.py", "jobs/config.py", "jobs/cpu.py", "jobs/tools.py"]
            ),
            ("cpu", vec!["jobs/__init__.py", "jobs/config.py", "jobs/cpu.py", "jobs/tools.py"]),
            ("gpu", vec!["jobs/__init__.py", "jobs/config.py", "jobs/gpu.py"]),
            ("web", vec!["jobs/__init__.py", "jobs/config.py", "jobs/tools.py", "main.py"]),
        ]
    );
}

#[test]
fn a_changed_setting_changes_its_resource_only() {
    let before = hashes(&project());
    for (setting, changed, resources) in [
        ("workersMin=0", "workersMin=1", &["gpu"][..]),
        ("workersMax=2", "workersMax=4", &["gpu"]),
        ("idleTimeout=60", "idleTimeout=61", &["gpu"]),
        ("GpuGroup.ADA_24", "GpuGroup.ADA_80_PRO", &["gpu"]),
        ("GpuGroup.ADA_24]", "GpuGroup.ADA_24], gpuCount=2", &["gpu"]),
        ("size=50", "size=51", &["gpu"]),
        ("name=\"models\"", "name=\"weights\"", &["gpu"]),
        ("workersMax=3", "workersMax=3, flashboot=False", &["cpu"]),
        ("workersMax=3", "workersMax=3, executionTimeoutMs=5", &["cpu"]),
        ("\"MODE\": \"fast\"", "\"MODE\": \"slow\"", &["cpu"]),
        ("\"MODE\": ", "\"MODUS\": ", &["cpu"]),
        ("os.environ[\"KEY\"]", "os.environ[\"OTHER\"]", &["cpu"]),
        ("workersMin=1,", "workersMin=1, scalerValue=9,", &["api"]),
        ("unused", "still_unused", &[]),
        ("workersMax=1)", "workersMax=5)", &[]),
        // Code that settings are worked out from is code of everybody who imports it.
        ("REGION = \"EU-RO-1\"", "REGION = 'EU-' + \"RO-1\"", &["api", "cpu", "gpu", "web"]),
        ("\"/tmp\"", "\"/var\"", &["api", "cpu", "gpu", "web"]),
    ] {
        let mut project = project();
        let config = project.get_mut("jobs/config.py").unwrap();
        assert!(config.contains(setting), "{setting}");
        *config = config.replace(setting, changed);
        assert_eq!(differing(&before, &hashes(&project)), resources, "{setting} → {changed}");
    }
    for (path, setting, changed, resources) in [
        ("jobs/gpu.py", "dependencies=[\"torch\"]", "dependencies=[\"torch>=2\"]", &["gpu"][..]),
        ("jobs/gpu.py", "dependencies=", "system_dependencies=[\"ffmpeg\"], dependencies=", &["gpu"]),
        ("jobs/api.py", "\"/run/{kind}\"", "\"/go/{kind}\"", &["api"]),
        ("jobs/api.py", "\"POST\"", "\"PUT\"", &["api"]),
    ] {
        let mut project = project();
        let file = project.get_mut(path).unwrap();
        assert!(file.contains(setting), "{setting}");
        *file = file.replace(setting, changed);
        assert_eq!(differing(&before, &hashes(&project)), resources, "{setting} → {changed}");
    }
}

/// A statement more, between any two lines that end a statement at any depth of any file.
#[test]
fn a_changed_line_changes_exactly_the_resources_that_need_the_file() {
    let project = project();
    let before = hashes(&project);
    let manifest = scanned(&project).manifest;
    let mut tried = 0;
    for (path, text) in &project {
        let needed_by: Vec<String> = manifest
            .resources
            .iter()
            .filter(|(_, resource)| resource.files.iter().any(|file| file == path))
            .map(|(name, _)| name.to_string())
            .collect();
        for end in
            tokens(text).into_iter().filter(|(kind, _)| *kind == TokenKind::Newline).map(|(_, range)| range)
        {
            let mut changed = project.clone();
            if !ends_statement(&text[..end.start]) {
                continue;
            }
            changed.insert(path, format!("{}; changed = 1{}", &text[..end.start], &text[end.start..]));
            assert_eq!(differing(&before, &hashes(&changed)), needed_by, "{path} at {}", end.start);
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried}");
}

#[test]
fn renamed_resource_variables_change_no_hash() {
    let before = hashes(&project());
    let mut renamed = project();
    for text in renamed.values_mut() {
        for (old, new) in
            [("gpu_config", "big"), ("cpu_config", "small"), ("api_config", "front"), ("serving", "s")]
        {
            *text = text.replace(old, new);
        }
    }
    assert_ne!(renamed, project());
    assert_eq!(differing(&before, &hashes(&renamed)), [""; 0]);
}

fn tokens(text: &str) -> Vec<(TokenKind, std::ops::Range<usize>)> {
    let parsed = ruff_python_parser::parse_module(text).unwrap();
    parsed.tokens().iter().map(|token| (token.kind(), token.range().to_std_range())).collect()
}

/// Not a decorator, and nothing that opens a block.
fn ends_statement(text: &str) -> bool {
    let line = text.lines().last().unwrap_or_default();
    !line.ends_with(':') && !line.trim_start().starts_with('@')
}

/// How a formatter with tastes of its own would write it. Draws one number per decision.
fn reformatted(text: &str, indent: &str, mut draw: impl FnMut() -> u8) -> String {
    let mut out = String::new();
    let mut end = 0;
    let (mut brackets, mut formatted_strings) = (0, 0);
    let mut previous = TokenKind::Newline;
    for (kind, range) in tokens(text) {
        let gap = &text[end..range.start];
        let token = &text[range.clone()];
        end = range.end;
        match kind {
            TokenKind::FStringStart => formatted_strings += 1,
            TokenKind::FStringEnd => formatted_strings -= 1,
            TokenKind::Lpar | TokenKind::Lsqb | TokenKind::Lbrace if formatted_strings == 0 => brackets += 1,
            TokenKind::Rpar | TokenKind::Rsqb | TokenKind::Rbrace if formatted_strings == 0 => brackets -= 1,
            TokenKind::Indent => {
                out.push_str(&token.replace("    ", indent));
                continue;
            }
            _ => {}
        }
        let opened =
            matches!(previous, TokenKind::Comma | TokenKind::Lpar | TokenKind::Lsqb | TokenKind::Lbrace);
        if brackets > 0 && formatted_strings == 0 && opened && draw().is_multiple_of(3) {
            out.push_str("  # why, (oh why?\n   \t");
        } else if brackets == 0 && out.ends_with('\n') {
            if draw().is_multiple_of(3) {
                out.push_str("\n\n            # a comment of its own: \"\n");
            }
            out.push_str(&gap.replace("    ", indent));
        } else {
            out.push_str(gap);
        }
        let plain = token.len() >= 2 && !token.starts_with("\"\"\"") && !token.starts_with("'''");
        match kind {
            TokenKind::String if plain && token.starts_with('"') && !token.contains(['\'', '\\']) => {
                out.push_str(&token.replace('"', "'"));
            }
            TokenKind::String if plain && token.starts_with('\'') && !token.contains(['"', '\\']) => {
                out.push_str(&token.replace('\'', "\""));
            }
            TokenKind::Newline if draw().is_multiple_of(4) => out.push_str("  # at the end\n"),
            TokenKind::Newline if ends_statement(&text[..range.start]) && draw().is_multiple_of(4) => {
                out.push_str(" ;\n\n");
            }
            _ => out.push_str(token),
        }
        previous = kind;
    }
    out.push_str(&text[end..]);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn looks_change_no_hash(
        draws in prop::collection::vec(any::<u8>(), 64),
        indent in prop::sample::select(vec!["  ", "    ", "\t", "        "]),
        line_end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        mark in any::<bool>(),
    ) {
        let before = hashes(&project());
        let mut draws = draws.into_iter().cycle();
        let mut project = project();
        for text in project.values_mut() {
            let pretty = reformatted(text, indent, || draws.next().unwrap());
            *text = format!("{}{}", if mark { "\u{feff}" } else { "" }, pretty.replace('\n', line_end));
        }
        prop_assert_eq!(differing(&before, &hashes(&project)), [""; 0]);
    }
}
