//! The OpenAPI document, and the page that shows it.

use std::{collections::BTreeSet, fs, io::Read, path::Path};

use actix_web::test::TestRequest;
use order_domain::OrderStatus;
use rstest::rstest;
use serde_json::Value;

use crate::support::{Response, send_without_ports};

async fn get(path: &str) -> Response {
    send_without_ports(TestRequest::get().uri(path)).await
}

#[actix_web::test]
async fn document_is_served() {
    for path in ["/openapi.json", "/openapi.json/"] {
        let response = get(path).await;

        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert_eq!(response.body, order_http::openapi_document());
        assert_eq!(response.json()["openapi"], "3.1.0");
    }
}

fn repository_file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
}

/// Rows of four columns: the code, when it happens, its two statuses.
#[test]
fn docs_list_every_error_and_its_statuses() {
    fn rows(text: &str) -> BTreeSet<[&str; 3]> {
        let rows = text.lines().filter(|line| line.starts_with("| `"));
        let columns = rows.map(|row| row.split(" | ").collect::<Vec<_>>());
        columns.filter(|c| c.len() == 4).map(|c| [c[0], c[2], c[3]]).collect()
    }
    let document = document();
    let page = repository_file("docs/api.md");
    let (_, errors) = page.split_once("\n## Errors\n").unwrap();
    let (errors, _) = errors.split_once("\n## ").unwrap();

    let documented = rows(document["info"]["description"].as_str().unwrap());

    assert!(documented.len() > 10, "{documented:?}");
    assert_eq!(rows(errors), documented);
}

fn document() -> Value {
    serde_json::from_str(order_http::openapi_document()).unwrap()
}

/// All schemas that a part of the document contains or refers to.
fn schemas<'a>(document: &'a Value, part: &'a Value, found: &mut Vec<&'a Value>) {
    match part {
        Value::Object(members) => {
            if let Some(target) = members.get("$ref") {
                let pointer = target.as_str().unwrap().strip_prefix('#').unwrap();
                return schemas(document, document.pointer(pointer).unwrap(), found);
            }
            if ["type", "oneOf", "anyOf"].iter().any(|name| members.contains_key(*name)) {
                found.push(part);
            }
            // An example may have a member named `type`.
            for (_, value) in members.iter().filter(|(name, _)| !name.starts_with("example")) {
                schemas(document, value, found);
            }
        }
        Value::Array(elements) => {
            for value in elements {
                schemas(document, value, found);
            }
        }
        _ => {}
    }
}

/// The schemas of these parts of all operations.
fn schemas_of<'a>(document: &'a Value, parts: &[&str]) -> Vec<&'a Value> {
    let mut found = vec![];
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            for part in parts.iter().filter_map(|part| operation.get(part)) {
                schemas(document, part, &mut found);
            }
        }
    }
    found
}

fn texts(values: &Value) -> Vec<&str> {
    values.as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect()
}

/// The one value of an enum with one value is a constant of the API.
#[test]
fn schemas_of_responses_are_open() {
    let document = document();
    let found = schemas_of(&document, &["responses"]);

    assert!(found.len() > 100, "{}", found.len());
    for schema in found {
        assert_eq!(schema.get("additionalProperties"), None, "{schema}");
        assert!(schema.get("oneOf").is_none(), "{schema}");
        let values = schema.get("enum").map_or(0, |values| values.as_array().unwrap().len());
        assert!(values <= 1, "{schema}");
    }
}

#[test]
fn schemas_of_requests_are_closed() {
    let document = document();
    let found = schemas_of(&document, &["parameters", "requestBody"]);

    let (objects, values): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|schema| schema["type"] == "object");
    assert_eq!(objects.len(), 2);
    for schema in objects {
        assert_eq!(schema["additionalProperties"], false, "{schema}");
    }
    assert!(values.iter().all(|schema| schema.get("x-extensible-enum").is_none()));
    let enums: Vec<_> = values.iter().filter_map(|schema| schema.get("enum")).map(texts).collect();
    let statuses: Vec<_> = OrderStatus::ALL.into_iter().map(OrderStatus::as_str).collect();
    assert!(enums.contains(&statuses), "{enums:?}");
}

