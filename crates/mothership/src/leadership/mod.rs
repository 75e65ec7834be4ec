//! Who acts: one mothership of an app+environment leads, the others follow and wait for its lease to end.
//!
//! A leader runs the reconcile loop and renews its lease beside it. When the lease is lost, by a refusal of the store, by
//! our own clock, or because a write was refused as coming from an earlier lease, the loop is dropped where it stands,
//! which is what a crash would do: the next leader's first round recovers from it. A follower serves what the leader
//! writes. Within one process either may become the other any number of times.

mod follow;
mod journal;
mod term;

use std::sync::Arc;
use std::time::Duration;

use flash_model::{EventKind, Lease, LeaseRefusal, LeaseRequest, MothershipId, ObservedPhase, Secret};
use flash_providers::Mandate;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use self::follow::Follower;
use self::journal::JournalTask;
use crate::discovery::Discovery;
use crate::metrics::Metrics;
use crate::reconcile::{Caller, Driver, Event, Ledger, Recorder, Wishes};
use crate::service::Ending;
use crate::settings::ReconcileSettings;
use crate::store;

pub(crate) use journal::Journal;
pub(crate) use term::Term;

/// For steps under way when the mothership is asked to stop.
const FINISH_TIMEOUT: Duration = Duration::from_secs(30);
/// For one endpoint to be stopped, when all are. What did not answer by then is found again by whoever leads next.
const SUSPEND_TIMEOUT: Duration = Duration::from_secs(30);
/// For giving the lease back. If it fails, the next leader waits for the lease to expire.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// What this mothership is at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Has not heard from the store yet.
    Starting,
    Leading {
        fence: u64,
    },
    /// Somebody else leads, or did until a moment ago.
    Following {
        leader: Option<Box<Lease>>,
    },
}

/// Everything a mothership acts with.
#[derive(Debug)]
pub(crate) struct Leadership {
    pub(crate) settings: ReconcileSettings,
    pub(crate) mothership_id: MothershipId,
    pub(crate) mothership_url: String,
    pub(crate) token: Secret,
    pub(crate) discovery: Discovery,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) wishes: Wishes,
    pub(crate) again: watch::Receiver<u64>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) role: watch::Sender<Role>,
    pub(crate) stop: watch::Receiver<Ending>,
}

/// How leading came to an end.
enum End {
    Lost,
    /// Asked to stop, or nobody is left who could want anything.
    Stopped(Result<(), flash_providers::Error>),
}

impl Leadership {
    /// Runs until it is asked to stop. A leader that is stopped suspends its endpoints first.
    pub(crate) async fn run(mut self) -> Result<(), flash_providers::Error> {
        let journaling = JournalTask::start(
            Arc::clone(&self.settings.store),
            self.settings.scope.clone(),
            self.settings.lease.holder.clone(),
        );
        let mut follower = Follower::new(
            Arc::clone(&self.settings.store),
            self.settings.scope.clone(),
            self.discovery.clone(),
        );
        let caller = Caller::new(Arc::clone(&self.settings.provider), Arc::clone(&self.metrics));
        let mut troubled = false;
        let result = loop {
            if self.is_over() {
                break Ok(());
            }
            // What comes from here on is a new wish.
            self.wishes.listen();
            let asked_at = Instant::now();
            let acquired = tokio::select! {
                biased;
                acquired = self.acquire() => acquired,
                // A store that does not answer does not keep us from stopping.
                () = async { self.over().await; tokio::time::sleep(RELEASE_TIMEOUT).await } => continue,
            };
            match acquired {
                Ok(lease) => {
                    troubled = false;
                    match self.lead(lease, asked_at, &caller, journaling.journal()).await {
                        End::Stopped(result) => break result,
                        End::Lost => follower.forget(),
                    }
                }
                Err(store::Error::Lease(LeaseRefusal::Held { lease, .. })) => {
                    troubled = false;
                    self.role.send_replace(Role::Following { leader: Some(lease) });
                    self.overhear().await;
                }
                Err(error) => {
                    self.role.send_replace(Role::Following { leader: None });
                    if !std::mem::replace(&mut troubled, true) {
                        let message =
                            format!("the lease cannot be asked for: {}", crate::reconcile::chain(&error));
                        let _ = self.events.send(Event::Trouble { message });
                    }
                }
            }
            tokio::select! {
                biased;
                () = follower.run(self.settings.lease.term) => {}
                () = self.over() => {}
                () = self.wished() => {}
            }
        };
        self.wishes.close();
        journaling.finish().await;
        result
    }

    async fn acquire(&self) -> Result<Lease, store::Error> {
        let request = LeaseRequest::Acquire {
            holder: self.settings.lease.holder.clone(),
            purpose: self.settings.lease.purpose.clone(),
            seat: self.settings.lease.seat.clone(),
            term_ms: u64::try_from(self.settings.lease.term.as_millis()).unwrap_or(u64::MAX),
        };
        // An answer that comes later than the lease it tells of is worth nothing.
        let answer =
            timeout(self.settings.lease.term, self.settings.store.lease(&self.settings.scope, request)).await;
        let lost = || store::Error::Lease(LeaseRefusal::Lost { fence: 0 });
        answer.unwrap_or_else(|_| Err(lost()))?.ok_or_else(lost)
    }

