//! What a job asks for itself, within what the API allows.

use std::ops::RangeInclusive;
use std::time::Duration;

use flash_model::wire::JobPolicy;

const EXECUTION_TIMEOUT_MS: RangeInclusive<u64> = 5_000..=7 * DAY_MS;
const TTL_MS: RangeInclusive<u64> = 10_000..=7 * DAY_MS;
const RETRIES: RangeInclusive<u64> = 0..=10;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// From submission until a job that names no other is removed.
pub(super) const TTL_DEFAULT_MS: u64 = DAY_MS;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    /// `None` = the endpoint's.
    pub(crate) execution_timeout: Option<Duration>,
    /// `None` = [`TTL_DEFAULT_MS`].
    pub(crate) ttl_ms: Option<u64>,
    pub(crate) is_low_priority: bool,
    /// Attempts that fail are followed by another this often.
    pub(crate) max_retries: u32,
}

impl Policy {
    /// Says what is out of bounds.
    pub(crate) fn of(asked: &JobPolicy) -> Result<Self, String> {
        let bounded = |name: &str, asked: Option<u64>, bounds: RangeInclusive<u64>, unit: &str| match asked {
            Some(asked) if !bounds.contains(&asked) => {
                let (least, most) = (bounds.start(), bounds.end());
                Err(format!("policy.{name} is {asked}{unit}; it must be {least} to {most}{unit}"))
            }
            other => Ok(other),
        };
        let execution_timeout =
            bounded("executionTimeout", asked.execution_timeout, EXECUTION_TIMEOUT_MS, " ms")?;
        let max_retries = bounded("maxRetries", asked.max_retries, RETRIES, "")?;
        Ok(Self {
            execution_timeout: execution_timeout.map(Duration::from_millis),
            ttl_ms: bounded("ttl", asked.ttl, TTL_MS, " ms")?,
            is_low_priority: asked.low_priority.unwrap_or(false),
            max_retries: max_retries.unwrap_or(0) as u32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_bounds_is_refused_by_name() {
        let check = |json: &str, expected: Result<Policy, &str>| {
            let policy = Policy::of(&serde_json::from_str(json).unwrap());
            match expected {
                Ok(expected) => assert_eq!(policy.unwrap(), expected, "{json}"),
                Err(part) => assert!(policy.unwrap_err().contains(part), "{json}"),
            }
        };
        check("{}", Ok(Policy::default()));
        check(r#"{"ttl":null,"lowPriority":null}"#, Ok(Policy::default()));
        let all = Policy {
            execution_timeout: Some(Duration::from_secs(5)),
            ttl_ms: Some(604_800_000),
            is_low_priority: true,
            max_retries: 10,
        };
        check(r#"{"executionTimeout":5000,"ttl":604800000,"lowPriority":true,"maxRetries":10}"#, Ok(all));
        check(r#"{"executionTimeout":4999}"#, Err("policy.executionTimeout is 4999 ms; it must be 5000"));
        check(r#"{"ttl":604800001}"#, Err("policy.ttl is 604800001 ms"));
        check(r#"{"ttl":0}"#, Err("policy.ttl is 0 ms"));
        check(r#"{"maxRetries":0}"#, Ok(Policy::default()));
        check(r#"{"maxRetries":11}"#, Err("policy.maxRetries is 11; it must be 0 to 10"));
    }
}
