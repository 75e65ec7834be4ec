//! One version of what `/manifest` answers.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, LazyLock, OnceLock};

use bytes::Bytes;
use flash_model::{FunctionName, Manifest, Provisioned, Resource, ResourceName, RouteTable};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

/// Fast and small enough: manifests repeat themselves a lot.
const GZIP_LEVEL: u32 = 4;

/// What `/manifest` answers at one moment. The manifest itself is shared between versions, and the texts are only made for
/// who asks for them.
#[derive(Debug)]
pub struct Served {
    desired: Arc<Manifest>,
    generation: Option<u64>,
    /// Of every resource that has a record, also of those that are not in the manifest any more.
    recorded: BTreeMap<ResourceName, Arc<Provisioned>>,
    pub(crate) etag: String,
    json: OnceLock<Bytes>,
    gzip: OnceLock<Bytes>,
}

impl Served {
    /// `digest` stands for all of it.
    pub(crate) fn new(
        desired: Arc<Manifest>,
        generation: Option<u64>,
        recorded: BTreeMap<ResourceName, Arc<Provisioned>>,
        digest: u128,
    ) -> Self {
        let etag = format!("\"{digest:032x}\"");
        Self { desired, generation, recorded, etag, json: OnceLock::new(), gzip: OnceLock::new() }
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
        self.desired.resources.contains_key(resource).then(|| self.recorded(resource))
    }

    /// Of every resource of the manifest.
    pub fn all_provisioned(&self) -> impl ExactSizeIterator<Item = (&ResourceName, &Provisioned)> {
        self.desired.resources.keys().map(|name| (name, self.recorded(name.as_str())))
    }

    /// Pending, where there is no record.
    fn recorded(&self, resource: &str) -> &Provisioned {
        static PENDING: LazyLock<Provisioned> = LazyLock::new(|| Provisioned::of(None));
        self.recorded.get(resource).map_or(&PENDING, |provisioned| &**provisioned)
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
            resource.provisioned = self.recorded(name.as_str()).clone();
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
            let (name, _) = self.recorded.iter().find(|(_, provisioned)| is_it(provisioned))?;
            self.desired.resources.get_key_value(name)
        })
    }

    fn document(&self) -> Document<'_> {
        let resources =
            self.desired.resources.iter().map(|(name, resource)| {
                (name, Entry { resource, provisioned: self.recorded(name.as_str()) })
            });
        let removing = self.recorded.iter().filter(|(name, _)| !self.desired.resources.contains_key(*name));
        Document {
            version: &self.desired.version,
            generated_at: &self.desired.generated_at,
            project_name: &self.desired.project_name,
            resources: resources.collect(),
            function_registry: &self.desired.function_registry,
            routes: &self.desired.routes,
            generation: self.generation,
            removing: removing.map(|(name, provisioned)| (name, &**provisioned)).collect(),
        }
    }
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
    removing: BTreeMap<&'a ResourceName, &'a Provisioned>,
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    resource: &'a Resource,
    #[serde(flatten)]
    provisioned: &'a Provisioned,
}

#[cfg(test)]
mod tests {
    use flash_model::ResourceStatus;
    use flash_testkit::{manifest, name};

    use super::*;

    #[test]
    fn the_document_is_the_merged_manifest_and_names_what_is_being_removed() {
        let having = |status| Arc::new(Provisioned { status: Some(status), ..Provisioned::default() });
        let recorded = BTreeMap::from([
            (name("a"), having(ResourceStatus::Ready)),
            (name("gone"), having(ResourceStatus::Removing)),
        ]);
        let served = Served::new(Arc::new(manifest(&[("a", 1), ("b", 2)])), Some(7), recorded, 1);
        let read = Manifest::from_json(std::str::from_utf8(&served.json()).unwrap()).unwrap();
        assert_eq!(read, served.manifest());
        assert_eq!(read.generation, Some(7));
        assert_eq!(read.resources["a"].provisioned.status, Some(ResourceStatus::Ready));
        assert_eq!(read.resources["b"].provisioned.status, Some(ResourceStatus::Pending));
        let document: serde_json::Value = serde_json::from_slice(&served.json()).unwrap();
        assert_eq!(document["removing"]["gone"]["status"], "removing");
        let mut unpacked = Vec::new();
        let packed = served.gzip();
        let mut unpacking = flate2::read::GzDecoder::new(&packed[..]);
        std::io::Read::read_to_end(&mut unpacking, &mut unpacked).unwrap();
        assert_eq!(unpacked, served.json());
    }
}
