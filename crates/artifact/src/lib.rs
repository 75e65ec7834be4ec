//! File work of Flash: which files of a project belong to it ([`select`]), which Python packages its resources need
//! ([`requirements`]), the deterministic archive of both ([`mod@write`], [`read`]), and the Python SDK that the binary
//! carries ([`sdk`]).
//!
//! It is synchronous and knows nothing of tokio or HTTP; it installs nothing and runs no other program. It never reads
//! the process's environment.
//!
//! Start with `select.rs` (project → file list), then `write.rs` (file list + manifest → archive) and `read.rs` (back).

mod digest;
mod publish;
pub mod read;
pub mod requirements;
pub mod sdk;
pub mod select;
pub mod write;

pub use read::{unpack, verify};
pub use requirements::{ProjectRequirements, RequirementSet, plan};
pub use select::{SelectedFile, Selection, select};
pub use write::{Artifact, write};
