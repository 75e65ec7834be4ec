//! Planning, checked as transcripts (a world in, a plan out) and as properties.

mod convergence;
mod transcripts;
mod world;
