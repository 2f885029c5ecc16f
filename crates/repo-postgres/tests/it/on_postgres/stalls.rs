//! Writes that wait for a standby or a lock do not delay reads.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use order_domain::{OrderRepo, Readiness, RepoError, StoreStatus};
use order_repo_postgres::PgOrderRepo;
use order_test_postgres::{Server, ServerSettings, Session, TestDb};
use rstest::rstest;
use tokio::{
    task::JoinHandle,
    time::{interval, sleep, timeout},
};

use super::fixture::{key, keyed, new_order, newest, open, place, take_without_key};

/// Longer than a request waits for the database, so that the first writes have an outcome.
const STALL: Duration = Duration::from_secs(13);

/// Far more than a read takes on a busy machine, and far less than the 10 seconds for which a
/// request waits for a connection.
const READ_TIMEOUT: Duration = Duration::from_secs(3);

type Placement = JoinHandle<Result<(), RepoError>>;

/// Starts placements with and without keys, and takes, 40 per second.
fn start_writes(repo: &Arc<PgOrderRepo>) -> JoinHandle<Vec<Placement>> {
    let repo = Arc::clone(repo);
    tokio::spawn(async move {
        let mut writes = vec![];
        let mut every = interval(Duration::from_millis(25));
        let began = Instant::now();
        while began.elapsed() < STALL {
            every.tick().await;
            let n = u16::try_from(writes.len()).unwrap();
            let repo = Arc::clone(&repo);
            writes.push(tokio::spawn(async move {
                match n % 3 {
                    0 => repo.place(new_order(n)).await.map(drop),
                    1 => {
                        let key = key(&format!("key-{n}"));
                        if let Err(error) = repo.find_placement(&key).await {
                            assert!(is_expected_of_lookup(&error), "{error:?}");
                            return Ok(());
                        }
                        repo.place(keyed(n, key.as_str())).await.map(drop)
                    }
                    _ => repo.take(take_without_key(1.try_into().unwrap())).await.map(drop),
                }
            }));
        }
        writes
    })
}

/// A lookup changes nothing. It may be sent just before its time is over, once the connection that
/// a stalled write held is abandoned.
fn is_expected_of_lookup(error: &RepoError) -> bool {
    matches!(error, RepoError::Overloaded | RepoError::Unavailable(_))
}

/// Performs each kind of read and the readiness check, within the timeout.
async fn read_everything(repo: &PgOrderRepo) {
    let all = async {
        assert!(!repo.list(newest()).await.unwrap().is_empty());
        assert!(repo.find(1.try_into().unwrap()).await.unwrap().is_some());
        assert_eq!(repo.check().await.unwrap(), StoreStatus::Ready);
    };
    timeout(READ_TIMEOUT, all).await.expect("reads are served in time");
}

fn reload(session: &mut Session, standby: &str) {
    session.execute(&format!("ALTER SYSTEM SET synchronous_standby_names = '{standby}'"));
    session.execute("SELECT pg_reload_conf()");
}

/// The reason why writes wait.
#[derive(Clone, Copy)]
enum Stall {
    /// No standby confirms a commit. A disk that does not confirm one has the same effect.
    MissingStandby,
    /// Another session has locked the table.
    LockedTable,
    /// Another session has locked the keys of placements, for reads as well.
    LockedKeys,
}

impl Stall {
    fn begin(self, session: &mut Session) {
        match self {
            Self::MissingStandby => reload(session, "missing"),
            Self::LockedTable => session.execute("BEGIN; LOCK TABLE orders IN EXCLUSIVE MODE"),
            Self::LockedKeys => session.execute("BEGIN; LOCK TABLE placement_keys"),
        }
    }

    fn end(self, session: &mut Session) {
        match self {
            Self::MissingStandby => reload(session, ""),
            Self::LockedTable | Self::LockedKeys => session.execute("COMMIT"),
        }
    }

    fn is_expected(self, error: &RepoError) -> bool {
        match error {
            RepoError::OutcomeUnknown(_) | RepoError::Overloaded => true,
            // The server ends the wait for a lock after 2 s: nothing was changed.
            RepoError::Unavailable(_) => !matches!(self, Self::MissingStandby),
            _ => false,
        }
    }
}

#[rstest]
#[case::missing_standby(Stall::MissingStandby)]
#[case::locked_table(Stall::LockedTable)]
#[case::locked_keys(Stall::LockedKeys)]
#[tokio::test(flavor = "multi_thread")]
async fn stalled_writes_leave_reads_served(
    #[case] stall: Stall,
    #[values(3, 10)] connections: u32,
) {
    let server = Server::start(ServerSettings::Fast);
    let database = TestDb::on_server(&server);
    let repo = Arc::new(open(&database.url(), connections));
    place(&repo, new_order(1)).await;

    let mut session = database.session();
    stall.begin(&mut session);
    let writes = start_writes(&repo);
    while !writes.is_finished() {
        read_everything(&repo).await;
        sleep(Duration::from_millis(50)).await;
    }
    stall.end(&mut session);

    let mut failed = 0;
    for write in writes.await.unwrap() {
        if let Err(error) = write.await.unwrap() {
            assert!(stall.is_expected(&error), "{error:?}");
            failed += 1;
        }
    }
    assert!(failed > 0, "the writes did not wait");
    // The same repository, without a restart.
    read_everything(&repo).await;
    place(&repo, new_order(2)).await;
    place(&repo, keyed(3, "afterwards")).await;
}

/// Reads and writes share the only connection.
#[tokio::test(flavor = "multi_thread")]
async fn one_connection_serves_reads_and_writes() {
    let database = TestDb::new();
    let repo = open(&database.url(), 1);
    place(&repo, new_order(1)).await;
    read_everything(&repo).await;
    assert_eq!(repo.pool_status().max, 1);
}
