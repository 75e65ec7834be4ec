//! The store of motherships on several machines: one PostgreSQL database.
//!
//! Every write locks its scope's row, checks the lease against the database's own clock, and goes on from there, so
//! writers of one scope take turns and writers of different ones do not meet. What a call has answered is committed, and
//! survives what the server's `synchronous_commit` makes it survive (as it comes, the loss of power).
//!
//! Connections are plain: a Unix socket, loopback or a private network. A database that insists on TLS is refused with
//! an error that says so.

mod migrate;
mod pool;

use std::sync::Arc;

use flash_model::{
    EVENTS_MAX, GENERATIONS_MAX, Generation, Happening, HolderId, Lease, LeaseRequest, LeaseState,
    LoggedEvent, Manifest, MothershipId, ResourceName, ResourceRecord, Scope, StateSnapshot, lease,
};
use tokio_postgres::Row;

use self::pool::{Lent, Parameters, Pool};
use super::{
    EVENTS_READ_MAX, Error, Pending, Pulse, Store, StoredManifest, admit, check_generation, check_version,
    integer, manifest_hash, natural, stored_scope,
};

/// Not `now()`, which is when the transaction began: it may have waited for the row since.
const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";

#[derive(Debug)]
pub struct PostgresStore {
    pool: Pool,
}

impl PostgresStore {
    /// `url` as PostgreSQL's own tools take it: `postgresql://flash@db/flash`, or `host=/run/postgresql dbname=flash`.
    /// Connects, and makes or migrates the tables (`flash_…`, in the first schema of the search path).
    pub async fn connect(url: &str) -> Result<Self, Error> {
        let pool = Pool::new(url)?;
        migrate::migrate(&pool).await?;
        Ok(Self { pool })
    }

    /// Begins a transaction that holds the scope's row, which is made if it is not there.
    async fn begin<'a>(&'a self, scope: &'a Scope) -> Result<Writing<'a>, Error> {
        let mut lent = self.pool.lend().await?;
        lent.batch("BEGIN").await?;
        let key = key(scope);
        let lock = "SELECT lease FROM flash_scopes WHERE app = $1 AND environment = $2 FOR UPDATE";
        let row = match lent.row(lock, &[&key.0, &key.1]).await? {
            Some(row) => row,
            None => {
                let make =
                    "INSERT INTO flash_scopes (app, environment) VALUES ($1, $2) ON CONFLICT DO NOTHING";
                lent.execute(make, &[&key.0, &key.1]).await?;
                let row = lent.row(lock, &[&key.0, &key.1]).await?;
                row.ok_or(Error::Vanished)?
            }
        };
        let lease = match row.try_get(0)? {
            Some(text) => lease_state(Some(text))?,
            None => {
                let removed = lent.row("SELECT fence FROM flash_removed", &[]).await?;
                let fence = removed.map(|row| row.try_get(0)).transpose()?.map_or(0, natural);
                LeaseState { fence, lease: None }
            }
        };
        let now_ms = clock(lent.row(CLOCK, &[]).await?)?;
        Ok(Writing { lent, scope, now_ms, lease })
    }

    async fn read(&self, sql: &'static str, parameters: Parameters<'_>) -> Result<Vec<Row>, Error> {
        self.pool
            .call(async {
                let mut lent = self.pool.lend().await?;
                let rows = lent.rows(sql, parameters).await?;
                lent.give_back();
                Ok(rows)
            })
            .await
    }
}

/// A write transaction on a scope whose row is ours. Dropped, it never happened.
struct Writing<'a> {
    lent: Lent<'a>,
    scope: &'a Scope,
    now_ms: u64,
    lease: LeaseState,
}

impl Writing<'_> {
    fn admit(&self, fence: u64) -> Result<HolderId, Error> {
        Ok(admit(&self.lease, fence, self.now_ms)?.holder.clone())
    }

    /// Moves the scope's serial on, as every write does.
    async fn touch(&mut self) -> Result<u64, Error> {
        let (app, environment) = key(self.scope);
        let touch = "UPDATE flash_scopes SET serial = serial + 1 WHERE app = $1 AND environment = $2
            RETURNING serial";
        let row = self.lent.row(touch, &[&app, &environment]).await?.ok_or(Error::Vanished)?;
        Ok(natural(row.try_get(0)?))
    }

    async fn version(&mut self, resource: &ResourceName) -> Result<u64, Error> {
        let (app, environment) = key(self.scope);
        let find = "SELECT version FROM flash_records WHERE app = $1 AND environment = $2 AND resource = $3";
        let row = self.lent.row(find, &[&app, &environment, &resource.as_str()]).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.map_or(0, natural))
    }

    async fn commit(self) -> Result<(), Error> {
        self.lent.batch("COMMIT").await?;
        self.lent.give_back();
        Ok(())
    }
}

