//! The manifest: desired state of a project. A superset of the reference's `flash_manifest.json`.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::canonical::ObjectDigest;
use crate::{
    Code, EndpointId, Function, FunctionName, ResourceName, ResourceRecord, ResourceSpec, ResourceStatus,
    Schema, canonical_json, sha256_hex,
};

pub const MANIFEST_VERSION: &str = "1.0";

/// Used for `generated_at` unless the caller has a build time of its own, so that one tree gives one byte string.
pub const DEFAULT_GENERATED_AT: &str = "1970-01-01T00:00:00.000000Z";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    pub version: String,
    pub generated_at: String,
    pub project_name: String,
    pub resources: BTreeMap<ResourceName, Resource>,
    /// Function or class name → resource name.
    pub function_registry: BTreeMap<FunctionName, ResourceName>,
    /// Resource name → `"METHOD /path"` → function name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub routes: BTreeMap<ResourceName, BTreeMap<String, FunctionName>>,
    /// Counts applied manifests; only in what a mothership serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

/// A resource entry. The first five fields after `spec` keep the reference's names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resource {
    pub spec: Arc<ResourceSpec>,
    pub resource_type: String,
    pub handler_file: String,
    /// Sorted by name.
    pub functions: Vec<Function>,
    /// JSON Schemas of the project's own classes that the functions' schemas refer to, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub schemas: BTreeMap<String, Schema>,
    pub is_load_balanced: bool,
    pub is_live_resource: bool,
    pub config_variable: Option<String>,
    /// Project files that the resource's functions need: relative paths with `/`, sorted.
    pub files: Vec<String>,
    /// Top-level modules imported at module level by `files` that are neither the project's nor Python's. Sorted.
    pub imports: Vec<String>,
    /// SHA-256 over paths and code of `files`, whatever the code looks like, and over values of `env`.
    pub code_digest: String,
    /// SHA-256 over the canonical `spec`, the functions' contracts, `code_digest` and `packages`.
    pub config_hash: String,
    /// What the source takes from the environment of whoever builds, with the defaults used here: argument of the
    /// configuration (`workersMax`), or function and argument (`train.dependencies`) → names of the variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment_dependent: BTreeMap<String, Vec<String>>,
    /// Folder of the artifact that holds the resource's Python packages (`packages/0123456789abcdef`): to be put on
    /// `sys.path` after the artifact's root. Absent where a build packed none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packages: Option<String>,
    #[serde(flatten)]
    pub provisioned: Provisioned,
}

/// What a mothership adds to a resource entry when it serves the manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Provisioned {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_id: Option<EndpointId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ResourceStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// What kind of reason it is: an error code (`FL208`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub status_code: Option<Code>,
    /// Since when it has this status: milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_since_ms: Option<u64>,
    /// Whether calls are sent to its endpoint: it is ready, or was when it was last heard of, or serves on because a
    /// newer version failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub serves: bool,
}

