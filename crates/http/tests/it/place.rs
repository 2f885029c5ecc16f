//! `POST /orders`.

use actix_web::test::TestRequest;
use order_domain::{
    DistanceError, DistanceOutcome, MockDistanceProvider, MockOrderRepo, NewOrder, PlaceOutcome,
    RepoError,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{
    PROBLEM_JSON, found, json_body, key, metres, placed, post, sample, sample_route, send,
    send_without_ports,
};

fn places(order: i64) -> MockOrderRepo {
    let mut repo = MockOrderRepo::new();
    repo.expect_place().times(1).return_once(move |_| Ok(PlaceOutcome::Placed(placed(order))));
    repo
}

#[actix_web::test]
async fn order_is_placed() {
    let mut repo = MockOrderRepo::new();
    let wanted = NewOrder { route: sample_route(), distance: metres(1_728_057), key: None };
    repo.expect_place()
        .withf(move |order| *order == wanted)
        .times(1)
        .return_once(|_| Ok(PlaceOutcome::Placed(placed(16))));

    let response = send(repo, found(1_728_057), post(&sample())).await;

    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("idempotency-replayed"), None);
    assert_eq!(response.body, r#"{"id":16,"distance":1728057,"status":"UNASSIGNED"}"#);
}

#[actix_web::test]
async fn ends_of_the_globe_and_negative_numbers_are_valid() {
    let body = json!({"origin": ["-90", "-180"], "destination": ["90.0", "180"]});

    assert_eq!(send(places(1), found(0), post(&body)).await.status, 200);
}

#[actix_web::test]
async fn order_to_the_same_point_has_the_distance_of_the_provider() {
    let mut repo = MockOrderRepo::new();
    repo.expect_place().withf(|order| order.distance == metres(0)).return_once(|order| {
        let order = order_domain::PlacedOrder { distance: order.distance, ..placed(3) };
        Ok(PlaceOutcome::Placed(order))
    });
    let body = json!({"origin": ["1", "2"], "destination": ["1", "2"]});

    let response = send(repo, found(0), post(&body)).await;

    assert_eq!(response.json(), json!({"id": 3, "distance": 0, "status": "UNASSIGNED"}));
}

#[actix_web::test]
async fn replay_is_marked_and_does_not_call_the_provider() {
    let mut repo = MockOrderRepo::new();
    repo.expect_find_placement()
        .withf(|given| *given == key("key-1"))
        .times(1)
        .return_once(|_| Ok(Some(placed(16))));
    let request = post(&sample()).insert_header(("Idempotency-Key", "key-1"));

    let response = send(repo, MockDistanceProvider::new(), request).await;

    assert_eq!(response.status, 200);
    assert_eq!(response.header("idempotency-replayed"), Some("true"));
    assert_eq!(response.body, r#"{"id":16,"distance":1728057,"status":"UNASSIGNED"}"#);
}

#[rstest]
#[case("application/json", 400)]
#[case(PROBLEM_JSON, 409)]
#[actix_web::test]
async fn key_with_another_body_is_a_conflict(#[case] accept: &str, #[case] status: u16) {
    let mut repo = MockOrderRepo::new();
    repo.expect_find_placement().return_once(|_| Ok(Some(placed(16))));
    let body = json!({"origin": ["1", "2"], "destination": ["3", "4"]});
    let request =
        post(&body).insert_header(("Idempotency-Key", "key-1")).insert_header(("Accept", accept));

    let response = send(repo, MockDistanceProvider::new(), request).await;

    assert_eq!(response.status, status);
    assert!(String::from_utf8_lossy(&response.body).contains("use a new key"));
}

#[rstest]
#[case("application/json", 400)]
#[case(PROBLEM_JSON, 422)]
#[actix_web::test]
async fn missing_route_is_a_client_error(#[case] accept: &str, #[case] status: u16) {
    let mut distances = MockDistanceProvider::new();
    distances.expect_distance().return_once(|_| Ok(DistanceOutcome::NoRoute));
    let request = post(&sample()).insert_header(("Accept", accept));

    let response = send(MockOrderRepo::new(), distances, request).await;

    assert_eq!(response.status, status);
    assert!(String::from_utf8_lossy(&response.body).contains("no route leads"));
}

#[rstest]
#[case(DistanceError::Unavailable("maps.example timed out".into()))]
#[case(DistanceError::Refused("maps.example said REQUEST_DENIED".into()))]
#[case(DistanceError::InvalidResponse("maps.example sent -5".into()))]
#[actix_web::test]
async fn provider_failure_is_reported_without_its_cause(#[case] error: DistanceError) {
    let mut distances = MockDistanceProvider::new();
    distances.expect_distance().return_once(|_| Err(error));

    let response = send(MockOrderRepo::new(), distances, post(&sample())).await;

    assert_eq!(response.status, 400);
    assert_eq!(response.error(), "the distance is currently unavailable; nothing was changed");
}

#[rstest]
#[case(|| RepoError::Unavailable("db.example".into()), 400, 503, "storage_unavailable")]
#[case(|| RepoError::Refused("db.example".into()), 400, 503, "storage_unavailable")]
#[case(|| RepoError::Corrupt("db.example".into()), 400, 503, "storage_unavailable")]
#[case(|| RepoError::OutcomeUnknown("db.example".into()), 400, 503, "outcome_unknown")]
#[case(|| RepoError::Overloaded, 503, 503, "overloaded")]
#[actix_web::test]
async fn repository_failure_is_reported_without_its_cause(
    #[case] error: fn() -> RepoError,
    #[case] plain: u16,
    #[case] precise: u16,
    #[case] code: &str,
) {
    let repo = || {
        let mut repo = MockOrderRepo::new();
        repo.expect_place().return_once(move |_| Err(error()));
        repo
    };

    let response = send(repo(), found(7), post(&sample())).await;
    assert_eq!(response.status, plain);
    let message = response.error();
    assert!(!message.contains("db.example"), "{message}");

    let request = post(&sample()).insert_header(("Accept", PROBLEM_JSON));
    let response = send(repo(), found(7), request).await;
    assert_eq!(response.status, precise);
    assert_eq!(response.json()["code"], code);
    assert_eq!(response.json()["detail"], message);
    assert_eq!(response.header("retry-after"), (code == "overloaded").then_some("1"));
}

/// The whole message for each fault of a body.
#[rstest]
#[case::no_members(
    json!({}),
    "origin is missing; it must be an array of two strings, latitude and longitude; \
     destination is missing; it must be an array of two strings, latitude and longitude"
)]
#[case::null(
    json!({"origin": null, "destination": ["1", "2"]}),
    "origin must be an array of exactly two strings, latitude and longitude"
)]
#[case::three_elements(
    json!({"origin": ["1", "2", "3"], "destination": ["1", "2"]}),
    "origin must be an array of exactly two strings, latitude and longitude"
)]
#[case::one_element(
    json!({"origin": ["1", "2"], "destination": ["1"]}),
    "destination must be an array of exactly two strings, latitude and longitude"
)]
#[case::an_object(
    json!({"origin": {"0": "1", "1": "2"}, "destination": ["1", "2"]}),
    "origin must be an array of exactly two strings, latitude and longitude"
)]
#[case::numbers(
    json!({"origin": [1, 2.5], "destination": ["1", "2"]}),
    "origin[0] must be a string with a decimal number, such as \"50.456399\"; \
     origin[1] must be a string with a decimal number, such as \"50.456399\""
)]
#[case::out_of_range(
    json!({"origin": ["90.1", "2"], "destination": ["1", "-180.5"]}),
    "origin[0], the latitude, must lie between -90 and 90 degrees; \
     destination[1], the longitude, must lie between -180 and 180 degrees"
)]
#[case::a_new_line(
    json!({"origin": ["1\n", "2"], "destination": ["1", "2"]}),
    "origin[0], the latitude, must be a plain decimal number such as -12.345: an optional minus, \
     ASCII digits, optionally a point and digits, at most 32 characters"
)]
#[case::unknown_member(
    json!({"origin": ["1", "2"], "destination": ["1", "2"], "price": 3}),
    "price is not a known member"
)]
#[case::everything_at_once(
    json!({"origin": ["91", 2], "price": 3}),
    "origin[1] must be a string with a decimal number, such as \"50.456399\"; \
     destination is missing; it must be an array of two strings, latitude and longitude; \
     price is not a known member; \
     origin[0], the latitude, must lie between -90 and 90 degrees"
)]
#[actix_web::test]
async fn every_invalid_field_is_named(#[case] body: Value, #[case] expected: &str) {
    let response = send_without_ports(post(&body)).await;

    assert_eq!(response.status, 400);
    assert_eq!(response.error(), expected);
}

