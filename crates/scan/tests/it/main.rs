//! Integration tests of `flash-scan`: one folder of `tests/projects` is one test, plus properties that hold for any input.

// Helpers of tests fail by panicking; UPDATE_EXPECT is read from the environment.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod annotations;
mod hashes;
mod projects;
mod properties;
mod robustness;
