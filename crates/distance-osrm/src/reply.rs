//! The response of the table service, from JSON to an outcome.

use order_distance_http::{CallError, InvalidResponse, single};
use order_domain::{DistanceOutcome, Metres};
use serde_json::Value;

/// The codes of OSRM that mean that no road leads from one point to the other.
const NO_ROUTE: [&str; 3] = ["NoRoute", "NoSegment", "NoTable"];

/// The other codes of OSRM. They are for the operator: the URL is wrong, or the server is not set up
/// for this request.
const REJECTIONS: [&str; 9] = [
    "DisabledDataset",
    "InvalidOptions",
    "InvalidQuery",
    "InvalidService",
    "InvalidUrl",
    "InvalidValue",
    "InvalidVersion",
    "NotImplemented",
    "TooBig",
];

/// The outcome of a request for one route. A point that is farther than `snap_limit` metres away
/// from the nearest road has no route: for points off its map, OSRM returns the distance between
/// other points.
pub(crate) fn outcome(reply: &Value, snap_limit: u32) -> Result<DistanceOutcome, CallError> {
    if code(reply)? != "Ok" {
        let unknown = || Err(InvalidResponse::UnknownStatus("the response").into());
        return outcome_by_code(reply).unwrap_or_else(unknown);
    }
    for waypoints in ["sources", "destinations"] {
        if snap_distance(reply, waypoints)?.is_some_and(|metres| metres > f64::from(snap_limit)) {
            return Ok(DistanceOutcome::NoRoute);
        }
    }
    let row = single(reply.get("distances"), "distances")?;
    Ok(match single(Some(row), "distances")? {
        Value::Null => DistanceOutcome::NoRoute,
        distance => {
            let metres =
                distance.as_f64().ok_or(InvalidResponse::NoMember("number in `distances`"));
            DistanceOutcome::Found(Metres::rounded(metres?).map_err(InvalidResponse::from)?)
        }
    })
}

/// The outcome or the rejection that a code other than `Ok` means. `None` for an unknown one.
pub(crate) fn outcome_by_code(reply: &Value) -> Option<Result<DistanceOutcome, CallError>> {
    let code = code(reply).ok()?;
    if NO_ROUTE.contains(&code) {
        return Some(Ok(DistanceOutcome::NoRoute));
    }
    let known = REJECTIONS.into_iter().find(|known| *known == code)?;
    Some(Err(CallError::Rejected(known.into())))
}

fn code(reply: &Value) -> Result<&str, InvalidResponse> {
    reply.get("code").and_then(Value::as_str).ok_or(InvalidResponse::NoMember("text `code`"))
}

/// How many metres the only point of a list is away from the nearest road. `None` if the server does
/// not report it, which servers before 5.21 do not.
fn snap_distance(reply: &Value, waypoints: &'static str) -> Result<Option<f64>, InvalidResponse> {
    let Some(list) = reply.get(waypoints) else { return Ok(None) };
    match single(Some(list), waypoints)?.get("distance") {
        None => Ok(None),
        Some(distance) => {
            let metres = distance.as_f64().filter(|metres| *metres >= 0.0);
            metres.map(Some).ok_or(InvalidResponse::NoMember("valid `distance` of a waypoint"))
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const NO_ROUTE: DistanceOutcome = DistanceOutcome::NoRoute;

    fn found(metres: i64) -> DistanceOutcome {
        DistanceOutcome::Found(Metres::try_from(metres).unwrap())
    }

    fn parse(body: &str) -> Result<DistanceOutcome, CallError> {
        outcome(&serde_json::from_str(body).unwrap(), 1_000)
    }

    #[rstest]
    #[case::documented(
        r#"{"code":"Ok","distances":[[186012.4]],
            "sources":[{"hint":"x","distance":12.2,"name":"","location":[24.7,59.4]}],
            "destinations":[{"hint":"x","distance":3.9,"name":"","location":[26.7,58.3]}]}"#,
        found(186_012)
    )]
    #[case::rounded_up(r#"{"code":"Ok","distances":[[6.5]]}"#, found(7))]
    #[case::with_an_exponent(r#"{"code":"Ok","distances":[[1e-05]]}"#, found(0))]
    #[case::unreachable(r#"{"code":"Ok","distances":[[null]]}"#, NO_ROUTE)]
    #[case::source_at_the_limit(
        r#"{"code":"Ok","distances":[[5]],"sources":[{"distance":1000}]}"#,
        found(5)
    )]
    #[case::source_off_the_map(
        r#"{"code":"Ok","distances":[[0]],"sources":[{"distance":1000.1}],
            "destinations":[{"distance":0}]}"#,
        NO_ROUTE
    )]
    #[case::destination_off_the_map(
        r#"{"code":"Ok","distances":[[0]],"sources":[{"distance":0}],
            "destinations":[{"distance":2e5}]}"#,
        NO_ROUTE
    )]
    #[case::no_segment(r#"{"code":"NoSegment","message":"x"}"#, NO_ROUTE)]
    #[case::no_route(r#"{"code":"NoRoute"}"#, NO_ROUTE)]
    fn response_is_an_outcome(#[case] body: &str, #[case] outcome: DistanceOutcome) {
        assert_eq!(parse(body).unwrap(), outcome);
    }

    #[rstest]
    #[case::array("[]")]
    #[case::no_code(r#"{"distances":[[5]]}"#)]
    #[case::code_of_another_type(r#"{"code":200,"distances":[[5]]}"#)]
    #[case::unknown_code(r#"{"code":"ok","distances":[[5]]}"#)]
    #[case::no_distances(r#"{"code":"Ok","durations":[[5]]}"#)]
    #[case::null_distances(r#"{"code":"Ok","distances":null}"#)]
    #[case::no_row(r#"{"code":"Ok","distances":[]}"#)]
    #[case::empty_row(r#"{"code":"Ok","distances":[[]]}"#)]
    #[case::number_for_a_row(r#"{"code":"Ok","distances":[5]}"#)]
    #[case::two_rows(r#"{"code":"Ok","distances":[[5],[5]]}"#)]
    #[case::two_columns(r#"{"code":"Ok","distances":[[5,5]]}"#)]
    #[case::text(r#"{"code":"Ok","distances":[["5"]]}"#)]
    #[case::negative(r#"{"code":"Ok","distances":[[-1]]}"#)]
    #[case::slightly_negative(r#"{"code":"Ok","distances":[[-0.3]]}"#)]
    #[case::snap_distance_is_negative(
        r#"{"code":"Ok","distances":[[5]],"sources":[{"distance":-1}]}"#
    )]
    #[case::too_large(r#"{"code":"Ok","distances":[[1e300]]}"#)]
    #[case::two_sources(
        r#"{"code":"Ok","distances":[[5]],"sources":[{"distance":1},{"distance":1}]}"#
    )]
    #[case::snap_distance_is_text(
        r#"{"code":"Ok","distances":[[5]],"sources":[{"distance":"1"}]}"#
    )]
    fn response_of_another_shape_is_invalid(#[case] body: &str) {
        assert!(matches!(parse(body), Err(CallError::InvalidResponse(_))));
    }

    #[test]
    fn other_codes_are_rejections() {
        for code in REJECTIONS {
            let result = parse(&format!(r#"{{"code":"{code}"}}"#));
            assert!(matches!(result, Err(CallError::Rejected(_))), "{code}");
        }
    }
}
