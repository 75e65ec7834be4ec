//! What people ask of a mothership and wait to be answered: that exactly a plan be applied, or that an earlier generation
//! be brought back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flash_model::*;
use flash_mothership::{ApplyRefusal, Desired, Event, Handle, Role};
use flash_plan::{Action, Plan, PlanFile};
use tokio::time::sleep;

use super::invariants::Invariant;
use super::network::{Arrival, Life};
use super::realm::Realm;

/// Between two looks at whether an earlier generation has become a new one, and how many there are.
const LOOK_PAUSE: Duration = Duration::from_millis(200);
const LOOKS_MAX: u32 = 50;

/// In the manifest of a plan that is to be applied exactly, before its number.
const MARK: &str = "exactly ";

#[derive(Debug, Clone)]
pub(super) enum Wanted {
    /// Exactly this.
    Plan(Arc<PlanFile>),
    /// One of the generations before the last, by how long ago it was.
    RollBack { rank: usize },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Applied {
        generation: u64,
    },
    RolledBack {
        named: u64,
        generation: u64,
    },
    /// And nothing was done.
    Refused(String),
    /// Nobody knows.
    Failed(String),
}

#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) wanted: Wanted,
    /// When it was handed over: by then so many generations had been applied.
    pub(super) generations_before: u64,
    basis: Basis,
    pub(super) life: Option<Life>,
    pub(super) answer: Option<Answer>,
    is_stored: bool,
    /// The first steps after it was stored have been seen.
    is_begun: bool,
}

/// What a plan follows from, of each record: not how it is.
type Basis = BTreeMap<ResourceName, (Option<EndpointId>, Option<Applied>, Option<Intent>, Option<String>)>;

fn basis(state: &StateSnapshot) -> Basis {
    let of = |record: &ResourceRecord| {
        let ResourceRecord { endpoint_id, applied, intent, rejected, .. } = record.clone();
        (endpoint_id, applied, intent, rejected)
    };
    state.records.iter().map(|(name, record)| (name.clone(), of(record))).collect()
}

impl Asked {
    pub(super) fn new(wanted: Wanted, state: &StateSnapshot) -> Self {
        Self {
            wanted,
            basis: basis(state),
            generations_before: 0,
            life: None,
            answer: None,
            is_stored: false,
            is_begun: false,
        }
    }
}

/// How the manifest of the plan asked for with this number is told from all others.
pub(super) fn mark(number: usize) -> String {
    format!("{MARK}{number}")
}

fn number(manifest: &Manifest) -> Option<usize> {
    manifest.generated_at.strip_prefix(MARK)?.parse().ok()
}

pub(super) async fn apply(handle: Handle, file: &PlanFile) -> Answer {
    let Some(plan) = file.plan_in(handle.mothership_id()) else {
        return Answer::Refused("of another lineage".into());
    };
    let manifest = Arc::new(file.manifest.clone());
    let environment = handle.environment(&manifest);
    match handle.apply(Desired { manifest, environment }, plan).await {
        Ok(generation) => Answer::Applied { generation },
        Err(ApplyRefusal::Failed(why)) => Answer::Failed(why),
        Err(refusal) => Answer::Refused(refusal.to_string()),
    }
}

/// As `POST /api/v1/rollback` does it.
pub(super) async fn roll_back(handle: Handle, rank: usize, is_late: impl Fn() -> bool) -> Answer {
    let (store, scope) = (handle.store(), handle.scope());
    if !matches!(&*handle.role().borrow(), Role::Leading { .. }) {
        return Answer::Refused("it does not lead".into());
    }
    let failed = |error: flash_mothership::store::Error| Answer::Refused(error.to_string());
    let read = async {
        let generations = store.generations(scope).await?;
        let earlier: Vec<_> = generations.iter().skip(1).collect();
        if earlier.is_empty() {
            return Ok(None);
        }
        let named = earlier[rank % earlier.len()].number;
        let stored = store.generation(scope, named).await?;
        Ok(stored.zip(store.manifest(scope).await?))
    };
    let (stored, applied) = match read.await {
        Ok(Some(both)) => both,
        Ok(None) => return Answer::Refused("there is none".into()),
        Err(error) => return failed(error),
    };
    if stored.manifest == applied.manifest || is_late() {
        return Answer::Refused("it is what is applied now".into());
    }
    let environment = handle.environment(&stored.manifest);
    handle.set_desired(Desired { manifest: Arc::clone(&stored.manifest), environment });
    for _ in 0..LOOKS_MAX {
        if let Ok(Some(now)) = store.manifest(scope).await
            && now.generation > applied.generation
        {
            return match now.manifest == stored.manifest {
                true => Answer::RolledBack { named: stored.generation, generation: now.generation },
                false => Answer::Failed("superseded".into()),
            };
        }
        sleep(LOOK_PAUSE).await;
    }
    Answer::Failed("not written down".into())
}

