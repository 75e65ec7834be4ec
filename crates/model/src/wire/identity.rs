//! How a provider recognises a running endpoint, and how clients find a running mothership.

use serde::{Deserialize, Serialize};

use crate::{EndpointId, MothershipId, Owner};

/// `GET /_flash/identity` of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityResponse {
    pub endpoint_id: EndpointId,
    pub owner: Owner,
    pub pid: u32,
}

/// `endpoint.json` in a local endpoint's folder: there from the moment it listens until it ends in good order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointAnnouncement {
    pub endpoint_id: EndpointId,
    pub owner: Owner,
    pub pid: u32,
    pub url: String,
}

/// `PUT /_flash/mothership` of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MothershipRequest {
    pub url: String,
}

/// `.flash/run/mothership.json`, mode 0600: where the project's mothership listens, and the token for it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MothershipAnnouncement {
    pub mothership_id: MothershipId,
    pub url: String,
    pub pid: u32,
    pub token: String,
}

impl std::fmt::Debug for MothershipAnnouncement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MothershipAnnouncement")
            .field("url", &self.url)
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}
