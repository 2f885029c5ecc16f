//! The endpoints, one file each; the health checks share one. A file has the handler with its
//! OpenAPI annotation, its errors, the parsing of its request, and its response. What endpoints
//! share is in `parameters` and `responses`.
//!
//! A handler parses the request, calls one use case, and renders the outcome.

pub(crate) mod docs;
pub(crate) mod find_order;
pub(crate) mod health;
pub(crate) mod list_orders;
pub(crate) mod metrics;
pub(crate) mod openapi;
pub(crate) mod place_order;
pub(crate) mod take_order;
