//! The command line of the binary.

use std::process::Output;

use rstest::rstest;

use super::support::{Fixture, Process, Store, order_api};

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    order_api().args(arguments).envs(environment.iter().copied()).output().unwrap()
}

#[rstest]
#[case(&[], &[("LISTEN", "marker")], "order-api: LISTEN must be")]
#[case(&["--listen", "marker"], &[], "order-api: LISTEN must be")]
#[case(&["serve", "--workers=marker"], &[], "order-api: WORKERS must be")]
#[case(&["config"], &[("DATABASE_URL", "postgres://u:mar@ker:marker@h/d")], "order-api: DATABASE_URL must have special characters")]
#[case(&[], &[("DISTANCE_PROVIDER", "google")], "order-api: GMAP_TOKEN must be set, because DISTANCE_PROVIDER is google")]
#[case(&[], &[("DB_HOST", "marker"), ("DB_USERNAME", "marker")], "order-api: DB_NAME must be set, because DB_HOST is")]
#[case(&["--db-host", "marker"], &[("DB_NAME", "marker")], "order-api: DB_USERNAME must be set, because DB_HOST is")]
#[case(&[], &[("GMAP_TOKEN_FILE", "/proc/marker")], "order-api: GMAP_TOKEN_FILE must name a file that can be read")]
#[case(&["--gmap-token", "marker"], &[], "order-api: unknown option --gmap-token; see order-api --help")]
#[case(&["--no-such-option=marker"], &[], "order-api: unknown option --no-such-option; see order-api --help")]
#[case(&["--listen"], &[], "order-api: invalid use of --listen: expected one value, given once; see order-api --help")]
#[case(&["postgres://u:marker@h/d"], &[], "order-api: unknown command or argument; see order-api --help")]
fn invalid_setting_exits_with_2_and_is_named(
    #[case] arguments: &[&str],
    #[case] environment: &[(&str, &str)],
    #[case] expected: &str,
) {
    let output = run(arguments, environment);

    assert_eq!(output.status.code(), Some(2));
    let line = text(&output.stderr);
    assert!(line.starts_with(expected), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(!line.contains("marker"), "{line}");
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn help_lists_all_commands_and_settings() {
    let secrets = [
        ("DATABASE_URL", "postgres://u:marker@h/d"),
        ("GMAP_TOKEN", "marker"),
        ("DB_PASSWORD", "marker"),
    ];
    let output = run(&["--help"], &secrets);

    assert_eq!(output.status.code(), Some(0));
    let help = text(&output.stdout);
    let listed = [
        "serve",
        "migrate",
        "openapi",
        "config",
        "healthcheck",
        "backup",
        "LISTEN",
        "DATABASE_URL",
        "DB_HOST",
        "DB_PORT",
        "DB_USERNAME",
        "DB_PASSWORD",
        "DB_PASSWORD_FILE",
        "DB_NAME",
        "DB_POOL_SIZE",
        "DISTANCE_PROVIDER",
        "GMAP_TOKEN",
        "GMAP_TOKEN_FILE",
        "GMAP_DISTANCE_MATRIX_API",
        "LOG_FORMAT",
        "LOG_LEVEL",
        "LOG_DIR",
        "WORKERS",
        "MAX_CONNECTIONS",
        "REQUEST_TIMEOUT",
        "SHUTDOWN_DRAIN",
    ];
    for name in listed {
        assert!(help.contains(name), "{name} is missing in\n{help}");
    }
    assert!(!help.contains("marker"), "{help}");
}

#[test]
fn openapi_prints_the_served_document() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);

    // The command ignores the settings.
    let output = run(&["openapi"], &[("WORKERS", "none")]);

    assert_eq!(output.status.code(), Some(0));
    let document: serde_json::Value = serde_json::from_str(text(&output.stdout)).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(service.client.get("/openapi.json").json, document);
}

