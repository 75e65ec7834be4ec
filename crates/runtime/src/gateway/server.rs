//! Accepts connections and lets the open ones finish at the end.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::Gateway;
use super::connection::converse;
use crate::stop::Cutoff;

const CONNECTIONS_MAX: usize = 4096;
/// After an error of the machine, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then gives what is in flight until `cutoff`.
    pub(crate) async fn run(self, gateway: Arc<Gateway>, stop: impl Future<Output = ()>, cutoff: Cutoff) {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let (stopping, _) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let accept = async {
                let permit = Arc::clone(&permits).acquire_owned().await;
                (self.listener.accept().await, permit)
            };
            let (accepted, permit) = tokio::select! {
                accepted = accept => accepted,
                () = &mut stop => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (gateway, stopping) = (Arc::clone(&gateway), stopping.subscribe());
                    let _ = stream.set_nodelay(true);
                    let answer = move |request| {
                        let gateway = Arc::clone(&gateway);
                        async move { gateway.serve(request).await }
                    };
                    connections.spawn(async move {
                        converse(stream, answer, stopping).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.listener);
        stopping.send_replace(true);
        tokio::select! {
            () = async {
                while connections.join_next().await.is_some() {}
                gateway.tunnels_ended().await;
            } => {}
            () = cutoff.reached(Duration::ZERO) => {
                tracing::warn!("requests were still running at the end of the drain; they are cut off");
            }
        }
    }
}
