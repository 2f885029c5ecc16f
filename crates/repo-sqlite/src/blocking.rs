//! The one place where blocking diesel runs.
//!
//! Checkout, the whole transaction and the release happen on a thread of a crew. One transaction
//! serves all calls of a batch; where it fails as a whole, each has one of its own: nobody fails
//! for another.

use std::{mem::take, slice, sync::Arc, time::Duration};

use diesel::{
    Connection, SqliteConnection,
    connection::{AnsiTransactionManager, TransactionManager},
    r2d2::{ConnectionManager, Pool},
};
use order_repo_diesel::{
    CAPACITY, ConnectionUse, Crew, Patience, Queue, Turn, Width, all_fail, only,
};

use crate::{error::StoreError, rows::Outcomes};

/// How long a write waits for the write lock while another process has it.
pub(crate) const LOCK_PATIENCE: Duration = Duration::from_secs(2);

type Manager = ConnectionManager<SqliteConnection>;
pub(crate) type Connections = Pool<Manager>;

/// The queue of one kind of call.
pub(crate) type Calls<M, T> = Queue<M, T, StoreError>;

/// The connections to read with, and a thread for each.
pub(crate) struct Readers {
    crew: Crew,
    connections: Connections,
}

impl Readers {
    pub(crate) fn new(connections: Connections) -> Self {
        let crew = Crew::start("order-read", connections.max_size() as usize);
        Self { crew, connections }
    }

