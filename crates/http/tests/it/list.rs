//! `GET /orders`.

use actix_web::test::TestRequest;
use order_domain::{
    Cursor, Limit, ListQuery, MockOrderRepo, OrderStatus, OrderSummary, Page, PageNumber,
    RepoError, Window,
};
use rstest::rstest;
use serde_json::json;

use crate::support::{PROBLEM_JSON, metres, order_id, send_to_repo, send_without_ports};

fn get(uri: &str) -> TestRequest {
    TestRequest::get().uri(uri)
}

fn page(number: &str, limit: &str) -> Window {
    let number = PageNumber::parse(number).unwrap();
    Window::Page(Page { number, limit: Limit::parse(limit).unwrap() })
}

fn before(id: i64, limit: &str) -> Window {
    Window::Before(Cursor { before: order_id(id), limit: Limit::parse(limit).unwrap() })
}

fn summary(id: i64, status: OrderStatus) -> OrderSummary {
    OrderSummary { id: order_id(id), distance: metres(1_728_057), status }
}

/// A repository that expects this query and returns orders with these ids.
fn shows(window: Window, status: Option<OrderStatus>, ids: &'static [i64]) -> MockOrderRepo {
    let mut repo = MockOrderRepo::new();
    let shown = ids.iter().map(|&id| summary(id, status.unwrap_or(OrderStatus::Unassigned)));
    let shown: Vec<_> = shown.collect();
    repo.expect_list()
        .withf(move |query| *query == ListQuery { window, status })
        .times(1)
        .return_once(|_| Ok(shown));
    repo
}

#[rstest]
#[case("/orders?page=1&limit=3")]
#[case("/orders/?page=1&limit=3")]
#[case("/orders?limit=3&page=1")]
#[case("/orders?limit=%33&page=01&")]
#[actix_web::test]
async fn page_is_returned_with_links(#[case] uri: &str) {
    let response = send_to_repo(shows(page("1", "3"), None, &[9, 7, 5]), get(uri)).await;

    assert_eq!(response.status, 200);
    assert_eq!(
        response.json(),
        json!([
            {"id": 9, "distance": 1_728_057, "status": "UNASSIGNED"},
            {"id": 7, "distance": 1_728_057, "status": "UNASSIGNED"},
            {"id": 5, "distance": 1_728_057, "status": "UNASSIGNED"},
        ])
    );
    assert_eq!(
        response.header("link"),
        Some("</orders?limit=3&before=5>; rel=\"next\", </orders?limit=3&page=1>; rel=\"first\"")
    );
}

#[actix_web::test]
async fn page_past_the_end_is_an_empty_array() {
    let largest = "9223372036854775807";
    let request = get(&format!("/orders?page={largest}&limit=1000"));

    let response = send_to_repo(shows(page(largest, "1000"), None, &[]), request).await;

    assert_eq!(response.status, 200);
    assert_eq!(response.body, "[]");
    assert_eq!(
        response.header("link"),
        Some(
            "</orders?limit=1000&page=1>; rel=\"first\", \
             </orders?limit=1000&page=9223372036854775806>; rel=\"prev\""
        )
    );
}

#[rstest]
#[case("UNASSIGNED", OrderStatus::Unassigned)]
#[case("TAKEN", OrderStatus::Taken)]
#[actix_web::test]
async fn only_orders_with_the_status_are_returned(#[case] name: &str, #[case] status: OrderStatus) {
    let request = get(&format!("/orders?before=1761&limit=2&status={name}"));

    let response = send_to_repo(shows(before(1761, "2"), Some(status), &[9, 7]), request).await;

    assert_eq!(response.json()[1], json!({"id": 7, "distance": 1_728_057, "status": name}));
    let link = response.header("link").unwrap();
    assert!(link.contains(&format!("</orders?limit=2&status={name}&before=7>; rel=\"next\"")));
}

#[rstest]
#[case(
    "",
    "limit limit is missing, for example /orders?page=1&limit=20|page page (or before) is missing, for example /orders?page=1&limit=20"
)]
#[case("page=1", "limit limit is missing, for example /orders?page=1&limit=20")]
#[case("limit=3", "page page (or before) is missing, for example /orders?page=1&limit=20")]
#[case("page=1&before=5&limit=3", "before before and page exclude each other; send only one")]
#[case("page=0&limit=3", "page page must be an integer from 1 to 9223372036854775807")]
#[case("page=-1&limit=3", "page page must be an integer from 1 to 9223372036854775807")]
#[case("page=+1&limit=3", "page page must be an integer from 1 to 9223372036854775807")]
#[case("page=%2B1&limit=3", "page page must be an integer from 1 to 9223372036854775807")]
#[case("page=1.0&limit=3", "page page must be an integer from 1 to 9223372036854775807")]
#[case("page=&limit=3", "page page must be an integer from 1 to 9223372036854775807")]
#[case(
    "page=9223372036854775808&limit=3",
    "page page must be an integer from 1 to 9223372036854775807"
)]
#[case("page=1&limit=0", "limit limit must be an integer from 1 to 1000")]
#[case("page=1&limit=1001", "limit limit must be an integer from 1 to 1000")]
#[case("page=1&limit=%D9%A3", "limit limit must be an integer from 1 to 1000")]
#[case("page=1&limit=3%0A", "limit limit must be an integer from 1 to 1000")]
#[case("before=0&limit=3", "before before must be an integer from 1 to 9223372036854775807")]
#[case("page=1&limit=3&status=taken", "status status must be UNASSIGNED or TAKEN")]
#[case("page=1&limit=3&status=", "status status must be UNASSIGNED or TAKEN")]
#[case("page=1&limit=3&page=1", "page page occurs more than once")]
#[case(
    "page=1&limit=3&sort=up&sort=down",
    "sort sort is not a known parameter; there are limit, page, before and status"
)]
#[case(
    "page=1&limit=3&Page=1",
    "Page Page is not a known parameter; there are limit, page, before and status"
)]
#[case(
    "page=x&limit=y",
    "limit limit must be an integer from 1 to 1000|page page must be an integer from 1 to 9223372036854775807"
)]
#[actix_web::test]
async fn every_invalid_parameter_is_named(#[case] query: &str, #[case] expected: &str) {
    let uri = format!("/orders?{query}");
    let response = send_without_ports(get(&uri).insert_header(("Accept", PROBLEM_JSON))).await;

    assert_eq!(response.status, 400);
    let document = response.json();
    let faults: Vec<_> = document["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            assert_eq!(error["in"], "query");
            format!(
                "{} {}",
                error["parameter"].as_str().unwrap(),
                error["detail"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(faults.join("|"), expected);

    let details: Vec<_> = expected.split('|').map(|f| f.split_once(' ').unwrap().1).collect();
    assert_eq!(send_without_ports(get(&uri)).await.error(), details.join("; "));
}

#[actix_web::test]
async fn repository_failure_of_a_list_is_an_error() {
    let mut repo = MockOrderRepo::new();
    repo.expect_list().return_once(|_| Err(RepoError::Unavailable("down".into())));

    let response = send_to_repo(repo, get("/orders?page=1&limit=3")).await;

    assert_eq!(response.status, 400);
    assert_eq!(response.error(), "the database is currently unavailable; nothing was changed");
}
