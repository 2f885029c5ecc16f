//! `POST /orders`.

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures_util::future::LocalBoxFuture;
use order_domain::{Coordinates, IdempotencyKey, InvalidCoordinate, Latitude, Longitude, Route};
use serde_json::Value;
use validator::{Validate, ValidationError};

use super::{
    Faults,
    body::{self, Members},
    parameters,
};
use crate::problem::{Fault, Problem};

/// The wish to place an order.
#[derive(Debug)]
pub(crate) struct PlaceOrder {
    pub(crate) route: Route,
    pub(crate) key: Option<IdempotencyKey>,
}

/// `{"origin":["50.456399","12.707580"],"destination":["59.436487","24.747193"]}`.
#[derive(Debug, Validate)]
struct PlaceOrderBody {
    #[validate(
        required(
            message = "is missing; it must be an array of two strings, latitude and longitude"
        ),
        custom(function = "is_pair_of_strings")
    )]
    origin: Option<Value>,
    #[validate(
        required(
            message = "is missing; it must be an array of two strings, latitude and longitude"
        ),
        custom(function = "is_pair_of_strings")
    )]
    destination: Option<Value>,
}

fn is_pair_of_strings(pair: &Value) -> Result<(), ValidationError> {
    let Some([latitude, longitude]) = pair.as_array().map(Vec::as_slice) else {
        let message = "must be an array of exactly two strings, latitude and longitude";
        return Err(ValidationError::new("pair").with_message(message.into()));
    };
    let mut others = vec![];
    others.extend((!latitude.is_string()).then_some(0));
    others.extend((!longitude.is_string()).then_some(1));
    if others.is_empty() {
        return Ok(());
    }
    let mut error = ValidationError::new("strings")
        .with_message("must be a string with a decimal number, such as \"50.456399\"".into());
    error.add_param(body::ELEMENTS.into(), &others);
    Err(error)
}

impl FromRequest for PlaceOrder {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let body = body::read(&request, payload).await?;
            let mut faults = Faults::default();
            let key = faults.check(parameters::idempotency_key(&request));
            let route = read_route(&body, &mut faults);
            let wish = route.zip(key).map(|(route, key)| Self { route, key });
            faults.none_or_refuse(wish)
        })
    }
}

fn read_route(body: &[u8], faults: &mut Faults) -> Option<Route> {
    let mut members = faults.check(Members::read(body))?;
    let body =
        PlaceOrderBody { origin: members.take("origin"), destination: members.take("destination") };
    if let Err(errors) = body.validate() {
        body::shape_faults(&errors, &["origin", "destination"], faults);
    }
    members.refuse_unknown(faults);
    let origin = read_point("origin", body.origin.as_ref(), faults);
    let destination = read_point("destination", body.destination.as_ref(), faults);
    Some(Route { origin: origin?, destination: destination? })
}

/// Reads a pair as far as its shape allows, so that a bad latitude is named also beside a
/// longitude that is no string.
fn read_point(member: &str, pair: Option<&Value>, faults: &mut Faults) -> Option<Coordinates> {
    let [latitude, longitude] = pair?.as_array()?.as_slice() else { return None };
    let latitude = read_element(latitude, Latitude::parse).map_err(|error| {
        let detail = format!("{member}[0], the latitude, {error}");
        Fault::in_body(format!("/{member}/0"), detail)
    });
    let longitude = read_element(longitude, Longitude::parse).map_err(|error| {
        let detail = format!("{member}[1], the longitude, {error}");
        Fault::in_body(format!("/{member}/1"), detail)
    });
    let (latitude, longitude) = (faults.check(latitude), faults.check(longitude));
    Some(Coordinates { latitude: latitude??, longitude: longitude?? })
}

/// Nothing for what is no string: that was named with the shape.
fn read_element<T>(
    element: &Value,
    parse: impl FnOnce(&str) -> Result<T, InvalidCoordinate>,
) -> Result<Option<T>, InvalidCoordinate> {
    element.as_str().map(parse).transpose()
}
