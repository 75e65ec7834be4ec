//! Packs a layout into a deterministic archive: same files, same bytes, on every machine.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tar::{EntryType, Header};
use tempfile::NamedTempFile;

use crate::digest::DigestWriter;
use crate::gzip;
use crate::layout::{Content, Layout, PackedFile};

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
    #[error("the archive would replace {path}, which is {what}; name another file")]
    Occupied { path: PathBuf, what: &'static str },
    #[error("cannot compress or store the archive")]
    Output(#[from] io::Error),
    #[error("cannot pack {path}")]
    Pack {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("{path} changed while it was being packed; build again")]
    Changed { path: String },
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

/// An archive that is complete and on disk, but not yet in its place. Gone when dropped.
#[derive(Debug)]
pub struct Staged {
    temporary: NamedTempFile,
    artifact: Artifact,
}

impl Staged {
    /// Puts it in its place, where it replaces an earlier one at once.
    pub fn publish(self) -> Result<Artifact, Error> {
        let path = &self.artifact.path;
        self.temporary
            .persist(path)
            .map_err(|error| Error::Destination { path: path.clone(), source: error.error })?;
        Ok(self.artifact)
    }
}

/// Writes beside `destination` and renames at the end: an interrupted build leaves the previous archive as it was.
pub fn write(layout: &Layout<'_>, destination: &Path) -> Result<Artifact, Error> {
    stage(layout, destination)?.publish()
}

/// Whether an archive may take this place. Only another archive gives way to it, or a file without content: a mistyped
/// name must cost nobody a source file or a device.
pub fn check_destination(destination: &Path) -> Result<(), Error> {
    let occupied = |what| Err(Error::Occupied { path: destination.to_owned(), what });
    let failed = |source| Error::Destination { path: destination.to_owned(), source };
    let metadata = match std::fs::metadata(destination) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if metadata.is_dir() {
        return occupied("a folder");
    } else if !metadata.is_file() {
        return occupied("no regular file");
    } else if metadata.len() == 0 {
        return Ok(());
    }
    let mut file = std::fs::File::open(destination).map_err(failed)?;
    match gzip::kind(&mut file).map_err(failed)? {
        gzip::Kind::Artifact | gzip::Kind::OtherGzip => Ok(()),
        gzip::Kind::Other => occupied("no archive"),
    }
}

/// Whether a file was made by [`write`]: told by its first bytes.
pub fn is_artifact(path: &Path) -> bool {
    let kind = std::fs::File::open(path).and_then(|mut file| gzip::kind(&mut file));
    kind.is_ok_and(|kind| kind == gzip::Kind::Artifact)
}

/// Everything that can fail about an archive, short of putting it in its place.
pub fn stage(layout: &Layout<'_>, destination: &Path) -> Result<Staged, Error> {
    let failed = |source| Error::Destination { path: destination.to_owned(), source };
    let parent =
        destination.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if destination.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    fs_err::create_dir_all(parent).map_err(failed)?;
    let mut temporary = tempfile::Builder::new()
        .prefix(".incomplete-")
        .suffix(".tar.gz")
        .tempfile_in(parent)
        .map_err(failed)?;

    let mut output = DigestWriter::new(io::BufWriter::new(temporary.as_file_mut()));
    gzip::compress(&mut output, |stream| pack(&mut tar::Builder::new(stream), layout))?;
    let (mut output, digest, size_bytes) = output.finish();
    output.flush().map_err(failed)?;
    drop(output);

    make_readable(temporary.path()).map_err(failed)?;
    temporary.as_file().sync_data().map_err(failed)?;
    let files = layout.files().len();
    Ok(Staged { temporary, artifact: Artifact { path: destination.to_owned(), digest, size_bytes, files } })
}

fn pack<W: Write>(archive: &mut tar::Builder<W>, layout: &Layout<'_>) -> Result<(), Error> {
    for (path, file) in layout.files() {
        append_file(archive, path, file)?;
    }
    Ok(archive.finish()?)
}

fn append_file<W: Write>(
    archive: &mut tar::Builder<W>,
    path: &str,
    file: &PackedFile<'_>,
) -> Result<(), Error> {
    let failed = |source| Error::Pack { path: path.to_owned(), source };
    let mode = if file.executable { MODE_EXECUTABLE } else { MODE_FILE };
    let (absolute, size_bytes) = match &file.content {
        Content::Bytes(bytes) => {
            return append(archive, path, mode, bytes.len() as u64, bytes.as_ref()).map_err(failed);
        }
        Content::File { absolute, size_bytes } => (absolute, *size_bytes),
    };
    let source = fs_err::File::open(absolute).map_err(failed)?;
    let found_bytes = source.metadata().map_err(failed)?.len();
    let mut content = Counted { inner: source.take(size_bytes), count_bytes: 0 };
    append(archive, path, mode, size_bytes, &mut content).map_err(failed)?;
    // A file that shrank would shift everything after it; of one that grew we would pack a part.
    if (content.count_bytes, found_bytes) == (size_bytes, size_bytes) {
        Ok(())
    } else {
        Err(Error::Changed { path: path.to_owned() })
    }
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
