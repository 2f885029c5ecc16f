//! From an address to a repository: what is created, what survives, what is refused.

use std::{
    env,
    net::TcpListener,
    num::NonZero,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use order_domain::{OrderRepo, OrderStatus, TakeOutcome};
use order_repo_postgres::{ConnectionInfo, OpenError, PgOrderRepo};
use order_test_postgres::{Server, ServerSettings, TestDb};

use super::fixture::{Fixture, key, keyed, new_order, newest, place, wish};

fn migrate(url: &str) -> Result<(), OpenError> {
    PgOrderRepo::migrate(&ConnectionInfo::parse(url).unwrap())
}

/// The whole chain of an error on one line, as the service shows it.
fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let text = chain.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    assert!(!text.contains('\n'), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_database_is_created() {
    let fixture = Fixture::new();
    assert!(!fixture.database.exists());
    place(&fixture.open(), new_order(1)).await;
    assert!(fixture.database.exists());
}

#[test]
fn database_name_is_quoted() {
    let database = TestDb::new();
    let strange = format!("{}\"; '%", database.name());
    let mut server = database.server();
    let url =
        database.url().replace(database.name(), &strange.replace('%', "%25").replace(' ', "%20"));
    migrate(&url).unwrap();
    let quoted = strange.replace('\'', "''");
    assert_eq!(
        server.number(&format!("SELECT count(*) FROM pg_database WHERE datname = '{quoted}'")),
        1
    );
    server.execute(&format!("DROP DATABASE \"{}\"", strange.replace('"', "\"\"")));
}

#[tokio::test(flavor = "multi_thread")]
async fn reopened_store_keeps_orders_and_keys() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let placed = place(&repo, keyed(1, "key")).await;
    assert_eq!(repo.take(wish(placed.id)).await.unwrap(), TakeOutcome::Taken);
    let before = repo.find(placed.id).await.unwrap().unwrap();
    drop(repo);

    let repo = fixture.open();
    let after = repo.find(placed.id).await.unwrap().unwrap();
    assert_eq!((after.status(), &after), (OrderStatus::Taken, &before));
    assert_eq!(repo.find_placement(&key("key")).await.unwrap(), Some(placed));
    assert!(place(&repo, new_order(2)).await.id > placed.id);
}

#[test]
fn threads_open_one_new_store_concurrently() {
    for _ in 0..3 {
        let fixture = Fixture::new();
        thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| drop(fixture.open()));
            }
        });
        assert_eq!(fixture.raw().number("SELECT count(*) FROM orders"), 0);
    }
}

const CHILDS_DATABASE: &str = "ORDER_REPO_POSTGRES_TEST_URL";

#[test]
fn processes_open_one_new_database_concurrently() {
    let fixture = Fixture::new();
    let children: Vec<_> = (0..8)
        .map(|_| {
            Command::new(env::current_exe().unwrap())
                .args(["--exact", "on_postgres::opening::child_process_opens_the_given_database"])
                .env(CHILDS_DATABASE, fixture.database.url())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(fixture.raw().number("SELECT count(*) FROM orders"), 0);
}

/// Run by the test above as a process of its own; alone it opens a database of its own.
#[test]
fn child_process_opens_the_given_database() {
    match env::var(CHILDS_DATABASE) {
        Ok(url) => migrate(&url).unwrap(),
        Err(_) => drop(Fixture::new().open()),
    }
}

#[test]
fn failed_migration_leaves_the_tables_unchanged() {
    let fixture = Fixture::new();
    fixture.database.create();
    let mut raw = fixture.raw();
    raw.execute("CREATE TABLE placement_keys (mine text)");
    let error = migrate(&fixture.database.url()).unwrap_err();
    assert!(matches!(error, OpenError::Migrate(_)), "{error:?}");
    assert!(raw.try_to_execute("SELECT id FROM orders").is_err(), "half of it was done");
    raw.execute("SELECT mine FROM placement_keys; DROP TABLE placement_keys");
    migrate(&fixture.database.url()).unwrap();
}

/// Who waits for the lock must see what was done meanwhile.
#[test]
fn concurrent_starts_succeed_at_every_isolation_level() {
    for level in ["repeatable read", "serializable"] {
        let fixture = Fixture::new();
        fixture.database.create();
        fixture.database.server().execute(&format!(
            "ALTER DATABASE \"{}\" SET default_transaction_isolation = '{level}'",
            fixture.database.name()
        ));
        thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| migrate(&fixture.database.url()).unwrap());
            }
        });
    }
}

