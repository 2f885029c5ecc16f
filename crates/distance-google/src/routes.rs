//! The Routes API, the successor of the Distance Matrix API: `computeRouteMatrix` for one origin and
//! one destination.
//!
//! Members with the value zero may be absent, and a response may contain an error in place of the
//! list or within it, also with HTTP status 200. Google documents it at
//! <https://developers.google.com/maps/documentation/routes/reference/rest/v2/TopLevel/computeRouteMatrix>.

use std::time::{Duration, Instant};

use order_distance_http::{
    CallError, Client, DistanceApi, Endpoint, HeaderValue, InvalidEndpoint, InvalidResponse,
    RequestBuilder, Response, Throttle, redact, single,
};
use order_domain::{Coordinates, DistanceOutcome, Metres, Route};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::operator_hints::OperatorHints;

/// What to check when an HTTP status rejects a request.
const SETTINGS: &str = "GMAP_ROUTES_API and GMAP_TOKEN";

/// The members of the response. Without `status` and `condition`, an element without a route looks
/// like one of 0 m.
const FIELD_MASK: &str =
    "originIndex,destinationIndex,status,condition,distanceMeters,fallbackInfo";

/// How often a fallback is logged.
const FALLBACK_LOG_INTERVAL: Duration = Duration::from_mins(1);

/// The names of `google.rpc.Code`, by their numbers.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The Routes API with a key. Road distances by car, without traffic.
///
/// Temporary errors are HTTP 429 and 5xx, and the codes of `google.rpc` that permit a retry.
#[derive(Debug)]
pub struct RoutesApi {
    endpoint: Endpoint,
    key: SecretString,
    hints: OperatorHints,
    fallbacks: Throttle,
}

impl RoutesApi {
    /// Google's URL.
    pub const DEFAULT_ENDPOINT: &str =
        "https://routes.googleapis.com/distanceMatrix/v2:computeRouteMatrix";

    /// The API at `endpoint` with the API key `key`, which must be visible ASCII characters.
    #[must_use]
    pub fn new(endpoint: Endpoint, key: SecretString) -> Self {
        let fallbacks = Throttle::new(FALLBACK_LOG_INTERVAL);
        Self { endpoint, key, hints: OperatorHints::default(), fallbacks }
    }

    /// Parses the URL of the API.
    ///
    /// # Errors
    /// When the text is not a URL, or has a parameter for the key or for the members of the response.
    pub fn parse_endpoint(text: &str) -> Result<Endpoint, InvalidEndpoint> {
        Endpoint::parse(text, &["key", "fields", "$fields"])
    }

    /// Google's message about an error, without the key.
    fn reason(&self, reply: &Value) -> String {
        let message = error_of(reply).and_then(|error| error.get("message"));
        redact(message.and_then(Value::as_str).unwrap_or_default(), self.key.expose_secret())
    }

    fn log_fallback(&self, reply: &Value) {
        let info = reply.pointer("/0/fallbackInfo");
        if info.is_some() && self.fallbacks.permits(Instant::now()) {
            let reason = info.and_then(|info| info.get("reason")).and_then(Value::as_str);
            tracing::warn!(
                google.fallback.reason =
                    redact(reason.unwrap_or_default(), self.key.expose_secret()),
                "Google Maps computed a distance in a fallback mode, which may be less accurate"
            );
        }
    }
}

impl DistanceApi for RoutesApi {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn request(&self, client: &Client, route: &Route) -> RequestBuilder {
        let key = HeaderValue::from_str(self.key.expose_secret()).map(|mut key| {
            key.set_sensitive(true);
            key
        });
        let request = client
            .post(self.endpoint.url().clone())
            .header("X-Goog-FieldMask", FIELD_MASK)
            .header("Content-Type", "application/json")
            .body(request_body(route));
        match key {
            Ok(key) => request.header("X-Goog-Api-Key", key),
            Err(_) => request,
        }
    }

    async fn outcome(&self, response: Response) -> Result<DistanceOutcome, CallError> {
        let (reply, result) = match response.require_ok(SETTINGS) {
            Ok(()) => {
                let reply = response.json().await?;
                let result = outcome(&reply);
                (reply, result)
            }
            // The status has decided the kind of error. The body has its name, for the hint.
            Err(by_status @ CallError::RejectedByStatus(..)) => {
                let reply = response.json().await.unwrap_or_default();
                let error = code(&reply).map_or(by_status, |code| CallError::Rejected(code.into()));
                (reply, Err(error))
            }
            Err(error) => return Err(error),
        };
        match &result {
            Ok(_) => self.log_fallback(&reply),
            Err(error) => self.hints.log(error, Instant::now(), || self.reason(&reply)),
        }
        result
    }
}

