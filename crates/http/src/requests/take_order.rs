//! `PATCH /orders/{id}`.

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures_util::future::LocalBoxFuture;
use order_domain::{OrderStatus, Take};
use utoipa::ToSchema;
use validator::{Validate, ValidationError};

use super::{
    Faults,
    body::{self, Members, Untyped},
    parameters,
};
use crate::{openapi::schemas, problem::Problem};

/// The wish to take an order.
#[derive(Debug)]
pub(crate) struct TakeOrder(pub(crate) Take);

/// `{"status":"TAKEN"}`, nothing else.
#[derive(Debug, ToSchema, Validate)]
#[schema(as = TakeOrder)]
#[serde(deny_unknown_fields)]
pub(crate) struct TakeOrderBody {
    #[schema(schema_with = schemas::taken, required = true)]
    #[validate(
        required(message = "is missing; it must be \"TAKEN\""),
        custom(function = "is_taken", message = "must be exactly \"TAKEN\"")
    )]
    status: Option<Untyped>,
}

fn is_taken(status: &Untyped) -> Result<(), ValidationError> {
    let taken = matches!(status, Untyped::Text(text) if text == OrderStatus::Taken.as_str());
    if taken { Ok(()) } else { Err(ValidationError::new("taken")) }
}

impl FromRequest for TakeOrder {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let body = body::read(&request, payload).await?;
            let mut faults = Faults::default();
            let id = faults.check(parameters::order_id(&request));
            let key = faults.check(parameters::idempotency_key(&request));
            if let Some(body) = faults.check(body) {
                check_body(&body, &mut faults);
            }
            let take = id.zip(key).map(|(id, key)| Take { id, key });
            faults.none_or_refuse(take).map(Self)
        })
    }
}

fn check_body(body: &[u8], faults: &mut Faults) {
    let Some(mut members) = faults.check_all(Members::read(body)) else { return };
    let body = TakeOrderBody { status: members.take("status") };
    if let Err(errors) = body.validate() {
        body::shape_faults(&errors, &["status"], faults);
    }
    members.refuse_unknown(faults);
}
