//! Load-balanced functions: method and path to function, one HTTP request to one call.

use bytes::Bytes;
use flash_model::{Code, Function, HttpMethod, Resource};
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

use super::content::Content;
use super::respond::{self, Response};
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
    function: String,
    is_sync: bool,
    /// Path parameters in order; the router knows them as `p0`, `p1`, so that routes of two methods may name them differently.
    parameters: Vec<String>,
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
            let methods = by_path.entry(pattern).or_default();
            methods.entries.push(Entry::new(function, method, parameters));
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
        let Ok(found) = self.router.at(path) else { return Err(no_route(path, &self.shown)) };
        // What a HEAD is answered is cut off behind the headers (RFC 9110 §9.3.2).
        let asked = if parts.method == Method::HEAD { &Method::GET } else { &parts.method };
        if *asked == Method::OPTIONS {
            return Ok(options(&found.value.allow));
        }
        let method = method_of(asked);
        let Some(entry) = found.value.entries.iter().find(|entry| Some(entry.method) == method) else {
            return Err(method_not_allowed(&parts.method, path, &found.value.allow));
        };
        let body = respond::read_body(body).await?;
        let slot = pool.lease(entry.is_sync, Patience::Door).await?;
        let is_whole = slot.wants_whole_request(&entry.function);
        let content_type = parts.headers.get(CONTENT_TYPE);
        let is_bare =
            matches!(parts.uri.query(), None | Some("")) && entry.parameters.is_empty() && !is_whole;
        let header = match content_type {
            None if is_bare => entry.bare_header.clone(),
            Some(kind) if is_bare && kind == "application/json" => entry.json_header.clone(),
            content_type => {
                let values = found.params.iter().map(|(_, value)| value.to_owned());
                CallHeader {
                    path: entry.parameters.iter().map(String::as_str).zip(values).collect(),
                    query: parts.uri.query().map(parse_query).unwrap_or_default(),
                    content_type: content_type.and_then(|value| value.to_str().ok()),
                    request: is_whole.then(|| request_head(&parts)),
                    ..entry.header()
                }
                .encode()
            }
        };
        match pool.run(slot, header, body).await? {
            Reply::Whole(Answer::Result { header, body }) => answer(header, Content::Whole(Full::new(body))),
            Reply::Whole(Answer::Error(header)) => Err(header.into()),
            Reply::Whole(Answer::Died(death)) => Err(Refusal::worker_died(&death)),
            Reply::Stream(mut stream) => answer(std::mem::take(&mut stream.header), Content::Parts(stream)),
        }
    }
}

impl Entry {
    fn new(function: &Function, method: HttpMethod, parameters: Vec<String>) -> Self {
        let mut entry = Self {
            method,
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

/// `/users/{id}` → `/users/{p0}`, `/files/{rest:path}` → `/files/{*p0}`; and the names.
fn pattern(path: &str) -> (String, Vec<String>) {
    let (mut pattern, mut names) = (String::new(), Vec::new());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((parameter, after)) = after.split_once('}') else { break };
        let (name, converter) = parameter.split_once(':').unwrap_or((parameter, ""));
        let star = if converter == "path" { "*" } else { "" };
        pattern.push_str(&format!("{before}{{{star}p{}}}", names.len()));
        names.push(name.to_owned());
        rest = after;
    }
    pattern.push_str(rest);
    (pattern, names)
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
            assert_eq!(
                (pattern.as_str(), parameters.as_slice()),
                (expected, names.iter().map(ToString::to_string).collect::<Vec<_>>().as_slice())
            );
        };
        check("/add", "/add", &[]);
        check("/users/{id}", "/users/{p0}", &["id"]);
        check("/a/{x:int}/b/{rest:path}", "/a/{p0}/b/{*p1}", &["x", "rest"]);
    }

    #[test]
    fn queries_keep_order_and_repetitions() {
        let pairs = parse_query("a=1&b=x%20y+z&a=2&flag&=v&&");
        let expected = [("a", "1"), ("b", "x y z"), ("a", "2"), ("flag", ""), ("", "v")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
