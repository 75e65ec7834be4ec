//! What the framework's public names mean: resource classes with their fields, enumerations, nested objects.
//! Must agree with the SDK (`python/tetra_rp`): what a scan accepts, a worker has to be able to import.

use flash_model::EndpointKind;

/// Packages whose names are ours.
pub(crate) const FRAMEWORK_PACKAGES: [&str; 2] = ["runpod_flash", "tetra_rp"];

/// Modules of the packages that have all of their names, as the reference's had some.
pub(crate) const FRAMEWORK_MODULES: [&str; 17] = [
    "",
    "core",
    "core.api",
    "core.resources",
    "core.resources.base",
    "core.resources.constants",
    "core.resources.cpu",
    "core.resources.datacenter",
    "core.resources.environment",
    "core.resources.gpu",
    "core.resources.live_serverless",
    "core.resources.load_balancer_sls_resource",
    "core.resources.network_volume",
    "core.resources.resource_manager",
    "core.resources.serverless",
    "core.resources.serverless_cpu",
    "core.resources.template",
];

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ResourceClass {
    pub(crate) name: &'static str,
    pub(crate) kind: EndpointKind,
    pub(crate) cpu: bool,
    /// Uses the provider's own worker image whatever `imageName` says.
    pub(crate) live: bool,
}

impl ResourceClass {
    pub(crate) fn is_load_balanced(&self) -> bool {
        self.kind == EndpointKind::LoadBalanced
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        let cpu_only: &[&str] = if self.cpu { &["instanceIds"] } else { &[] };
        RESOURCE_FIELDS.iter().chain(cpu_only).copied()
    }
}

const fn class(name: &'static str, kind: EndpointKind, cpu: bool, live: bool) -> ResourceClass {
    ResourceClass { name, kind, cpu, live }
}

static RESOURCE_CLASSES: [ResourceClass; 8] = [
    class("CpuLiveLoadBalancer", EndpointKind::LoadBalanced, true, true),
    class("CpuLiveServerless", EndpointKind::Queue, true, true),
    class("CpuLoadBalancerSlsResource", EndpointKind::LoadBalanced, true, false),
    class("CpuServerlessEndpoint", EndpointKind::Queue, true, false),
    class("LiveLoadBalancer", EndpointKind::LoadBalanced, false, true),
    class("LiveServerless", EndpointKind::Queue, false, true),
    class("LoadBalancerSlsResource", EndpointKind::LoadBalanced, false, false),
    class("ServerlessEndpoint", EndpointKind::Queue, false, false),
];

/// The class that a resource of the `Endpoint` dialect is.
pub(crate) fn class_of(kind: EndpointKind, cpu: bool) -> &'static ResourceClass {
    let is_it = |class: &&ResourceClass| class.kind == kind && class.cpu == cpu && class.live;
    RESOURCE_CLASSES.iter().find(is_it).unwrap_or(&RESOURCE_CLASSES[0])
}

/// Arguments of `@remote(...)`, in the order of positions.
pub(crate) const REMOTE_ARGUMENTS: [&str; 7] = [
    "resource_config",
    "dependencies",
    "system_dependencies",
    "accelerate_downloads",
    "local",
    "method",
    "path",
];

/// Arguments of `Endpoint(...)`; the first may be given by position.
pub(crate) const ENDPOINT_ARGUMENTS: [&str; 21] = [
    "name",
    "accelerate_downloads",
    "cpu",
    "datacenter",
    "dependencies",
    "env",
    "execution_timeout_ms",
    "flashboot",
    "gpu",
    "gpu_count",
    "id",
    "idle_timeout",
    "image",
    "max_concurrency",
    "min_cuda_version",
    "scaler_type",
    "scaler_value",
    "system_dependencies",
    "template",
    "volume",
    "workers",
];

const RESOURCE_FIELDS: [&str; 31] = [
    "activeBuildid",
    "aiKey",
    "allowedCudaVersions",
    "computeType",
    "createdAt",
    "cudaVersions",
    "datacenter",
    "env",
    "executionTimeoutMs",
    "flashboot",
    "gpuCount",
    "gpuIds",
    "gpus",
    "hubRelease",
    "id",
    "idleTimeout",
    "imageName",
    "locations",
    "name",
    "networkVolume",
    "networkVolumeId",
    "repo",
    "scalerType",
    "scalerValue",
    "template",
    "templateId",
    "type",
    "userId",
    "workersMax",
    "workersMin",
    "workersPFBTarget",
];

