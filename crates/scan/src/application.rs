//! The project's own web application: `app = FastAPI()` in the root's `main.py`, served whole as one resource.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flash_model::{
    EndpointKind, Hardware, Provisioned, Resource, ResourceName, ResourceSpec, Scaler, ScalerType,
};
use ruff_python_ast::Expr;

use crate::imports::{FileIndex, Project};
use crate::lower::Lowered;
use crate::resolve::Entity;
use crate::specification::{CONCURRENCY_OF_HTTP, DEFAULT_IDLE_TIMEOUT};
use crate::survey::Binding;

/// Looked at in this order.
const FILES: [&str; 3] = ["main.py", "app.py", "server.py"];
/// Application class and the package it must come from.
const CLASSES: [(&str, &str); 4] =
    [("FastAPI", "fastapi"), ("Litestar", "litestar"), ("Quart", "quart"), ("Starlette", "starlette")];
const NAMES: [&str; 2] = ["web", "web-app"];

/// Adds the application, if there is one, under the first of its names that no resource of the user has.
pub(crate) fn add_application(project: &Project<'_>, lowered: &mut Lowered) {
    let Some((file, variable)) = find(project) else { return };
    let free = NAMES
        .into_iter()
        .map(str::to_owned)
        .chain((2_u32..).map(|number| format!("web-app-{number}")))
        .filter_map(|name| ResourceName::new(name).ok())
        .find(|name| !lowered.manifest.resources.contains_key(name));
    let Some(name) = free else { return };
    let resource = Resource {
        spec: Arc::new(specification(format!("{}:{variable}", project.dotted_module(file)))),
        resource_type: "AsgiApp".to_owned(),
        handler_file: String::new(),
        functions: Vec::new(),
        schemas: BTreeMap::new(),
        is_load_balanced: false,
        is_live_resource: false,
        config_variable: None,
        files: Vec::new(),
        imports: Vec::new(),
        code_digest: String::new(),
        config_hash: String::new(),
        environment_dependent: BTreeMap::new(),
        packages: None,
        provisioned: Provisioned::default(),
    };
    lowered.roots.insert(name.clone(), BTreeSet::from([file]));
    lowered.manifest.resources.insert(name, resource);
}

fn specification(asgi: String) -> ResourceSpec {
    ResourceSpec {
        kind: EndpointKind::Asgi,
        hardware: Hardware::Cpu { instance_ids: vec!["any".to_owned()] },
        image: None,
        workers_min: 1,
        workers_max: 1,
        idle_timeout: DEFAULT_IDLE_TIMEOUT,
        scaler: Scaler { scaler_type: ScalerType::RequestCount, value: 4 },
        execution_timeout_ms: 0,
        max_concurrency: CONCURRENCY_OF_HTTP,
        volumes: Vec::new(),
        locations: Vec::new(),
        env: Vec::new(),
        python_version: None,
        dependencies: Vec::new(),
        system_dependencies: Vec::new(),
        container_disk_gb: None,
        template_id: None,
        flashboot: true,
        asgi: Some(asgi),
    }
}

/// File and variable of the first application; of several in one file the one that is made first.
fn find(project: &Project<'_>) -> Option<(FileIndex, String)> {
    FILES.into_iter().find_map(|path| {
        let file = project.files.iter().position(|file| file.path == path)?;
        let made = project.surveys[file].bindings.iter().flat_map(|(name, bindings)| {
            bindings.iter().filter_map(move |bound| match bound.binding {
                Binding::Value(Expr::Call(call)) => Some((bound.from, *name, call)),
                _ => None,
            })
        });
        made.filter(|(_, _, call)| is_application(project, file, &call.func))
            .map(|(offset, name, _)| (offset, name))
            .min()
            .map(|(_, name)| (file, name.to_owned()))
    })
}

fn is_application<'a>(project: &Project<'a>, file: FileIndex, callee: &'a Expr) -> bool {
    let Ok(Entity::External(dotted)) = project.resolve(file, callee) else { return false };
    let package = dotted.split('.').next().unwrap_or_default();
    let class = dotted.rsplit('.').next().unwrap_or_default();
    CLASSES.contains(&(class, package))
}
