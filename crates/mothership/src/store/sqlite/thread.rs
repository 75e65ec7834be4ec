//! A thread beside the async ones that owns a connection and does what waits for it.
//!
//! The writer commits everything that waits together: a thousand writes at once cost one sync of the disk, not a
//! thousand. A caller that is gone does not stop what it has asked for. The thread ends with the last handle.

use std::thread;

use flash_model::Scope;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::database::{Database, Operation};
use super::scoped::Scoped;
use crate::store::{Clock, Error};

const QUEUED_MAX: usize = 4096;
/// Writes in one transaction. More would keep other processes waiting, and gain nothing.
const GROUP_MAX: usize = 1024;

type Read = Box<dyn FnOnce(&mut Database) + Send>;

#[derive(Debug, Clone)]
pub(super) struct Writer(mpsc::Sender<Box<dyn Queued>>);

#[derive(Debug, Clone)]
pub(super) struct Reader(mpsc::Sender<Read>);

trait Queued: Operation + Send {
    /// Tells the caller. `committed` is the same for all of the group.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

struct Write<T, W> {
    scope: Scope,
    work: Option<W>,
    result: Option<Result<T, Error>>,
    answer: oneshot::Sender<Result<T, Error>>,
}

impl<T, W> Operation for Write<T, W>
where
    W: FnOnce(&Scoped<'_>) -> Result<T, Error>,
{
    fn run(&mut self, connection: &Connection, clock: &dyn Clock) -> bool {
        let Some(work) = self.work.take() else { return false };
        let scoped = Scoped::to_write(connection, &self.scope, clock.now_ms());
        let result = scoped.and_then(|scoped| work(&scoped));
        self.result.insert(result).is_ok()
    }
}

impl<T: Send, W> Queued for Write<T, W>
where
    W: FnOnce(&Scoped<'_>) -> Result<T, Error> + Send,
{
    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        // A failed commit also takes back what an operation's refusal was based on.
        let Self { result, answer, .. } = *self;
        let result = committed.and_then(|()| result.unwrap_or(Err(Error::Ended)));
        // Nobody may be waiting any more.
        let _ = answer.send(result);
    }
}

impl Writer {
    pub(super) fn start(database: Database) -> Result<Self, Error> {
        let (queue, queued) = mpsc::channel(QUEUED_MAX);
        spawn("flash-state-writer", move || write_groups(database, queued))?;
        Ok(Self(queue))
    }

    pub(super) async fn call<T: Send + 'static>(
        &self,
        scope: Scope,
        work: impl FnOnce(&Scoped<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        let write = Write { scope, work: Some(work), result: None, answer };
        self.0.send(Box::new(write)).await.map_err(|_| Error::Ended)?;
        answered.await.map_err(|_| Error::Ended)?
    }
}

impl Reader {
    pub(super) fn start(mut database: Database) -> Result<Self, Error> {
        let (queue, mut queued) = mpsc::channel::<Read>(QUEUED_MAX);
        spawn("flash-state-reader", move || {
            while let Some(read) = queued.blocking_recv() {
                read(&mut database);
            }
        })?;
        Ok(Self(queue))
    }

    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &dyn Clock) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        let read: Read = Box::new(move |database| {
            // A read that nobody waits for any more is not made.
            if !answer.is_closed() {
                let _ = answer.send(database.read(work));
            }
        });
        self.0.send(read).await.map_err(|_| Error::Ended)?;
        answered.await.map_err(|_| Error::Ended)?
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop).map_err(Error::Thread)
}

fn write_groups(mut database: Database, mut queued: mpsc::Receiver<Box<dyn Queued>>) {
    let mut group = Vec::new();
    while queued.blocking_recv_many(&mut group, GROUP_MAX) > 0 {
        write_group(&mut database, group.drain(..));
    }
}

fn write_group(database: &mut Database, group: impl Iterator<Item = Box<dyn Queued>>) {
    let mut group: Vec<_> = group.collect();
    let operations = group.iter_mut().map(|queued| &mut **queued as &mut (dyn Operation + Send));
    let committed = database.write_together(operations);
    for queued in group {
        queued.answer(committed.as_ref().copied().map_err(again));
    }
}

