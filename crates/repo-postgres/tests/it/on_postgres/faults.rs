//! Closed connections, and servers that stop, restart, do not respond or become read-only.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use order_domain::{OrderRepo, RepoError, TakeOutcome};
use order_repo_postgres::PgOrderRepo;
use order_test_postgres::{Server, ServerSettings, TestDb, wait_for};

use super::fixture::{
    Fixture, key, keyed, new_order, newest, open, place, take_with_key, take_without_key,
};

/// Closes the connections of other sessions, and waits until they are closed.
const CLOSE_OTHERS: &str = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
                              WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// Uses all connections at the same time, so that the pool opens them.
async fn warm_up(repo: &Arc<PgOrderRepo>) {
    let calls: Vec<_> = (0..32)
        .map(|_| {
            let repo = Arc::clone(repo);
            tokio::spawn(async move { repo.list(newest()).await.unwrap() })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_closed_by_the_server_fail_no_call() {
    let fixture = Fixture::new();
    let repo = Arc::new(fixture.open());
    for n in 0..10 {
        warm_up(&repo).await;
        fixture.raw().execute(CLOSE_OTHERS);
        // Each kind of call is the first in turn.
        let id = match n % 3 {
            0 => place(&repo, new_order(n)).await.id,
            1 => place(&repo, keyed(n, &format!("key-{n}"))).await.id,
            _ => {
                let id = place(&repo, new_order(n)).await.id;
                fixture.raw().execute(CLOSE_OTHERS);
                assert_eq!(repo.take(take_without_key(id)).await.unwrap(), TakeOutcome::Taken);
                id
            }
        };
        fixture.raw().execute(CLOSE_OTHERS);
        assert!(repo.find(id).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn restarted_server_leaves_no_stale_connection() {
    let server = Server::start(ServerSettings::Fast);
    let database = TestDb::on_server(&server);
    let repo = Arc::new(open(&database.url(), 8));
    let first = place(&repo, keyed(1, "key")).await;
    for kill in [false, true] {
        warm_up(&repo).await;
        if kill {
            server.kill();
        } else {
            server.stop();
        }
        let began = Instant::now();
        let outcome = repo.place(new_order(2)).await;
        assert!(matches!(outcome, Err(RepoError::Unavailable(_))), "{outcome:?}");
        let outcome = repo.find(first.id).await;
        assert!(matches!(outcome, Err(RepoError::Unavailable(_))), "{outcome:?}");
        // Two waits of 3 s.
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        server.restart();
        // The pool tries by itself, once a second at least.
        let deadline = Instant::now() + Duration::from_secs(30);
        while repo.find(first.id).await.is_err() {
            assert!(Instant::now() < deadline, "no connection is made");
        }
        for n in 3..20 {
            place(&repo, new_order(n)).await;
        }
        assert_eq!(repo.find_placement(&key("key")).await.unwrap(), Some(first));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_that_became_read_only_is_replaced() {
    let fixture = Fixture::new();
    let repo = Arc::new(fixture.open());
    let read_only = |on: bool| {
        let name = fixture.database.name();
        let set = format!("ALTER DATABASE \"{name}\" SET default_transaction_read_only = {on}");
        fixture.database.server().execute(&set);
    };
    // The connections of the pool are read-only; new ones may write.
    read_only(true);
    fixture.raw().execute(CLOSE_OTHERS);
    warm_up(&repo).await;
    read_only(false);
    for n in 0..20 {
        let id = place(&repo, new_order(n)).await.id;
        assert_eq!(repo.take(take_without_key(id)).await.unwrap(), TakeOutcome::Taken);
    }

    read_only(true);
    fixture.raw().execute(CLOSE_OTHERS);
    let outcome = repo.place(new_order(1)).await;
    assert!(matches!(outcome, Err(RepoError::Refused(_))), "{outcome:?}");
    assert_eq!(repo.list(newest()).await.unwrap().len(), 10, "reads continue");
}

/// The statement is in flight when its connection is closed, so its outcome is unknown.
#[tokio::test(flavor = "multi_thread")]
async fn disconnect_leaves_a_write_unknown_and_repeats_a_read() {
    let fixture = Fixture::new();
    let repo = Arc::new(fixture.open());
    let id = place(&repo, new_order(1)).await.id;
    // The calls wait at most 2 s for this lock.
    let mut other = fixture.raw();
    other.execute("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    let calls = {
        let (one, two, three) = (Arc::clone(&repo), Arc::clone(&repo), Arc::clone(&repo));
        (
            tokio::spawn(async move { one.place(keyed(2, "key")).await }),
            tokio::spawn(async move { two.take(take_without_key(id)).await }),
            tokio::spawn(async move { three.find(id).await }),
        )
    };
    let waiting = "SELECT count(*) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let mut server = fixture.raw();
    let all_wait = || server.number(waiting) >= 3;
    wait_for(Duration::from_secs(20), all_wait, || "the calls do not wait".to_owned());
    server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock'",
    );
    let placed = calls.0.await.unwrap();
    assert!(matches!(placed, Err(RepoError::OutcomeUnknown(_))), "{placed:?}");
    let taken = calls.1.await.unwrap();
    assert!(matches!(taken, Err(RepoError::OutcomeUnknown(_))), "{taken:?}");
    other.execute("COMMIT");
    assert!(calls.2.await.unwrap().unwrap().is_some(), "the read is repeated");

    // A retry settles the outcome.
    place(&repo, keyed(2, "key")).await;
    assert_eq!(repo.take(take_without_key(id)).await.unwrap(), TakeOutcome::Taken);
}

/// The server keeps its connections, so only a timeout detects this.
#[tokio::test(flavor = "multi_thread")]
async fn unresponsive_server_is_reported_in_time() {
    let server = Server::start(ServerSettings::Fast);
    let database = TestDb::on_server(&server);
    let repo = open(&database.url(), 2);
    let id = place(&repo, new_order(1)).await.id;
    tokio::join!(repo.list(newest()), repo.list(newest())).0.unwrap();
    let suspended = server.suspend();
    let began = Instant::now();
    let take = take_with_key(id, "key");
    let (taken, found) = tokio::join!(repo.take(take.clone()), repo.find(id));
    assert!(matches!(taken, Err(RepoError::OutcomeUnknown(_))), "{taken:?}");
    assert!(matches!(found, Err(RepoError::Unavailable(_))), "{found:?}");
    // The connections are abandoned, and no others can be opened.
    let placed = repo.place(new_order(2)).await;
    assert!(matches!(placed, Err(RepoError::Unavailable(_))), "{placed:?}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    drop(suspended);
    // The first take continues with the server. The retry is the same take, whichever is first.
    let again = loop {
        match repo.take(take.clone()).await.unwrap() {
            TakeOutcome::Busy => {}
            outcome => break outcome,
        }
    };
    assert!(matches!(again, TakeOutcome::Taken | TakeOutcome::Replayed), "{again:?}");
    assert_eq!(repo.list(newest()).await.unwrap().len(), 1, "nothing was placed");
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_table_is_unavailable_in_time_and_unchanged() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let id = place(&repo, new_order(1)).await.id;
    let mut other = fixture.raw();
    other.execute("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    let began = Instant::now();
    let outcome = repo.take(take_without_key(id)).await;
    assert!(matches!(outcome, Err(RepoError::Unavailable(_))), "{outcome:?}");
    assert!((1_800..10_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    other.execute("COMMIT");
    assert_eq!(repo.take(take_without_key(id)).await.unwrap(), TakeOutcome::Taken);
}

/// The time in the queue counts: the calls wait at the same time, not one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn queued_calls_fail_together_while_the_server_is_down() {
    let server = Server::start(ServerSettings::Fast);
    let database = TestDb::on_server(&server);
    let repo = Arc::new(open(&database.url(), 1));
    let id = place(&repo, new_order(1)).await.id;
    server.stop();
    let began = Instant::now();
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let repo = Arc::clone(&repo);
            tokio::spawn(async move { repo.find(id).await })
        })
        .collect();
    for call in calls {
        assert!(matches!(call.await.unwrap(), Err(RepoError::Unavailable(_))));
    }
    // In sequence, the third call would wait 9 s.
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_calls_are_served_by_a_slow_server() {
    let fixture = Fixture::new();
    let repo = Arc::new(open(&fixture.database.url(), 1));
    fixture.raw().execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             PERFORM pg_sleep(1); RETURN NEW; END $$; \
         CREATE TRIGGER wait BEFORE INSERT ON orders EXECUTE FUNCTION wait()",
    );
    let calls: Vec<_> = (0..5)
        .map(|n| {
            let repo = Arc::clone(&repo);
            tokio::spawn(async move { place(&repo, new_order(n)).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
}

/// This holds for every setting of the database. The operator decides whether a standby must have
/// applied a commit.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_change_is_on_the_disk() {
    let fixture = Fixture::new();
    fixture.open();
    for (set, expected) in [
        ("off", "on"),
        ("local", "on"),
        ("remote_write", "on"),
        ("on", "on"),
        ("remote_apply", "remote_apply"),
    ] {
        fixture.database.server().execute(&format!(
            "ALTER DATABASE \"{}\" SET synchronous_commit = {set}",
            fixture.database.name()
        ));
        assert_eq!(setting_of(&fixture.database, "synchronous_commit").await, expected, "{set}");
    }
}

/// A session that does not set the level itself would adopt the reloaded one.
#[tokio::test(flavor = "multi_thread")]
async fn reload_does_not_lower_the_durability_of_open_connections() {
    let server = Server::start(ServerSettings::Fast);
    let database = TestDb::on_server(&server);
    let repo = open(&database.url(), 1);
    place(&repo, new_order(1)).await;
    database.server().execute("ALTER SYSTEM SET synchronous_commit = off");
    database.server().execute("SELECT pg_reload_conf()");
    let is_off = || database.session().text("current_setting('synchronous_commit')") == "off";
    wait_for(Duration::from_mins(1), is_off, || "the settings are not reloaded".to_owned());
    assert_eq!(setting_seen_by(&repo, &database, "synchronous_commit").await, "on");
}

async fn setting_of(database: &TestDb, name: &str) -> String {
    let repo = open(&database.url(), 8);
    setting_seen_by(&repo, database, name).await
}

/// A setting in the sessions of the repository. Only these can read it, so a trigger records it.
async fn setting_seen_by(repo: &PgOrderRepo, database: &TestDb, name: &str) -> String {
    let mut raw = database.session();
    raw.execute(
        "DROP TABLE IF EXISTS recorded; CREATE TABLE recorded (name text, value text); \
         CREATE OR REPLACE FUNCTION record() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             INSERT INTO recorded SELECT name, setting FROM pg_settings; RETURN NEW; END $$; \
         CREATE OR REPLACE TRIGGER record AFTER INSERT ON orders \
             FOR EACH ROW EXECUTE FUNCTION record()",
    );
    place(repo, new_order(1)).await;
    raw.text(&format!("SELECT value FROM recorded WHERE name = '{name}'"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_connection_has_timeouts() {
    let fixture = Fixture::new();
    for (name, value) in [
        ("statement_timeout", "5000"),
        ("lock_timeout", "2000"),
        ("idle_in_transaction_session_timeout", "5000"),
        ("default_transaction_isolation", "read committed"),
        ("jit", "off"),
        ("enable_seqscan", "off"),
        ("application_name", "order-api"),
    ] {
        assert_eq!(setting_of(&fixture.database, name).await, value, "{name}");
    }
}
