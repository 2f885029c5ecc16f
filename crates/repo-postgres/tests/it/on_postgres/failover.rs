//! A standby takes the place of a primary that does not respond, and that continues later.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use order_domain::{OrderId, OrderRepo, RepoError, TakeOutcome};
use order_repo_postgres::PgOrderRepo;
use order_test_postgres::{Server, ServerSettings, Session, TestDb, wait_for};
use tokio::{task::JoinHandle, time::sleep};

use super::fixture::{new_order, newest, open, place, take_without_key};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A primary and its standby, and a repository that has the addresses of both.
struct Cluster {
    primary: Server,
    standby: Server,
    database: TestDb,
    repo: Arc<PgOrderRepo>,
}

impl Cluster {
    /// The standby has the order that is returned.
    async fn start(connections: u32) -> (Self, OrderId) {
        let primary = Server::start(ServerSettings::Fast);
        let database = TestDb::on_server(&primary);
        let standby = primary.start_standby();
        let host = |server: &Server| format!("127.0.0.1:{}", server.port());
        let both = format!("{},{}", host(&primary), host(&standby));
        let url = database.url().replace(&host(&primary), &both);
        let repo = Arc::new(open(&url, connections));
        let id = place(&repo, new_order(1)).await.id;
        let cluster = Self { primary, standby, database, repo };
        let session = |server: &Server| Session::open(&server.url("postgres"));
        let written = session(&cluster.primary).text("pg_current_wal_lsn()");
        let has_replayed = format!("(pg_last_wal_replay_lsn() >= '{written}')::integer");
        let is_replicated = || session(&cluster.standby).number(&has_replayed) == 1;
        wait_for(TIMEOUT, is_replicated, || "the standby lacks the order".to_owned());
        (cluster, id)
    }

    /// As many reads and takes as there are connections.
    fn use_all_connections(&self, id: OrderId) -> Vec<JoinHandle<Result<(), RepoError>>> {
        (0..8)
            .map(|n| {
                let repo = Arc::clone(&self.repo);
                tokio::spawn(async move {
                    sleep(Duration::from_millis(1_100 * (n / 2))).await;
                    if n % 2 == 0 {
                        repo.find(id).await.map(drop)
                    } else {
                        repo.take(take_without_key(id)).await.map(drop)
                    }
                })
            })
            .collect()
    }

    async fn place_within_timeout(&self) -> OrderId {
        let began = Instant::now();
        loop {
            match self.repo.place(new_order(2)).await {
                Ok(_) => return self.repo.list(newest()).await.unwrap()[0].id,
                Err(RepoError::Corrupt(error) | RepoError::Refused(error)) => panic!("{error}"),
                Err(_) => assert!(began.elapsed() < TIMEOUT, "no server is found"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_primary_is_left_for_the_promoted_standby() {
    let (cluster, first) = Cluster::start(4).await;
    let repo = &cluster.repo;
    let suspended = cluster.primary.suspend();
    let stalled = cluster.use_all_connections(first);
    sleep(Duration::from_secs(5)).await;
    assert!(repo.pool_status().abandoned > 0, "{:?}", repo.pool_status());
    cluster.standby.promote();
    let second = cluster.place_within_timeout().await;

    // The calls on the former primary fail by themselves, and no other.
    for _ in 0..100 {
        assert!(repo.find(second).await.unwrap().is_some());
    }
    let third = place(repo, new_order(3)).await.id;
    drop(suspended);
    for call in stalled {
        let _ = call.await.unwrap();
    }
    let is_settled = || repo.pool_status().abandoned == 0;
    wait_for(TIMEOUT, is_settled, || format!("{:?}", repo.pool_status()));

    // The former primary accepts writes again, and is the first host of the address.
    let mut former = cluster.database.session();
    former.execute("CREATE TABLE writable ()");
    for id in [second, third] {
        assert_eq!(repo.take(take_without_key(id)).await.unwrap(), TakeOutcome::Taken);
    }
    assert_eq!(former.number("SELECT count(*) FROM orders"), 1);

    // It does not take the place of the new one.
    cluster.standby.stop();
    let found = repo.find(third).await;
    assert!(matches!(found, Err(RepoError::Unavailable(_))), "{found:?}");
    cluster.standby.restart();
    let began = Instant::now();
    while repo.find(third).await.is_err() {
        assert!(began.elapsed() < TIMEOUT, "no connection is made");
    }
}

/// Nothing is in flight that could fail.
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_to_a_suspended_primary_fail_no_later_call() {
    let (cluster, first) = Cluster::start(4).await;
    let suspended = cluster.primary.suspend();
    sleep(Duration::from_secs(5)).await;
    cluster.standby.promote();
    let second = cluster.place_within_timeout().await;
    drop(suspended);
    for id in [first, second] {
        assert_eq!(cluster.repo.take(take_without_key(id)).await.unwrap(), TakeOutcome::Taken);
    }
}

/// No other host is the primary, so waiting for the standby to be promoted is right.
#[tokio::test(flavor = "multi_thread")]
async fn standby_is_not_used_where_several_hosts_are_given() {
    let (cluster, first) = Cluster::start(4).await;
    cluster.primary.stop();
    let found = cluster.repo.find(first).await;
    assert!(matches!(found, Err(RepoError::Unavailable(_))), "{found:?}");
    cluster.standby.promote();
    cluster.place_within_timeout().await;
}