/// It takes the connection and says nothing.
#[test]
fn silent_host_times_out() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://u@{}/d", silent.local_addr().unwrap());
    let began = Instant::now();
    let error = migrate(&url).unwrap_err();
    assert!(causes(&error).contains("timeout expired"), "{error:?}");
    // Twice 2 s: the database itself, and the server's own.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_host_is_skipped_for_the_next() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::start(ServerSettings::Fast);
    let url = server.url("orders").replace('@', &format!("@{},", silent.local_addr().unwrap()));
    let info = ConnectionInfo::parse(&url).unwrap();
    let repo = PgOrderRepo::open(&info, NonZero::new(2).unwrap()).unwrap();
    // Each connection waits for the first host for 2 s, and a call for a connection for 3 s. On a
    // machine that is busy otherwise that may take a second call.
    let deadline = Instant::now() + Duration::from_secs(30);
    while repo.list(newest()).await.is_err() {
        assert!(Instant::now() < deadline, "the second host is not found");
    }
    place(&repo, new_order(1)).await;
}

/// A role for the test, which may do nothing but log in. Dropped with its server.
fn with_a_role(server: &Server, database: &TestDb) -> String {
    database.server().execute("CREATE ROLE clerk LOGIN PASSWORD 'clerk-password'");
    format!("postgres://clerk:clerk-password@127.0.0.1:{}/{}", server.port(), database.name())
}

#[tokio::test(flavor = "multi_thread")]
async fn role_without_ownership_can_serve_but_not_migrate() {
    let server = Server::start(ServerSettings::Fast);
    let database = TestDb::on_server(&server);
    let clerk = with_a_role(&server, &database);

    let error = migrate(&clerk).unwrap_err();
    assert!(matches!(error, OpenError::Create(_)), "{error:?}");
    assert!(causes(&error).contains("permission denied to create database"), "{error:?}");

    database.create();
    let error = migrate(&clerk).unwrap_err();
    assert!(matches!(error, OpenError::Migrate(_)), "{error:?}");

    migrate(&database.url()).unwrap();
    database.session().execute(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON orders, placement_keys TO clerk; \
         GRANT SELECT ON __diesel_schema_migrations TO clerk; \
         GRANT USAGE ON SEQUENCE orders_id_seq TO clerk",
    );
    let info = ConnectionInfo::parse(&clerk).unwrap();
    let repo = PgOrderRepo::open(&info, NonZero::new(2).unwrap()).unwrap();
    let id = place(&repo, keyed(1, "key")).await.id;
    assert_eq!(repo.take(wish(id)).await.unwrap(), TakeOutcome::Taken);
}

#[test]
fn rejected_login_is_reported_without_the_password() {
    let server = Server::start(ServerSettings::Fast);
    let url = format!("postgres://clerk:marker@127.0.0.1:{}/postgres", server.port());
    let error = migrate(&url).unwrap_err();
    assert!(matches!(error, OpenError::Connect(_)), "{error:?}");
    let text = causes(&error);
    assert!(text.contains("password authentication failed"), "{text}");
    assert!(!text.contains("marker") && !format!("{error:?}").contains("marker"), "{text}");
}

#[test]
fn unreachable_server_is_reported_in_one_line() {
    let error = migrate("postgres://u:marker@127.0.0.1:1/d").unwrap_err();
    let text = causes(&error);
    assert!(text.starts_with("the database cannot be reached: "), "{text}");
    assert!(text.contains("Connection refused") && !text.contains("marker"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn writable_host_of_several_is_used() {
    let (standby, leader) =
        (Server::start(ServerSettings::Fast), Server::start(ServerSettings::Fast));
    let database = TestDb::on_server(&standby);
    // A standby has all databases; libpq does not look further where one is missing.
    database.server().execute("CREATE DATABASE orders");
    database.server().execute("ALTER SYSTEM SET default_transaction_read_only = on");
    database.server().execute("SELECT pg_reload_conf()");
    // Both have one password, so that one address fits both.
    for server in [&standby, &leader] {
        let mut session = order_test_postgres::Session::open(&server.url("postgres"));
        session.execute("SET default_transaction_read_only = off");
        session.execute("CREATE ROLE twin SUPERUSER LOGIN PASSWORD 'same'");
    }
    let url = format!(
        "postgres://twin:same@127.0.0.1:1,127.0.0.1:{},127.0.0.1:{}/orders?target_session_attrs=read-write",
        standby.port(),
        leader.port()
    );
    let info = ConnectionInfo::parse(&url).unwrap();
    let repo = PgOrderRepo::open(&info, NonZero::new(2).unwrap()).unwrap();
    place(&repo, new_order(1)).await;
    let mut session = order_test_postgres::Session::open(&leader.url("orders"));
    assert_eq!(session.number("SELECT count(*) FROM orders"), 1);
}
