use std::{os::unix::ffi::OsStringExt, path::PathBuf};

use rstest::rstest;

use super::*;

fn none(_: &str) -> Option<OsString> {
    None
}

/// One setting, or none where it is a secret.
fn options(name: &str, value: &str) -> Options {
    let mut options = Options::default();
    set_option(&mut options, name, value);
    options
}

fn set_option(options: &mut Options, name: &str, value: &str) {
    let slot = match name {
        "LISTEN" => &mut options.listen,
        "DATABASE_URL" => &mut options.database_url,
        "DB_HOST" => &mut options.db_host,
        "DB_PORT" => &mut options.db_port,
        "DB_USERNAME" => &mut options.db_username,
        "DB_PASSWORD_FILE" => &mut options.db_password_file,
        "DB_NAME" => &mut options.db_name,
        "DB_POOL_SIZE" => &mut options.db_pool_size,
        "DISTANCE_PROVIDER" => &mut options.distance_provider,
        "GMAP_TOKEN_FILE" => &mut options.gmap_token_file,
        "GMAP_DISTANCE_MATRIX_API" => &mut options.gmap_distance_matrix_api,
        "LOG_FORMAT" => &mut options.log_format,
        "LOG_LEVEL" => &mut options.log_level,
        "LOG_DIR" => &mut options.log_dir,
        "WORKERS" => &mut options.workers,
        "MAX_CONNECTIONS" => &mut options.max_connections,
        "REQUEST_TIMEOUT" => &mut options.request_timeout,
        "SHUTDOWN_DRAIN" => &mut options.shutdown_drain,
        "DB_PASSWORD" | "GMAP_TOKEN" => return,
        _ => panic!("{name} is no setting"),
    };
    *slot = Some(value.into());
}

/// As if these were set in the environment.
fn parse(variables: &[(&str, &str)]) -> Result<Settings, InvalidSetting> {
    let mut options = Options::default();
    for (name, value) in variables {
        set_option(&mut options, name, value);
    }
    let secret = |wanted: &str| {
        let found = variables.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, value)| OsString::from(value))
    };
    Settings::parse(&options, secret)
}

#[test]
fn nothing_has_to_be_set() {
    let settings = Settings::parse(&Options::default(), none).unwrap();

    assert_eq!(settings.listen, "127.0.0.1:8080".parse().unwrap());
    let path = PathBuf::from("data/orders.db");
    assert_eq!(settings.database, DatabaseSettings::Sqlite { path });
    assert!(matches!(settings.distance, DistanceSettings::Geodesic));
    assert_eq!(settings.log.filter, "info");
    assert!(settings.workers >= 1);
    assert_eq!(settings.max_connections, 20_000);
    assert_eq!(settings.request_timeout, Duration::from_secs(15));
    assert_eq!(settings.shutdown_drain, Duration::ZERO);
}

#[rstest]
#[case("LISTEN", "")]
#[case("LISTEN", "[::1]:0")]
#[case("LISTEN", "0.0.0.0:80")]
#[case("DATABASE_URL", "")]
#[case("DATABASE_URL", "sqlite:///var/lib/order api/orders.db")]
#[case("DATABASE_URL", "postgres://u@h1:1,h2/d?target_session_attrs=read-write")]
#[case("DB_HOST", "")]
#[case("DISTANCE_PROVIDER", "geodesic")]
#[case("LOG_FORMAT", "json")]
#[case("LOG_LEVEL", "trace")]
#[case("LOG_LEVEL", "WARN")]
#[case("LOG_LEVEL", "info,order_http=debug")]
#[case("LOG_DIR", "")]
#[case("LOG_DIR", "/var/log/order api")]
#[case("WORKERS", "1024")]
#[case("MAX_CONNECTIONS", "")]
#[case("MAX_CONNECTIONS", "1")]
#[case("REQUEST_TIMEOUT", "")]
#[case("REQUEST_TIMEOUT", "3600")]
#[case("SHUTDOWN_DRAIN", "")]
#[case("SHUTDOWN_DRAIN", "0")]
fn what_is_right_is_taken(#[case] name: &str, #[case] value: &str) {
    let settings = Settings::parse(&options(name, value), none).unwrap();

    let line = format!("{name}={value}");
    let shown = settings.to_string();
    assert!(value.is_empty() || shown.lines().any(|shown| shown == line), "{shown}");
}

