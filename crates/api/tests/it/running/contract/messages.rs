//! What a refusal says, what it does not say, and that it changes nothing.

use order_test_postgres::{Server, ServerSettings};
use rstest::rstest;
use serde_json::{Value, json};

use super::{
    super::{
        google::{self, Google},
        support::{Fixture, Process, Request, Store},
    },
    Seen, keyed, place, place_from, places, post, take,
};

#[rstest]
#[case::a_wrong_value(place_from(["91", "x"]), &["/origin/0", "/origin/1"])]
#[case::a_wrong_element(post(r#"{"origin":[1,"2"],"destination":["3","4"]}"#), &["/origin/0"])]
#[case::a_wrong_type(post(r#"{"origin":["1"],"destination":"3"}"#), &["/destination", "/origin"])]
#[case::missing_members(post("{}"), &["/destination", "/origin"])]
#[case::an_unknown_member(
    post(r#"{"origin":["1","2"],"destination":["3","4"],"a/b~":1}"#), &["/a~1b~0"]
)]
#[case::no_json(post("invalid_response"), &[""])]
#[case::no_object(post("[]"), &[""])]
#[case::no_body(post(""), &[""])]
#[case::the_status(Request::new("PATCH /orders/1").json(r#"{"status":"taken"}"#), &["/status"])]
#[case::the_query(
    Request::new("GET /orders?limit=0&page=0&status=x&x=1"),
    &["query limit", "query page", "query status", "query x"]
)]
#[case::a_missing_parameter(Request::new("GET /orders?page=1"), &["query limit"])]
#[case::the_path(Request::new("GET /orders/0"), &["path id"])]
#[case::a_header(keyed(place(), "a b"), &["header Idempotency-Key"])]
#[case::a_repeated_header(
    keyed(keyed(place(), "a"), "a"),
    &["header Idempotency-Key"]
)]
fn each_entry_of_errors_points_to_a_member_or_names_a_parameter(
    #[case] request: Request,
    #[case] expected: &[&str],
) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    assert_eq!(places(&service.client, &request), expected);
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
#[case("GET /nothing", "there is nothing at this path; see /docs/")]
fn a_message_says_what_to_do_where_that_helps(#[case] line: &str, #[case] message: &str) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    assert_eq!(service.client.send_request(&Request::new(line)).json(), json!({"error": message}));
}

#[test]
fn the_docs_that_an_unknown_paths_message_ends_with_are_there() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let response = service.client.send_request(&Request::new("GET /docs/"));
    assert_eq!(response.status, 200, "{response:?}");
    assert!(response.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
}

/// The key of a request counts as a secret as well.
#[test]
fn a_message_never_contains_a_secret_an_sql_text_a_stack_trace_or_a_host_name() {
    const KEY: &str = "marker-of-a-client";
    let google = Google::start();
    let server = Server::start(ServerSettings::Fast);
    let fixture = google.asked_by(Fixture::on_server(&server));
    let service = Process::start(&fixture);
    let client = &service.client;
    let marked = |request: Request| keyed(request, KEY);
    let placed = client.send_request(&marked(place())).json();
    let id = placed["id"].as_i64().unwrap();
    assert_eq!(client.send_request(&marked(take(id))).status, 200);
    let other = client.place();

    let mut asked = vec![
        marked(place_from(["0", "0"])),
        marked(take(other)),
        marked(take(id + 9)),
        marked(post(r#"{"origin":["'; DROP TABLE orders --","2"]}"#)),
        keyed(marked(place()), KEY),
        Request::new("GET /orders?page='&limit=1"),
        take(id),
    ];
    let origins = [google::NO_ROUTE, google::DENIED, google::NEGATIVE, google::OVER_LIMIT];
    asked.extend(origins.map(place_from));
    let refuse = |request: &Request| {
        let forms =
            [client.send_request(request), client.send_request(&request.clone().problem_json())];
        forms.map(|response| {
            assert!(response.status >= 400, "{response:?}");
            format!("{}\n{}", response.head, response.text())
        })
    };
    let mut response: Vec<_> = asked.iter().flat_map(refuse).collect();
    server.stop();
    let failing = [place(), marked(place_from(["8", "8"])), take(other)];
    response.extend(failing.iter().flat_map(refuse));

    let [_, (_, port), (_, user), (_, password)] = server.environment();
    let never = [
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
    for response in response {
        for never in never {
            assert!(!response.contains(never), "{never} in {response}");
        }
    }
}

#[rstest]
fn a_refused_request_changes_nothing(#[values(Store::Sqlite, Store::Postgres)] store: Store) {
    let google = Google::start();
    let fixture = google.asked_by(Fixture::new(store));
    let service = Process::start(&fixture);
    let client = &service.client;
    let (taken, free) = (client.place(), client.place());
    assert_eq!(client.send_request(&keyed(take(taken), "take")).status, 200);
    assert_eq!(client.send_request(&keyed(place(), "place")).status, 200);
    let before = Seen::by(client);

    let patch = |body: &str| Request::new(&format!("PATCH /orders/{free}")).json(body);
    let good = r#"{"origin":["1.5","2"],"destination":["3","4"]}"#;
    let refused = [
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
        keyed(post(good), ""),
        keyed(keyed(post(good), "a"), "a"),
        place_from(google::NO_ROUTE),
        place_from(google::DENIED),
        place_from(google::NEGATIVE),
        keyed(post(good), "place"),
        patch(r#"{"status":"UNASSIGNED"}"#),
        patch(r#"{"status":"TAKEN","status":"TAKEN"}"#),
        patch(r#"{"status":"TAKEN","x":1}"#),
        patch("{}"),
        keyed(take(free), "a b"),
        keyed(take(free), "take"),
        keyed(take(taken), "other"),
        take(taken),
        take(free + 99),
        Request::new("GET /orders"),
        Request::new("GET /orders?page=1&limit=1001"),
    ];
    for request in refused {
        let response = client.send_request(&request);
        assert!((400..500).contains(&response.status), "{request:?}: {response:?}");
        assert!(response.json()["error"] != Value::Null, "{response:?}");
    }

    assert_eq!(Seen::by(client), before);
}
