//! Fixtures that the tests of several crates share. Not shipped.
#![allow(clippy::unwrap_used, reason = "a fixture that panics says where")]

pub mod postgres;
pub mod receiver;
pub mod websocket;

use std::collections::BTreeMap;
use std::sync::Arc;

use flash_model::{
    AppName, EndpointKind, EnvironmentName, FunctionName, Hardware, Manifest, Provisioned, Resource,
    ResourceName, ResourceSpec, Scaler, ScalerType, Scope, sha256_hex,
};

/// `shop/dev`.
pub fn scope() -> Scope {
    Scope { app: AppName::new("shop").unwrap(), environment: EnvironmentName::new("dev").unwrap() }
}

pub fn name(text: &str) -> ResourceName {
    ResourceName::new(text).unwrap()
}

/// A CPU queue resource without functions, whose hash follows from its worker count and its code.
pub fn resource(workers_max: u32, code: &str) -> Resource {
    let mut resource = Resource {
        spec: Arc::new(ResourceSpec {
            kind: EndpointKind::Queue,
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
        }),
        resource_type: "CpuLiveServerless".into(),
        handler_file: String::new(),
        functions: vec![],
        schemas: Default::default(),
        is_load_balanced: false,
        is_live_resource: false,
        config_variable: None,
        files: vec![],
        imports: vec![],
        code_digest: sha256_hex(code.as_bytes()),
        config_hash: String::new(),
        environment_dependent: BTreeMap::new(),
        packages: None,
        provisioned: Provisioned::default(),
    };
    resource.config_hash = resource.compute_config_hash().unwrap();
    resource
}

/// Resources by name and `workersMax`; each has one function of the same name.
pub fn manifest(resources: &[(&str, u32)]) -> Manifest {
    let mut manifest = Manifest::empty("shop");
    for (text, workers_max) in resources {
        manifest.resources.insert(name(text), resource(*workers_max, ""));
        manifest.function_registry.insert(FunctionName::new(*text).unwrap(), name(text));
    }
    manifest
}
