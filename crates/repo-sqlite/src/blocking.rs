//! The one place where blocking diesel runs.
//!
//! Checkout, the whole transaction and the release happen on one blocking thread, as
//! [`Lane`] has it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use diesel::{
    Connection, SqliteConnection,
    connection::{AnsiTransactionManager, TransactionManager},
    r2d2::{ConnectionManager, Pool},
};
use order_repo_diesel::{ConnectionUse, Lane, Patience};

use crate::error::StoreError;

/// How long a write waits for the write lock while another process has it.
pub(crate) const LOCK_PATIENCE: Duration = Duration::from_secs(2);

type Manager = ConnectionManager<SqliteConnection>;
pub(crate) type Connections = Pool<Manager>;

/// The lane of reads.
pub(crate) struct ReadLane(Lane<Manager>);

impl ReadLane {
    pub(crate) fn new(connections: Connections) -> Self {
        Self(Lane::new(connections))
    }

    pub(crate) fn connections(&self) -> ConnectionUse {
        self.0.connections()
    }

    /// Runs `work` in a transaction, so that all its statements see one state of the database.
    pub(crate) async fn run<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut SqliteConnection) -> Result<T, StoreError> + Send + 'static,
    {
        self.0.run(|connections| (*connections.get()?).transaction(work)).await?
    }
}

/// The lane of writes: one connection, so that callers of one process queue up as futures and do
/// not fight over SQLite's lock, whose waiting is by sleeping and unfair.
pub(crate) struct WriteLane {
    lane: Lane<Manager>,
    /// Runs out while another process sits on the lock.
    patience: Arc<Patience>,
}

impl WriteLane {
    pub(crate) fn new(connections: Connections) -> Self {
        let patience = Arc::new(Patience::new(LOCK_PATIENCE));
        Self { lane: Lane::new(connections), patience }
    }

    pub(crate) fn connections(&self) -> ConnectionUse {
        self.lane.connections()
    }

    /// Runs `work` in a transaction that has the write lock from the beginning.
    ///
    /// While another process sits on the lock, those who queue here share the wait: each gives up
    /// after [`LOCK_PATIENCE`] in all, not after that time for everyone before it.
    pub(crate) async fn run<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut SqliteConnection) -> Result<T, StoreError> + Send + 'static,
    {
        let came = Instant::now();
        let patience = Arc::clone(&self.patience);
        self.lane
            .run(move |connections| {
                let mut connection = connections.get()?;
                let begun = begin(&mut connection, patience.left(came));
                patience.waited(matches!(begun, Err(StoreError::Locked(_))));
                begun?;
                end(&mut connection, work)
            })
            .await?
    }
}

/// Takes the write lock first: a transaction that reads before it writes can fail in the middle.
fn begin(connection: &mut SqliteConnection, patience: Duration) -> Result<(), StoreError> {
    let patience = patience.as_millis();
    let sql = format!("PRAGMA busy_timeout = {patience}; BEGIN IMMEDIATE");
    AnsiTransactionManager::begin_transaction_sql(connection, &sql).map_err(StoreError::at_begin)
}

