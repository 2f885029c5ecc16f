//! Connection poolers before the server: those that share sessions are rejected.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use order_domain::{OrderRepo, Readiness, RepoError, StoreStatus, TakeOutcome};
use order_repo_postgres::{ConnectionInfo, OpenError, PgOrderRepo};
use order_test_postgres::{PgBouncer, PoolMode, Server, ServerSettings, Session, TestDb};
use rstest::rstest;

use super::fixture::{keyed, new_order, newest, open, place, take_without_key, try_open};

/// A generous limit for what the pool does in the background.
const NOTICED_WITHIN: Duration = Duration::from_mins(1);

/// A server, and a migrated database on it.
fn server() -> (Server, TestDb) {
    let server = Server::start(ServerSettings::Fast);
    let database = TestDb::on_server(&server);
    PgOrderRepo::migrate(&ConnectionInfo::parse(&database.url()).unwrap()).unwrap();
    (server, database)
}

async fn until<F: AsyncFnMut() -> bool>(mut condition: F, failure: &str) {
    let deadline = Instant::now() + NOTICED_WITHIN;
    while !condition().await {
        assert!(Instant::now() < deadline, "{failure}");
    }
}

#[track_caller]
fn assert_is_rejected(url: &str) {
    let error = try_open(url, 10).map(drop).unwrap_err();
    assert!(matches!(error, OpenError::SharedSession(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("session mode") && !text.contains('\n'), "{text}");
}

/// The pooler allows the sessions that docs/operations.md requires: one more than the pool.
#[tokio::test(flavor = "multi_thread")]
async fn pooler_in_session_mode_serves_every_call() {
    let (server, database) = server();
    let pooler = PgBouncer::start(&server, PoolMode::Session, 11);
    let repo = Arc::new(open(&pooler.url(database.name()), 10));
    let calls: Vec<_> = (0..64)
        .map(|n| {
            let repo = Arc::clone(&repo);
            tokio::spawn(async move {
                let placed = place(&repo, keyed(n, &format!("key-{n}"))).await;
                assert_eq!(
                    repo.take(take_without_key(placed.id)).await.unwrap(),
                    TakeOutcome::Taken
                );
                let found = repo.find(placed.id).await.unwrap().unwrap();
                assert_eq!(found.distance, placed.distance);
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(repo.check().await.unwrap(), StoreStatus::Ready);
}

#[test]
fn missing_database_is_created_through_a_pooler() {
    let server = Server::start(ServerSettings::Fast);
    let database = TestDb::on_server(&server);
    let pooler = PgBouncer::start(&server, PoolMode::Session, 4);
    drop(open(&pooler.url(database.name()), 10));
    assert!(database.exists());
}

#[rstest]
fn pooler_that_shares_sessions_is_rejected(
    #[values(PoolMode::Transaction, PoolMode::Statement)] mode: PoolMode,
    #[values(1, 4)] pool_size: u8,
) {
    let (server, database) = server();
    let pooler = PgBouncer::start(&server, mode, pool_size);
    assert_is_rejected(&pooler.url(database.name()));
    assert_is_rejected(&pooler.url("missing"));
}

/// By chance, other clients of the pooler may leave each connection its earlier session.
#[test]
fn busy_pooler_in_transaction_mode_is_rejected() {
    let (server, database) = server();
    let pooler = PgBouncer::start(&server, PoolMode::Transaction, 2);
    let url = pooler.url(database.name());
    let done = AtomicBool::new(false);
    thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                let mut session = Session::open(&url);
                while !done.load(Ordering::Relaxed) {
                    session.execute("SELECT pg_sleep(0.001)");
                }
            });
        }
        for _ in 0..3 {
            assert_is_rejected(&url);
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// A standby sends no notifications, so only the settings of the sessions can be verified.
#[test]
fn pooler_in_transaction_mode_before_a_standby_is_rejected() {
    let (server, database) = server();
    let standby = server.start_standby();
    drop(open(&standby.url(database.name()), 10));
    let pooler = PgBouncer::start(&standby, PoolMode::Transaction, 4);
    assert_is_rejected(&pooler.url(database.name()));
}

#[tokio::test(flavor = "multi_thread")]
async fn pooler_restarted_in_transaction_mode_serves_no_call() {
    let (server, database) = server();
    let mut pooler = PgBouncer::start(&server, PoolMode::Session, 20);
    let repo = open(&pooler.url(database.name()), 10);
    let id = place(&repo, new_order(1)).await.id;

    pooler.restart(PoolMode::Transaction);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(8) {
        let status = repo.check().await;
        assert!(matches!(status, Err(RepoError::Unavailable(_))), "{status:?}");
        let outcome = repo.place(new_order(2)).await;
        assert!(matches!(outcome, Err(RepoError::Unavailable(_))), "{outcome:?}");
        let found = repo.find(id).await;
        assert!(matches!(found, Err(RepoError::Unavailable(_))), "{found:?}");
    }

    pooler.restart(PoolMode::Session);
    let is_ready = async || matches!(repo.check().await, Ok(StoreStatus::Ready));
    until(is_ready, "the repository does not recover").await;
    assert_eq!(repo.list(newest()).await.unwrap().len(), 1, "nothing was placed");
}

/// The change keeps the connections, so only their use detects it.
#[tokio::test(flavor = "multi_thread")]
async fn pooler_reloaded_in_transaction_mode_is_noticed() {
    let (server, database) = server();
    let pooler = PgBouncer::start(&server, PoolMode::Session, 20);
    let repo = Arc::new(open(&pooler.url(database.name()), 10));
    place(&repo, new_order(1)).await;

    pooler.reload(PoolMode::Transaction);
    let every_call_fails = async || {
        let calls: Vec<_> = (0..64)
            .map(|n| {
                let repo = Arc::clone(&repo);
                tokio::spawn(async move {
                    let found = repo.find(1.try_into().unwrap()).await.is_err();
                    found && repo.place(new_order(n)).await.is_err()
                })
            })
            .collect();
        let mut all_fail = repo.check().await.is_err();
        for call in calls {
            all_fail &= call.await.unwrap();
        }
        all_fail
    };
    until(every_call_fails, "connections that share sessions are in use").await;
}
