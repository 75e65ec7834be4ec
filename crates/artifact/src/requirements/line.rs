//! One requirement, as an installer's requirements file holds it.

use std::path::{Component, Path, PathBuf};

use pep508_rs::pep440_rs::VersionSpecifiers;
use pep508_rs::{ExtraName, MarkerTree, PackageName, Requirement as Pep508, VerbatimUrl, VersionOrUrl};

use crate::target::Target;

/// Names of this SDK: the binary itself satisfies them.
const SDK_NAMES: [&str; 2] = ["runpod-flash", "tetra-rp"];

const ARCHIVE_SUFFIXES: [&str; 5] = [".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz"];

const PARENTHESES_MAX: usize = 64;

/// A requirement; ordered by normalised name, those without a name first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    /// Normalised (PEP 503). URLs and paths may have none.
    pub name: Option<String>,
    /// The line to give to an installer, `--hash` options included.
    pub text: String,
}

/// Which versions of its package a requirement admits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Versions {
    /// Any, where there are none.
    Specified(VersionSpecifiers),
    /// The one that lies there.
    Url(String),
}

impl Requirement {
    /// Reads PEP 508 text, or a URL or path as pip takes it; relative paths are relative to `base`. The error says what
    /// is wrong, without repeating the text.
    pub fn parse(text: &str, base: &Path) -> Result<Self, String> {
        let (specifier, options) = split_options(text.trim());
        let with_options = |text: String| if options.is_empty() { text } else { format!("{text} {options}") };
        match parsed(specifier, base) {
            Ok(parsed) => {
                let name = parsed.name.to_string();
                // Printing a URL would expand the environment variables in it.
                let text = match parsed.version_or_url {
                    Some(VersionOrUrl::Url(_)) => specifier.to_owned(),
                    _ => parsed.to_string(),
                };
                Ok(Self { name: Some(name), text: with_options(text) })
            }
            Err(_) if is_location(specifier) => {
                Ok(Self { name: name_in_location(specifier), text: with_options(located(specifier, base)) })
            }
            Err(reason) => Err(reason),
        }
    }

    /// The argument of `-e`.
    pub(super) fn editable(location: &str, base: &Path) -> Self {
        Self { name: name_in_location(location), text: format!("-e {}", located(location, base)) }
    }

    /// A requirement that no rule could read: installers may know better, and say so if not.
    pub(super) fn verbatim(text: &str) -> Self {
        Self { name: None, text: text.split_whitespace().collect::<Vec<_>>().join(" ") }
    }

    pub(super) fn named(name: &str, specifier: &str) -> Self {
        Self { name: Some(name.to_owned()), text: format!("{name}{specifier}") }
    }

    pub fn is_sdk(&self) -> bool {
        self.name.as_deref().is_some_and(|name| SDK_NAMES.contains(&name))
    }

    /// Names a package and nothing more.
    pub(super) fn is_bare(&self) -> bool {
        self.name.as_deref() == Some(self.text.as_str())
    }

    pub(super) fn is_conditional(&self) -> bool {
        self.text.contains(';')
    }

    /// What is to be installed on the target: without its condition, or `None` if that does not hold there.
    pub(super) fn for_target(&self, target: Target) -> Option<Self> {
        let (specifier, options) = split_options(&self.text);
        let condition = specifier.contains(';').then(|| parsed(specifier, Path::new("/")).ok()).flatten();
        let (Some(mut parsed), Some(markers)) = (condition, target.markers()) else {
            return Some(self.clone());
        };
        if !parsed.evaluate_markers(&markers, &[]) {
            return None;
        }
        let text = match &parsed.version_or_url {
            Some(VersionOrUrl::Url(_)) => {
                specifier.rsplit_once(';').map_or(specifier, |(url, _)| url.trim_end()).to_owned()
            }
            _ => {
                parsed.marker = MarkerTree::TRUE;
                parsed.to_string()
            }
        };
        let text = if options.is_empty() { text } else { format!("{text} {options}") };
        Some(Self { name: self.name.clone(), text })
    }

    /// `None` for what has no name, and for places whose version only an installer can see.
    pub(super) fn versions(&self) -> Option<Versions> {
        match parsed(self.without_options(), Path::new("/")).ok()?.version_or_url {
            None => Some(Versions::Specified(VersionSpecifiers::empty())),
            Some(VersionOrUrl::VersionSpecifier(specifiers)) => Some(Versions::Specified(specifiers)),
            Some(VersionOrUrl::Url(url)) => Some(Versions::Url(url.to_string())),
        }
    }

    pub(super) fn without_options(&self) -> &str {
        split_options(&self.text).0
    }
}

/// pip's per-requirement options (`--hash=…`) begin at the first word with a dash.
fn split_options(text: &str) -> (&str, &str) {
    match text.find(" --") {
        Some(at) => (text[..at].trim_end(), text[at..].trim_start()),
        None => (text, ""),
    }
}

fn is_url(text: &str) -> bool {
    text.contains("://") || text.starts_with("file:")
}

fn is_location(text: &str) -> bool {
    let place = text.split([';', '[', '#']).next().unwrap_or(text).trim_end();
    let has_blank = place.contains(char::is_whitespace);
    !place.contains(" @ ")
        && !has_blank
        && (is_url(place)
            || place.starts_with(['.', '/', '~'])
            || place.contains('/')
            || ARCHIVE_SUFFIXES.iter().any(|suffix| place.ends_with(suffix)))
}

