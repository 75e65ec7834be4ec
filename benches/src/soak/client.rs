//! A connection that is made anew when it broke.

use std::net::SocketAddr;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request, StatusCode, header};

use crate::http::{connect, exchange};

#[derive(Debug)]
pub(super) struct Client {
    address: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, sender: None }
    }

    pub(super) async fn get(&mut self, path: &str) -> Result<(StatusCode, Bytes)> {
        self.send(Request::get(path).header(header::HOST, self.address.to_string()), "").await
    }

    /// A body of JSON, with the key under which it may be sent again.
    pub(super) async fn post(
        &mut self,
        path: &str,
        body: &str,
        key: Option<&str>,
    ) -> Result<(StatusCode, Bytes)> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::HOST, self.address.to_string())
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.send(request, body).await
    }

    async fn send(
        &mut self,
        request: hyper::http::request::Builder,
        body: &str,
    ) -> Result<(StatusCode, Bytes)> {
        let request = request.body(Full::from(body.to_owned()))?;
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => connect(self.address).await?,
        };
        let answer = exchange(&mut sender, request).await?;
        self.sender = Some(sender);
        Ok(answer)
    }
}
