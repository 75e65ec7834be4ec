//! What a State Manager answers to motherships and command line. Wire bodies in `flash_model::wire`, paths and rules in
//! `docs/state.md`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flash_model::wire::{
    AppliedResponse, EventsRequest, EventsResponse, FENCE_HEADER, GENERATION_HEADER, GenerationResponse,
    GenerationsResponse, LeaseAction, LeaseResponse, LineageRequest, LineageResponse, PulseResponse,
    STATE_PATH, ScopesResponse,
};
use flash_model::{
    Generation, Happening, Lease, LeaseRequest, LoggedEvent, Manifest, MothershipId, ResourceName,
    ResourceRecord, Retry, Scope, Secret, StateSnapshot,
};
use http::header::{CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::Serialize;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::transport::{Answer, Request, base, segment};
use crate::{Error, Transport, full_jitter};

/// For one try.
const TRY_TIMEOUT: Duration = Duration::from_secs(5);
/// For one call, all tries and the pauses between them. Shorter than a lease lasts.
const CALL_TIMEOUT: Duration = Duration::from_secs(12);
/// Calls under way at the same time: more would only wait for each other on the other side, each with a connection of
/// its own. Leases do not wait here.
const CALLS_MAX: usize = 64;
/// For those before in the queue.
const TURN_TIMEOUT: Duration = Duration::from_secs(30);
/// The first pause is up to this long, every further one up to twice as long as the one before.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

const FENCE: HeaderName = HeaderName::from_static(FENCE_HEADER);
const GENERATION: HeaderName = HeaderName::from_static(GENERATION_HEADER);

/// A State Manager at a base URL. Cheap to make and to clone.
///
/// Calls that fail for a reason that may pass are made again, at random moments that lie further and further apart,
/// until their time is over. An answer may get lost after its request was carried out, so a second try may find its
/// own work done. For reads, leases, manifests and removals that changes nothing: asked twice they do what they do
/// once (a lease belongs to its holder, the same manifest is the same generation, what is gone stays gone). A record
/// names the version that it replaces, so it is never written twice; its second try is refused with a conflict, and
/// the caller reads what is there and decides anew, as after anybody else's write. Log entries would be doubled and are
/// not sent again. A try that is held up on its way for longer than its sender waits can still arrive: it is refused
/// by its fence once somebody else leads, and by its version unless the record was removed and made again meanwhile,
/// which costs a record that the next look at the world restores, as every endpoint says whose it is.
#[derive(Debug, Clone)]
pub struct StateManager {
    transport: Transport,
    url: String,
    token: Secret,
    turns: Arc<Semaphore>,
}

/// A request, ready to be made any number of times.
#[derive(Debug)]
struct Call {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Option<Bytes>,
    repeatable: bool,
    /// Does not wait for its turn.
    urgent: bool,
}

impl StateManager {
    pub fn new(url: impl Into<String>, token: Secret) -> Self {
        let turns = Arc::new(Semaphore::new(CALLS_MAX));
        Self { transport: Transport::new(), url: base(url), token, turns }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub async fn scopes(&self) -> Result<Vec<Scope>, Error> {
        let call = Call::new(Method::GET, STATE_PATH.to_owned());
        Ok(self.success(call).await?.json::<ScopesResponse>("a list of states")?.scopes)
    }

    pub async fn remove_scope(&self, scope: &Scope, fence: u64) -> Result<(), Error> {
        // Carried out and unheard, the second try would find nothing, not even the lease.
        let mut call = Call::of(Method::DELETE, scope, "").fence(fence);
        call.repeatable = false;
        self.success(call).await.map(drop)
    }

    pub async fn snapshot(&self, scope: &Scope) -> Result<StateSnapshot, Error> {
        self.success(Call::of(Method::GET, scope, "/resources")).await?.json("a state")
    }

    /// `expected` is the version it replaces; 0 = there is none.
    pub async fn put(
        &self,
        scope: &Scope,
        fence: u64,
        record: &ResourceRecord,
        expected: u64,
    ) -> Result<ResourceRecord, Error> {
        let call = Call::of(Method::PUT, scope, &resource_path(&record.resource));
        self.success(call.fence(fence).expect(expected).json(record)).await?.json("a record")
    }

    pub async fn remove(
        &self,
        scope: &Scope,
        fence: u64,
        resource: &ResourceName,
        expected: u64,
    ) -> Result<(), Error> {
        let tag = HeaderValue::from_str(&format!("\"{expected}\""));
        let mut call = Call::of(Method::DELETE, scope, &resource_path(resource)).fence(fence);
        if let Ok(tag) = tag {
            call.headers.insert(IF_MATCH, tag);
        }
        self.success(call).await.map(drop)
    }

    pub async fn lineage(&self, scope: &Scope, candidate: MothershipId) -> Result<MothershipId, Error> {
        let call = Call::of(Method::POST, scope, "/lineage").json(&LineageRequest { candidate }).repeatable();
        Ok(self.success(call).await?.json::<LineageResponse>("a lineage")?.lineage)
    }

    /// Gives its generation.
    pub async fn put_manifest(
        &self,
        scope: &Scope,
        fence: u64,
        manifest: &Manifest,
        expected: Option<u64>,
    ) -> Result<u64, Error> {
        let call = Call::of(Method::PUT, scope, "").fence(fence).generation(expected).json(manifest);
        Ok(self.success(call).await?.json::<AppliedResponse>("a generation")?.generation)
    }

    /// The applied manifest, or an earlier one by its number.
    pub async fn manifest(
        &self,
        scope: &Scope,
        generation: Option<u64>,
    ) -> Result<Option<(u64, Arc<Manifest>)>, Error> {
        let number = generation.map_or_else(|| "applied".to_owned(), |number| number.to_string());
        let answer = self.send(Call::of(Method::GET, scope, &format!("/generations/{number}"))).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let GenerationResponse { generation, manifest } = answer.success()?.json("a generation")?;
        Ok(Some((generation, manifest)))
    }

    pub async fn generations(&self, scope: &Scope) -> Result<Vec<Generation>, Error> {
        let answer = self.success(Call::of(Method::GET, scope, "/generations")).await?;
        Ok(answer.json::<GenerationsResponse>("a history")?.generations)
    }

    pub async fn lease(&self, scope: &Scope, request: LeaseRequest) -> Result<Option<Lease>, Error> {
        // A release that was carried out and not heard of is refused when it is repeated.
        let repeatable = !matches!(request, LeaseRequest::Release { .. });
        let mut call = Call::of(Method::POST, scope, "/lease").json(&LeaseAction::from(request));
        call.repeatable = repeatable;
        call.urgent = true;
        Ok(self.success(call).await?.json::<LeaseResponse>("a lease")?.lease)
    }

    pub async fn pulse(&self, scope: &Scope) -> Result<PulseResponse, Error> {
        self.success(Call::of(Method::GET, scope, "/pulse")).await?.json("a pulse")
    }

    pub async fn append(&self, scope: &Scope, happenings: Vec<Happening>) -> Result<(), Error> {
        let call = Call::of(Method::POST, scope, "/events").json(&EventsRequest { happenings });
        self.success(call).await.map(drop)
    }

    pub async fn events(&self, scope: &Scope, after: u64, limit: u32) -> Result<Vec<LoggedEvent>, Error> {
        let call = Call::of(Method::GET, scope, &format!("/events?after={after}&limit={limit}"));
        Ok(self.success(call).await?.json::<EventsResponse>("an event log")?.events)
    }

    /// Nothing was sent before it, so another try can do no harm.
    async fn turn(&self, call: &Call) -> Result<SemaphorePermit<'_>, Error> {
        match timeout(TURN_TIMEOUT, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Error::Timeout { url: format!("{}{}", self.url, call.path), repeatable: true }),
        }
    }

    async fn success(&self, call: Call) -> Result<Answer, Error> {
        self.send(call).await?.success()
    }

    /// Until it is answered with something that another try would not change, or its time is over.
    async fn send(&self, call: Call) -> Result<Answer, Error> {
        let _turn = if call.urgent { None } else { Some(self.turn(&call).await?) };
        let deadline = Instant::now() + CALL_TIMEOUT;
        let mut tries = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let try_timeout = TRY_TIMEOUT.min(left);
            let url = format!("{}{}", self.url, call.path);
            let request = call.request(url.clone(), &self.token, try_timeout);
            let answered = match timeout_at(deadline, self.transport.send(request)).await {
                Ok(answered) => answered,
                Err(_) => Err(Error::Timeout { url, repeatable: call.repeatable }),
            };
            let error = match answered {
                Ok(answer) if is_busy(answer.status) => answer.refusal(),
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            tries += 1;
            let pause = match error.retry() {
                Retry::Never => return Err(error),
                Retry::After(pause) => pause + full_jitter(BACKOFF_FIRST, BACKOFF_FIRST, tries),
                Retry::Backoff => full_jitter(BACKOFF_FIRST, BACKOFF_MAX, tries),
            };
            if Instant::now() + pause >= deadline {
                return Err(error);
            }
            sleep(pause).await;
        }
    }
}

