//! The Python SDK (`tetra_rp`, `runpod_flash`) that this binary carries, put on disk where Python can import it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use crate::{digest, publish};

mod files {
    include!(concat!(env!("OUT_DIR"), "/sdk_files.rs"));
}

/// The packages it consists of.
pub const PACKAGES: [&str; 2] = ["runpod_flash", "tetra_rp"];

const FOLDER_NAME_DIGITS: usize = 16;

/// SHA-256 over paths and contents of the carried files, as 64 lower-case hex digits.
pub fn digest() -> &'static str {
    static DIGEST: OnceLock<String> = OnceLock::new();
    DIGEST.get_or_init(|| {
        let mut hasher = Sha256::new();
        for (path, bytes) in files::FILES {
            for part in [path.as_bytes(), bytes] {
                hasher.update((part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
        }
        digest::hex(hasher)
    })
}

/// Relative paths of the carried files, with `/`, sorted.
pub fn paths() -> impl Iterator<Item = &'static str> {
    files::FILES.iter().map(|(path, _)| *path)
}

/// Paths as in [`paths`], with contents.
pub(crate) fn files() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    files::FILES.iter().copied()
}

/// Writes the SDK to `{parent}/{first 16 hex digits of its digest}/`, the folder to put on `PYTHONPATH`, and returns
/// it. Does nothing when it is there. Safe when several processes do it at once.
pub fn materialize(parent: &Path) -> io::Result<PathBuf> {
    publish::directory(&parent.join(&digest()[..FOLDER_NAME_DIGITS]), |directory| {
        for (path, bytes) in files::FILES {
            let file = directory.join(path);
            if let Some(folder) = file.parent() {
                fs_err::create_dir_all(folder)?;
            }
            fs_err::write(&file, bytes)?;
        }
        Ok(())
    })
}
