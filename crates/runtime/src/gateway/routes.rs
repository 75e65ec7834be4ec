//! Load-balanced functions: method and path to function, one HTTP request to one call.

use bytes::Bytes;
use flash_model::{Code, Function, HttpMethod, Resource};
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

use super::content::Content;
use super::respond::{self, Response};
use super::spans::trace_of;
use super::{method_not_allowed, method_of, no_route};
use crate::refusal::Refusal;
use crate::worker::protocol::{CallHeader, RequestHead, ResultHeader};
use crate::worker::{Answer, Patience, Pool, Reply};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("route {path} of function {function} cannot be served: {reason}")]
    Path { function: String, path: String, reason: String },
}

#[derive(Debug)]
pub(crate) struct Routes {
    router: matchit::Router<Methods>,
    /// All routes, for those who ask for one that is not there.
    shown: String,
}

#[derive(Debug, Default)]
struct Methods {
    entries: Vec<Entry>,
    allow: String,
}

#[derive(Debug)]
struct Entry {
    method: HttpMethod,
    path: String,
    function: String,
    is_sync: bool,
    /// Path parameters in order; the router knows them as `p0`, `p1`, so that routes of two methods may name them differently.
    parameters: Vec<Parameter>,
    /// The header of a call that needs none of the optional fields, with and without a JSON body.
    bare_header: Bytes,
    json_header: Bytes,
}

impl Routes {
    pub(crate) fn of(resource: &Resource) -> Result<Self, Error> {
        let mut by_path: std::collections::BTreeMap<String, Methods> = std::collections::BTreeMap::new();
        let mut shown = Vec::new();
        for function in &resource.functions {
            let (Some(method), Some(path)) = (function.http_method, &function.http_path) else { continue };
            let (pattern, parameters) = pattern(path);
            if let Some((before, _)) = pattern.split_once("{*") {
                // A rest of nothing is one, too.
                let entry = Entry::new(function, method, path, parameters.clone());
                by_path.entry(before.to_owned()).or_default().entries.push(entry);
            }
            let methods = by_path.entry(pattern).or_default();
            methods.entries.push(Entry::new(function, method, path, parameters));
            shown.push(format!("{method} {path}"));
        }
        let mut router = matchit::Router::new();
        for (pattern, mut methods) in by_path {
            let mut allowed: Vec<_> = methods.entries.iter().map(|entry| entry.method.as_str()).collect();
            if allowed.contains(&"GET") {
                allowed.push("HEAD");
            }
            allowed.push("OPTIONS");
            methods.allow = allowed.join(", ");
            let function = methods.entries.first().map(|entry| entry.function.clone()).unwrap_or_default();
            router.insert(pattern.clone(), methods).map_err(|error| Error::Path {
                function,
                path: pattern,
                reason: error.to_string(),
            })?;
        }
        Ok(Self { router, shown: format!("routes: {}", shown.join(", ")) })
    }

    /// Whether a function is routed there, whatever the method.
    pub(super) fn has(&self, path: &str) -> bool {
        self.router.at(path).is_ok()
    }

    /// The path as it is written where the function is, with its parameters' names.
    pub(super) fn pattern_of(&self, method: &Method, path: &str) -> Option<&str> {
        let found = self.router.at(path).ok()?;
        let asked = if method == Method::HEAD { &Method::GET } else { method };
        found.value.find(method_of(asked), &found.params).ok().map(|entry| entry.path.as_str())
    }

    /// Where the same path leads somewhere with a slash at its end, or without: relative to it, whatever a proxy wrote before it.
    fn other_slash(&self, path: &str, asked: &Uri) -> Option<String> {
        let bare = path.trim_end_matches('/');
        let query = asked.query().map(|query| format!("?{query}")).unwrap_or_default();
        let written =
            asked.path().trim_end_matches('/').rsplit('/').next().filter(|last| !last.is_empty())?;
        if bare.len() < path.len() {
            let up = "../".repeat(path.len() - bare.len());
            return self.has(bare).then(|| format!("{up}{written}{query}"));
        }
        self.has(&format!("{path}/")).then(|| format!("./{written}/{query}"))
    }

