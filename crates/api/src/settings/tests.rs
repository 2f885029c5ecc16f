use std::{os::unix::ffi::OsStringExt, path::PathBuf};

use order_repo_postgres::ConnectionInfo;
use rstest::rstest;

use super::*;

fn none(_: &str) -> Option<OsString> {
    None
}

/// Settings with these variables.
fn parse(variables: &[(&str, &str)]) -> Result<Settings, InvalidSetting> {
    Settings::parse(|wanted| {
        let found = variables.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, value)| OsString::from(value))
    })
}

#[test]
fn every_setting_has_a_default() {
    let settings = Settings::parse(none).unwrap();

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
#[case("DATABASE_URL", "sqlite:///tmp/a%20b?c#d/e~f/localhost/orders.db")]
#[case("DATABASE_URL", "sqlite://localhost.db")]
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
fn valid_value_is_accepted(#[case] name: &str, #[case] value: &str) {
    let settings = parse(&[(name, value)]).unwrap();

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
#[case("DATABASE_URL", "sqlite://~/secret.db")]
#[case("DATABASE_URL", "sqlite://~secret/orders.db")]
#[case("DATABASE_URL", "sqlite://localhost/secret.db")]
#[case("DATABASE_URL", "sqlite://LocalHost/secret.db")]
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
#[case("GMAP_ROUTES_API", "secret")]
#[case("GMAP_ROUTES_API", "https://routes/v2?$fields=secret")]
#[case("OSRM_URL", "secret:5000")]
#[case("OSRM_URL", "http://127.0.0.1:5000/table/v1/secret")]
#[case("OSRM_URL", "https://router.project-osrm.org/secret")]
#[case("DISTANCE_SNAP_LIMIT", "secret")]
#[case("DISTANCE_SNAP_LIMIT", "0")]
#[case("DISTANCE_SNAP_LIMIT", "1000001")]
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
fn invalid_value_is_rejected_and_not_repeated(#[case] name: &str, #[case] value: &str) {
    let error = parse(&[(name, value)]).unwrap_err();

    assert_eq!(error.name, name);
    let line = error.to_string();
    assert!(line.starts_with(&format!("{name} must ")), "{line}");
    assert!(!line.contains("secret") && !line.contains('\n'), "{line}");
}

#[rstest]
#[case(&[("DISTANCE_PROVIDER", "google")], "GMAP_TOKEN must be set, because DISTANCE_PROVIDER is google")]
#[case(
    &[("DISTANCE_PROVIDER", "google-routes"), ("OSRM_URL", "http://h:5000")],
    "GMAP_TOKEN must be set, because DISTANCE_PROVIDER is google-routes"
)]
#[case(
    &[("DISTANCE_PROVIDER", "osrm"), ("GMAP_TOKEN", "t")],
    "OSRM_URL must be set, because DISTANCE_PROVIDER is osrm"
)]
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
#[case(&[("GMAP_TOKEN", "two words")], "GMAP_TOKEN must be visible ASCII characters without spaces")]
#[case(
    &[("DB_HOST", "h1, h2"), ("DB_USERNAME", "u"), ("DB_NAME", "d")],
    "DB_HOST must not have white space around a host"
)]
#[case(
    &[("GMAP_TOKEN", "secret"), ("GMAP_TOKEN_FILE", "/dev/null")],
    "GMAP_TOKEN_FILE must not be set together with GMAP_TOKEN"
)]
fn conflicting_settings_are_rejected(#[case] set: &[(&str, &str)], #[case] expected: &str) {
    assert_eq!(parse(set).unwrap_err().to_string(), expected);
}

#[test]
fn value_that_is_not_utf_8_is_rejected() {
    let listen =
        |name: &str| (name == "LISTEN").then(|| OsString::from_vec(b"\xffsecret".to_vec()));
    let error = Settings::parse(listen).unwrap_err();
    assert_eq!(error.to_string(), "LISTEN must be UTF-8");
    let token = |name: &str| (name == "GMAP_TOKEN").then(|| OsString::from_vec(vec![0xff]));
    let error = Settings::parse(token).unwrap_err();
    assert_eq!(error.to_string(), "GMAP_TOKEN must be UTF-8");
}

