//! Logs: one line for each request, log files, and requests that never wait for the log.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::symlink,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use order_test_postgres::wait_for;
use rstest::rstest;
use serde_json::{Value, json};

use super::support::{Fixture, Process, Request, Store, TIMEOUT, order_api};

/// The lines about requests, without the members that differ from run to run.
fn requests(log: &str) -> Vec<Value> {
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let requests = lines.filter(|line| line["target"] == "order_http::requests");
    requests
        .map(|mut line| {
            let members = line.as_object_mut().unwrap();
            for name in ["timestamp", "target"] {
                assert!(members.remove(name).unwrap().is_string());
            }
            assert!(members.remove("duration_ms").unwrap().as_f64().unwrap() > 0.0);
            line
        })
        .collect()
}

fn wait_for_requests(service: &Process, count: usize) -> Vec<Value> {
    let are_logged = || requests(&service.log()).len() >= count;
    wait_for(TIMEOUT, are_logged, || service.log());
    requests(&service.log())
}

#[test]
fn request_is_one_log_line_that_names_its_order() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let request = |line: &str| Request::new(line).header("X-Request-Id", "mine");
    let body = r#"{"origin":["1","2"],"destination":["3","4"]}"#;
    let responses = [
        service.client.send_request(&request("POST /orders").json(body)),
        service.client.send_request(&request("PATCH /orders/1/?a=b").json(r#"{"status":"TAKEN"}"#)),
        service.client.send_request(&request("GET /orders/1")),
        service.client.send_request(&request("GET /orders?page=1&limit=1")),
        service.client.send_request(&request("HEAD /orders/1")),
        service.client.send_request(&request("DELETE /orders/1")),
        service.client.send_request(&request("GET /no/such/path")),
    ];

    let lines = wait_for_requests(&service, responses.len());

    let line = |method: &str, route: &str, order: Option<i64>| {
        let mut line = json!({
            "level": "INFO",
            "message": "request completed",
            "http.request.method": method,
            "http.route": route,
            "span": {"name": "request", "request.id": "mine"},
        });
        if let Some(id) = order {
            line["order.id"] = id.into();
        }
        line
    };
    let mut expected = [
        line("POST", "/orders", Some(1)),
        line("PATCH", "/orders/{id}", Some(1)),
        line("GET", "/orders/{id}", Some(1)),
        line("GET", "/orders", None),
        line("HEAD", "/orders/{id}", Some(1)),
        line("DELETE", "/orders/{id}", None),
        line("GET", "unknown", None),
    ];
    for (line, response) in expected.iter_mut().zip(&responses) {
        line["http.response.status_code"] = response.status.into();
        line["http.response.body.size"] = response.body.len().into();
    }
    expected[5]["error.type"] = "method_not_allowed".into();
    expected[6]["error.type"] = "unknown_path".into();
    assert_eq!(lines, expected);
}

/// Line breaks, escape sequences and bidirectional controls in requests.
#[rstest]
fn one_event_is_one_line_whatever_a_client_sends(#[values("json", "text")] format: &str) {
    let fixture = Fixture::new(Store::Sqlite).with("LOG_LEVEL", "trace");
    let mut service = Process::start_with_log_format(&fixture, format);
    let unsafe_text = "a\u{2028}b\u{202e}c\u{1b}[31m";
    for request in [
        Request::new("GET /orders/%0d%0aINFO%20forged"),
        Request::new("GET /%1b%5b31m%e2%80%a8/%e2%80%ae"),
        Request::new("GET /orders?page=1&limit=%0d%0aforged&%e2%80%a8=1"),
        Request::new("GET /orders").header("X-Request-Id", unsafe_text),
        Request::new("POST /orders").header("Idempotency-Key", unsafe_text).json("{}"),
        Request::new("POST /orders").json(format!("{{\"{unsafe_text}\":1,\"b\\r\\nforged\":2}}")),
        Request::new("GET /orders").header("Accept", unsafe_text),
        Request::new("GET /healthcheck").header("User-Agent", "x\u{85}y\tz"),
    ] {
        service.client.send_request(&request);
    }
    service.client.exchange(b"GARBAGE \x1b[2J\xe2\x80\xa8 \r\nnot: http\r\n\r\n");
    service.stop();

    let log = service.log();
    for line in log.lines() {
        let begins = if format == "json" {
            line.starts_with("{\"timestamp\":\"20")
        } else {
            line.starts_with("20") && line.as_bytes()[10] == b'T'
        };
        assert!(begins, "{line:?}");
        assert!(!line.starts_with("INFO"), "{line:?}");
    }
    let is_unsafe = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}')
    };
    assert!(!log.contains(is_unsafe), "{log}");
    assert!(log.contains("GET") && log.lines().count() > 20, "{log}");
}

