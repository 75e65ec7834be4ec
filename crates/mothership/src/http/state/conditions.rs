//! `If-Match`, `If-None-Match` and what they are compared with.

use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use flash_model::wire::Problem;
use flash_model::{Code, MothershipId};

use super::super::problem::Refusal;
use super::refusal::moved;

/// What a writer takes for granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    None,
    /// `If-None-Match: *`: it is not there.
    Absent,
    /// `If-Match: *`: it is there.
    Present,
    /// `If-Match: "TAG", …`: it is one of these.
    Is(Vec<String>),
}

impl Condition {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let expected = tags(headers, IF_MATCH);
        let unwanted = tags(headers, IF_NONE_MATCH);
        match (expected.as_deref(), unwanted.as_deref()) {
            (None, None) => Ok(Self::None),
            (None, Some([tag])) if tag == "*" => Ok(Self::Absent),
            (Some([tag]), None) if tag == "*" => Ok(Self::Present),
            (Some(tags), None) => Ok(Self::Is(tags.to_vec())),
            _ => Err(Problem::new(
                Code::InvalidBody,
                400,
                "a write takes `If-Match` with tags, or `If-None-Match: *`, and not both",
            )
            .into()),
        }
    }

    /// `current` is None if there is nothing.
    pub(super) fn check(&self, current: Option<&str>) -> Result<(), Refusal> {
        let met = match self {
            Self::None => true,
            Self::Absent => current.is_none(),
            Self::Present => current.is_some(),
            Self::Is(tags) => current.is_some_and(|current| tags.iter().any(|tag| tag == current)),
        };
        if met {
            return Ok(());
        }
        Err(moved(match current {
            Some(current) => format!("it has moved: its tag is {current} now"),
            None => "it is not there".to_owned(),
        }))
    }
}

/// Whether a reader has this already.
pub(super) fn is_known(headers: &HeaderMap, current: &str) -> bool {
    tags(headers, IF_NONE_MATCH).is_some_and(|tags| tags.iter().any(|tag| tag == current || tag == "*"))
}

pub(super) fn document_tag(lineage: Option<&MothershipId>, serial: u64) -> String {
    format!("\"{}-{serial}\"", lineage.map_or("none", MothershipId::as_str))
}

pub(super) fn version_tag(version: u64) -> String {
    format!("\"{version}\"")
}

pub(super) fn tagged(tag: &str) -> [(HeaderName, HeaderValue); 1] {
    [(ETAG, HeaderValue::from_str(tag).unwrap_or_else(|_| HeaderValue::from_static("\"\"")))]
}

/// Ours are strong; a proxy may have made them weak.
fn tags(headers: &HeaderMap, name: HeaderName) -> Option<Vec<String>> {
    let values: Vec<_> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    let tags = values.iter().flat_map(|value| value.split(','));
    let tags: Vec<String> = tags
        .map(|tag| tag.trim().trim_start_matches("W/").to_owned())
        .filter(|tag| !tag.is_empty())
        .collect();
    (!values.is_empty()).then_some(tags)
}
