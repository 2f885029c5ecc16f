//! The program ends with one line on standard error, whatever the cause.

use std::{
    net::TcpListener,
    process::{Command, Output, Stdio},
};

use order_test_postgres::TestDb;

use super::support::order_api;

fn assert_one_line(output: &Output, code: i32, cause: &str) {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{cause}: {text}");
    let line = text.strip_suffix('\n').unwrap_or_else(|| panic!("{cause}: no line: {text:?}"));
    assert!(line.starts_with("order-api: "), "{cause}: {text:?}");
    // Everything that a terminal, a log collector or Unicode treats as the end of a line.
    let breaks_line = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    assert!(!line.contains(breaks_line), "{cause}: {text:?}");
}

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    order_api()
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(directory.path())
        .output()
        .unwrap()
}

fn shell(line: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    Command::new("sh")
        .args(["-c", line, env!("CARGO_BIN_EXE_order-api")])
        .env_clear()
        .stdin(Stdio::null())
        .current_dir(directory.path())
        .output()
        .unwrap()
}

/// Runs a command whose standard output is a full device.
fn run_with_full_output(arguments: &str) -> Output {
    shell(&format!("exec \"$0\" {arguments} >/dev/full"))
}

#[test]
fn invalid_command_line_prints_one_line() {
    let lines: [&[&str]; 9] = [
        &["--no\nsuch"],
        &["--no\u{2028}such=1"],
        &["no\nsuch\ncommand"],
        &["--listen"],
        &["--workers=1", "--workers=2"],
        &["serve", "more\n"],
        &["config", "--listen=a\nb"],
        &["-\n"],
        &[""],
    ];
    for line in lines {
        assert_one_line(&run(line, &[]), 2, &format!("{line:?}"));
    }
}

#[test]
fn invalid_setting_prints_one_line() {
    let settings: [&[(&str, &str)]; 8] = [
        &[("LISTEN", "a\nb")],
        &[("DATABASE_URL", "postgres://u:p%0Aq@h/d")],
        &[("DATABASE_URL", "mysql\n://h/d")],
        &[("DB_HOST", "h")],
        &[("DISTANCE_PROVIDER", "google")],
        &[("GMAP_TOKEN_FILE", "/no/such/\u{2028}file")],
        &[("LOG_LEVEL", "a=b=c\n")],
        &[("LOG_DIR", "/proc/no\u{2029}where")],
    ];
    for set in settings {
        assert_one_line(&run(&["serve"], set), 2, &format!("{set:?}"));
    }
}

#[test]
fn failed_start_prints_one_line() {
    let database = TestDb::new();
    database.create();
    // A table that makes a migration fail.
    database.session().execute("CREATE TABLE orders (x int)");
    let url = database.url();
    let (_, address) = url.rsplit_once('@').unwrap();
    // The server's message quotes the role.
    let missing_role = format!("postgres://no%E2%80%A8body:p@{address}");
    let urls = [
        // libpq writes a line for each host.
        "postgres://u:p@127.0.0.1:1,127.0.0.2:1/d".to_owned(),
        "postgres://u:p@no-such-host.invalid:1,127.0.0.1:1/d".to_owned(),
        "postgres://u:p@%2Fno%2Fsuch%2Fdirectory/d".to_owned(),
        url,
        missing_role,
        "sqlite:///proc/no\u{2028}where/orders.db".to_owned(),
        "sqlite:///proc".to_owned(),
        "sqlite:///dev/full".to_owned(),
    ];
    for url in urls {
        for command in ["serve", "migrate"] {
            let environment = [("DATABASE_URL", &*url), ("LISTEN", "127.0.0.1:0")];
            assert_one_line(&run(&[command], &environment), 1, &url);
        }
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert_one_line(&run(&["serve"], &[("LISTEN", &address)]), 1, "an address in use");
}

#[test]
fn failed_command_prints_one_line() {
    assert_one_line(&run(&["healthcheck"], &[("LISTEN", "127.0.0.1:1")]), 1, "no service");
    assert_one_line(&run(&["healthcheck"], &[("LISTEN", "a\nb")]), 1, "no address");
    for command in ["config", "openapi"] {
        assert_one_line(&run_with_full_output(command), 1, command);
    }
}

/// Libraries panic when they get no file descriptor.
#[test]
fn library_panic_prints_one_line() {
    let outputs: Vec<_> = (5..=9)
        .map(|limit| {
            let output = shell(&format!("ulimit -n {limit}; exec \"$0\" serve"));
            assert_one_line(&output, 1, &format!("{limit} file descriptors"));
            String::from_utf8(output.stderr).unwrap()
        })
        .collect();
    assert!(outputs.iter().any(|text| text.contains(" panicked at ")), "{outputs:?}");
}
