//! The project that scanning is measured on: as many files as asked for, the same bytes every time.
//!
//! Areas of twenty modules of about a hundred lines. In each, two modules hold decorated functions and import one more each,
//! or three over two steps; the others are in no closure: tests, scripts, what nobody uses any more. All 50 resources
//! are in one module. So a tenth of the files has decorators, and a fifth or two fifths matter to some resource.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;

pub(crate) const RESOURCES: usize = 50;
const AREA: usize = 20;

/// How many of the files some resource needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needed {
    Fifth,
    TwoFifths,
}

/// Writes `files` files in all below `root`, which must not exist.
pub(crate) fn project(root: &Path, files: usize, needed: Needed) -> Result<()> {
    fs::create_dir_all(root.join("fleet"))?;
    fs::write(root.join("fleet/resources.py"), resources())?;
    for number in 0..files.saturating_sub(1) {
        let (area, module) = (number / AREA, number % AREA);
        let folder = root.join(format!("area_{area:03}"));
        if module == 0 {
            fs::create_dir_all(&folder)?;
        }
        fs::write(folder.join(format!("module_{module:02}.py")), source(number, module, needed))?;
    }
    Ok(())
}

/// The module of area 0 that [`changed`] is for; other modules of its closure import it.
pub(crate) const CHANGED: &str = "area_000/module_01.py";

/// Other code for [`CHANGED`], of the same length in lines.
pub(crate) fn changed(round: usize) -> String {
    source(1, 1, Needed::Fifth).replace("LIMIT = 1", &format!("LIMIT = {}", 1_000 + round))
}

fn resources() -> String {
    let mut text = String::from("from tetra_rp import CpuLiveServerless, GpuGroup, LiveServerless\n\n");
    text.push_str("COMMON = {\"workersMin\": 0, \"idleTimeout\": 60}\n\n");
    for number in 0..RESOURCES {
        let workers = 1 + number % 5;
        let line = match number % 2 {
            0 => format!(
                "LiveServerless(name=\"pool-{number:02}\", gpus=[GpuGroup.ADA_24], workersMax={workers}, **COMMON)"
            ),
            _ => format!("CpuLiveServerless(name=\"pool-{number:02}\", workersMax={workers}, **COMMON)"),
        };
        let _ = writeln!(text, "pool_{number:02} = {line}");
    }
    text
}

fn source(number: usize, module: usize, needed: Needed) -> String {
    let mut text = format!(
        "\"\"\"Module {module} of its area: rows in, totals out.\n\nGenerated for the benchmark; number {number}.\n\"\"\"\n\n"
    );
    text.push_str("from __future__ import annotations\n\nimport json\nimport logging\nfrom dataclasses import dataclass, field\n");
    text.push_str("from typing import Any, Iterable\n\n");
    let decorated = module.is_multiple_of(10);
    let imported: &[usize] = match (module % 10, needed) {
        (0, Needed::Fifth) => &[1],
        (0, Needed::TwoFifths) => &[1, 2],
        (1, Needed::TwoFifths) => &[3],
        _ => &[],
    };
    if decorated {
        let _ = writeln!(text, "from fleet.resources import pool_{:02}", (number / 10) % RESOURCES);
        text.push_str("from tetra_rp import remote\n\n");
    }
    for step in imported {
        let target = module / 10 * 10 + step;
        let _ = writeln!(text, "from .module_{target:02} import Row, total as total_{step}");
    }
    let _ = write!(text, "\nlog = logging.getLogger(__name__)\nLIMIT = {number}\n");
    text.push_str(BODY);
    if decorated {
        let _ = write!(
            text,
            "\n\n@remote(pool_{:02}, dependencies=[\"numpy>=1.26\"])\nasync def predict_{number:05}(text: str, top_k: int = 5) -> dict[str, Any]:\n    \
             \"\"\"Answers one request.\"\"\"\n    rows = parse(text)\n    log.info(\"%d rows\", len(rows))\n    \
             return {{\"total\": total_1(rows), \"top\": best(rows, top_k)}}\n",
            (number / 10) % RESOURCES
        );
    }
    text
}

const BODY: &str = r##"
NAMES = {"a": 1, "b": 2, "c": 3}


@dataclass(frozen=True)
class Row:
    """One line of input."""

    key: str
    values: list[float] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return len(self.values)

    def scaled(self, factor: float = 1.0) -> Row:
        return Row(self.key, [value * factor for value in self.values], self.meta | {"factor": factor})

    def mean(self) -> float:
        if not self.values:
            return 0.0
        return sum(self.values) / len(self.values)


def parse(text: str) -> list[Row]:
    """Reads `key: number, number` per line; what is no number counts as zero."""
    rows = []
    for index, line in enumerate(text.splitlines()):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        key, _, rest = line.partition(":")
        values = []
        for part in rest.split(","):
            try:
                values.append(float(part))
            except ValueError:
                log.warning("line %d: %r is no number", index + 1, part)
                values.append(0.0)
        rows.append(Row(key.strip(), values, {"line": index + 1}))
    return rows


def total(rows: Iterable[Row]) -> float:
    return sum(sum(row.values) for row in rows if row.size > 0)


def best(rows: Iterable[Row], count: int = 3) -> list[str]:
    ranked = sorted(rows, key=lambda row: (-row.mean(), row.key))
    return [f"{row.key}={row.mean():.2f}" for row in ranked[:count]]


class Store:
    """Keeps rows by key, the newest last."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.rows: dict[str, Row] = {}

    def add(self, row: Row) -> bool:
        if row.key in self.rows:
            del self.rows[row.key]
        self.rows[row.key] = row
        while len(self.rows) > self.limit > 0:
            oldest = next(iter(self.rows))
            del self.rows[oldest]
        return row.key in self.rows

    def dump(self) -> str:
        return json.dumps({key: row.values for key, row in self.rows.items()}, sort_keys=True)
"##;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_have_about_a_hundred_lines_and_a_tenth_has_decorators() {
        let decorated =
            (0..AREA).filter(|module| source(*module, *module, Needed::Fifth).contains("@remote")).count();
        assert_eq!(decorated * 10, AREA);
        for module in 0..AREA {
            let lines = source(module, module, Needed::TwoFifths).lines().count();
            assert!((85..=115).contains(&lines), "{lines}");
        }
        assert_ne!(changed(0), changed(1));
        assert_ne!(changed(0), source(1, 1, Needed::Fifth));
    }
}
