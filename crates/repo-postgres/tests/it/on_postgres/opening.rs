//! Opening: databases that are missing, and servers that are silent or reject the role.

use std::{
    env,
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use order_conformance::run_in_processes;
use order_domain::{OrderRepo, TakeOutcome};
use order_repo_postgres::{ConnectionInfo, OpenError, PgOrderRepo};
use order_test_postgres::{Server, ServerSettings, TestDb};

use super::fixture::{Fixture, keyed, new_order, newest, open, place, take_without_key};

fn migrate(url: &str) -> Result<(), OpenError> {
    PgOrderRepo::migrate(&ConnectionInfo::parse(url).unwrap())
}

/// An error with its sources, in one line, as the service shows it.
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

const CHILD_URL: &str = "ORDER_REPO_POSTGRES_TEST_URL";

#[test]
fn processes_open_one_new_database_concurrently() {
    let fixture = Fixture::new();
    let test = "on_postgres::opening::child_process_opens_the_given_database";
    run_in_processes(8, test, CHILD_URL, fixture.database.url());
    assert_eq!(fixture.raw().number("SELECT count(*) FROM orders"), 0);
}

/// The test above runs this one in child processes. Alone it opens a new database.
#[test]
fn child_process_opens_the_given_database() {
    match env::var(CHILD_URL) {
        Ok(url) => migrate(&url).unwrap(),
        Err(_) => drop(Fixture::new().open()),
    }
}

/// A process that waits for the lock must see what was committed meanwhile.
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

/// The host accepts the connection and sends nothing.
#[test]
fn silent_host_times_out() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://u@{}/d", silent.local_addr().unwrap());
    let began = Instant::now();
    let error = migrate(&url).unwrap_err();
    assert!(causes(&error).contains("timeout expired"), "{error:?}");
    // 2 s each for the database itself and the database `postgres`.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_host_is_skipped_for_the_next() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::start(ServerSettings::Fast);
    let url = server.url("orders").replace('@', &format!("@{},", silent.local_addr().unwrap()));
    let repo = open(&url, 2);
    // Each connection waits 2 s for the first host, and a call waits 3 s for a connection. On a
    // busy machine a second call may be needed.
    let deadline = Instant::now() + Duration::from_secs(30);
    while repo.list(newest()).await.is_err() {
        assert!(Instant::now() < deadline, "the second host is not found");
    }
    place(&repo, new_order(1)).await;
}

/// The address of a database for a new role that may only log in. The role ends with its server.
fn url_of_new_role(server: &Server, database: &TestDb) -> String {
    database.server().execute("CREATE ROLE clerk LOGIN PASSWORD 'clerk-password'");
    format!("postgres://clerk:clerk-password@127.0.0.1:{}/{}", server.port(), database.name())
}

#[tokio::test(flavor = "multi_thread")]
async fn role_without_ownership_can_serve_but_not_migrate() {
    let server = Server::start(ServerSettings::Fast);
    let database = TestDb::on_server(&server);
    let clerk = url_of_new_role(&server, &database);

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
    let repo = open(&clerk, 2);
    let id = place(&repo, keyed(1, "key")).await.id;
    assert_eq!(repo.take(take_without_key(id)).await.unwrap(), TakeOutcome::Taken);
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
    // A standby has all databases. libpq does not try the next host if the database is missing.
    database.server().execute("CREATE DATABASE orders");
    database.server().execute("ALTER SYSTEM SET default_transaction_read_only = on");
    database.server().execute("SELECT pg_reload_conf()");
    // Both servers have the same role and password, so that one address fits both.
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
    let repo = open(&url, 2);
    place(&repo, new_order(1)).await;
    let mut session = order_test_postgres::Session::open(&leader.url("orders"));
    assert_eq!(session.number("SELECT count(*) FROM orders"), 1);
}

#[test]
fn both_repositories_have_migrations_with_the_same_names() {
    let names = |of: &str| {
        let directory = format!("{}/../../migrations/{of}", env!("CARGO_MANIFEST_DIR"));
        let entries = std::fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert!(!names("postgres").is_empty());
    assert_eq!(names("postgres"), names("sqlite"));
}
