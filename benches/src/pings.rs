//! Whoever asks a server again and again whether it is there.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, StatusCode, header};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::http::{connect, exchange};

const PAUSE: Duration = Duration::from_millis(1);

pub(crate) struct Pings {
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<Vec<f64>>>,
}

impl Pings {
    /// One connection that asks, with a pause.
    pub(crate) fn start(address: SocketAddr) -> Self {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut sender = connect::<Empty<Bytes>>(address).await?;
            let mut took_ms = Vec::new();
            while !*stopped.borrow() {
                let request =
                    Request::get("/ping").header(header::HOST, address.to_string()).body(Empty::new())?;
                let sent = Instant::now();
                let (status, _) = exchange(&mut sender, request).await.context("/ping")?;
                took_ms.push(sent.elapsed().as_secs_f64() * 1e3);
                if status != StatusCode::OK {
                    bail!("/ping answered {status}");
                }
                tokio::time::sleep(PAUSE).await;
            }
            Ok(took_ms)
        });
        Self { stop, task }
    }

    /// Milliseconds of each answer.
    pub(crate) async fn stop(self) -> Result<Vec<f64>> {
        self.stop.send_replace(true);
        self.task.await?
    }
}
