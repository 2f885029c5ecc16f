//! The id of a request, by which a client, a web server and a log speak of the same one.

use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::{
    dev::ServiceRequest,
    http::header::{HeaderMap, HeaderName, HeaderValue},
};
use uuid::{NoContext, Timestamp, Uuid};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What stands in `X-Request-Id`.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The longest id that is taken from a client, in characters.
    pub(crate) const MAX_LENGTH: usize = 128;

    /// The client's id where it is sane, else a new one.
    pub(crate) fn of(request: &ServiceRequest) -> Self {
        let mut sent = request.headers().get_all(&X_REQUEST_ID);
        match (sent.next(), sent.next()) {
            (Some(id), None) if is_sane(id.as_bytes()) => Self(id.clone()),
            _ => Self::new(),
        }
    }

    fn new() -> Self {
        Self::generate(SystemTime::now())
    }

    /// An id unlike any other. One of a later millisecond sorts behind it.
    fn generate(now: SystemTime) -> Self {
        // A clock before 1970 counts as 1970, where the library would panic.
        let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp =
            Timestamp::from_unix(NoContext, since_1970.as_secs(), since_1970.subsec_nanos());
        let id = Uuid::new_v7(timestamp).to_string();
        Self(HeaderValue::try_from(id).expect("a UUID is visible ASCII"))
    }

    /// Visible ASCII.
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub(crate) fn insert_into(self, headers: &mut HeaderMap) {
        headers.insert(X_REQUEST_ID, self.0);
    }
}

/// 1 to 128 visible ASCII characters: nothing that breaks a line of a log, or is one.
fn is_sane(id: &[u8]) -> bool {
    (1..=RequestId::MAX_LENGTH).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix_web::test::TestRequest;
    use rstest::rstest;

    use super::*;

    fn id_for(sent: &[&str]) -> String {
        let mut request = TestRequest::default();
        for value in sent {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            request = request.append_header((X_REQUEST_ID, value));
        }
        RequestId::of(&request.to_srv_request()).as_str().to_owned()
    }

    #[rstest]
    #[case("a")]
    #[case("!\"#~")]
    #[case(&"x".repeat(128))]
    fn a_sane_id_is_kept(#[case] sent: &str) {
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
    fn another_is_replaced_by_one_of_ours(#[case] sent: &[&str]) {
        let id = id_for(sent);
        assert!(Uuid::parse_str(&id).is_ok(), "{id}");
        assert_ne!(id, id_for(sent));
    }
    #[test]
    fn id_is_generated_whatever_the_clock_shows() {
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
            let id = RequestId::generate(time);
            assert_ne!(id.as_str(), RequestId::generate(time).as_str(), "{time:?}");
            assert!(Uuid::parse_str(id.as_str()).is_ok(), "{time:?}: {id:?}");
        }
    }

    #[test]
    fn later_ids_sort_behind_earlier_ones() {
        let now = SystemTime::now();
        let ids =
            [0, 1, 1000].map(|millis| RequestId::generate(now + Duration::from_millis(millis)));
        assert!(ids.is_sorted_by(|a, b| a.as_str() < b.as_str()), "{ids:?}");
    }
}
