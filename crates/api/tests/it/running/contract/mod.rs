//! What clients may rely on, sentence by sentence, asked from outside: the name of a test is the
//! sentence, and the service is a process behind a socket.

mod accept;
mod edge_cases;
mod errors;
mod faults;
mod headers;
mod keys;
mod links;
mod messages;
mod precedence;
mod retries;

use serde_json::{Value, json};

use super::support::{Client, Request, Response};

/// All orders, as they are shown. That nothing was changed shows in this.
#[derive(Debug, PartialEq)]
struct Seen(Vec<Value>);

impl Seen {
    fn by(client: &Client) -> Self {
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

/// One more key: two are a fault.
fn keyed(request: Request, key: impl AsRef<[u8]>) -> Request {
    request.header("Idempotency-Key", key)
}

/// The code of a refusal, whichever form it would have by default.
fn code(client: &Client, request: &Request) -> String {
    let response = client.send_request(&request.clone().problem_json());
    response.json()["code"].as_str().unwrap_or_else(|| panic!("{response:?}")).to_owned()
}

/// The places that the refusal of a request names, in any order: pointers as they are, parameters
/// as `query limit`.
fn places(client: &Client, request: &Request) -> Vec<String> {
    let response = client.send_request(&request.clone().problem_json()).json();
    assert_eq!(response["code"], "invalid_request", "{response}");
    let place = |error: &Value| match (error["pointer"].as_str(), error["in"].as_str()) {
        (Some(pointer), None) => pointer.to_owned(),
        (None, Some(part)) => format!("{part} {}", error["parameter"].as_str().unwrap()),
        _ => panic!("{error}"),
    };
    let mut places: Vec<_> = response["errors"].as_array().unwrap().iter().map(place).collect();
    places.sort_unstable();
    places
}

/// A row of the table of errors: its code, its status by default, and the precise one.
type Row = (&'static str, u16, u16);

/// A request that is refused each time it is sent.
fn expect_both_forms(client: &Client, request: &Request, row: Row) {
    expect_row(
        client.send_request(request),
        client.send_request(&request.clone().problem_json()),
        row,
    );
}

/// The two forms of one refusal, to the last member. The message of the first.
fn expect_row(plain: Response, document: Response, (code, default, precise): Row) -> String {
    assert_eq!(plain.status, default, "{code}: {plain:?}");
    assert_eq!(plain.header("content-type"), Some("application/json"), "{code}");
    let body = plain.json();
    let message = body["error"].as_str().unwrap_or_default();
    assert!(!message.is_empty(), "{code}: {body}");
    assert_eq!(body, json!({"error": message}), "{code}");

    assert_eq!(document.status, precise, "{code}: {document:?}");
    assert_eq!(document.header("content-type"), Some("application/problem+json"), "{code}");
    let body = document.json();
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

    for response in [plain, document] {
        let vary = response.headers("vary").join(",").to_ascii_lowercase();
        assert!(vary.split(',').any(|name| name.trim() == "accept"), "{code}: {}", response.head);
    }
    message.to_owned()
}