#[test]
fn known_values_of_responses_are_listed() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let known = |schema: &Value| -> BTreeSet<String> {
        let description = schema["description"].as_str().unwrap();
        let listed = description.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let extensible = texts(&schema["x-extensible-enum"]).into_iter().map(str::to_owned);
        assert_eq!(extensible.collect::<BTreeSet<_>>(), listed);
        listed
    };
    let statuses = OrderStatus::ALL.map(|status| status.as_str().to_owned());
    for order in ["Order", "OrderDetails"] {
        assert_eq!(known(&schemas[order]["properties"]["status"]), statuses.clone().into());
    }
    let table = document["info"]["description"].as_str().unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let rows: BTreeSet<_> =
        rows.filter(|(code, _)| *code != "code").map(|(code, _)| code.to_owned()).collect();
    assert_eq!(known(&schemas["ErrorCode"]), rows);
    assert!(known(&schemas["NotReady"]["properties"]["error"]).len() > 3);
    let places = known(&schemas["ParameterViolation"]["properties"]["in"]);
    assert_eq!(places, ["header", "path", "query"].map(str::to_owned).into());
}

#[test]
fn committed_document_is_current() {
    let kept = repository_file("docs/openapi.json");
    assert!(kept == order_http::openapi_document(), "docs/openapi.json is old; make openapi");
}

#[rstest]
#[case("/docs/", "text/html", "id=\"swagger-ui\"")]
#[case("/docs/index.html", "text/html", "id=\"swagger-ui\"")]
#[case("/docs/swagger-ui.css", "text/css", ".swagger-ui")]
#[case("/docs/swagger-ui-bundle.js", "text/javascript", "SwaggerUIBundle")]
#[case("/docs/swagger-initializer.js", "text/javascript", "\"url\": \"../openapi.json\"")]
#[case("/docs/swagger-initializer.js", "text/javascript", "\"validatorUrl\": \"none\"")]
#[actix_web::test]
async fn page_and_its_files_are_served(
    #[case] path: &str,
    #[case] content_type: &str,
    #[case] part: &str,
) {
    let plain = get(path).await;
    assert_eq!(plain.status, 200);
    assert_eq!(plain.header("content-type"), Some(content_type));
    assert_eq!(plain.header("content-encoding"), None);
    assert!(String::from_utf8_lossy(&plain.body).contains(part));
    let policy = plain.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; connect-src 'self';"));

    let request = TestRequest::get().uri(path).insert_header(("Accept-Encoding", "gzip"));
    let response = send_without_ports(request).await;
    let packed = response.header("content-encoding") == Some("gzip");
    let mut body = response.body.to_vec();
    if packed {
        body.clear();
        flate2::read::GzDecoder::new(&*response.body).read_to_end(&mut body).unwrap();
        assert_eq!(response.header("vary"), Some("Accept-Encoding"));
    }
    assert_eq!(body, plain.body);
    assert!(packed || body.len() < 1024, "{path} is large and not packed");
}

#[actix_web::test]
async fn page_without_slash_redirects() {
    let response = get("/docs").await;
    assert_eq!(response.status, 308);
    assert_eq!(response.header("location"), Some("/docs/"));
}

#[rstest]
#[actix_web::test]
async fn other_paths_below_the_page_do_not_exist(
    #[values("/docs/x", "/docs/../docs/x", "/docs/%2e%2e/", "/docs//", "/docs/index.html/")]
    path: &str,
) {
    let response = get(path).await;
    assert_eq!(response.status, 404);
    assert_eq!(response.error(), "this path does not exist; see /docs/");
    assert_eq!(send_without_ports(TestRequest::delete().uri(path)).await.status, 404);
}

#[rstest]
#[case("/docs/")]
#[case("/openapi.json")]
#[actix_web::test]
async fn page_and_document_allow_only_reads(#[case] path: &str) {
    let response = send_without_ports(TestRequest::post().uri(path)).await;
    assert_eq!((response.status.as_u16(), response.header("allow")), (405, Some("GET, HEAD")));
}
