//! `GET /orders/{id}`.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use order_domain::OrderId;

use super::parameters;
use crate::problem::Problem;

/// The wish to see one order.
#[derive(Debug)]
pub(crate) struct FindOrder(pub(crate) OrderId);

impl FromRequest for FindOrder {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = parameters::order_id(request);
        ready(id.map(Self).map_err(|fault| Problem::invalid(vec![fault])))
    }
}
