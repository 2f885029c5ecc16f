//! `GET /orders`.

use std::{
    collections::HashSet,
    fmt::Display,
    future::{Ready, ready},
};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use order_domain::{Cursor, Limit, ListQuery, OrderId, OrderStatus, Page, PageNumber, Window};
use validator::{Validate, ValidationError, ValidationErrors, ValidationErrorsKind};

use super::{Faults, shortened, shown};
use crate::problem::{Fault, Location, Problem};

/// The wish to see a part of the list.
#[derive(Debug)]
pub(crate) struct ListOrders(pub(crate) ListQuery);

/// The parameters as they were sent.
#[derive(Debug, Default, Validate)]
#[validate(schema(function = "has_one_window", skip_on_field_errors = false))]
struct ListParameters {
    #[validate(required(message = "limit is missing, for example /orders?page=1&limit=20"))]
    limit: Option<String>,
    page: Option<String>,
    before: Option<String>,
    status: Option<String>,
}

/// The code of the `ValidationError` names the parameter that is at fault.
fn has_one_window(parameters: &ListParameters) -> Result<(), ValidationError> {
    let error = |parameter, detail: &'static str| {
        Err(ValidationError::new(parameter).with_message(detail.into()))
    };
    match (&parameters.page, &parameters.before) {
        (Some(_), None) | (None, Some(_)) => Ok(()),
        (None, None) => {
            error("page", "page (or before) is missing, for example /orders?page=1&limit=20")
        }
        (Some(_), Some(_)) => error("before", "before and page exclude each other; send only one"),
    }
}

impl FromRequest for ListOrders {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(request.query_string()).map(Self))
    }
}

fn read(query: &str) -> Result<ListQuery, Problem> {
    let mut faults = Faults::default();
    let sent = read_parameters(query, &mut faults);
    if let Err(errors) = sent.validate() {
        shape_faults(&errors, &mut faults);
    }
    let limit = read_value("limit", sent.limit.as_deref(), Limit::parse, &mut faults);
    let page = read_value("page", sent.page.as_deref(), PageNumber::parse, &mut faults);
    let before = read_value("before", sent.before.as_deref(), OrderId::parse, &mut faults);
    let status = read_value("status", sent.status.as_deref(), str::parse, &mut faults);
    let window = limit.and_then(|limit| {
        let page = page.map(|number| Window::Page(Page { number, limit }));
        page.or(before.map(|before| Window::Before(Cursor { before, limit })))
    });
    let status: Option<OrderStatus> = status;
    faults.none_or_refuse(window.map(|window| ListQuery { window, status }))
}

/// Sorts the parameters of a query string by name. A repeated one keeps its first value; that it
/// is repeated is the fault to mend.
fn read_parameters(query: &str, faults: &mut Faults) -> ListParameters {
    let mut sent = ListParameters::default();
    let mut refused = HashSet::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let slot = match &*name {
            "limit" => Some(&mut sent.limit),
            "page" => Some(&mut sent.page),
            "before" => Some(&mut sent.before),
            "status" => Some(&mut sent.status),
            _ => None,
        };
        let detail = match slot {
            Some(slot @ None) => {
                *slot = Some(value.into_owned());
                continue;
            }
            Some(Some(_)) => "is there more than once",
            None => "is not a known parameter; there are limit, page, before and status",
        };
        if refused.insert(name.clone()) {
            let name = shortened(&name);
            let detail = format!("{} {detail}", shown(&name));
            faults.add(Fault::in_parameter(Location::Query, name, detail));
        }
    }
    sent
}

/// Finds the meaning of a parameter that was sent.
fn read_value<T, E: Display>(
    name: &str,
    text: Option<&str>,
    parse: impl FnOnce(&str) -> Result<T, E>,
    faults: &mut Faults,
) -> Option<T> {
    let fault = |error| Fault::in_parameter(Location::Query, name, format!("{name} {error}"));
    faults.check(parse(text?).map_err(fault))
}

/// What `validator` found in the shape of the query.
fn shape_faults(errors: &ValidationErrors, faults: &mut Faults) {
    for (field, at_fault) in [("limit", Some("limit")), ("__all__", None)] {
        let Some(ValidationErrorsKind::Field(errors)) = errors.errors().get(field) else {
            continue;
        };
        for error in errors {
            let parameter = at_fault.unwrap_or(&error.code);
            let detail = error.message.as_deref().unwrap_or("the query is invalid");
            faults.add(Fault::in_parameter(Location::Query, parameter, detail));
        }
    }
}
