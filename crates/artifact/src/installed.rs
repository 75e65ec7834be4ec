//! Packages in an installed folder, as installers record them (`*.dist-info/RECORD`, PEP 376 and 427).

use std::path::Path;

use crate::requirements::Excluded;

/// One installed package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Distribution {
    /// As its folder is named: `typing_extensions`.
    pub(crate) name: String,
    pub(crate) version: String,
    /// Paths below the folder, with `/`, and sizes where they are recorded.
    pub(crate) files: Vec<(String, u64)>,
}

impl Distribution {
    pub(crate) fn size_bytes(&self) -> u64 {
        self.files.iter().map(|(_, size_bytes)| size_bytes).sum()
    }

    /// The name by which it is excluded, if it is.
    pub(crate) fn excluded_as(&self, excluded: &Excluded) -> Option<String> {
        Excluded::parse([self.name.as_str()])
            .ok()?
            .names()
            .find(|name| excluded.contains(name))
            .map(str::to_owned)
    }
}

/// Sorted by name. What no installer recorded is not among them.
pub(crate) fn distributions(folder: &Path) -> Vec<Distribution> {
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<Distribution> = entries
        .filter_map(|entry| {
            let directory = entry.file_name().into_string().ok()?;
            let (name, version) = directory.strip_suffix(".dist-info")?.split_once('-')?;
            let record = fs_err::read_to_string(entry.path().join("RECORD")).ok()?;
            let files = record.lines().filter_map(recorded).collect();
            Some(Distribution { name: name.to_owned(), version: version.to_owned(), files })
        })
        .collect();
    found.sort_by(|left, right| left.name.cmp(&right.name));
    found
}

/// `path,hash,size`; the path in quotation marks if it holds a comma.
fn recorded(line: &str) -> Option<(String, u64)> {
    let (rest, size_bytes) = line.rsplit_once(',')?;
    let (path, _hash) = rest.rsplit_once(',')?;
    let path = match path.strip_prefix('"').and_then(|path| path.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => path.to_owned(),
    };
    Some((path, size_bytes.trim().parse().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_installers_write_them() {
        let check = |line: &str, expected: Option<(&str, u64)>| {
            let expected = expected.map(|(path, size_bytes)| (path.to_owned(), size_bytes));
            assert_eq!(recorded(line), expected, "{line}");
        };
        check("numpy/__init__.py,sha256=abc,25", Some(("numpy/__init__.py", 25)));
        check("numpy-2.dist-info/RECORD,,", Some(("numpy-2.dist-info/RECORD", 0)));
        check("\"a,b \"\"c\"\".py\",sha256=x,1\r", Some(("a,b \"c\".py", 1)));
        check("nonsense", None);
    }
}