impl Store for PostgresStore {
    fn scopes(&self) -> Pending<'_, Vec<Scope>> {
        Box::pin(async move {
            let read = "SELECT app, environment FROM flash_scopes s
                WHERE serial > 0 OR lineage IS NOT NULL OR lease IS NOT NULL
                    OR EXISTS (SELECT 1 FROM flash_events e
                               WHERE e.app = s.app AND e.environment = s.environment)
                ORDER BY app COLLATE \"C\", environment COLLATE \"C\"";
            let rows = self.read(read, &[]).await?;
            rows.iter().map(|row| stored_scope(row.try_get(0)?, row.try_get(1)?)).collect()
        })
    }

    fn remove_scope<'a>(&'a self, scope: &'a Scope, fence: u64) -> Pending<'a, ()> {
        Box::pin(self.pool.call(async move {
            let mut writing = self.begin(scope).await?;
            writing.admit(fence)?;
            let (app, environment) = key(scope);
            let count = "SELECT COUNT(*) FROM flash_records WHERE app = $1 AND environment = $2";
            let row = writing.lent.row(count, &[&app, &environment]).await?;
            let records = natural(row.ok_or(Error::Vanished)?.try_get(0)?);
            if records > 0 {
                return Err(Error::NotEmpty { scope: scope.clone(), records });
            }
            // Fences go on from here should the scope come back: whoever had one of its leases stays refused.
            let keep = "INSERT INTO flash_removed (fence) VALUES ($1)
                ON CONFLICT (only_row)
                DO UPDATE SET fence = GREATEST(flash_removed.fence, excluded.fence)";
            let last = integer(writing.lease.fence);
            writing.lent.execute(keep, &[&last]).await?;
            for forget in [
                "DELETE FROM flash_generations WHERE app = $1 AND environment = $2",
                "DELETE FROM flash_events WHERE app = $1 AND environment = $2",
                "DELETE FROM flash_scopes WHERE app = $1 AND environment = $2",
            ] {
                writing.lent.execute(forget, &[&app, &environment]).await?;
            }
            writing.commit().await
        }))
    }

    fn snapshot<'a>(&'a self, scope: &'a Scope) -> Pending<'a, StateSnapshot> {
        Box::pin(async move {
            let (app, environment) = key(scope);
            // One statement sees one moment.
            let read = "SELECT s.serial, s.lineage, r.body
                FROM flash_scopes s LEFT JOIN flash_records r USING (app, environment)
                WHERE app = $1 AND environment = $2";
            let mut snapshot = StateSnapshot::default();
            for row in self.read(read, &[&app, &environment]).await? {
                snapshot.serial = natural(row.try_get(0)?);
                let lineage: Option<String> = row.try_get(1)?;
                snapshot.lineage = lineage.and_then(|lineage| MothershipId::new(lineage).ok());
                let body: Option<String> = row.try_get(2)?;
                if let Some(body) = body {
                    let record: ResourceRecord = serde_json::from_str(&body)?;
                    snapshot.records.insert(record.resource.clone(), record);
                }
            }
            Ok(snapshot)
        })
    }

    fn put<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        mut record: ResourceRecord,
        expected: u64,
    ) -> Pending<'a, ResourceRecord> {
        Box::pin(self.pool.call(async move {
            let mut writing = self.begin(scope).await?;
            writing.admit(fence)?;
            let version = writing.version(&record.resource).await?;
            check_version(&record.resource, expected, version)?;
            record.version = writing.touch().await?;
            let (app, environment) = key(scope);
            let body = serde_json::to_string(&record)?;
            let put = "INSERT INTO flash_records (app, environment, resource, version, body)
                VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT (app, environment, resource)
                DO UPDATE SET version = excluded.version, body = excluded.body";
            let resource = record.resource.as_str();
            let version = integer(record.version);
            writing.lent.execute(put, &[&app, &environment, &resource, &version, &body]).await?;
            writing.commit().await?;
            Ok(record)
        }))
    }

    fn remove<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        resource: &'a ResourceName,
        expected: u64,
    ) -> Pending<'a, ()> {
        Box::pin(self.pool.call(async move {
            let mut writing = self.begin(scope).await?;
            writing.admit(fence)?;
            let version = writing.version(resource).await?;
            if version > 0 {
                check_version(resource, expected, version)?;
                let (app, environment) = key(scope);
                let remove =
                    "DELETE FROM flash_records WHERE app = $1 AND environment = $2 AND resource = $3";
                writing.lent.execute(remove, &[&app, &environment, &resource.as_str()]).await?;
                writing.touch().await?;
            }
            writing.commit().await
        }))
    }

    fn lineage<'a>(&'a self, scope: &'a Scope, candidate: MothershipId) -> Pending<'a, MothershipId> {
        Box::pin(self.pool.call(async move {
            let mut writing = self.begin(scope).await?;
            let (app, environment) = key(scope);
            let claim = "UPDATE flash_scopes SET lineage = COALESCE(lineage, $3)
                WHERE app = $1 AND environment = $2 RETURNING lineage";
            let row = writing.lent.row(claim, &[&app, &environment, &candidate.as_str()]).await?;
            let lineage: String = row.ok_or(Error::Vanished)?.try_get(0)?;
            writing.commit().await?;
            Ok(MothershipId::new(lineage).unwrap_or(candidate))
        }))
    }

    fn put_manifest<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        manifest: &'a Arc<Manifest>,
        expected: Option<u64>,
    ) -> Pending<'a, StoredManifest> {
        Box::pin(self.pool.call(async move {
            let mut writing = self.begin(scope).await?;
            let author = writing.admit(fence)?;
            let hash = manifest_hash(manifest)?;
            let (app, environment) = key(scope);
            // By hash: a manifest that an older version wrote need not be readable to be replaced.
            let find = "SELECT number, manifest_hash FROM flash_generations
                WHERE app = $1 AND environment = $2 ORDER BY number DESC LIMIT 1";
            let last = match writing.lent.row(find, &[&app, &environment]).await? {
                Some(row) if row.try_get::<_, String>(1)? == hash => {
                    let generation = natural(row.try_get(0)?);
                    writing.commit().await?;
                    return Ok(StoredManifest { generation, manifest: Arc::clone(manifest) });
                }
                Some(row) => row.try_get(0)?,
                None => 0_i64,
            };
            check_generation(expected, natural(last))?;
            let number = last + 1;
            let add = "INSERT INTO flash_generations
                (app, environment, number, applied_at_ms, manifest_hash, author, manifest)
                VALUES ($1, $2, $3, $4, $5, $6, $7)";
            let (now_ms, text) = (integer(writing.now_ms), serde_json::to_string(&**manifest)?);
            let author = author.as_str();
            writing.lent.execute(add, &[&app, &environment, &number, &now_ms, &hash, &author, &text]).await?;
            let prune = "DELETE FROM flash_generations WHERE app = $1 AND environment = $2 AND number <= $3";
            let oldest = number - integer(GENERATIONS_MAX);
            writing.lent.execute(prune, &[&app, &environment, &oldest]).await?;
            writing.touch().await?;
            writing.commit().await?;
            Ok(StoredManifest { generation: natural(number), manifest: Arc::clone(manifest) })
        }))
    }

    fn manifest<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Option<StoredManifest>> {
        Box::pin(async move {
            let (app, environment) = key(scope);
            let read = "SELECT number, manifest FROM flash_generations
                WHERE app = $1 AND environment = $2 ORDER BY number DESC LIMIT 1";
            stored_manifest(&self.read(read, &[&app, &environment]).await?)
        })
    }

    fn generations<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Vec<Generation>> {
        Box::pin(async move {
            let (app, environment) = key(scope);
            let read = "SELECT number, applied_at_ms, manifest_hash, author FROM flash_generations
                WHERE app = $1 AND environment = $2 ORDER BY number DESC";
            let rows = self.read(read, &[&app, &environment]).await?;
            rows.iter()
                .map(|row| {
                    let author: Option<String> = row.try_get(3)?;
                    Ok(Generation {
                        number: natural(row.try_get(0)?),
                        applied_at_ms: natural(row.try_get(1)?),
                        manifest_hash: row.try_get(2)?,
                        author: author.and_then(|author| HolderId::new(author).ok()),
                    })
                })
                .collect()
        })
    }

    fn generation<'a>(&'a self, scope: &'a Scope, number: u64) -> Pending<'a, Option<StoredManifest>> {
        Box::pin(async move {
            let (app, environment) = key(scope);
            let read = "SELECT number, manifest FROM flash_generations
                WHERE app = $1 AND environment = $2 AND number = $3";
            stored_manifest(&self.read(read, &[&app, &environment, &integer(number)]).await?)
        })
    }

    fn lease<'a>(&'a self, scope: &'a Scope, request: LeaseRequest) -> Pending<'a, Option<Lease>> {
        Box::pin(self.pool.call(async move {
            let mut writing = self.begin(scope).await?;
            let decision = lease::decide(&writing.lease, &request, writing.now_ms);
            // A refusal is stored too: it may have shortened a lease from a clock that went back.
            if decision.state != writing.lease {
                let (app, environment) = key(scope);
                let put = "UPDATE flash_scopes SET lease = $3 WHERE app = $1 AND environment = $2";
                let text = serde_json::to_string(&decision.state)?;
                writing.lent.execute(put, &[&app, &environment, &text]).await?;
            }
            writing.commit().await?;
            Ok(decision.answer?)
        }))
    }

    fn pulse<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Pulse> {
        Box::pin(async move {
            let (app, environment) = key(scope);
            let read =
                "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, s.serial, s.lease, s.lineage
                FROM (SELECT 1) AS always LEFT JOIN flash_scopes s ON app = $1 AND environment = $2";
            let rows = self.read(read, &[&app, &environment]).await?;
            let row = rows.first().ok_or(Error::Vanished)?;
            let serial: Option<i64> = row.try_get(1)?;
            let lineage: Option<String> = row.try_get(3)?;
            Ok(Pulse {
                serial: serial.map_or(0, natural),
                lineage: lineage.and_then(|lineage| MothershipId::new(lineage).ok()),
                lease: lease_state(row.try_get(2)?)?.lease,
                now_ms: natural(row.try_get(0)?),
            })
        })
    }

    fn append<'a>(&'a self, scope: &'a Scope, happenings: Vec<Happening>) -> Pending<'a, ()> {
        Box::pin(self.pool.call(async move {
            let mut writing = self.begin(scope).await?;
            let (app, environment) = key(scope);
            let bodies: Vec<String> =
                happenings.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
            let last = "SELECT COALESCE(MAX(sequence), 0) FROM flash_events
                WHERE app = $1 AND environment = $2";
            let last: i64 =
                writing.lent.row(last, &[&app, &environment]).await?.ok_or(Error::Vanished)?.try_get(0)?;
            let add = "INSERT INTO flash_events (app, environment, sequence, at_ms, body)
                SELECT $1, $2, $3 + number, $4, body
                FROM unnest($5::text[]) WITH ORDINALITY AS added (body, number)";
            let now_ms = integer(writing.now_ms);
            let added = writing.lent.execute(add, &[&app, &environment, &last, &now_ms, &bodies]).await?;
            let prune = "DELETE FROM flash_events WHERE app = $1 AND environment = $2 AND sequence <= $3";
            let oldest = last + integer(added) - integer(EVENTS_MAX);
            writing.lent.execute(prune, &[&app, &environment, &oldest]).await?;
            writing.commit().await
        }))
    }

    fn events<'a>(&'a self, scope: &'a Scope, after: u64, limit: u32) -> Pending<'a, Vec<LoggedEvent>> {
        Box::pin(async move {
            let (app, environment) = key(scope);
            let read = "SELECT sequence, at_ms, body FROM flash_events
                WHERE app = $1 AND environment = $2 AND sequence > $3 ORDER BY sequence LIMIT $4";
            let (after, limit) = (integer(after), i64::from(limit.min(EVENTS_READ_MAX)));
            let rows = self.read(read, &[&app, &environment, &after, &limit]).await?;
            rows.iter()
                .map(|row| {
                    let body: String = row.try_get(2)?;
                    Ok(LoggedEvent {
                        sequence: natural(row.try_get(0)?),
                        at_ms: natural(row.try_get(1)?),
                        happening: serde_json::from_str(&body)?,
                    })
                })
                .collect()
        })
    }
}

fn key(scope: &Scope) -> (&str, &str) {
    (scope.app.as_str(), scope.environment.as_str())
}

fn clock(row: Option<Row>) -> Result<u64, Error> {
    Ok(natural(row.ok_or(Error::Vanished)?.try_get(0)?))
}

fn lease_state(text: Option<String>) -> Result<LeaseState, Error> {
    text.map_or_else(|| Ok(LeaseState::default()), |text| Ok(serde_json::from_str(&text)?))
}

fn stored_manifest(rows: &[Row]) -> Result<Option<StoredManifest>, Error> {
    let Some(row) = rows.first() else { return Ok(None) };
    let manifest: String = row.try_get(1)?;
    Ok(Some(StoredManifest {
        generation: natural(row.try_get(0)?),
        manifest: serde_json::from_str(&manifest)?,
    }))
}
