//! How results look to a person.

pub(crate) mod curl;
pub(crate) mod diagnostics;
pub(crate) mod resources;
