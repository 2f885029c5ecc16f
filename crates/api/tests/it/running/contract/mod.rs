//! The contract of the API, tested from outside: the service is a process behind a socket. The name
//! of each test is a sentence of the contract.

mod accept;
mod edge_cases;
mod errors;
mod headers;
mod keys;
mod links;
mod messages;
mod precedence;
mod retries;
mod storage_failures;

use serde_json::{Value, json};

use super::support::{Client, Request, Response};

/// All orders, in full. Two equal snapshots show that nothing has changed in between.
#[derive(Debug, PartialEq)]
struct Snapshot(Vec<Value>);

impl Snapshot {
    fn of(client: &Client) -> Self {
        let ids = client.pages("/orders?page=1&limit=1000").flatten();
        Self(ids.map(|id| client.get(&format!("/orders/{id}")).json).collect())
    }
}

fn post(body: &str) -> Request {
    Request::new("POST /orders").json(body)
}

/// A placement from `origin`.
fn place_from(origin: [&str; 2]) -> Request {
    post(&json!({"origin": origin, "destination": ["59.436487", "24.747193"]}).to_string())
}

fn place() -> Request {
    place_from(["50.456399", "12.707580"])
}

fn take(id: i64) -> Request {
    Request::new(&format!("PATCH /orders/{id}")).json(r#"{"status":"TAKEN"}"#)
}

/// Adds an `Idempotency-Key`, also to a request that has one.
fn with_key(request: Request, key: impl AsRef<[u8]>) -> Request {
    request.header("Idempotency-Key", key)
}

/// The code of the error that the request gets.
fn error_code(client: &Client, request: &Request) -> String {
    let response = client.send_request(&request.clone().problem_json());
    response.json()["code"].as_str().unwrap_or_else(|| panic!("{response:?}")).to_owned()
}

/// What the `errors` of an invalid request name, sorted: JSON pointers, and parameters such as
/// `query limit`.
fn violations(client: &Client, request: &Request) -> Vec<String> {
    let problem = client.send_request(&request.clone().problem_json()).json();
    assert_eq!(problem["code"], "invalid_request", "{problem}");
    let name = |error: &Value| match (error["pointer"].as_str(), error["in"].as_str()) {
        (Some(pointer), None) => pointer.to_owned(),
        (None, Some(part)) => format!("{part} {}", error["parameter"].as_str().unwrap()),
        _ => panic!("{error}"),
    };
    let mut names: Vec<_> = problem["errors"].as_array().unwrap().iter().map(name).collect();
    names.sort_unstable();
    names
}

/// A row of the contract's table of errors: the code, the default status and the precise status.
type ErrorSpec = (&'static str, u16, u16);

/// Sends a request in both error formats. It must fail each time.
fn assert_both_formats(client: &Client, request: &Request, spec: ErrorSpec) {
    assert_error(
        client.send_request(request),
        client.send_request(&request.clone().problem_json()),
        spec,
    );
}

/// Checks one error in both formats, every member included. Returns the message of the first.
fn assert_error(plain: Response, problem: Response, spec: ErrorSpec) -> String {
    let (code, default, precise) = spec;
    assert_eq!(plain.status, default, "{code}: {plain:?}");
    assert_eq!(plain.header("content-type"), Some("application/json"), "{code}");
    let body = plain.json();
    let message = body["error"].as_str().unwrap_or_default();
    assert!(!message.is_empty(), "{code}: {body}");
    assert_eq!(body, json!({"error": message}), "{code}");

    assert_eq!(problem.status, precise, "{code}: {problem:?}");
    assert_eq!(problem.header("content-type"), Some("application/problem+json"), "{code}");
    let body = problem.json();
    for text in ["title", "detail"] {
        assert!(body[text].as_str().is_some_and(|text| !text.is_empty()), "{code}: {body}");
    }
    let mut expected = json!({
        "type": format!("urn:order-api:problem:{code}"),
        "title": body["title"],
        "status": precise,
        "detail": body["detail"],
        "code": code,
    });
    if code == "invalid_request" {
        assert!(body["errors"].as_array().is_some_and(|errors| !errors.is_empty()), "{body}");
        expected["errors"] = body["errors"].clone();
    }
    assert_eq!(body, expected);

    for response in [plain, problem] {
        let vary = response.headers("vary").join(",").to_ascii_lowercase();
        assert!(vary.split(',').any(|name| name.trim() == "accept"), "{code}: {}", response.head);
    }
    message.to_owned()
}
