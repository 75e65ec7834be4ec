//! A store and a provider whose calls can be held up on their way, as by a network or by a process that is stopped.
//! What is held arrives later even if whoever called has long given up.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use flash_model::*;
use flash_mothership::store::{self, Error, Pulse, Store, StoredManifest};
use flash_providers::{EndpointRequest, Limits, Mandate, Provider, SimProvider};
use tokio::sync::watch;

#[derive(Debug)]
pub(crate) struct Gate {
    open: watch::Sender<bool>,
    /// Those who come now need not wait, whoever waits already does.
    passable: AtomicBool,
    arrived: AtomicU64,
}

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            open: watch::Sender::new(true),
            passable: AtomicBool::new(true),
            arrived: AtomicU64::new(0),
        })
    }

    pub(crate) fn close(&self) {
        self.arrived.store(0, Ordering::SeqCst);
        self.passable.store(false, Ordering::SeqCst);
        self.open.send_replace(false);
    }

    /// What is held stays held.
    pub(crate) fn open_for_who_comes(&self) {
        self.passable.store(true, Ordering::SeqCst);
    }

    pub(crate) fn open(&self) {
        self.passable.store(true, Ordering::SeqCst);
        self.open.send_replace(true);
    }

    /// Calls that came since it was closed.
    pub(crate) fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::SeqCst)
    }

    fn pass<T: Send + 'static, E: From<tokio::task::JoinError> + Send + 'static>(
        self: &Arc<Self>,
        call: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<T, E>> + Send>> {
        let gate = Arc::clone(self);
        let task = tokio::spawn(async move {
            gate.arrived.fetch_add(1, Ordering::SeqCst);
            if !gate.passable.load(Ordering::SeqCst) {
                let _ = gate.open.subscribe().wait_for(|open| *open).await;
            }
            call.await
        });
        Box::pin(async move { task.await? })
    }
}

#[derive(Debug)]
pub(crate) struct GatedStore {
    inner: Arc<dyn Store>,
    pub(crate) writes: Arc<Gate>,
    pub(crate) leases: Arc<Gate>,
    /// Writes refused for their fence.
    pub(crate) fenced: Arc<AtomicU64>,
}

impl GatedStore {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self { inner, writes: Gate::new(), leases: Gate::new(), fenced: Arc::default() })
    }

    fn write<'a, T: Send + 'static, F: Future<Output = Result<T, Error>> + Send + 'static>(
        &'a self,
        call: impl FnOnce(Arc<dyn Store>) -> F,
    ) -> store::Pending<'a, T> {
        let (call, fenced) = (call(Arc::clone(&self.inner)), Arc::clone(&self.fenced));
        self.writes.pass(async move {
            let written = call.await;
            if written.as_ref().is_err_and(Error::is_fenced) {
                fenced.fetch_add(1, Ordering::SeqCst);
            }
            written
        })
    }
}

impl Store for GatedStore {
    fn scopes(&self) -> store::Pending<'_, Vec<Scope>> {
        self.inner.scopes()
    }

    fn remove_scope<'a>(&'a self, scope: &'a Scope, fence: u64) -> store::Pending<'a, ()> {
        let scope = scope.clone();
        self.write(|inner| async move { inner.remove_scope(&scope, fence).await })
    }

    fn snapshot<'a>(&'a self, scope: &'a Scope) -> store::Pending<'a, StateSnapshot> {
        self.inner.snapshot(scope)
    }

    fn put<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        record: ResourceRecord,
        expected: u64,
    ) -> store::Pending<'a, ResourceRecord> {
        let scope = scope.clone();
        self.write(|inner| async move { inner.put(&scope, fence, record, expected).await })
    }

    fn remove<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        resource: &'a ResourceName,
        expected: u64,
    ) -> store::Pending<'a, ()> {
        let (scope, resource) = (scope.clone(), resource.clone());
        self.write(|inner| async move { inner.remove(&scope, fence, &resource, expected).await })
    }

    fn lineage<'a>(&'a self, scope: &'a Scope, candidate: MothershipId) -> store::Pending<'a, MothershipId> {
        self.inner.lineage(scope, candidate)
    }

    fn put_manifest<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        manifest: &'a Arc<Manifest>,
        expected: Option<u64>,
    ) -> store::Pending<'a, StoredManifest> {
        let (scope, manifest) = (scope.clone(), manifest.clone());
        self.write(|inner| async move { inner.put_manifest(&scope, fence, &manifest, expected).await })
    }

    fn manifest<'a>(&'a self, scope: &'a Scope) -> store::Pending<'a, Option<StoredManifest>> {
        self.inner.manifest(scope)
    }

    fn generations<'a>(&'a self, scope: &'a Scope) -> store::Pending<'a, Vec<Generation>> {
        self.inner.generations(scope)
    }

    fn generation<'a>(&'a self, scope: &'a Scope, number: u64) -> store::Pending<'a, Option<StoredManifest>> {
        self.inner.generation(scope, number)
    }

    fn lease<'a>(&'a self, scope: &'a Scope, request: LeaseRequest) -> store::Pending<'a, Option<Lease>> {
        let (inner, scope) = (Arc::clone(&self.inner), scope.clone());
        self.leases.pass(async move { inner.lease(&scope, request).await })
    }

    fn pulse<'a>(&'a self, scope: &'a Scope) -> store::Pending<'a, Pulse> {
        self.inner.pulse(scope)
    }

    fn append<'a>(&'a self, scope: &'a Scope, happenings: Vec<Happening>) -> store::Pending<'a, ()> {
        self.inner.append(scope, happenings)
    }

    fn events<'a>(
        &'a self,
        scope: &'a Scope,
        after: u64,
        limit: u32,
    ) -> store::Pending<'a, Vec<LoggedEvent>> {
        self.inner.events(scope, after, limit)
    }
}

