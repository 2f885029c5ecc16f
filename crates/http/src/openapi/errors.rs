//! The errors of each operation, made from the table of codes.

use std::{collections::BTreeMap, iter};

use serde::Serialize;
use serde_json::Value;
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{
        ContentBuilder, HeaderBuilder, Object, Ref, RefOr, Response, ResponseBuilder, Type,
        example::{Example, ExampleBuilder},
    },
};

use crate::{
    code::Code,
    problem::{ErrorView, Fault, Location, PROBLEM_JSON, Problem, ProblemView},
};

macro_rules! errors_of_operations {
    ($($name:ident: $($code:ident),+; $($example:expr),*;)*) => {$(
        pub(crate) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                responses(&[$(Code::$code),+], &[$($example),*])
            }
        }
    )*};
}

// What can be wrong, and examples of it where they depend on the request.
errors_of_operations! {
    PlaceOrderErrors: InvalidRequest, RouteNotFound, DistanceUnavailable, IdempotencyConflict,
        StorageUnavailable, OutcomeUnknown, DeadlineExceeded, Overloaded, RequestTimeout,
        PayloadTooLarge, UnsupportedMediaType, InternalError;
        invalid(Fault::in_body(
            "/origin/0",
            "origin[0], the latitude, must lie between -90 and 90 degrees",
        ));
    TakeOrderErrors: InvalidRequest, OrderNotFound, OrderAlreadyTaken, OrderBusy,
        IdempotencyConflict, StorageUnavailable, OutcomeUnknown, DeadlineExceeded, Overloaded,
        RequestTimeout, PayloadTooLarge, UnsupportedMediaType, InternalError;
        invalid(Fault::in_body("/status", "status must be exactly \"TAKEN\"")),
        Problem::took_another();
    ListOrdersErrors: InvalidRequest, StorageUnavailable, DeadlineExceeded, Overloaded,
        InternalError;
        invalid(Fault::in_parameter(
            Location::Query,
            "limit",
            "limit must be an integer from 1 to 1000",
        ));
    FindOrderErrors: InvalidRequest, OrderNotFound, StorageUnavailable, DeadlineExceeded,
        Overloaded, InternalError;
        invalid(Fault::in_parameter(
            Location::Path,
            "id",
            "id must be an integer from 1 to 9223372036854775807",
        ));
    OtherErrors: InternalError; ;
}

fn invalid(fault: Fault) -> Problem {
    Problem::invalid(vec![fault])
}

/// The table for the text.
pub(super) fn table() -> String {
    let rows = Code::ALL.iter().map(|code| {
        let row = code.row();
        let (name, default, precise) = (row.name, row.default.as_u16(), row.precise.as_u16());
        format!("| `{name}` | {} | {default} | {precise} |\n", row.when)
    });
    let head = "| `code` | when | by default | precise |\n|---|---|---|---|\n";
    iter::once(head.to_owned()).chain(rows).collect()
}

/// What can be wrong, by the status that tells it, in the form that has this status.
#[derive(Default)]
struct Status {
    plain: Vec<Code>,
    document: Vec<Code>,
}

fn responses(codes: &[Code], examples: &[Problem]) -> BTreeMap<String, RefOr<Response>> {
    let mut statuses = BTreeMap::<u16, Status>::new();
    for &code in codes {
        let row = code.row();
        statuses.entry(row.default.as_u16()).or_default().plain.push(code);
        statuses.entry(row.precise.as_u16()).or_default().document.push(code);
    }
    let responses = statuses.into_iter();
    responses
        .map(|(status, codes)| (status.to_string(), response(&codes, examples).into()))
        .collect()
}

fn response(Status { plain, document }: &Status, examples: &[Problem]) -> Response {
    let mut all = [plain.as_slice(), document].concat();
    all.sort_unstable();
    all.dedup();
    let lines = all.iter().map(|code| format!("`{}`: {}", code.row().name, code.row().when));
    let mut response = ResponseBuilder::new().description(lines.collect::<Vec<_>>().join("\n\n"));
    if !plain.is_empty() {
        let content = content::<ErrorView<'_>>(plain, examples, |it| to_json(&ErrorView::from(it)));
        response = response.content("application/json", content.build());
    }
    if !document.is_empty() {
        let content =
            content::<ProblemView<'_>>(document, examples, |it| to_json(&ProblemView::from(it)));
        response = response.content(PROBLEM_JSON, content.build());
    }
    if all.contains(&Code::Overloaded) {
        let header = HeaderBuilder::new()
            .schema(Some(Object::with_type(Type::Integer)))
            .description(Some("Seconds to wait, with `overloaded`."));
        response = response.header("Retry-After", header.build());
    }
    response.build()
}

fn content<T: ToSchema>(
    codes: &[Code],
    examples: &[Problem],
    render: impl Fn(&Problem) -> Value,
) -> ContentBuilder {
    let example = |&code: &Code| -> (String, RefOr<Example>) {
        let row = code.row();
        let value = match examples.iter().find(|example| example.code == code) {
            Some(example) => render(example),
            None => render(&code.into()),
        };
        let example = ExampleBuilder::new().summary(row.title).value(Some(value));
        (row.name.to_owned(), example.build().into())
    };
    ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(T::name())))
        .examples_from_iter(codes.iter().map(example))
}

fn to_json(view: &impl Serialize) -> Value {
    serde_json::to_value(view).expect("texts and numbers can be written as JSON")
}
