//! The store in PostgreSQL, on a private server.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::Poll;

use flash_model::Retry;
use flash_mothership::store::{Error, PostgresStore};
use flash_testkit::postgres::Server;
use flash_testkit::scope;

use crate::store::Fixture;

/// Shared by the tests that run at the same time; stopped by the last of them.
static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
static DATABASES: AtomicU32 = AtomicU32::new(0);

fn shared() -> Arc<Server> {
    let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let server = Arc::new(Server::start());
        *shared = Arc::downgrade(&server);
        server
    })
}

/// A database of its own for every test.
async fn database(server: &Server) -> String {
    let name = format!("t{}", DATABASES.fetch_add(1, Ordering::SeqCst));
    let (client, connection) =
        tokio_postgres::connect(&server.url("postgres"), tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
    server.url(&name)
}

pub(crate) struct Running {
    _server: Arc<Server>,
    pub(crate) fixture: Fixture,
}

pub(crate) async fn running() -> Running {
    let server = tokio::task::spawn_blocking(shared).await.unwrap();
    let store = PostgresStore::connect(&database(&server).await).await.unwrap();
    Running { _server: server, fixture: Fixture { store: Arc::new(store), clock: None } }
}

#[tokio::test]
async fn it_reconnects_when_the_server_was_away() {
    let mut server = tokio::task::spawn_blocking(Server::start).await.unwrap();
    let store = PostgresStore::connect(&database(&server).await).await.unwrap();
    let fixture = Fixture { store: Arc::new(store), clock: None };
    let before = fixture.acquire("a").await.unwrap();
    server.stop();
    let error = fixture.store.pulse(&scope()).await.unwrap_err();
    assert_eq!(error.retry(), Retry::Backoff, "{error:?}");
    server.launch();
    let again = loop {
        // The first call may still meet a connection that was good.
        match fixture.store.pulse(&scope()).await {
            Ok(pulse) => break pulse,
            Err(error) => assert_eq!(error.retry(), Retry::Backoff, "{error:?}"),
        }
    };
    assert_eq!(again.lease, Some(before));
}

#[tokio::test]
async fn one_that_is_stopped_inside_a_transaction_does_not_keep_others_out() {
    let server = tokio::task::spawn_blocking(shared).await.unwrap();
    let url = database(&server).await;
    let mut fixtures = Vec::new();
    for _ in 0..2 {
        let store = PostgresStore::connect(&url).await.unwrap();
        fixtures.push(Fixture { store: Arc::new(store), clock: None });
    }
    fixtures[0].acquire_for("a", 1).await.unwrap();
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let free = "SELECT 1 FROM flash_scopes FOR UPDATE SKIP LOCKED";

    // Goes on step by step until it holds the row, and then no further.
    let stopped = fixtures[0].acquire("a");
    tokio::pin!(stopped);
    while !client.query(free, &[]).await.unwrap().is_empty() {
        let step = std::future::poll_fn(|context| Poll::Ready(stopped.as_mut().poll(context))).await;
        assert!(step.is_pending(), "it was through before it could be stopped: {step:?}");
    }
    let lease = fixtures[1].acquire("b").await.unwrap();
    assert_eq!(lease.fence, 2);
    let woken = stopped.await.unwrap_err();
    assert_eq!(woken.retry(), Retry::Backoff, "{woken:?}");
}

#[tokio::test]
async fn motherships_that_start_at_once_make_the_tables_once() {
    let server = tokio::task::spawn_blocking(shared).await.unwrap();
    let url = database(&server).await;
    let starts: Vec<_> = (0..5)
        .map(|_| {
            tokio::spawn({
                let url = url.clone();
                async move { PostgresStore::connect(&url).await }
            })
        })
        .collect();
    for start in starts {
        start.await.unwrap().unwrap();
    }
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("UPDATE flash_schema SET version = 99").await.unwrap();
    let refused = PostgresStore::connect(&url).await;
    assert!(matches!(refused, Err(Error::Schema { found: 99, known: 2 })), "{refused:?}");
}

#[tokio::test]
async fn urls_that_ask_for_tls_or_make_no_sense_are_refused_with_a_reason() {
    for mode in ["require", "verify-full", "verify-ca"] {
        let refused = PostgresStore::connect(&format!("postgresql://u@localhost/d?sslmode={mode}")).await;
        let Err(error @ Error::Tls) = refused else { panic!("{refused:?}") };
        assert!(error.to_string().contains("sslmode=disable") && error.retry() == Retry::Never);
    }
    let refused = PostgresStore::connect("postgresql://u@localhost/d?colour=red").await;
    assert!(matches!(refused, Err(Error::Url(_))), "{refused:?}");
    let missing = Path::new("/nonexistent").display().to_string();
    let away = PostgresStore::connect(&format!("host={missing} user=u dbname=d")).await.unwrap_err();
    assert_eq!(away.retry(), Retry::Backoff, "{away:?}");
}
