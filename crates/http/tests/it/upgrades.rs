//! Requests that offer another protocol, and pipelined requests: each gets the response that it
//! would get without the offer and on a connection of its own.

use std::{sync::Arc, time::Duration};

use actix_web::rt;
use order_domain::{
    MockOrderRepo, OrderRepo, OrderRepoDecorator, OrderStatus, OrderSummary, OutcomeInfo,
    PlaceOutcome, RepoError, RepoOperation, TakeOutcome,
};
use order_http::{AppState, Ports};
use prometheus::Registry;
use rstest::rstest;
use tokio::time::sleep;

use crate::{
    support::{PROBLEM_JSON, Served, Silent, api, found, metres, order_id, placed, sample},
    wire::{RawResponse, Wire},
};

/// The headers with which clients offer another protocol, each ended by CR LF.
const UPGRADES: &[&str] = &[
    // Java's HttpClient with its defaults, Apache HttpClient 5.4, and nginx with web sockets.
    "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA\r\nUpgrade: h2c\r\n",
    "Connection: keep-alive, Upgrade\r\nUpgrade: TLS/1.2\r\n",
    "Connection: upgrade\r\nUpgrade: websocket\r\n",
    // A browser's web socket.
    "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "connection:UPGRADE\r\nupgrade:WebSocket\r\n",
    "Connection: upgrade\r\n",
    "Connection: ,upgrade ,\r\n",
    "Connection: keep-alive\r\nConnection: upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n",
    "Upgrade: websocket\r\n",
    "Upgrade: h2c\r\n",
    "Upgrade:\r\n",
    "Connection: upgrade, \u{e4}\r\nUpgrade: HTTP/3.0, \u{e4}\r\n",
];

/// Runs `client` on a connection to a service that returns each kind of status.
async fn against<T: Send + 'static>(client: impl FnOnce(&mut Wire) -> T + Send + 'static) -> T {
    let mut repo = MockOrderRepo::new();
    repo.expect_place().returning(|_| Ok(PlaceOutcome::Placed(placed(16))));
    repo.expect_take().returning(|take| {
        Ok(if take.id == order_id(1) { TakeOutcome::Taken } else { TakeOutcome::AlreadyTaken })
    });
    repo.expect_find().returning(|_| Err(RepoError::Overloaded));
    repo.expect_list().returning(|_| Ok(vec![summary(); 100]));
    let served = Served::start(api(repo, found(1_728_057)));
    let address = served.address;
    let client = move || client(&mut Wire::connect(address));
    let result = rt::task::spawn_blocking(client).await.unwrap();
    served.stop().await;
    result
}

fn summary() -> OrderSummary {
    OrderSummary { id: order_id(1), distance: metres(7), status: OrderStatus::Unassigned }
}

/// A request with `Content-Length`, or without a body if it is empty.
fn request(line: &str, headers: &str, body: &str) -> String {
    let length = match body.len() {
        0 => String::new(),
        length => format!("Content-Length: {length}\r\n"),
    };
    format!("{line} HTTP/1.1\r\nHost: x\r\n{headers}{length}\r\n{body}")
}

/// The same request with its body in chunks.
fn chunked(line: &str, headers: &str, body: &str) -> String {
    let (first, rest) = body.split_at(body.len() / 2);
    let chunks = [first, rest].map(|piece| format!("{:x}\r\n{piece}\r\n", piece.len())).concat();
    format!(
        "{line} HTTP/1.1\r\nHost: x\r\n{headers}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
    )
}

fn respond(wire: &mut Wire, request: &str) -> RawResponse {
    wire.send(request);
    let response = wire.response(request.split(' ').next().unwrap());
    response.unwrap_or_else(|| panic!("closed before {request}")).normalized()
}

#[rstest]
#[case::placed("POST /orders", &sample().to_string(), 200)]
#[case::taken("PATCH /orders/1", r#"{"status":"TAKEN"}"#, 200)]
#[case::already_taken("PATCH /orders/2", r#"{"status":"TAKEN"}"#, 400)]
#[case::invalid("POST /orders", "{}", 400)]
#[case::listed("GET /orders?page=1&limit=100", "", 200)]
#[case::listed_without_body("HEAD /orders?page=1&limit=100", "", 200)]
#[case::overloaded("GET /orders/7", "", 503)]
#[case::healthy("GET /healthcheck", "", 200)]
#[case::ready("HEAD /readyz/", "", 200)]
#[case::redirected("GET /docs", "", 308)]
#[case::page("GET /docs/", "", 200)]
#[case::unknown_path("GET /nowhere", "", 404)]
#[case::no_media_type("POST /orders", "", 415)]
#[case::deleted("DELETE /orders", "", 405)]
#[case::options("OPTIONS /orders/abc", "", 405)]
#[case::made_up_method("PURGE /orders", "", 405)]
#[case::connect("CONNECT x:80", "", 404)]
#[actix_web::test]
async fn upgrade_request_gets_the_response_of_a_plain_request(
    #[case] line: &'static str,
    #[case] body: &str,
    #[case] status: u16,
) {
    let body = body.to_owned();
    against(move |wire| {
        for accept in ["*/*", PROBLEM_JSON] {
            let common = match body.len() {
                0 => format!("Accept: {accept}\r\n"),
                _ => format!("Accept: {accept}\r\nContent-Type: application/json\r\n"),
            };
            let plain = respond(wire, &request(line, &common, &body));
            if accept == "*/*" {
                assert_eq!(plain.status(), status, "{plain:?}");
            }
            assert!(!plain.head.contains("connection:"), "{plain:?}");
            for upgrade in UPGRADES {
                let headers = format!("{common}{upgrade}");
                let upgraded = respond(wire, &request(line, &headers, &body));
                assert_eq!(upgraded, plain, "{upgrade}");
                if !body.is_empty() {
                    let upgraded = respond(wire, &chunked(line, &headers, &body));
                    assert_eq!(upgraded, plain, "{upgrade}");
                }
            }
        }
    })
    .await;
}