/// Sends requests, each of which writes a line to the info file.
fn write_lines(service: &Process, count: usize) {
    for _ in 0..count {
        assert_eq!(service.client.get("/healthcheck").status, 200);
    }
}

fn lines_in(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

#[test]
fn log_files_mirror_standard_output_and_survive_deletion() {
    let fixture = Fixture::new(Store::Sqlite).with("LOG_DIR", "logs");
    let mut service = Process::start(&fixture);
    let logs = fixture.directory().join("logs");
    let info = logs.join("info.log");
    write_lines(&service, 20);
    wait_for(TIMEOUT, || lines_in(&info) >= 20, || "the file has no lines".to_owned());

    fs::remove_file(&info).unwrap();
    thread::sleep(Duration::from_millis(150));
    write_lines(&service, 20);
    wait_for(TIMEOUT, || lines_in(&info) >= 20, || "the file is not created again".to_owned());
    fs::remove_dir_all(&logs).unwrap();
    thread::sleep(Duration::from_millis(150));
    write_lines(&service, 20);
    wait_for(TIMEOUT, || lines_in(&info) >= 20, || "the directory is not created again".to_owned());

    service.stop();
    let last = fs::read_to_string(&info).unwrap();
    assert!(last.lines().last().unwrap().contains("stopping"), "{last}");
    assert_eq!(last.matches("\"message\":\"request completed\"").count(), 20, "{last}");
}

#[test]
fn errors_are_written_to_a_separate_file() {
    let fixture = super::google::Google::start().configure(Fixture::new(Store::Sqlite));
    let fixture = fixture.with("LOG_DIR", "logs");
    let service = Process::start(&fixture);
    service.client.post_from(super::google::NEGATIVE, None).unwrap();
    let errors = fixture.directory().join("logs/error.log");
    wait_for(TIMEOUT, || lines_in(&errors) > 0, || "no error is in the file".to_owned());
    // It is logged once, with its causes.
    let text = fs::read_to_string(&errors).unwrap();
    let line: Value = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!(line["error.type"], "distance_unavailable");
    let causes = line["exception.message"].as_str().unwrap();
    assert!(causes.starts_with("the distance provider returned an invalid response: "), "{causes}");
    let info = fixture.directory().join("logs/info.log");
    wait_for(TIMEOUT, || lines_in(&info) >= 3, || "the request is not in the file".to_owned());
    let text = fs::read_to_string(&info).unwrap();
    assert_eq!(text.matches(causes).count(), 1, "{text}");
}

/// The log files are links to a device that is always full.
#[test]
fn full_disk_changes_no_response() {
    let fixture = Fixture::new(Store::Sqlite).with("LOG_DIR", "logs");
    let logs = fixture.directory().join("logs");
    fs::create_dir(&logs).unwrap();
    for name in ["info.log", "error.log"] {
        symlink("/dev/full", logs.join(name)).unwrap();
    }
    let mut service = Process::start(&fixture);
    write_lines(&service, 50);
    assert_eq!(service.client.post(None).unwrap().status, 200);
    let dropped = || service.client.metric("orders_log_lines_dropped_total");
    wait_for(TIMEOUT, || dropped() >= 50.0, || format!("{} were dropped", dropped()));
    service.stop();
}

/// Standard output is not read, and a pipe and a queue hold only a few lines.
#[test]
fn unread_log_delays_no_request() {
    let fixture = Fixture::new(Store::Sqlite);
    let mut service = Process::start_with_unread_log(&fixture);
    let mut stream = service.client.connect();
    let (request, batch) = (Request::new("GET /livez").bytes(), 500);
    let body = b"{\"status\":\"live\"}";
    let mut responses = 0;
    while responses < 30_000 {
        stream.write_all(&request.repeat(batch)).unwrap();
        let (mut read, mut chunk) = (Vec::<u8>::new(), vec![0; 1 << 16]);
        while read.windows(body.len()).filter(|bytes| *bytes == body).count() < batch {
            let length = stream.read(&mut chunk).unwrap();
            assert!(length > 0, "closed after {responses} responses");
            read.extend(&chunk[..length]);
        }
        responses += batch;
    }
    let dropped = service.client.metric("orders_log_lines_dropped_total");
    assert!(dropped > 5_000.0, "{dropped}");

    let start = Instant::now();
    service.stop();
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[rstest]
#[case("file", "must be a directory for files: entity already exists")]
#[case("file/logs", "must be a directory for files: not a directory")]
fn unusable_log_directory_ends_the_start(#[case] path: &str, #[case] expected: &str) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    let output = order_api().env("LOG_DIR", path).current_dir(directory.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(message, format!("order-api: LOG_DIR {expected}\n"));
}
