//! Gives each request an id, which the client, a proxy and the log share.

use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::{
    dev::ServiceRequest,
    http::header::{HeaderMap, HeaderName, HeaderValue},
};
use tracing::Instrument;
use uuid::{NoContext, Timestamp, Uuid};

use super::response::{MiddlewareResult, map_response};
use crate::headers::MAX_REQUEST_ID_LENGTH;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Adds the id to every log line of the request, and to the response.
pub(super) async fn request_id(
    request: ServiceRequest,
    next: impl AsyncFnOnce(ServiceRequest) -> MiddlewareResult,
) -> MiddlewareResult {
    let id = id_of(request.headers());
    // The span has the level error, so that no filter disables it.
    let span = tracing::error_span!("request", request.id = id.to_str().unwrap_or_default());
    let result = next(request).instrument(span).await;
    map_response(result, |mut response| {
        response.headers_mut().insert(X_REQUEST_ID, id);
        response
    })
}

/// The id of the client if it is valid, else a generated one.
fn id_of(headers: &HeaderMap) -> HeaderValue {
    let mut sent = headers.get_all(&X_REQUEST_ID);
    match (sent.next(), sent.next()) {
        (Some(id), None) if is_valid(id.as_bytes()) => id.clone(),
        _ => generate_id(SystemTime::now()),
    }
}

/// Generates a unique id. An id of a later millisecond sorts behind it.
fn generate_id(now: SystemTime) -> HeaderValue {
    // A clock before 1970 counts as 1970, for which the library would panic.
    let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let timestamp =
        Timestamp::from_unix(NoContext, since_1970.as_secs(), since_1970.subsec_nanos());
    let id = Uuid::new_v7(timestamp).to_string();
    HeaderValue::try_from(id).expect("a UUID is visible ASCII")
}

/// Whether an id has 1 to 128 visible ASCII characters, so that it cannot break a log line.
fn is_valid(id: &[u8]) -> bool {
    (1..=MAX_REQUEST_ID_LENGTH).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix_web::test::TestRequest;
    use rstest::rstest;

    use super::*;

    fn text(id: &HeaderValue) -> &str {
        id.to_str().unwrap()
    }

    fn id_for(sent: &[&str]) -> String {
        let mut request = TestRequest::default();
        for value in sent {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            request = request.append_header((X_REQUEST_ID, value));
        }
        text(&id_of(request.to_srv_request().headers())).to_owned()
    }

    #[rstest]
    #[case("a")]
    #[case("!\"#~")]
    #[case(&"x".repeat(128))]
    fn valid_id_is_kept(#[case] sent: &str) {
        assert_eq!(id_for(&[sent]), sent);
    }

    #[rstest]
    #[case(&[])]
    #[case(&[""])]
    #[case(&["a b"])]
    #[case(&["a\tb"])]
    #[case(&["ä"])]
    #[case(&[&*"x".repeat(129)])]
    #[case(&["a", "a"])]
    fn invalid_id_is_replaced_by_a_generated_one(#[case] sent: &[&str]) {
        let id = id_for(sent);
        assert!(Uuid::parse_str(&id).is_ok(), "{id}");
        assert_ne!(id, id_for(sent));
    }

    #[test]
    fn id_is_generated_for_any_clock() {
        let mut times = vec![];
        // The years 1900, 9999, 12000 and 200000, and the ends of what a clock can show.
        for seconds in [2_208_988_800, 253_402_300_800, 316_516_000_000, 6_249_000_000_000, 1 << 62]
        {
            let distance = Duration::from_secs(seconds);
            times.extend(UNIX_EPOCH.checked_sub(distance));
            times.extend(UNIX_EPOCH.checked_add(distance));
        }
        assert!(times.len() > 5);
        for time in times {
            let id = generate_id(time);
            assert_ne!(text(&id), text(&generate_id(time)), "{time:?}");
            assert!(Uuid::parse_str(text(&id)).is_ok(), "{time:?}: {id:?}");
        }
    }

    #[test]
    fn later_ids_sort_behind_earlier_ones() {
        let now = SystemTime::now();
        let ids = [0, 1, 1000].map(|millis| generate_id(now + Duration::from_millis(millis)));
        assert!(ids.is_sorted_by(|a, b| text(a) < text(b)), "{ids:?}");
    }
}
