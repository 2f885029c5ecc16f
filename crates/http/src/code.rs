//! What can be wrong, as stable names: the table that both forms of an error and the OpenAPI
//! document are made from.

use actix_web::http::StatusCode;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

/// A row of the table.
pub(crate) struct Row {
    /// The name in `code`.
    pub(crate) name: &'static str,
    /// The same for people; the same for every occurrence.
    pub(crate) title: &'static str,
    /// The status for clients of the demo, which knew only 400.
    pub(crate) default: StatusCode,
    /// The status for clients that ask for problem documents.
    pub(crate) precise: StatusCode,
    /// When it happens.
    pub(crate) when: &'static str,
    /// The message, where it does not depend on the request.
    pub(crate) message: &'static str,
}

macro_rules! codes {
    ($($code:ident: $name:literal, $title:literal, $default:ident => $precise:ident,
        $when:literal, $message:literal;)*) => {
        /// What is wrong, as a stable name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Code {
            $(#[doc = $when] $code,)*
        }

        impl Code {
            /// All of them, in the order of the table.
            pub(crate) const ALL: &[Self] = &[$(Self::$code,)*];

            /// What is known of it.
            pub(crate) fn row(self) -> Row {
                match self {
                    $(Self::$code => Row {
                        name: $name,
                        title: $title,
                        default: StatusCode::$default,
                        precise: StatusCode::$precise,
                        when: $when,
                        message: $message,
                    },)*
                }
            }
        }
    };
}

codes! {
    InvalidRequest: "invalid_request", "Invalid request", BAD_REQUEST => BAD_REQUEST,
        "The body, the query, the path or a header is wrong; every invalid field is named.",
        "the request is invalid";
    RouteNotFound: "route_not_found", "No route", BAD_REQUEST => UNPROCESSABLE_ENTITY,
        "The provider of distances knows no route between the points.",
        "no route leads from origin to destination; try other coordinates";
    DistanceUnavailable: "distance_unavailable", "Distance unavailable", BAD_REQUEST => BAD_GATEWAY,
        "The provider of distances failed, refused, timed out, or gave an answer without sense.",
        "the distance cannot be had at the moment; nothing was changed";
    OrderNotFound: "order_not_found", "Order not found", BAD_REQUEST => NOT_FOUND,
        "There is no such order.",
        "there is no order with this id";
    OrderAlreadyTaken: "order_already_taken", "Order already taken", BAD_REQUEST => CONFLICT,
        "Somebody has the order.",
        "somebody has taken this order already";
    OrderBusy: "order_busy", "Order busy", BAD_REQUEST => CONFLICT,
        "Another request is taking the order at this instant.",
        "somebody is taking this order at this instant; try again";
    IdempotencyConflict: "idempotency_conflict", "Idempotency conflict", BAD_REQUEST => CONFLICT,
        "The `Idempotency-Key` was used with another body or for another order.",
        "this Idempotency-Key placed an order with another body; use a new key";
    StorageUnavailable: "storage_unavailable", "Storage unavailable",
        BAD_REQUEST => SERVICE_UNAVAILABLE,
        "The database cannot be reached or failed; nothing was changed.",
        "the orders cannot be reached at the moment; nothing was changed";
    OutcomeUnknown: "outcome_unknown", "Outcome unknown", BAD_REQUEST => SERVICE_UNAVAILABLE,
        "The database went away, or the deadline passed, after the change was sent: it may have happened.",
        "it is not known whether this happened; repeat it with the same Idempotency-Key to learn it";
    DeadlineExceeded: "deadline_exceeded", "Deadline exceeded", BAD_REQUEST => GATEWAY_TIMEOUT,
        "The request took longer than the service allows; nothing was changed.",
        "the request took too long; nothing was changed";
    Overloaded: "overloaded", "Overloaded", SERVICE_UNAVAILABLE => SERVICE_UNAVAILABLE,
        "A queue of the service is full; nothing was changed.",
        "too many requests at this moment; nothing was changed";
    UnknownPath: "unknown_path", "Unknown path", NOT_FOUND => NOT_FOUND,
        "There is nothing at this path.",
        "there is nothing at this path; see /docs/";
    MethodNotAllowed: "method_not_allowed", "Method not allowed",
        METHOD_NOT_ALLOWED => METHOD_NOT_ALLOWED,
        "The path has other methods; `Allow` names them.",
        "this path does not allow the method";
    RequestTimeout: "request_timeout", "Request timeout", REQUEST_TIMEOUT => REQUEST_TIMEOUT,
        "The body did not arrive in time.",
        "the body did not arrive in time";
    PayloadTooLarge: "payload_too_large", "Payload too large",
        PAYLOAD_TOO_LARGE => PAYLOAD_TOO_LARGE,
        "The body has more than 16 KiB.",
        "the body has more than 16384 bytes";
    UnsupportedMediaType: "unsupported_media_type", "Unsupported media type",
        UNSUPPORTED_MEDIA_TYPE => UNSUPPORTED_MEDIA_TYPE,
        "The body is not plain `application/json`.",
        "the body must be sent with Content-Type: application/json and without a Content-Encoding";
    InternalError: "internal_error", "Internal error",
        INTERNAL_SERVER_ERROR => INTERNAL_SERVER_ERROR,
        "A defect of the service.",
        "the service failed; this is a defect of ours";
}

impl ToSchema for Code {}

impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(Self::ALL.iter().map(|code| code.row().name)))
            .description(Some(
                "What is wrong, as a stable name. New ones may be added: treat an unknown one by \
                 its status.",
            ))
            .into()
    }
}
