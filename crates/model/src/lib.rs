//! The nouns of Flash, shared by every other crate: typed ids, the [`Manifest`] and its [`ResourceSpec`]s,
//! what the State Manager wrote down ([`ResourceRecord`]), what a provider says exists ([`Inventory`]),
//! the [`RouteTable`] children call each other by, [`Diagnostic`]s, error [`Code`]s and the bodies on the wire.
//!
//! It knows nothing of tokio, HTTP clients or servers, the file system, clocks or randomness: values in, values out.
//!
//! Start with `manifest.rs` (what the user wants), then `record.rs` and `inventory.rs` (what we wrote down and
//! what the world says), then `wire/` (how processes say it to each other).

mod canonical;
pub mod child_environment;
mod code;
mod diagnostic;
mod event;
mod function;
mod generation;
mod ids;
mod instance;
mod inventory;
pub mod lease;
mod manifest;
pub mod openapi;
mod origin;
mod outcome;
mod record;
mod resource;
mod retry;
mod routes;
mod schema;
mod secret;
mod signature;
mod trace;
pub mod wire;

pub use canonical::{canonical_json, sha256_hex};
pub use code::Code;
pub use diagnostic::{Diagnostic, Related, Severity, Span};
pub use event::{EVENT_WHY_BYTES_MAX, EVENTS_MAX, EventKind, Happening, LoggedEvent};
pub use function::{ClassMethod, Function, Parameter, ParameterKind};
pub use generation::{GENERATIONS_MAX, Generation};
pub use ids::{
    AppName, EndpointId, EnvironmentName, FunctionName, HolderId, IdempotencyKey, InvalidName, MothershipId,
    ResourceName, Scope,
};
pub use instance::InstanceSize;
pub use inventory::{Completeness, Existence, Health, Inventory, ObservedEndpoint, ObservedPhase, Owner};
pub use lease::{Lease, LeaseRefusal, LeaseRequest, LeaseState};
pub use manifest::{DEFAULT_GENERATED_AT, MANIFEST_VERSION, Manifest, ManifestError, Provisioned, Resource};
pub use origin::Provenance;
pub use outcome::{End, OUTCOME_FAILED_FOR_MS, Outcome, ResourceOutcome};
pub use record::{Applied, Intent, IntentAction, ResourceRecord, ResourceStatus, StateSnapshot};
pub use resource::{EndpointKind, Hardware, ResourceSpec, Scaler, ScalerType, VolumeSpec};
pub use retry::Retry;
pub use routes::{HttpMethod, RESERVED_PATHS, RESERVED_PREFIX, Route, RouteTable};
pub use schema::Schema;
pub use secret::Secret;
pub use signature::hmac_sha256_hex;
pub use trace::{
    SpanId, TRACE_STATE_BYTES_MAX, TRACEPARENT_HEADER, TRACESTATE_HEADER, TraceContext, TraceId, TraceState,
};
