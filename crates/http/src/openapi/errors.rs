//! The errors of each operation, made from the table of codes.

use std::{borrow::Cow, collections::BTreeMap, iter};

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{
    IntoResponses, PartialSchema, ToSchema,
    openapi::{
        ContentBuilder, HeaderBuilder, Object, ObjectBuilder, Ref, RefOr, Response,
        ResponseBuilder, Schema, Type,
        example::{Example, ExampleBuilder},
    },
};

use crate::{
    code::Code,
    problem::{ErrorView, Fault, Location, PROBLEM_JSON, Problem, ProblemView},
};

macro_rules! errors_of_operations {
    ($($name:ident: $($code:ident),+;)*) => {$(
        pub(crate) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                responses(&[$(Code::$code),+])
            }
        }
    )*};
}

errors_of_operations! {
    PlaceOrderErrors: InvalidRequest, RouteNotFound, DistanceUnavailable, IdempotencyConflict,
        StorageUnavailable, OutcomeUnknown, Overloaded, RequestTimeout, PayloadTooLarge,
        UnsupportedMediaType, InternalError;
    TakeOrderErrors: InvalidRequest, OrderNotFound, OrderAlreadyTaken, OrderBusy,
        IdempotencyConflict, StorageUnavailable, OutcomeUnknown, Overloaded, RequestTimeout,
        PayloadTooLarge, UnsupportedMediaType, InternalError;
    ListOrdersErrors: InvalidRequest, StorageUnavailable, Overloaded, InternalError;
    FindOrderErrors: InvalidRequest, OrderNotFound, StorageUnavailable, Overloaded, InternalError;
    OtherErrors: InternalError;
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

fn responses(codes: &[Code]) -> BTreeMap<String, RefOr<Response>> {
    let mut statuses = BTreeMap::<u16, Status>::new();
    for &code in codes {
        let row = code.row();
        statuses.entry(row.default.as_u16()).or_default().plain.push(code);
        statuses.entry(row.precise.as_u16()).or_default().document.push(code);
    }
    let responses = statuses.into_iter();
    responses.map(|(status, codes)| (status.to_string(), response(&codes).into())).collect()
}

fn response(Status { plain, document }: &Status) -> Response {
    let mut all = [plain.as_slice(), document].concat();
    all.sort_unstable();
    all.dedup();
    let lines = all.iter().map(|code| format!("`{}`: {}", code.row().name, code.row().when));
    let mut response = ResponseBuilder::new().description(lines.collect::<Vec<_>>().join("\n\n"));
    if !plain.is_empty() {
        let content = content::<ErrorView<'_>>(plain, |problem| to_json(&ErrorView::from(problem)));
        response = response.content("application/json", content.build());
    }
    if !document.is_empty() {
        let content =
            content::<ProblemView<'_>>(document, |problem| to_json(&ProblemView::from(problem)));
        response = response.content(PROBLEM_JSON, content.build());
    }
    if all.contains(&Code::Overloaded) {
        let header = HeaderBuilder::new()
            .schema(Some(Object::with_type(Type::Integer)))
            .description(Some("Seconds to wait, with `overloaded`."));
        response = response.header("Retry-After", header.build());
    }
    let mut response = response.build();
    response.headers.extend([super::shared(super::VARY)]);
    response
}

fn content<T: ToSchema>(codes: &[Code], render: impl Fn(&Problem) -> Value) -> ContentBuilder {
    let example = |code: &Code| -> (String, RefOr<Example>) {
        let row = code.row();
        let example = ExampleBuilder::new().summary(row.title).value(Some(render(&sample(*code))));
        (row.name.to_owned(), example.build().into())
    };
    ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(T::name())))
        .examples_from_iter(codes.iter().map(example))
}

/// A problem as it occurs.
fn sample(code: Code) -> Problem {
    match code {
        Code::InvalidRequest => Problem::invalid(vec![Fault::in_parameter(
            Location::Query,
            "limit",
            code.row().message,
        )]),
        _ => code.into(),
    }
}

fn to_json(view: &impl Serialize) -> Value {
    serde_json::to_value(view).expect("texts and numbers can be written as JSON")
}

/// A name from the table.
pub(crate) struct CodeName;

impl ToSchema for CodeName {
    fn name() -> Cow<'static, str> {
        "Code".into()
    }
}

impl PartialSchema for CodeName {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(Code::ALL.iter().map(|code| json!(code.row().name))))
            .description(Some("What is wrong, as a stable name."))
            .into()
    }
}
