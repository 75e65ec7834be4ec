//! Who leads, in words.

use flash_model::Lease;
use flash_mothership::Role;

use super::time::moment;

pub(crate) fn line(role: &Role) -> String {
    match role {
        Role::Starting => "starting".to_owned(),
        Role::Leading { fence } => format!("leading with fence {fence}"),
        Role::Following { leader: Some(leader) } => following(leader),
        Role::Following { leader: None } => "following; nobody is known to lead".to_owned(),
    }
}

/// With what it means.
fn following(leader: &Lease) -> String {
    let Lease { holder, purpose, .. } = leader;
    let since = moment(leader.acquired_at_ms);
    format!(
        "following {holder} ({purpose}), which has led since {since}: what it applies is served here too, and this \
         mothership takes over when that lease ends"
    )
}
