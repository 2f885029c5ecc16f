//! Databases that respond but reject every change: standbys, settings, missing privileges.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use order_domain::{OrderRepo, Readiness, RepoError, StoreStatus, Take, TakeOutcome};
use order_repo_postgres::{ConnectionInfo, PgOrderRepo};
use order_test_postgres::{Server, ServerSettings, Session, TestDb};
use rstest::rstest;
use tokio::time::sleep;

use super::fixture::{Fixture, key, keyed, new_order, newest, open, place, take_without_key};

/// A generous limit for what takes a second or two.
const NOTICED_WITHIN: Duration = Duration::from_mins(1);

async fn until(expected: StoreStatus, repo: &PgOrderRepo) {
    let deadline = Instant::now() + NOTICED_WITHIN;
    loop {
        let status = repo.check().await;
        if status.as_ref().is_ok_and(|status| *status == expected) {
            return;
        }
        assert!(Instant::now() < deadline, "{status:?} instead of {expected:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn statuses(repo: &PgOrderRepo) -> Vec<StoreStatus> {
    let mut statuses = vec![];
    for _ in 0..20 {
        statuses.push(repo.check().await.unwrap());
        sleep(Duration::from_millis(100)).await;
    }
    statuses.dedup();
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn standby_is_read_only_until_it_is_promoted() {
    let primary = Server::start(ServerSettings::Fast);
    let database = TestDb::on_server(&primary);
    let id = place(&open(&database.url(), 8), new_order(1)).await.id;
    let standby = primary.start_standby();

    let repo = open(&standby.url(database.name()), 8);
    assert_eq!(repo.check().await.unwrap(), StoreStatus::ReadOnly);
    let outcome = repo.place(new_order(2)).await;
    assert!(matches!(outcome, Err(RepoError::Refused(_))), "{outcome:?}");
    assert_eq!(statuses(&repo).await, [StoreStatus::ReadOnly]);
    assert!(repo.find(id).await.unwrap().is_some(), "reads continue");

    standby.promote();
    until(StoreStatus::Ready, &repo).await;
    place(&repo, new_order(3)).await;
}

/// The level at which a database is set read-only.
#[derive(Clone, Copy, Debug)]
enum Level {
    Server,
    Database,
    Role,
    RoleInDatabase,
}

impl Level {
    fn set(self, database: &TestDb, value: &str) {
        let name = database.name();
        let mut server = database.server();
        server.execute("SET default_transaction_read_only = off");
        let role = server.text("quote_ident(session_user)");
        let subject = match self {
            Self::Server => "SYSTEM".to_owned(),
            Self::Database => format!("DATABASE \"{name}\""),
            Self::Role => format!("ROLE {role}"),
            Self::RoleInDatabase => format!("ROLE {role} IN DATABASE \"{name}\""),
        };
        server.execute(&format!("ALTER {subject} SET default_transaction_read_only = {value}"));
        server.execute("SELECT pg_reload_conf()");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn database_that_is_set_read_only_is_reported(
    #[values(Level::Server, Level::Database, Level::Role, Level::RoleInDatabase)] level: Level,
    #[values("off", "DEFAULT")] undo: &str,
) {
    let server = Server::start(ServerSettings::Fast);
    let database = TestDb::on_server(&server);
    let repo = open(&database.url(), 8);
    place(&repo, new_order(1)).await;

    // With open connections.
    level.set(&database, "on");
    until(StoreStatus::ReadOnly, &repo).await;
    // With new connections.
    let repo = open(&database.url(), 8);
    assert_eq!(statuses(&repo).await, [StoreStatus::ReadOnly]);
    let outcome = repo.place(new_order(2)).await;
    assert!(matches!(outcome, Err(RepoError::Refused(_))), "{outcome:?}");
    assert_eq!(statuses(&repo).await, [StoreStatus::ReadOnly]);
    assert_eq!(repo.list(newest()).await.unwrap().len(), 1, "reads continue");

    level.set(&database, undo);
    until(StoreStatus::Ready, &repo).await;
    place(&repo, new_order(3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn setting_of_the_address_precedes_that_of_the_database() {
    let fixture = Fixture::new();
    fixture.open();
    Level::Database.set(&fixture.database, "on");
    let option = "?options=-c%20default_transaction_read_only%3Doff";
    let repo = open(&format!("{}{option}", fixture.database.url()), 8);
    assert_eq!(repo.check().await.unwrap(), StoreStatus::Ready);
    place(&repo, new_order(1)).await;
}

/// The check reads no table of orders.
#[tokio::test(flavor = "multi_thread")]
async fn locked_tables_do_not_hold_up_the_check() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let mut other = fixture.raw();
    other.execute("BEGIN; LOCK TABLE orders, placement_keys IN ACCESS EXCLUSIVE MODE");
    assert_eq!(repo.check().await.unwrap(), StoreStatus::Ready);
    other.execute("COMMIT");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_migrations_are_reported() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    for statement in [
        "DROP TABLE placement_keys, orders",
        "DELETE FROM __diesel_schema_migrations",
        "DROP TABLE __diesel_schema_migrations",
    ] {
        fixture.raw().execute("DELETE FROM __diesel_schema_migrations WHERE version LIKE '%1'");
        fixture.raw().execute(statement);
        assert_eq!(repo.check().await.unwrap(), StoreStatus::MigrationsPending, "{statement}");
    }
}

/// All privileges that a role needs, with their columns.
const PRIVILEGES: [(&str, &str, &[&str]); 8] = [
    (
        "SELECT",
        "orders",
        &[
            "id",
            "origin_latitude",
            "origin_longitude",
            "destination_latitude",
            "destination_longitude",
            "distance",
            "status",
            "created_at",
            "taken_at",
            "take_key",
            "ctid",
        ],
    ),
    (
        "INSERT",
        "orders",
        &[
            "id",
            "origin_latitude",
            "origin_longitude",
            "destination_latitude",
            "destination_longitude",
            "distance",
            "status",
            "created_at",
            "updated_at",
        ],
    ),
    ("UPDATE", "orders", &["status", "updated_at", "taken_at", "take_key"]),
    ("SELECT", "placement_keys", &["key", "order_id", "created_at", "ctid"]),
    ("INSERT", "placement_keys", &["key", "order_id", "created_at"]),
    ("UPDATE", "placement_keys", &["order_id", "created_at"]),
    ("DELETE", "placement_keys", &[]),
    ("USAGE", "SEQUENCE orders_id_seq", &[]),
];

/// Each privilege, as it is written in a statement.
fn privileges() -> Vec<(String, &'static str)> {
    let each = PRIVILEGES.into_iter().flat_map(|(privilege, relation, columns)| {
        let of_columns = columns.iter().map(move |column| format!("{privilege} ({column})"));
        let whole = columns.is_empty().then(|| privilege.to_owned());
        of_columns.chain(whole).map(move |privilege| (privilege, relation))
    });
    each.collect()
}

/// Every kind of call once.
async fn every_call(repo: &PgOrderRepo, n: u16) -> Result<(), RepoError> {
    let name = format!("key-{n}");
    repo.place(keyed(n, &name)).await?;
    let placed = repo.find_placement(&key(&name)).await?.expect("it was placed a moment ago");
    let taken = repo.take(Take { id: placed.id, key: Some(key(&name)) }).await?;
    assert_eq!(taken, TakeOutcome::Taken);
    repo.list(newest()).await?;
    repo.find(placed.id).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn role_is_ready_with_exactly_the_privileges_it_needs() {
    let server = Server::start(ServerSettings::Fast);
    let database = TestDb::on_server(&server);
    PgOrderRepo::migrate(&ConnectionInfo::parse(&database.url()).unwrap()).unwrap();
    let mut owner = database.session();
    owner.execute(
        "CREATE ROLE clerk LOGIN PASSWORD 'clerk-password'; \
         GRANT SELECT ON __diesel_schema_migrations TO clerk",
    );
    let clerk = format!("clerk:clerk-password@127.0.0.1:{}", server.port());
    let repo = open(&format!("postgres://{clerk}/{}", database.name()), 8);
    assert_eq!(repo.check().await.unwrap(), StoreStatus::ReadOnly, "it has no privilege");

    let change = |owner: &mut Session, verb: &str, to: &str, (privilege, relation): &(_, _)| {
        owner.execute(&format!("{verb} {privilege} ON {relation} {to} clerk"));
    };
    for privilege in &privileges() {
        change(&mut owner, "GRANT", "TO", privilege);
    }
    assert_eq!(repo.check().await.unwrap(), StoreStatus::Ready);
    every_call(&repo, 0).await.unwrap();

    for (n, privilege) in (1..).zip(&privileges()) {
        change(&mut owner, "REVOKE", "FROM", privilege);
        assert_eq!(repo.check().await.unwrap(), StoreStatus::ReadOnly, "{privilege:?}");
        assert!(every_call(&repo, n).await.is_err(), "{privilege:?} is not needed");
        change(&mut owner, "GRANT", "TO", privilege);
        assert_eq!(repo.check().await.unwrap(), StoreStatus::Ready, "{privilege:?}");
    }

    owner.execute(
        "REVOKE ALL ON orders, placement_keys FROM clerk; \
         GRANT SELECT, INSERT, UPDATE ON orders TO clerk; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON placement_keys TO clerk; \
         REVOKE ALL ON SEQUENCE orders_id_seq FROM clerk; \
         GRANT UPDATE ON SEQUENCE orders_id_seq TO clerk",
    );
    assert_eq!(repo.check().await.unwrap(), StoreStatus::Ready, "privileges on whole tables");
    every_call(&repo, 1000).await.unwrap();

    for table in ["orders", "placement_keys"] {
        owner.execute(&format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"));
        assert_eq!(repo.check().await.unwrap(), StoreStatus::ReadOnly, "{table} without a policy");
        owner.execute(&format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"));
        assert_eq!(repo.check().await.unwrap(), StoreStatus::Ready, "{table}");
    }
}

/// A rejected take invalidates connections of a standby that are valid.
#[tokio::test(flavor = "multi_thread")]
async fn rejected_changes_leave_the_status_of_a_standby_correct() {
    let primary = Server::start(ServerSettings::Fast);
    let database = TestDb::on_server(&primary);
    let id = place(&open(&database.url(), 8), new_order(1)).await.id;
    let standby = primary.start_standby();
    let repo = Arc::new(open(&standby.url(database.name()), 8));
    for _ in 0..10 {
        let (taken, status) = tokio::join!(repo.take(take_without_key(id)), repo.check());
        assert!(matches!(taken, Err(RepoError::Refused(_))), "{taken:?}");
        assert_eq!(status.unwrap(), StoreStatus::ReadOnly);
        sleep(Duration::from_millis(100)).await;
    }
}
