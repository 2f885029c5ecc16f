//! The REST API: endpoints, middleware, errors, and the OpenAPI document.
//!
//! A handler parses a request, calls one use case of [`Orders`](order_domain::Orders), and renders
//! its outcome. Deliberately absent: rules about orders (`order-domain`), storage, distances,
//! connections (`order-http-server`), settings and signals (`order-api`).
//!
//! Each file imports only files that are listed below it:
//!
//! * `routes` connects paths with handlers and wraps them in the middleware;
//! * `endpoints` has one file for each endpoint, `middleware` one file for each middleware;
//! * `state` is what all workers share: the use cases, `http_metrics`, and `readiness`;
//! * `parameters`, `body`, `responses` and `links` are parts of requests and responses;
//! * `request_context` is what is known about the current request;
//! * `openapi` is the part of the document that all endpoints share;
//! * `errors` has the table of error codes and the two error formats;
//! * `headers` has names and parsers of headers.

mod body;
mod endpoints;
mod errors;
mod headers;
mod http_metrics;
mod links;
mod middleware;
mod openapi;
mod parameters;
mod readiness;
mod request_context;
mod responses;
mod routes;
mod state;

pub use routes::{app, openapi_document};
pub use state::{AppState, Ports};
