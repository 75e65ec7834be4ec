//! What a build made.

use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets};
use flash_artifact::size::ResourceSize;
use flash_artifact::{Artifact, Platform, Selection};
use flash_model::Manifest;
use serde_json::{Value, json};

use super::bytes;
use crate::printer::Printer;

#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) manifest: Manifest,
    pub(crate) manifest_path: PathBuf,
    pub(crate) artifact: Artifact,
    pub(crate) selection: Selection,
    pub(crate) sizes: Vec<ResourceSize>,
    pub(crate) unpacked_bytes: u64,
    pub(crate) platform: Platform,
    pub(crate) build_tree: Option<PathBuf>,
}

pub(crate) fn print(built: &Built, as_json: bool, printer: Printer) {
    if as_json {
        return printer.data(document(built));
    }
    printer.data(table(built));
    printer.data("");
    let line = |name: &str, value: std::fmt::Arguments<'_>| printer.data(format_args!("{name:<9} {value}"));
    line("manifest", format_args!("{}", built.manifest_path.display()));
    line("artifact", format_args!("{}", built.artifact.path.display()));
    if let Some(tree) = &built.build_tree {
        line("files", format_args!("{}", tree.display()));
    }
    line("target", format_args!("Python {}, {}", pythons(&built.manifest).join(" and "), built.platform));
    line(
        "size",
        format_args!(
            "{}, unpacked {} in {} files",
            bytes(built.artifact.size_bytes),
            bytes(built.unpacked_bytes),
            built.artifact.files
        ),
    );
    for defaults in super::environment::lines(&built.manifest) {
        line("defaults", format_args!("{defaults}"));
    }
    line("sha256", format_args!("{}", built.artifact.digest));
}

fn pythons(manifest: &Manifest) -> Vec<&str> {
    let mut versions: Vec<&str> =
        manifest.resources.values().filter_map(|resource| resource.spec.python_version.as_deref()).collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

fn table(built: &Built) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["RESOURCE", "KIND", "CODE", "PACKAGES", "TOTAL"]);
    for size in &built.sizes {
        let resource = built.manifest.resources.get(&size.name);
        let packages = match resource.and_then(|resource| resource.packages.as_ref()) {
            Some(_) => bytes(size.packages_bytes),
            None => "–".to_owned(),
        };
        table.add_row([
            size.name.to_string(),
            resource.map(|resource| resource.spec.kind.label().to_owned()).unwrap_or_default(),
            bytes(size.code_bytes),
            packages,
            bytes(size.total_bytes()),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    super::lines(&table)
}

fn document(built: &Built) -> Value {
    let sizes = built.sizes.iter().map(|size| {
        let packages =
            built.manifest.resources.get(&size.name).and_then(|resource| resource.packages.as_deref());
        let figures = json!({
            "code_bytes": size.code_bytes, "packages_bytes": size.packages_bytes,
            "total_bytes": size.total_bytes(), "packages": packages,
        });
        (size.name.to_string(), figures)
    });
    let forced: Vec<&str> = built.selection.forced.iter().map(|forced| forced.path.as_str()).collect();
    json!({
        "manifest": built.manifest_path, "archive": built.artifact.path, "digest": built.artifact.digest,
        "size_bytes": built.artifact.size_bytes, "unpacked_bytes": built.unpacked_bytes,
        "files": built.artifact.files, "resources": built.manifest.resources.len(),
        "functions": built.manifest.function_registry.len(),
        "python": pythons(&built.manifest), "platform": built.platform.to_string(),
        "sizes": sizes.collect::<serde_json::Map<_, _>>(), "build_tree": built.build_tree,
        "environment_dependent": built.manifest.resources.iter()
            .filter(|(_, resource)| !resource.environment_dependent.is_empty())
            .map(|(name, resource)| (name.to_string(), json!(resource.environment_dependent)))
            .collect::<serde_json::Map<_, _>>(),
        "included": forced, "secrets_left_out": built.selection.secrets,
    })
}
