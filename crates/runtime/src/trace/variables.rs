//! What the environment says of the export: OpenTelemetry's own variables, as all its libraries read them.

use flash_model::Secret;
use http::{HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;

use super::sampler::Sampler;

const DISABLED: &str = "OTEL_SDK_DISABLED";
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const TRACES_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const TRACES_HEADERS: &str = "OTEL_EXPORTER_OTLP_TRACES_HEADERS";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_SHARE: &str = "OTEL_TRACES_SAMPLER_ARG";
/// Behind [`ENDPOINT`], which is for all kinds of signals.
const TRACES_PATH: &str = "/v1/traces";

/// Where spans are sent, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceExport {
    pub(super) url: String,
    /// Of each request. They may hold keys.
    pub(super) headers: Vec<(HeaderName, Secret)>,
    /// None = the resource's name.
    pub(super) service_name: Option<String>,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) sampler: Sampler,
}

/// No value is in its text: it may be a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {reason}")]
pub struct InvalidVariable {
    variable: &'static str,
    reason: &'static str,
}

impl TraceExport {
    /// `variable` gives one that is set and not empty. None = nothing is to be exported.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, InvalidVariable> {
        let wrong = |variable, reason| InvalidVariable { variable, reason };
        let either = |first: &'static str, second: &'static str| {
            variable(first).map(|text| (first, text)).or_else(|| variable(second).map(|text| (second, text)))
        };
        let is_disabled = variable(DISABLED).is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let has_exporter =
            variable(EXPORTER).is_none_or(|names| names.split(',').any(|name| name.trim() == "otlp"));
        let Some((place, url)) = either(TRACES_ENDPOINT, ENDPOINT).filter(|_| !is_disabled && has_exporter)
        else {
            return Ok(None);
        };
        if !is_url(&url) {
            return Err(wrong(place, "is not an http or https URL with a host"));
        }
        if let Some((place, _)) = either(TRACES_PROTOCOL, PROTOCOL).filter(|(_, protocol)| protocol == "grpc")
        {
            return Err(wrong(
                place,
                "says grpc; spans are sent as http/json, which collectors take at another port (4318)",
            ));
        }
        let url = if place == ENDPOINT { format!("{}{TRACES_PATH}", url.trim_end_matches('/')) } else { url };
        let headers = either(TRACES_HEADERS, HEADERS).map(|(place, text)| {
            headers(&text).ok_or_else(|| wrong(place, "is not a list of name=value, separated by commas"))
        });
        let attributes = variable(RESOURCE_ATTRIBUTES).map(|text| {
            pairs(&text)
                .ok_or_else(|| wrong(RESOURCE_ATTRIBUTES, "is not a list of name=value, separated by commas"))
        });
        let share = match variable(SAMPLER_SHARE) {
            None => 1.0,
            Some(text) => match text.parse() {
                Ok(share @ 0.0..=1.0) => share,
                _ => return Err(wrong(SAMPLER_SHARE, "is not a number from 0 to 1")),
            },
        };
        let sampler = variable(SAMPLER).map(|name| {
            let known =
                "is none of always_on, always_off, traceidratio, and these with parentbased_ before them";
            Sampler::named(&name, share).ok_or_else(|| wrong(SAMPLER, known))
        });
        Ok(Some(Self {
            url,
            headers: headers.transpose()?.unwrap_or_default(),
            service_name: variable(SERVICE_NAME),
            attributes: attributes.transpose()?.unwrap_or_default(),
            sampler: sampler.transpose()?.unwrap_or_default(),
        }))
    }
}

fn is_url(text: &str) -> bool {
    text.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    })
}

fn headers(text: &str) -> Option<Vec<(HeaderName, Secret)>> {
    let header = |(name, value): (String, String)| {
        HeaderValue::try_from(&value).ok()?;
        Some((HeaderName::try_from(name).ok()?, Secret::new(value)))
    };
    pairs(text)?.into_iter().map(header).collect()
}

/// `name=value`, percent-encoded, between commas.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let decoded = |text: &str| Some(percent_decode_str(text.trim()).decode_utf8().ok()?.into_owned());
    let pair = |text: &str| {
        let (name, value) = text.split_once('=')?;
        Some((decoded(name).filter(|name| !name.is_empty())?, decoded(value)?))
    };
    text.split(',').filter(|pair| !pair.trim().is_empty()).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<TraceExport>, InvalidVariable> {
        TraceExport::of(|name| {
            variables.iter().find(|(there, _)| *there == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn url(variables: &[(&str, &str)]) -> Option<String> {
        of(variables).unwrap().map(|export| export.url)
    }

    #[test]
    fn spans_go_where_the_collector_is_said_to_be() {
        assert_eq!(url(&[]), None);
        assert_eq!(url(&[(SERVICE_NAME, "x")]), None);
        assert_eq!(url(&[(ENDPOINT, "http://c:4318")]).unwrap(), "http://c:4318/v1/traces");
        assert_eq!(url(&[(ENDPOINT, "https://c/otlp/")]).unwrap(), "https://c/otlp/v1/traces");
        let both = [(ENDPOINT, "http://c"), (TRACES_ENDPOINT, "http://t/as/it/is")];
        assert_eq!(url(&both).unwrap(), "http://t/as/it/is");
    }

    #[test]
    fn it_can_be_turned_off() {
        let with = |name, value| url(&[(ENDPOINT, "http://c"), (name, value)]);
        assert_eq!(with(DISABLED, "TRUE"), None);
        assert_eq!(with(EXPORTER, "none"), None);
        assert_eq!(with(EXPORTER, "console"), None);
        assert!(with(EXPORTER, "console, otlp").is_some() && with(DISABLED, "false").is_some());
    }

    #[test]
    fn headers_and_attributes_are_decoded_and_headers_are_secret() {
        let export = of(&[
            (ENDPOINT, "http://c"),
            (HEADERS, "ignored=1"),
            (TRACES_HEADERS, "x-key = top%2Csecret ,authorization=Basic%20eA==,"),
            (RESOURCE_ATTRIBUTES, "team=a%20b,empty="),
            (SERVICE_NAME, "front"),
        ]);
        let export = export.unwrap().unwrap();
        let headers: Vec<_> =
            export.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        assert_eq!(headers, [("x-key", "top,secret"), ("authorization", "Basic eA==")]);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(export.attributes, [pair("team", "a b"), pair("empty", "")]);
        assert_eq!(export.service_name.as_deref(), Some("front"));
        assert!(!format!("{export:?}").contains("secret"));
    }

    #[test]
    fn what_is_wrong_is_named_without_its_value() {
        for (variable, value, part) in [
            (ENDPOINT, "collector:4318", "not an http or https URL"),
            (TRACES_ENDPOINT, "/v1/traces", "not an http or https URL"),
            (PROTOCOL, "grpc", "http/json"),
            (HEADERS, "s3cret", "list of name=value"),
            (HEADERS, "a b=s3cret", "list of name=value"),
            (HEADERS, "a=s3cret%0A", "list of name=value"),
            (RESOURCE_ATTRIBUTES, "=s3cret", "list of name=value"),
            (SAMPLER, "s3cret", "parentbased_"),
            (SAMPLER_SHARE, "1.5", "0 to 1"),
            (SAMPLER_SHARE, "half", "0 to 1"),
        ] {
            let error = of(&[(variable, value), (ENDPOINT, "http://c")]).unwrap_err().to_string();
            assert!(error.starts_with(variable) && error.contains(part), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