fn request_body(Route { origin, destination }: &Route) -> String {
    let waypoint = |Coordinates { latitude, longitude }: &Coordinates| {
        format!(
            r#"[{{"waypoint":{{"location":{{"latLng":{{"latitude":{latitude},"longitude":{longitude}}}}}}}}}]"#
        )
    };
    let (origins, destinations) = (waypoint(origin), waypoint(destination));
    format!(r#"{{"origins":{origins},"destinations":{destinations},"travelMode":"DRIVE"}}"#)
}

/// The outcome of a request for one route.
fn outcome(reply: &Value) -> Result<DistanceOutcome, CallError> {
    if error_of(reply).is_some() {
        return Err(code(reply).map_or(unknown_status("the response"), error_by_code));
    }
    let element = single(Some(reply), "list of elements")?;
    for index in ["originIndex", "destinationIndex"] {
        if element.get(index).is_some_and(|index| index.as_i64() != Some(0)) {
            return Err(InvalidResponse::NoMember("element of the requested route").into());
        }
    }
    element_outcome(element)
}

/// The outcome for one pair of origin and destination.
fn element_outcome(element: &Value) -> Result<DistanceOutcome, CallError> {
    let status = element.get("status").and_then(Value::as_object);
    let status = status.ok_or(InvalidResponse::NoMember("object `status`"))?;
    let status = status.get("code").map_or(Some(0), Value::as_u64);
    let code = status.and_then(|code| CODES.get(usize::try_from(code).ok()?));
    match code {
        Some(&"OK") => {}
        Some(&"NOT_FOUND") => return Ok(DistanceOutcome::NoRoute),
        Some(code) => return Err(error_by_code(code)),
        None => return Err(unknown_status("an element of the response")),
    }
    match element.get("condition").and_then(Value::as_str) {
        Some("ROUTE_EXISTS") => Ok(DistanceOutcome::Found(metres(element)?)),
        Some("ROUTE_NOT_FOUND") => Ok(DistanceOutcome::NoRoute),
        Some(_) => Err(unknown_status("an element of the response")),
        None => Err(InvalidResponse::NoMember("text `condition`").into()),
    }
}

/// An integer. It is absent when it is zero.
fn metres(element: &Value) -> Result<Metres, InvalidResponse> {
    let value = element.get("distanceMeters").map_or(Some(0), Value::as_i64);
    let value = value.ok_or(InvalidResponse::NoMember("integer distanceMeters"))?;
    Ok(Metres::try_from(value)?)
}

/// The error in place of the list, or in it.
fn error_of(reply: &Value) -> Option<&Value> {
    let of_list = || reply.as_array()?.iter().find_map(|element| element.get("error"));
    reply.get("error").or_else(of_list)
}

/// The code of `google.rpc` of an error, if it is a known one.
fn code(reply: &Value) -> Option<&'static str> {
    let status = error_of(reply)?.get("status")?.as_str()?;
    CODES.into_iter().find(|code| *code == status)
}

fn error_by_code(code: &'static str) -> CallError {
    match code {
        "CANCELLED" | "UNKNOWN" | "DEADLINE_EXCEEDED" | "RESOURCE_EXHAUSTED" | "ABORTED"
        | "INTERNAL" | "UNAVAILABLE" => CallError::Temporary(code.into()),
        "INVALID_ARGUMENT"
        | "NOT_FOUND"
        | "PERMISSION_DENIED"
        | "FAILED_PRECONDITION"
        | "UNIMPLEMENTED"
        | "UNAUTHENTICATED" => CallError::Rejected(code.into()),
        _ => InvalidResponse::RequestRejected(code.into()).into(),
    }
}