#[rstest]
#[case("LISTEN", "secret")]
#[case("LISTEN", "secret:8080")]
#[case("LISTEN", "127.0.0.1:secret")]
#[case("DATABASE_URL", "secret")]
#[case("DATABASE_URL", "postgres://user:secret@localhost")]
#[case("DATABASE_URL", "postgres:secret")]
#[case("DATABASE_URL", "postgresql://user:sec/secret@localhost/orders")]
#[case("DATABASE_URL", "mysql://user:secret@localhost/orders")]
#[case("DATABASE_URL", "sqlite://")]
#[case("DATABASE_URL", "sqlite://:memory:")]
#[case("DATABASE_URL", "sqlite://file:secret")]
#[case("DATABASE_URL", "sqlite://secret?mode=ro")]
#[case("DB_PORT", "secret")]
#[case("DB_PORT", "0")]
#[case("DB_PORT", "65536")]
#[case("DB_POOL_SIZE", "0")]
#[case("DB_POOL_SIZE", "1001")]
#[case("DB_PASSWORD_FILE", "/proc/secret")]
#[case("GMAP_TOKEN_FILE", "/proc/secret")]
#[case("GMAP_TOKEN_FILE", "/dev/null")]
#[case("GMAP_DISTANCE_MATRIX_API", "secret")]
#[case("GMAP_DISTANCE_MATRIX_API", "https://maps/json?key=secret")]
#[case("DISTANCE_PROVIDER", "secret")]
#[case("LOG_FORMAT", "secret")]
#[case("LOG_LEVEL", "secret")]
#[case("LOG_LEVEL", "order_http=secret")]
#[case("WORKERS", "secret")]
#[case("WORKERS", "0")]
#[case("WORKERS", "1025")]
#[case("MAX_CONNECTIONS", "secret")]
#[case("MAX_CONNECTIONS", "0")]
#[case("MAX_CONNECTIONS", "1000001")]
#[case("REQUEST_TIMEOUT", "secret")]
#[case("REQUEST_TIMEOUT", "0")]
#[case("REQUEST_TIMEOUT", "1.5")]
#[case("SHUTDOWN_DRAIN", "-1")]
#[case("SHUTDOWN_DRAIN", "3601")]
fn what_is_wrong_is_named_and_not_repeated(#[case] name: &str, #[case] value: &str) {
    let error = Settings::parse(&options(name, value), none).unwrap_err();

    assert_eq!(error.name, name);
    let line = error.to_string();
    assert!(line.starts_with(&format!("{name} must ")), "{line}");
    assert!(!line.contains("secret") && !line.contains('\n'), "{line}");
}

#[rstest]
#[case(&[("DISTANCE_PROVIDER", "google")], "GMAP_TOKEN must be set, because DISTANCE_PROVIDER is google")]
#[case(&[("DB_HOST", "h"), ("DB_NAME", "d")], "DB_USERNAME must be set, because DB_HOST is")]
#[case(&[("DB_HOST", "h"), ("DB_USERNAME", "u")], "DB_NAME must be set, because DB_HOST is")]
#[case(
    &[("DB_HOST", "h:5432"), ("DB_USERNAME", "u"), ("DB_NAME", "d")],
    "DB_HOST must be a host alone; its port is DB_PORT"
)]
#[case(
    &[("DB_HOST", "h"), ("DB_USERNAME", "u"), ("DB_NAME", &"d".repeat(64))],
    "DB_NAME must name a database by at most 63 bytes"
)]
#[case(&[("GMAP_TOKEN", " ")], "GMAP_TOKEN must be visible ASCII characters without spaces")]
#[case(&[("GMAP_TOKEN", "two\nlines")], "GMAP_TOKEN must be visible ASCII characters without spaces")]
#[case(
    &[("GMAP_TOKEN", "secret"), ("GMAP_TOKEN_FILE", "/dev/null")],
    "GMAP_TOKEN_FILE must not be set together with GMAP_TOKEN"
)]
fn what_cannot_work_is_told(#[case] set: &[(&str, &str)], #[case] expected: &str) {
    assert_eq!(parse(set).unwrap_err().to_string(), expected);
}

