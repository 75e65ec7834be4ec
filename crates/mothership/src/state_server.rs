//! A State Manager by itself: a store for motherships of other machines or projects, and nothing else.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use flash_model::Secret;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::http;
use crate::http::state::StateApi;
use crate::service::local_url;
use crate::store::Store;

const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct StateServer {
    url: String,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl StateServer {
    /// The port answers when this returns; everything but `/ping` to holders of the token only. Must be called inside a
    /// tokio runtime.
    pub fn start(listener: TcpListener, token: Secret, store: Arc<dyn Store>) -> std::io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let api = StateApi::new(token);
        api.open(store);
        let (stop, mut stopped) = watch::channel(false);
        let stopped = async move { drop(stopped.wait_for(|stopped| *stopped).await) };
        let router = http::state::alone(api, address.ip().is_loopback());
        let server = tokio::spawn(http::serve(listener, router, stopped));
        Ok(Self { url: local_url(address), stop, server })
    }

    /// Where this machine reaches it, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Requests under way are finished, if that takes no longer than a moment.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if tokio::time::timeout(DRAIN_TIMEOUT, &mut self.server).await.is_err() {
            self.server.abort();
        }
    }
}
