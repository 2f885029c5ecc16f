//! The id of a request, by which a client, a web server and a log speak of the same one.

use actix_web::{
    dev::ServiceRequest,
    http::header::{HeaderMap, HeaderName, HeaderValue},
};
use uuid::Uuid;

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

    /// Unlike any other, and later ones sort behind earlier ones.
    fn new() -> Self {
        let id = Uuid::now_v7().to_string();
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
}
