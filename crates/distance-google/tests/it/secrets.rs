//! The key is sent only to the endpoint. It is in no error, no source or debug form of an error,
//! and no log line of any crate at any level.

use std::error::Error;

use order_conformance::{
    distance::stub::{Then, closed_port},
    logs::Logs,
};
use order_distance_http::Url;
use order_domain::DistanceProvider;
use tokio::task::JoinSet;

use crate::{Action, Stub, element, found_action, matrix, sample_route, texts};

/// Needs percent-encoding. Its parts occur in no other text.
const KEY: &str = "qZ7vK/xW9 jY4+pL%2Fm&n=ü\"H3";

/// What no text may contain: the characters between those that can be encoded in several ways.
const PARTS: [&str; 4] = ["qZ7vK", "xW9", "jY4", "pL%2"];

/// Every failure. Each text that the endpoint can send contains the key.
fn failures() -> Vec<Action> {
    let encoded: String = Url::parse_with_params("http://x/", [("key", KEY)]).unwrap().into();
    let json = KEY.replace('"', "\\\"");
    let quoted = |status: &str| {
        let message = format!("{json} is no key, see {encoded}");
        Action::http(200, format!(r#"{{"status":"{status}","error_message":"{message}"}}"#))
    };
    let location = format!("Location: {encoded}\r\nX-Key: {encoded}\r\n");
    let google = ["REQUEST_DENIED", "OVER_DAILY_LIMIT", "OVER_QUERY_LIMIT", "UNKNOWN_ERROR"];
    let mut actions: Vec<_> = google.map(quoted).to_vec();
    actions.extend(["INVALID_REQUEST", "OK", &json].map(quoted));
    actions.push(element(&format!(r#"{{"status":"{json}"}}"#)));
    actions.push(found_action(&format!("\"{json}\"")));
    actions.extend(["", KEY, &encoded].map(|body| Action::http(200, body)));
    actions.extend([201, 301, 403, 429, 500].map(|it| Action::http_with(it, &location, KEY)));
    actions.push(Action::http(200, vec![b' '; 2_000_000]));
    actions.push(Action::http_with(200, "Content-Encoding: gzip\r\n", KEY));
    let half = format!("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{encoded}");
    for sent in ["", "HTTP/1.1 2", &half, KEY] {
        for then in [Then::Close, Then::Reset, Then::Stall] {
            actions.push(Action::new(sent, then));
        }
    }
    actions
}

fn assert_no_key(place: &str, text: &str) {
    for part in PARTS {
        assert!(!text.contains(part), "{part} is in {place}: {text}");
    }
}

#[tokio::test]
async fn key_is_in_no_log_and_no_error() {
    let logs = Logs::capture();
    let mut calls = JoinSet::new();
    for action in failures() {
        calls.spawn(async move {
            let stub = Stub::script(vec![action]).await;
            let provider = matrix(&stub.url(""), KEY);
            let error = provider.distance(&sample_route()).await.unwrap_err();
            assert!(stub.requests()[0].parameters().contains(&("key".into(), KEY.into())));
            error
        });
    }
    calls.spawn(async {
        let stub = Stub::script(vec![Action::http(400, KEY)]).await;
        let no_tls = matrix(&format!("https://{}", stub.address()), KEY);
        no_tls.distance(&sample_route()).await.unwrap_err()
    });
    calls.spawn(async {
        let port = closed_port();
        let closed = matrix(&format!("http://{}", port.local_addr().unwrap()), KEY);
        closed.distance(&sample_route()).await.unwrap_err()
    });
    for error in calls.join_all().await {
        assert_no_key("the error", &format!("{} {error:?} {error:#?}", texts(&error)));
        let mut source = error.source();
        while let Some(error) = source {
            assert_no_key("a source", &format!("{error} {error:?}"));
            source = error.source();
        }
    }
    let text = logs.text();
    // Otherwise the test would pass without capturing anything.
    for known in ["reqwest", "hyper_util", "retrying", "REQUEST_DENIED", "***"] {
        assert!(text.contains(known), "nothing was logged of {known}");
    }
    assert_no_key("a log", &text);
}

#[tokio::test]
async fn debug_form_of_the_provider_has_no_key() {
    assert_no_key("it", &format!("{:#?}", matrix("http://127.0.0.1:9/json?region=ee", KEY)));
}
