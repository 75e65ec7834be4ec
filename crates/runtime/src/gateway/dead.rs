//! Dead letters of a queue: which there are, and queueing them again.

use flash_model::Code;
use flash_model::wire::{DEAD_LIMIT, DEAD_LIMIT_DEFAULT, JobAccepted, JobStatus, Redriven};

use super::jobs::not_found;
use super::respond::{self, Response};
use crate::queue::{Queue, Redrive};
use crate::refusal::Refusal;

/// `GET /dead?limit=n`.
pub(super) async fn list(queue: &Queue, query: Option<&str>) -> Result<Response, Refusal> {
    Ok(respond::json(&queue.dead(limit(query)?).await?))
}

/// `POST /redrive/{id}`, and of all without an id.
pub(super) async fn redrive(queue: &Queue, id: Option<&str>) -> Result<Response, Refusal> {
    let Some(id) = id else {
        let redriven = queue.redrive_all().await?;
        return Ok(respond::json(&Redriven { redriven, status: "completed".to_owned() }));
    };
    match queue.redrive(id).await? {
        Redrive::Queued => Ok(respond::json(&JobAccepted { id: id.to_owned(), status: JobStatus::InQueue })),
        Redrive::Unknown => Err(not_found(id)),
        Redrive::NotDead(status) => {
            let detail = format!("job {id} is {} and no dead letter", status.word());
            Err(Refusal::new(Code::StateConflict, 409, detail)
                .hint("GET …/dead lists dead letters; POST …/retry/{id} runs any job again that failed"))
        }
    }
}

fn limit(query: Option<&str>) -> Result<u64, Refusal> {
    let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let asked = pairs.filter(|(name, _)| *name == "limit").map(|(_, limit)| limit).next();
    let Some(asked) = asked else { return Ok(DEAD_LIMIT_DEFAULT) };
    let limit = asked.parse().ok().filter(|limit| DEAD_LIMIT.contains(limit));
    limit.ok_or_else(|| {
        let (least, most) = (DEAD_LIMIT.start(), DEAD_LIMIT.end());
        Refusal::new(Code::InvalidBody, 400, format!("limit is {asked:?}; it must be {least} to {most}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_bounded() {
        for (query, expected) in [
            (None, Some(100)),
            (Some("a=1"), Some(100)),
            (Some("limit=1000"), Some(1000)),
            (Some("limit=0"), None),
            (Some("limit=1001"), None),
            (Some("limit=x"), None),
        ] {
            assert_eq!(limit(query).ok(), expected, "{query:?}");
        }
    }
}
