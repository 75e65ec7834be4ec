//! Puts the error pages of `docs/errors` into the binary, for `flash explain`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "cargo tells build scripts things this way")]
    let variable = |name| env::var_os(name).map(PathBuf::from).unwrap_or_default();
    let pages = variable("CARGO_MANIFEST_DIR").join("../../docs/errors");
    println!("cargo:rerun-if-changed={}", pages.display());
    let mut files: Vec<PathBuf> =
        fs::read_dir(&pages)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.sort();
    let mut source = String::from("const PAGES: &[(&str, &str)] = &[\n");
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        if name.starts_with("FL") {
            let _ = writeln!(source, "    ({name:?}, include_str!({:?})),", fs::canonicalize(&file)?);
        }
    }
    source.push_str("];\n");
    fs::write(variable("OUT_DIR").join("pages.rs"), source)
}