#[test]
fn database_can_be_set_part_by_part() {
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

#[rstest]
#[case("postgres://u@h/d", true)]
#[case("postgres://u:@h1,h2/d", true)]
#[case("postgres://u:own@h/d", false)]
#[case("postgres://u@h/d?password=own", false)]
fn password_applies_to_a_url_without_one(#[case] url: &str, #[case] applies: bool) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("password");
    std::fs::write(&path, "marker\n").unwrap();
    let info = ConnectionInfo::parse(url).unwrap();
    let expected = if applies { info.with_password("marker") } else { info };
    for set in [("DB_PASSWORD", "marker"), ("DB_PASSWORD_FILE", path.to_str().unwrap())] {
        let settings = parse(&[("DATABASE_URL", url), set]).unwrap();
        let DatabaseSettings::Postgres { database, .. } = &settings.database else { panic!() };
        assert_eq!(*database, expected);
        assert_eq!(settings.unused.is_empty(), applies);
        assert!(settings.to_string().contains("DATABASE_URL=postgres://u:***@h"), "{settings}");
    }
}

#[rstest]
#[case(&[("DATABASE_URL", "postgres://u@h/d"), ("DB_PASSWORD", "p"), ("DB_POOL_SIZE", "3")], &[])]
#[case(
    &[("DATABASE_URL", "postgres://u:p@h/d"), ("DB_HOST", "h"), ("DB_NAME", "d"), ("DB_PASSWORD", "p")],
    &["DB_HOST, DB_NAME: DATABASE_URL is set", "DB_PASSWORD: DATABASE_URL has a password"]
)]
#[case(
    &[("DATABASE_URL", "sqlite://x.db"), ("DB_PORT", "1"), ("DB_PASSWORD", "p"), ("DB_POOL_SIZE", "3")],
    &["DB_PORT, DB_PASSWORD, DB_POOL_SIZE: DATABASE_URL names an SQLite file"]
)]
#[case(
    &[("DB_HOST", ""), ("DB_NAME", "d"), ("DB_USERNAME", "u")],
    &["DB_USERNAME, DB_NAME: neither DATABASE_URL nor DB_HOST is set, so orders are in SQLite"]
)]
#[case(
    &[("DISTANCE_PROVIDER", "geodesic"), ("GMAP_TOKEN", "t"), ("GMAP_DISTANCE_MATRIX_API", "http://h/")],
    &["GMAP_TOKEN, GMAP_DISTANCE_MATRIX_API: the distance provider is geodesic"]
)]
#[case(&[("GMAP_TOKEN", "t"), ("GMAP_DISTANCE_MATRIX_API", "http://h/"), ("DB_NAME", "")], &[])]
#[case(
    &[("GMAP_TOKEN", "t"), ("OSRM_URL", "http://h"), ("DISTANCE_PROVIDER", "google-routes"), ("GMAP_ROUTES_API", "http://h/")],
    &["OSRM_URL: the distance provider is google-routes"]
)]
#[case(
    &[("OSRM_URL", "http://h"), ("DISTANCE_SNAP_LIMIT", "9"), ("GMAP_ROUTES_API", "http://h/")],
    &["GMAP_ROUTES_API: the distance provider is osrm"]
)]
fn settings_without_effect_are_found(#[case] set: &[(&str, &str)], #[case] expected: &[&str]) {
    let unused = parse(set).unwrap().unused;
    let found: Vec<_> =
        unused.iter().map(|it| format!("{}: {}", it.names.join(", "), it.reason)).collect();
    assert_eq!(found, expected);
}

#[test]
fn google_is_the_provider_if_there_is_a_key() {
    let settings = parse(&[("GMAP_TOKEN", "marker")]).unwrap();
    let shown = settings.to_string();
    let google = "DISTANCE_PROVIDER=google\n\
                  GMAP_DISTANCE_MATRIX_API=https://maps.googleapis.com/maps/api/distancematrix/json\n\
                  GMAP_TOKEN=***\n";
    assert!(shown.contains(google), "{shown}");
    assert!(!format!("{settings:?}{shown}").contains("marker"), "{settings:?}");

    let both = parse(&[("GMAP_TOKEN", "marker"), ("OSRM_URL", "http://h:5000")]).unwrap();
    assert!(matches!(both.distance, DistanceSettings::Google { .. }));
    let geodesic = parse(&[("GMAP_TOKEN", "marker"), ("DISTANCE_PROVIDER", "geodesic")]).unwrap();
    assert!(matches!(geodesic.distance, DistanceSettings::Geodesic));
    let empty = parse(&[("GMAP_TOKEN", ""), ("GMAP_TOKEN_FILE", "")]).unwrap();
    assert!(matches!(empty.distance, DistanceSettings::Geodesic));
}

