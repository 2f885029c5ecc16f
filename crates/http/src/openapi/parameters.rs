//! The parameters of the operations: what goes beside a body.

use order_domain::Limit;
use serde_json::json;
use utoipa::{
    IntoParams,
    openapi::{
        Object, Required,
        path::{Parameter, ParameterBuilder, ParameterIn},
    },
};

use super::schemas;
use crate::requests::IDEMPOTENCY_KEY;

/// The id in the path.
pub(crate) struct IdParameter;

/// What a list needs.
pub(crate) struct ListParameters;

/// The key that makes a retry safe.
pub(crate) struct RetryParameter;

impl IntoParams for IdParameter {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        // Also an id that no order has.
        let id = schemas::count(i64::MAX);
        vec![parameter(ParameterIn::Path, "id", id, "Which order.").build()]
    }
}

impl IntoParams for ListParameters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let query =
            |name, schema, description| parameter(ParameterIn::Query, name, schema, description);
        let limit = schemas::count(Limit::MAX.into());
        let limit = query("limit", limit, "How many orders to show at most.");
        let page = query(
            "page",
            schemas::count(i64::MAX),
            "Which page, counted from 1. Exactly one of `page` and `before` must be given.",
        );
        let before = query(
            "before",
            schemas::count(i64::MAX),
            "Shows the newest of the orders whose ids are smaller than this. The `next` links use \
             this form.",
        );
        let status = query(
            "status",
            schemas::status(),
            "Shows only orders with this status; all without it.",
        );
        vec![
            limit.required(Required::True).example(Some(json!(20))).build(),
            page.example(Some(json!(1))).build(),
            before.build(),
            status.build(),
        ]
    }
}

impl IntoParams for RetryParameter {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description = "Makes the request safe to repeat: made up by the client for each \
                           intention, and sent again with each repetition of it.";
        let key = schemas::idempotency_key();
        vec![parameter(ParameterIn::Header, IDEMPOTENCY_KEY, key, description).build()]
    }
}

/// A parameter that may be left out, unless it is a part of the path.
fn parameter(
    location: ParameterIn,
    name: &str,
    schema: Object,
    description: &str,
) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        // The builder wants to know the place before it lets a parameter be left out.
        .parameter_in(location)
        .required(Required::False)
        .schema(Some(schema))
        .description(Some(description))
}
