//! A few connections, made when needed and kept while they are good.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row, Statement};

use super::Error;

const CONNECTIONS_MAX: usize = 8;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A peer that vanished is noticed after this long.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);
/// For one call, waiting for a connection included.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// A mothership that is stopped in the middle of a transaction must not keep the scope locked until its lease has
/// ended: the server ends the transaction much sooner.
const SESSION: &str = "SET idle_in_transaction_session_timeout = '3s';
    SET statement_timeout = '10s';
    SET lock_timeout = '10s'";

#[derive(Debug)]
pub(super) struct Pool {
    config: Config,
    idle: Mutex<Vec<Session>>,
    permits: Semaphore,
}

/// One connection and the statements that are prepared on it.
#[derive(Debug)]
struct Session {
    client: Client,
    statements: HashMap<&'static str, Statement>,
}

/// A connection for one call. Dropped without being given back, because the call failed or nobody waits for it any more,
/// it is closed, and the server undoes what was not committed.
#[derive(Debug)]
pub(super) struct Lent<'a> {
    pool: &'a Pool,
    session: Session,
    permit: SemaphorePermit<'a>,
}

pub(super) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Pool {
    /// `url` is a connection string or URL as PostgreSQL's own tools take it.
    pub(super) fn new(url: &str) -> Result<Self, Error> {
        // The driver knows no other modes with TLS, and would call these invalid.
        if url.contains("sslmode=verify") {
            return Err(Error::Tls);
        }
        let mut config: Config = url.parse().map_err(Error::Url)?;
        if config.get_ssl_mode() == SslMode::Require {
            return Err(Error::Tls);
        }
        config.ssl_mode(SslMode::Disable).connect_timeout(CONNECT_TIMEOUT).tcp_user_timeout(TCP_USER_TIMEOUT);
        if config.get_application_name().is_none() {
            config.application_name("flash");
        }
        Ok(Self { config, idle: Mutex::default(), permits: Semaphore::new(CONNECTIONS_MAX) })
    }

    /// Runs one call of the store within its time.
    pub(super) async fn call<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        timeout(CALL_TIMEOUT, call).await.unwrap_or(Err(Error::Timeout { waited: CALL_TIMEOUT }))
    }

    pub(super) async fn lend(&self) -> Result<Lent<'_>, Error> {
        let (session, permit) = self.session().await?;
        Ok(Lent { pool: self, session, permit })
    }

    async fn session(&self) -> Result<(Session, SemaphorePermit<'_>), Error> {
        let permit = self.permits.acquire().await.map_err(|_| Error::Timeout { waited: Duration::ZERO })?;
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match idle {
                Some(session) if session.client.is_closed() => {}
                Some(session) => return Ok((session, permit)),
                None => break,
            }
        }
        let (client, connection) = self.config.connect(NoTls).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "database connection ended");
            }
        });
        client.batch_execute(SESSION).await?;
        Ok((Session { client, statements: HashMap::new() }, permit))
    }
}

impl Lent<'_> {
    pub(super) async fn batch(&self, statements: &str) -> Result<(), Error> {
        Ok(self.session.client.batch_execute(statements).await?)
    }

    pub(super) async fn rows(
        &mut self,
        sql: &'static str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, Error> {
        let statement = self.session.statement(sql).await?;
        Ok(self.session.client.query(&statement, parameters).await?)
    }

    pub(super) async fn row(
        &mut self,
        sql: &'static str,
        parameters: Parameters<'_>,
    ) -> Result<Option<Row>, Error> {
        let statement = self.session.statement(sql).await?;
        Ok(self.session.client.query_opt(&statement, parameters).await?)
    }

    /// Gives back how many rows were written.
    pub(super) async fn execute(
        &mut self,
        sql: &'static str,
        parameters: Parameters<'_>,
    ) -> Result<u64, Error> {
        let statement = self.session.statement(sql).await?;
        Ok(self.session.client.execute(&statement, parameters).await?)
    }

    /// For the next call. Nothing may be open on it.
    pub(super) fn give_back(self) {
        let Self { pool, session, permit } = self;
        pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        drop(permit);
    }
}

impl Session {
    async fn statement(&mut self, sql: &'static str) -> Result<Statement, Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }
}
