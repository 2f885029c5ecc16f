//! libpq's own environment variables never decide where orders are stored.

use std::fs;

use order_test_postgres::{Server, ServerSettings};
use rstest::rstest;

use super::support::{Fixture, Process, Store, order_api};

/// Variables that redirect libpq, or change what it sees of the database, if they have an effect.
#[rstest]
#[case("PGHOSTADDR", "127.0.0.2")]
#[case("PGHOST", "127.0.0.2")]
#[case("PGPORT", "1")]
#[case("PGUSER", "elsewhere")]
#[case("PGDATABASE", "elsewhere")]
#[case("PGOPTIONS", "-c search_path=elsewhere")]
#[case("PGOPTIONS", "-c default_transaction_read_only=on")]
#[case("PGTARGETSESSIONATTRS", "standby")]
#[case("PGLOADBALANCEHOSTS", "invalid")]
#[case("PGCLIENTENCODING", "invalid")]
#[case("PGCONNECT_TIMEOUT", "invalid")]
#[case("PGAPPNAME", "elsewhere")]
fn libpq_variable_does_not_redirect_orders(
    #[case] name: &'static str,
    #[case] value: &'static str,
) {
    let fixture = Fixture::new(Store::Postgres).with(name, value);
    let service = Process::start(&fixture);
    service.client.place();
    let mut session = fixture.database().session();
    assert_eq!(session.number("SELECT count(*) FROM public.orders"), 1);
    let connections = "SELECT count(*) FROM pg_stat_activity \
                       WHERE datname = current_database() AND application_name = 'order-api'";
    assert!(session.number(connections) >= 1);
}

/// Variables that protect a connection apply, so libpq checks them.
#[rstest]
#[case("PGSSLMODE", "invalid")]
#[case("PGSERVICE", "missing")]
fn message_about_a_libpq_variable_does_not_blame_the_url(#[case] name: &str, #[case] value: &str) {
    let command = order_api()
        .arg("migrate")
        .env(name, value)
        .env("DATABASE_URL", "postgres://127.0.0.1:1/orders")
        .output();
    let message = String::from_utf8(command.unwrap().stderr).unwrap();
    assert!(message.contains("libpq rejects an environment variable"), "{message}");
}

#[test]
fn libpq_service_file_does_not_redirect_orders() {
    let fixture = Fixture::new(Store::Postgres);
    let file = fixture.directory().join("pg_service.conf");
    let service = "[elsewhere]\nhostaddr=127.0.0.2\nport=1\noptions=-c search_path=elsewhere\n";
    fs::write(&file, service).unwrap();
    let file = file.to_str().unwrap().to_owned();
    let fixture = fixture.with("PGSERVICE", "elsewhere").with("PGSERVICEFILE", file);
    let service = Process::start(&fixture);
    service.client.place();
    assert_eq!(fixture.database().session().number("SELECT count(*) FROM public.orders"), 1);
}

/// All of libpq's variables name another server, and the URL says as little as possible.
#[rstest]
#[case("postgres:///redirected")]
#[case("postgres://127.0.0.1/redirected")]
#[case("postgres://127.0.0.1:1/redirected")]
#[case("postgres://order_api_test@127.0.0.2/redirected")]
fn server_of_libpq_variables_is_not_used(#[case] url: &str) {
    let other = Server::start(ServerSettings::Fast);
    let output = order_api()
        .arg("migrate")
        .envs(other.environment())
        .env("PGHOSTADDR", "127.0.0.1")
        .env("PGDATABASE", "redirected")
        .env("DATABASE_URL", url)
        .output()
        .unwrap();
    let mut session = order_test_postgres::Session::open(&other.url("postgres"));
    let redirected = "SELECT count(*) FROM pg_database WHERE datname = 'redirected'";
    assert_eq!(session.number(redirected), 0, "{output:?}");
}

/// Both the variable and the file apply to a URL without a password.
#[test]
fn password_applies_to_an_address_without_one() {
    let server = Server::start(ServerSettings::Fast);
    let fixture = Fixture::on_server(&server);
    let create = "CREATE ROLE customer SUPERUSER LOGIN PASSWORD 'marker-password'";
    fixture.database().server().execute(create);
    let url =
        format!("postgres://customer@127.0.0.1:{}/{}", server.port(), fixture.database().name());
    let file = fixture.directory().join("password");
    fs::write(&file, "marker-password\n").unwrap();
    let run = |name: &str, value: &str, url: &str| {
        let command = order_api().arg("migrate").env("DATABASE_URL", url).env(name, value).output();
        command.unwrap().status.code()
    };
    let file = file.to_str().unwrap();
    assert_eq!(run("DB_PASSWORD", "marker-password", &url), Some(0));
    assert_eq!(run("DB_PASSWORD_FILE", file, &url), Some(0));
    assert_eq!(run("DB_PASSWORD", "another", &url), Some(1));
    // The password in the URL takes precedence.
    let own = url.replace("customer@", "customer:marker-password@");
    assert_eq!(run("DB_PASSWORD", "another", &own), Some(0));
}
