//! Python on this machine: which interpreter, and one environment of packages per requirement set.
//!
//! Everything here waits (it runs other programs and takes file locks): call it from a thread that may.

mod command;
pub mod environment;
mod install;
pub mod interpreter;

pub use command::Cancel;
pub use environment::{Environments, Progress};
pub use interpreter::{Interpreter, find};

#[cfg(test)]
mod tests;