#[rstest]
#[case::close("Connection: close\r\n")]
#[case::close_and_upgrade("Connection: close, upgrade\r\nUpgrade: h2c\r\n")]
#[case::upgrade_and_close("Upgrade: websocket\r\nConnection: upgrade\r\nConnection: close\r\n")]
#[actix_web::test]
async fn close_is_obeyed_beside_an_upgrade(#[case] headers: &'static str) {
    against(move |wire| {
        let response = respond(wire, &request("GET /healthcheck", headers, ""));
        assert!(response.head.contains("connection: close\r\n"), "{response:?}");
        assert_eq!(wire.response("GET"), None);
    })
    .await;
}

#[actix_web::test]
async fn connection_serves_a_thousand_upgrade_requests() {
    against(|wire| {
        for number in 0..1000 {
            let headers =
                format!("Content-Type: application/json\r\n{}", UPGRADES[number % UPGRADES.len()]);
            let response = respond(wire, &request("POST /orders", &headers, &sample().to_string()));
            assert_eq!(response.status(), 200, "{number}: {response:?}");
        }
    })
    .await;
}

#[actix_web::test]
async fn body_that_looks_like_an_upgrade_is_unchanged() {
    against(|wire| {
        let body = "{\"Connection: upgrade\":1,\"\\nUpgrade: h2c\":2}";
        let headers = "Content-Type: application/json\r\nConnection: upgrade\r\n";
        for request in
            [request("PATCH /orders/1", headers, body), chunked("PATCH /orders/1", headers, body)]
        {
            let response = respond(wire, &request);
            assert!(response.body.contains("Connection: upgrade is not a known"), "{response:?}");
        }
    })
    .await;
}

/// A repository that is slow, so that the server could decode the requests that follow.
struct SlowRepo(MockOrderRepo);

impl SlowRepo {
    fn new() -> Self {
        let mut repo = MockOrderRepo::new();
        repo.expect_take().returning(|_| Ok(TakeOutcome::Taken));
        repo.expect_find().returning(|_| Ok(None));
        Self(repo)
    }
}

impl OrderRepoDecorator for SlowRepo {
    fn inner(&self) -> &dyn OrderRepo {
        &self.0
    }

    async fn around<T: Send>(
        &self,
        _: RepoOperation,
        call: impl Future<Output = Result<T, RepoError>> + Send,
        _: fn(&T) -> OutcomeInfo,
    ) -> Result<T, RepoError> {
        sleep(Duration::from_millis(50)).await;
        call.await
    }
}

#[rstest]
#[case::head_after_get(&["GET /orders/1", "HEAD /orders/1", "GET /orders/1"], "")]
#[case::upgrades(&["GET /orders/1", "PATCH /orders/1", "HEAD /livez", "PATCH /orders/1"], UPGRADES[2])]
#[case::connect(&["PATCH /orders/1", "CONNECT x:80", "GET /orders/1"], "")]
#[actix_web::test]
async fn pipelined_requests_get_the_responses_of_single_ones(
    #[case] lines: &'static [&'static str],
    #[case] headers: &'static str,
) {
    let ports = Ports {
        repo: Arc::new(SlowRepo::new()),
        distances: Arc::new(Silent),
        readiness: Arc::new(Silent),
    };
    let served = Served::start(AppState::new(ports, Registry::new(), Duration::from_secs(15)));
    let address = served.address;
    rt::task::spawn_blocking(move || {
        let requests: Vec<_> = lines
            .iter()
            .map(|line| {
                let body = if line.starts_with("PATCH") { r#"{"status":"TAKEN"}"# } else { "" };
                let headers = format!("Content-Type: application/json\r\n{headers}");
                request(line, &headers, body)
            })
            .collect();
        let mut alone = Wire::connect(address);
        let expected: Vec<_> = requests.iter().map(|it| respond(&mut alone, it)).collect();

        let mut wire = Wire::connect(address);
        wire.send(requests.concat());
        for (request, expected) in requests.iter().zip(expected) {
            let method = request.split(' ').next().unwrap();
            let response = wire.response(method).unwrap().normalized();
            assert_eq!(response, expected, "{request}");
        }
    })
    .await
    .unwrap();
    served.stop().await;
}

/// The request that is decoded last must not decide whether the connection is closed.
#[rstest]
#[case::close_after_keep("", "Connection: close\r\n")]
#[case::close_before_keep("Connection: close\r\n", "")]
#[actix_web::test]
async fn close_applies_to_its_own_request_only(
    #[case] first: &'static str,
    #[case] second: &'static str,
) {
    let ports = Ports {
        repo: Arc::new(SlowRepo::new()),
        distances: Arc::new(Silent),
        readiness: Arc::new(Silent),
    };
    let served = Served::start(AppState::new(ports, Registry::new(), Duration::from_secs(15)));
    let address = served.address;
    rt::task::spawn_blocking(move || {
        let mut wire = Wire::connect(address);
        wire.send([first, second].map(|headers| request("GET /orders/1", headers, "")).concat());
        let response = wire.response("GET").unwrap();
        assert_eq!(response.head.contains("connection: close\r\n"), !first.is_empty());
        if first.is_empty() {
            assert!(wire.response("GET").unwrap().head.contains("connection: close\r\n"));
        }
        assert_eq!(wire.response("GET"), None);
    })
    .await
    .unwrap();
    served.stop().await;
}
