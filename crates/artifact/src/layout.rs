//! What an artifact holds, and where: the project's files at the root, beside them what the build adds.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use flash_model::{EndpointKind, Manifest};

use crate::installed::distributions;
use crate::requirements::Excluded;
use crate::select::is_executable;
use crate::{Selection, handlers, sdk};

/// Where the manifest lies. A project file of that name gives way to it.
pub const MANIFEST_FILE: &str = "flash_manifest.json";

/// One folder per requirement set lies below.
pub const PACKAGES_FOLDER: &str = "packages";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("file name {path:?} is not UTF-8")]
    NotUnicode { path: PathBuf },
    #[error("cannot encode the manifest")]
    Manifest(#[source] flash_model::ManifestError),
}

/// Which excluded packages an installed folder holds all the same, because others require them; sorted.
pub fn excluded_in(folder: &Path, excluded: &Excluded) -> BTreeSet<String> {
    distributions(folder).iter().filter_map(|package| package.excluded_as(excluded)).collect()
}

/// Files by their path in the artifact (relative, with `/`), in the order in which they are packed.
#[derive(Debug, Clone, Default)]
pub struct Layout<'a> {
    files: BTreeMap<String, PackedFile<'a>>,
}

#[derive(Debug, Clone)]
pub struct PackedFile<'a> {
    pub executable: bool,
    pub content: Content<'a>,
}

#[derive(Debug, Clone)]
pub enum Content<'a> {
    Bytes(Cow<'a, [u8]>),
    /// Read when it is packed; it must have this size then.
    File {
        absolute: PathBuf,
        size_bytes: u64,
    },
}

impl Content<'_> {
    pub fn size_bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { size_bytes, .. } => *size_bytes,
        }
    }
}

impl<'a> Layout<'a> {
    /// The project's own files. What `known` has is packed from there, so that an artifact holds what was scanned, even
    /// if the file has changed since.
    pub fn of_project(selection: &Selection, known: impl Fn(&str) -> Option<&'a [u8]>) -> Self {
        let files = selection.files.iter().filter(|file| file.path != MANIFEST_FILE);
        let packed = files.map(|file| {
            let content = match known(&file.path) {
                Some(bytes) => Content::Bytes(Cow::Borrowed(bytes)),
                None => Content::File { absolute: file.absolute.clone(), size_bytes: file.size_bytes },
            };
            (file.path.clone(), PackedFile { executable: file.executable, content })
        });
        Self { files: packed.collect() }
    }

    /// Every file below `folder`, without any rule: an unpacked artifact gives the layout it was packed from.
    pub fn of_folder(folder: &Path) -> Result<Self, Error> {
        let mut layout = Self::default();
        layout.add_folder("", folder, &|_| true)?;
        Ok(layout)
    }

    /// Files of the project that lie where [`Self::add_generated`] must put its own, and where in the artifact that is.
    pub fn taken(&self, manifest: &Manifest) -> Vec<&str> {
        let handlers: BTreeSet<&str> =
            manifest.resources.values().map(|resource| resource.handler_file.as_str()).collect();
        let is_taken = |path: &str| {
            let (top, rest) = path.split_once('/').unwrap_or((path, ""));
            let is_sdk = sdk::PACKAGES.iter().any(|package| {
                // A module beside a package of the same name is never imported, but who wrote it meant something.
                top == *package || (rest.is_empty() && top.strip_suffix(".py") == Some(package))
            });
            is_sdk || handlers.contains(path) || is_package_folder(path)
        };
        self.files.keys().map(String::as_str).filter(|path| is_taken(path)).collect()
    }

