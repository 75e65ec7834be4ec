//! Starting, steering and stopping a mothership.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flash_model::{Manifest, MothershipId, Scope, Secret};
use flash_plan::Plan;
use flash_providers::Provider;
use tokio::sync::{broadcast, oneshot, watch};
use tokio::task::JoinHandle;

use crate::discovery::Discovery;
use crate::http::Access;
use crate::leadership::{Leadership, Role};
use crate::metrics::Metrics;
use crate::reconcile::{ApplyRefusal, Desired, Environment, Event, Wish, Wishes};
use crate::served::Served;
use crate::settings::{EnvironmentSource, FrontSettings, ReconcileSettings};
use crate::store::Store;
use crate::{http, store};

const EVENTS_BUFFERED_MAX: usize = 1024;
const HTTP_DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// What an HTTP request or a person steers a mothership by is answered within this time.
const APPLY_TIMEOUT: Duration = Duration::from_secs(60);

/// How a mothership is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    None,
    /// Every endpoint is stopped, and none forgotten.
    Suspend,
    /// Endpoints go on without it.
    Leave,
}

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
    http: http::State,
    discovery: Discovery,
    token: Secret,
    url: String,
    stop: watch::Sender<Ending>,
    server: JoinHandle<()>,
}

/// The running server: HTTP in front, reconciliation behind, one never waiting for the other.
#[derive(Debug)]
pub struct Mothership {
    stop: watch::Sender<Ending>,
    server: Option<JoinHandle<()>>,
    handle: Handle,
    leadership: JoinHandle<Result<(), flash_providers::Error>>,
}

/// A cheap clone to talk to a running mothership.
#[derive(Clone)]
pub struct Handle {
    wishes: Arc<watch::Sender<Wish>>,
    again: Arc<watch::Sender<u64>>,
    discovery: Discovery,
    events: broadcast::Sender<Event>,
    role: watch::Receiver<Role>,
    url: String,
    mothership_id: MothershipId,
    scope: Scope,
    store: Arc<dyn Store>,
    provider: Arc<dyn Provider>,
    environment: Arc<EnvironmentSource>,
    metrics: Arc<Metrics>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("scope", &self.scope).field("url", &self.url).finish_non_exhaustive()
    }
}

impl Handle {
    /// Makes this the desired state; reconciliation starts at once.
    pub fn set_desired(&self, desired: Desired) {
        self.wishes.send_modify(|wish| wish.want(desired));
    }

    /// Looks at the world now rather than when the period is over, and tries again what waits after a failure.
    pub fn look_again(&self) {
        self.again.send_modify(|asked| *asked += 1);
    }

    /// Makes this the desired state if exactly `plan` would be done for it now; else nothing changes. Gives back the
    /// generation that it became.
    pub async fn apply(&self, desired: Desired, plan: Plan) -> Result<u64, ApplyRefusal> {
        if let Role::Following { leader } = &*self.role.borrow() {
            return Err(ApplyRefusal::NotLeading(leader.clone()));
        }
        let (answer, answered) = oneshot::channel();
        let mut exactly = None;
        self.wishes.send_modify(|wish| exactly = Some(wish.want_exactly(desired, plan, answer)));
        match tokio::time::timeout(APPLY_TIMEOUT, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(ApplyRefusal::Superseded),
            Err(_) => {
                let what = match exactly.is_some_and(|exactly| exactly.withdraw()) {
                    true => "nothing was done",
                    false => "it may be under way",
                };
                let waited = APPLY_TIMEOUT.as_secs();
                Err(ApplyRefusal::Failed(format!("no answer within {waited} s; {what}")))
            }
        }
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    pub fn provider(&self) -> &Arc<dyn Provider> {
        &self.provider
    }

    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Values of the variables that a manifest's resources name, from this process.
    pub fn environment(&self, manifest: &Manifest) -> Environment {
        (self.environment)(manifest)
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
        let FrontSettings { project_name, listener, token, needs_token } = settings;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let discovery = Discovery::new(&project_name);
        let (stop, stopped) = watch::channel(Ending::None);
        let is_loopback = address.ip().is_loopback();
        let access = Access { is_loopback, needs_token: needs_token || !is_loopback };
        let http = http::State::new(discovery.clone(), token.clone(), access, stopped.clone());
        let mut ending = stopped;
        let stopped = async move { drop(ending.wait_for(|ending| *ending != Ending::None).await) };
        let server = tokio::spawn(http::serve(listener, http::router(http.clone()), stopped));
        Ok(Self { http, discovery, token, url: local_url(address), stop, server })
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
        let mothership = parts.start(settings, Some(self.server)).await?;
        self.http.steer_by(mothership.handle());
        Ok(mothership)
    }
}

/// What a mothership consists of beside its HTTP server.
struct Parts {
    discovery: Discovery,
    token: Secret,
    url: String,
    stop: watch::Sender<Ending>,
}

impl Parts {
    async fn start(
        self,
        settings: ReconcileSettings,
        server: Option<JoinHandle<()>>,
    ) -> Result<Mothership, StartError> {
        let Self { discovery, token, url, stop } = self;
        let mothership_id = settings.store.lineage(&settings.scope, candidate()?).await?;
        let (wishes, wished) = watch::channel(Wish::default());
        let metrics = Arc::new(Metrics::default());
        let (again, asked_again) = watch::channel(0);
        let (events, _) = broadcast::channel(EVENTS_BUFFERED_MAX);
        let (role, watched_role) = watch::channel(Role::Starting);
        let handle = Handle {
            wishes: Arc::new(wishes),
            again: Arc::new(again),
            discovery: discovery.clone(),
            events: events.clone(),
            role: watched_role,
            url: url.clone(),
            mothership_id: mothership_id.clone(),
            scope: settings.scope.clone(),
            store: Arc::clone(&settings.store),
            provider: Arc::clone(&settings.provider),
            environment: Arc::clone(&settings.environment),
            metrics: Arc::clone(&metrics),
        };
        let leadership = Leadership {
            settings,
            mothership_id,
            mothership_url: url,
            token,
            discovery,
            events,
            wishes: Wishes::new(wished),
            again: asked_again,
            metrics,
            role,
            stop: stop.subscribe(),
        };
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
            stop: watch::Sender::new(Ending::None),
        };
        parts.start(settings, None).await
    }

    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Stops serving and, if it leads, finishes steps that have begun, stops every endpoint without forgetting it (the
    /// next mothership finds the same ids and queues), and gives the lease back.
    pub async fn stop_with_endpoints(self) -> Result<(), flash_providers::Error> {
        self.end(Ending::Suspend).await
    }

    /// Stops serving, finishes steps that have begun, and gives the lease back. Endpoints go on as they are.
    pub async fn leave(self) -> Result<(), flash_providers::Error> {
        self.end(Ending::Leave).await
    }

    async fn end(self, how: Ending) -> Result<(), flash_providers::Error> {
        self.stop.send_replace(how);
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
pub(crate) fn local_url(address: SocketAddr) -> String {
    let ip = address.ip();
    let ip = match (ip.is_unspecified(), ip.is_ipv6()) {
        (true, true) => std::net::Ipv6Addr::LOCALHOST.into(),
        (true, false) => std::net::Ipv4Addr::LOCALHOST.into(),
        _ => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}