/// Holds up what changes the world.
#[derive(Debug)]
pub(crate) struct GatedProvider {
    inner: Arc<SimProvider>,
    pub(crate) writes: Arc<Gate>,
}

impl GatedProvider {
    pub(crate) fn new(inner: Arc<SimProvider>) -> Arc<Self> {
        Arc::new(Self { inner, writes: Gate::new() })
    }

    fn write<'a, T: Send + 'static, F>(
        &'a self,
        call: impl FnOnce(Arc<SimProvider>) -> F,
    ) -> flash_providers::Pending<'a, T>
    where
        F: Future<Output = Result<T, flash_providers::Error>> + Send + 'static,
    {
        self.writes.pass(call(Arc::clone(&self.inner)))
    }
}

impl Provider for GatedProvider {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    fn inventory<'a>(&'a self, scope: &'a Scope) -> flash_providers::Pending<'a, Inventory> {
        self.inner.inventory(scope)
    }

    fn inventory_of_all(&self) -> flash_providers::Pending<'_, Inventory> {
        self.inner.inventory_of_all()
    }

    fn find<'a>(&'a self, endpoint_id: &'a EndpointId) -> flash_providers::Pending<'a, Existence> {
        self.inner.find(endpoint_id)
    }

    fn ensure_volume<'a>(
        &'a self,
        scope: &'a Scope,
        volume: &'a VolumeSpec,
    ) -> flash_providers::Pending<'a, ()> {
        self.inner.ensure_volume(scope, volume)
    }

    fn create<'a>(&'a self, request: &'a EndpointRequest) -> flash_providers::Pending<'a, ObservedEndpoint> {
        let request = request.clone();
        self.write(|inner| async move { inner.create(&request).await })
    }

    fn update<'a>(
        &'a self,
        endpoint_id: &'a EndpointId,
        request: &'a EndpointRequest,
    ) -> flash_providers::Pending<'a, ObservedEndpoint> {
        let (id, request) = (endpoint_id.clone(), request.clone());
        self.write(|inner| async move { inner.update(&id, &request).await })
    }

    fn adopt<'a>(
        &'a self,
        endpoint_id: &'a EndpointId,
        request: &'a EndpointRequest,
    ) -> flash_providers::Pending<'a, ObservedEndpoint> {
        self.inner.adopt(endpoint_id, request)
    }

    fn suspend<'a>(
        &'a self,
        endpoint_id: &'a EndpointId,
        mandate: &'a Mandate,
    ) -> flash_providers::Pending<'a, ()> {
        let (id, mandate) = (endpoint_id.clone(), mandate.clone());
        self.write(|inner| async move { inner.suspend(&id, &mandate).await })
    }

    fn delete<'a>(
        &'a self,
        endpoint_id: &'a EndpointId,
        mandate: &'a Mandate,
    ) -> flash_providers::Pending<'a, ()> {
        let (id, mandate) = (endpoint_id.clone(), mandate.clone());
        self.write(|inner| async move { inner.delete(&id, &mandate).await })
    }

    fn health<'a>(&'a self, endpoint: &'a ObservedEndpoint) -> flash_providers::Pending<'a, Health> {
        self.inner.health(endpoint)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes()
    }
}