/// The lines that a mothership tells when it begins the plan.
fn lines(plan: &Plan) -> BTreeSet<String> {
    let mut by_resource: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for step in plan.changes() {
        let is_removal = matches!(step.action, Action::Delete | Action::Forget);
        by_resource.entry((is_removal, &step.resource)).or_default().push(step.to_string());
    }
    by_resource.into_values().map(|steps| steps.join("; ")).collect()
}

impl Realm {
    /// A manifest was stored as `generation`. The state still shows what was there before.
    pub(super) fn check_stored(&mut self, generation: u64, manifest: &Arc<Manifest>, arrival: Arrival) {
        let last = self.generations.last_key_value().map(|(number, _)| *number).unwrap_or(0);
        let known = self.generations.get(&generation).map(|known| known == manifest);
        if known == Some(false) || (known.is_none() && generation != last + 1) {
            self.violated(Invariant::RollsBack, || format!("generation {generation} comes after {last}"));
        }
        self.generations.insert(generation, Arc::clone(manifest));
        let Some(number) = number(manifest) else { return };
        let (serial, basis) = (self.state.serial, basis(&self.state));
        let asked = &mut self.asked[number];
        let is_first = !std::mem::replace(&mut asked.is_stored, true);
        let (answer, has_moved) = (asked.answer.clone(), asked.basis != basis);
        let Wanted::Plan(file) = &asked.wanted else { return };
        let planned = file.plan.state_serial;
        if let Some(Answer::Refused(why)) = answer {
            self.violated(Invariant::Exact, || {
                format!("plan {number} was refused ({why}), and is generation {generation}")
            });
        }
        if is_first && !arrival.is_late && !arrival.is_repeat && has_moved {
            self.violated(Invariant::Exact, || {
                format!("plan {number} of serial {planned} is applied at serial {serial}")
            });
        }
    }

    /// What a mothership begins when it has stored the manifest of a plan is in the plan.
    pub(super) fn check_begun(&mut self, life: Life, events: &[Event]) {
        for number in 0..self.asked.len() {
            let asked = &mut self.asked[number];
            if !asked.is_stored || asked.is_begun || asked.life != Some(life) {
                continue;
            }
            // What is begun after another manifest was stored is that one's.
            if self.wanted.as_ref().is_none_or(|wanted| wanted.generated_at != mark(number)) {
                asked.is_begun = true;
                continue;
            }
            let Wanted::Plan(file) = &asked.wanted else { continue };
            let mut other = None;
            for event in events {
                match event {
                    Event::Step { line, .. } if !lines(&file.plan).contains(line) => {
                        other = Some(line.clone());
                    }
                    Event::Round { .. } | Event::Trouble { .. } => {
                        asked.is_begun = true;
                        break;
                    }
                    Event::Step { .. } | Event::Status { .. } => {}
                }
            }
            if let Some(line) = other {
                self.violated(Invariant::Exact, || format!("under plan {number} there is begun: {line}"));
            }
        }
    }

    /// Whoever asked has the answer. Gives back what is wanted from now on, if that is another.
    pub(super) fn check_answer(&mut self, number: usize, answer: Answer) -> Option<Arc<Manifest>> {
        self.note(|| format!("  what was asked for as {number}: {answer:?}"));
        let asked = &mut self.asked[number];
        asked.answer = Some(answer.clone());
        let (is_stored, before) = (asked.is_stored, asked.generations_before);
        match answer {
            Answer::Applied { generation } => {
                let manifest = self.generations.get(&generation).cloned();
                let is_it = manifest.as_ref().is_some_and(|stored| stored.generated_at == mark(number));
                if !is_it {
                    self.violated(Invariant::Exact, || {
                        format!("plan {number} is said to be generation {generation}, which is another")
                    });
                }
                manifest
            }
            Answer::RolledBack { named, generation } => {
                let now = self.generations.get(&generation).cloned();
                if generation <= before || now.as_ref() != self.generations.get(&named) {
                    self.violated(Invariant::RollsBack, || {
                        format!("{named} came back as {generation}, which is old or another")
                    });
                }
                now
            }
            Answer::Refused(why) => {
                if is_stored {
                    self.violated(Invariant::Exact, || {
                        format!("plan {number} is refused ({why}), and was applied")
                    });
                }
                None
            }
            Answer::Failed(_) => None,
        }
    }
}
