//! The key is told to nobody but the endpoint: not in an error, its sources or its debug form,
//! and not in a log of anybody's at any level.

use std::error::Error;

use order_domain::DistanceProvider;
use reqwest::Url;
use tokio::task::JoinSet;

use crate::{
    chain,
    logs::Logs,
    provider, sample_route,
    stub::{Act, Stub, Then, closed_port},
};

/// Needs percent-encoding. Its parts are not words of anybody's.
const KEY: &str = "qZ7vK/xW9 jY4+pL%2Fm&n=ü\"H3";

/// What must not be seen: letters between those that can be encoded in many ways.
const PARTS: [&str; 4] = ["qZ7vK", "xW9", "jY4", "pL%2"];

/// All that can happen. Where words of the endpoint's can come through, they quote the key.
fn failures() -> Vec<Act> {
    let encoded: String = Url::parse_with_params("http://x/", [("key", KEY)]).unwrap().into();
    let json = KEY.replace('"', "\\\"");
    let quoted = |status: &str| {
        let message = format!("{json} is no key, see {encoded}");
        Act::http(200, format!(r#"{{"status":"{status}","error_message":"{message}"}}"#))
    };
    let location = format!("Location: {encoded}\r\nX-Key: {encoded}\r\n");
    let google = ["REQUEST_DENIED", "OVER_DAILY_LIMIT", "OVER_QUERY_LIMIT", "UNKNOWN_ERROR"];
    let mut acts: Vec<_> = google.map(quoted).to_vec();
    acts.extend(["INVALID_REQUEST", "OK", &json].map(quoted));
    acts.push(Act::element(&format!(r#"{{"status":"{json}"}}"#)));
    acts.push(Act::found(&format!("\"{json}\"")));
    acts.extend(["", KEY, &encoded].map(|body| Act::http(200, body)));
    acts.extend([201, 301, 403, 429, 500].map(|it| Act::http_with(it, &location, KEY)));
    acts.push(Act::http(200, vec![b' '; 2_000_000]));
    acts.push(Act::http_with(200, "Content-Encoding: gzip\r\n", KEY));
    let half = format!("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{encoded}");
    for sent in ["", "HTTP/1.1 2", &half, KEY] {
        for then in [Then::Close, Then::Reset, Then::Stall] {
            acts.push(Act::new(sent, then));
        }
    }
    acts
}

fn assert_no_key(place: &str, text: &str) {
    for part in PARTS {
        assert!(!text.contains(part), "{part} is in {place}: {text}");
    }
}

#[tokio::test]
async fn the_key_is_in_no_log_and_no_error_whatever_happens() {
    let logs = Logs::capture();
    let mut calls = JoinSet::new();
    for act in failures() {
        calls.spawn(async move {
            let stub = Stub::script(vec![act]).await;
            let provider = provider(&stub.url(""), KEY);
            let error = provider.distance(&sample_route()).await.unwrap_err();
            assert!(stub.requests()[0].parameters().contains(&("key".into(), KEY.into())));
            error
        });
    }
    calls.spawn(async {
        let stub = Stub::script(vec![Act::http(400, KEY)]).await;
        let no_tls = provider(&format!("https://{}", stub.address()), KEY);
        no_tls.distance(&sample_route()).await.unwrap_err()
    });
    calls.spawn(async {
        let port = closed_port();
        let nobody = provider(&format!("http://{}", port.local_addr().unwrap()), KEY);
        nobody.distance(&sample_route()).await.unwrap_err()
    });
    for error in calls.join_all().await {
        assert_no_key("the error", &format!("{} {error:?} {error:#?}", chain(&error)));
        let mut source = error.source();
        while let Some(error) = source {
            assert_no_key("a source", &format!("{error} {error:?}"));
            source = error.source();
        }
    }
    let text = logs.text();
    // Who captures nothing finds nothing.
    for known in ["reqwest", "hyper_util", "is asked again", "REQUEST_DENIED", "***"] {
        assert!(text.contains(known), "nothing was logged of {known}");
    }
    assert_no_key("a log", &text);
}

#[tokio::test]
async fn the_key_is_not_in_the_debug_form_of_the_provider() {
    assert_no_key("it", &format!("{:#?}", provider("http://127.0.0.1:9/json?region=ee", KEY)));
}