/// An object written as a call inside a resource's configuration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NestedClass {
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [&'static str],
}

pub(crate) static NETWORK_VOLUME: NestedClass =
    NestedClass { name: "NetworkVolume", fields: &["dataCenterId", "datacenter", "id", "name", "size"] };

pub(crate) static POD_TEMPLATE: NestedClass = NestedClass {
    name: "PodTemplate",
    fields: &[
        "advancedStart",
        "config",
        "containerDiskInGb",
        "containerRegistryAuthId",
        "dockerArgs",
        "env",
        "id",
        "imageName",
        "name",
        "ports",
        "startScript",
    ],
};

pub(crate) static KEY_VALUE_PAIR: NestedClass =
    NestedClass { name: "KeyValuePair", fields: &["key", "value"] };

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Enumeration {
    pub(crate) name: &'static str,
    /// Python member name, value.
    pub(crate) members: &'static [(&'static str, &'static str)],
}

impl Enumeration {
    pub(crate) fn value_of(&self, member: &str) -> Option<&'static str> {
        self.members.iter().find(|(name, _)| *name == member).map(|(_, value)| *value)
    }

    pub(crate) fn has_value(&self, value: &str) -> bool {
        self.members.iter().any(|(_, known)| *known == value)
    }

    pub(crate) fn member_names(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        self.members.iter().map(|(name, _)| *name)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        self.members.iter().map(|(_, value)| *value)
    }
}

pub(crate) static GPU_GROUP: Enumeration = Enumeration {
    name: "GpuGroup",
    members: &[
        ("ANY", "any"),
        ("ADA_24", "ADA_24"),
        ("ADA_32_PRO", "ADA_32_PRO"),
        ("ADA_48_PRO", "ADA_48_PRO"),
        ("ADA_80_PRO", "ADA_80_PRO"),
        ("AMPERE_16", "AMPERE_16"),
        ("AMPERE_24", "AMPERE_24"),
        ("AMPERE_48", "AMPERE_48"),
        ("AMPERE_80", "AMPERE_80"),
        ("BLACKWELL_96", "BLACKWELL_96"),
        ("BLACKWELL_180", "BLACKWELL_180"),
        ("HOPPER_141", "HOPPER_141"),
    ],
};

/// Comes first where all are meant.
pub(crate) const COMMONEST_GPU_GROUP: &str = "AMPERE_48";

/// Single models, by the names that the provider shows.
pub(crate) static GPU_TYPE: Enumeration = Enumeration {
    name: "GpuType",
    members: &[
        ("ANY", "any"),
        ("NVIDIA_A100_80GB_PCIe", "NVIDIA A100 80GB PCIe"),
        ("NVIDIA_A100_SXM4_80GB", "NVIDIA A100-SXM4-80GB"),
        ("NVIDIA_A40", "NVIDIA A40"),
        ("NVIDIA_B200", "NVIDIA B200"),
        ("NVIDIA_GEFORCE_RTX_3090", "NVIDIA GeForce RTX 3090"),
        ("NVIDIA_GEFORCE_RTX_4090", "NVIDIA GeForce RTX 4090"),
        ("NVIDIA_GEFORCE_RTX_5090", "NVIDIA GeForce RTX 5090"),
        ("NVIDIA_H100_80GB_HBM3", "NVIDIA H100 80GB HBM3"),
        ("NVIDIA_H100_NVL", "NVIDIA H100 NVL"),
        ("NVIDIA_H100_PCIe", "NVIDIA H100 PCIe"),
        ("NVIDIA_H200", "NVIDIA H200"),
        ("NVIDIA_L4", "NVIDIA L4"),
        ("NVIDIA_L40", "NVIDIA L40"),
        ("NVIDIA_L40S", "NVIDIA L40S"),
        ("NVIDIA_RTX_2000_ADA_GENERATION", "NVIDIA RTX 2000 Ada Generation"),
        ("NVIDIA_RTX_4000_ADA_GENERATION", "NVIDIA RTX 4000 Ada Generation"),
        ("NVIDIA_RTX_6000_ADA_GENERATION", "NVIDIA RTX 6000 Ada Generation"),
        ("NVIDIA_RTX_A4000", "NVIDIA RTX A4000"),
        ("NVIDIA_RTX_A4500", "NVIDIA RTX A4500"),
        ("NVIDIA_RTX_A5000", "NVIDIA RTX A5000"),
        ("NVIDIA_RTX_A6000", "NVIDIA RTX A6000"),
        (
            "NVIDIA_RTX_PRO_6000_BLACKWELL_MAX_Q_WORKSTATION_EDITION",
            "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
        ),
        ("NVIDIA_RTX_PRO_6000_BLACKWELL_SERVER_EDITION", "NVIDIA RTX PRO 6000 Blackwell Server Edition"),
        (
            "NVIDIA_RTX_PRO_6000_BLACKWELL_WORKSTATION_EDITION",
            "NVIDIA RTX PRO 6000 Blackwell Workstation Edition",
        ),
    ],
};

