//! HTTP routes of load-balanced functions, and the route table children find each other by.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EndpointId, EndpointKind, FunctionName, Manifest, ResourceName, ResourceStatus};

/// Paths that the framework answers itself.
pub const RESERVED_PATHS: [&str; 3] = ["/execute", "/manifest", "/ping"];

/// Everything below this belongs to the processes of Flash talking to each other.
pub const RESERVED_PREFIX: &str = "/_flash";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    Delete,
    Get,
    Patch,
    Post,
    Put,
}

impl HttpMethod {
    pub const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Delete, Self::Patch];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

impl fmt::Display for HttpMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for HttpMethod {
    type Err = ();
    /// Exact, upper case only.
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|method| method.as_str() == text).ok_or(())
    }
}

/// Where one resource can be called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    pub resource: ResourceName,
    pub kind: EndpointKind,
    pub endpoint_id: EndpointId,
    /// Base URL of the endpoint, without a trailing slash.
    pub url: String,
}

/// Function → endpoint, the part of the served manifest that calls need. Holds ready endpoints only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTable {
    pub functions: BTreeMap<FunctionName, Route>,
    /// Functions the project has, ready or not: so that "not yet" and "never heard of" differ.
    pub known: Vec<FunctionName>,
}

impl RouteTable {
    pub fn from_manifest(manifest: &Manifest) -> Self {
        let route = |name: &ResourceName| -> Option<Route> {
            let resource = manifest.resources.get(name)?;
            let provisioned = &resource.provisioned;
            // A mothership of an earlier version says it by the status alone.
            let is_good =
                matches!(provisioned.status, Some(ResourceStatus::Ready | ResourceStatus::Degraded));
            Some(Route {
                resource: name.clone(),
                kind: resource.spec.kind,
                endpoint_id: provisioned.endpoint_id.clone().filter(|_| provisioned.serves || is_good)?,
                url: provisioned.endpoint_url.clone()?,
            })
        };
        Self {
            functions: manifest
                .function_registry
                .iter()
                .filter_map(|(function, resource)| Some((function.clone(), route(resource)?)))
                .collect(),
            known: manifest.function_registry.keys().cloned().collect(),
        }
    }
}