impl Call {
    fn new(method: Method, path: String) -> Self {
        let repeatable = method != Method::POST;
        Self { method, path, headers: HeaderMap::new(), body: None, repeatable, urgent: false }
    }

    fn of(method: Method, scope: &Scope, path: &str) -> Self {
        Self::new(method, format!("{STATE_PATH}/{}{path}", segment(&scope.to_string())))
    }

    fn fence(mut self, fence: u64) -> Self {
        self.headers.insert(FENCE, HeaderValue::from(fence));
        self
    }

    /// The generation that the manifest is to follow.
    fn generation(mut self, expected: Option<u64>) -> Self {
        if let Some(expected) = expected {
            self.headers.insert(GENERATION, HeaderValue::from(expected));
        }
        self
    }

    fn expect(mut self, version: u64) -> Self {
        match (version, HeaderValue::from_str(&format!("\"{version}\""))) {
            (0, _) => self.headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*")),
            (_, Ok(tag)) => self.headers.insert(IF_MATCH, tag),
            (_, Err(_)) => None,
        };
        self
    }

    fn json(mut self, body: &impl Serialize) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // Our own bodies have text keys and no failing serializers.
        self.body = serde_json::to_vec(body).ok().map(Bytes::from);
        self
    }

    fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    fn request<'a>(&self, url: String, token: &'a Secret, timeout: Duration) -> Request<'a> {
        let mut request = Request::new(self.method.clone(), url, Some(token), timeout);
        request.headers = self.headers.clone();
        request.body = self.body.clone();
        request.repeatable = self.repeatable;
        request
    }
}

/// Said before any work was done.
fn is_busy(status: StatusCode) -> bool {
    status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS
}

fn resource_path(resource: &ResourceName) -> String {
    format!("/resources/{}", segment(resource.as_str()))
}
