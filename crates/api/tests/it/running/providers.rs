//! Each row of the error tables of the providers' APIs, from outside: the client gets the right error,
//! nothing is stored, and no output contains the key.

use std::sync::{Arc, Mutex};

use rstest::rstest;

use super::{
    google::{Google, KEY},
    support::{Fixture, Process, Store},
};

/// Status and body of a response, and the error that the client gets.
type Row = (u16, &'static str, &'static str);

const GOOGLE: (&str, &str, &[Row]) = (
    "google",
    r#"{"status":"OK","rows":[{"elements":[{"status":"OK","distance":{"value":5}}]}]}"#,
    &[
        (200, r#"{"status":"OK","rows":[{"elements":[{"status":"ZERO_RESULTS"}]}]}"#, NO_ROUTE),
        (200, r#"{"status":"OK","rows":[{"elements":[{"status":"NOT_FOUND"}]}]}"#, NO_ROUTE),
        (
            200,
            r#"{"status":"OK","rows":[{"elements":[{"status":"MAX_ROUTE_LENGTH_EXCEEDED"}]}]}"#,
            NO_ROUTE,
        ),
        (
            200,
            r#"{"status":"OK","rows":[{"elements":[{"status":"OK","distance":{"value":1.5}}]}]}"#,
            FAILED,
        ),
        (200, r#"{"status":"OK","rows":[{"elements":[{"status":"OK"}]}]}"#, FAILED),
        (200, r#"{"status":"REQUEST_DENIED","error_message":"marker-key"}"#, FAILED),
        (200, r#"{"status":"OVER_DAILY_LIMIT","error_message":"marker-key"}"#, FAILED),
        (200, r#"{"status":"OVER_QUERY_LIMIT"}"#, FAILED),
        (200, r#"{"status":"UNKNOWN_ERROR"}"#, FAILED),
        (200, r#"{"status":"INVALID_REQUEST"}"#, FAILED),
        (200, r#"{"status":"MAX_ELEMENTS_EXCEEDED"}"#, FAILED),
        (403, "marker-key", FAILED),
        (503, "marker-key", FAILED),
    ],
);

const GOOGLE_ROUTES: (&str, &str, &[Row]) = (
    "google-routes",
    r#"[{"originIndex":0,"destinationIndex":0,"status":{},"condition":"ROUTE_EXISTS","distanceMeters":5}]"#,
    &[
        (200, r#"[{"status":{},"condition":"ROUTE_NOT_FOUND"}]"#, NO_ROUTE),
        (200, r#"[{"status":{"code":5}}]"#, NO_ROUTE),
        (200, r#"[{"status":{"code":3,"message":"marker-key"}}]"#, FAILED),
        (200, r#"[{"status":{"code":14}}]"#, FAILED),
        (200, r#"[{"condition":"ROUTE_EXISTS","distanceMeters":5}]"#, FAILED),
        (200, r#"[{"status":{},"distanceMeters":5}]"#, FAILED),
        (200, r#"[{"status":{},"condition":"ROUTE_EXISTS","distanceMeters":1.5}]"#, FAILED),
        (200, "[]", FAILED),
        (200, r#"{"error":{"code":503,"status":"UNAVAILABLE"}}"#, FAILED),
        (200, r#"[{"error":{"code":403,"status":"PERMISSION_DENIED"}}]"#, FAILED),
        (400, r#"{"error":{"message":"marker-key","status":"INVALID_ARGUMENT"}}"#, FAILED),
        (401, r#"{"error":{"message":"marker-key","status":"UNAUTHENTICATED"}}"#, FAILED),
        (403, r#"{"error":{"message":"marker-key","status":"PERMISSION_DENIED"}}"#, FAILED),
        (404, "marker-key", FAILED),
        (429, r#"{"error":{"message":"marker-key","status":"RESOURCE_EXHAUSTED"}}"#, FAILED),
        (503, "marker-key", FAILED),
    ],
);

const OSRM: (&str, &str, &[Row]) = (
    "osrm",
    r#"{"code":"Ok","distances":[[5.4]],"sources":[{"distance":1}],"destinations":[{"distance":1}]}"#,
    &[
        (200, r#"{"code":"Ok","distances":[[null]]}"#, NO_ROUTE),
        (200, r#"{"code":"Ok","distances":[[0]],"sources":[{"distance":200000}]}"#, NO_ROUTE),
        (200, r#"{"code":"Ok","distances":[[0]],"destinations":[{"distance":1001}]}"#, NO_ROUTE),
        (400, r#"{"code":"NoSegment"}"#, NO_ROUTE),
        (400, r#"{"code":"NoRoute"}"#, NO_ROUTE),
        (400, r#"{"code":"TooBig"}"#, FAILED),
        (400, r#"{"code":"InvalidUrl"}"#, FAILED),
        (400, r#"{"code":"InvalidQuery"}"#, FAILED),
        (200, r#"{"code":"Ok","durations":[[5]]}"#, FAILED),
        (200, r#"{"code":"Ok","distances":[[-5]]}"#, FAILED),
        (500, r#"{"code":"InternalError"}"#, FAILED),
        (302, "", FAILED),
    ],
);

const NO_ROUTE: &str = "route_not_found";
const FAILED: &str = "distance_unavailable";

#[rstest]
#[case::google(GOOGLE)]
#[case::google_routes(GOOGLE_ROUTES)]
#[case::osrm(OSRM)]
fn failure_of_the_provider_stores_nothing(
    #[case] (provider, good, rows): (&'static str, &'static str, &[Row]),
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let current = Arc::new(Mutex::new((200, good)));
    let responses = Arc::clone(&current);
    let server = Google::start_with_status(move |_, _| {
        let (status, body) = *responses.lock().unwrap();
        Some((status, body.to_owned()))
    });
    let url = format!("http://{}", server.address());
    let fixture = Fixture::new(store)
        .with("DISTANCE_PROVIDER", provider)
        .with("LOG_LEVEL", "trace")
        .with("GMAP_TOKEN", KEY)
        .with("GMAP_DISTANCE_MATRIX_API", format!("{url}/json"))
        .with("GMAP_ROUTES_API", format!("{url}/v2"))
        .with("OSRM_URL", url);
    let service = Process::start(&fixture);
    let client = service.client.problem_json();
    let mut placed = 0;
    for (status, body, code) in rows {
        *current.lock().unwrap() = (*status, body);
        let response = client.post(Some("key")).unwrap();
        assert_eq!(response.json["code"], *code, "{status} {body}: {response:?}");
        assert!(!format!("{response:?}").contains(KEY), "{response:?}");
        // The key is free, and the circuit is closed.
        *current.lock().unwrap() = (200, good);
        let response = client.post(Some(&format!("key-{placed}"))).unwrap();
        assert_eq!((response.status, &response.json["distance"]), (200, &5.into()), "{response:?}");
        placed += 1;
    }
    let orders = client.get("/orders?page=1&limit=100").json;
    assert_eq!(orders.as_array().unwrap().len(), placed);
    let log = service.log();
    assert!(log.contains("request completed") && !log.contains(KEY), "{log}");
}
