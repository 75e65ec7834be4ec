//! The one way a provider is called: within its limits, for a limited time, and with a pause when it asks for one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flash_model::Retry;
use flash_providers::{Error, Limits, Provider};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};

use crate::metrics::Metrics;

/// Longest time that one answer can hold up everybody else; whoever got it waits as long as it asked for.
const ASKED_PAUSE_MAX: Duration = Duration::from_secs(5);

/// A cheap clone; all clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) provider: Arc<dyn Provider>,
    limits: Limits,
    permits: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    /// Whoever holds it is the next to call.
    gate: Arc<tokio::sync::Mutex<()>>,
    /// When the next call may begin.
    next: Arc<Mutex<Instant>>,
}

impl Caller {
    pub(crate) fn new(provider: Arc<dyn Provider>, metrics: Arc<Metrics>) -> Self {
        let limits = provider.limits();
        let permits = Arc::new(Semaphore::new(limits.parallel_calls_max.max(1)));
        let next = Arc::new(Mutex::new(Instant::now()));
        Self { provider, limits, permits, metrics, gate: Arc::default(), next }
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) async fn call<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let _permit = self.permits.acquire().await;
        self.call_beside(work).await
    }

    /// A call beside however many others: for what mostly waits, when everything ends.
    pub(crate) async fn call_beside<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.turn().await;
        let waited = self.limits.call_timeout;
        let begun = Instant::now();
        let answer = timeout(waited, work).await.unwrap_or(Err(Error::NoAnswer { waited }));
        self.metrics.called(begun.elapsed(), &answer);
        if let Err(error) = &answer
            && let Retry::After(pause) = error.retry()
        {
            let until = Instant::now() + pause.min(ASKED_PAUSE_MAX);
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            *next = until.max(*next);
        }
        answer
    }

    /// Waits for the next turn: turns are spread evenly over a second. A pause that is asked for meanwhile is kept, and
    /// whoever was stopped for a while does not make up for it.
    async fn turn(&self) {
        let _gate = self.gate.lock().await;
        let rate = self.limits.calls_per_second_max.filter(|rate| *rate > 0);
        let interval = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate);
        loop {
            let now = Instant::now();
            let until = {
                let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
                if *next <= now {
                    *next = now + interval;
                    return;
                }
                *next
            };
            sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(parallel_calls_max: usize, calls_per_second_max: Option<u32>) -> Caller {
        let limits = Limits {
            parallel_calls_max,
            calls_per_second_max,
            ..flash_providers::SimProvider::default().limits()
        };
        let permits = Arc::new(Semaphore::new(parallel_calls_max));
        let next = Arc::new(Mutex::new(Instant::now()));
        let (provider, metrics) = (Arc::new(flash_providers::SimProvider::default()), Arc::default());
        Caller { provider, limits, permits, metrics, gate: Arc::default(), next }
    }

    async fn took(caller: &Caller, calls: u32, each: Duration) -> Duration {
        let begun = Instant::now();
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..calls {
            let caller = caller.clone();
            all.spawn(async move {
                let work = async {
                    tokio::time::sleep(each).await;
                    Ok(())
                };
                caller.call(work).await.unwrap();
            });
        }
        all.join_all().await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn calls_are_bounded_in_number_and_in_rate() {
        let second = Duration::from_secs(1);
        assert_eq!(took(&caller(4, None), 12, second).await, 3 * second);
        let paced = took(&caller(100, Some(10)), 21, Duration::ZERO).await;
        assert_eq!(paced.as_millis(), 2000);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_for_a_pause_gets_it_from_all() {
        let caller = caller(4, None);
        let pause = Duration::from_secs(4);
        let refused = || async move {
            let message = "too many requests".to_owned();
            Err::<(), _>(Error::Injected { message, retry: Retry::After(pause) })
        };
        caller.call(refused()).await.unwrap_err();
        let begun = Instant::now();
        caller.call(async { Ok(()) }).await.unwrap();
        assert_eq!(begun.elapsed(), pause);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_for_those_who_wait_for_their_turn_already() {
        let caller = caller(4, Some(1));
        let message = "too many requests".to_owned();
        let refused = Error::Injected { message, retry: Retry::After(Duration::from_secs(4)) };
        let begun = Instant::now();
        let (_, waited) = tokio::join!(
            caller.call(async {
                tokio::time::sleep(Duration::from_millis(500)).await;
                Err::<(), _>(refused)
            }),
            caller.call(async { Ok(begun.elapsed()) }),
        );
        assert_eq!(waited.unwrap(), Duration::from_millis(4_500));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_never_answers_ends() {
        let error = caller(1, None).call(std::future::pending::<Result<(), Error>>()).await.unwrap_err();
        assert!(matches!(error, Error::NoAnswer { .. }) && error.retry() == Retry::Backoff, "{error}");
    }
}
