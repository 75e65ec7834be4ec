//! File work of Flash: which files of a project belong to it ([`select`]), which Python packages its resources need
//! ([`requirements`]) on which machine ([`target`]), what an artifact holds ([`layout`]) and how large that is
//! ([`size`]), the deterministic archive of it ([`mod@write`], [`read`]), and the Python SDK that the binary carries
//! ([`sdk`]).
//!
//! It is synchronous and knows nothing of tokio or HTTP; it installs nothing and runs no other program. It never reads
//! the process's environment.
//!
//! Start with `select.rs` (project → file list), then `layout.rs` (file list + manifest → what is packed), `write.rs`
//! (→ archive) and `read.rs` (back).

mod digest;
mod gzip;
mod handlers;
mod installed;
pub mod layout;
mod publish;
pub mod read;
pub mod requirements;
pub mod sdk;
pub mod select;
pub mod size;
pub mod target;
pub mod write;

pub use layout::Layout;
pub use read::{unpack, verify};
pub use requirements::{ProjectRequirements, RequirementSet, plan};
pub use select::{Include, SelectedFile, Selection, select, select_with};
pub use target::{Platform, PythonVersion, Target};
pub use write::{Artifact, check_destination, is_artifact, stage, write};