/// The same error for another caller.
fn again(error: &Error) -> Error {
    match error {
        Error::Sqlite(rusqlite::Error::SqliteFailure(code, text)) => {
            Error::Sqlite(rusqlite::Error::SqliteFailure(*code, text.clone()))
        }
        other => Error::Sqlite(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR),
            Some(other.to_string()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flash_model::{HolderId, LeaseRequest, ResourceRecord};
    use flash_testkit::{name, scope};

    use super::*;
    use crate::store::ManualClock;

    const FENCE: u64 = 1;

    fn led(mut database: Database) -> Database {
        let request = LeaseRequest::Acquire {
            holder: HolderId::new("a").unwrap(),
            purpose: "a test".into(),
            seat: None,
            term_ms: 60_000,
        };
        let lease = database.write(&scope(), |scoped| scoped.lease(&request)).unwrap().unwrap();
        assert_eq!(lease.unwrap().fence, FENCE);
        database
    }

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::at(1_000))
    }

    type Answered = oneshot::Receiver<Result<u64, Error>>;

    fn queued(
        work: impl FnOnce(&Scoped<'_>) -> Result<u64, Error> + Send + 'static,
    ) -> (Box<dyn Queued>, Answered) {
        let (answer, answered) = oneshot::channel();
        (Box::new(Write { scope: scope(), work: Some(work), result: None, answer }), answered)
    }

    fn put(resource: &'static str, fence: u64, expected: u64) -> (Box<dyn Queued>, Answered) {
        queued(move |scoped| {
            let record = ResourceRecord::new(name(resource), "sim");
            scoped.put(fence, record, expected).map(|record| record.version)
        })
    }

    #[test]
    fn one_that_fails_takes_back_only_what_it_wrote_itself() {
        let mut database = led(Database::in_memory(clock()).unwrap());
        let half_done = queued(|scoped| {
            scoped.put(FENCE, ResourceRecord::new(name("half"), "sim"), 0)?;
            scoped.put(FENCE, ResourceRecord::new(name("half"), "sim"), 0).map(|record| record.version)
        });
        let calls =
            [put("a", FENCE, 0), put("b", FENCE + 1, 0), half_done, put("a", FENCE, 1), put("c", FENCE, 3)];
        let (group, answers): (Vec<_>, Vec<_>) = calls.into_iter().unzip();
        write_group(&mut database, group.into_iter());
        let answers: Vec<_> = answers.into_iter().map(|mut answer| answer.try_recv().unwrap()).collect();
        assert!(
            matches!(
                &answers[..],
                [
                    Ok(1),
                    Err(Error::Fenced { .. }),
                    Err(Error::Conflict { actual: 2, .. }),
                    Ok(2),
                    Err(Error::Conflict { actual: 0, .. }),
                ]
            ),
            "{answers:?}"
        );
        let snapshot =
            database.read(|connection, _| Scoped::to_read(connection, &scope(), 0).snapshot()).unwrap();
        assert_eq!(snapshot.records.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["a"]);
        assert_eq!(snapshot.serial, 2);
    }

    #[test]
    fn a_group_that_cannot_be_committed_fails_for_everyone_and_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.sqlite");
        let mut database = led(Database::open(&path, clock()).unwrap());
        // Room for what is there and hardly more: the disk is full somewhere within the group.
        let pages: i64 = database.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        let _: i64 = database
            .connection
            .query_row(&format!("PRAGMA max_page_count = {}", pages + 1), [], |row| row.get(0))
            .unwrap();
        let big = |resource: &'static str| {
            queued(move |scoped| {
                let reason = Some("x".repeat(20_000));
                let record =
                    ResourceRecord { status_reason: reason, ..ResourceRecord::new(name(resource), "sim") };
                scoped.put(FENCE, record, 0).map(|record| record.version)
            })
        };
        let (group, answers): (Vec<_>, Vec<_>) =
            [put("a", FENCE, 0), big("b"), big("c"), put("d", FENCE, 0)].into_iter().unzip();
        write_group(&mut database, group.into_iter());
        let answers: Vec<_> = answers.into_iter().map(|mut answer| answer.try_recv().unwrap()).collect();
        let stored = Database::open(&path, clock())
            .unwrap()
            .read(|connection, _| Scoped::to_read(connection, &scope(), 0).snapshot())
            .unwrap();
        let answered = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(stored.records.len(), answered, "{answers:?}");
        assert!(answers[1].is_err(), "{answers:?}");
    }

    #[test]
    fn a_caller_that_is_gone_does_not_stop_the_write() {
        let mut database = led(Database::in_memory(clock()).unwrap());
        let (write, answered) = put("a", FENCE, 0);
        drop(answered);
        write_group(&mut database, std::iter::once(write));
        let snapshot =
            database.read(|connection, _| Scoped::to_read(connection, &scope(), 0).snapshot()).unwrap();
        assert_eq!(snapshot.records.len(), 1);
    }
}
