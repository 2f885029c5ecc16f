//! The only place where blocking diesel runs: on the workers of the batchers.
//!
//! A worker gets a connection, executes one transaction for a whole batch, and returns the
//! connection. If the transaction fails, each request has its own: none fails for another.
//!
//! No change is acknowledged unless the file at the path holds it: the file is checked before a
//! transaction begins and after it is committed.

use std::{
    hash::Hash,
    mem::take,
    ops::{Deref, DerefMut},
    slice,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use diesel::{
    Connection, SqliteConnection,
    connection::{AnsiTransactionManager, TransactionManager},
    result::Error as QueryError,
};
use order_domain::PoolStatus;
use order_repo_diesel::{
    BatchPermit, Batcher, Concurrency, Deduplicated, Kind, MAX_QUEUED, Share, SharedWaitBudget,
    Workers, fail_all, limits::BatchLimit, pool_status,
};

use crate::{
    connections::Connections,
    error::{Outcomes, StoreError, is_io_error, is_rolled_back},
    file::DatabaseFile,
    maintenance::checkpoint,
    open::{LOCK_TIMEOUT, READERS},
    wal::lacks_last_commit,
};

/// The queue of one kind of request.
pub(crate) type Queue<R, T> = Batcher<R, T, StoreError>;

/// A connection in a transaction, and the file that it has open.
pub(crate) struct Session<'a> {
    connection: &'a mut SqliteConnection,
    pub(crate) file: &'a DatabaseFile,
}

/// Executes batches in transactions.
///
/// There is one connection to write with: requests of one process queue up and do not compete for
/// SQLite's lock, which is waited for by sleeping, and unfairly.
pub(crate) struct Executor {
    connections: Arc<Connections>,
    writing: Arc<Writing>,
    workers: Workers,
}

struct Writing {
    /// Runs out while another process holds the lock.
    lock_budget: SharedWaitBudget,
    /// The last transaction failed because the database rejects changes.
    is_rejecting: AtomicBool,
}

impl Executor {
    pub(crate) fn new(connections: Arc<Connections>) -> Self {
        let lock_budget = SharedWaitBudget::new(LOCK_TIMEOUT);
        let writing = Arc::new(Writing { lock_budget, is_rejecting: AtomicBool::new(false) });
        Self { connections, writing, workers: Workers::default() }
    }

    /// Whether the last transaction failed for a reason that would fail every other, such as a full
    /// disk.
    pub(crate) fn is_rejecting(&self) -> bool {
        self.writing.is_rejecting.load(Ordering::Relaxed)
    }

    /// How the connections are used at this moment, while this many requests wait.
    pub(crate) fn status(&self, queued: usize) -> PoolStatus {
        let guard = self.connections.acquire();
        let opened = guard.opened().ok().into_iter();
        pool_status(opened.flat_map(|opened| [&opened.readers, &opened.writer]), queued)
    }

