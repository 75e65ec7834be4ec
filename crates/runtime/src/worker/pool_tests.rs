use flash_model::{EndpointId, ResourceName, Scaler, ScalerType};

use super::*;
use crate::refusal::Refusal;
use crate::worker::state::{DOOR_BYTES_MAX, DOOR_CALLS_MAX};

/// Nobody starts workers for it.
fn pool() -> Pool {
    let metrics = Metrics::new(&ResourceName::new("it").unwrap(), &EndpointId::new("it-1").unwrap());
    let limits = Limits {
        workers_min: 0,
        workers_max: 1,
        concurrency: 1,
        sync_threads: 1,
        idle_timeout: Duration::from_secs(1),
        scaler: Scaler { scaler_type: ScalerType::QueueDelay, value: 4 },
        calls_max: None,
    };
    Pool::new(limits, None, Arc::new(metrics), Tracer::default())
}

async fn refused(pool: &Pool, size_bytes: usize) -> (u16, Option<Duration>) {
    let refusal = Refusal::from(pool.lease(false, size_bytes, Patience::Door).await.unwrap_err());
    assert_eq!(refusal.problem.code, Code::Overloaded);
    (refusal.problem.status, refusal.retry_after)
}

async fn until_waiting(pool: &Pool, count: usize) {
    while pool.lock().waiting.len() != count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_told_503_and_who_finds_the_door_full_429() {
    let second = Some(Duration::from_secs(1));
    assert_eq!(refused(&pool(), 0).await, (503, second));

    let wait = |pool: &Pool, size_bytes: usize| {
        let pool = pool.clone();
        tokio::spawn(async move { pool.lease(false, size_bytes, Patience::Door).await.is_ok() })
    };
    let pool_of_calls = pool();
    let calls: Vec<_> = (0..DOOR_CALLS_MAX).map(|_| wait(&pool_of_calls, 0)).collect();
    until_waiting(&pool_of_calls, DOOR_CALLS_MAX).await;
    assert_eq!(refused(&pool_of_calls, 0).await, (429, second));
    calls[0].abort();
    until_waiting(&pool_of_calls, DOOR_CALLS_MAX - 1).await;
    assert_eq!(refused(&pool_of_calls, 0).await, (503, second), "a place is free again");

    let pool_of_bytes = pool();
    let large = wait(&pool_of_bytes, DOOR_BYTES_MAX);
    until_waiting(&pool_of_bytes, 1).await;
    assert_eq!(refused(&pool_of_bytes, 1).await, (429, second));
    assert!(!large.await.unwrap());
}