#[test]
fn what_is_no_text_is_named_too() {
    let listen = Some(OsString::from_vec(b"\xffsecret".to_vec()));
    let error = Settings::parse(&Options { listen, ..Options::default() }, none).unwrap_err();
    assert_eq!(error.to_string(), "LISTEN must be UTF-8");
    let token = |name: &str| (name == "GMAP_TOKEN").then(|| OsString::from_vec(vec![0xff]));
    let error = Settings::parse(&Options::default(), token).unwrap_err();
    assert_eq!(error.to_string(), "GMAP_TOKEN must be UTF-8");
}

#[test]
fn a_database_can_be_given_part_by_part() {
    let parts = [
        ("DB_HOST", "db.example"),
        ("DB_PORT", "5433"),
        ("DB_USERNAME", "clerk@home"),
        ("DB_PASSWORD", "marker '\\ @:/?%"),
        ("DB_NAME", "orders"),
        ("DB_POOL_SIZE", "3"),
    ];
    let shown = parse(&parts).unwrap().to_string();
    let address =
        "DATABASE_URL=postgres://clerk%40home:***@db.example:5433/orders\nDB_POOL_SIZE=3\n";
    assert!(shown.contains(address) && !shown.contains("marker"), "{shown}");

    let both = [&parts[..], &[("DATABASE_URL", "sqlite://x.db")]].concat();
    assert!(parse(&both).unwrap().to_string().contains("DATABASE_URL=sqlite://x.db\n"));
}

#[test]
fn google_is_asked_where_there_is_a_key() {
    let settings = parse(&[("GMAP_TOKEN", "marker")]).unwrap();
    let shown = settings.to_string();
    let google = "DISTANCE_PROVIDER=google\n\
                  GMAP_DISTANCE_MATRIX_API=https://maps.googleapis.com/maps/api/distancematrix/json\n\
                  GMAP_TOKEN=***\n";
    assert!(shown.contains(google), "{shown}");
    assert!(!format!("{settings:?}{shown}").contains("marker"), "{settings:?}");

    let geodesic = parse(&[("GMAP_TOKEN", "marker"), ("DISTANCE_PROVIDER", "geodesic")]).unwrap();
    assert!(matches!(geodesic.distance, DistanceSettings::Geodesic));
    let empty = parse(&[("GMAP_TOKEN", ""), ("GMAP_TOKEN_FILE", "")]).unwrap();
    assert!(matches!(empty.distance, DistanceSettings::Geodesic));
}

#[test]
fn a_secret_can_be_in_a_file() {
    use secrecy::ExposeSecret;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "the-key\r\n").unwrap();
    let settings = parse(&[("GMAP_TOKEN_FILE", path.to_str().unwrap())]).unwrap();
    let DistanceSettings::Google { key, .. } = settings.distance else { panic!("{settings:?}") };
    assert_eq!(key.expose_secret(), "the-key");

    let place = [("DB_HOST", "h"), ("DB_USERNAME", "u"), ("DB_NAME", "d")];
    let file = [("DB_PASSWORD_FILE", path.to_str().unwrap())];
    let from_file = parse(&[&place[..], &file].concat()).unwrap();
    let direct = parse(&[&place[..], &[("DB_PASSWORD", "the-key")]].concat()).unwrap();
    assert_eq!(from_file.database, direct.database);
}
