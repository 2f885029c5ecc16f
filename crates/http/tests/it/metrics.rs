//! HTTP metrics: what is counted, and that no label contains text of a client.

use actix_web::{http::Method, test::TestRequest};
use order_domain::{MockDistanceProvider, MockOrderRepo};

use crate::support::{api, send_to};

#[actix_web::test]
async fn labels_are_not_chosen_by_clients() {
    let mut repo = MockOrderRepo::new();
    repo.expect_find().returning(|_| Ok(None));
    let api = api(repo, MockDistanceProvider::new());
    for n in 1..=3 {
        send_to(&api, TestRequest::with_uri(&format!("/orders/{n}"))).await;
        send_to(&api, TestRequest::with_uri(&format!("/orders/{n}/"))).await;
        send_to(&api, TestRequest::with_uri(&format!("/made-up/{n}"))).await;
        let method = Method::from_bytes(format!("MADE-UP-{n}").as_bytes()).unwrap();
        send_to(&api, TestRequest::with_uri("/orders").method(method)).await;
    }
    send_to(&api, TestRequest::with_uri("/docs/swagger-ui.css")).await;
    send_to(&api, TestRequest::with_uri("/docs/made-up")).await;

    let response = send_to(&api, TestRequest::with_uri("/metrics")).await;

    assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4"));
    let text = String::from_utf8(response.body.to_vec()).unwrap();
    let mut counted: Vec<_> =
        text.lines().filter(|line| line.starts_with("orders_http_requests_total")).collect();
    counted.sort_unstable();
    let expected = [
        r#"{method="GET",route="/docs/",status="200"} 1"#,
        r#"{method="GET",route="/docs/",status="404"} 1"#,
        r#"{method="GET",route="/orders/{id}",status="400"} 6"#,
        r#"{method="GET",route="unknown",status="404"} 3"#,
        r#"{method="other",route="/orders",status="405"} 3"#,
    ];
    assert_eq!(counted, expected.map(|line| format!("orders_http_requests_total{line}")));
    assert!(!text.contains("made-up") && !text.contains("MADE-UP"), "{text}");
    let seconds = "orders_http_request_duration_seconds_count";
    assert!(text.contains(&format!("{seconds}{{method=\"GET\",route=\"/orders/{{id}}\"}} 6\n")));
    for (code, count) in [("order_not_found", 6), ("unknown_path", 4), ("internal_error", 0)] {
        assert!(text.contains(&format!("orders_http_errors_total{{code=\"{code}\"}} {count}\n")));
    }
    // This request itself.
    assert!(text.contains("orders_http_requests_in_flight 1\n"), "{text}");
}
