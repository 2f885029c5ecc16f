//! The one place where blocking diesel runs.
//!
//! Checkout, the whole transaction and the release happen on a thread of a crew. One transaction
//! serves all calls of a batch; where it fails as a whole, each has one of its own: nobody fails
//! for another.
//!
//! No change is acknowledged unless the file at the path holds it: the file is checked before a
//! transaction begins and after it is committed.

use std::{
    mem::take,
    slice,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use diesel::{
    Connection, QueryableByName, RunQueryDsl, SqliteConnection,
    connection::{AnsiTransactionManager, TransactionManager},
    r2d2::{ConnectionManager, Pool},
    result::Error as QueryError,
    sql_types::BigInt,
};
use order_repo_diesel::{
    CAPACITY, ConnectionUse, Crew, Patience, Queue, Turn, Width, all_fail, only,
};

use crate::{
    error::{StoreError, is_io_error, is_rolled_back},
    file::DatabaseFile,
    open::READERS,
    rows::Outcomes,
    store::Store,
    wal::lacks_last_commit,
};

/// How long a write waits for the write lock while another process has it.
pub(crate) const LOCK_PATIENCE: Duration = Duration::from_secs(2);

type Manager = ConnectionManager<SqliteConnection>;
pub(crate) type Connections = Pool<Manager>;

/// The queue of one kind of call.
pub(crate) type Calls<M, T> = Queue<M, T, StoreError>;

/// The connections to read with, and a thread for each.
pub(crate) struct Readers {
    crew: Crew,
    store: Arc<Store>,
}

impl Readers {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { crew: Crew::start("order-read", READERS as usize), store }
    }

    /// How the connections are used at this moment, while so many calls wait.
    pub(crate) fn connections(&self, waiting: usize) -> ConnectionUse {
        let in_use = self.store.in_use();
        let none = ConnectionUse { waiting, ..ConnectionUse::default() };
        in_use.opened().map_or(none, |opened| ConnectionUse::of(&opened.readers, waiting))
    }

    /// A queue for calls that read. The statements of a batch are one transaction, so that they
    /// see one state of the database. `cap` makes, for each batch, a judge of whether one more
    /// member still fits.
    pub(crate) fn queue<M, T, F>(
        &self,
        width: usize,
        cap: impl Fn() -> F + Send + Sync + 'static,
        work: impl Fn(&mut SqliteConnection, &[M]) -> Result<Outcomes<T>, StoreError>
        + Send
        + Sync
        + 'static,
    ) -> Calls<M, T>
    where
        M: Send + 'static,
        T: Send + 'static,
        F: FnMut(&M) -> bool,
    {
        self.queue_with_file(width, cap, move |connection, _, members| work(connection, members))
    }

    /// The same, for calls that also look at the file.
    pub(crate) fn queue_with_file<M, T, F>(
        &self,
        width: usize,
        cap: impl Fn() -> F + Send + Sync + 'static,
        work: impl Fn(&mut SqliteConnection, &DatabaseFile, &[M]) -> Result<Outcomes<T>, StoreError>
        + Send
        + Sync
        + 'static,
    ) -> Calls<M, T>
    where
        M: Send + 'static,
        T: Send + 'static,
        F: FnMut(&M) -> bool,
    {
        let store = Arc::clone(&self.store);
        let serve = move |turn: Turn<M, T, StoreError>| {
            turn.give_way();
            let in_use = store.in_use();
            let ready = in_use.opened().and_then(|opened| Ok((in_use.reader()?, &opened.file)));
            let batch = turn.draw(cap());
            let outcomes = match ready {
                Ok((mut connection, file)) => each_or_alone(batch.members(), |members| {
                    connection.transaction(|connection| work(connection, file, members))
                }),
                Err(error) => all_fail(batch.members().len(), &error),
            };
            batch.answer(outcomes);
        };
        Queue::new(&self.crew, Width::of(width), CAPACITY, serve)
    }
}

/// The connection to write with, and its thread: calls of one process queue up and do not fight
/// over SQLite's lock, whose waiting is by sleeping and unfair.
pub(crate) struct Writer {
    crew: Crew,
    store: Arc<Store>,
    /// Runs out while another process sits on the lock.
    patience: Arc<Patience>,
    /// The last transaction failed because the database rejects changes.
    is_rejecting: Arc<AtomicBool>,
}

