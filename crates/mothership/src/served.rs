//! One version of what `/manifest` answers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flash_model::{FunctionName, Manifest, Provisioned, Resource, ResourceName, RouteTable, sha256_hex};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

const ETAG_DIGITS: usize = 16;
/// Fast and small enough: manifests repeat themselves a lot.
const GZIP_LEVEL: u32 = 4;

/// What `/manifest` answers at one moment. The manifest itself is shared between versions, and the texts are only made for
/// who asks for them.
#[derive(Debug)]
pub struct Served {
    desired: Arc<Manifest>,
    generation: Option<u64>,
    /// Of every resource of the manifest.
    provisioned: BTreeMap<ResourceName, Provisioned>,
    /// Of resources that are not in the manifest any more and are not gone yet.
    removing: BTreeMap<ResourceName, Provisioned>,
    /// Quoted, as HTTP wants it.
    pub(crate) etag: String,
    json: OnceLock<Bytes>,
    gzip: OnceLock<Bytes>,
}

impl Served {
    pub(crate) fn new(
        desired: Arc<Manifest>,
        generation: Option<u64>,
        recorded: &BTreeMap<ResourceName, Provisioned>,
    ) -> Self {
        let of = |name| recorded.get(name).cloned().unwrap_or_else(|| Provisioned::of(None));
        let provisioned: BTreeMap<_, _> =
            desired.resources.keys().map(|name| (name.clone(), of(name))).collect();
        let removing: BTreeMap<_, _> = recorded
            .iter()
            .filter(|(name, _)| !desired.resources.contains_key(*name))
            .map(|(name, provisioned)| (name.clone(), provisioned.clone()))
            .collect();
        let etag = etag(&desired, generation, &provisioned, &removing);
        let (json, gzip) = (OnceLock::new(), OnceLock::new());
        Self { desired, generation, provisioned, removing, etag, json, gzip }
    }

    /// The desired state, without what was provisioned.
    pub fn desired(&self) -> &Manifest {
        &self.desired
    }

    /// How many manifests were applied up to this one.
    pub fn generation(&self) -> Option<u64> {
        self.generation
    }

    /// None for a resource that the manifest does not have.
    pub fn provisioned(&self, resource: &str) -> Option<&Provisioned> {
        self.provisioned.get(resource)
    }

    pub fn all_provisioned(&self) -> &BTreeMap<ResourceName, Provisioned> {
        &self.provisioned
    }

    /// Quoted, as HTTP wants it.
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// The manifest with what was provisioned in it.
    pub fn manifest(&self) -> Manifest {
        let mut manifest = Manifest::clone(&self.desired);
        manifest.generation = self.generation;
        for (name, resource) in &mut manifest.resources {
            resource.provisioned = self.provisioned.get(name).cloned().unwrap_or_default();
        }
        manifest
    }

    pub fn routes(&self) -> RouteTable {
        RouteTable::from_manifest(&self.manifest())
    }

    /// True if [`Self::json`] costs nothing any more.
    pub(crate) fn is_rendered(&self, gzip: bool) -> bool {
        if gzip { self.gzip.get().is_some() } else { self.json.get().is_some() }
    }

    /// [`Self::manifest`] as compact JSON.
    pub(crate) fn json(&self) -> Bytes {
        self.json.get_or_init(|| serde_json::to_vec(&self.document()).unwrap_or_default().into()).clone()
    }

