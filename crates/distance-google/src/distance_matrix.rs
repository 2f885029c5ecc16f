//! The Distance Matrix API. Google reports most errors with HTTP status 200 and a `status` in the
//! body.
//!
//! The API has the status *Legacy*: since October 2026 it cannot be enabled in new Cloud projects.
//! Existing projects keep it. Google documents it at
//! <https://developers.google.com/maps/documentation/distance-matrix/distance-matrix>.

use std::time::Instant;

use order_distance_http::{
    CallError, Client, DistanceApi, Endpoint, InvalidEndpoint, InvalidResponse, RequestBuilder,
    Response, Url, redact, single,
};
use order_domain::{DistanceOutcome, Metres, Route};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::operator_hints::OperatorHints;

/// What to check when an HTTP status rejects a request.
const SETTINGS: &str = "GMAP_DISTANCE_MATRIX_API and GMAP_TOKEN";

/// The Distance Matrix API with a key. Road distances by car.
///
/// Temporary errors are HTTP 429 and 5xx, `UNKNOWN_ERROR` and `OVER_QUERY_LIMIT`.
#[derive(Debug)]
pub struct DistanceMatrixApi {
    endpoint: Endpoint,
    key: SecretString,
    hints: OperatorHints,
}

impl DistanceMatrixApi {
    /// Google's URL, with responses in JSON.
    pub const DEFAULT_ENDPOINT: &str = "https://maps.googleapis.com/maps/api/distancematrix/json";

    /// The API at `endpoint` with the API key `key`.
    #[must_use]
    pub fn new(endpoint: Endpoint, key: SecretString) -> Self {
        Self { endpoint, key, hints: OperatorHints::default() }
    }

    /// Parses the URL of the API.
    ///
    /// # Errors
    /// When the text is not a URL, or has a parameter that each request adds.
    pub fn parse_endpoint(text: &str) -> Result<Endpoint, InvalidEndpoint> {
        Endpoint::parse(text, &["key", "origins", "destinations"])
    }

    /// The URL of the request for a route. It contains the key: never log it.
    fn request_url(&self, Route { origin, destination }: &Route) -> Url {
        // Google expects the latitude first. Only the key may need encoding.
        let points = format!(
            "origins={},{}&destinations={},{}&units=metric",
            origin.latitude, origin.longitude, destination.latitude, destination.longitude
        );
        let mut url = self.endpoint.url().clone();
        let query = match url.query() {
            Some(query) if !query.is_empty() => format!("{query}&{points}"),
            _ => points,
        };
        url.set_query(Some(&query));
        url.query_pairs_mut().append_pair("key", self.key.expose_secret());
        url
    }
}

impl DistanceApi for DistanceMatrixApi {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn request(&self, client: &Client, route: &Route) -> RequestBuilder {
        client.get(self.request_url(route))
    }

    async fn outcome(&self, response: Response) -> Result<DistanceOutcome, CallError> {
        response.require_ok(SETTINGS)?;
        let reply = response.json().await?;
        outcome(&reply).inspect_err(|error| {
            self.hints.log(error, Instant::now(), || {
                let message = reply.get("error_message").and_then(Value::as_str);
                redact(message.unwrap_or_default(), self.key.expose_secret())
            });
        })
    }
}

/// The outcome of a request for one route.
fn outcome(reply: &Value) -> Result<DistanceOutcome, CallError> {
    match status(reply)? {
        "OK" => Ok(element_outcome(single_element(reply)?)?),
        status @ ("UNKNOWN_ERROR" | "OVER_QUERY_LIMIT") => {
            Err(CallError::Temporary(status.to_owned().into()))
        }
        status @ ("OVER_DAILY_LIMIT" | "REQUEST_DENIED") => {
            Err(CallError::Rejected(status.to_owned().into()))
        }
        status @ ("INVALID_REQUEST" | "MAX_ELEMENTS_EXCEEDED" | "MAX_DIMENSIONS_EXCEEDED") => {
            Err(InvalidResponse::RequestRejected(status.to_owned().into()).into())
        }
        _ => Err(InvalidResponse::UnknownStatus("the response").into()),
    }
}

fn single_element(reply: &Value) -> Result<&Value, InvalidResponse> {
    single(single(reply.get("rows"), "rows")?.get("elements"), "elements")
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
    Ok(Metres::try_from(value)?)
}

fn status(object: &Value) -> Result<&str, InvalidResponse> {
    let status = object.get("status").and_then(Value::as_str);
    status.ok_or(InvalidResponse::NoMember("text `status`"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn parse(body: &str) -> Result<DistanceOutcome, CallError> {
        outcome(&serde_json::from_str(body).unwrap())
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
}