pub(crate) static CPU_INSTANCE_TYPE: Enumeration = Enumeration {
    name: "CpuInstanceType",
    members: &[
        ("ANY", "any"),
        ("CPU3C_1_2", "cpu3c-1-2"),
        ("CPU3C_2_4", "cpu3c-2-4"),
        ("CPU3C_4_8", "cpu3c-4-8"),
        ("CPU3C_8_16", "cpu3c-8-16"),
        ("CPU3G_1_4", "cpu3g-1-4"),
        ("CPU3G_2_8", "cpu3g-2-8"),
        ("CPU3G_4_16", "cpu3g-4-16"),
        ("CPU3G_8_32", "cpu3g-8-32"),
        ("CPU5C_1_2", "cpu5c-1-2"),
        ("CPU5C_2_4", "cpu5c-2-4"),
        ("CPU5C_4_8", "cpu5c-4-8"),
        ("CPU5C_8_16", "cpu5c-8-16"),
    ],
};

pub(crate) static CUDA_VERSION: Enumeration = Enumeration {
    name: "CudaVersion",
    members: &[
        ("V11_8", "11.8"),
        ("V12_0", "12.0"),
        ("V12_1", "12.1"),
        ("V12_2", "12.2"),
        ("V12_3", "12.3"),
        ("V12_4", "12.4"),
        ("V12_5", "12.5"),
        ("V12_6", "12.6"),
        ("V12_7", "12.7"),
        ("V12_8", "12.8"),
        ("V12_9", "12.9"),
        ("V13_0", "13.0"),
    ],
};

pub(crate) static DATA_CENTER: Enumeration = Enumeration {
    name: "DataCenter",
    members: &[
        ("EUR_NO_1", "EUR-NO-1"),
        ("EU_CZ_1", "EU-CZ-1"),
        ("EU_RO_1", "EU-RO-1"),
        ("US_CA_2", "US-CA-2"),
        ("US_IL_1", "US-IL-1"),
        ("US_KS_2", "US-KS-2"),
        ("US_MO_1", "US-MO-1"),
        ("US_MO_2", "US-MO-2"),
        ("US_NC_2", "US-NC-2"),
        ("US_NE_1", "US-NE-1"),
        ("US_WA_1", "US-WA-1"),
    ],
};

pub(crate) static SCALER_TYPE: Enumeration = Enumeration {
    name: "ServerlessScalerType",
    members: &[("QUEUE_DELAY", "QUEUE_DELAY"), ("REQUEST_COUNT", "REQUEST_COUNT")],
};

pub(crate) static SERVERLESS_TYPE: Enumeration =
    Enumeration { name: "ServerlessType", members: &[("LB", "LB"), ("QB", "QB")] };

