//! How an endpoint is told to end, and how long what it has in hand may go on then.

use std::convert::Infallible;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// For requests and jobs, where whoever ends everything wants it to be over.
const SOON_TIMEOUT: Duration = Duration::from_secs(4);
/// For workers whose calls are cut off to end by themselves.
pub(crate) const CUT_OFF_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// When what it has in hand is finished, within the resource's drain timeout.
    WhenIdle,
    /// Within seconds, whatever is in hand; also said to one that drains.
    Soon,
}

/// SIGTERM and SIGINT of this process.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Says what is asked for to `stop`, for as long as it is polled.
    pub(crate) async fn forward(mut self, stop: watch::Sender<Option<Stop>>) -> Infallible {
        loop {
            let asked = tokio::select! {
                _ = self.terminate.recv() => Stop::WhenIdle,
                _ = self.interrupt.recv() => Stop::Soon,
            };
            stop.send_modify(|said| *said = (*said).max(Some(asked)));
        }
    }
}

/// When what is in hand is cut off: once that is known, it can only come sooner.
#[derive(Debug, Clone)]
pub(crate) struct Cutoff(watch::Sender<Option<Instant>>);

impl Cutoff {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    pub(crate) fn set(&self, stop: Stop, drain_timeout: Duration) {
        let left = match stop {
            Stop::WhenIdle => drain_timeout,
            Stop::Soon => SOON_TIMEOUT,
        };
        let at = Instant::now() + left;
        self.0.send_modify(|known| *known = Some(known.map_or(at, |known| known.min(at))));
    }

    /// Sets it by what is told, for as long as it is polled. Whoever could tell being gone is to end soon.
    pub(crate) async fn follow(&self, told: &mut watch::Receiver<Option<Stop>>, drain_timeout: Duration) {
        loop {
            if let Some(stop) = *told.borrow_and_update() {
                self.set(stop, drain_timeout);
            }
            if told.changed().await.is_err() {
                return self.set(Stop::Soon, drain_timeout);
            }
        }
    }

    /// So long before the end, `None` while that is not known.
    pub(crate) async fn reached(&self, before: Duration) {
        let mut known = self.0.subscribe();
        loop {
            let at = *known.borrow_and_update();
            tokio::select! {
                () = async {
                    match at {
                        Some(at) => sleep_until(at.checked_sub(before).unwrap_or(at)).await,
                        None => std::future::pending().await,
                    }
                } => return,
                changed = known.changed() => {
                    if changed.is_err() {
                        return std::future::pending().await;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_drains_can_be_told_to_end_soon_and_not_the_other_way_round() {
        let (cutoff, begun) = (Cutoff::new(), Instant::now());
        let reached = tokio::spawn({
            let cutoff = cutoff.clone();
            async move { cutoff.reached(Duration::ZERO).await }
        });
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(!reached.is_finished(), "nobody told it to end");
        cutoff.set(Stop::WhenIdle, Duration::from_secs(600));
        tokio::time::sleep(Duration::from_secs(10)).await;
        cutoff.set(Stop::Soon, Duration::from_secs(600));
        cutoff.set(Stop::WhenIdle, Duration::from_secs(600));
        reached.await.unwrap();
        assert_eq!(begun.elapsed(), Duration::from_secs(3600 + 10) + SOON_TIMEOUT);
    }
}
