//! A loopback server must not be driven by a web page: it is asked by a loopback name, from a loopback origin, or not at all.

use std::net::SocketAddr;

use flash_model::{Code, Provenance};
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName};

use crate::refusal::Refusal;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

#[derive(Debug)]
pub(crate) struct Guard {
    is_loopback: bool,
    /// What nearly every request says: needs no parsing.
    usual_host: String,
}

impl Guard {
    pub(crate) fn new(bound: SocketAddr) -> Self {
        Self { is_loopback: bound.ip().is_loopback(), usual_host: bound.to_string() }
    }

    pub(crate) fn is_loopback(&self) -> bool {
        self.is_loopback
    }

    /// `may_be_foreign`: the page that asks is no objection, whatever its origin.
    pub(crate) fn check(&self, headers: &HeaderMap, may_be_foreign: bool) -> Result<(), Refusal> {
        if !self.is_loopback {
            return Ok(());
        }
        let provenance = Provenance {
            host: bytes(headers, HOST),
            origin: bytes(headers, ORIGIN),
            fetch_site: bytes(headers, FETCH_SITE),
            fetch_mode: bytes(headers, FETCH_MODE),
        };
        let provenance = if may_be_foreign {
            Provenance { host: provenance.host, ..Provenance::default() }
        } else {
            provenance
        };
        let is_usual = provenance.host == Some(self.usual_host.as_bytes())
            && provenance.origin.is_none()
            && provenance.fetch_site.is_none();
        if is_usual || provenance.is_loopback() { Ok(()) } else { Err(forbidden()) }
    }
}

fn bytes(headers: &HeaderMap, name: HeaderName) -> Option<&[u8]> {
    headers.get(name).map(http::HeaderValue::as_bytes)
}

fn forbidden() -> Refusal {
    Refusal::new(Code::ForbiddenOrigin, 403, "this host or origin may not drive a loopback server")
        .hint("call 127.0.0.1 or localhost")
}