#[rstest]
#[case(
    &[("GMAP_TOKEN", "marker"), ("DISTANCE_PROVIDER", "google-routes")],
    "DISTANCE_PROVIDER=google-routes\n\
     GMAP_ROUTES_API=https://routes.googleapis.com/distanceMatrix/v2:computeRouteMatrix\n\
     GMAP_TOKEN=***\n"
)]
#[case(
    &[("OSRM_URL", "http://h:5000")],
    "DISTANCE_PROVIDER=osrm\nOSRM_URL=http://h:5000/\nDISTANCE_SNAP_LIMIT=1000\n"
)]
#[case(
    &[("OSRM_URL", "http://h/car"), ("DISTANCE_SNAP_LIMIT", "25"), ("GMAP_TOKEN", "")],
    "DISTANCE_PROVIDER=osrm\nOSRM_URL=http://h/car\nDISTANCE_SNAP_LIMIT=25\n"
)]
fn settings_of_the_provider_are_shown(#[case] set: &[(&str, &str)], #[case] expected: &str) {
    let shown = parse(set).unwrap().to_string();
    assert!(shown.contains(expected), "{shown}");
}

#[test]
fn secret_can_be_in_a_file() {
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

/// Invalid values: `orders` with a character before, after or in it.
const FLAWED: [&str; 14] = [
    " orders",
    "orders ",
    "orders\n",
    "orders\r\n",
    "orders\r",
    "\torders",
    "orders\u{a0}",
    "\u{3000}orders",
    "orders\u{2028}",
    "or\u{0}ders",
    "or\u{1b}ders",
    "or\u{7f}ders",
    "or\u{85}ders",
    " ",
];

/// Parses a value given on the command line.
fn parse_option(option: &SettingOption, value: &OsString) -> Result<Settings, InvalidSetting> {
    let argument = option.argument();
    let mut given = OsString::from(format!("--{}=", argument.get_long().unwrap()));
    given.push(value);
    let command = clap::Command::new("order-api").arg(argument);
    let matches = command.try_get_matches_from(["order-api".into(), given]).unwrap();
    Settings::parse(|name| matches.try_get_one(name).ok().flatten().cloned())
}

/// The settings that are looked up and are not options, so that a new one is among them.
fn all_secrets() -> Vec<String> {
    let names = std::cell::RefCell::new(std::collections::BTreeSet::new());
    let record = |name: &str| {
        names.borrow_mut().insert(name.to_owned());
        None
    };
    Settings::parse(record).unwrap();
    let mut names = names.into_inner();
    for option in OPTIONS {
        assert!(names.remove(option.name), "{} is not read", option.name);
    }
    names.into_iter().collect()
}

#[test]
fn every_setting_rejects_control_characters_and_padding() {
    let not_utf8 = OsString::from_vec(b"\xfforders".to_vec());
    let flawed = || FLAWED.map(OsString::from).into_iter().chain([not_utf8.clone()]);
    let check = |name: &str, value: &OsString, parsed: Result<Settings, InvalidSetting>| {
        let error = parsed.expect_err(&format!("{name} accepts {value:?}"));
        assert_eq!(error.name, name, "{value:?}: {error}");
        let line = error.to_string();
        assert!(line.contains(" must ") && !line.contains("orders\n"), "{line}");
        let says_why = ["control characters", "white space", "UTF-8"];
        assert!(says_why.iter().any(|why| line.contains(why)), "{value:?}: {line}");
    };
    assert!(OPTIONS.len() >= 18);
    for option in OPTIONS {
        for value in flawed() {
            check(option.name, &value, parse_option(option, &value));
        }
    }
    assert_eq!(all_secrets(), ["DB_PASSWORD", "GMAP_TOKEN"]);
    for secret in all_secrets() {
        for value in flawed() {
            let environment = |name: &str| (name == secret).then(|| value.clone());
            check(&secret, &value, Settings::parse(environment));
        }
    }
}

#[rstest]
#[case("p", Ok("p"))]
#[case("p\n", Ok("p"))]
#[case("p\r\n", Ok("p"))]
#[case("p q\n", Ok("p q"))]
#[case("p\n\n", Err("control characters"))]
#[case("p\r\n\r\n", Err("control characters"))]
#[case("p\r", Err("control characters"))]
#[case("\np", Err("control characters"))]
#[case("p\nq\n", Err("control characters"))]
#[case("p \n", Err("white space"))]
#[case("\u{a0}p", Err("white space"))]
#[case("", Err("not empty"))]
#[case("\n", Err("not empty"))]
#[case(" ", Err("white space"))]
fn secret_file_may_end_with_one_line_break(
    #[case] text: &str,
    #[case] expected: Result<&str, &str>,
) {
    use secrecy::ExposeSecret;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("password");
    std::fs::write(&path, text).unwrap();
    let read = source::read_secret(path.to_str().unwrap());
    match (read, expected) {
        (Ok(secret), Ok(expected)) => assert_eq!(secret.expose_secret(), expected),
        (Err(problem), Err(expected)) => assert!(problem.contains(expected), "{problem}"),
        (read, expected) => panic!("{read:?}, expected {expected:?}"),
    }
    // A device without an end is not read completely.
    assert!(source::read_secret("/dev/zero").is_err());
}
