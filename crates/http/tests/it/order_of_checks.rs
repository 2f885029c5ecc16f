//! The precedence of errors.

use actix_web::{http::Method, test::TestRequest};
use serde_json::json;

use crate::support::{json_body, patch, send_without_ports};

fn too_large() -> String {
    " ".repeat(16 * 1024 + 1)
}

#[actix_web::test]
async fn path_precedes_method_and_size() {
    let request = json_body(TestRequest::delete().uri("/orders/1/x"), too_large());
    assert_eq!(send_without_ports(request).await.status, 404);
}

#[actix_web::test]
async fn method_precedes_id_and_size() {
    for method in [Method::DELETE, Method::OPTIONS] {
        let request = TestRequest::with_uri("/orders/abc").method(method);
        assert_eq!(send_without_ports(json_body(request, too_large())).await.status, 405);
    }
}

#[actix_web::test]
async fn size_precedes_media_type() {
    let request = TestRequest::post().uri("/orders").set_payload(too_large());
    assert_eq!(send_without_ports(request).await.status, 413);
}

#[actix_web::test]
async fn media_type_precedes_id_key_and_body() {
    let request = TestRequest::patch()
        .uri("/orders/abc")
        .insert_header(("Idempotency-Key", ""))
        .set_payload("{");
    assert_eq!(send_without_ports(request).await.status, 415);
}

#[actix_web::test]
async fn unreadable_body_has_one_violation_beside_the_others() {
    let request = json_body(TestRequest::patch().uri("/orders/abc"), "{\"a\":1,\"a\":2}");
    assert_eq!(
        send_without_ports(request).await.error(),
        "id must be an integer from 1 to 9223372036854775807; a occurs more than once"
    );
}

#[actix_web::test]
async fn every_duplicate_member_is_named() {
    let body = r#"{"status":1,"":2,"status":3,"":4}"#;
    let request = json_body(TestRequest::patch().uri("/orders/1"), body);
    assert_eq!(
        send_without_ports(request).await.error(),
        "status occurs more than once; \"\" occurs more than once"
    );
}

#[actix_web::test]
async fn validation_precedes_the_lookup_of_the_key() {
    let request = patch("/orders/16", &json!({})).insert_header(("Idempotency-Key", "key-1"));
    assert_eq!(send_without_ports(request).await.status, 400);
}