impl Provisioned {
    /// Of a resource that has no record: pending.
    pub fn of(record: Option<&ResourceRecord>) -> Self {
        match record {
            Some(record) => Self {
                endpoint_id: record.endpoint_id.clone(),
                endpoint_url: record.endpoint_url.clone(),
                status: Some(record.status),
                status_reason: record.status_reason.clone(),
                status_code: record.status_code,
                status_since_ms: Some(record.status_since_ms).filter(|since| *since > 0),
                serves: record.serves(),
            },
            None => Self { status: Some(ResourceStatus::Pending), ..Self::default() },
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("not a flash manifest")]
    Json(#[from] serde_json::Error),
    #[error("manifest version {found:?} is not supported; this flash reads {MANIFEST_VERSION:?}")]
    Version { found: String },
    #[error("function {function} belongs to resource {resource}, which the manifest does not have")]
    DanglingFunction { function: FunctionName, resource: ResourceName },
}

impl Manifest {
    pub fn empty(project_name: impl Into<String>) -> Self {
        Self {
            version: MANIFEST_VERSION.to_owned(),
            generated_at: DEFAULT_GENERATED_AT.to_owned(),
            project_name: project_name.into(),
            resources: BTreeMap::new(),
            function_registry: BTreeMap::new(),
            routes: BTreeMap::new(),
            generation: None,
        }
    }

    /// Tolerant of unknown fields, exact about the ones it needs.
    pub fn from_json(text: &str) -> Result<Self, ManifestError> {
        let manifest: Self = serde_json::from_str(text)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// What its types do not say.
    pub fn check(&self) -> Result<(), ManifestError> {
        if self.version != MANIFEST_VERSION {
            return Err(ManifestError::Version { found: self.version.clone() });
        }
        for (function, resource) in &self.function_registry {
            if !self.resources.contains_key(resource) {
                return Err(ManifestError::DanglingFunction {
                    function: function.clone(),
                    resource: resource.clone(),
                });
            }
        }
        Ok(())
    }

    /// Two-space indented, keys sorted, newline at the end.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let value = serde_json::to_value(self)?;
        Ok(serde_json::to_string_pretty(&value)? + "\n")
    }

    /// SHA-256 of the canonical JSON.
    pub fn digest(&self) -> Result<String, serde_json::Error> {
        let mut digest = ObjectDigest::new();
        digest.entries("function_registry", &self.function_registry)?;
        digest.field("generated_at", &self.generated_at)?;
        if let Some(generation) = &self.generation {
            digest.field("generation", generation)?;
        }
        digest.field("project_name", &self.project_name)?;
        digest.entries("resources", &self.resources)?;
        if !self.routes.is_empty() {
            digest.entries("routes", &self.routes)?;
        }
        digest.field("version", &self.version)?;
        Ok(digest.finish())
    }

    /// The manifest with this one resource, as a child endpoint is given it.
    pub fn for_resource(&self, name: &ResourceName) -> Option<Self> {
        let resource = self.resources.get(name)?.clone();
        let mut manifest = Self::empty(self.project_name.clone());
        manifest.generated_at.clone_from(&self.generated_at);
        let functions = resource.functions.iter().map(|function| &function.name);
        manifest.function_registry = functions
            .filter_map(|function| self.function_registry.get_key_value(function))
            .filter(|(_, owner)| *owner == name)
            .map(clone_pair)
            .collect();
        manifest.routes = self.routes.get_key_value(name).map(clone_pair).into_iter().collect();
        manifest.resources.insert(name.clone(), resource);
        Some(manifest)
    }

    /// Whether a function of the resource calls one of another resource, so that its endpoint needs a way to it.
    pub fn makes_remote_calls(&self, name: &ResourceName) -> bool {
        self.resources.get(name).is_some_and(|resource| {
            let calls = resource.functions.iter().flat_map(|function| &function.calls);
            calls
                .into_iter()
                .any(|called| self.function_registry.get(called).is_some_and(|owner| owner != name))
        })
    }

    /// The resource that serves the project's own web application at `/`, if it has one.
    pub fn application(&self) -> Option<(&ResourceName, &Resource)> {
        self.resources.iter().find(|(_, resource)| resource.spec.kind == crate::EndpointKind::Asgi)
    }
}

impl Resource {
    /// Hash of everything that makes an endpoint behave as it does. Source positions and docstrings do not.
    pub fn compute_config_hash(&self) -> Result<String, serde_json::Error> {
        let contracts: Vec<_> = self
            .functions
            .iter()
            .map(|function| {
                serde_json::json!({
                    "name": function.name, "module": function.module, "is_async": function.is_async,
                    "is_class": function.is_class, "method": function.http_method, "path": function.http_path,
                })
            })
            .collect();
        let mut document = serde_json::json!({
            "spec": self.spec, "functions": contracts, "code_digest": self.code_digest,
        });
        if let Some(packages) = &self.packages {
            document["packages"] = packages.as_str().into();
        }
        Ok(sha256_hex(canonical_json(&document)?.as_bytes()))
    }

    /// For a change; whoever shares the specification keeps it as it was.
    pub fn spec_mut(&mut self) -> &mut ResourceSpec {
        Arc::make_mut(&mut self.spec)
    }

    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name.as_str() == name)
    }
}

fn clone_pair<K: Clone, V: Clone>((key, value): (&K, &V)) -> (K, V) {
    (key.clone(), value.clone())
}
