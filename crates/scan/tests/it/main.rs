//! Integration tests of `flash-scan`: one folder of `tests/projects` is one test, plus properties that hold for any input.

mod projects;
mod properties;
