//! The binary as a person uses it: real processes, real Python workers, real `kill -9`.

mod layering;
