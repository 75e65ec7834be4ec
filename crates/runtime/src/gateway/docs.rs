//! `/openapi.json` and `/docs`: what a load-balanced endpoint offers, for programs and for people.

use flash_model::{Resource, ResourceName, openapi};
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::page::page;
use super::respond::{self, Response};

const PAGE_PATH: &str = "/docs";
const DOCUMENT_PATH: &str = "/openapi.json";
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
/// Where a proxy in front of this endpoint has it: `/lb/api` at a mothership.
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const PREFIX_LENGTH_MAX_BYTES: usize = 512;
/// The page runs nothing and loads nothing.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
);

#[derive(Debug)]
pub(crate) struct Docs {
    document: Value,
}

impl Docs {
    pub(crate) fn of(project_name: &str, name: &ResourceName, resource: &Resource) -> Self {
        Self { document: openapi::document(project_name, name, resource) }
    }

    /// Whether it answers there, where no function does.
    pub(super) fn has(path: &str) -> bool {
        matches!(path, PAGE_PATH | DOCUMENT_PATH)
    }

    pub(super) fn answer(&self, request: &Request<Incoming>) -> Response {
        let prefix = prefix(request.headers());
        if request.uri().path() == DOCUMENT_PATH {
            return respond::json(&self.document_at(prefix));
        }
        let html = page(&self.document, prefix);
        let mut response = respond::bytes(HTML, html.into());
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY);
        response
    }

    /// Says where its paths begin, as the caller sees them.
    fn document_at(&self, prefix: &str) -> Value {
        let mut document = self.document.clone();
        if let Value::Object(document) = &mut document {
            let url = if prefix.is_empty() { "/" } else { prefix };
            document.insert("servers".to_owned(), json!([{ "url": url }]));
        }
        document
    }
}

/// Without a slash at its end; empty where there is none, or none that can be believed.
fn prefix(headers: &HeaderMap) -> &str {
    let said = headers.get(FORWARDED_PREFIX).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let prefix = said.trim_end_matches('/');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%".contains(&byte);
    let is_path = prefix.starts_with('/') && !prefix.starts_with("//");
    if is_path && prefix.len() <= PREFIX_LENGTH_MAX_BYTES && prefix.bytes().all(is_plain) {
        prefix
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_path_or_nothing() {
        let check = |said: &str, expected: &str| {
            let headers = HeaderMap::from_iter([(FORWARDED_PREFIX, HeaderValue::from_str(said).unwrap())]);
            assert_eq!(prefix(&headers), expected, "{said}");
        };
        check("/lb/api", "/lb/api");
        check("/lb/api/", "/lb/api");
        for bad in
            ["", "/", "//evil.com", "evil", "http://evil.com", "/a\"b", "/<b>", "/a b", &"/a".repeat(999)]
        {
            check(bad, "");
        }
        assert_eq!(prefix(&HeaderMap::new()), "");
    }
}
