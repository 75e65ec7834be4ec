//! A mothership on a free port with a provider in memory, and resources for it.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use flash_model::*;
use flash_mothership::store::{MemoryStore, Store};
use flash_mothership::{Desired, Front, FrontSettings, Handle, Mothership, ReconcileSettings, Served};
use flash_providers::{Provider, SimProvider};

pub(crate) const TOKEN: &str = "0123456789abcdef";
const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) fn scope() -> Scope {
    Scope { app: AppName::new("shop").unwrap(), environment: EnvironmentName::new("dev").unwrap() }
}

pub(crate) fn name(text: &str) -> ResourceName {
    ResourceName::new(text).unwrap()
}

pub(crate) fn resource(kind: EndpointKind, workers_max: u32) -> Resource {
    let mut resource = Resource {
        spec: ResourceSpec {
            kind,
            hardware: Hardware::Cpu { instance_ids: vec!["any".into()] },
            image: None,
            workers_min: 0,
            workers_max,
            idle_timeout: 5,
            scaler: Scaler { scaler_type: ScalerType::QueueDelay, value: 4 },
            execution_timeout_ms: 0,
            max_concurrency: 1,
            volumes: vec![],
            locations: vec![],
            env: vec![],
            python_version: None,
            dependencies: vec![],
            system_dependencies: vec![],
            container_disk_gb: None,
            template_id: None,
            flashboot: true,
            asgi: None,
        },
        resource_type: "CpuLiveServerless".into(),
        handler_file: String::new(),
        functions: vec![],
        is_load_balanced: false,
        is_live_resource: false,
        config_variable: None,
        files: vec![],
        imports: vec![],
        code_digest: String::new(),
        config_hash: String::new(),
        provisioned: Provisioned::default(),
    };
    resource.config_hash = resource.compute_config_hash().unwrap();
    resource
}

/// Queue resources by name and `workersMax`; each has one function of the same name.
pub(crate) fn manifest(resources: &[(&str, u32)]) -> Manifest {
    let mut manifest = Manifest::empty("shop");
    for (text, workers_max) in resources {
        manifest.resources.insert(name(text), resource(EndpointKind::Queue, *workers_max));
        manifest.function_registry.insert(FunctionName::new(*text).unwrap(), name(text));
    }
    manifest
}

pub(crate) struct Rig {
    pub(crate) mothership: Mothership,
    pub(crate) handle: Handle,
}

impl Rig {
    pub(crate) async fn start(store: Arc<dyn Store>, provider: Arc<dyn Provider>) -> Self {
        let mothership = front()
            .reconcile(ReconcileSettings {
                scope: scope(),
                store,
                provider,
                period: Duration::from_millis(50),
            })
            .await
            .unwrap();
        Self { handle: mothership.handle(), mothership }
    }

    pub(crate) async fn simulated() -> (Self, Arc<MemoryStore>, Arc<SimProvider>) {
        let (store, provider) = (Arc::new(MemoryStore::default()), Arc::new(SimProvider::default()));
        (Self::start(store.clone(), provider.clone()).await, store, provider)
    }

    pub(crate) fn want(&self, resources: &[(&str, u32)]) {
        self.handle.set_desired(Desired { manifest: manifest(resources), environment: BTreeMap::new() });
    }

    /// Waits for what is served; a condition that never holds fails with what was served last.
    pub(crate) async fn until(&self, what: &str, condition: impl FnMut(&Arc<Served>) -> bool) -> Arc<Served> {
        let mut served = self.handle.subscribe();
        match tokio::time::timeout(DEADLINE, served.wait_for(condition)).await {
            Ok(served) => served.unwrap().clone(),
            Err(_) => panic!("never {what}: {:#?}", self.handle.served().manifest.resources),
        }
    }

    pub(crate) async fn until_ready(&self) -> Arc<Served> {
        self.until("all ready", |served| {
            let mut statuses = served.manifest.resources.values().map(|resource| resource.provisioned.status);
            !served.manifest.resources.is_empty()
                && statuses.all(|status| status == Some(ResourceStatus::Ready))
        })
        .await
    }
}

pub(crate) fn front() -> Front {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    Front::open(FrontSettings { project_name: "shop".into(), listener, token: Secret::new(TOKEN) }).unwrap()
}

pub(crate) fn status(served: &Served, resource: &str) -> Option<ResourceStatus> {
    served.manifest.resources.get(resource)?.provisioned.status
}

/// Polls a condition that nothing announces.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "never {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