#[test]
fn config_prints_settings_in_effect_without_empty_variables() {
    let environment = [
        ("LISTEN", ""),
        ("WORKERS", "3"),
        ("DATABASE_URL", "sqlite:///a b/c.db"),
        ("LOG_DIR", "logs"),
        ("MAX_CONNECTIONS", "50"),
        ("SHUTDOWN_DRAIN", ""),
    ];

    let output = run(&["config", "--workers", "4"], &environment);

    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        text(&output.stdout),
        "LISTEN=127.0.0.1:8080\nDATABASE_URL=sqlite:///a b/c.db\nDISTANCE_PROVIDER=geodesic\n\
         LOG_FORMAT=json\nLOG_LEVEL=info\nLOG_DIR=logs\nWORKERS=4\nMAX_CONNECTIONS=50\n\
         REQUEST_TIMEOUT=15\nSHUTDOWN_DRAIN=0\n"
    );
}

#[test]
fn config_shows_no_secret() {
    let secrets = [
        ("DB_HOST", "db.example"),
        ("DB_USERNAME", "clerk"),
        ("DB_PASSWORD", "marker"),
        ("DB_NAME", "orders"),
        ("GMAP_TOKEN", "marker"),
    ];
    let output = run(&["config"], &secrets);
    assert_eq!(output.status.code(), Some(0));
    let shown = text(&output.stdout);
    let address = "DATABASE_URL=postgres://clerk:***@db.example/orders\nDB_POOL_SIZE=10\n";
    assert!(shown.contains(address) && shown.contains("GMAP_TOKEN=***\n"), "{shown}");
    assert!(!shown.contains("marker"), "{shown}");
}

#[rstest]
fn migrate_creates_the_database_and_may_be_repeated(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let url = fixture.database_url();
    for _ in 0..2 {
        let output = run(&["migrate"], &[("DATABASE_URL", &url)]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    match store {
        Store::Sqlite => assert!(fixture.directory().join("data/orders.db").is_file()),
        Store::Postgres => {
            assert_eq!(fixture.database().session().number("SELECT count(*) FROM orders"), 0);
        }
    }
}

#[test]
fn unreachable_server_exits_with_1_without_the_password() {
    for command in ["serve", "migrate"] {
        let output = run(&[command], &[("DATABASE_URL", "postgres://u:marker@127.0.0.1:1/d")]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let line = text(&output.stderr);
        assert!(line.starts_with("order-api: the database cannot be reached: "), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(!line.contains("marker"), "{line}");
    }
}

#[test]
fn unusable_database_path_exits_with_1_and_one_line() {
    let fixture = Fixture::new(Store::Sqlite);
    std::fs::write(fixture.directory().join("data"), "a file where a directory must be").unwrap();

    for command in ["serve", "migrate"] {
        let output = run(&[command], &[("DATABASE_URL", &fixture.database_url())]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let line = text(&output.stderr);
        assert!(line.starts_with("order-api: ") && line.lines().count() == 1, "{line}");
    }
}

#[test]
fn address_in_use_exits_with_1_and_one_line() {
    let fixture = Fixture::new(Store::Sqlite);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let environment = [("DATABASE_URL", &*fixture.database_url()), ("LISTEN", &*address)];

    let output = run(&[], &environment);

    assert_eq!(output.status.code(), Some(1));
    let line = text(&output.stderr);
    assert!(line.starts_with(&format!("order-api: cannot listen on {address}: ")), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
}

#[test]
fn healthcheck_prints_the_response_of_the_service() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let address = service.client.address.to_string();

    // The command ignores all other settings.
    let output = run(&["healthcheck"], &[("LISTEN", &address), ("WORKERS", "none")]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), "{\"data\":\"hello world.\"}\n");

    drop(service);
    let output = run(&["healthcheck"], &[("LISTEN", &address)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("order-api: no response from "), "{output:?}");

    let output = run(&["healthcheck"], &[("LISTEN", "nowhere")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("order-api: LISTEN must be"), "{output:?}");
}
