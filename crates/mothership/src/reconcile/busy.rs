//! Which resources a step is acting on just now: nobody else touches their records meanwhile.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use flash_model::ResourceName;

#[derive(Debug, Clone, Default)]
pub(super) struct Busy(Arc<Mutex<BTreeSet<ResourceName>>>);

/// Frees the resource when dropped, however its step ended.
#[derive(Debug)]
pub(super) struct Claim {
    busy: Busy,
    resource: ResourceName,
}

impl Busy {
    /// None if it is claimed already.
    pub(super) fn claim(&self, resource: &ResourceName) -> Option<Claim> {
        let is_new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(resource.clone());
        is_new.then(|| Claim { busy: self.clone(), resource: resource.clone() })
    }

    /// Says of each that is claimed that it is.
    pub(super) fn under_way(&self) -> Vec<String> {
        let busy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        busy.iter().map(|resource| format!("{resource} is being changed just now")).collect()
    }

    pub(super) fn has(&self, resource: &ResourceName) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(resource)
    }
}

impl Claim {
    pub(super) fn resource(&self) -> &ResourceName {
        &self.resource
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.busy.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.resource);
    }
}
