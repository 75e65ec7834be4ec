//! Sets of routes that a gateway's router refuses: the endpoint would not start. It matches segment by segment, a fixed one
//! before a parameter, and `{rest:path}` takes everything that is left.

use std::collections::BTreeMap;

use flash_model::{Code, Diagnostic, Manifest, ResourceName, Span};
use ruff_text_size::Ranged;

use crate::decorators::RemoteUse;
use crate::imports::Project;

struct Route<'m> {
    function: &'m str,
    /// Method and path.
    text: &'m str,
    path: &'m str,
    span: Span,
}

pub(crate) fn check<'a>(
    project: &Project<'a>,
    uses: &[RemoteUse<'a>],
    manifest: &Manifest,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut spans: BTreeMap<&str, Span> = BTreeMap::new();
    for remote in uses {
        let name = remote.definition.name();
        let range = remote.path.range().unwrap_or_else(|| name.range());
        spans.entry(name.as_str()).or_insert_with(|| project.files[remote.file].span(range));
    }
    for (resource, functions) in &manifest.routes {
        let mut routes: Vec<Route<'_>> = functions
            .iter()
            .filter_map(|(text, function)| {
                let (_, path) = text.split_once(' ')?;
                let span = spans.get(function.as_str())?.clone();
                Some(Route { function: function.as_str(), text, path, span })
            })
            .collect();
        routes.sort_by(|left, right| left.span.cmp(&right.span));
        for (index, route) in routes.iter().enumerate() {
            if !in_the_middle(route, diagnostics) {
                let earlier = routes.iter().take(index);
                ambiguous(resource, route, earlier, diagnostics);
            }
        }
    }
}

/// `/files/{rest:path}/size`.
fn in_the_middle(route: &Route<'_>, diagnostics: &mut Vec<Diagnostic>) -> bool {
    let mut segments = route.path.split('/').rev();
    let _last = segments.next();
    let Some(segment) = segments.find(|segment| is_rest(segment)) else { return false };
    diagnostics.push(
        Diagnostic::error(
            Code::InvalidPath,
            format!("`{segment}` takes the rest of the path, so nothing can follow it in {}", route.path),
        )
        .at(route.span.clone())
        .hint("move it to the end, or take one segment as `{name}`"),
    );
    true
}

fn ambiguous<'r, 'm: 'r>(
    resource: &ResourceName,
    route: &Route<'_>,
    earlier: impl Iterator<Item = &'r Route<'m>>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let Some(first) = earlier.into_iter().find(|first| differ_in_rest(first.path, route.path)) else {
        return;
    };
    diagnostics.push(
        Diagnostic::error(
            Code::RouteConflict,
            format!(
                "\"{resource}\" cannot serve both {} and {}: a segment is either `{{name}}` or `{{name:path}}`",
                first.text, route.text
            ),
        )
        .at(route.span.clone())
        .related(first.span.clone(), format!("`{}` has its route here", first.function))
        .hint("put a fixed segment in front of one of the two, whatever their methods are"),
    );
}

/// Equal up to a segment that is one parameter here and the rest there.
fn differ_in_rest(left: &str, right: &str) -> bool {
    for (left, right) in left.split('/').zip(right.split('/')) {
        let is_parameter = |segment: &str| segment.starts_with('{');
        match (is_parameter(left), is_parameter(right)) {
            (true, true) if is_rest(left) != is_rest(right) => return true,
            (true, true) => {}
            (false, false) if left == right => {}
            _ => return false,
        }
    }
    false
}

fn is_rest(segment: &str) -> bool {
    segment.starts_with('{') && segment.ends_with(":path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_ambiguous_beside_a_parameter_only() {
        for (left, right, expected) in [
            ("/a/{x}", "/a/{rest:path}", true),
            ("/a/{x}/b", "/a/{rest:path}", true),
            ("/{x}/{rest:path}", "/{y}/{z}/c", true),
            ("/a/b", "/a/{rest:path}", false),
            ("/a/{x}/b", "/a/b/{rest:path}", false),
            ("/a/{rest:path}", "/a/{other:path}", false),
            ("/a/{x}", "/a/{x}/{rest:path}", false),
            ("/x/{rest:path}", "/{a}/{b}", false),
            ("/{rest:path}", "/a/{b}", false),
        ] {
            assert_eq!(differ_in_rest(left, right), expected, "{left} {right}");
            assert_eq!(differ_in_rest(right, left), expected, "{right} {left}");
        }
    }
}