fn unknown_status(of: &'static str) -> CallError {
    InvalidResponse::UnknownStatus(of).into()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn parse(body: &str) -> Result<DistanceOutcome, CallError> {
        outcome(&serde_json::from_str(body).unwrap())
    }

    fn found(metres: i64) -> DistanceOutcome {
        DistanceOutcome::Found(Metres::try_from(metres).unwrap())
    }

    #[test]
    fn request_has_both_points_as_numbers() {
        let point = |latitude, longitude| Coordinates::from_degrees(latitude, longitude).unwrap();
        let route = Route { origin: point(50.5, -1e-7), destination: point(-0.0, 180.0) };
        let body: Value = serde_json::from_str(&request_body(&route)).unwrap();
        let lat_lng = |list: &str| body[list][0]["waypoint"]["location"]["latLng"].to_string();
        assert_eq!(lat_lng("origins"), r#"{"latitude":50.5,"longitude":-1e-7}"#);
        assert_eq!(lat_lng("destinations"), r#"{"latitude":0,"longitude":180}"#);
        assert_eq!(body["travelMode"], "DRIVE");
    }

    #[rstest]
    #[case::documented(
        r#"[{"originIndex":0,"destinationIndex":0,"status":{},"distanceMeters":822,
            "condition":"ROUTE_EXISTS"}]"#,
        found(822)
    )]
    #[case::zero_members_absent(r#"[{"status":{},"condition":"ROUTE_EXISTS"}]"#, found(0))]
    #[case::zero_code(
        r#"[{"status":{"code":0},"condition":"ROUTE_EXISTS","distanceMeters":0}]"#,
        found(0)
    )]
    #[case::no_route(r#"[{"status":{},"condition":"ROUTE_NOT_FOUND"}]"#, DistanceOutcome::NoRoute)]
    #[case::no_route_with_a_distance(
        r#"[{"status":{},"condition":"ROUTE_NOT_FOUND","distanceMeters":5}]"#,
        DistanceOutcome::NoRoute
    )]
    #[case::not_found(r#"[{"status":{"code":5}}]"#, DistanceOutcome::NoRoute)]
    fn element_is_an_outcome(#[case] body: &str, #[case] outcome: DistanceOutcome) {
        assert_eq!(parse(body).unwrap(), outcome);
    }

    #[rstest]
    #[case::object("{}")]
    #[case::null("null")]
    #[case::text(r#""ROUTE_EXISTS""#)]
    #[case::no_element("[]")]
    #[case::two_elements(
        r#"[{"status":{},"condition":"ROUTE_EXISTS"},{"status":{},"condition":"ROUTE_EXISTS"}]"#
    )]
    #[case::another_origin(r#"[{"originIndex":1,"status":{},"condition":"ROUTE_EXISTS"}]"#)]
    #[case::another_destination(
        r#"[{"destinationIndex":1,"status":{},"condition":"ROUTE_EXISTS"}]"#
    )]
    #[case::index_of_another_type(
        r#"[{"originIndex":"0","status":{},"condition":"ROUTE_EXISTS"}]"#
    )]
    #[case::element_of_another_type("[5]")]
    #[case::no_status(r#"[{"condition":"ROUTE_EXISTS","distanceMeters":5}]"#)]
    #[case::status_of_another_type(r#"[{"status":"OK","condition":"ROUTE_EXISTS"}]"#)]
    #[case::code_of_another_type(r#"[{"status":{"code":"0"},"condition":"ROUTE_EXISTS"}]"#)]
    #[case::unknown_code(r#"[{"status":{"code":17},"condition":"ROUTE_EXISTS"}]"#)]
    #[case::negative_code(r#"[{"status":{"code":-1},"condition":"ROUTE_EXISTS"}]"#)]
    #[case::no_condition(r#"[{"status":{},"distanceMeters":5}]"#)]
    #[case::unknown_condition(r#"[{"status":{},"condition":"MAYBE","distanceMeters":5}]"#)]
    #[case::negative(r#"[{"status":{},"condition":"ROUTE_EXISTS","distanceMeters":-5}]"#)]
    #[case::fractional(r#"[{"status":{},"condition":"ROUTE_EXISTS","distanceMeters":5.5}]"#)]
    #[case::too_large(
        r#"[{"status":{},"condition":"ROUTE_EXISTS","distanceMeters":9007199254740992}]"#
    )]
    #[case::text_distance(r#"[{"status":{},"condition":"ROUTE_EXISTS","distanceMeters":"5"}]"#)]
    #[case::null_distance(r#"[{"status":{},"condition":"ROUTE_EXISTS","distanceMeters":null}]"#)]
    #[case::error_without_status(r#"{"error":{"code":500}}"#)]
    #[case::error_with_an_unknown_status(r#"[{"error":{"status":"TIRED"}}]"#)]
    #[case::error_that_permits_no_retry(r#"[{"error":{"status":"DATA_LOSS"}}]"#)]
    fn response_of_another_shape_is_invalid(#[case] body: &str) {
        assert!(matches!(parse(body), Err(CallError::InvalidResponse(_))));
    }

    /// Each place of an error with this code.
    fn errors(code: usize) -> [String; 3] {
        let name = CODES[code];
        [
            format!(r#"{{"error":{{"status":"{name}"}}}}"#),
            format!(r#"[{{"error":{{"status":"{name}"}}}}]"#),
            format!(r#"[{{"status":{{"code":{code}}}}}]"#),
        ]
    }

    #[test]
    fn temporary_codes_are_temporary_everywhere() {
        for body in [1, 2, 4, 8, 10, 13, 14].into_iter().flat_map(errors) {
            assert!(matches!(parse(&body), Err(CallError::Temporary(_))), "{body}");
        }
    }

    #[test]
    fn codes_for_the_operator_are_rejections() {
        for body in [3, 7, 9, 12, 16].into_iter().flat_map(errors) {
            assert!(matches!(parse(&body), Err(CallError::Rejected(_))), "{body}");
        }
    }
}
