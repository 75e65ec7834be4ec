//! What a person sees while a project runs: the table once everything has settled, then a short log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flash_model::{Resource, ResourceStatus};
use flash_mothership::{Event, Handle, Role, Served};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::super::mothership::described;
use crate::printer::Printer;
use crate::view;

/// The table is shown after this long even if something is still on its way.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) struct Watch {
    handle: Handle,
    events: broadcast::Receiver<Event>,
    printer: Printer,
    started: Instant,
    /// As it was last heard of.
    role: Role,
}

impl Watch {
    /// Must be made before the desired state is set, so that no event is missed.
    pub(super) fn new(handle: Handle, printer: Printer, started: Instant) -> Self {
        Self { events: handle.events(), handle, printer, started, role: Role::Starting }
    }

    /// Ends only if the mothership does.
    pub(super) async fn run(mut self) {
        let mut served = self.handle.subscribe();
        let settled = async move {
            let wait = served.wait_for(|served| is_settled(served));
            let _ = tokio::time::timeout(SETTLE_TIMEOUT, wait).await;
        };
        tokio::pin!(settled);
        let mut role = self.handle.role();
        role.mark_changed();
        let mut shown = false;
        loop {
            tokio::select! {
                biased;
                changed = role.changed() => match changed {
                    Ok(()) => self.tell(role.borrow_and_update().clone()),
                    Err(_) => return,
                },
                event = self.events.recv() => match event {
                    Ok(event) => self.log(&event),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
                () = &mut settled, if !shown => {
                    shown = true;
                    self.show();
                }
            }
        }
    }

    fn show(&self) {
        let served: Arc<Served> = self.handle.served();
        let url = self.handle.url();
        self.printer.data("");
        let manifest = served.manifest();
        self.printer.data(view::resources::table(&manifest, url));
        self.printer.data("");
        for line in view::curl::lines(&manifest, url) {
            self.printer.data(line);
        }
        self.printer.data("");
        let resources = &manifest.resources;
        let is_ready = |resource: &&Resource| resource.provisioned.status == Some(ResourceStatus::Ready);
        let (ready, all) = (resources.values().filter(is_ready).count(), resources.len());
        let seconds = self.started.elapsed().as_secs_f64();
        if ready == all {
            self.printer.notice(format_args!("ready in {seconds:.1} s; Ctrl+C stops"));
        } else {
            let missing = all - ready;
            self.printer
                .notice(format_args!("{missing} of {all} not ready after {seconds:.1} s; Ctrl+C stops"));
        }
    }

    /// That it leads goes without saying, unless it has not.
    fn tell(&mut self, role: Role) {
        let is_news = match (&self.role, &role) {
            (Role::Starting, Role::Leading { .. }) => false,
            (_, Role::Starting | Role::Following { leader: None }) => false,
            (Role::Following { leader: Some(before) }, Role::Following { leader: Some(now) }) => {
                before.holder != now.holder
            }
            (before, now) => before != now,
        };
        if is_news {
            self.say(&view::role::line(&role));
        }
        self.role = role;
    }

    fn log(&self, event: &Event) {
        if let Some(line) = described(event) {
            self.say(&line);
        }
    }

    fn say(&self, line: &str) {
        self.printer.notice(format_args!("{:8.2}s  {line}", self.started.elapsed().as_secs_f64()));
    }
}

fn is_settled(served: &Served) -> bool {
    let settled = |status| {
        matches!(status, Some(ResourceStatus::Ready | ResourceStatus::Failed | ResourceStatus::Degraded))
    };
    let mut statuses = served.all_provisioned().map(|(_, provisioned)| provisioned.status);
    served.all_provisioned().len() > 0 && statuses.all(settled)
}