    /// Starts the queue of requests that change nothing. Equal ones share an outcome. The
    /// statements of a batch are one transaction, so that they see one state of the database.
    pub(crate) fn read<R, T>(
        &self,
        kind: Kind,
        limit: fn() -> BatchLimit<R>,
        run: impl Fn(&mut Session<'_>, &[R]) -> Result<Outcomes<T>, StoreError> + Send + Sync + 'static,
    ) -> Queue<R, T>
    where
        R: Clone + Eq + Hash + Send + 'static,
        T: Clone + Send + 'static,
    {
        let connections = Arc::clone(&self.connections);
        self.start(kind, move |permit| {
            permit.yield_to_callers();
            let guard = connections.acquire();
            let ready = guard.opened().and_then(|opened| Ok((opened.reader()?, &opened.file)));
            let batch = permit.take_batch(limit());
            let outcomes = match ready {
                Ok((mut connection, file)) => all_or_each(batch.requests(), |requests| {
                    let requests = Deduplicated::new(requests);
                    let outcomes = connection.transaction(|connection| {
                        run(&mut Session { connection, file }, &requests.unique)
                    })?;
                    Ok(requests.fan_out(outcomes))
                }),
                Err(failure) => fail_all(batch.requests().len(), &failure),
            };
            batch.complete(outcomes);
        })
    }

    /// Starts the queue of requests that change something. A batch is one transaction, which has
    /// the write lock from the beginning.
    ///
    /// While another process holds the lock, the queued requests share the wait: each fails after
    /// [`LOCK_TIMEOUT`] in all, not after that time for each request before it.
    pub(crate) fn write<R, T>(
        &self,
        kind: Kind,
        limit: fn() -> BatchLimit<R>,
        run: impl Fn(&mut Session<'_>, &[R]) -> Result<Outcomes<T>, StoreError> + Send + Sync + 'static,
    ) -> Queue<R, T>
    where
        R: Send + 'static,
        T: Send + 'static,
    {
        let connections = Arc::clone(&self.connections);
        let writing = Arc::clone(&self.writing);
        self.start(kind, move |permit| {
            let oldest = permit.oldest;
            let begin = |connection: &mut _| {
                let begun = begin(connection, writing.lock_budget.remaining(oldest));
                writing.lock_budget.record_wait(matches!(begun, Err(StoreError::Locked(_))));
                begun.inspect_err(|error| writing.note_rejection(error))
            };
            let guard = connections.acquire();
            let ready = guard.opened().and_then(|opened| {
                let mut connection = opened.writer()?;
                begin(&mut connection)?;
                Ok((connection, &opened.file))
            });
            let (mut connection, file) = match ready {
                Ok(ready) => ready,
                Err(failure @ StoreError::Locked(_)) => {
                    return permit.fail_queued(LOCK_TIMEOUT, &failure);
                }
                Err(failure) => return permit.fail_queued(Duration::ZERO, &failure),
            };
            // Requests that arrived while the lock was waited for join this batch.
            let batch = permit.take_batch(limit());
            let mut is_begun = true;
            let outcomes = all_or_each(batch.requests(), |requests| {
                if !take(&mut is_begun) {
                    begin(&mut connection)?;
                }
                let outcomes = run_and_commit(&mut connection, file, |connection| {
                    run(&mut Session { connection, file }, requests)
                });
                let outcomes = outcomes.inspect_err(|error| writing.note_rejection(error))?;
                writing.is_rejecting.store(false, Ordering::Relaxed);
                Ok(outcomes)
            });
            batch.complete(outcomes);
        })
    }

    fn start<R, T>(
        &self,
        kind: Kind,
        serve: impl Fn(BatchPermit<'_, R, T, StoreError>) + Send + Sync + 'static,
    ) -> Queue<R, T>
    where
        R: Send + 'static,
        T: Send + 'static,
    {
        // One for each connection: some may block while others run.
        let threads = match kind.share {
            Share::Reads => READERS as usize,
            Share::Writes => 1,
        };
        let concurrency = Concurrency { max_in_flight: kind.in_flight, min_queued: 1 };
        Batcher::start(&self.workers, kind.name, threads..=threads, concurrency, MAX_QUEUED, serve)
    }
}

impl Writing {
    fn note_rejection(&self, error: &StoreError) {
        if error.is_rejection() {
            self.is_rejecting.store(true, Ordering::Relaxed);
        }
    }
}

impl Deref for Session<'_> {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        self.connection
    }
}

impl DerefMut for Session<'_> {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.connection
    }
}

/// The outcomes of one transaction for all requests, or if that fails for what may concern one
/// request only, of one transaction for each.
fn all_or_each<R, T>(
    requests: &[R],
    mut transaction: impl FnMut(&[R]) -> Result<Outcomes<T>, StoreError>,
) -> Outcomes<T> {
    match transaction(requests) {
        Ok(outcomes) => outcomes,
        Err(StoreError::Query(_)) if requests.len() > 1 => {
            let alone = |request| transaction(slice::from_ref(request))?.remove(0);
            requests.iter().map(alone).collect()
        }
        Err(failure) => fail_all(requests.len(), &failure),
    }
}

/// Acquires the write lock first: a transaction that reads before it writes can fail in the middle.
fn begin(connection: &mut SqliteConnection, timeout: Duration) -> Result<(), StoreError> {
    let timeout = timeout.as_millis();
    let sql = format!("PRAGMA busy_timeout = {timeout}; BEGIN IMMEDIATE");
    AnsiTransactionManager::begin_transaction_sql(connection, &sql).map_err(StoreError::at_begin)
}

/// Does the work of a transaction that has begun, and commits it, or rolls it back. diesel's
/// `immediate_transaction` does not distinguish a commit that fails from a statement that fails,
/// and hides a statement's error behind that of the rollback after it.
fn run_and_commit<T>(
    connection: &mut SqliteConnection,
    file: &DatabaseFile,
    work: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    match work(connection) {
        Ok(outcome) => {
            AnsiTransactionManager::commit_transaction(connection)
                .map_err(|error| explain_failed_commit(connection, file, error))?;
            file.check().map_err(|_| StoreError::ReplacedDuringCommit)?;
            Ok(outcome)
        }
        Err(error) => {
            // If this fails too, SQLite has rolled back already, or the pool finds the connection
            // broken and drops it. The first error says more.
            let _ = AnsiTransactionManager::rollback_transaction(connection);
            Err(error)
        }
    }
}