    pub(crate) fn gzip(&self) -> Bytes {
        let compressed = || -> std::io::Result<Vec<u8>> {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL));
            encoder.write_all(&self.json())?;
            encoder.finish()
        };
        self.gzip.get_or_init(|| compressed().unwrap_or_default().into()).clone()
    }

    /// By resource name, else by endpoint id.
    pub(crate) fn find(&self, endpoint: &str) -> Option<(&ResourceName, &Resource)> {
        self.desired.resources.get_key_value(endpoint).or_else(|| {
            let is_it = |provisioned: &Provisioned| {
                provisioned.endpoint_id.as_ref().is_some_and(|id| id.as_str() == endpoint)
            };
            let (name, _) = self.provisioned.iter().find(|(_, provisioned)| is_it(provisioned))?;
            self.desired.resources.get_key_value(name)
        })
    }

    fn document(&self) -> Document<'_> {
        let resources = self
            .desired
            .resources
            .iter()
            .map(|(name, resource)| (name, Entry { resource, provisioned: self.provisioned.get(name) }));
        Document {
            version: &self.desired.version,
            generated_at: &self.desired.generated_at,
            project_name: &self.desired.project_name,
            resources: resources.collect(),
            function_registry: &self.desired.function_registry,
            routes: &self.desired.routes,
            generation: self.generation,
            removing: &self.removing,
        }
    }
}

/// Changes with everything that whoever reads the manifest may want to know, and is the same wherever it is served.
fn etag(
    desired: &Manifest,
    generation: Option<u64>,
    provisioned: &BTreeMap<ResourceName, Provisioned>,
    removing: &BTreeMap<ResourceName, Provisioned>,
) -> String {
    let mut text = format!("{}\n{generation:?}\n", desired.project_name);
    for (name, resource) in &desired.resources {
        let _ = writeln!(text, "{name} {} {:?}", resource.config_hash, provisioned.get(name));
    }
    for (name, provisioned) in removing {
        let _ = writeln!(text, "-{name} {provisioned:?}");
    }
    format!("\"{}\"", &sha256_hex(text.as_bytes())[..ETAG_DIGITS])
}

/// As [`Manifest`], borrowed.
#[derive(Serialize)]
struct Document<'a> {
    version: &'a str,
    generated_at: &'a str,
    project_name: &'a str,
    resources: BTreeMap<&'a ResourceName, Entry<'a>>,
    function_registry: &'a BTreeMap<FunctionName, ResourceName>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    routes: &'a BTreeMap<ResourceName, BTreeMap<String, FunctionName>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    removing: &'a BTreeMap<ResourceName, Provisioned>,
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    resource: &'a Resource,
    #[serde(flatten)]
    provisioned: Option<&'a Provisioned>,
}

#[cfg(test)]
mod tests {
    use flash_model::ResourceStatus;
    use flash_testkit::{manifest, name};

    use super::*;

    fn having(status: ResourceStatus) -> Provisioned {
        Provisioned { status: Some(status), ..Provisioned::default() }
    }

    #[test]
    fn the_document_is_the_merged_manifest_and_names_what_is_being_removed() {
        let recorded = BTreeMap::from([
            (name("a"), having(ResourceStatus::Ready)),
            (name("gone"), having(ResourceStatus::Removing)),
        ]);
        let served = Served::new(Arc::new(manifest(&[("a", 1), ("b", 2)])), Some(7), &recorded);
        let read = Manifest::from_json(std::str::from_utf8(&served.json()).unwrap()).unwrap();
        assert_eq!(read, served.manifest());
        assert_eq!(read.generation, Some(7));
        assert_eq!(read.resources["a"].provisioned.status, Some(ResourceStatus::Ready));
        assert_eq!(read.resources["b"].provisioned.status, Some(ResourceStatus::Pending));
        let document: serde_json::Value = serde_json::from_slice(&served.json()).unwrap();
        assert_eq!(document["removing"]["gone"]["status"], "removing");
        let mut unpacked = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&served.gzip()[..]), &mut unpacked)
            .unwrap();
        assert_eq!(unpacked, served.json());
    }

    #[test]
    fn the_etag_moves_with_manifest_and_status() {
        let served = |workers, status| {
            let recorded = BTreeMap::from([(name("a"), having(status))]);
            Served::new(Arc::new(manifest(&[("a", workers)])), Some(1), &recorded).etag
        };
        let first = served(1, ResourceStatus::Ready);
        assert_eq!(first, served(1, ResourceStatus::Ready));
        assert_ne!(first, served(2, ResourceStatus::Ready));
        assert_ne!(first, served(1, ResourceStatus::Degraded));
    }
}