    /// The manifest, the SDK and one handler per resource.
    pub fn add_generated(&mut self, manifest: &Manifest) -> Result<(), Error> {
        let json = manifest.to_json().map_err(|error| Error::Manifest(error.into()))?;
        self.add_bytes(MANIFEST_FILE, json.into_bytes());
        for (path, bytes) in sdk::files() {
            let content = Content::Bytes(Cow::Borrowed(bytes));
            self.files.insert(path.to_owned(), PackedFile { executable: false, content });
        }
        for (name, resource) in &manifest.resources {
            let starts = match (resource.spec.kind, &resource.spec.asgi) {
                (EndpointKind::Queue, _) => handlers::Starts::Queue,
                (EndpointKind::LoadBalanced, _) => handlers::Starts::LoadBalanced,
                (EndpointKind::Asgi, Some(application)) => handlers::Starts::Application(application),
                (EndpointKind::Asgi, None) => continue,
            };
            let source = handlers::source(name.as_str(), &starts, resource.packages.as_deref());
            self.add_bytes(&resource.handler_file, source.into_bytes());
        }
        Ok(())
    }

    /// An installed folder of packages, at the place that the manifest names (`packages/<key>`), without the packages
    /// that are excluded, whoever required them. Byte code is left out too: it is another Python's and would differ from
    /// build to build.
    pub fn add_packages(&mut self, place: &str, folder: &Path, excluded: &Excluded) -> Result<(), Error> {
        self.add_folder(&format!("{place}/"), folder, &|name| {
            name != "__pycache__" && !name.ends_with(".pyc") && name != ".lock"
        })?;
        for package in distributions(folder).iter().filter(|package| package.excluded_as(excluded).is_some())
        {
            for (path, _) in &package.files {
                self.files.remove(&format!("{place}/{path}"));
            }
        }
        Ok(())
    }

    pub fn files(&self) -> impl ExactSizeIterator<Item = (&str, &PackedFile<'a>)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }

    pub fn get(&self, path: &str) -> Option<&PackedFile<'a>> {
        self.files.get(path)
    }

    /// Of all files, unpacked.
    pub fn size_bytes(&self) -> u64 {
        self.files.values().map(|file| file.content.size_bytes()).sum()
    }

    /// Of what lies below a folder (`packages/<key>`), unpacked.
    pub fn size_below_bytes(&self, folder: &str) -> u64 {
        let prefix = format!("{folder}/");
        let below = self.files.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
        below.map(|(_, file)| file.content.size_bytes()).sum()
    }

    /// Writes all files to an existing folder.
    pub fn write_to(&self, folder: &Path) -> io::Result<()> {
        for (path, file) in &self.files {
            let target = folder.join(path);
            if let Some(parent) = target.parent() {
                fs_err::create_dir_all(parent)?;
            }
            match &file.content {
                Content::Bytes(bytes) => fs_err::write(&target, bytes)?,
                Content::File { absolute, .. } => fs_err::copy(absolute, &target).map(drop)?,
            }
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                let mode = if file.executable { 0o755 } else { 0o644 };
                fs_err::set_permissions(&target, std::fs::Permissions::from_mode(mode))?;
            }
        }
        Ok(())
    }

    fn add_bytes(&mut self, path: &str, bytes: Vec<u8>) {
        let content = Content::Bytes(Cow::Owned(bytes));
        self.files.insert(path.to_owned(), PackedFile { executable: false, content });
    }

    /// Symbolic links are followed where they lead to files.
    fn add_folder(
        &mut self,
        prefix: &str,
        folder: &Path,
        belongs: &dyn Fn(&str) -> bool,
    ) -> Result<(), Error> {
        let failed = |source| Error::Read { path: folder.to_owned(), source };
        for entry in fs_err::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let absolute = entry.path();
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                return Err(Error::NotUnicode { path: absolute });
            };
            if !belongs(&name) {
                continue;
            }
            let path = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                self.add_folder(&format!("{path}/"), &absolute, belongs)?;
                continue;
            }
            let metadata = fs_err::metadata(&absolute)
                .map_err(|source| Error::Read { path: absolute.clone(), source })?;
            if metadata.is_file() {
                let content = Content::File { size_bytes: metadata.len(), absolute };
                self.files.insert(path, PackedFile { executable: is_executable(&metadata), content });
            }
        }
        Ok(())
    }
}

/// `packages/` itself is a usual name for people's own folders; only what looks like ours is taken.
fn is_package_folder(path: &str) -> bool {
    let mut segments = path.split('/');
    segments.next() == Some(PACKAGES_FOLDER)
        && segments
            .next()
            .is_some_and(|key| key.len() == 16 && key.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
