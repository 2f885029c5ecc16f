//! Requests that share a statement: a failure affects one request only, and queues are bounded.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use order_conformance::repo::{
    RepoFixture,
    disconnects::{
        DisconnectableFixture, disconnected_placements_are_unknown_and_settled_by_key,
        disconnected_takes_are_unknown_and_settled_by_key,
    },
};
use order_domain::{OrderRepo, PlaceOutcome, RepoError, Take, TakeOutcome};
use order_repo_postgres::PgOrderRepo;
use order_test_postgres::{Server, ServerSettings, Session, TestDb};
use tokio::{task::JoinSet, time::timeout};

use super::fixture::{Fixture, key, keyed, new_order, newest, open, place, take_without_key};

/// A fixture with a session that locks its orders, and one that closes connections.
struct Disconnectable {
    fixture: Fixture,
    sessions: Mutex<Option<(Session, Session)>>,
}

fn disconnectable() -> Disconnectable {
    Disconnectable { fixture: Fixture::new(), sessions: Mutex::default() }
}

#[async_trait]
impl RepoFixture for Disconnectable {
    async fn repo(&self) -> Arc<dyn OrderRepo> {
        self.fixture.repo().await
    }
}

impl DisconnectableFixture for Disconnectable {
    fn block(&self) {
        let mut locking = self.fixture.raw();
        locking.execute("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
        *self.sessions.lock().unwrap() = Some((locking, self.fixture.raw()));
    }

    fn disconnect_blocked(&self) -> usize {
        let mut sessions = self.sessions.lock().unwrap();
        let (_, closing) = sessions.as_mut().unwrap();
        let closed = closing.number(
            "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        );
        closed.try_into().unwrap()
    }

    fn release(&self) {
        let (mut locking, _) = self.sessions.lock().unwrap().take().unwrap();
        locking.execute("ROLLBACK");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnected_placements_are_settled_by_their_keys() {
    disconnected_placements_are_unknown_and_settled_by_key(&disconnectable()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnected_takes_are_settled_by_their_keys() {
    disconnected_takes_are_unknown_and_settled_by_key(&disconnectable()).await;
}

/// Starts one call for each number, and waits for all.
async fn call_all<T: Send + 'static, F>(
    repo: &Arc<PgOrderRepo>,
    numbers: impl IntoIterator<Item = u16>,
    call: impl Fn(Arc<PgOrderRepo>, u16) -> F,
) -> Vec<(u16, Result<T, RepoError>)>
where
    F: Future<Output = Result<T, RepoError>> + Send + 'static,
{
    let calls = numbers.into_iter().map(|n| {
        let outcome = call(Arc::clone(repo), n);
        async move { (n, outcome.await) }
    });
    calls.collect::<JoinSet<_>>().join_all().await
}

/// A placement waits 2 s for its key, which decides its outcome. No other request fails.
#[tokio::test(flavor = "multi_thread")]
async fn key_held_by_another_transaction_fails_only_its_placement() {
    let fixture = Fixture::new();
    let repo = Arc::new(fixture.open());
    let first = place(&repo, new_order(1)).await;
    let mut other = fixture.raw();
    other.execute(&format!(
        "BEGIN; INSERT INTO placement_keys VALUES ('kept', {}, now())",
        first.id
    ));
    let outcomes = call_all(&repo, 0..40, |repo, n| async move {
        let text = if n == 20 { "kept".to_owned() } else { format!("key-{n}") };
        repo.place(keyed(n, &text)).await
    })
    .await;
    for (n, outcome) in outcomes {
        match outcome {
            Ok(PlaceOutcome::Placed(_)) => assert_ne!(n, 20),
            Err(RepoError::Unavailable(_)) => assert_eq!(n, 20),
            other => panic!("{n}: {other:?}"),
        }
    }
    other.execute("ROLLBACK");
    assert_eq!(fixture.raw().number("SELECT count(*) FROM orders"), 1 + 39);
    place(&repo, keyed(20, "kept")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_held_by_another_transaction_fails_only_its_take() {
    let fixture = Fixture::new();
    let repo = Arc::new(fixture.open());
    let mut ids = vec![];
    for n in 0..40 {
        ids.push(place(&repo, new_order(n)).await.id);
    }
    let kept = place(&repo, new_order(99)).await.id;
    let mut other = fixture.raw();
    other.execute(&format!(
        "BEGIN; UPDATE orders SET status = 'TAKEN', taken_at = now(), updated_at = now(), \
         take_key = 'kept' WHERE id = {kept}"
    ));
    let outcomes = call_all(&repo, 0..40, |repo, n| {
        let text = if n == 20 { "kept".to_owned() } else { format!("key-{n}") };
        let take = Take { id: ids[usize::from(n)], key: Some(key(&text)) };
        async move { repo.take(take).await }
    })
    .await;
    for (n, outcome) in outcomes {
        match outcome {
            Ok(TakeOutcome::Taken) => assert_ne!(n, 20),
            Err(RepoError::Unavailable(_)) => assert_eq!(n, 20),
            other => panic!("{n}: {other:?}"),
        }
    }
    other.execute("ROLLBACK");
}

/// A constraint that an operator has added rejects one order.
#[tokio::test(flavor = "multi_thread")]
async fn rejected_row_fails_no_other_request() {
    let fixture = Fixture::new();
    let repo = Arc::new(fixture.open());
    fixture.raw().execute("ALTER TABLE orders ADD CHECK (distance <> 1020)");
    let outcomes =
        call_all(&repo, 0..40, |repo, n| async move { repo.place(new_order(n)).await }).await;
    for (n, outcome) in outcomes {
        match outcome {
            Ok(PlaceOutcome::Placed(_)) => assert_ne!(n, 20),
            Err(RepoError::Refused(_)) => assert_eq!(n, 20),
            other => panic!("{n}: {other:?}"),
        }
    }
    assert_eq!(fixture.raw().number("SELECT count(*) FROM orders"), 39);
}

/// Compares the number of index scans, as counted by PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn equal_queued_lists_share_one_query() {
    const CALLS: u16 = 2_000;
    let fixture = Fixture::new();
    let repo = Arc::new(fixture.open());
    for n in 0..10 {
        place(&repo, new_order(n)).await;
    }
    let mut locking = fixture.raw();
    locking.execute("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    let lists = call_all(&repo, 0..CALLS, |repo, _| async move { repo.list(newest()).await });
    let release = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        locking.execute("ROLLBACK");
    };
    let (lists, ()) = tokio::join!(lists, release);
    for (_, list) in lists {
        assert_eq!(list.unwrap().len(), 10);
    }
    // A session reports its statistics when it ends.
    drop(repo);
    let read = "SELECT coalesce(sum(idx_scan), 0)::bigint FROM pg_stat_user_indexes \
                WHERE indexrelname = 'orders_pkey'";
    let mut raw = fixture.raw();
    let scans = raw.number(read);
    assert!(scans < i64::from(CALLS) / 10, "{scans} scans");
}

/// The server does not respond, so no request leaves the queues.
#[tokio::test(flavor = "multi_thread")]
async fn full_queues_reject_immediately_and_change_nothing() {
    const CALLS: u16 = 10_000;
    let server = Server::start(ServerSettings::Fast);
    let database = TestDb::on_server(&server);
    let repo = Arc::new(open(&database.url(), 2));
    let id = place(&repo, new_order(1)).await.id;
    let suspended = server.suspend();
    let began = Instant::now();
    let limit = Duration::from_secs(4);
    let placements = call_all(&repo, 0..CALLS, |repo, n| async move {
        Ok(timeout(limit, repo.place(new_order(n))).await)
    });
    let takes = call_all(&repo, 0..CALLS, |repo, _| async move {
        Ok(timeout(limit, repo.take(take_without_key(id))).await)
    });
    let (placements, takes) = tokio::join!(placements, takes);
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    let placements =
        placements.iter().filter(|(_, it)| matches!(it, Ok(Ok(Err(RepoError::Overloaded)))));
    let takes = takes.iter().filter(|(_, it)| matches!(it, Ok(Ok(Err(RepoError::Overloaded)))));
    for rejected in [placements.count(), takes.count()] {
        assert!((500..5_000).contains(&rejected), "{rejected} of {CALLS}");
    }
    drop(suspended);
    // Requests that were dropped in the queue have not happened, and the queues have room again.
    place(&repo, new_order(2)).await;
    let placed = database.session().number("SELECT count(*) FROM orders");
    // Two batches may have been in flight.
    assert!(placed < 500, "{placed}");
}