/// A public name of the framework.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Symbol {
    Remote,
    Resource(&'static ResourceClass),
    Nested(&'static NestedClass),
    Enumeration(&'static Enumeration),
    FlashApp,
    /// The later declaration style: a resource that its arguments and uses make one of the classes.
    Endpoint,
    /// Exists, but no configuration is made of it.
    Other,
}

static NESTED_CLASSES: [&NestedClass; 3] = [&NETWORK_VOLUME, &POD_TEMPLATE, &KEY_VALUE_PAIR];

static ENUMERATIONS: [&Enumeration; 7] =
    [&GPU_GROUP, &GPU_TYPE, &CPU_INSTANCE_TYPE, &CUDA_VERSION, &DATA_CENTER, &SCALER_TYPE, &SERVERLESS_TYPE];

/// The Python name of an enumeration's member, by its value.
pub(crate) fn member_name(enumeration: &str, value: &str) -> Option<&'static str> {
    let enumeration = ENUMERATIONS.into_iter().find(|known| known.name == enumeration)?;
    enumeration.members.iter().find(|(_, known)| *known == value).map(|(name, _)| *name)
}

const OTHER_NAMES: [&str; 3] = ["GpuTypeDetail", "ResourceManager", "ServerlessResource"];

pub(crate) fn symbol(name: &str) -> Option<Symbol> {
    match name {
        "remote" => Some(Symbol::Remote),
        "FlashApp" => Some(Symbol::FlashApp),
        "Endpoint" => Some(Symbol::Endpoint),
        _ => (RESOURCE_CLASSES.iter().find(|class| class.name == name).map(Symbol::Resource))
            .or_else(|| NESTED_CLASSES.into_iter().find(|class| class.name == name).map(Symbol::Nested))
            .or_else(|| ENUMERATIONS.into_iter().find(|item| item.name == name).map(Symbol::Enumeration))
            .or_else(|| OTHER_NAMES.contains(&name).then_some(Symbol::Other)),
    }
}

/// Names to suggest for a misspelt one.
pub(crate) fn class_names() -> impl Iterator<Item = &'static str> + Clone {
    RESOURCE_CLASSES.iter().map(|class| class.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eight_classes_have_their_kinds() {
        let describe = |name: &str| match symbol(name) {
            Some(Symbol::Resource(class)) => (class.is_load_balanced(), class.cpu, class.live),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(describe("LiveServerless"), (false, false, true));
        assert_eq!(describe("CpuLiveLoadBalancer"), (true, true, true));
        assert_eq!(describe("CpuLoadBalancerSlsResource"), (true, true, false));
        assert_eq!(class_names().count(), 8);
    }

    #[test]
    fn instance_ids_belong_to_cpu_classes_only() {
        for class in &RESOURCE_CLASSES {
            assert_eq!(class.fields().any(|field| field == "instanceIds"), class.cpu, "{}", class.name);
        }
    }

    /// What a scan accepts, a worker has to be able to import.
    #[test]
    fn the_sdk_has_the_same_names() {
        let sorted = |names: &mut dyn Iterator<Item = &str>| {
            let mut names: Vec<String> = names.map(str::to_owned).collect();
            names.sort();
            names
        };
        let enumeration = |known: &Enumeration| {
            let members = known.members.iter().map(|(name, value)| ((*name).to_owned(), (*value).into()));
            (known.name.to_owned(), serde_json::Value::Object(members.collect()))
        };
        let resources = RESOURCE_CLASSES.iter().map(|class| (class.name, sorted(&mut class.fields())));
        let nested =
            NESTED_CLASSES.iter().map(|class| (class.name, sorted(&mut class.fields.iter().copied())));
        let here = serde_json::json!({
            "enumerations": ENUMERATIONS.iter().map(|known| enumeration(known)).collect::<serde_json::Map<_, _>>(),
            "resources": resources.collect::<std::collections::BTreeMap<_, _>>(),
            "nested": nested.collect::<std::collections::BTreeMap<_, _>>(),
            "endpoint": sorted(&mut ENDPOINT_ARGUMENTS.into_iter()),
            "remote": sorted(&mut REMOTE_ARGUMENTS.into_iter()),
        });
        let sdk = concat!(env!("CARGO_MANIFEST_DIR"), "/../../python");
        let listed = std::process::Command::new("python3")
            .args(["-m", "tetra_rp._names"])
            .current_dir(sdk)
            .output()
            .unwrap();
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        let there: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
        assert_eq!(there, here);
        let modules = FRAMEWORK_PACKAGES.iter().flat_map(|package| {
            FRAMEWORK_MODULES
                .iter()
                .map(move |module| format!("{package}.{module}").trim_end_matches('.').to_owned())
        });
        let imports: String =
            modules.map(|module| format!("from {module} import LiveServerless, remote\n")).collect();
        let imported =
            std::process::Command::new("python3").args(["-c", &imports]).current_dir(sdk).status().unwrap();
        assert!(imported.success());
    }
}
