//! `GET /orders`: lists orders.

use std::{collections::HashSet, fmt::Display};

use actix_web::{HttpRequest, HttpResponse, http::header, web::Data};
use order_domain::{Cursor, Limit, ListQuery, OrderId, Page, PageNumber, Window};
use utoipa::IntoParams;
use validator::Validate;

use crate::{
    errors::{ErrorCode, Location, Problem, Violation, Violations, display_name, shorten},
    links,
    openapi::{operation_errors, schemas},
    responses::OrderResponse,
    state::AppState,
};

/// List orders, newest first
///
/// By page or by cursor: `limit` and exactly one of `page` and `before` are required. Past the end
/// the list is empty.
#[utoipa::path(get, path = "/orders", tag = "orders", params(ListParameters),
    responses(
        (status = 200, description = "A part of the list, ids descending",
            body = Vec<OrderResponse>,
            headers(("Link" = String, description = "RFC 8288: `first` always, `next` unless the \
                list has ended, `prev` in the page form. The targets are paths without a host; \
                `next` is always in the cursor form.")),
            example = json!([
                {"id": 1761, "distance": 1_728_057, "status": "UNASSIGNED"},
                {"id": 1760, "distance": 9120, "status": "TAKEN"}
            ])),
        ListOrdersErrors)
)]
pub(crate) async fn list_orders(
    state: Data<AppState>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = parse(request.query_string())?;
    let orders = state.orders.list(query).await?;
    let link = links::header(&query, query.next(&orders));
    let orders: Vec<_> = orders.into_iter().map(OrderResponse::from).collect();
    Ok(HttpResponse::Ok().insert_header((header::LINK, link)).json(orders))
}

operation_errors! {
    ListOrdersErrors: [ErrorCode::OF_READS],
    [Problem::invalid(vec![in_query("limit", "limit must be an integer from 1 to 1000")])]
}

/// The query parameters.
#[derive(Default, IntoParams, Validate)]
#[into_params(parameter_in = Query)]
struct ListParameters {
    /// The maximum number of orders.
    #[validate(required(message = "limit is missing, for example /orders?page=1&limit=20"))]
    #[param(value_type = schemas::ListLimit, inline, example = 20)]
    limit: Option<String>,
    /// The number of the page, from 1. Exactly one of `page` and `before` is required.
    #[param(value_type = Option<schemas::PositiveInteger>, inline, example = 1)]
    page: Option<String>,
    /// Selects the newest orders with smaller ids. The `next` links use this form.
    #[param(value_type = Option<schemas::PositiveInteger>, inline)]
    before: Option<String>,
    /// The status of the listed orders; without it, orders of each status.
    #[param(value_type = Option<schemas::StatusFilter>, inline)]
    status: Option<String>,
}

fn parse(query: &str) -> Result<ListQuery, Problem> {
    let mut violations = Violations::default();
    let sent = ListParameters::parse(query, &mut violations);
    if let Err(errors) = sent.validate() {
        for (name, errors) in errors.field_errors() {
            violations.extend(errors.iter().map(|error| in_query(&name, error.to_string())));
        }
    }
    match (&sent.page, &sent.before) {
        (Some(_), None) | (None, Some(_)) => {}
        (None, None) => violations.extend([in_query(
            "page",
            "page (or before) is missing, for example /orders?page=1&limit=20",
        )]),
        (Some(_), Some(_)) => violations
            .extend([in_query("before", "before and page exclude each other; send only one")]),
    }
    let limit = parse_value("limit", sent.limit, Limit::parse, &mut violations);
    let page = parse_value("page", sent.page, PageNumber::parse, &mut violations);
    let before = parse_value("before", sent.before, OrderId::parse, &mut violations);
    let status = parse_value("status", sent.status, str::parse, &mut violations);
    let window = limit.and_then(|limit| {
        let page = page.map(|number| Window::Page(Page { number, limit }));
        page.or(before.map(|before| Window::Before(Cursor { before, limit })))
    });
    violations.into_result(window.map(|window| ListQuery { window, status }))
}

impl ListParameters {
    /// Sorts the parameters of a query string by name. A repeated parameter is a violation and
    /// keeps its first value.
    fn parse(query: &str, violations: &mut Violations) -> Self {
        let mut parameters = Self::default();
        let mut rejected = HashSet::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let parameter = match &*name {
                "limit" => Some(&mut parameters.limit),
                "page" => Some(&mut parameters.page),
                "before" => Some(&mut parameters.before),
                "status" => Some(&mut parameters.status),
                _ => None,
            };
            let fault = match parameter {
                Some(parameter @ None) => {
                    *parameter = Some(value.into_owned());
                    continue;
                }
                Some(Some(_)) => "occurs more than once",
                None => "is not a known parameter; there are limit, page, before and status",
            };
            if rejected.insert(name.clone()) {
                let name = shorten(&name);
                violations.extend([in_query(&name, format!("{} {fault}", display_name(&name)))]);
            }
        }
        parameters
    }
}

fn in_query(parameter: &str, detail: impl Into<String>) -> Violation {
    Violation::in_parameter(Location::Query, parameter, detail)
}

/// Parses a parameter that was sent.
fn parse_value<T, E: Display>(
    name: &str,
    text: Option<String>,
    parse: impl FnOnce(&str) -> Result<T, E>,
    violations: &mut Violations,
) -> Option<T> {
    let value = parse(&text?).map_err(|error| in_query(name, format!("{name} {error}")));
    violations.check(value)
}
