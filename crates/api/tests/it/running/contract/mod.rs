//! What clients may rely on, sentence by sentence, asked from outside: the name of a test is the
//! sentence, and the service is a process behind a socket.

mod accept;
mod errors;
mod faults;
mod headers;
mod keys;
mod links;
mod messages;
mod odd;
mod precedence;
mod retries;

use serde_json::{Value, json};

use super::support::{Ask, Client, Told};

/// All orders, as they are shown. That nothing was changed shows in this.
#[derive(Debug, PartialEq)]
struct Seen(Vec<Value>);

impl Seen {
    fn by(client: &Client) -> Self {
        let ids = client.pages("/orders?page=1&limit=1000").flatten();
        Self(ids.map(|id| client.get(&format!("/orders/{id}")).json).collect())
    }
}

fn post(body: &str) -> Ask {
    Ask::new("POST /orders").json(body)
}

/// A placement from `origin`.
fn place_from(origin: [&str; 2]) -> Ask {
    post(&json!({"origin": origin, "destination": ["59.436487", "24.747193"]}).to_string())
}

fn place() -> Ask {
    place_from(["50.456399", "12.707580"])
}

fn take(id: i64) -> Ask {
    Ask::new(&format!("PATCH /orders/{id}")).json(r#"{"status":"TAKEN"}"#)
}

/// One more key: two are a fault.
fn keyed(ask: Ask, key: impl AsRef<[u8]>) -> Ask {
    ask.header("Idempotency-Key", key)
}

/// The code of a refusal, whichever form it would have by default.
fn code(client: &Client, ask: &Ask) -> String {
    let told = client.ask(&ask.clone().precise());
    told.json()["code"].as_str().unwrap_or_else(|| panic!("{told:?}")).to_owned()
}

/// The places that the refusal of a request names, in any order: pointers as they are, parameters
/// as `query limit`.
fn places(client: &Client, ask: &Ask) -> Vec<String> {
    let told = client.ask(&ask.clone().precise()).json();
    assert_eq!(told["code"], "invalid_request", "{told}");
    let place = |error: &Value| match (error["pointer"].as_str(), error["in"].as_str()) {
        (Some(pointer), None) => pointer.to_owned(),
        (None, Some(part)) => format!("{part} {}", error["parameter"].as_str().unwrap()),
        _ => panic!("{error}"),
    };
    let mut places: Vec<_> = told["errors"].as_array().unwrap().iter().map(place).collect();
    places.sort_unstable();
    places
}

/// A row of the table of errors: its code, its status by default, and the precise one.
type Row = (&'static str, u16, u16);

/// A request that is refused each time it is sent.
fn expect_both_forms(client: &Client, ask: &Ask, row: Row) {
    expect_row(client.ask(ask), client.ask(&ask.clone().precise()), row);
}

/// The two forms of one refusal, to the last member. The message of the first.
fn expect_row(plain: Told, document: Told, (code, default, precise): Row) -> String {
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

    for told in [plain, document] {
        let vary = told.headers("vary").join(",").to_ascii_lowercase();
        assert!(vary.split(',').any(|name| name.trim() == "accept"), "{code}: {}", told.head);
    }
    message.to_owned()
}