/// Absolute, because an installer reads the line from another folder.
fn located(location: &str, base: &Path) -> String {
    if is_url(location) || location.starts_with(['/', '~']) {
        return location.to_owned();
    }
    let segments = Path::new(location).components().filter(|segment| *segment != Component::CurDir);
    // Collected, so that "." leaves no slash at the end.
    let path: PathBuf = base.components().chain(segments).collect();
    path.to_string_lossy().into_owned()
}

/// `#egg=name`, a wheel's file name, or the last segment of a repository's URL.
fn name_in_location(location: &str) -> Option<String> {
    let (place, fragment) = location.split_once('#').unwrap_or((location, ""));
    if let Some(egg) = fragment.split('&').find_map(|part| part.strip_prefix("egg=")) {
        return normalized(egg.split('[').next().unwrap_or(egg));
    }
    let place = place.split([';', '[']).next().unwrap_or(place).trim_end();
    let last = place.trim_end_matches('/').rsplit('/').next()?;
    if let Some(wheel) = last.strip_suffix(".whl") {
        return normalized(wheel.split('-').next()?);
    }
    if place.starts_with("git+") {
        let repository = last.split('@').next()?;
        return normalized(repository.strip_suffix(".git").unwrap_or(repository));
    }
    None
}

/// PEP 503: lower case, runs of `-`, `_`, `.` are one dash. `None` if it is no package's name.
pub(super) fn normalized(name: &str) -> Option<String> {
    PackageName::new(name.to_owned()).ok().map(|name| name.to_string())
}

/// The parser (0.9.2) panics on names that end in punctuation and on markers beyond ASCII, and recurses per
/// parenthesis; such text is refused before it gets there.
fn parsed(specifier: &str, base: &Path) -> Result<Pep508<VerbatimUrl>, String> {
    let end = specifier
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        .unwrap_or(specifier.len());
    let (name, rest) = specifier.split_at(end);
    PackageName::new(name.to_owned()).map_err(|_| format!("{name:?} is not a package name"))?;
    if let Some(extras) = rest.trim_start().strip_prefix('[') {
        let extras = extras.split(']').next().unwrap_or_default();
        for extra in extras.split(',').map(str::trim).filter(|extra| !extra.is_empty()) {
            ExtraName::new(extra.to_owned()).map_err(|_| format!("{extra:?} is not the name of an extra"))?;
        }
    }
    if let Some((_, marker)) = rest.split_once(';') {
        if !marker.is_ascii() {
            return Err("its condition holds characters beyond ASCII".to_owned());
        }
        if marker.matches('(').count() > PARENTHESES_MAX {
            return Err(format!("its condition has more than {PARENTHESES_MAX} parentheses"));
        }
    }
    Pep508::parse(specifier, base).map_err(|error| {
        let message = error.message.to_string();
        message.lines().next().unwrap_or("not a requirement").trim_end_matches('.').to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, name: Option<&str>, expected: &str) {
        let parsed = Requirement::parse(text, Path::new("/project")).unwrap();
        assert_eq!((parsed.name.as_deref(), parsed.text.as_str()), (name, expected), "{text}");
    }

    #[test]
    fn equal_requirements_get_equal_text() {
        check("Torch", Some("torch"), "torch");
        check("torch >= 2 , < 3", Some("torch"), "torch>=2,<3");
        check("opencv_python~=4.0", Some("opencv-python"), "opencv-python~=4.0");
        check("foo [a, b]", Some("foo"), "foo[a,b]");
        check(
            "x==1 --hash=sha256:ab  --hash=sha256:cd",
            Some("x"),
            "x==1 --hash=sha256:ab  --hash=sha256:cd",
        );
    }

    #[test]
    fn locations_are_taken_as_pip_takes_them() {
        check("./libs/a.whl", Some("a"), "/project/libs/a.whl");
        check("libs/mine", None, "/project/libs/mine");
        check(".", None, "/project");
        check("git+https://h/o/tetra-rp.git@main", Some("tetra-rp"), "git+https://h/o/tetra-rp.git@main");
        check("git+https://h/o/r#egg=My_Name[x]", Some("my-name"), "git+https://h/o/r#egg=My_Name[x]");
        check("x @ https://h/${TOKEN}/x.whl", Some("x"), "x @ https://h/${TOKEN}/x.whl");
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        let nested = format!("x; {}os_name == 'x'{}", "(".repeat(9999), ")".repeat(9999));
        for text in [
            "x=1",
            "torch>=",
            "a b",
            "!",
            "x==1 y==2",
            "==",
            "",
            "x-",
            "x[y_]",
            "x[y-,z",
            "x; os_name == 'é'",
            &nested,
        ] {
            let reason = Requirement::parse(text, Path::new("/project")).unwrap_err();
            assert!(!reason.is_empty() && !reason.contains('\n'), "{text}: {reason}");
        }
    }

    #[test]
    fn the_sdk_is_known_by_any_spelling() {
        for text in
            ["tetra_rp", "Tetra-RP>=0.18", "tetra.rp[x]", "runpod_flash==1.0", "git+https://h/o/tetra-rp"]
        {
            assert!(Requirement::parse(text, Path::new("/")).unwrap().is_sdk(), "{text}");
        }
        assert!(!Requirement::parse("runpod", Path::new("/")).unwrap().is_sdk());
    }
}
