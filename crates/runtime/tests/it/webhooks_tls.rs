//! Webhooks to servers that show a certificate.

use std::sync::Arc;
use std::time::Duration;

use flash_client::{Transport, TrustedRoots};
use flash_testkit::receiver::Delivery;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::queue;
use crate::webhooks::job;

const TIMEOUT: Duration = Duration::from_secs(10);

/// What a server shows, and what trusts it.
struct Identity {
    acceptor: TlsAcceptor,
    pem: String,
}

impl Identity {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), pem: made.cert.pem() }
    }
}

/// One connection; none if the other side did not trust us.
async fn accept(listener: &TcpListener, shown: &Identity) -> Option<Delivery> {
    let (stream, _) = listener.accept().await.unwrap();
    Delivery::receive(shown.acceptor.accept(stream).await.ok()?, 200).await
}

#[tokio::test]
async fn a_webhook_is_told_to_whoever_shows_a_certificate_that_is_trusted_and_tried_again_till_then() {
    let (trusted, stranger) = (Identity::new(), Identity::new());
    let mut project = queue::project();
    let roots = project.path("roots.pem");
    std::fs::write(&roots, &trusted.pem).unwrap();
    project.trusted_roots = TrustedRoots { file: Some(roots), dir: None };
    let endpoint = project.start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/done?key=1", listener.local_addr().unwrap());
    let id = endpoint.post("/run", job("double", json!({"x": 2}), &url)).await.body["id"].clone();
    assert!(accept(&listener, &stranger).await.is_none(), "nothing was said to a stranger");
    let told = accept(&listener, &trusted).await.unwrap();
    assert_eq!(told.header("flash-delivery-attempt"), "2");
    let view: Value = serde_json::from_str(&told.body).unwrap();
    assert_eq!((&view["id"], &view["output"]), (&id, &json!(4)));
}

#[tokio::test]
async fn why_nobody_was_told_names_the_certificate_and_not_the_url() {
    let (trusted, stranger) = (Identity::new(), Identity::new());
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, &trusted.pem).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/done?key=1", listener.local_addr().unwrap());
    let notify = async |transport: &Transport| {
        transport.notify(&url, http::HeaderMap::new(), b"{}".as_slice().into(), TIMEOUT).await
    };
    let transport = Transport::new().trusting(TrustedRoots { file: Some(roots.clone()), dir: None });
    let (answer, heard) = tokio::join!(notify(&transport), accept(&listener, &stranger));
    let why = answer.unwrap_err();
    assert!(why.contains("certificate") && !why.contains("key=1"), "{why}");
    assert!(heard.is_none());
    let (answer, heard) = tokio::join!(notify(&transport), accept(&listener, &trusted));
    assert_eq!((answer.unwrap(), heard.unwrap().body.as_str()), (http::StatusCode::OK, "{}"));

    // Nothing to trust is found out when it is needed, and looked for again the next time.
    let later = folder.path().join("later.pem");
    let transport = Transport::new().trusting(TrustedRoots { file: Some(later.clone()), dir: None });
    let why = notify(&transport).await.unwrap_err();
    assert!(why.contains("SSL_CERT_FILE"), "{why}");
    std::fs::write(&later, &trusted.pem).unwrap();
    let (answer, _) = tokio::join!(notify(&transport), accept(&listener, &trusted));
    assert_eq!(answer.unwrap(), http::StatusCode::OK);
}
