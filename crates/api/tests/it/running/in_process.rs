//! The application in this process, with its real adapters.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    time::Duration,
};

use rstest::rstest;
use serde_json::json;

use super::support::{Fixture, InProcess, Request, Store};

#[rstest]
fn sample_requests_work(#[values(Store::Sqlite, Store::Postgres)] store: Store) {
    let fixture = Fixture::new(store);
    let service = InProcess::start(&fixture);
    let client = &service.client;

    let placed = client.post(None).unwrap();
    assert_eq!(placed.status, 200);
    let id = placed.json["id"].as_i64().unwrap();
    let expected = json!({"id": id, "distance": 1_258_740, "status": "UNASSIGNED"});
    assert_eq!(placed.json, expected);

    assert_eq!(client.get("/orders?page=1&limit=3").json, json!([expected]));
    let taken = client.take(id, None).unwrap();
    assert_eq!((taken.status, taken.json), (200, json!({"status": "SUCCESS"})));
    let again = client.take(id, None).unwrap();
    assert_eq!(again.status, 400);
    assert_eq!(again.json, json!({"error": "this order is already taken"}));

    let found = client.get(&format!("/orders/{id}")).json;
    assert_eq!(found["status"], "TAKEN");
    assert_eq!(found["origin"], json!(["50.456399", "12.70758"]));
    assert!(found["taken_at"].as_str() >= found["created_at"].as_str());
    assert_eq!(client.get("/healthcheck").json, json!({"data": "hello world."}));
    service.stop().unwrap();
}

/// On a socket, because the test service of actix does not show the bytes.
#[test]
fn head_sends_the_headers_of_get_and_no_body() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = InProcess::start(&fixture);
    let send = |method: &str| {
        let request =
            Request::new(&format!("{method} /healthcheck")).header("X-Request-Id", "id-1");
        let response = service.client.send_request(&request);
        let head = response.head.lines().filter(|line| !line.starts_with("date:"));
        (head.map(str::to_owned).collect::<BTreeSet<_>>(), response.body)
    };

    let (get, get_body) = send("GET");
    let (head, head_body) = send("HEAD");

    assert_eq!(head, get);
    assert!(get.contains("content-length: 23"), "{get:?}");
    assert_eq!((get_body.len(), head_body.len()), (23, 0));
    assert!(!get.iter().any(|line| line.starts_with("server")), "{get:?}");
    service.stop().unwrap();
}

/// By default actix reads such a request until the client closes the connection. A client that
/// waits for the response never does.
#[test]
fn request_offering_an_upgrade_is_answered() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = InProcess::start(&fixture);
    let mut stream = service.client.connect();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let body = r#"{"origin":["1","2"],"destination":["3","4"]}"#;
    write!(
        stream,
        "POST /orders HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}data after the body",
        body.len()
    )
    .unwrap();

    let mut start = [0; 15];
    stream.read_exact(&mut start).unwrap();

    assert_eq!(&start, b"HTTP/1.1 200 OK");
    drop(stream);
    service.stop().unwrap();
}
