//! Python on this machine: which interpreter, one environment of packages per requirement set to run here
//! (`environment.rs`), and one folder of packages per set to run elsewhere (`packages.rs`).
//!
//! Everything here waits (it runs other programs and takes file locks): call it from a thread that may.

mod command;
pub mod environment;
mod install;
pub mod interpreter;
pub mod packages;
pub mod question;

pub use command::Cancel;
pub use environment::{Environments, Progress};
pub use interpreter::{Interpreter, find};
pub use packages::Packages;

#[cfg(test)]
mod packages_tests;
#[cfg(test)]
mod tests;
