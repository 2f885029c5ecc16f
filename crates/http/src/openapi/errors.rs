//! The error responses of operations, which derive from the table of codes.

use std::{collections::BTreeMap, iter};

use serde::Serialize;
use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{
        ContentBuilder, HeaderBuilder, Object, Ref, RefOr, Response, ResponseBuilder, Type,
        example::{Example, ExampleBuilder},
    },
};

use crate::errors::{ErrorCode, ErrorResponse, PROBLEM_JSON, Problem, ProblemResponse};

/// The responses of an operation, by status.
pub(crate) type Responses = BTreeMap<String, RefOr<Response>>;

/// Declares a type for the annotation of an operation: the responses for its codes.
macro_rules! operation_errors {
    ($name:ident: $codes:expr, $examples:expr) => {
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> crate::openapi::Responses {
                crate::openapi::error_responses(&$codes.concat(), &$examples)
            }
        }
    };
}
pub(crate) use operation_errors;

/// The responses for these codes, by status. A code without an example has the one of its message.
pub(crate) fn error_responses(codes: &[ErrorCode], examples: &[Problem]) -> Responses {
    let mut statuses = BTreeMap::<u16, Status>::new();
    // In the order of the table.
    for &code in ErrorCode::ALL.iter().filter(|code| codes.contains(code)) {
        let spec = code.spec();
        statuses.entry(spec.legacy_status.as_u16()).or_default().legacy.push(code);
        statuses.entry(spec.status.as_u16()).or_default().problem.push(code);
    }
    statuses
        .into_iter()
        .map(|(status, codes)| (status.to_string(), response(&codes, examples).into()))
        .collect()
}

/// The codes that one status has in each format.
#[derive(Default)]
struct Status {
    legacy: Vec<ErrorCode>,
    problem: Vec<ErrorCode>,
}

/// The table of codes as Markdown.
pub(super) fn table() -> String {
    let rows = ErrorCode::ALL.iter().map(|code| {
        let spec = code.spec();
        let (legacy, precise) = (spec.legacy_status.as_u16(), spec.status.as_u16());
        format!("| `{}` | {} | {legacy} | {precise} |\n", spec.name, spec.when)
    });
    let head = "| `code` | condition | by default | precise |\n|---|---|---|---|\n";
    iter::once(head.to_owned()).chain(rows).collect()
}

fn response(Status { legacy, problem }: &Status, examples: &[Problem]) -> Response {
    let mut all = [legacy.as_slice(), problem].concat();
    all.sort_unstable();
    all.dedup();
    let lines = all.iter().map(|code| format!("`{}`: {}", code.spec().name, code.spec().when));
    let mut response = ResponseBuilder::new().description(lines.collect::<Vec<_>>().join("\n\n"));
    if !legacy.is_empty() {
        let content =
            content::<ErrorResponse<'_>>(legacy, examples, |it| to_json(&ErrorResponse::from(it)));
        response = response.content("application/json", content.build());
    }
    if !problem.is_empty() {
        let content = content::<ProblemResponse<'_>>(problem, examples, |it| {
            to_json(&ProblemResponse::from(it))
        });
        response = response.content(PROBLEM_JSON, content.build());
    }
    if all.contains(&ErrorCode::Overloaded) {
        let header = HeaderBuilder::new()
            .schema(Some(Object::with_type(Type::Integer)))
            .description(Some("The number of seconds to wait, with `overloaded`."));
        response = response.header("Retry-After", header.build());
    }
    response.build()
}

fn content<T: ToSchema>(
    codes: &[ErrorCode],
    examples: &[Problem],
    render: impl Fn(&Problem) -> Value,
) -> ContentBuilder {
    let example = |&code: &ErrorCode| -> (String, RefOr<Example>) {
        let spec = code.spec();
        let value = match examples.iter().find(|example| example.code == code) {
            Some(example) => render(example),
            None => render(&code.into()),
        };
        let example = ExampleBuilder::new().summary(spec.title).value(Some(value));
        (spec.name.to_owned(), example.build().into())
    };
    ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(T::name())))
        .examples_from_iter(codes.iter().map(example))
}

fn to_json(body: &impl Serialize) -> Value {
    serde_json::to_value(body).expect("texts and numbers are valid JSON")
}
