//! A mothership on a free port with a provider in memory, and resources for it.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use flash_model::*;
use flash_mothership::store::{MemoryStore, Store};
use flash_mothership::{
    Desired, Front, FrontSettings, Handle, LeaseSettings, Mothership, ReconcileSettings, Role, Served,
};
use flash_providers::{Provider, SimProvider};
use flash_testkit::{manifest, scope};

pub(crate) const TOKEN: &str = "0123456789abcdef";
const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Rig {
    pub(crate) mothership: Mothership,
    pub(crate) handle: Handle,
}

impl Rig {
    pub(crate) async fn start(store: Arc<dyn Store>, provider: Arc<dyn Provider>) -> Self {
        Self::start_as(store, provider, LeaseSettings::new("a test").unwrap()).await
    }

    pub(crate) async fn start_as(
        store: Arc<dyn Store>,
        provider: Arc<dyn Provider>,
        lease: LeaseSettings,
    ) -> Self {
        Self::start_with(store, provider, |settings| settings.lease = lease).await
    }

    pub(crate) async fn start_with(
        store: Arc<dyn Store>,
        provider: Arc<dyn Provider>,
        adjust: impl FnOnce(&mut ReconcileSettings),
    ) -> Self {
        let lease = LeaseSettings::new("a test").unwrap();
        let mut settings = ReconcileSettings::new(scope(), store, provider, lease);
        settings.period = Duration::from_millis(50);
        adjust(&mut settings);
        let mothership = front().reconcile(settings).await.unwrap();
        Self { handle: mothership.handle(), mothership }
    }

    pub(crate) async fn simulated() -> (Self, Arc<MemoryStore>, Arc<SimProvider>) {
        let (store, provider) = (Arc::new(MemoryStore::default()), Arc::new(SimProvider::default()));
        (Self::start(store.clone(), provider.clone()).await, store, provider)
    }

    pub(crate) fn want(&self, resources: &[(&str, u32)]) {
        self.handle
            .set_desired(Desired { manifest: Arc::new(manifest(resources)), environment: BTreeMap::new() });
    }

    /// Waits for what is served; a condition that never holds fails with what was served last.
    pub(crate) async fn until(&self, what: &str, condition: impl FnMut(&Arc<Served>) -> bool) -> Arc<Served> {
        let mut served = self.handle.subscribe();
        match tokio::time::timeout(DEADLINE, served.wait_for(condition)).await {
            Ok(served) => served.unwrap().clone(),
            Err(_) => {
                panic!("never {what}: {:#?}", self.handle.served().all_provisioned().collect::<Vec<_>>())
            }
        }
    }

    pub(crate) async fn until_leading(&self) -> u64 {
        let mut role = self.handle.role();
        let leading = role.wait_for(|role| matches!(role, Role::Leading { .. }));
        match *tokio::time::timeout(DEADLINE, leading).await.expect("never leading").unwrap() {
            Role::Leading { fence } => fence,
            _ => unreachable!(),
        }
    }

    pub(crate) async fn until_following(&self) {
        let mut role = self.handle.role();
        let following = role.wait_for(|role| matches!(role, Role::Following { .. }));
        tokio::time::timeout(DEADLINE, following).await.expect("never following").unwrap();
    }

    pub(crate) async fn until_ready(&self) -> Arc<Served> {
        self.until("all ready", |served| {
            let mut statuses = served.all_provisioned().map(|(_, provisioned)| provisioned.status);
            served.all_provisioned().len() > 0 && statuses.all(|status| status == Some(ResourceStatus::Ready))
        })
        .await
    }
}

pub(crate) fn front() -> Front {
    front_for(false)
}

pub(crate) fn front_for(needs_token: bool) -> Front {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let token = Secret::new(TOKEN);
    Front::open(FrontSettings { project_name: "shop".into(), listener, token, needs_token }).unwrap()
}

pub(crate) fn status(served: &Served, resource: &str) -> Option<ResourceStatus> {
    served.provisioned(resource)?.status
}

/// Polls a condition that nothing announces.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "never {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
