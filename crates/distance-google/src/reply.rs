//! The answer of the Distance Matrix API, from bytes to an outcome. No network here, and no HTTP:
//! Google tells most of its errors with HTTP status 200 and a `status` in the body.
//!
//! The body is read as untyped JSON and walked, because a derived `Deserialize` would also read
//! `["OK", …]` as an object with a `status`: a distance made from an answer that makes no sense.

use order_domain::{DistanceOutcome, Metres};
use serde_json::Value;

use crate::error::{Failure, InvalidResponse};

/// A body that is JSON. It is not `Debug`: it may quote the key.
pub(crate) struct MatrixReply(Value);

impl MatrixReply {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, InvalidResponse> {
        serde_json::from_slice(body).map(Self).map_err(InvalidResponse::NotJson)
    }

    /// Why Google refuses, in its own words. They may quote the key.
    pub(crate) fn error_message(&self) -> Option<&str> {
        self.0.get("error_message")?.as_str()
    }

    /// What the answer says of the one route that was asked for.
    pub(crate) fn outcome(&self) -> Result<DistanceOutcome, Failure> {
        let misunderstood = |status| Err(InvalidResponse::Misunderstood(status).into());
        match text(&self.0, "status")? {
            "OK" => Ok(of_element(only(only(&self.0, "rows")?, "elements")?)?),
            "UNKNOWN_ERROR" => Err(Failure::UnknownError),
            "OVER_QUERY_LIMIT" => Err(Failure::OverQueryLimit),
            "OVER_DAILY_LIMIT" => Err(Failure::OverDailyLimit),
            "REQUEST_DENIED" => Err(Failure::Denied),
            "INVALID_REQUEST" => misunderstood("INVALID_REQUEST"),
            "MAX_ELEMENTS_EXCEEDED" => misunderstood("MAX_ELEMENTS_EXCEEDED"),
            "MAX_DIMENSIONS_EXCEEDED" => misunderstood("MAX_DIMENSIONS_EXCEEDED"),
            _ => Err(InvalidResponse::UnknownStatus.into()),
        }
    }
}

/// An element is the answer for one pair of origin and destination.
fn of_element(element: &Value) -> Result<DistanceOutcome, InvalidResponse> {
    match text(element, "status")? {
        "OK" => metres(element).map(DistanceOutcome::Found),
        "NOT_FOUND" | "ZERO_RESULTS" | "MAX_ROUTE_LENGTH_EXCEEDED" => Ok(DistanceOutcome::NoRoute),
        _ => Err(InvalidResponse::UnknownElementStatus),
    }
}

/// `distance.value` is always in metres, whatever `units` asks for: that only shapes the text.
/// Google sends it without a fraction, so `1.0` is as wrong as `1.5`.
fn metres(element: &Value) -> Result<Metres, InvalidResponse> {
    let value = element.get("distance").and_then(|distance| distance.get("value"));
    let value = value.and_then(Value::as_i64).ok_or(InvalidResponse::NoDistance)?;
    Metres::try_from(value).map_err(InvalidResponse::Distance)
}

fn text<'a>(object: &'a Value, name: &'static str) -> Result<&'a str, InvalidResponse> {
    object.get(name).and_then(Value::as_str).ok_or(InvalidResponse::NoText(name))
}

/// The only member of a list. More than one would answer what was not asked.
fn only<'a>(object: &'a Value, list: &'static str) -> Result<&'a Value, InvalidResponse> {
    match object.get(list).and_then(Value::as_array).map(Vec::as_slice) {
        Some([one]) => Ok(one),
        _ => Err(InvalidResponse::NotOne(list)),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(body: &str) -> Result<DistanceOutcome, Failure> {
        MatrixReply::parse(body.as_bytes())?.outcome()
    }

    fn with_element(element: &str) -> String {
        format!(r#"{{"status":"OK","rows":[{{"elements":[{element}]}}]}}"#)
    }

    fn with_value(value: &str) -> String {
        with_element(&format!(r#"{{"status":"OK","distance":{{"value":{value}}}}}"#))
    }

    #[test]
    fn the_documented_answer_is_read() {
        let body = r#"{
            "destination_addresses": ["Tallinn, Estonia"], "origin_addresses": ["Zwickau, Germany"],
            "rows": [{"elements": [{"distance": {"text": "1,728 km", "value": 1728057},
                "duration": {"text": "19 hours", "value": 68400}, "status": "OK"}]}],
            "status": "OK"
        }"#;
        let metres = Metres::try_from(1_728_057).unwrap();
        assert_eq!(read(body).unwrap(), DistanceOutcome::Found(metres));
    }

    #[rstest]
    #[case("0", 0)]
    #[case("1728057", 1_728_057)]
    #[case("9007199254740991", 9_007_199_254_740_991)]
    fn an_integer_of_metres_is_a_distance(#[case] value: &str, #[case] metres: i64) {
        let metres = Metres::try_from(metres).unwrap();
        assert_eq!(read(&with_value(value)).unwrap(), DistanceOutcome::Found(metres));
    }

    #[rstest]
    fn what_is_no_integer_of_metres_makes_no_sense(
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
        assert!(matches!(read(&with_value(value)), Err(Failure::InvalidResponse(_))));
    }

    #[rstest]
    fn a_pair_without_a_way_is_an_outcome(
        #[values("NOT_FOUND", "ZERO_RESULTS", "MAX_ROUTE_LENGTH_EXCEEDED")] status: &str,
    ) {
        let body = with_element(&format!(r#"{{"status":"{status}"}}"#));
        assert_eq!(read(&body).unwrap(), DistanceOutcome::NoRoute);
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
    fn an_answer_of_another_shape_makes_no_sense(#[case] body: &str) {
        assert!(matches!(read(body), Err(Failure::InvalidResponse(_))));
    }

    #[rstest]
    fn an_element_of_another_shape_makes_no_sense(
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
        assert!(matches!(read(&with_element(element)), Err(Failure::InvalidResponse(_))));
    }

    #[test]
    fn text_that_is_not_utf_8_makes_no_sense() {
        let body = b"{\"status\":\"OK\",\"rows\":[],\"error_message\":\"\xff\"}";
        assert!(matches!(MatrixReply::parse(body), Err(InvalidResponse::NotJson(_))));
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_overflow_the_stack() {
        let body = "[".repeat(1 << 20);
        assert!(matches!(MatrixReply::parse(body.as_bytes()), Err(InvalidResponse::NotJson(_))));
    }

    #[test]
    fn a_refusal_tells_its_reason() {
        let body = r#"{"status":"REQUEST_DENIED","error_message":"no key","rows":[]}"#;
        let reply = MatrixReply::parse(body.as_bytes()).unwrap();
        assert_eq!(reply.error_message(), Some("no key"));
        assert!(matches!(reply.outcome(), Err(Failure::Denied)));
    }
}
