//! Lists the Python files of the SDK, so that the binary carries them: `$OUT_DIR/sdk_files.rs`.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

const PACKAGES: [&str; 2] = ["runpod_flash", "tetra_rp"];

#[expect(clippy::disallowed_methods, reason = "Cargo tells build scripts where they are by the environment")]
fn main() -> io::Result<()> {
    let manifest_dir = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?);
    let out_dir = PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?);
    let python = manifest_dir.join("../../python").canonicalize()?;

    let mut files = Vec::new();
    for package in PACKAGES {
        let root = python.join(package);
        if root.is_dir() {
            collect(&root, package, &mut files)?;
            // A directory is watched with everything below it, so new files are seen too.
            println!("cargo::rerun-if-changed={}", root.display());
        } else {
            println!("cargo::rerun-if-changed={}", python.display());
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
    files.sort();

    let mut source = String::from("pub(crate) const FILES: &[(&str, &[u8])] = &[\n");
    for (relative, absolute) in &files {
        source += &format!("    ({relative:?}, include_bytes!({absolute:?})),\n");
    }
    source += "];\n";
    fs::write(out_dir.join("sdk_files.rs"), source)
}

fn collect(directory: &Path, relative: &str, files: &mut Vec<(String, String)>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{relative}/{name}");
        if entry.file_type()?.is_dir() {
            if !matches!(name.as_str(), "__pycache__" | "test" | "tests") && !name.starts_with('.') {
                collect(&entry.path(), &path, files)?;
            }
        } else if is_carried(&name) {
            files.push((path, entry.path().to_string_lossy().into_owned()));
        }
    }
    Ok(())
}

fn is_carried(name: &str) -> bool {
    name == "py.typed"
        || (name.ends_with(".py")
            && !name.starts_with('.')
            && !name.starts_with("test_")
            && name != "conftest.py")
}
