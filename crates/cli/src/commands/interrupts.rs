//! Ctrl+C, a polite kill and a closed terminal mean the same: stop.

use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Failure;

/// Shells and wrappers pass one Ctrl+C on twice; a person who means it waits longer.
const ECHO: Duration = Duration::from_millis(500);

pub(in crate::commands) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    last: Option<Instant>,
}

impl Interrupts {
    pub(in crate::commands) fn new() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::because("signals cannot be received", &error));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
            last: None,
        })
    }

    pub(in crate::commands) async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
                _ = self.hangup.recv() => {}
            }
            if self.last.is_none_or(|last| last.elapsed() > ECHO) {
                self.last = Some(Instant::now());
                return;
            }
        }
    }
}
