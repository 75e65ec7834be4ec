//! The table of ARCHITECTURE.md, as edges between crates that must not exist.

use std::collections::{BTreeMap, BTreeSet};

/// Crate, what it must never reach directly or through another crate of ours, and outside crates it must not name.
const FORBIDDEN: &[(&str, &[&str], &[&str])] = &[
    (
        "flash-model",
        &["*"],
        &["tokio", "hyper", "axum", "reqwest", "http", "getrandom", "rusqlite", "fs-err"],
    ),
    (
        "flash-scan",
        &[
            "flash-artifact",
            "flash-plan",
            "flash-providers",
            "flash-mothership",
            "flash-runtime",
            "flash-client",
        ],
        &["tokio", "hyper", "axum", "reqwest", "http", "fs-err"],
    ),
    (
        "flash-artifact",
        &["flash-scan", "flash-plan", "flash-providers", "flash-mothership", "flash-runtime", "flash-client"],
        &["tokio", "hyper", "axum", "reqwest", "http"],
    ),
    (
        "flash-plan",
        &[
            "flash-scan",
            "flash-artifact",
            "flash-providers",
            "flash-mothership",
            "flash-runtime",
            "flash-client",
        ],
        &["tokio", "hyper", "axum", "reqwest", "http", "fs-err", "getrandom", "rusqlite"],
    ),
    ("flash-providers", &["flash-scan", "flash-plan", "flash-mothership", "flash-runtime"], &[]),
    ("flash-mothership", &["flash-scan", "flash-runtime"], &["clap"]),
    (
        "flash-runtime",
        &["flash-scan", "flash-artifact", "flash-plan", "flash-providers", "flash-mothership"],
        &["clap"],
    ),
    (
        "flash-client",
        &[
            "flash-scan",
            "flash-artifact",
            "flash-plan",
            "flash-providers",
            "flash-mothership",
            "flash-runtime",
        ],
        &["clap"],
    ),
];

/// Normal dependencies of every workspace package, by name.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .no_deps()
        .other_options(vec!["--offline".to_owned()])
        .exec()
        .unwrap();
    let normal = |package: &cargo_metadata::Package| {
        let kinds = package.dependencies.iter();
        kinds
            .filter(|edge| edge.kind == cargo_metadata::DependencyKind::Normal)
            .map(|edge| edge.name.clone())
            .collect()
    };
    metadata.packages.iter().map(|package| (package.name.to_string(), normal(package))).collect()
}

fn reachable(from: &str, edges: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(package) = open.pop() {
        for next in edges.get(&package).into_iter().flatten().filter(|name| edges.contains_key(*name)) {
            if found.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    found
}

#[test]
fn no_crate_sees_what_it_must_not() {
    let edges = dependencies();
    let mut broken = Vec::new();
    for (package, ours, outside) in FORBIDDEN {
        let direct = edges.get(*package).unwrap_or_else(|| panic!("{package} is gone; mend the table"));
        for reached in reachable(package, &edges) {
            if ours.contains(&"*") || ours.contains(&reached.as_str()) {
                broken.push(format!("{package} → {reached}"));
            }
        }
        broken.extend(
            outside.iter().filter(|name| direct.contains(**name)).map(|name| format!("{package} → {name}")),
        );
    }
    assert!(broken.is_empty(), "forbidden edges: {broken:?}");
}

#[test]
fn every_crate_is_in_the_table_and_in_the_map() {
    let map = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../ARCHITECTURE.md")).unwrap();
    for package in dependencies().keys().filter(|name| name.starts_with("flash-")) {
        let folder = package.trim_start_matches("flash-");
        let shipped = !matches!(folder, "bench" | "testkit" | "cli");
        assert_eq!(FORBIDDEN.iter().any(|(name, ..)| name == package), shipped, "{package}");
        assert!(
            map.contains(&format!("`crates/{folder}`")) || !shipped || folder == "cli",
            "{package} is not in the map"
        );
    }
}
