//! What an endpoint's answers to its health check mean, as a pure state machine: when a new version may take over, when
//! it has failed, and what is shown of an endpoint that serves.

use std::time::Duration;

use flash_model::{Code, Health, ResourceRecord, ResourceStatus};

/// Longest time an endpoint may say that it is starting.
pub const READY_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// Answers that it cannot serve, after which a new version is given up.
pub const UNHEALTHY_ANSWERS_MAX: u32 = 3;
/// Checks without an answer, after which an endpoint that served is shown as degraded.
pub const DEGRADED_MISSES: u32 = 2;
/// Checks without an answer, after which an endpoint is restarted.
pub const RESTART_MISSES: u32 = 5;
/// New versions that are tried before it is left to a person.
pub const ROLLOUT_ATTEMPTS_MAX: u32 = 5;

/// A new version that is warming beside the one that serves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Warming {
    unhealthy_answers: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Wait,
    /// It may enter the route table.
    Accept,
    Reject {
        reason: String,
    },
}

impl Warming {
    /// `waited` is the time since it was made.
    pub fn judge(&mut self, health: &Health, waited: Duration) -> Verdict {
        match health {
            Health::Ready => Verdict::Accept,
            Health::Unhealthy { reason } => {
                self.unhealthy_answers += 1;
                if self.unhealthy_answers >= UNHEALTHY_ANSWERS_MAX {
                    Verdict::Reject { reason: reason.clone() }
                } else {
                    Verdict::Wait
                }
            }
            Health::Starting | Health::Unreachable { .. } if waited < READY_TIMEOUT => Verdict::Wait,
            Health::Starting => {
                Verdict::Reject { reason: format!("not ready after {} s", READY_TIMEOUT.as_secs()) }
            }
            Health::Unreachable { reason } => Verdict::Reject { reason: reason.clone() },
        }
    }
}

/// What is shown of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    pub status: ResourceStatus,
    pub reason: Option<String>,
    pub code: Option<Code>,
}

/// What one answer makes of a recorded endpoint. `misses` counts checks without an answer in a row, this one included.
/// Only status and reason ever follow from health: never an id, a URL or what was applied.
pub fn assess(record: &ResourceRecord, health: &Health, misses: u32, now_ms: u64) -> Assessment {
    use ResourceStatus::{Degraded, Failed, Pending, Provisioning, Ready, Removing};
    let unchanged = || Assessment {
        status: record.status,
        reason: record.status_reason.clone(),
        code: record.status_code,
    };
    let new = |status, code, reason: Option<&String>| Assessment { status, code, reason: reason.cloned() };
    let waited_ms = now_ms.saturating_sub(record.status_since_ms);
    let is_late = u128::from(waited_ms) > READY_TIMEOUT.as_millis();
    match (record.status, health) {
        (Removing, _) => unchanged(),
        // A version that was rejected is told of for as long as it is wanted, while the earlier one goes on serving.
        (Failed, _) if record.rejected.is_some() => unchanged(),
        // Somebody changed it, and it serves all the same: that is told until it is as it was.
        (Ready, Health::Ready) if record.status_code == Some(Code::Drifted) => unchanged(),
        (_, Health::Ready) => new(Ready, None, None),
        (Pending | Provisioning, Health::Starting | Health::Unreachable { .. }) if is_late => {
            let reason = format!("not ready after {} s", READY_TIMEOUT.as_secs());
            new(Failed, Some(Code::NotReady), Some(&reason))
        }
        (Failed, Health::Starting | Health::Unreachable { .. }) => unchanged(),
        (Pending | Provisioning, Health::Starting | Health::Unreachable { .. }) => {
            new(Provisioning, None, None)
        }
        (Ready | Degraded, Health::Starting) => new(Provisioning, None, None),
        (Ready, Health::Unreachable { .. }) if misses < DEGRADED_MISSES => unchanged(),
        (Ready | Degraded, Health::Unreachable { reason }) => {
            new(Degraded, Some(Code::EndpointUnreachable), Some(reason))
        }
        (Ready | Degraded, Health::Unhealthy { reason }) => new(Degraded, Some(Code::NotReady), Some(reason)),
        (Pending | Provisioning | Failed, Health::Unhealthy { reason }) => {
            new(Failed, Some(Code::NotReady), Some(reason))
        }
    }
}

/// Whether an endpoint that was asked in vain this often is to be restarted.
pub fn is_unresponsive(misses: u32) -> bool {
    misses >= RESTART_MISSES
}