    pub(super) async fn call(&self, pool: &Pool, request: Request<Incoming>) -> Result<Response, Refusal> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let decoded;
        let path = if path.contains('%') {
            decoded = percent_decode_str(path).decode_utf8_lossy();
            &decoded
        } else {
            path
        };
        let Ok(found) = self.router.at(path) else {
            return match self.other_slash(path, &parts.uri) {
                Some(location) => Ok(elsewhere(&location)),
                None => Err(no_route(path, &self.shown)),
            };
        };
        // What a HEAD is answered is cut off behind the headers (RFC 9110 §9.3.2).
        let asked = if parts.method == Method::HEAD { &Method::GET } else { &parts.method };
        if *asked == Method::OPTIONS {
            return Ok(options(&found.value.allow));
        }
        let method = method_of(asked);
        let entry = match found.value.find(method, &found.params) {
            Ok(entry) => entry,
            Err(Lack::Route) => return Err(no_route(path, &self.shown)),
            Err(Lack::Method) => return Err(method_not_allowed(&parts.method, path, &found.value.allow)),
        };
        let body = respond::read_body(body).await?;
        let slot = pool.lease(entry.is_sync, body.len(), Patience::Door).await?;
        let is_whole = slot.wants_whole_request(&entry.function);
        let content_type = parts.headers.get(CONTENT_TYPE);
        let is_bare =
            matches!(parts.uri.query(), None | Some("")) && entry.parameters.is_empty() && !is_whole;
        let header = match content_type {
            None if is_bare => entry.bare_header.clone(),
            Some(kind) if is_bare && kind == "application/json" => entry.json_header.clone(),
            content_type => {
                let names = entry.parameters.iter().map(|parameter| parameter.name.as_str());
                let values = found.params.iter().map(|(_, value)| value.to_owned());
                let values = values.chain(std::iter::once(String::new()));
                CallHeader {
                    path: names.zip(values).collect(),
                    query: parts.uri.query().map(parse_query).unwrap_or_default(),
                    content_type: content_type.and_then(|value| value.to_str().ok()),
                    request: is_whole.then(|| request_head(&parts)),
                    ..entry.header()
                }
                .encode()
            }
        };
        let slot = slot.traced(trace_of(&parts.extensions), &entry.function);
        match pool.run(slot, header, body).await? {
            Reply::Whole(Answer::Result { header, body }) => answer(header, Content::Whole(Full::new(body))),
            Reply::Whole(Answer::Error(header)) => Err(header.into()),
            Reply::Whole(Answer::Died(death)) => Err(Refusal::worker_died(&death)),
            Reply::Stream(mut stream) => answer(std::mem::take(&mut stream.header), Content::Parts(stream)),
        }
    }
}

/// What is missing for a request to be answered.
#[derive(Debug, Clone, Copy)]
enum Lack {
    Route,
    Method,
}

impl Methods {
    fn find(&self, method: Option<HttpMethod>, values: &matchit::Params<'_, '_>) -> Result<&Entry, Lack> {
        let mut lack = Lack::Route;
        for entry in &self.entries {
            if entry.takes(values) {
                if Some(entry.method) == method {
                    return Ok(entry);
                }
                lack = Lack::Method;
            }
        }
        Err(lack)
    }
}

impl Entry {
    fn new(function: &Function, method: HttpMethod, path: &str, parameters: Vec<Parameter>) -> Self {
        let mut entry = Self {
            method,
            path: path.to_owned(),
            function: function.name.to_string(),
            is_sync: !function.is_async,
            parameters,
            bare_header: Bytes::new(),
            json_header: Bytes::new(),
        };
        entry.bare_header = entry.header().encode();
        entry.json_header = CallHeader { content_type: Some("application/json"), ..entry.header() }.encode();
        entry
    }

    /// Whether the path's values are of the kinds that its parameters name.
    fn takes(&self, values: &matchit::Params<'_, '_>) -> bool {
        self.parameters.iter().zip(values.iter()).all(|(parameter, (_, value))| parameter.kind.takes(value))
    }

    fn header(&self) -> CallHeader<'_> {
        CallHeader {
            form: "route".into(),
            function: Some(self.function.as_str().into()),
            ..CallHeader::default()
        }
    }
}

fn answer(header: ResultHeader, body: Content) -> Result<Response, Refusal> {
    let mut response = http::Response::new(body);
    let headers = response.headers_mut();
    for (name, value) in header.headers {
        let name = HeaderName::try_from(name).map_err(|_| unusable("header"))?;
        let value = HeaderValue::try_from(value).map_err(|_| unusable("header"))?;
        // How the body travels is ours to say.
        if !matches!(name, CONTENT_LENGTH | TRANSFER_ENCODING | CONNECTION | UPGRADE) {
            headers.append(name, value);
        }
    }
    let content_type = match header.content_type {
        None => Some(respond::JSON),
        Some(text) if text.is_empty() => None,
        Some(text) => Some(HeaderValue::try_from(text).map_err(|_| unusable("content type"))?),
    };
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, content_type);
    }
    if let Some(status) = header.status {
        *response.status_mut() = StatusCode::from_u16(status).map_err(|_| unusable("status"))?;
    }
    Ok(response)
}

