//! Binding the mothership's port, and saying who has it if it is taken.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

use flash_client::{Fetched, Mothership};
use flash_model::Code;

use super::port_holder;
use crate::error::Failure;

pub(super) async fn bind(host: IpAddr, port: u16) -> Result<TcpListener, Failure> {
    let address = SocketAddr::new(host, port);
    match TcpListener::bind(address) {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let by = match project_at(address).await {
                Some(project) => format!(" by flash, which runs the project {project:?}"),
                None => port_holder::find(port).map_or_else(String::new, |holder| format!(" by {holder}")),
            };
            Err(Failure::coded(Code::PortInUse, format!("port {port} is taken{by}"))
                .hint("choose another with --port (or FLASH_PORT); --port 0 takes a free one"))
        }
        Err(error) => Err(Failure::because(format!("cannot listen on {address}"), &error)
            .hint("choose another address with --host, or another port with --port")),
    }
}

/// The project that a mothership there says it serves.
async fn project_at(address: SocketAddr) -> Option<String> {
    let mothership = Mothership::new(format!("http://{address}"), None);
    let asking = mothership.manifest(None, None);
    match tokio::time::timeout(std::time::Duration::from_secs(1), asking).await {
        Ok(Ok(Fetched::Document { manifest, .. })) => Some(manifest.project_name),
        _ => None,
    }
}
