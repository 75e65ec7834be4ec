//! Names of the environment variables that tell a child endpoint (`flash serve`) who it is.

/// The manifest resource that it serves.
pub const RESOURCE_NAME: &str = "FLASH_RESOURCE_NAME";
pub const ENDPOINT_ID: &str = "FLASH_ENDPOINT_ID";
pub const APP: &str = "FLASH_APP";
pub const ENVIRONMENT: &str = "FLASH_ENV";
pub const MOTHERSHIP_ID: &str = "FLASH_MOTHERSHIP_ID";
pub const MOTHERSHIP_URL: &str = "FLASH_MOTHERSHIP_URL";
/// Secret: the token of this app+environment.
pub const TOKEN: &str = "FLASH_TOKEN";
/// A manifest file that holds the resource.
pub const MANIFEST_PATH: &str = "FLASH_MANIFEST_PATH";
/// Folder that user modules are imported from.
pub const IMPORT_ROOT: &str = "FLASH_IMPORT_ROOT";
/// Python of the worker environment.
pub const WORKER_PYTHON: &str = "FLASH_WORKER_PYTHON";
/// Folder that holds the `tetra_rp` package.
pub const SDK_PATH: &str = "FLASH_SDK_PATH";
/// Folder of this endpoint's lock, identity and route table.
pub const ENDPOINT_DIR: &str = "FLASH_ENDPOINT_DIR";
/// Folder of the resource's queue, which endpoints of one resource share. Without it, the endpoint's own folder.
pub const QUEUE_DIR: &str = "FLASH_QUEUE_DIR";
/// When a worker is followed by a new one: calls that it was given, bytes of memory. Set by the resource's own `env`.
pub const WORKER_CALLS_MAX: &str = "FLASH_WORKER_CALLS_MAX";
pub const WORKER_BYTES_MAX: &str = "FLASH_WORKER_BYTES_MAX";
/// How many plain functions a worker runs at the same time. Set by the resource's own `env`.
pub const SYNC_THREADS: &str = "FLASH_SYNC_THREADS";
/// `off` = workers may use what the machine has. Set by the resource's own `env`.
pub const WORKER_LIMITS: &str = "FLASH_WORKER_LIMITS";
/// How many GPUs the machine has, where counting its device files would be wrong.
pub const GPUS: &str = "FLASH_GPUS";
/// CUDA's own: which GPUs a process sees. Set for each worker of a GPU resource that does not set it itself.
pub const VISIBLE_GPUS: &str = "CUDA_VISIBLE_DEVICES";
pub const HOST: &str = "FLASH_HOST";
/// 0 = any free port.
pub const PORT: &str = "FLASH_PORT";
/// Pages of other origins that may use the routes of a load-balanced endpoint: `*`, or origins separated by commas.
pub const CORS_ORIGINS: &str = "FLASH_CORS_ORIGINS";
/// Everybody's own: files whose certificates are trusted instead of the system's.
pub const CERTIFICATES_FILE: &str = "SSL_CERT_FILE";
pub const CERTIFICATES_DIR: &str = "SSL_CERT_DIR";

/// Where a mothership keeps its state, which may name a password, and the token for it. Taken out of the environment of
/// whatever it starts.
pub const STATE_URL: &str = "FLASH_STATE_URL";
pub const STATE_TOKEN: &str = "FLASH_STATE_TOKEN";