/// Tells whether a commit that failed may have happened. Whatever the error is, SQLite or diesel
/// has rolled back already; the question is what a restart would find.
fn explain_failed_commit(
    connection: &mut SqliteConnection,
    file: &DatabaseFile,
    error: QueryError,
) -> StoreError {
    let mut lacks_commit = || {
        let (frames, _) = checkpoint(connection, "NOOP").ok()?;
        let frames = frames.try_into().unwrap_or(0);
        lacks_last_commit(file.wal_path(), frames).ok()
    };
    if is_rolled_back(&error) || (is_io_error(&error) && lacks_commit() == Some(true)) {
        StoreError::RolledBack(Arc::new(error))
    } else {
        StoreError::Commit(Arc::new(error))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        sync::{Mutex, mpsc},
    };

    use diesel::{
        connection::SimpleConnection,
        prelude::*,
        result::DatabaseErrorKind,
        sql_types::{BigInt, Integer, Nullable},
    };
    use order_domain::RepoError;
    use order_repo_diesel::limits::limit_batch_size;
    use tempfile::TempDir;

    use super::*;
    use crate::open::migrate;

    struct Fixture {
        executor: Executor,
        connections: Arc<Connections>,
        directory: TempDir,
    }

    fn database() -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let database = migrate(&directory.path().join("orders.db")).unwrap();
        let connections = Connections::open(database).unwrap();
        Fixture { executor: Executor::new(Arc::clone(&connections)), connections, directory }
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

    const READ: Kind = Kind { name: "read", share: Share::Reads, in_flight: 1 };
    const WRITE: Kind = Kind { name: "write", share: Share::Writes, in_flight: 1 };

    /// A queue for requests without arguments, which all do the same.
    fn writes<T: Send + 'static>(
        executor: &Executor,
        work: impl Fn(&mut SqliteConnection) -> Result<T, StoreError> + Send + Sync + 'static,
    ) -> Queue<(), T> {
        executor.write(WRITE, limit_batch_size, move |session, requests: &[()]| {
            requests.iter().map(|()| Ok(Ok(work(session)?))).collect()
        })
    }

    fn reads<T: Clone + Send + 'static>(
        executor: &Executor,
        work: impl Fn(&mut SqliteConnection) -> Result<T, StoreError> + Send + Sync + 'static,
    ) -> Queue<(), T> {
        executor.read(READ, limit_batch_size, move |session, requests: &[()]| {
            requests.iter().map(|()| Ok(Ok(work(session)?))).collect()
        })
    }

    #[tokio::test]
    async fn every_connection_is_prepared() {
        let Fixture { executor, .. } = &database();
        let full = 2;
        let found = writes(executor, |connection| Ok(settings(connection))).submit(()).await;
        assert_eq!(found.unwrap(), [full, 1, 2_000, 0]);
        let found = reads(executor, |connection| Ok(settings(connection))).submit(()).await;
        assert_eq!(found.unwrap(), [full, 1, 2_000, 1]);
    }

    #[tokio::test]
    async fn failed_commit_leaves_the_outcome_of_each_request_unknown() {
        let database = database();
        let executor = &database.executor;
        // It commits by itself, so that the commit after it finds no transaction.
        let hasty = writes(executor, |connection| {
            Ok(connection.batch_execute("DELETE FROM placement_keys; COMMIT")?)
        });
        let outcomes = tokio::join!(hasty.submit(()), hasty.submit(()), hasty.submit(()));
        for outcome in [outcomes.0, outcomes.1, outcomes.2] {
            let error = RepoError::from(outcome.unwrap_err());
            assert!(matches!(error, RepoError::OutcomeUnknown(_)), "{error:?}");
        }
        writes(executor, |_| Ok(())).submit(()).await.unwrap();
    }

    #[tokio::test]
    async fn commit_that_sqlite_rejects_changes_nothing() {
        let database = database();
        let executor = &database.executor;
        let stray = writes(executor, |connection| {
            // The stray key is found when the transaction ends, not before.
            Ok(connection.batch_execute(
                "PRAGMA defer_foreign_keys = ON; \
                 INSERT INTO placement_keys (key, order_id, created_at) VALUES ('k', 4711, 0)",
            )?)
        });
        let error = RepoError::from(stray.submit(()).await.unwrap_err());
        assert!(matches!(error, RepoError::Refused(_)), "{error:?}");
        let count = reads(executor, |connection| {
            let count = diesel::dsl::sql::<BigInt>("SELECT count(*) FROM placement_keys");
            Ok(count.get_result::<i64>(connection)?)
        });
        assert_eq!(count.submit(()).await.unwrap(), 0);
    }

    /// What SQLite reports where the last write of a transaction finds no space. No setting of
    /// SQLite lets a commit fail so.
    #[test]
    fn commit_on_a_full_disk_changes_nothing() {
        let full = "database or disk is full".to_owned();
        let full = QueryError::DatabaseError(DatabaseErrorKind::Unknown, Box::new(full));
        let database = database();
        let guard = database.connections.acquire();
        let opened = guard.opened().unwrap();
        let error = explain_failed_commit(&mut opened.writer().unwrap(), &opened.file, full);
        assert!(error.is_rejection());
        assert!(matches!(RepoError::from(error), RepoError::Refused(_)));
    }

    #[tokio::test]
    async fn file_replaced_during_a_transaction_leaves_outcome_unknown() {
        let database = database();
        let [file, other] =
            ["orders.db", "other.db"].map(|name| database.directory.path().join(name));
        let rename = writes(&database.executor, {
            let (file, other) = (file.clone(), other.clone());
            move |connection| {
                connection.batch_execute("CREATE TABLE late (x)")?;
                fs::rename(&file, &other).unwrap();
                Ok(())
            }
        });
        let error = RepoError::from(rename.submit(()).await.unwrap_err());
        assert!(matches!(error, RepoError::OutcomeUnknown(_)), "{error:?}");

        let nothing = writes(&database.executor, |_| Ok(()));
        let error = RepoError::from(nothing.submit(()).await.unwrap_err());
        assert!(matches!(error, RepoError::Unavailable(_)), "{error:?}");

        fs::rename(&other, &file).unwrap();
        nothing.submit(()).await.unwrap();
    }

    #[tokio::test]
    async fn full_disk_rejects_and_changes_nothing() {
        let database = database();
        let executor = &database.executor;
        // SQLite ends the transaction by itself then, so that a rollback finds none.
        let fill = writes(executor, |connection| {
            connection.batch_execute("PRAGMA max_page_count = 1; CREATE TABLE big (x)")?;
            let fill = "INSERT INTO big SELECT zeroblob(100000)";
            Ok(connection.batch_execute(fill)?)
        });
        let error = fill.submit(()).await.unwrap_err();
        assert!(matches!(RepoError::from(error), RepoError::Refused(_)));
        writes(executor, |_| Ok(())).submit(()).await.unwrap();
    }

    #[tokio::test]
    async fn reading_connection_cannot_write() {
        let database = database();
        let executor = &database.executor;
        let delete = reads(executor, |connection| {
            Ok(connection.batch_execute("DELETE FROM placement_keys")?)
        });
        let error = delete.submit(()).await.unwrap_err();
        assert!(matches!(RepoError::from(error), RepoError::Refused(_)));
    }

    #[tokio::test]
    async fn panic_reaches_the_caller_and_corrupts_nothing() {
        let database = database();
        let executor = &database.executor;
        let half = writes(executor, |connection| -> Result<(), StoreError> {
            connection.batch_execute("CREATE TABLE half_done (x)")?;
            panic!("a defect");
        });
        let panicking = tokio::spawn(async move { half.submit(()).await });
        assert!(panicking.await.unwrap_err().is_panic());
        let whole = writes(executor, |connection| {
            Ok(connection.batch_execute("CREATE TABLE half_done (x)")?)
        });
        whole.submit(()).await.unwrap();
    }

    /// What fails one request fails the transaction of all. So each then has its own.
    #[tokio::test]
    async fn failing_request_fails_no_other() {
        let database = database();
        let executor = &database.executor;
        let create = |connection: &mut SqliteConnection| {
            Ok(connection.batch_execute("CREATE TABLE it (n INTEGER CHECK (n <> 3))")?)
        };
        writes(executor, create).submit(()).await.unwrap();
        let (release, held) = mpsc::channel::<()>();
        let held = Mutex::new(held);
        let insert =
            Arc::new(executor.write(WRITE, limit_batch_size, move |session, requests: &[i32]| {
                if requests == [0] {
                    held.lock().unwrap().recv().unwrap();
                }
                let insert = |request: &i32| {
                    session.batch_execute(&format!("INSERT INTO it VALUES ({request})"))?;
                    Ok(Ok(*request))
                };
                requests.iter().map(insert).collect()
            }));
        let submit = |request| {
            let insert = Arc::clone(&insert);
            tokio::spawn(async move { insert.submit(request).await.ok() })
        };
        let first = submit(0);
        let others = [1, 2, 3, 4].map(submit);
        // The first is in flight, or queued; the others wait for it.
        while insert.queued() < 4 {
            tokio::task::yield_now().await;
        }
        release.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Some(0));
        let mut outcomes = vec![];
        for other in others {
            outcomes.push(other.await.unwrap());
        }
        assert_eq!(outcomes, [Some(1), Some(2), None, Some(4)]);
        let executor = &database.executor;
        let sum = |connection: &mut SqliteConnection| {
            let sum = diesel::dsl::sql::<Nullable<BigInt>>("SELECT sum(n) FROM it");
            Ok(sum.get_result::<Option<i64>>(connection)?)
        };
        assert_eq!(reads(executor, sum).submit(()).await.unwrap(), Some(1 + 2 + 4));
    }
}
