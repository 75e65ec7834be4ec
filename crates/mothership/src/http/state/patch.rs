//! What a client of the reference writes, merged into what we know.

use std::sync::Arc;

use flash_model::wire::{PatchStatus, ResourcePatch};
use flash_model::{
    Applied, EndpointKind, Hardware, Resource, ResourceRecord, ResourceSpec, ResourceStatus, Scaler,
    ScalerType,
};

/// Of a record that a client of the reference began: it does not say where its endpoints run.
pub(super) const PROVIDER: &str = "external";

/// A failure changes status, reason and attempts. Id, URL and hash are of the endpoint that runs on, and stay.
pub(super) fn merge(
    mut record: ResourceRecord,
    patch: &ResourcePatch,
    declared: Option<&Resource>,
    now_ms: u64,
) -> ResourceRecord {
    record.updated_at_ms = now_ms;
    match patch.status {
        Some(PatchStatus::Failed) => {
            record.status = ResourceStatus::Failed;
            record.status_reason = Some(patch.error.clone().unwrap_or_else(|| "no reason given".to_owned()));
            record.attempts = record.attempts.saturating_add(1);
            return record;
        }
        Some(PatchStatus::Deployed | PatchStatus::Updated) => {
            record.status = ResourceStatus::Ready;
            record.status_reason.clone_from(&patch.error);
            record.attempts = 0;
            record.intent = None;
        }
        None => {
            if patch.error.is_some() {
                record.status_reason.clone_from(&patch.error);
            }
        }
    }
    if let Some(url) = &patch.endpoint_url {
        record.endpoint_url = Some(url.clone());
    }
    if let Some(config_hash) = &patch.config_hash {
        let known = declared.map(Applied::of).or(record.applied);
        let (code_digest, spec) = known
            .map_or_else(|| (String::new(), Arc::new(unknown())), |known| (known.code_digest, known.spec));
        record.applied = Some(Applied { config_hash: config_hash.clone(), code_digest, spec });
    }
    record
}

/// A hash came without what it is a hash of, and nobody applied a manifest. The hash is what counts: it differs from
/// every one of ours, so whoever plans from our side finds the resource changed, as it should.
fn unknown() -> ResourceSpec {
    ResourceSpec {
        kind: EndpointKind::Queue,
        hardware: Hardware::Cpu { instance_ids: vec![] },
        image: None,
        workers_min: 0,
        workers_max: 0,
        idle_timeout: 0,
        scaler: Scaler { scaler_type: ScalerType::QueueDelay, value: 0 },
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
        flashboot: false,
        asgi: None,
    }
}

#[cfg(test)]
mod tests {
    use flash_model::EndpointId;
    use flash_testkit::{name, resource};

    use super::*;

    fn patch(text: &str) -> ResourcePatch {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_failure_erases_neither_id_nor_url_nor_hash() {
        let record = ResourceRecord {
            endpoint_id: Some(EndpointId::new("ep1").unwrap()),
            endpoint_url: Some("http://a".into()),
            applied: Some(Applied::of(&resource(1, "a"))),
            status: ResourceStatus::Ready,
            ..ResourceRecord::new(name("a"), "sim")
        };
        for text in [
            r#"{"status":"failed","error":"boom"}"#,
            r#"{"status":"failed","error":"boom","endpoint_url":null,"config_hash":null}"#,
            r#"{"status":"failed","error":"boom","endpoint_url":"http://b","config_hash":"00"}"#,
        ] {
            let merged = merge(record.clone(), &patch(text), None, 7);
            let expected = ResourceRecord {
                status: ResourceStatus::Failed,
                status_reason: Some("boom".into()),
                attempts: 1,
                updated_at_ms: 7,
                ..record.clone()
            };
            assert_eq!(merged, expected, "{text}");
        }
    }

    #[test]
    fn a_deployment_sets_what_it_names_and_clears_the_failure() {
        let failed = merge(
            ResourceRecord::new(name("a"), PROVIDER),
            &patch(r#"{"status":"failed","error":"boom"}"#),
            None,
            1,
        );
        let text = r#"{"config_hash":"ab","endpoint_url":"http://b","status":"updated","extra":1}"#;
        let merged = merge(failed.clone(), &patch(text), None, 2);
        assert_eq!((merged.status, merged.attempts, merged.status_reason), (ResourceStatus::Ready, 0, None));
        assert_eq!(merged.endpoint_url.as_deref(), Some("http://b"));
        assert_eq!(merged.applied.unwrap().config_hash, "ab");
        let declared = merge(failed, &patch(text), Some(&resource(3, "a")), 2).applied.unwrap();
        assert_eq!((declared.config_hash.as_str(), declared.spec.workers_max), ("ab", 3));
    }
}
