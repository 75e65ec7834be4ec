//! The plan file: a plan with everything it was made from that is not in the world, to be applied later.

use flash_model::{Manifest, ManifestError, MothershipId, ResourceName, Scope};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::planner::idempotency_key;
use crate::{Drift, Plan};

/// What the field `format` says of every plan file.
pub const PLAN_FILE_FORMAT: &str = "flash plan";
pub const PLAN_FILE_VERSION: &str = "1";
/// A longer one is not read.
pub const PLAN_FILE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Holds names of environment variables, never their values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanFile {
    pub format: String,
    pub version: String,
    pub scope: Scope,
    /// Of the state that it was made from; none at a first boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<MothershipId>,
    pub drift: Drift,
    /// The desired state.
    pub manifest: Manifest,
    pub plan: Plan,
}

/// Why a text is not a plan file that can be applied.
#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    #[error("it is {bytes} bytes long, and a plan file has {PLAN_FILE_BYTES_MAX} at most")]
    TooLong { bytes: usize },
    #[error("it is not JSON")]
    Json(#[source] serde_json::Error),
    #[error("its field `format` is not {PLAN_FILE_FORMAT:?}")]
    Format,
    #[error("its version is {found}; this flash reads {PLAN_FILE_VERSION:?}")]
    Version { found: String },
    #[error("a field is missing or is not what it should be")]
    Field(#[source] serde_json::Error),
    #[error("its manifest cannot be used")]
    Manifest(#[source] ManifestError),
    #[error("its step {number} wants something for {resource} that its manifest does not say")]
    Step { number: usize, resource: ResourceName },
}

impl PlanFile {
    pub fn new(
        scope: Scope,
        lineage: Option<MothershipId>,
        drift: Drift,
        manifest: Manifest,
        plan: Plan,
    ) -> Self {
        Self {
            format: PLAN_FILE_FORMAT.to_owned(),
            version: PLAN_FILE_VERSION.to_owned(),
            scope,
            lineage,
            drift,
            manifest,
            plan,
        }
    }

    /// Tolerant of unknown fields, exact about the ones it needs.
    pub fn from_json(text: &str) -> Result<Self, PlanFileError> {
        if text.len() > PLAN_FILE_BYTES_MAX {
            return Err(PlanFileError::TooLong { bytes: text.len() });
        }
        let document: Value = serde_json::from_str(text).map_err(PlanFileError::Json)?;
        if document.get("format") != Some(&PLAN_FILE_FORMAT.into()) {
            return Err(PlanFileError::Format);
        }
        match document.get("version") {
            Some(version) if version == PLAN_FILE_VERSION => {}
            found => {
                let found = found.map_or_else(|| "missing".to_owned(), Value::to_string);
                return Err(PlanFileError::Version { found });
            }
        }
        // From the text, as only that gives an error its line and column.
        let file: Self = serde_json::from_str(text).map_err(PlanFileError::Field)?;
        file.manifest.check().map_err(PlanFileError::Manifest)?;
        for (index, step) in file.plan.steps.iter().enumerate() {
            let Some(desired) = &step.desired else { continue };
            if file.manifest.resources.get(&step.resource) != Some(desired) {
                return Err(PlanFileError::Step { number: index + 1, resource: step.resource.clone() });
            }
        }
        Ok(file)
    }

    /// The plan as it would have been made in the state `lineage`. One that was made before there was a state belongs to
    /// whichever is made first; any other belongs to its own, and is None in another.
    pub fn plan_in(&self, lineage: &MothershipId) -> Option<Plan> {
        let mut plan = self.plan.clone();
        if self.lineage.as_ref().is_some_and(|own| own != lineage) {
            return None;
        }
        if self.lineage.is_none() {
            let serial = plan.state_serial;
            for step in plan.steps.iter_mut().filter(|step| step.idempotency_key.is_some()) {
                let Some(desired) = &step.desired else { continue };
                step.idempotency_key =
                    Some(idempotency_key(&self.scope, Some(lineage), serial, &step.resource, desired));
            }
        }
        Some(plan)
    }

    /// Two-space indented, keys sorted, newline at the end.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let value = serde_json::to_value(self)?;
        Ok(serde_json::to_string_pretty(&value)? + "\n")
    }
}
