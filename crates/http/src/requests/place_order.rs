//! `POST /orders`.

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures_util::future::LocalBoxFuture;
use order_domain::{Coordinates, IdempotencyKey, Latitude, Longitude, Route};
use utoipa::ToSchema;
use validator::{Validate, ValidationError};

use super::{
    Faults,
    body::{self, Members, Untyped},
    parameters,
};
use crate::{
    openapi::schemas::Point,
    problem::{Fault, Problem},
};

/// The wish to place an order.
#[derive(Debug)]
pub(crate) struct PlaceOrder {
    pub(crate) route: Route,
    pub(crate) key: Option<IdempotencyKey>,
}

/// Where to pick up and where to deliver. The two may be the same point.
#[derive(Debug, ToSchema, Validate)]
#[schema(as = PlaceOrder)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaceOrderBody {
    #[schema(value_type = Point)]
    #[validate(
        required(
            message = "is missing; it must be an array of two strings, latitude and longitude"
        ),
        custom(function = "is_pair_of_strings")
    )]
    origin: Option<Untyped>,
    #[schema(value_type = Point)]
    #[validate(
        required(
            message = "is missing; it must be an array of two strings, latitude and longitude"
        ),
        custom(function = "is_pair_of_strings")
    )]
    destination: Option<Untyped>,
}

impl Untyped {
    /// The two elements of a pair, as far as they are strings.
    fn as_pair(&self) -> Option<&[Option<String>; 2]> {
        match self {
            Self::Array(elements) => elements.as_slice().try_into().ok(),
            Self::Text(_) | Self::Other => None,
        }
    }
}

fn is_pair_of_strings(pair: &Untyped) -> Result<(), ValidationError> {
    let Some(pair) = pair.as_pair() else {
        let message = "must be an array of exactly two strings, latitude and longitude";
        return Err(ValidationError::new("pair").with_message(message.into()));
    };
    let others: Vec<_> = (0..pair.len()).filter(|&at| pair[at].is_none()).collect();
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
            let body = faults.check(body);
            let route = body.and_then(|body| read_route(&body, &mut faults));
            let wish = route.zip(key).map(|(route, key)| Self { route, key });
            faults.none_or_refuse(wish)
        })
    }
}

fn read_route(body: &[u8], faults: &mut Faults) -> Option<Route> {
    let mut members = faults.check_all(Members::read(body))?;
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
fn read_point(member: &str, pair: Option<&Untyped>, faults: &mut Faults) -> Option<Coordinates> {
    let [latitude, longitude] = pair?.as_pair()?;
    let latitude = latitude.as_deref().and_then(|text| {
        faults.check(Latitude::parse(text).map_err(|error| {
            let detail = format!("{member}[0], the latitude, {error}");
            Fault::in_body(format!("/{member}/0"), detail)
        }))
    });
    let longitude = longitude.as_deref().and_then(|text| {
        faults.check(Longitude::parse(text).map_err(|error| {
            let detail = format!("{member}[1], the longitude, {error}");
            Fault::in_body(format!("/{member}/1"), detail)
        }))
    });
    Some(Coordinates { latitude: latitude?, longitude: longitude? })
}