impl Writer {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        let patience = Arc::new(Patience::new(LOCK_PATIENCE));
        let crew = Crew::start("order-write", 1);
        Self { crew, store, patience, is_rejecting: Arc::default() }
    }

    /// Whether the last transaction failed for a reason that would fail every other, such as a full
    /// disk.
    pub(crate) fn is_rejecting(&self) -> bool {
        self.is_rejecting.load(Ordering::Relaxed)
    }

    /// How the connection is used at this moment, while so many calls wait.
    pub(crate) fn connections(&self, waiting: usize) -> ConnectionUse {
        let in_use = self.store.in_use();
        let none = ConnectionUse { waiting, ..ConnectionUse::default() };
        in_use.opened().map_or(none, |opened| ConnectionUse::of(&opened.writer, waiting))
    }

    /// A queue for calls that write. A batch is one transaction, which has the write lock from the
    /// beginning.
    ///
    /// While another process sits on the lock, those who queue here share the wait: each gives up
    /// after [`LOCK_PATIENCE`] in all, not after that time for everyone before it.
    pub(crate) fn queue<M, T, F>(
        &self,
        cap: impl Fn() -> F + Send + Sync + 'static,
        work: impl Fn(&mut SqliteConnection, &[M]) -> Result<Outcomes<T>, StoreError>
        + Send
        + Sync
        + 'static,
    ) -> Calls<M, T>
    where
        M: Send + 'static,
        T: Send + 'static,
        F: FnMut(&M) -> bool,
    {
        let store = Arc::clone(&self.store);
        let patience = Arc::clone(&self.patience);
        let is_rejecting = Arc::clone(&self.is_rejecting);
        let serve = move |turn: Turn<M, T, StoreError>| {
            let came = turn.oldest();
            let begin = |connection: &mut _| {
                let begun = begin(connection, patience.left(came));
                patience.waited(matches!(begun, Err(StoreError::Locked(_))));
                begun.inspect_err(|error| note_rejection(&is_rejecting, error))
            };
            let in_use = store.in_use();
            let ready = in_use.opened().and_then(|opened| {
                let mut connection = in_use.writer()?;
                begin(&mut connection)?;
                Ok((connection, &opened.file))
            });
            let (mut connection, file) = match ready {
                Ok(ready) => ready,
                Err(failure @ StoreError::Locked(_)) => {
                    return turn.give_up(LOCK_PATIENCE, &failure);
                }
                Err(failure) => return turn.give_up(Duration::ZERO, &failure),
            };
            // Who came until the lock was had is in, too.
            let batch = turn.draw(cap());
            let mut is_open = true;
            let outcomes = each_or_alone(batch.members(), |members| {
                if !take(&mut is_open) {
                    begin(&mut connection)?;
                }
                let outcomes = end(&mut connection, file, |connection| work(connection, members))
                    .inspect_err(|error| note_rejection(&is_rejecting, error))?;
                is_rejecting.store(false, Ordering::Relaxed);
                Ok(outcomes)
            });
            batch.answer(outcomes);
        };
        Queue::new(&self.crew, Width::of(1), CAPACITY, serve)
    }
}

/// The outcomes of one transaction for all, or where that fails for what may be one member's
/// fault, of one for each.
fn each_or_alone<M, T>(
    members: &[M],
    mut transaction: impl FnMut(&[M]) -> Result<Outcomes<T>, StoreError>,
) -> Outcomes<T> {
    match transaction(members) {
        Ok(outcomes) => outcomes,
        Err(StoreError::Query(_)) if members.len() > 1 => {
            let alone = |member| only(transaction(slice::from_ref(member))?);
            members.iter().map(alone).collect()
        }
        Err(failure) => all_fail(members.len(), &failure),
    }
}

/// Takes the write lock first: a transaction that reads before it writes can fail in the middle.
fn begin(connection: &mut SqliteConnection, patience: Duration) -> Result<(), StoreError> {
    let patience = patience.as_millis();
    let sql = format!("PRAGMA busy_timeout = {patience}; BEGIN IMMEDIATE");
    AnsiTransactionManager::begin_transaction_sql(connection, &sql).map_err(StoreError::at_begin)
}

fn note_rejection(is_rejecting: &AtomicBool, error: &StoreError) {
    if error.is_rejection() {
        is_rejecting.store(true, Ordering::Relaxed);
    }
}

/// Does the work of a transaction that has begun, and ends it. diesel's `immediate_transaction`
/// does not tell a failing commit from a failing statement, and hides a statement's error behind
/// that of the rollback after it.
fn end<T>(
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
            // broken and drops it. The first error tells more.
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
        let frames = committed_frames(connection).ok()?;
        lacks_last_commit(file.wal_path(), frames).ok()
    };
    if is_rolled_back(&error) || (is_io_error(&error) && lacks_commit() == Some(true)) {
        StoreError::RolledBack(Arc::new(error))
    } else {
        StoreError::Commit(Arc::new(error))
    }
}