    /// How the connections are used at this moment, while so many calls wait.
    pub(crate) fn connections(&self, waiting: usize) -> ConnectionUse {
        ConnectionUse::of(&self.connections, waiting)
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
        let connections = self.connections.clone();
        let serve = move |turn: Turn<M, T, StoreError>| {
            turn.give_way();
            let connection = connections.get();
            let batch = turn.draw(cap());
            let outcomes = match connection {
                Ok(mut connection) => each_or_alone(batch.members(), |members| {
                    connection.transaction(|connection| work(connection, members))
                }),
                Err(error) => all_fail(batch.members().len(), &error.into()),
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
    connections: Connections,
    /// Runs out while another process sits on the lock.
    patience: Arc<Patience>,
}

impl Writer {
    pub(crate) fn new(connections: Connections) -> Self {
        let patience = Arc::new(Patience::new(LOCK_PATIENCE));
        Self { crew: Crew::start("order-write", 1), connections, patience }
    }

    /// How the connection is used at this moment, while so many calls wait.
    pub(crate) fn connections(&self, waiting: usize) -> ConnectionUse {
        ConnectionUse::of(&self.connections, waiting)
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
        let connections = self.connections.clone();
        let patience = Arc::clone(&self.patience);
        let serve = move |turn: Turn<M, T, StoreError>| {
            let came = turn.oldest();
            let begin = |connection: &mut _| {
                let begun = begin(connection, patience.left(came));
                patience.waited(matches!(begun, Err(StoreError::Locked(_))));
                begun
            };
            let ready = connections.get().map_err(StoreError::from).and_then(|mut connection| {
                begin(&mut connection)?;
                Ok(connection)
            });
            let mut connection = match ready {
                Ok(connection) => connection,
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
                end(&mut connection, |connection| work(connection, members))
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

/// Does the work of a transaction that has begun, and ends it. diesel's `immediate_transaction`
/// does not tell a failing commit from a failing statement, and hides a statement's error behind
/// that of the rollback after it.
fn end<T>(
    connection: &mut SqliteConnection,
    work: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    match work(connection) {
        Ok(outcome) => {
            AnsiTransactionManager::commit_transaction(connection)
                .map_err(StoreError::at_commit)?;
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
    use std::sync::{Mutex, mpsc};

    use diesel::{
        connection::SimpleConnection,
        prelude::*,
        sql_types::{BigInt, Integer, Nullable},
    };
    use order_domain::RepoError;
    use order_repo_diesel::cap::few;
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
        let (database, _directory) = database();
        let writer = Writer::new(database.writer().unwrap());
        let full = 2;
        let found = writes(&writer, |connection| Ok(settings(connection))).ask(()).await;
        assert_eq!(found.unwrap(), [full, 1, 2_000, 0]);
        let readers = Readers::new(database.readers().unwrap());
        let found = reads(&readers, |connection| Ok(settings(connection))).ask(()).await;
        assert_eq!(found.unwrap(), [full, 1, 2_000, 1]);
    }

    #[tokio::test]
    async fn a_commit_that_fails_leaves_the_outcome_of_each_member_unknown() {
        let (database, _directory) = database();
        let writer = Writer::new(database.writer().unwrap());
        let stray = writes(&writer, |connection| {
            // The stray key is found when the transaction ends, not before.
            Ok(connection.batch_execute(
                "PRAGMA defer_foreign_keys = ON; \
                 INSERT INTO placement_keys (key, order_id, created_at) \
                     VALUES (lower(hex(randomblob(8))), 4711, 0)",
            )?)
        });
        let outcomes = tokio::join!(stray.ask(()), stray.ask(()), stray.ask(()));
        for outcome in [outcomes.0, outcomes.1, outcomes.2] {
            let error = RepoError::from(outcome.unwrap_err());
            assert!(matches!(error, RepoError::OutcomeUnknown(_)), "{error:?}");
        }
        writes(&writer, |_| Ok(())).ask(()).await.unwrap();
    }

    #[tokio::test]
    async fn a_full_disk_refuses_and_changes_nothing() {
        let (database, _directory) = database();
        let writer = Writer::new(database.writer().unwrap());
        // SQLite ends the transaction by itself then, so that a rollback finds none.
        let fill = writes(&writer, |connection| {
            connection.batch_execute("PRAGMA max_page_count = 1; CREATE TABLE big (x)")?;
            let fill = "INSERT INTO big SELECT zeroblob(100000)";
            Ok(connection.batch_execute(fill)?)
        });
        let error = fill.ask(()).await.unwrap_err();
        assert!(matches!(RepoError::from(error), RepoError::Refused(_)));
        writes(&writer, |_| Ok(())).ask(()).await.unwrap();
    }

    #[tokio::test]
    async fn a_reader_cannot_write() {
        let (database, _directory) = database();
        let readers = Readers::new(database.readers().unwrap());
        let delete = reads(&readers, |connection| {
            Ok(connection.batch_execute("DELETE FROM placement_keys")?)
        });
        let error = delete.ask(()).await.unwrap_err();
        assert!(matches!(RepoError::from(error), RepoError::Refused(_)));
    }

    #[tokio::test]
    async fn a_panic_goes_on_in_the_caller_and_spoils_nothing() {
        let (database, _directory) = database();
        let writer = Writer::new(database.writer().unwrap());
        let half = writes(&writer, |connection| -> Result<(), StoreError> {
            connection.batch_execute("CREATE TABLE half_done (x)")?;
            panic!("a defect");
        });
        let panicking = tokio::spawn(async move { half.ask(()).await });
        assert!(panicking.await.unwrap_err().is_panic());
        let whole = writes(&writer, |connection| {
            Ok(connection.batch_execute("CREATE TABLE half_done (x)")?)
        });
        whole.ask(()).await.unwrap();
    }

    /// What fails one member fails the transaction of all. So each has one of its own then.
    #[tokio::test]
    async fn a_member_that_fails_fails_no_other() {
        let (database, _directory) = database();
        let writer = Writer::new(database.writer().unwrap());
        let create = |connection: &mut SqliteConnection| {
            Ok(connection.batch_execute("CREATE TABLE it (n INTEGER CHECK (n <> 3))")?)
        };
        writes(&writer, create).ask(()).await.unwrap();
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
        let readers = Readers::new(database.readers().unwrap());
        let sum = |connection: &mut SqliteConnection| {
            let sum = diesel::dsl::sql::<Nullable<BigInt>>("SELECT sum(n) FROM it");
            Ok(sum.get_result::<Option<i64>>(connection)?)
        };
        assert_eq!(reads(&readers, sum).ask(()).await.unwrap(), Some(1 + 2 + 4));
    }
}
