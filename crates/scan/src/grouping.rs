//! Which uses are of one resource: those that name the same constructor call, and calls that say the same under one name.

use std::collections::{BTreeMap, BTreeSet};

use flash_model::{Code, Diagnostic, ResourceName};
use ruff_text_size::{Ranged, TextSize};

use crate::decorators::{RemoteUse, Style};
use crate::imports::{FileIndex, Project};
use crate::specification::{ImpliedName, Specified, specify};
use crate::validate;
use crate::value::ResourceCall;

/// A resource with the numbers of the uses that are declared on it.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    pub(crate) resource: ResourceCall<'a>,
    /// `None` if it has no usable name, which has been reported.
    pub(crate) specified: Option<Specified>,
    pub(crate) users: Vec<usize>,
    /// Files that the configuration stands in.
    pub(crate) homes: BTreeSet<FileIndex>,
}

/// All resources that functions are decorated with, in the order of files and lines. Configurations that say the same under
/// one name are one resource.
pub(crate) fn group<'a>(
    project: &Project<'a>,
    uses: &[RemoteUse<'a>],
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut by_name: BTreeMap<ResourceName, usize> = BTreeMap::new();
    for (resource, users) in by_resource(uses) {
        let specified = specify(project, &resource, implied_name(project, uses, &users), diagnostics);
        let homes = BTreeSet::from([resource.file]);
        let entry = Group { resource, specified, users, homes };
        let Some(specified) = &entry.specified else {
            groups.push(entry);
            continue;
        };
        let Some(first) = by_name.get(&specified.name).copied() else {
            by_name.insert(specified.name.clone(), groups.len());
            groups.push(entry);
            continue;
        };
        let first = &mut groups[first];
        match &first.specified {
            Some(known) if first.resource.class == entry.resource.class && known.says_the_same(specified) => {
                first.users.extend(entry.users);
                first.homes.extend(entry.homes);
            }
            known => diagnostics.extend(known.as_ref().map(|known| {
                let message = format!("two different configurations have the name \"{}\"", specified.name);
                Diagnostic::error(Code::DuplicateResource, message)
                    .at(specified.name_span.clone())
                    .related(known.name_span.clone(), "the name is taken here")
                    .hint("give each a name of its own, or share one configuration object between the functions")
            })),
        }
    }
    groups.sort_by_key(|group| group.users.first().copied());
    validate::similar_names(groups.iter().filter_map(|group| group.specified.as_ref()), diagnostics);
    groups
}

/// An `Endpoint` without a name is called as the function that it decorates.
fn implied_name(project: &Project<'_>, uses: &[RemoteUse<'_>], users: &[usize]) -> Option<ImpliedName> {
    let [user] = users else { return None };
    let remote = &uses[*user];
    let name = remote.definition.name();
    (remote.style == Style::Direct)
        .then(|| ImpliedName { name: name.to_string(), span: project.files[remote.file].span(name.range) })
}

/// A resource and the numbers of the uses that name it.
type Users<'a> = (ResourceCall<'a>, Vec<usize>);

/// The calls that functions are decorated with, in the order of files and lines, each with the numbers of its users.
fn by_resource<'a>(uses: &[RemoteUse<'a>]) -> Vec<Users<'a>> {
    let mut at_place: BTreeMap<(FileIndex, TextSize), Vec<Users<'a>>> = BTreeMap::new();
    for (user, remote) in uses.iter().enumerate() {
        let resource = &remote.resource;
        let here = at_place.entry((resource.file, resource.call.range().start())).or_default();
        match here.iter_mut().find(|(known, _)| known == resource) {
            Some((_, users)) => users.push(user),
            None => here.push((resource.clone(), vec![user])),
        }
    }
    at_place.into_values().flatten().collect()
}
