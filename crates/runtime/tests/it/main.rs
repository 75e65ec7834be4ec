//! Endpoints served in this process, with real Python workers running the real shim.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod compression;
mod cors;
mod discovery;
mod docs;
mod fastapi;
mod forms;
mod handover;
<<<<<<< HEAD
mod idempotency;
mod job_streams;
=======
mod http2;
mod limits;
>>>>>>> ff2a5fa (A connection is patient with silence and not with heads that trickle in; HTTP/2 is spoken to who begins with it)
mod load_balanced;
mod metrics;
mod queue;
mod recycling;
mod redrive;
mod responses;
mod retries;
mod streams;
mod survival;
mod templates;
mod web_application;
mod webhooks;
mod world;
