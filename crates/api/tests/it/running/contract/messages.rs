//! Messages of errors, what they never contain, and that an error changes nothing.

use order_test_postgres::{Server, ServerSettings};
use rstest::rstest;
use serde_json::{Value, json};

use super::{
    super::{
        google::{self, Google},
        support::{Fixture, Process, Request, Store},
    },
    Snapshot, place, place_from, post, take, violations, with_key,
};

#[rstest]
#[case::a_wrong_value(place_from(["91", "x"]), &["/origin/0", "/origin/1"])]
#[case::a_wrong_element(post(r#"{"origin":[1,"2"],"destination":["3","4"]}"#), &["/origin/0"])]
#[case::a_wrong_type(post(r#"{"origin":["1"],"destination":"3"}"#), &["/destination", "/origin"])]
#[case::missing_members(post("{}"), &["/destination", "/origin"])]
#[case::an_unknown_member(
    post(r#"{"origin":["1","2"],"destination":["3","4"],"a/b~":1}"#), &["/a~1b~0"]
)]
#[case::no_json(post("not json"), &[""])]
#[case::no_object(post("[]"), &[""])]
#[case::no_body(post(""), &[""])]
#[case::the_status(Request::new("PATCH /orders/1").json(r#"{"status":"taken"}"#), &["/status"])]
#[case::the_query(
    Request::new("GET /orders?limit=0&page=0&status=x&x=1"),
    &["query limit", "query page", "query status", "query x"]
)]
#[case::a_missing_parameter(Request::new("GET /orders?page=1"), &["query limit"])]
#[case::the_path(Request::new("GET /orders/0"), &["path id"])]
#[case::a_header(with_key(place(), "a b"), &["header Idempotency-Key"])]
#[case::a_repeated_header(
    with_key(with_key(place(), "a"), "a"),
    &["header Idempotency-Key"]
)]
fn errors_point_to_members_or_name_parameters(#[case] request: Request, #[case] expected: &[&str]) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    assert_eq!(violations(&service.client, &request), expected);
    let response = service.client.send_request(&request.problem_json()).json();
    for error in response["errors"].as_array().unwrap() {
        let of_the_body = json!({"detail": error["detail"], "pointer": error["pointer"]});
        let of_a_parameter = json!({
            "detail": error["detail"], "parameter": error["parameter"], "in": error["in"],
        });
        assert!(error["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{error}");
        assert!(*error == of_the_body || *error == of_a_parameter, "{error}");
    }
}

#[rstest]
#[case("GET /orders?page=1", "limit is missing, for example /orders?page=1&limit=20")]
#[case("GET /nothing", "this path does not exist; see /docs/")]
fn messages_say_what_to_do(#[case] line: &str, #[case] message: &str) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    assert_eq!(service.client.send_request(&Request::new(line)).json(), json!({"error": message}));
}

#[test]
fn docs_named_by_the_unknown_path_message_exist() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let response = service.client.send_request(&Request::new("GET /docs/"));
    assert_eq!(response.status, 200, "{response:?}");
    assert!(response.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
}

/// The idempotency key of a request is also a secret.
#[test]
fn messages_contain_no_secret_sql_trace_or_host() {
    const KEY: &str = "marker-of-a-client";
    let google = Google::start();
    let server = Server::start(ServerSettings::Fast);
    let fixture = google.configure(Fixture::on_server(&server));
    let service = Process::start(&fixture);
    let client = &service.client;
    let marked = |request: Request| with_key(request, KEY);
    let placed = client.send_request(&marked(place())).json();
    let id = placed["id"].as_i64().unwrap();
    assert_eq!(client.send_request(&marked(take(id))).status, 200);
    let other = client.place();

    let mut requests = vec![
        marked(place_from(["0", "0"])),
        marked(take(other)),
        marked(take(id + 9)),
        marked(post(r#"{"origin":["'; DROP TABLE orders --","2"]}"#)),
        with_key(marked(place()), KEY),
        Request::new("GET /orders?page='&limit=1"),
        take(id),
    ];
    let origins = [google::NO_ROUTE, google::DENIED, google::NEGATIVE, google::OVER_LIMIT];
    requests.extend(origins.map(place_from));
    let send_in_both_formats = |request: &Request| {
        let responses =
            [client.send_request(request), client.send_request(&request.clone().problem_json())];
        responses.map(|response| {
            assert!(response.status >= 400, "{response:?}");
            format!("{}\n{}", response.head, response.text())
        })
    };
    let mut responses: Vec<_> = requests.iter().flat_map(send_in_both_formats).collect();
    server.stop();
    let failing = [place(), marked(place_from(["8", "8"])), take(other)];
    responses.extend(failing.iter().flat_map(send_in_both_formats));

    let [_, (_, port), (_, user), (_, password)] = server.environment();
    let forbidden = [
        &port,
        &user,
        &password,
        KEY,
        google::KEY,
        fixture.database().name(),
        "127.0.0.1",
        "localhost",
        "maps.googleapis",
        "SELECT",
        "INSERT",
        "UPDATE",
        "FROM orders",
        "diesel",
        "libpq",
        "panicked",
        ".rs:",
        "backtrace",
    ];
    for response in responses {
        for text in forbidden {
            assert!(!response.contains(text), "{text} in {response}");
        }
    }
}

#[rstest]
fn rejected_requests_change_nothing(#[values(Store::Sqlite, Store::Postgres)] store: Store) {
    let google = Google::start();
    let fixture = google.configure(Fixture::new(store));
    let service = Process::start(&fixture);
    let client = &service.client;
    let (taken, free) = (client.place(), client.place());
    assert_eq!(client.send_request(&with_key(take(taken), "take")).status, 200);
    assert_eq!(client.send_request(&with_key(place(), "place")).status, 200);
    let before = Snapshot::of(client);

    let patch = |body: &str| Request::new(&format!("PATCH /orders/{free}")).json(body);
    let good = r#"{"origin":["1.5","2"],"destination":["3","4"]}"#;
    let rejected = [
        Request::new("DELETE /orders"),
        Request::new(&format!("DELETE /orders/{free}")),
        Request::new(&format!("PUT /orders/{free}")).json(r#"{"status":"TAKEN"}"#),
        Request::new(&format!("POST /orders/{free}")).json(r#"{"status":"TAKEN"}"#),
        Request::new(&format!("PATCH /orders/{free}/x")).json(r#"{"status":"TAKEN"}"#),
        Request::new("PATCH /orders/0").json(r#"{"status":"TAKEN"}"#),
        Request::new(&format!("PATCH /orders/{free}")).body(r#"{"status":"TAKEN"}"#),
        Request::new("POST /orders").body(good),
        Request::new("POST /orders").header("Content-Type", "text/plain").body(good),
        post(good).header("Content-Encoding", "gzip"),
        post(&format!("{good:<20000}")),
        post(&good.replace("1.5", "1e0")),
        post(&good.replace("\"1.5\"", "1.5")),
        post(&good.replace('}', ",\"x\":1}")),
        post(&good.replace('}', ",\"origin\":[\"1\",\"2\"]}")),
        post(&good.replace('}', "")),
        Request::new("POST /orders").header("Content-Type", "application/json").chunked("zz\r\n"),
        with_key(post(good), ""),
        with_key(with_key(post(good), "a"), "a"),
        place_from(google::NO_ROUTE),
        place_from(google::DENIED),
        place_from(google::NEGATIVE),
        with_key(post(good), "place"),
        patch(r#"{"status":"UNASSIGNED"}"#),
        patch(r#"{"status":"TAKEN","status":"TAKEN"}"#),
        patch(r#"{"status":"TAKEN","x":1}"#),
        patch("{}"),
        with_key(take(free), "a b"),
        with_key(take(free), "take"),
        with_key(take(taken), "other"),
        take(taken),
        take(free + 99),
        Request::new("GET /orders"),
        Request::new("GET /orders?page=1&limit=1001"),
    ];
    for request in rejected {
        let response = client.send_request(&request);
        assert!((400..500).contains(&response.status), "{request:?}: {response:?}");
        assert!(response.json()["error"] != Value::Null, "{response:?}");
    }

    assert_eq!(Snapshot::of(client), before);
}
