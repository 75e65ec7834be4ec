//! Starting, steering and stopping a mothership.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flash_model::{MothershipId, Secret};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use crate::discovery::{Discovery, Served};
use crate::leadership::{Leadership, Role};
use crate::reconcile::{Desired, Event};
use crate::settings::{FrontSettings, ReconcileSettings};
use crate::{http, store};

const EVENTS_BUFFERED_MAX: usize = 1024;
const HTTP_DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the state cannot be read")]
    Store(#[from] store::Error),
    #[error("no randomness on this machine")]
    Random(#[from] getrandom::Error),
}

/// The HTTP side, open before anything is known of the project.
#[derive(Debug)]
pub struct Front {
    discovery: Discovery,
    token: Secret,
    url: String,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

/// The running server: HTTP in front, reconciliation behind, one never waiting for the other.
#[derive(Debug)]
pub struct Mothership {
    stop: watch::Sender<bool>,
    server: Option<JoinHandle<()>>,
    handle: Handle,
    leadership: JoinHandle<Result<(), flash_providers::Error>>,
}

/// A cheap clone to talk to a running mothership.
#[derive(Debug, Clone)]
pub struct Handle {
    desired: Arc<watch::Sender<Option<Arc<Desired>>>>,
    discovery: Discovery,
    events: broadcast::Sender<Event>,
    role: watch::Receiver<Role>,
    url: String,
    mothership_id: MothershipId,
}

impl Handle {
    /// Makes this the desired state; reconciliation starts at once.
    pub fn set_desired(&self, desired: Desired) {
        self.desired.send_replace(Some(Arc::new(desired)));
    }

    pub fn served(&self) -> Arc<Served> {
        self.discovery.current()
    }

    /// Changes whenever what is served changes.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Served>> {
        self.discovery.subscribe()
    }

    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Whether this mothership leads.
    pub fn role(&self) -> watch::Receiver<Role> {
        self.role.clone()
    }

    /// Where this machine reaches it, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn mothership_id(&self) -> &MothershipId {
        &self.mothership_id
    }
}

impl Front {
    /// The port answers when this returns. Must be called inside a tokio runtime.
    pub fn open(settings: FrontSettings) -> std::io::Result<Self> {
        let FrontSettings { project_name, listener, token } = settings;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let discovery = Discovery::new(&project_name);
        let (stop, stopped) = watch::channel(false);
        let router =
            http::router(http::State::new(discovery.clone(), token.clone(), address.ip().is_loopback()));
        let server = tokio::spawn(http::serve(listener, router, stopped));
        Ok(Self { discovery, token, url: local_url(address), stop, server })
    }

    /// Where this machine reaches it, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Starts reconciliation. Nothing is provisioned until there is a desired state: one that is set here, or one that is
    /// stored.
    pub async fn reconcile(self, settings: ReconcileSettings) -> Result<Mothership, StartError> {
        let parts = Parts {
            discovery: self.discovery.clone(),
            token: self.token.clone(),
            url: self.url.clone(),
            stop: self.stop.clone(),
        };
        parts.start(settings, Some(self.server)).await
    }
}

/// What a mothership consists of beside its HTTP server.
struct Parts {
    discovery: Discovery,
    token: Secret,
    url: String,
    stop: watch::Sender<bool>,
}

impl Parts {
    async fn start(
        self,
        settings: ReconcileSettings,
        server: Option<JoinHandle<()>>,
    ) -> Result<Mothership, StartError> {
        let Self { discovery, token, url, stop } = self;
        let mothership_id = settings.store.lineage(&settings.scope, candidate()?).await?;
        let (desired, wanted) = watch::channel(None);
        let (events, _) = broadcast::channel(EVENTS_BUFFERED_MAX);
        let (role, watched_role) = watch::channel(Role::Starting);
        let leadership = Leadership {
            settings,
            mothership_id: mothership_id.clone(),
            mothership_url: url.clone(),
            token,
            discovery: discovery.clone(),
            events: events.clone(),
            desired: wanted,
            role,
            stop: stop.subscribe(),
        };
        let desired = Arc::new(desired);
        let handle = Handle { desired, discovery, events, role: watched_role, url, mothership_id };
        Ok(Mothership { stop, server, handle, leadership: tokio::spawn(leadership.run()) })
    }
}

impl Mothership {
    /// One that nobody can call over HTTP: for whoever embeds it, and for simulations. `url` is what endpoints are told.
    pub async fn without_front(
        project_name: &str,
        url: &str,
        token: Secret,
        settings: ReconcileSettings,
    ) -> Result<Self, StartError> {
        let parts = Parts {
            discovery: Discovery::new(project_name),
            token,
            url: url.to_owned(),
            stop: watch::Sender::new(false),
        };
        parts.start(settings, None).await
    }

    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Stops serving and, if it leads, finishes steps that have begun, stops every endpoint without forgetting it (the
    /// next mothership finds the same ids and queues), and gives the lease back.
    pub async fn stop_with_endpoints(self) -> Result<(), flash_providers::Error> {
        self.stop.send_replace(true);
        let result = self.leadership.await?;
        if let Some(server) = self.server {
            let abort = server.abort_handle();
            if tokio::time::timeout(HTTP_DRAIN_TIMEOUT, server).await.is_err() {
                abort.abort();
            }
        }
        result
    }

    /// Ends everything where it stands, as a crash would: no step is finished, the lease is not given back.
    pub fn kill(self) {
        self.leadership.abort();
        if let Some(server) = self.server {
            server.abort();
        }
    }
}

/// An id for a scope that has none yet.
fn candidate() -> Result<MothershipId, getrandom::Error> {
    let id = format!("ms-{:016x}", getrandom::u64()?);
    Ok(MothershipId::new(id).unwrap_or_else(|_| unreachable!("hex digits and a dash are an id")))
}

/// An unspecified address is reached through loopback from this machine.
fn local_url(address: SocketAddr) -> String {
    let ip = address.ip();
    let ip = match (ip.is_unspecified(), ip.is_ipv6()) {
        (true, true) => std::net::Ipv6Addr::LOCALHOST.into(),
        (true, false) => std::net::Ipv4Addr::LOCALHOST.into(),
        _ => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}