    /// A wish that comes while somebody else leads is compared with what they apply later.
    async fn overhear(&mut self) {
        if let Ok(generations) = self.settings.store.generations(&self.settings.scope).await {
            self.wishes.overhear(generations.first().map_or(0, |last| last.number));
        }
    }

    /// Ends when there is a new wish; never, if there is nobody left to have one.
    async fn wished(&self) {
        if self.wishes.subscribe().changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn lead(&mut self, lease: Lease, asked_at: Instant, caller: &Caller, journal: Journal) -> End {
        let term = Term::begin(&self.settings.store, &self.settings.scope, &lease, asked_at);
        journal.note(EventKind::LeaseAcquired, None, format!("{}, fence {}", lease.purpose, lease.fence));
        self.role.send_replace(Role::Leading { fence: lease.fence });
        let mandate = Mandate { mothership_id: self.mothership_id.clone(), fence: lease.fence };
        let driver = self.driver(&term, &mandate, &journal);
        let end = tokio::select! {
            biased;
            () = term.lost() => End::Lost,
            () = driver.run(caller.clone(), &mut self.wishes) => End::Stopped(Ok(())),
            () = finished_waiting(self.stop.clone()) => End::Stopped(Ok(())),
        };
        let end = match end {
            End::Stopped(_) if *self.stop.borrow() == Ending::Suspend => tokio::select! {
                biased;
                () = term.lost() => End::Lost,
                result = self.suspend_all(caller, &mandate) => End::Stopped(result),
            },
            end => end,
        };
        match &end {
            End::Lost => {
                self.role.send_replace(Role::Following { leader: None });
                journal.note(EventKind::LeaseLost, None, format!("fence {}", lease.fence));
                let message = format!("lost the lease with fence {}; not acting any more", lease.fence);
                tracing::warn!(fence = lease.fence, "lost the lease");
                let _ = self.events.send(Event::Trouble { message });
            }
            End::Stopped(_) => {
                let request = LeaseRequest::Release { holder: lease.holder, fence: lease.fence };
                match timeout(RELEASE_TIMEOUT, self.settings.store.lease(&self.settings.scope, request)).await
                {
                    Ok(Ok(_)) => {
                        journal.note(EventKind::LeaseReleased, None, format!("fence {}", lease.fence));
                    }
                    failed => tracing::debug!(?failed, "lease not given back"),
                }
            }
        }
        end
    }

    fn driver(&self, term: &Term, mandate: &Mandate, journal: &Journal) -> Driver {
        Driver {
            recorder: Recorder {
                store: Arc::clone(&self.settings.store),
                scope: self.settings.scope.clone(),
                discovery: self.discovery.clone(),
                events: self.events.clone(),
                journal: journal.clone(),
                term: term.clone(),
                clock: Arc::clone(&self.settings.clock),
                ledger: Ledger::default(),
            },
            mandate: mandate.clone(),
            mothership_url: self.mothership_url.clone(),
            again: self.again.clone(),
            metrics: Arc::clone(&self.metrics),
            token: self.token.clone(),
            settings: self.settings.clone(),
            stop: self.stop.clone(),
        }
    }

    /// Stops every endpoint without forgetting it: the next leader finds the same ids and queues.
    async fn suspend_all(&self, caller: &Caller, mandate: &Mandate) -> Result<(), flash_providers::Error> {
        let no_answer = |_| flash_providers::Error::NoAnswer { waited: SUSPEND_TIMEOUT };
        let listed =
            timeout(SUSPEND_TIMEOUT, caller.call(self.settings.provider.inventory(&self.settings.scope)));
        let inventory = listed.await.map_err(no_answer)??;
        let mut suspensions = JoinSet::new();
        for endpoint in
            inventory.endpoints.into_iter().filter(|endpoint| endpoint.phase != ObservedPhase::Stopped)
        {
            let (caller, mandate) = (caller.clone(), mandate.clone());
            suspensions.spawn(async move {
                let suspended = async {
                    let suspended = caller.provider.suspend(&endpoint.endpoint_id, &mandate);
                    timeout(SUSPEND_TIMEOUT, suspended).await.unwrap_or_else(|late| Err(no_answer(late)))
                };
                caller.call_beside(suspended).await
            });
        }
        suspensions.join_all().await.into_iter().collect()
    }

    fn is_over(&self) -> bool {
        *self.stop.borrow() != Ending::None || self.wishes.is_over()
    }

    async fn over(&self) {
        let mut stop = self.stop.clone();
        let mut wishes = self.wishes.subscribe();
        tokio::select! {
            biased;
            _ = stop.wait_for(|ending| *ending != Ending::None) => {}
            () = async { while wishes.changed().await.is_ok() {} } => {}
        }
    }
}

/// Ends when steps under way have had their time to finish.
async fn finished_waiting(mut stop: watch::Receiver<Ending>) {
    let _ = stop.wait_for(|ending| *ending != Ending::None).await;
    tokio::time::sleep(FINISH_TIMEOUT).await;
}
