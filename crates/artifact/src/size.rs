//! How large an artifact is, and what makes it so.

use std::path::Path;
use std::str::FromStr;

use flash_model::{Manifest, ResourceName};

use crate::installed::distributions;
use crate::layout::{Layout, PACKAGES_FOLDER};
use crate::requirements::Excluded;

/// What one resource needs of an artifact, unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceSize {
    pub name: ResourceName,
    /// Of the project files in its import closure. Files that several resources need count for each.
    pub code_bytes: u64,
    pub packages_bytes: u64,
}

impl ResourceSize {
    pub fn total_bytes(&self) -> u64 {
        self.code_bytes + self.packages_bytes
    }
}

/// In the order of the manifest.
pub fn by_resource(layout: &Layout<'_>, manifest: &Manifest) -> Vec<ResourceSize> {
    let sizes = manifest.resources.iter().map(|(name, resource)| {
        let files = resource.files.iter().filter_map(|path| layout.get(path));
        ResourceSize {
            name: name.clone(),
            code_bytes: files.map(|file| file.content.size_bytes()).sum(),
            packages_bytes: resource.packages.as_deref().map_or(0, |place| layout.size_below_bytes(place)),
        }
    });
    sizes.collect()
}

/// A package or a file, with its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// `torch 2.6.0`, or a path.
    pub name: String,
    pub size_bytes: u64,
}

/// The `count` largest installed packages and files of the project, largest first. `packages` are the folders that
/// [`Layout::add_packages`] was given, with what that left out; a package that lies in several counts as often.
pub fn largest<'a>(
    layout: &Layout<'_>,
    packages: impl IntoIterator<Item = &'a Path>,
    excluded: &Excluded,
    count: usize,
) -> Vec<Part> {
    let prefix = format!("{PACKAGES_FOLDER}/");
    let installed = packages
        .into_iter()
        .flat_map(distributions)
        .filter(|package| package.excluded_as(excluded).is_none());
    let own = layout.files().filter(|(path, _)| !path.starts_with(&prefix));
    let mut parts: Vec<Part> = own
        .map(|(path, file)| Part { name: path.to_owned(), size_bytes: file.content.size_bytes() })
        .chain(installed.map(|package| Part {
            name: format!("{} {}", package.name, package.version),
            size_bytes: package.size_bytes(),
        }))
        .collect();
    parts.sort_by(|left, right| {
        right.size_bytes.cmp(&left.size_bytes).then_with(|| left.name.cmp(&right.name))
    });
    parts.truncate(count);
    parts
}

/// A number of bytes as people write it: `500`, `500MiB`, `1.5GB`. Without a unit it is MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("{text:?} is not a size; write 500MiB or 1.5GB");
        let text = text.trim();
        let unit_at = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        let number: f64 = number.parse().map_err(|_| refused())?;
        let factor: f64 = match unit.trim().to_ascii_lowercase().as_str() {
            "b" => 1.0,
            "k" | "kb" => 1e3,
            "m" | "mb" => 1e6,
            "g" | "gb" => 1e9,
            "kib" => 1024.0,
            "" | "mib" => 1024.0 * 1024.0,
            "gib" => 1024.0 * 1024.0 * 1024.0,
            _ => return Err(refused()),
        };
        let bytes = (number * factor).round();
        // Within what a float counts exactly.
        if (1.0..=9e15).contains(&bytes) { Ok(Self(bytes as u64)) } else { Err(refused()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        let check = |text: &str, expected: u64| assert_eq!(text.parse(), Ok(ByteSize(expected)), "{text}");
        check("500", 500 * 1024 * 1024);
        check("500MiB", 500 * 1024 * 1024);
        check("1.5GB", 1_500_000_000);
        check("2 gib", 2 << 30);
        check("10kB", 10_000);
        check("7B", 7);
        for text in ["", "MB", "-1", "0", "1.2.3MB", "5 apples", "1e9", "99999999999GB", "NaN", "inf"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
