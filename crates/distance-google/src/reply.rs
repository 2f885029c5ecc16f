//! The response of the Distance Matrix API, from bytes to an outcome. Google reports most errors
//! with HTTP status 200 and a `status` in the body.
//!
//! The body is untyped JSON, because a derived `Deserialize` would accept an array such as
//! `["OK", …]` in place of an object.

use order_domain::{DistanceOutcome, Metres};
use serde_json::Value;

use crate::error::{CallError, InvalidResponse};

/// A body that is JSON. Not `Debug`, because it may contain the key.
pub(crate) struct MatrixReply(Value);

impl MatrixReply {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, InvalidResponse> {
        serde_json::from_slice(body).map(Self).map_err(InvalidResponse::NotJson)
    }

    /// Google's description of an error. It may contain the key.
    pub(crate) fn error_message(&self) -> Option<&str> {
        self.0.get("error_message")?.as_str()
    }

    /// The outcome of a request for one route.
    pub(crate) fn outcome(&self) -> Result<DistanceOutcome, CallError> {
        match status(&self.0)? {
            "OK" => Ok(element_outcome(single(single(&self.0, "rows")?, "elements")?)?),
            "UNKNOWN_ERROR" => Err(CallError::UnknownError),
            "OVER_QUERY_LIMIT" => Err(CallError::OverQueryLimit),
            "OVER_DAILY_LIMIT" => Err(CallError::OverDailyLimit),
            "REQUEST_DENIED" => Err(CallError::RequestDenied),
            status @ ("INVALID_REQUEST" | "MAX_ELEMENTS_EXCEEDED" | "MAX_DIMENSIONS_EXCEEDED") => {
                Err(InvalidResponse::RequestRejected(status.to_owned()).into())
            }
            _ => Err(InvalidResponse::UnknownStatus("the response").into()),
        }
    }
}

/// The outcome for one pair of origin and destination.
fn element_outcome(element: &Value) -> Result<DistanceOutcome, InvalidResponse> {
    match status(element)? {
        "OK" => metres(element).map(DistanceOutcome::Found),
        "NOT_FOUND" | "ZERO_RESULTS" | "MAX_ROUTE_LENGTH_EXCEEDED" => Ok(DistanceOutcome::NoRoute),
        _ => Err(InvalidResponse::UnknownStatus("an element of the response")),
    }
}

/// `distance.value` is always in metres: `units` affects only the text beside it. It is an integer,
/// so `1.0` is invalid.
fn metres(element: &Value) -> Result<Metres, InvalidResponse> {
    let value = element.pointer("/distance/value").and_then(Value::as_i64);
    let value = value.ok_or(InvalidResponse::NoMember("integer distance.value"))?;
    Metres::try_from(value).map_err(InvalidResponse::DistanceOutOfRange)
}

fn status(object: &Value) -> Result<&str, InvalidResponse> {
    let status = object.get("status").and_then(Value::as_str);
    status.ok_or(InvalidResponse::NoMember("text `status`"))
}

