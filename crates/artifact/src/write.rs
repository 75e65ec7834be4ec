//! Packs a project and its manifest into a deterministic archive: same files, same bytes, on every machine.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flash_model::Manifest;
use flate2::{Compression, GzBuilder};
use tar::{EntryType, Header};

use crate::digest::DigestWriter;
use crate::{SelectedFile, Selection};

/// Where the manifest lies in the archive. A project file of that name gives way to it.
pub const MANIFEST_FILE: &str = "flash_manifest.json";

const MODE_FILE: u32 = 0o644;
const MODE_EXECUTABLE: u32 = 0o755;
const NAME_BYTES_MAX: usize = 100;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot write the archive to {path}")]
    Destination {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot pack {path}")]
    Pack {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("{path} changed while it was being packed; build again")]
    Changed { path: String },
    #[error("cannot encode the manifest")]
    Manifest(#[source] flash_model::ManifestError),
}

/// A finished archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    pub path: PathBuf,
    /// SHA-256 of the file, as 64 lower-case hex digits: the artifact's name everywhere else.
    pub digest: String,
    pub size_bytes: u64,
    /// Members, the manifest included.
    pub files: usize,
}

/// Writes beside `destination` and renames at the end: an interrupted build leaves the previous archive as it was.
pub fn write(selection: &Selection, manifest: &Manifest, destination: &Path) -> Result<Artifact, Error> {
    let manifest = manifest.to_json().map_err(|error| Error::Manifest(error.into()))?;
    let failed = |source| Error::Destination { path: destination.to_owned(), source };
    let parent =
        destination.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs_err::create_dir_all(parent).map_err(failed)?;
    let mut temporary = tempfile::Builder::new()
        .prefix(".incomplete-")
        .suffix(".tar.gz")
        .tempfile_in(parent)
        .map_err(failed)?;

    let output = DigestWriter::new(io::BufWriter::new(temporary.as_file_mut()));
    // No time and no file name in the header.
    let gzip = GzBuilder::new().mtime(0).write(output, Compression::default());
    let mut archive = tar::Builder::new(gzip);
    let files = pack(&mut archive, selection, manifest.as_bytes())?;
    let (mut output, digest, size_bytes) =
        archive.into_inner().and_then(|gzip| gzip.finish()).map_err(failed)?.finish();
    output.flush().map_err(failed)?;
    drop(output);

    make_readable(temporary.path()).map_err(failed)?;
    temporary.as_file().sync_data().map_err(failed)?;
    temporary.persist(destination).map_err(|error| failed(error.error))?;
    Ok(Artifact { path: destination.to_owned(), digest, size_bytes, files })
}

fn pack<W: Write>(
    archive: &mut tar::Builder<W>,
    selection: &Selection,
    manifest: &[u8],
) -> Result<usize, Error> {
    let before = |file: &&SelectedFile| file.path.as_str() < MANIFEST_FILE;
    let after = |file: &&SelectedFile| file.path.as_str() > MANIFEST_FILE;
    let mut files = 0;
    for file in selection.files.iter().filter(before) {
        append_file(archive, file)?;
        files += 1;
    }
    append(archive, MANIFEST_FILE, MODE_FILE, manifest.len() as u64, manifest)
        .map_err(|source| Error::Pack { path: MANIFEST_FILE.to_owned(), source })?;
    for file in selection.files.iter().filter(after) {
        append_file(archive, file)?;
        files += 1;
    }
    Ok(files + 1)
}

fn append_file<W: Write>(archive: &mut tar::Builder<W>, file: &SelectedFile) -> Result<(), Error> {
    let failed = |source| Error::Pack { path: file.path.clone(), source };
    let source = fs_err::File::open(&file.absolute).map_err(failed)?;
    let size_bytes = source.metadata().map_err(failed)?.len();
    let mode = if file.executable { MODE_EXECUTABLE } else { MODE_FILE };
    let mut content = Counted { inner: source.take(size_bytes), count_bytes: 0 };
    append(archive, &file.path, mode, size_bytes, &mut content).map_err(failed)?;
    // A file that shrank would shift everything after it.
    if content.count_bytes == size_bytes { Ok(()) } else { Err(Error::Changed { path: file.path.clone() }) }
}

/// Members are named `./path`, as in the reference. The tar crate would drop the `./`, hence by hand.
fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    path: &str,
    mode: u32,
    size_bytes: u64,
    content: impl Read,
) -> io::Result<()> {
    let name = format!("./{path}");
    if name.len() > NAME_BYTES_MAX {
        let mut terminated = name.clone().into_bytes();
        terminated.push(0);
        let header = header("././@LongLink", EntryType::GNULongName, MODE_FILE, terminated.len() as u64);
        archive.append(&header, terminated.as_slice())?;
    }
    archive.append(&header(&name, EntryType::Regular, mode, size_bytes), content)
}

fn header(name: &str, kind: EntryType, mode: u32, size_bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    let bytes = name.as_bytes();
    let count = bytes.len().min(NAME_BYTES_MAX);
    header.as_old_mut().name[..count].copy_from_slice(&bytes[..count]);
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size_bytes);
    header.set_cksum();
    header
}

#[cfg(unix)]
fn make_readable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(MODE_FILE))
}

#[cfg(not(unix))]
fn make_readable(_: &Path) -> io::Result<()> {
    Ok(())
}

struct Counted<R> {
    inner: R,
    count_bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count_bytes += count as u64;
        Ok(count)
    }
}
