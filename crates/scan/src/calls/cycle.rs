//! FL121: circles of calls that pass through more than one resource.
//!
//! A call to a function of one's own resource runs in place. Any other keeps the caller's place in its worker taken until
//! the answer is there, so calls that go round in a circle can wait for each other forever.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use flash_model::{Code, Diagnostic, Manifest, Resource, ResourceName};

use super::{Edge, Graph};
use crate::decorators::RemoteUse;
use crate::imports::Project;

/// Functions of one circle that are named.
const SHOWN_MAX: usize = 8;

pub(super) fn report(
    project: &Project<'_>,
    uses: &[RemoteUse<'_>],
    manifest: &Manifest,
    graph: &Graph,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let owners: BTreeMap<usize, &ResourceName> = (0..uses.len())
        .filter_map(|user| {
            let name = uses[user].definition.name().as_str();
            Some((user, manifest.function_registry.get(name)?))
        })
        .collect();
    let mut circles: BTreeSet<Vec<usize>> = BTreeSet::new();
    for (caller, called) in graph {
        for callee in called.keys() {
            let leaves =
                matches!((owners.get(caller), owners.get(callee)), (Some(from), Some(to)) if from != to);
            if leaves && let Some(circle) = way_back(graph, *callee, *caller) {
                circles.insert(from_the_first(circle));
            }
        }
    }
    for circle in circles {
        diagnostics.extend(describe(project, uses, manifest, graph, &owners, &circle));
    }
}

/// The shortest chain of calls from one function to another, both included.
fn way_back(graph: &Graph, from: usize, to: usize) -> Option<Vec<usize>> {
    let mut before: BTreeMap<usize, usize> = BTreeMap::new();
    let mut open = VecDeque::from([from]);
    while let Some(user) = open.pop_front() {
        if user == to {
            let mut chain = vec![to];
            let mut at = to;
            while at != from {
                at = *before.get(&at)?;
                chain.push(at);
            }
            chain.reverse();
            return Some(chain);
        }
        for next in graph.get(&user).into_iter().flat_map(BTreeMap::keys) {
            if *next != from && !before.contains_key(next) {
                before.insert(*next, user);
                open.push_back(*next);
            }
        }
    }
    None
}

/// One circle is one list, whatever call it was found by.
fn from_the_first(mut circle: Vec<usize>) -> Vec<usize> {
    let first = circle.iter().enumerate().min_by_key(|(_, user)| **user).map_or(0, |(index, _)| index);
    circle.rotate_left(first);
    circle
}

fn describe(
    project: &Project<'_>,
    uses: &[RemoteUse<'_>],
    manifest: &Manifest,
    graph: &Graph,
    owners: &BTreeMap<usize, &ResourceName>,
    circle: &[usize],
) -> Option<Diagnostic> {
    let name = |user: usize| uses[user].definition.name();
    let round = circle.iter().copied().zip(circle.iter().copied().cycle().skip(1));
    let calls: Vec<(usize, usize, &Edge)> = round
        .map(|(caller, callee)| Some((caller, callee, graph.get(&caller)?.get(&callee)?)))
        .collect::<Option<_>>()?;
    let (_, _, first) = calls.first()?;
    let mut chain: Vec<String> =
        circle.iter().chain(circle.first()).map(|user| format!("`{}`", name(*user))).collect();
    if chain.len() > SHOWN_MAX + 1 {
        let left_out = chain.len() - SHOWN_MAX;
        chain.splice(SHOWN_MAX - 1..chain.len() - 1, [format!("{left_out} more")]);
    }
    let resources: BTreeSet<&ResourceName> =
        circle.iter().filter_map(|user| owners.get(user).copied()).collect();
    let limits: Vec<String> = resources
        .iter()
        .map(|resource| {
            let workers = manifest.resources.get(*resource).map_or(0, workers_max);
            format!("{workers} on \"{resource}\"")
        })
        .collect();
    let mut diagnostic = Diagnostic::warning(
        Code::CallCycle,
        format!("calls go round in a circle between resources: {}", chain.join(" → ")),
    )
    .at(project.files[first.file].span(first.range))
    .hint(format!(
        "each round keeps a worker of every resource waiting; break the circle, or make `workersMax` larger than the \
         rounds there can be (it is {})",
        limits.join(", ")
    ));
    for (caller, callee, edge) in calls.into_iter().take(SHOWN_MAX) {
        let through = edge.through.as_ref().map_or_else(String::new, |name| format!(", through `{name}`"));
        diagnostic = diagnostic.related(
            project.files[edge.file].span(edge.range),
            format!("`{}` calls `{}` here{through}", name(caller), name(callee)),
        );
    }
    Some(diagnostic)
}

fn workers_max(resource: &Resource) -> u32 {
    resource.spec.workers_max
}