#[actix_web::test]
async fn problem_document_points_to_every_invalid_field() {
    let body = json!({"origin": ["91", 2], "a/b~c": 3});
    let request = post(&body)
        .insert_header(("Accept", PROBLEM_JSON))
        .insert_header(("Idempotency-Key", "with space"));

    let response = send_without_ports(request).await;

    assert_eq!(response.status, 400);
    assert_eq!(response.header("content-type"), Some(PROBLEM_JSON));
    let document = response.json();
    let places: Vec<_> = document["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            let mut place = error.as_object().unwrap().clone();
            assert!(!place.remove("detail").unwrap().as_str().unwrap().is_empty());
            Value::Object(place)
        })
        .collect();
    assert_eq!(
        places,
        [
            json!({"parameter": "Idempotency-Key", "in": "header"}),
            json!({"pointer": "/origin/1"}),
            json!({"pointer": "/destination"}),
            json!({"pointer": "/a~1b~0c"}),
            json!({"pointer": "/origin/0"}),
        ]
    );
}

/// Values that JSON allows and most parsers reject or change.
#[rstest]
#[case(r#"{"origin":[1e400,"\ud800"],"destination":["1","2"]}"#, ["/origin/0", "/origin/1"])]
#[case(r#"{"origin":["1","2"],"destination":[[[]],"181"]}"#, ["/destination/0", "/destination/1"])]
#[actix_web::test]
async fn too_large_and_too_deep_values_are_named(
    #[case] body: &'static str,
    #[case] pointers: [&str; 2],
) {
    let request = json_body(TestRequest::post().uri("/orders"), body);
    let response = send_without_ports(request.insert_header(("Accept", PROBLEM_JSON))).await;

    assert_eq!(response.status, 400);
    let document = response.json();
    let errors = document["errors"].as_array().unwrap().iter();
    let named: std::collections::BTreeSet<_> =
        errors.map(|error| error["pointer"].as_str().unwrap()).collect();
    assert_eq!(named, pointers.into());
}

#[rstest]
#[case("")]
#[case("a b")]
#[case("é")]
#[actix_web::test]
async fn invalid_key_is_rejected(#[case] key: &str) {
    let response =
        send_without_ports(post(&sample()).insert_header(("Idempotency-Key", key))).await;

    assert_eq!(response.status, 400);
    assert_eq!(
        response.error(),
        "Idempotency-Key must be 1 to 255 visible ASCII characters, without spaces"
    );
}

#[actix_web::test]
async fn repeated_key_is_rejected() {
    let request = post(&sample())
        .append_header(("Idempotency-Key", "key-1"))
        .append_header(("Idempotency-Key", "key-1"));

    assert_eq!(send_without_ports(request).await.error(), "Idempotency-Key occurs more than once");
}