#[derive(QueryableByName)]
struct WalFrames {
    #[diesel(sql_type = BigInt)]
    log: i64,
}

/// How many frames of the write-ahead log are committed.
fn committed_frames(connection: &mut SqliteConnection) -> Result<u64, StoreError> {
    let checkpoint = diesel::sql_query("PRAGMA wal_checkpoint(NOOP)");
    let WalFrames { log } = checkpoint.get_result(connection)?;
    // It is -1 where there is no log.
    Ok(log.try_into().unwrap_or(0))
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
        sql_types::{Integer, Nullable},
    };
    use order_domain::RepoError;
    use order_repo_diesel::cap::few;
    use tempfile::TempDir;

    use super::*;
    use crate::open::Database;

    struct Fixture {
        readers: Readers,
        writer: Writer,
        store: Arc<Store>,
        directory: TempDir,
    }

    fn database() -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::migrated(&directory.path().join("orders.db")).unwrap();
        let store = Store::open(database).unwrap();
        let readers = Readers::new(Arc::clone(&store));
        let writer = Writer::new(Arc::clone(&store));
        Fixture { readers, writer, store, directory }
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

    /// A queue for calls without arguments, which all do the same.
    fn writes<T: Send + 'static>(
        writer: &Writer,
        work: impl Fn(&mut SqliteConnection) -> Result<T, StoreError> + Send + Sync + 'static,
    ) -> Calls<(), T> {
        writer.queue(few, move |connection, members: &[()]| {
            members.iter().map(|()| Ok(Ok(work(connection)?))).collect()
        })
    }

    fn reads<T: Send + 'static>(
        readers: &Readers,
        work: impl Fn(&mut SqliteConnection) -> Result<T, StoreError> + Send + Sync + 'static,
    ) -> Calls<(), T> {
        readers.queue(1, few, move |connection, members: &[()]| {
            members.iter().map(|()| Ok(Ok(work(connection)?))).collect()
        })
    }

    #[tokio::test]
    async fn every_connection_is_prepared() {
        let Fixture { readers, writer, .. } = &database();
        let full = 2;
        let found = writes(writer, |connection| Ok(settings(connection))).ask(()).await;
        assert_eq!(found.unwrap(), [full, 1, 2_000, 0]);
        let found = reads(readers, |connection| Ok(settings(connection))).ask(()).await;
        assert_eq!(found.unwrap(), [full, 1, 2_000, 1]);
    }

    #[tokio::test]
    async fn a_commit_that_fails_leaves_the_outcome_of_each_member_unknown() {
        let database = database();
        let writer = &database.writer;
        // It commits by itself, so that the commit after it finds no transaction.
        let hasty = writes(writer, |connection| {
            Ok(connection.batch_execute("DELETE FROM placement_keys; COMMIT")?)
        });
        let outcomes = tokio::join!(hasty.ask(()), hasty.ask(()), hasty.ask(()));
        for outcome in [outcomes.0, outcomes.1, outcomes.2] {
            let error = RepoError::from(outcome.unwrap_err());
            assert!(matches!(error, RepoError::OutcomeUnknown(_)), "{error:?}");
        }
        writes(writer, |_| Ok(())).ask(()).await.unwrap();
    }

    #[tokio::test]
    async fn commit_that_sqlite_refuses_changes_nothing() {
        let database = database();
        let writer = &database.writer;
        let stray = writes(writer, |connection| {
            // The stray key is found when the transaction ends, not before.
            Ok(connection.batch_execute(
                "PRAGMA defer_foreign_keys = ON; \
                 INSERT INTO placement_keys (key, order_id, created_at) VALUES ('k', 4711, 0)",
            )?)
        });
        let error = RepoError::from(stray.ask(()).await.unwrap_err());
        assert!(matches!(error, RepoError::Refused(_)), "{error:?}");
        let count = reads(&database.readers, |connection| {
            let count = diesel::dsl::sql::<BigInt>("SELECT count(*) FROM placement_keys");
            Ok(count.get_result::<i64>(connection)?)
        });
        assert_eq!(count.ask(()).await.unwrap(), 0);
    }

    /// What SQLite reports where the last write of a transaction finds no space. No setting of
    /// SQLite lets a commit fail so.
    #[test]
    fn commit_on_a_full_disk_changes_nothing() {
        let full = "database or disk is full".to_owned();
        let full = QueryError::DatabaseError(DatabaseErrorKind::Unknown, Box::new(full));
        let database = database();
        let in_use = database.store.in_use();
        let file = &in_use.opened().unwrap().file;
        let error = explain_failed_commit(&mut in_use.writer().unwrap(), file, full);
        assert!(error.is_rejection());
        assert!(matches!(RepoError::from(error), RepoError::Refused(_)));
    }

    #[tokio::test]
    async fn file_replaced_during_a_transaction_leaves_outcome_unknown() {
        let database = database();
        let [file, other] =
            ["orders.db", "other.db"].map(|name| database.directory.path().join(name));
        let rename = writes(&database.writer, {
            let (file, other) = (file.clone(), other.clone());
            move |connection| {
                connection.batch_execute("CREATE TABLE late (x)")?;
                fs::rename(&file, &other).unwrap();
                Ok(())
            }
        });
        let error = RepoError::from(rename.ask(()).await.unwrap_err());
        assert!(matches!(error, RepoError::OutcomeUnknown(_)), "{error:?}");

        let nothing = writes(&database.writer, |_| Ok(()));
        let error = RepoError::from(nothing.ask(()).await.unwrap_err());
        assert!(matches!(error, RepoError::Unavailable(_)), "{error:?}");

        fs::rename(&other, &file).unwrap();
        nothing.ask(()).await.unwrap();
    }

    #[tokio::test]
    async fn a_full_disk_refuses_and_changes_nothing() {
        let database = database();
        let writer = &database.writer;
        // SQLite ends the transaction by itself then, so that a rollback finds none.
        let fill = writes(writer, |connection| {
            connection.batch_execute("PRAGMA max_page_count = 1; CREATE TABLE big (x)")?;
            let fill = "INSERT INTO big SELECT zeroblob(100000)";
            Ok(connection.batch_execute(fill)?)
        });
        let error = fill.ask(()).await.unwrap_err();
        assert!(matches!(RepoError::from(error), RepoError::Refused(_)));
        writes(writer, |_| Ok(())).ask(()).await.unwrap();
    }

    #[tokio::test]
    async fn a_reader_cannot_write() {
        let database = database();
        let readers = &database.readers;
        let delete =
            reads(
                readers,
                |connection| Ok(connection.batch_execute("DELETE FROM placement_keys")?),
            );
        let error = delete.ask(()).await.unwrap_err();
        assert!(matches!(RepoError::from(error), RepoError::Refused(_)));
    }

    #[tokio::test]
    async fn a_panic_goes_on_in_the_caller_and_spoils_nothing() {
        let database = database();
        let writer = &database.writer;
        let half = writes(writer, |connection| -> Result<(), StoreError> {
            connection.batch_execute("CREATE TABLE half_done (x)")?;
            panic!("a defect");
        });
        let panicking = tokio::spawn(async move { half.ask(()).await });
        assert!(panicking.await.unwrap_err().is_panic());
        let whole =
            writes(
                writer,
                |connection| Ok(connection.batch_execute("CREATE TABLE half_done (x)")?),
            );
        whole.ask(()).await.unwrap();
    }

    /// What fails one member fails the transaction of all. So each has one of its own then.
    #[tokio::test]
    async fn a_member_that_fails_fails_no_other() {
        let database = database();
        let writer = &database.writer;
        let create = |connection: &mut SqliteConnection| {
            Ok(connection.batch_execute("CREATE TABLE it (n INTEGER CHECK (n <> 3))")?)
        };
        writes(writer, create).ask(()).await.unwrap();
        let (release, held) = mpsc::channel::<()>();
        let held = Mutex::new(held);
        let insert = Arc::new(writer.queue(few, move |connection, members: &[i32]| {
            if members == [0] {
                held.lock().unwrap().recv().unwrap();
            }
            let insert = |member: &i32| {
                connection.batch_execute(&format!("INSERT INTO it VALUES ({member})"))?;
                Ok(Ok(*member))
            };
            members.iter().map(insert).collect()
        }));
        let ask = |member| {
            let insert = Arc::clone(&insert);
            tokio::spawn(async move { insert.ask(member).await.ok() })
        };
        let first = ask(0);
        let others = [1, 2, 3, 4].map(ask);
        // The first is being served, or waits; the others wait for it.
        while insert.len() < 4 {
            tokio::task::yield_now().await;
        }
        release.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Some(0));
        let mut told = vec![];
        for other in others {
            told.push(other.await.unwrap());
        }
        assert_eq!(told, [Some(1), Some(2), None, Some(4)]);
        let readers = &database.readers;
        let sum = |connection: &mut SqliteConnection| {
            let sum = diesel::dsl::sql::<Nullable<BigInt>>("SELECT sum(n) FROM it");
            Ok(sum.get_result::<Option<i64>>(connection)?)
        };
        assert_eq!(reads(readers, sum).ask(()).await.unwrap(), Some(1 + 2 + 4));
    }
}
