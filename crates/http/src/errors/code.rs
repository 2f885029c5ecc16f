//! The table of error codes. Both error formats, the metrics and the OpenAPI document derive from
//! it.

use actix_web::http::StatusCode;
use serde::Serialize;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use crate::openapi::schemas;

/// What the table says about a code.
pub(crate) struct ErrorSpec {
    /// The value of `code`.
    pub(crate) name: &'static str,
    /// The title of the problem document, the same for every occurrence.
    pub(crate) title: &'static str,
    /// The status in the legacy format. Clients of the demo know only 400.
    pub(crate) legacy_status: StatusCode,
    /// The status of the problem document.
    pub(crate) status: StatusCode,
    /// The condition of the error, for the documentation.
    pub(crate) when: &'static str,
    /// The message, unless the request determines it.
    pub(crate) message: &'static str,
}

// `$name` is a token tree, because utoipa does not recognize a `literal` fragment as a name.
macro_rules! codes {
    ($($code:ident: $name:tt, $title:literal, $legacy_status:ident => $status:ident,
        $when:literal, $message:literal;)*) => {
        /// The stable error code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        pub(crate) enum ErrorCode {
            $(#[doc = $when] #[serde(rename = $name)] $code,)*
        }

        impl ErrorCode {
            /// All codes, in the order of the table.
            pub(crate) const ALL: &[Self] = &[$(Self::$code,)*];

            /// The entry of the table.
            pub(crate) fn spec(self) -> ErrorSpec {
                match self {
                    $(Self::$code => ErrorSpec {
                        name: $name,
                        title: $title,
                        legacy_status: StatusCode::$legacy_status,
                        status: StatusCode::$status,
                        when: $when,
                        message: $message,
                    },)*
                }
            }

            /// The value of `code`, also for metrics and logs.
            pub(crate) fn as_str(self) -> &'static str {
                self.spec().name
            }
        }
    };
}

codes! {
    InvalidRequest: "invalid_request", "Invalid request", BAD_REQUEST => BAD_REQUEST,
        "The body, the query, the path or a header is invalid; every invalid field is named.",
        "the request is invalid";
    RouteNotFound: "route_not_found", "No route", BAD_REQUEST => UNPROCESSABLE_ENTITY,
        "The distance provider finds no route between the points.",
        "no route leads from origin to destination; try other coordinates";
    DistanceUnavailable: "distance_unavailable", "Distance unavailable", BAD_REQUEST => BAD_GATEWAY,
        "The distance provider failed, refused, timed out or returned an invalid response.",
        "the distance is currently unavailable; nothing was changed";
    OrderNotFound: "order_not_found", "Order not found", BAD_REQUEST => NOT_FOUND,
        "There is no such order.",
        "there is no order with this id";
    OrderAlreadyTaken: "order_already_taken", "Order already taken", BAD_REQUEST => CONFLICT,
        "Another request has taken the order.",
        "this order is already taken";
    OrderBusy: "order_busy", "Order busy", BAD_REQUEST => CONFLICT,
        "Another request is taking the order at this instant.",
        "another request is taking this order at this instant; try again";
    IdempotencyConflict: "idempotency_conflict", "Idempotency conflict", BAD_REQUEST => CONFLICT,
        "The `Idempotency-Key` was used with another body or for another order.",
        "this Idempotency-Key was used for another request; use a new key";
    StorageUnavailable: "storage_unavailable", "Storage unavailable",
        BAD_REQUEST => SERVICE_UNAVAILABLE,
        "The database is unreachable or failed; nothing was changed.",
        "the database is currently unavailable; nothing was changed";
    OutcomeUnknown: "outcome_unknown", "Outcome unknown", BAD_REQUEST => SERVICE_UNAVAILABLE,
        "The connection was lost or the deadline passed after the change was sent; it may have happened.",
        "it is not known whether the change happened; repeat the request with the same Idempotency-Key";
    DeadlineExceeded: "deadline_exceeded", "Deadline exceeded", BAD_REQUEST => GATEWAY_TIMEOUT,
        "The request took longer than the service allows; nothing was changed.",
        "the request took too long; nothing was changed";
    Overloaded: "overloaded", "Overloaded", SERVICE_UNAVAILABLE => SERVICE_UNAVAILABLE,
        "A queue of the service is full; nothing was changed.",
        "too many requests are waiting; nothing was changed; try again later";
    UnknownPath: "unknown_path", "Unknown path", NOT_FOUND => NOT_FOUND,
        "The path does not exist.",
        "this path does not exist; see /docs/";
    MethodNotAllowed: "method_not_allowed", "Method not allowed",
        METHOD_NOT_ALLOWED => METHOD_NOT_ALLOWED,
        "The path has other methods; `Allow` lists them.",
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
        "internal error: the service has a defect";
}

impl ToSchema for ErrorCode {}

impl PartialSchema for ErrorCode {
    fn schema() -> RefOr<Schema> {
        let description =
            "The stable error code. Treat an unknown code by the status of the response.";
        schemas::extensible_enum(description, Self::ALL.iter().map(|code| code.as_str())).into()
    }
}

impl ErrorCode {
    /// The errors of every operation that reads orders.
    pub(crate) const OF_READS: &[Self] =
        &[Self::InvalidRequest, Self::StorageUnavailable, Self::DeadlineExceeded, Self::Overloaded];

    /// The errors that every operation which changes orders has in addition.
    pub(crate) const OF_CHANGES: &[Self] = &[
        Self::IdempotencyConflict,
        Self::OutcomeUnknown,
        Self::RequestTimeout,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
    ];
}