/// The only member of a list. The request has one origin and one destination.
fn single<'a>(object: &'a Value, list: &'static str) -> Result<&'a Value, InvalidResponse> {
    match object.get(list).and_then(Value::as_array).map(Vec::as_slice) {
        Some([member]) => Ok(member),
        _ => Err(InvalidResponse::NotExactlyOne(list)),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn parse(body: &str) -> Result<DistanceOutcome, CallError> {
        MatrixReply::parse(body.as_bytes())?.outcome()
    }

    fn with_element(element: &str) -> String {
        format!(r#"{{"status":"OK","rows":[{{"elements":[{element}]}}]}}"#)
    }

    fn with_value(value: &str) -> String {
        with_element(&format!(r#"{{"status":"OK","distance":{{"value":{value}}}}}"#))
    }

    #[test]
    fn documented_response_is_parsed() {
        let body = r#"{
            "destination_addresses": ["Tallinn, Estonia"], "origin_addresses": ["Zwickau, Germany"],
            "rows": [{"elements": [{"distance": {"text": "1,728 km", "value": 1728057},
                "duration": {"text": "19 hours", "value": 68400}, "status": "OK"}]}],
            "status": "OK"
        }"#;
        let metres = Metres::try_from(1_728_057).unwrap();
        assert_eq!(parse(body).unwrap(), DistanceOutcome::Found(metres));
    }

    #[rstest]
    #[case("0", 0)]
    #[case("1728057", 1_728_057)]
    #[case("9007199254740991", 9_007_199_254_740_991)]
    fn integer_of_metres_is_a_distance(#[case] value: &str, #[case] metres: i64) {
        let metres = Metres::try_from(metres).unwrap();
        assert_eq!(parse(&with_value(value)).unwrap(), DistanceOutcome::Found(metres));
    }

    #[rstest]
    fn other_value_than_metres_is_invalid(
        #[values(
            "-1",
            "-0",
            "1.5",
            "1.0",
            "1e3",
            "9007199254740992",
            "9223372036854775808",
            "18446744073709551616",
            "1e999",
            "null",
            "true",
            "\"1728057\"",
            "[1728057]",
            "{}"
        )]
        value: &str,
    ) {
        assert!(matches!(parse(&with_value(value)), Err(CallError::InvalidResponse(_))));
    }

    #[rstest]
    fn missing_route_is_an_outcome(
        #[values("NOT_FOUND", "ZERO_RESULTS", "MAX_ROUTE_LENGTH_EXCEEDED")] status: &str,
    ) {
        let body = with_element(&format!(r#"{{"status":"{status}"}}"#));
        assert_eq!(parse(&body).unwrap(), DistanceOutcome::NoRoute);
    }

    #[rstest]
    #[case::empty("")]
    #[case::page("<html>502</html>")]
    #[case::cut(r#"{"status":"OK","rows":["#)]
    #[case::two(r#"{"status":"OK"}{"status":"OK"}"#)]
    #[case::null("null")]
    #[case::number("5")]
    #[case::object("{}")]
    #[case::status_of_another_type(r#"{"status":200}"#)]
    #[case::unknown_status(r#"{"status":"FINE"}"#)]
    #[case::status_in_small_letters(r#"{"status":"ok"}"#)]
    #[case::array_for_object(r#"["OK",null,[[[["OK",[5]]]]]]"#)]
    #[case::no_rows(r#"{"status":"OK"}"#)]
    #[case::null_rows(r#"{"status":"OK","rows":null}"#)]
    #[case::empty_rows(r#"{"status":"OK","rows":[]}"#)]
    #[case::rows_are_an_object(r#"{"status":"OK","rows":{"0":1}}"#)]
    #[case::no_elements(r#"{"status":"OK","rows":[{}]}"#)]
    #[case::empty_elements(r#"{"status":"OK","rows":[{"elements":[]}]}"#)]
    #[case::row_is_an_array(
        r#"{"status":"OK","rows":[[[{"status":"OK","distance":{"value":5}}]]]}"#
    )]
    #[case::two_rows(
        r#"{"status":"OK","rows":[{"elements":[{"status":"NOT_FOUND"}]},{"elements":[]}]}"#
    )]
    #[case::two_elements(
        r#"{"status":"OK","rows":[{"elements":[{"status":"NOT_FOUND"},{"status":"NOT_FOUND"}]}]}"#
    )]
    fn response_of_another_shape_is_invalid(#[case] body: &str) {
        assert!(matches!(parse(body), Err(CallError::InvalidResponse(_))));
    }

    #[rstest]
    fn element_of_another_shape_is_invalid(
        #[values(
            "null",
            "{}",
            r#"{"distance":{"value":5}}"#,
            r#"{"status":"FINE","distance":{"value":5}}"#,
            r#"{"status":null,"distance":{"value":5}}"#,
            r#"{"status":"OK"}"#,
            r#"{"status":"OK","distance":null}"#,
            r#"{"status":"OK","distance":5}"#,
            r#"{"status":"OK","distance":{}}"#,
            r#"{"status":"OK","distance":{"text":"5 m"}}"#
        )]
        element: &str,
    ) {
        assert!(matches!(parse(&with_element(element)), Err(CallError::InvalidResponse(_))));
    }

    #[test]
    fn text_that_is_not_utf_8_is_invalid() {
        let body = b"{\"status\":\"OK\",\"rows\":[],\"error_message\":\"\xff\"}";
        assert!(matches!(MatrixReply::parse(body), Err(InvalidResponse::NotJson(_))));
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        let body = "[".repeat(1 << 20);
        assert!(matches!(MatrixReply::parse(body.as_bytes()), Err(InvalidResponse::NotJson(_))));
    }

    #[test]
    fn rejection_has_its_error_message() {
        let body = r#"{"status":"REQUEST_DENIED","error_message":"no key","rows":[]}"#;
        let reply = MatrixReply::parse(body.as_bytes()).unwrap();
        assert_eq!(reply.error_message(), Some("no key"));
        assert!(matches!(reply.outcome(), Err(CallError::RequestDenied)));
    }
}
