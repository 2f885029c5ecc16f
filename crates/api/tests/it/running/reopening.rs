//! `SIGHUP` and `SIGUSR1` reopen the log files, and end nothing.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    process::{Child, Command},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use order_test_postgres::wait_for;
use rstest::rstest;
use serde_json::Value;

use super::{
    shutdown::send_incomplete_request,
    support::{Fixture, Process, StopOnDrop, Store, TIMEOUT, order_api},
};

const REOPENED: &str = "reopened the log files";

/// Sends a signal, and waits until the service has reopened its log files.
fn reopen(service: &Process, signal: &str) {
    let before = service.log().matches(REOPENED).count();
    service.signal(signal);
    wait_for(TIMEOUT, || service.log().matches(REOPENED).count() > before, || service.log());
}

#[rstest]
fn request_in_flight_survives_the_signal(
    #[values("HUP", "USR1")] signal: &str,
    #[values("", "logs")] directory: &str,
) {
    let fixture = Fixture::new(Store::Sqlite).with("LOG_DIR", directory);
    let mut service = Process::start(&fixture);
    let mut stream = send_incomplete_request(&service);
    for _ in 0..3 {
        reopen(&service, signal);
    }
    stream.write_all(b"}").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK"), "{response}");
    service.stop();
}

/// The ids in the lines about requests, sorted.
fn request_ids(lines: &str) -> Vec<String> {
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let requests = lines.filter(|line| line["target"] == "order_http::requests");
    let mut ids: Vec<_> =
        requests.map(|line| line["span"]["request.id"].as_str().unwrap().to_owned()).collect();
    ids.sort_unstable();
    ids
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

/// Rotates as logrotate does, under load.
#[test]
fn external_rotation_loses_and_duplicates_no_line() {
    let fixture = Fixture::new(Store::Sqlite).with("LOG_DIR", "logs");
    let mut service = Process::start(&fixture);
    let logs = fixture.directory().join("logs");
    let info = logs.join("info.log");
    let done = AtomicBool::new(false);
    let mut moved = vec![];
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(service.client.get("/healthcheck").status, 200);
                }
            });
        }
        let _stop = StopOnDrop(&done);
        for round in 0..10 {
            let path = logs.join(format!("info.log-{round}"));
            wait_for(TIMEOUT, || info.exists(), || "the file is missing".to_owned());
            fs::rename(&info, &path).unwrap();
            reopen(&service, ["HUP", "USR1"][round % 2]);
            // Both files exist although no line was written since.
            assert!(info.exists() && logs.join("error.log").exists());
            moved.push((length(&path), path));
        }
    });
    service.stop();
    let mut lines = fs::read_to_string(&info).unwrap();
    for (length_when_reopened, path) in &moved {
        assert_eq!(
            length(path),
            *length_when_reopened,
            "{} was written to after reopening",
            path.display()
        );
        lines.push_str(&fs::read_to_string(path).unwrap());
    }
    let expected = request_ids(&service.log());
    assert!(expected.len() > 20, "{}", expected.len());
    assert_eq!(request_ids(&lines), expected);
}

#[test]
fn failed_reopening_keeps_the_old_file() {
    let fixture = Fixture::new(Store::Sqlite).with("LOG_DIR", "logs");
    let mut service = Process::start(&fixture);
    let logs = fixture.directory().join("logs");
    let moved = fixture.directory().join("moved");
    reopen(&service, "HUP");
    fs::rename(&logs, &moved).unwrap();
    fs::write(&logs, "a file where a directory must be").unwrap();

    reopen(&service, "HUP");
    assert!(service.log().contains("the log file cannot be reopened"), "{}", service.log());
    for _ in 0..20 {
        assert_eq!(service.client.get("/healthcheck").status, 200);
    }
    fs::remove_file(&logs).unwrap();
    fs::rename(&moved, &logs).unwrap();
    reopen(&service, "HUP");
    service.stop();
    let lines = fs::read_to_string(logs.join("info.log")).unwrap();
    assert_eq!(request_ids(&lines), request_ids(&service.log()));
    assert_eq!(request_ids(&lines).len(), 20);
}

fn send(signal: &str, child: &Child) {
    let kill = format!("kill -{signal} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

/// The database accepts the connection and does not respond, so the command is still starting.
#[rstest]
fn start_survives_the_signal(
    #[values("serve", "migrate")] command: &str,
    #[values("HUP", "USR1")] signal: &str,
) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://u:p@{}/d", silent.local_addr().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let mut child = order_api()
        .arg(command)
        .env("DATABASE_URL", url)
        .env("LISTEN", "127.0.0.1:0")
        .current_dir(directory.path())
        .spawn()
        .unwrap();
    let connection = silent.accept().unwrap();
    send(signal, &child);
    drop((connection, silent));
    // The cause is the missing database, not the signal.
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

/// The entry point of the image, while it migrates.
#[rstest]
#[case("HUP", 1)]
#[case("USR1", 1)]
#[case("TERM", 128 + 15)]
fn start_script_passes_signals_on(#[case] signal: &str, #[case] code: i32) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://u:p@{}/d", silent.local_addr().unwrap());
    let programs = Path::new(env!("CARGO_BIN_EXE_order-api")).parent().unwrap();
    let mut child = Command::new("sh")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docker/start.sh"))
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
        .env("DATABASE_URL", url)
        .spawn()
        .unwrap();
    let connection = silent.accept().unwrap();
    send(signal, &child);
    if signal == "TERM" {
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
    drop((connection, silent));
    assert_eq!(child.wait().unwrap().code(), Some(code));
}