/// Does the work of a transaction that has begun, and ends it. diesel's `immediate_transaction`
/// does not tell a failing commit from a failing statement, and hides a statement's error behind
/// that of the rollback after it.
fn end<T>(
    connection: &mut SqliteConnection,
    work: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    match work(connection) {
        Ok(outcome) => {
            AnsiTransactionManager::commit_transaction(connection).map_err(StoreError::Commit)?;
            Ok(outcome)
        }
        Err(error) => {
            // If this fails too, SQLite has rolled back already, or the pool finds the connection
            // broken and drops it. The first error tells more.
            let _ = AnsiTransactionManager::rollback_transaction(connection);
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use diesel::{connection::SimpleConnection, prelude::*, sql_types::Integer};
    use order_domain::RepoError;
    use tempfile::TempDir;

    use super::*;
    use crate::open::Database;

    fn database() -> (Database, TempDir) {
        let directory = tempfile::tempdir().unwrap();
        (Database::migrated(&directory.path().join("orders.db")).unwrap(), directory)
    }

    #[derive(QueryableByName)]
    struct Settings {
        #[diesel(sql_type = Integer)]
        synchronous: i32,
        #[diesel(sql_type = Integer)]
        foreign_keys: i32,
        #[diesel(sql_type = Integer)]
        timeout: i32,
        #[diesel(sql_type = Integer)]
        query_only: i32,
    }

    fn settings(connection: &mut SqliteConnection) -> [i32; 4] {
        let query = "SELECT synchronous, foreign_keys, timeout, query_only FROM \
                     pragma_synchronous, pragma_foreign_keys, pragma_busy_timeout, \
                     pragma_query_only";
        let found: Settings = diesel::sql_query(query).get_result(connection).unwrap();
        [found.synchronous, found.foreign_keys, found.timeout, found.query_only]
    }

    #[tokio::test]
    async fn every_connection_is_prepared() {
        let (database, _directory) = database();
        let writes = WriteLane::new(database.writer().unwrap());
        let full = 2;
        let found = writes.run(|connection| Ok(settings(connection))).await.unwrap();
        assert_eq!(found, [full, 1, 2_000, 0]);
        let reads = ReadLane::new(database.readers().unwrap());
        let found = reads.run(|connection| Ok(settings(connection))).await.unwrap();
        assert_eq!(found, [full, 1, 2_000, 1]);
    }

    #[tokio::test]
    async fn a_commit_that_fails_leaves_the_outcome_unknown() {
        let (database, _directory) = database();
        let writes = WriteLane::new(database.writer().unwrap());
        let outcome = writes.run(|connection| {
            // The stray key is found when the transaction ends, not before.
            connection.batch_execute(
                "PRAGMA defer_foreign_keys = ON; \
                 INSERT INTO placement_keys (key, order_id, created_at) VALUES ('k', 4711, 0)",
            )?;
            Ok(())
        });
        let error = outcome.await.unwrap_err();
        assert!(matches!(RepoError::from(error), RepoError::OutcomeUnknown(_)));
        writes.run(|_| Ok(())).await.unwrap();
    }

    #[tokio::test]
    async fn a_full_disk_refuses_and_changes_nothing() {
        let (database, _directory) = database();
        let writes = WriteLane::new(database.writer().unwrap());
        // SQLite ends the transaction by itself then, so that a rollback finds none.
        let outcome = writes.run(|connection| {
            connection.batch_execute("PRAGMA max_page_count = 1; CREATE TABLE big (x)")?;
            let fill = "INSERT INTO big SELECT zeroblob(100000)";
            Ok(connection.batch_execute(fill)?)
        });
        let error = outcome.await.unwrap_err();
        assert!(matches!(RepoError::from(error), RepoError::Refused(_)));
        writes.run(|_| Ok(())).await.unwrap();
    }

    #[tokio::test]
    async fn a_reader_cannot_write() {
        let (database, _directory) = database();
        let reads = ReadLane::new(database.readers().unwrap());
        let outcome =
            reads.run(|connection| Ok(connection.batch_execute("DELETE FROM placement_keys")?));
        let error = outcome.await.unwrap_err();
        assert!(matches!(RepoError::from(error), RepoError::Refused(_)));
    }

    #[tokio::test]
    async fn a_panic_goes_on_in_the_caller_and_spoils_nothing() {
        let (database, _directory) = database();
        let writes = Arc::new(WriteLane::new(database.writer().unwrap()));
        let panicking = tokio::spawn({
            let writes = Arc::clone(&writes);
            async move {
                let work = |connection: &mut SqliteConnection| -> Result<(), StoreError> {
                    connection.batch_execute("CREATE TABLE half_done (x)")?;
                    panic!("a defect");
                };
                writes.run(work).await
            }
        });
        let panic = panicking.await.unwrap_err().into_panic();
        assert_eq!(panic.downcast_ref(), Some(&"a defect"));
        writes
            .run(|connection| Ok(connection.batch_execute("CREATE TABLE half_done (x)")?))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_while_it_waits_does_not_happen() {
        let (database, _directory) = database();
        let writes = WriteLane::new(database.writer().unwrap());
        let (release, held) = std::sync::mpsc::channel::<()>();
        let holding = writes.run(move |_| {
            held.recv().expect("the sender lives until it has sent");
            Ok(())
        });
        let dropped =
            writes.run(|connection| Ok(connection.batch_execute("CREATE TABLE never (x)")?));
        let both = async { tokio::join!(holding, dropped) };
        tokio::time::timeout(Duration::from_millis(50), both).await.unwrap_err();
        release.send(()).unwrap();
        // It has not run, and its place in the queue is free.
        writes
            .run(|connection| Ok(connection.batch_execute("CREATE TABLE never (x)")?))
            .await
            .unwrap();
    }
}
