//! HTTPS to servers that are none of ours.
//!
//! Made when the first request needs it: reading the certificates that are trusted takes time, and keeping them memory, which
//! most processes never need.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use rustls_native_certs::{load_certs_from_paths, load_native_certs};
use tokio::sync::OnceCell;

use crate::transport::{CONNECT_TIMEOUT, POOL_IDLE_TIMEOUT, USER_AGENT_NAME, shown};

/// Strangers are asked less often than our own.
const POOL_IDLE_PER_HOST_MAX: usize = 4;
const WRONG_ROOTS: &str = "no certificate to trust: install the system's (ca-certificates), or name a file of them with SSL_CERT_FILE";

/// Whose certificates are trusted: those of a file (PEM), of a folder, or, where neither is named, the system's.
#[derive(Debug, Clone, Default)]
pub struct TrustedRoots {
    pub file: Option<PathBuf>,
    pub dir: Option<PathBuf>,
}

#[derive(Debug, Default)]
pub(crate) struct Secure {
    roots: TrustedRoots,
    client: OnceCell<Client<HttpsConnector<HttpConnector>, Full<Bytes>>>,
}

impl Secure {
    pub(crate) fn new(roots: TrustedRoots) -> Self {
        Self { roots, client: OnceCell::new() }
    }

    /// Gives the answer's status, or why there is none.
    pub(crate) async fn post(
        &self,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
        timeout: Duration,
    ) -> Result<StatusCode, String> {
        let answered = tokio::time::timeout(timeout, self.send(url, headers, body)).await;
        answered.unwrap_or_else(|_| Err(format!("no answer within {} s", timeout.as_secs())))
    }

    async fn send(&self, url: &str, headers: HeaderMap, body: Bytes) -> Result<StatusCode, String> {
        let client = self.client.get_or_try_init(|| make(self.roots.clone())).await?;
        let request = Request::builder().method(Method::POST).uri(url).body(Full::new(body));
        let mut request = request.map_err(|_| "the URL cannot be asked for".to_owned())?;
        *request.headers_mut() = headers;
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_NAME));
        client.request(request).await.map(|answer| answer.status()).map_err(|error| shown(&error))
    }
}

/// A failure is not kept: the next request tries again.
async fn make(roots: TrustedRoots) -> Result<Client<HttpsConnector<HttpConnector>, Full<Bytes>>, String> {
    let config = tokio::task::spawn_blocking(move || config(&roots));
    let config = config.await.map_err(|_| "TLS cannot be set up".to_owned())??;
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().wrap_connector(http);
    Ok(Client::builder(TokioExecutor::new())
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .pool_max_idle_per_host(POOL_IDLE_PER_HOST_MAX)
        .pool_timer(TokioTimer::new())
        .build(connector))
}

/// Reads files.
fn config(roots: &TrustedRoots) -> Result<ClientConfig, String> {
    let found = match (&roots.file, &roots.dir) {
        (None, None) => load_native_certs(),
        (file, dir) => load_certs_from_paths(file.as_deref(), dir.as_deref()),
    };
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(found.certs);
    if store.is_empty() {
        let why = found.errors.first().map(|error| format!(" ({})", shown(error))).unwrap_or_default();
        return Err(format!("{WRONG_ROOTS}{why}"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| shown(&error))?;
    Ok(config.with_root_certificates(store).with_no_client_auth())
}
