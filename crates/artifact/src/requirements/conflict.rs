//! Requirements that no version can satisfy together, found before an installer is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flash_model::{Code, Diagnostic, Resource, ResourceName, Span};
use pep508_rs::pep440_rs::{Version, VersionSpecifiers};
use version_ranges::Ranges;

use super::line::{Requirement, Versions};
use super::project::{Place, ProjectRequirements};
use super::set::Excluded;
use crate::target::Target;

/// A requirement of one resource on one package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    place: Place,
    /// As written, without credentials.
    text: String,
}

/// One error per pair of requirements that exclude each other, with both places and all resources concerned; where
/// only more than two together do, one error for all of them. Conditions are judged for the target. Sorted by place.
pub fn conflicts<'a>(
    resources: impl IntoIterator<Item = (&'a ResourceName, &'a Resource)>,
    project: &ProjectRequirements,
    excluded: &Excluded,
    target: Target,
) -> Vec<Diagnostic> {
    let mut found: BTreeMap<Vec<Claim>, Vec<&ResourceName>> = BTreeMap::new();
    for (name, resource) in resources {
        for claims in of_resource(resource, project, excluded, target) {
            found.entry(claims).or_default().push(name);
        }
    }
    found.iter().filter_map(|(claims, resources)| diagnostic(claims, resources)).collect()
}

fn diagnostic(claims: &[Claim], resources: &[&ResourceName]) -> Option<Diagnostic> {
    let (first, others) = claims.split_first()?;
    let texts: Vec<String> = claims.iter().map(|claim| format!("`{}`", claim.text)).collect();
    let names: Vec<String> = resources.iter().map(|name| format!("`{name}`")).collect();
    let noun = if names.len() == 1 { "resource" } else { "resources" };
    let message = format!("{} exclude each other, for {noun} {}", listed(&texts), listed(&names));
    let mut diagnostic = Diagnostic::error(Code::RequirementConflict, message)
        .at(span(&first.place))
        .hint("require versions that agree, or give one of the functions a resource of its own");
    for claim in others {
        diagnostic = diagnostic.related(span(&claim.place), format!("`{}` is required here", claim.text));
    }
    Some(diagnostic)
}

/// `a`, `a and b`, `a, b and c`.
fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// The whole line.
fn span(place: &Place) -> Span {
    Span { file: place.file.clone(), line: place.line, column: 1, end_line: place.line, end_column: u32::MAX }
}

fn of_resource(
    resource: &Resource,
    project: &ProjectRequirements,
    excluded: &Excluded,
    target: Target,
) -> Vec<Vec<Claim>> {
    let stated = project.requirements.iter().chain(&project.constraints);
    let stated = stated.map(|stated| (stated.requirement.clone(), stated.place.clone()));
    let own = resource.functions.iter().flat_map(|function| {
        let place = Place { file: function.file.clone(), line: function.line };
        let requirements =
            function.dependencies.iter().filter_map(|text| Requirement::parse(text, Path::new(".")).ok());
        requirements.map(move |requirement| (requirement, place.clone()))
    });

    // Equal requirements count once, at the first place.
    let mut by_package: BTreeMap<String, BTreeMap<String, (Versions, Place)>> = BTreeMap::new();
    for (requirement, place) in stated.chain(own) {
        let Some(name) = requirement.name.clone().filter(|name| !excluded.contains(name)) else { continue };
        let Some(requirement) = requirement.for_target(target).filter(|requirement| !requirement.is_sdk())
        else {
            continue;
        };
        let Some(versions) = requirement.versions() else { continue };
        by_package
            .entry(name)
            .or_default()
            .entry(requirement.without_options().to_owned())
            .or_insert((versions, place));
    }
    by_package.values().flat_map(of_package).collect()
}

fn of_package(claims: &BTreeMap<String, (Versions, Place)>) -> Vec<Vec<Claim>> {
    let claims: Vec<(&String, &(Versions, Place))> = claims.iter().collect();
    let named = |chosen: &[usize]| {
        let claim = |index: &usize| {
            let (text, (_, place)) = claims[*index];
            Claim { place: place.clone(), text: super::redacted(text) }
        };
        let mut named: Vec<Claim> = chosen.iter().map(claim).collect();
        named.sort();
        named
    };
    let versions =
        |chosen: &[usize]| -> Vec<&Versions> { chosen.iter().map(|index| &claims[*index].1.0).collect() };

    let pairs = (0..claims.len()).flat_map(|left| (left + 1..claims.len()).map(move |right| [left, right]));
    let exclusive: Vec<Vec<Claim>> =
        pairs.filter(|pair| !satisfiable(&versions(pair))).map(|pair| named(&pair)).collect();
    let all: Vec<usize> = (0..claims.len()).collect();
    if exclusive.is_empty() && !satisfiable(&versions(&all)) { vec![named(&all)] } else { exclusive }
}

/// Whether some version, released or not, satisfies all. A URL has one version, which only an installer can see.
fn satisfiable(all: &[&Versions]) -> bool {
    let urls: BTreeSet<&str> = all
        .iter()
        .filter_map(|versions| match versions {
            Versions::Url(url) => Some(url.as_str()),
            Versions::Specified(_) => None,
        })
        .collect();
    if !urls.is_empty() {
        return urls.len() == 1;
    }
    let specifiers: Vec<&VersionSpecifiers> = all
        .iter()
        .filter_map(|versions| match versions {
            Versions::Specified(specifiers) => Some(specifiers),
            Versions::Url(_) => None,
        })
        .collect();
    let common = specifiers.iter().fold(Ranges::<Version>::full(), |common, specifiers| {
        common.intersection(&Ranges::from((*specifiers).clone()))
    });
    // `==2.1` admits the local version 2.1+cpu, which ranges do not know.
    let named_version_fits = || {
        let mut named = specifiers.iter().flat_map(|specifiers| specifiers.iter().map(|one| one.version()));
        named.any(|version| specifiers.iter().all(|specifiers| specifiers.contains(version)))
    };
    !common.is_empty() || named_version_fits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_can_and_cannot_agree() {
        let check = |texts: &[&str], expected: bool| {
            let requirements: Vec<Versions> = texts
                .iter()
                .map(|text| Requirement::parse(text, Path::new("/")).unwrap().versions().unwrap())
                .collect();
            assert_eq!(satisfiable(&requirements.iter().collect::<Vec<_>>()), expected, "{texts:?}");
        };
        check(&["x", "x==1"], true);
        check(&["x==2.1", "x==2.2"], false);
        check(&["x==2.1", "x==2.1.0"], true);
        check(&["x==2.1.*", "x==2.1.3"], true);
        check(&["x==2.1.*", "x~=2.2"], false);
        check(&["x>=2", "x<2"], false);
        check(&["x>=2", "x<=2"], true);
        check(&["x>2", "x<2.0.1"], true);
        check(&["x~=1.4.2", "x>=1.5"], false);
        check(&["x==2.1", "x==2.1+cpu"], true);
        check(&["x==2.1+cpu", "x==2.1+cu118"], false);
        check(&["x!=1", "x==1"], false);
        check(&["x===1.0", "x==1"], true);
        check(&["x>=1,<2", "x>=2,<3"], false);
        check(&["x @ https://h/a.whl", "x @ https://h/b.whl"], false);
        check(&["x @ https://h/a.whl", "x==1"], true);
        check(&["x>1", "x<3", "x!=2"], true);
    }
}
