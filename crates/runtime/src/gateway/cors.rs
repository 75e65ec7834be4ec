//! Pages of other origins may read an endpoint's answers where its owner says so (Fetch standard, CORS protocol).

use std::str::FromStr;
use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

use super::respond::{self, Response};

const ANY: HeaderValue = HeaderValue::from_static("*");
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
/// How long a page need not ask again.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Whose pages may read the answers: `*`, or origins separated by commas (`https://app.example, http://localhost:3000`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsOrigins {
    /// Empty: any.
    listed: Vec<HeaderValue>,
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an origin; write `https://host` or `http://host:port`, or `*` alone for any")]
pub struct InvalidOrigin(String);

impl FromStr for CorsOrigins {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        if text.trim() == "*" {
            return Ok(Self { listed: Vec::new() });
        }
        let listed = text.split(',').map(|origin| parse(origin.trim())).collect::<Result<_, _>>()?;
        Ok(Self { listed })
    }
}

/// As browsers write it: scheme and host in small letters, no path.
fn parse(text: &str) -> Result<HeaderValue, InvalidOrigin> {
    let invalid = || InvalidOrigin(text.to_owned());
    let uri: Uri = text.parse().map_err(|_| invalid())?;
    let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(invalid());
    };
    let origin = format!("{}://{authority}", uri.scheme_str().unwrap_or_default()).to_ascii_lowercase();
    if authority.as_str().contains('@') || !text.eq_ignore_ascii_case(&origin) {
        return Err(invalid());
    }
    HeaderValue::try_from(origin).map_err(|_| invalid())
}

/// What the page that asked may do.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    origin: HeaderValue,
}

impl CorsOrigins {
    /// `None` where no page of another origin asks, or one that may not.
    pub(super) fn grant(&self, headers: &HeaderMap) -> Option<Grant> {
        let origin = headers.get(ORIGIN)?;
        if self.listed.is_empty() {
            return Some(Grant { origin: ANY });
        }
        self.listed.contains(origin).then(|| Grant { origin: origin.clone() })
    }

    /// Marks an answer as one that is meant for the page that asked, or as one that may differ for others.
    pub(super) fn mark(&self, headers: &mut HeaderMap, grant: Option<Grant>) {
        if !self.listed.is_empty() {
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
        // What the function said itself stands.
        if let Some(Grant { origin }) = grant
            && !headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN)
        {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.entry(ACCESS_CONTROL_EXPOSE_HEADERS).or_insert(ANY);
        }
    }
}

impl Grant {
    /// The answer to a browser that asks first whether the page may ask; `None` if it does not.
    pub(super) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response> {
        if *method != Method::OPTIONS || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        let mut response = respond::empty(StatusCode::NO_CONTENT);
        let said = response.headers_mut();
        said.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        if let Some(wanted) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            said.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
            said.append(VARY, HeaderValue::from_static("access-control-request-headers"));
        }
        said.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE.as_secs().into());
        Some(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        let check = |text: &str, expected: &[&str]| {
            let origins: CorsOrigins = text.parse().unwrap();
            assert_eq!(origins.listed, expected, "{text}");
        };
        check("*", &[]);
        check(" * ", &[]);
        check("https://a.example", &["https://a.example"]);
        check(
            "https://A.example , http://localhost:3000,http://[::1]:80",
            &["https://a.example", "http://localhost:3000", "http://[::1]:80"],
        );
        for bad in ["", ",", "https://a.example,", "a.example", "https://a.example/", "https://a.example/x"] {
            bad.parse::<CorsOrigins>().unwrap_err();
        }
        for bad in
            ["ftp://a.example", "*, https://a.example", "https://*.example/", "https://u@a.example", "null"]
        {
            bad.parse::<CorsOrigins>().unwrap_err();
        }
    }

    #[test]
    fn only_listed_origins_are_granted_anything() {
        let asked_by =
            |origin: &'static str| HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static(origin))]);
        let listed: CorsOrigins = "https://a.example".parse().unwrap();
        let any: CorsOrigins = "*".parse().unwrap();
        assert_eq!(listed.grant(&asked_by("https://a.example")).unwrap().origin, "https://a.example");
        for other in ["https://b.example", "http://a.example", "https://a.example:8443", "null"] {
            assert!(listed.grant(&asked_by(other)).is_none(), "{other}");
            assert_eq!(any.grant(&asked_by(other)).unwrap().origin, "*");
        }
        assert!(any.grant(&HeaderMap::new()).is_none());
    }
}