/// The same method again, body and all (RFC 9110 §15.4.8).
fn elsewhere(location: &str) -> Response {
    let mut response = respond::empty(StatusCode::TEMPORARY_REDIRECT);
    // It was part of a request's path, so it is a valid value.
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

fn options(allow: &str) -> Response {
    let mut response = respond::empty(StatusCode::NO_CONTENT);
    // Names of methods are valid values.
    if let Ok(allow) = HeaderValue::from_str(allow) {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

fn request_head(parts: &http::request::Parts) -> RequestHead {
    let text = |value: &HeaderValue| value.as_bytes().iter().copied().map(char::from).collect();
    RequestHead {
        method: parts.method.to_string(),
        target: parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
    }
}

fn unusable(what: &str) -> Refusal {
    Refusal::new(Code::ResultNotSerializable, 500, format!("the function's answer has an invalid {what}"))
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parameter {
    name: String,
    kind: Kind,
}

/// Starlette's converters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// Of several segments.
    Path,
    Int,
    Float,
    Uuid,
}

impl Kind {
    fn of(converter: &str) -> Self {
        match converter {
            "path" => Self::Path,
            "int" => Self::Int,
            "float" => Self::Float,
            "uuid" => Self::Uuid,
            _ => Self::Text,
        }
    }

    fn takes(self, value: &str) -> bool {
        let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match self {
            Self::Text | Self::Path => true,
            Self::Int => are_digits(value),
            Self::Float => match value.split_once('.') {
                Some((whole, fraction)) => are_digits(whole) && are_digits(fraction),
                None => are_digits(value),
            },
            Self::Uuid => {
                let digits = value.replace('-', "");
                digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
            }
        }
    }
}

/// `/users/{id}` → `/users/{p0}`, `/files/{rest:path}` → `/files/{*p0}`; and the parameters.
fn pattern(path: &str) -> (String, Vec<Parameter>) {
    let (mut pattern, mut parameters) = (String::new(), Vec::new());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((parameter, after)) = after.split_once('}') else { break };
        let (name, converter) = parameter.split_once(':').unwrap_or((parameter, ""));
        let kind = Kind::of(converter);
        let star = if kind == Kind::Path { "*" } else { "" };
        pattern.push_str(&format!("{before}{{{star}p{}}}", parameters.len()));
        parameters.push(Parameter { name: name.to_owned(), kind });
        rest = after;
    }
    pattern.push_str(rest);
    (pattern, parameters)
}

fn parse_query(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_keep_the_names_aside() {
        let check = |path: &str, expected: &str, names: &[&str]| {
            let (pattern, parameters) = pattern(path);
            let found: Vec<_> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
            assert_eq!((pattern.as_str(), found.as_slice()), (expected, names));
        };
        check("/add", "/add", &[]);
        check("/users/{id}", "/users/{p0}", &["id"]);
        check("/a/{x:int}/b/{rest:path}", "/a/{p0}/b/{*p1}", &["x", "rest"]);
    }

    #[test]
    fn converters_take_what_starlettes_take() {
        let check = |converter: &str, good: &[&str], bad: &[&str]| {
            assert!(good.iter().all(|value| Kind::of(converter).takes(value)), "{converter}");
            assert!(!bad.iter().any(|value| Kind::of(converter).takes(value)), "{converter}");
        };
        check("int", &["0", "007"], &["", "-1", "1.0", "x"]);
        check("float", &["0", "1.5"], &["", ".5", "1.", "-1.5", "1e3"]);
        check(
            "uuid",
            &["00000000-0000-4000-8000-00000000000A"],
            &["", "7", "0000000g-0000-4000-8000-000000000000"],
        );
        check("", &["", "x"], &[]);
    }

    #[test]
    fn queries_keep_order_and_repetitions() {
        let pairs = parse_query("a=1&b=x%20y+z&a=2&flag&=v&&");
        let expected = [("a", "1"), ("b", "x y z"), ("a", "2"), ("flag", ""), ("", "v")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
