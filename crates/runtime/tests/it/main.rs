//! Endpoints served in this process, with real Python workers running the real shim.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod compression;
mod cors;
mod discovery;
mod docs;
mod execute;
mod fastapi;
mod forms;
mod gpus;
mod handover;
mod hostile;
mod http2;
mod idempotency;
mod job_streams;
mod limits;
mod load_balanced;
mod logs;
mod metrics;
mod queue;
mod recycling;
mod redrive;
mod responses;
mod retries;
mod rubbish;
mod storm;
mod streams;
mod survival;
mod sync_threads;
mod templates;
mod termination;
mod trace_export;
mod traces;
mod web_application;
mod webhooks;
mod webhooks_tls;
mod websockets;
mod worker_limits;
mod world;
